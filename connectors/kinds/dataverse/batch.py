"""Change sets: several writes in one request, all carried out or none, and what their answer says part by part."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.base import Unanswered
from connectors.kit.answers import Explain, failure, raise_for
from connectors.transport import Reply

_BOUNDARY = re.compile(r'multipart/mixed\s*;.*?boundary="?([A-Za-z0-9_.:=+-]{1,70})"?', re.IGNORECASE | re.DOTALL)
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})\b")
_BREAK = b"\r\n"
# What the whole answers with when a part was refused: looked at, because the part says why.
LOOKED_AT = (400, 403, 404, 405, 409, 412, 413, 500)


@dataclass(frozen=True)
class Change:
    """One write of a change set."""

    method: str
    url: str
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


def boundary_of(effect_key: str) -> str:
    """Return a mark between parts that no part holds: made from our own key."""
    return f"batch_{hashlib.sha256(effect_key.encode()).hexdigest()[:32]}"


def written(changes: Sequence[Change], boundary: str) -> bytes:
    """Write one change set as a request body."""
    inner = f"changeset_{boundary.removeprefix('batch_')}"
    lines = [f"--{boundary}", f'Content-Type: multipart/mixed; boundary="{inner}"', ""]
    for number, change in enumerate(changes, 1):
        lines += [
            f"--{inner}", "Content-Type: application/http", "Content-Transfer-Encoding: binary",
            f"Content-ID: {number}", "", f"{change.method} {change.url} HTTP/1.1",
        ]  # fmt: skip
        lines += ["Content-Type: application/json; type=entry"]
        lines += [f"{name}: {value}" for name, value in change.headers.items()]
        # ASCII only: no letter of a value can be read as the end of a line.
        lines += ["", json.dumps(change.body, allow_nan=False)]
    lines += [f"--{inner}--", f"--{boundary}--", ""]
    return "\r\n".join(lines).encode()


def judge(reply: Reply, count: int, *, label: str, explain: Explain) -> None:
    """Hold the parts of an answer against what was asked. Raises what the first refused part means.

    A change set is carried out whole or not at all, so one refused part says that nothing was. An answer that does
    not account for every part says nothing: ``Unanswered``.
    """
    parts = _answers(reply)
    if parts is None:
        raise_for(reply, label=label, wrote=True, explain=explain)
        raise Unanswered(f"{label} answered a batch with something that is none.", status=reply.status, code="batch")
    for part in parts:
        if not 200 <= part.status < 300:
            raise failure(part, label=label, wrote=True, explain=explain)
    if len(parts) != count:
        raise Unanswered(
            f"{label} answered {len(parts)} of {count} parts of a batch.", status=reply.status, code="batch"
        )


def _answers(reply: Reply) -> list[Reply] | None:
    outer = _split(reply.headers.get("content-type", ""), reply.body)
    if outer is None:
        return None
    found: list[Reply] = []
    for headers, body in outer:
        inner = _split(headers.get("content-type", ""), body)
        for _, answer in inner if inner is not None else [(headers, body)]:
            part = _answer(answer)
            if part is None:
                return None
            found.append(part)
    return found


def _split(content_type: str, body: bytes) -> list[tuple[dict[str, str], bytes]] | None:
    """Cut a multipart body; ``None`` where it is none."""
    named = _BOUNDARY.match(content_type.strip())
    if not named:
        return None
    mark = _BREAK + b"--" + named[1].encode()
    pieces = (_BREAK + body).split(mark)[1:]
    return [_headed(piece.removeprefix(_BREAK)) for piece in pieces if not piece.startswith(b"--")]


def _headed(piece: bytes) -> tuple[dict[str, str], bytes]:
    if piece.startswith(_BREAK):
        return {}, piece.removeprefix(_BREAK)  # no header at all
    head, _, body = piece.partition(_BREAK + _BREAK)
    lines = (line.partition(":") for line in head.decode("latin-1").split("\r\n"))
    return {name.strip().lower(): value.strip() for name, mark, value in lines if mark}, body


def _answer(piece: bytes) -> Reply | None:
    line, _, rest = piece.partition(_BREAK)
    status = _STATUS.match(line)
    if not status:
        return None
    headers, body = _headed(rest)
    return Reply(int(status[1]), headers, body)
