"""What travels between the socket and the simulated systems: a request, an answer, a refusal.

Facts: the places of an effect key are those of the wire files (idempotency): ``X-Effect-Key`` where a target has none
of its own, F&O's ``Reference``, the external id in Salesforce's path.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, unquote_plus, urlsplit

from connectors.simulator.store import Fields, Session, Store


class Refusal(Exception):
    """A request that the system declines; the system that raised it draws the answer in its own shape."""

    def __init__(self, status: int, message: str, *, code: str = "", fields: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.fields = fields


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


@dataclass(frozen=True)
class Request:
    """One HTTP request as it arrived."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    host: str

    @property
    def segments(self) -> list[str]:
        """Split the path before decoding it, so that an encoded slash stays inside its segment."""
        return [unquote(part) for part in urlsplit(self.target).path.split("/")[1:]]

    @property
    def query(self) -> dict[str, str]:
        """Give the query options by name; the last one wins."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def readable(self) -> str:
        """Say `METHOD path?query` decoded: what a fault's `match` is held against."""
        parts = urlsplit(self.target)
        query = f"?{unquote_plus(parts.query)}" if parts.query else ""
        return f"{self.method} {unquote(parts.path)}{query}"

    def header(self, name: str) -> str | None:
        """Give one header by its name in any case."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), None)

    def json(self) -> Fields:
        """Read the body as one JSON object, or refuse with 400."""
        try:
            value = json.loads(self.body or b"{}", parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise Refusal(400, "The request body is not valid JSON.", code="JSON_PARSER_ERROR") from None
        if not isinstance(value, dict):
            raise Refusal(400, "The request body must be a JSON object.", code="JSON_PARSER_ERROR")
        return value

    def form(self) -> dict[str, str]:
        """Read the body as a form."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass
class Answer:
    """One HTTP answer before it meets the socket."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json; charset=utf-8"

    def payload(self) -> bytes:
        """Encode the body: text and bytes as they are, anything else as JSON."""
        if self.body is None:
            return b""
        if isinstance(self.body, bytes):
            return self.body
        if isinstance(self.body, str):
            return self.body.encode()
        return json.dumps(self.body, ensure_ascii=False).encode()


@dataclass
class Exchange:
    """One request on its way through a system: what it may see and whether it changed anything."""

    request: Request
    store: Store
    effect_key: str | None = None
    stale: bool = False
    committed: bool = False

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a snapshot for this request."""
        with self.store.read(stale=self.stale) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Open this request's one transaction and note whether it committed an effect."""
        with self.store.write(self.effect_key) as session:
            yield session
        self.committed = self.committed or session.effects > 0


def effect_key_of(request: Request) -> str | None:
    """Find the caller's effect key: header `X-Effect-Key`, body `Reference`, external id in the path."""
    header = request.header("X-Effect-Key")
    if header:
        return header
    if b'"Reference"' in request.body:
        try:
            reference = request.json().get("Reference")
        except Refusal:
            reference = None
        if isinstance(reference, str) and reference:
            return reference
    parts = request.segments
    if "sobjects" in parts:
        tail = parts[parts.index("sobjects") + 1 :]
        if len(tail) == 3 and request.method in ("PATCH", "DELETE"):
            return tail[2] or None
    return None
