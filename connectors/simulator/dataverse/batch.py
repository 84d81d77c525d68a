"""`$batch` with one change set: every part is carried out, or none is, and the answer says so part by part."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from connectors.simulator.dataverse.tables import refused
from connectors.simulator.messages import Answer, Exchange, Refusal, Request
from connectors.simulator.store import Session

MOST = 1000
_BOUNDARY = re.compile(r'multipart/mixed;\s*boundary="?([^";\s]{1,70})"?', re.IGNORECASE)
Carry = Callable[[Session, Request], Answer]


def run(exchange: Exchange, carry: Carry, refuse: Callable[[Refusal], Answer]) -> Answer:
    """Carry out a batch of one change set; GET has no place in it (wire: $batch)."""
    requests = _requests(exchange.request)
    done: list[Answer] = []
    try:
        with exchange.writing() as session:
            done.extend(carry(session, request) for request in requests)
    except Refusal as refusal:
        return _written([refuse(refusal)], status=refusal.status)
    return _written(done, status=200)


def _requests(request: Request) -> list[Request]:
    outer = _parts(request.header("Content-Type") or "", request.body)
    if len(outer) != 1:
        raise refused("The batch must hold one change set.")
    head, body = outer[0]
    found = [_request(request, part) for _, part in _parts(head.get("content-type", ""), body)]
    if not found or len(found) > MOST:
        raise refused(f"A batch holds between 1 and {MOST} requests.")
    return found


def _parts(content_type: str, body: bytes) -> list[tuple[dict[str, str], bytes]]:
    named = _BOUNDARY.match(content_type.strip())
    if named is None:
        raise refused("The Content-Type must be multipart/mixed with a boundary.")
    pieces = (b"\r\n" + body).split(b"\r\n--" + named[1].encode())
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise refused("The batch has no closing boundary.")
    return [_headed(piece.removeprefix(b"\r\n")) for piece in pieces[1:-1]]


def _headed(piece: bytes) -> tuple[dict[str, str], bytes]:
    head, _, body = piece.partition(b"\r\n\r\n")
    lines = (line.partition(":") for line in head.decode("latin-1").split("\r\n"))
    return {name.strip().lower(): value.strip() for name, mark, value in lines if mark}, body


def _request(outer: Request, part: bytes) -> Request:
    line, _, rest = part.partition(b"\r\n")
    words = line.decode("latin-1").split(" ")
    headers, body = _headed(rest)
    if len(words) != 3 or words[0] == "GET":
        raise refused("A change set holds changes only.")
    parts = urlsplit(words[1])
    return Request(words[0], f"{parts.path}?{parts.query}" if parts.query else parts.path, headers, body, outer.host)


def _written(answers: list[Answer], *, status: int) -> Answer:
    mark, inner = "batchresponse_1", "changesetresponse_1"
    lines = [f"--{mark}"]
    lines += [f"Content-Type: multipart/mixed; boundary={inner}", ""] if status == 200 else []
    for number, answer in enumerate(answers, 1):
        lines += [f"--{inner}"] if status == 200 else []
        lines += ["Content-Type: application/http", "Content-Transfer-Encoding: binary", f"Content-ID: {number}", ""]
        lines += [f"HTTP/1.1 {answer.status} {'OK' if answer.status < 300 else 'Refused'}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        lines += ["Content-Type: application/json", "", json.dumps(answer.body) if answer.body is not None else ""]
    lines += [f"--{inner}--"] if status == 200 else []
    text = "\r\n".join([*lines, f"--{mark}--", ""])
    return Answer(status, text.encode(), content_type=f"multipart/mixed; boundary={mark}")
