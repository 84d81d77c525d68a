"""Any REST API that describes itself by an OpenAPI document: its operations are what the admin chose and declared."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from connectors.base import (
    Blocked,
    ConnectorError,
    Health,
    Inbound,
    NotFound,
    Operation,
    Read,
    Record,
    Refused,
    Unanswered,
    VersionConflict,
    Write,
    Written,
)
from connectors.kinds.openapi import answers, events
from connectors.kinds.openapi.asked import Declared
from connectors.kinds.openapi.compiling import Compiled
from connectors.kinds.openapi.endpoints import Endpoint, Request
from connectors.kinds.openapi.reading import Unusable
from connectors.kinds.openapi.security import BASIC, BEARER, CLIENT, Proof
from connectors.kinds.openapi.settings import OpenApiConfig
from connectors.kinds.openapi.writes import MarkedWriting, Reading, Writing, faults
from connectors.kit import confidential, credentials, sessions
from connectors.kit.answers import Explained, raise_for
from connectors.kit.credentials import Token
from connectors.kit.rest import EFFECT_HEADER, RestConnector, before_writing
from connectors.kit.sessions import Session
from connectors.redaction import Redactor
from connectors.transport import Reply

MOST_PAGES = 20
MOST_TRIED = 3  # reads that a connection test calls
MOST_ROWS = 5000
READABLE = "application/json, application/problem+json;q=0.9"


class OpenApi(Declared, RestConnector):
    """Any REST API with an OpenAPI document; each write has a declared read-back and undo."""

    slug = "openapi"
    label = "REST API (OpenAPI)"
    config = OpenApiConfig
    secrets = frozenset({"api_key", "second_api_key", "password", "token", "client_secret", "webhook_secret"})
    signed_with = "webhook_secret"
    settings: OpenApiConfig

    @classmethod
    def operations_of(cls, settings: OpenApiConfig) -> tuple[Operation, ...]:
        """Return what the admin chose of the document."""
        return settings.compiled().operations

    @property
    def ready(self) -> Compiled:
        """Return the operations, ready. Raises ``Blocked`` where the document is gone."""
        try:
            return self.settings.compiled()
        except Unusable as lost:
            raise Blocked(str(lost), code="disabled") from None

    # --- the verbs --------------------------------------------------------------------------------
    def check(self) -> Health:
        """Call reads that need nothing; where none is chosen, only see whether the address answers.

        Raises ``ConnectorError`` where the first of them does not answer.
        """
        reads = self.ready.reads
        free = sorted(
            name for name, one in reads.items()
            if not any(part.is_required() for part in one.endpoint.arguments.model_fields.values())
        )  # fmt: skip
        names = [self.settings.check_with] if self.settings.check_with else free[:MOST_TRIED]
        if not names:
            return self._knocked()
        told = [self._tried(reads[name], first=not number) for number, name in enumerate(names)]
        rest = sorted(set(reads) - set(names))
        more = f" Not tried: {', '.join(rest)[:200]}." if rest else ""
        return Health(
            ok=all(ok for ok, _, _ in told),
            tried=tuple(tried for _, tried, _ in told),
            message=f"Connected; {'; '.join(said for _, _, said in told)}.{more}",
        )

    def _tried(self, one: Reading, *, first: bool) -> tuple[bool, str, str]:
        """Call a read without arguments; return whether it answered, what was tried, and what came back."""
        name = one.endpoint.name
        request = self._request(one.endpoint, one.endpoint.arguments())
        tried = f"{request.method} {request.url(self._root(one.endpoint))}"
        try:
            rows = self._rows(one, self._ask(one.endpoint, request))
        except ConnectorError as error:
            if first:
                raise
            return False, tried, f"{name} does not answer: {str(error).rstrip('.')}"
        return True, tried, f"{name} answers with {len(rows)} record{'' if len(rows) == 1 else 's'}"

    def _knocked(self) -> Health:
        """Look whether anything answers at the address."""
        url = self.ready.root + "/"
        headers = {"Accept": READABLE}
        proofs = next(iter(self.ready.proofs.values()), ())
        reply = self.http.send("GET", self._shows(proofs, url, headers), headers=headers)
        if reply.status in (401, 403, 429) or reply.status >= 500 or reply.is_page:
            raise_for(reply, label=self.label, wrote=False, explain=self.explain)
        advice = "Choose a read that needs no arguments, so that more is tried; one with arguments by “Try a read”."
        return Health(ok=True, tried=(f"GET {url}",), message=f"It answers ({reply.status}). {advice}")

    def verify(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Hold a delivery against its Standard Webhooks signature."""
        events.verify(self.secret("webhook_secret"), body, headers)

    def receive(self, body: bytes, headers: Mapping[str, str]) -> list[Inbound]:
        """Cut a delivery into what it tells."""
        return events.inbound(body, headers, self.settings)

    def read(self, operation: Read, arguments: Any) -> list[Record]:
        """Fetch what a chosen read answers."""
        return self.look(self.ready.reads[operation.name], arguments)

    def write(self, operation: Write, arguments: Any, *, effect_key: str, version: str = "") -> Written:
        """Send a chosen write, with its mark, its key and its condition."""
        marked = self.ready.marked.get(operation.name)
        if marked is not None:
            return self._take_back(marked, arguments, effect_key, version)
        return self._change(self.ready.writes[operation.name], arguments, effect_key, version)

    # --- reading, also for what writes look at ----------------------------------------------------
    def look(self, one: Reading, arguments: Any) -> list[Record]:
        """Return the records of a read; an empty list where there are none. Raises ``ConnectorError``."""
        request = self._request(one.endpoint, arguments)
        try:
            reply = self._ask(one.endpoint, request)
        except NotFound:
            if not one.shape.single:
                # A list that is not there is a wrong path, not a list of nothing: no record would be found by it.
                raise
            return []
        asked = {name: getattr(arguments, name) for name in type(arguments).model_fields}
        if one.shape.single:
            rows = self._rows(one, reply)
            answers.held(one.shape, asked, rows, self.label)
            return [answers.record_of(self.name, one.shape, row, reply, alone=len(rows) == 1) for row in rows]
        return self._paged(one, request, reply)

    def _rows(self, one: Reading, reply: Reply) -> list[dict[str, Any]]:
        if reply.status == 204 or not reply.body:
            raise Unanswered(
                f"{self.label} answered {one.endpoint.name} with nothing.", status=reply.status, code="shape"
            )
        return one.rows(self.content(reply), self.label)

    def _paged(self, one: Reading, request: Request, reply: Reply) -> list[Record]:
        """Follow a list to its end, on its own host only."""
        records: list[Record] = []
        root, told = self._root(one.endpoint), one.declaration.paging
        url, seen = request.url(root), {request.url(root)}
        for number in range(MOST_PAGES):
            body = self.content(reply)
            rows = one.rows(body, self.label)
            records += [answers.record_of(self.name, one.shape, row, reply, alone=False) for row in rows]
            if told and (told.page or told.offset):
                count = (number + 1) * told.rows if told.offset else number + 1 + told.first
                more = {str(told.offset or told.page): str(count), **({told.size: str(told.rows)} if told.size else {})}
                url = _with(request, more).url(root) if len(rows) >= told.rows else ""
            else:
                link = answers.next_address(reply, body, told.next if told else None)
                if told and told.cursor and link:
                    url = _with(request, {told.cursor: link}).url(root)
                else:
                    url = answers.same_origin(root, url, link, self.label) if link else ""
            if not url or not rows:
                return records
            if url in seen or len(records) > MOST_ROWS:
                break
            seen.add(url)
            reply = self._send(one.endpoint, request.method, url, dict(request.headers), request.body)
        raise Unanswered(
            f"{self.label} lists more than {MOST_PAGES} pages or {MOST_ROWS:,} rows of {one.shape.entity}, or the same"
            " page again: ask for less.",
            code="paging",
        )

    # --- writing ----------------------------------------------------------------------------------
    def _change(self, one: Writing, arguments: Any, effect_key: str, version: str) -> Written:
        told, headers = one.declaration, {}
        if told.idempotency_key:
            headers[told.idempotency_key] = f'"{effect_key}"' if told.quoted else effect_key
        if version and told.if_match and not told.creates:
            if one.back.shape.version:
                self._unchanged(one, arguments, version)
            else:
                headers["If-Match"] = version
        fixed = {**told.fixed, **({told.marker: effect_key} if told.marker else {})}
        # The other side may say back what it was sent.
        self._shown = (*self._shown, *confidential.spoken(one.endpoint.arguments, arguments))
        request = self._request(one.endpoint, arguments, fixed)
        url = request.url(self._root(one.endpoint))
        sent = {**request.headers, **headers}
        reply = self._send(one.endpoint, request.method, url, sent, request.body, effect_key=effect_key)
        return self._written(one.endpoint, reply)

    def _unchanged(self, one: Writing, arguments: Any, version: str) -> None:
        """Hold that a record without ETag still has the version that the plan saw."""
        with before_writing():
            rows = one.observe(self, arguments)
        if not rows or rows[0].version != version:
            raise VersionConflict(f"{self.label}: the record was changed after it was read.", status=412)

    def _take_back(self, one: MarkedWriting, arguments: Any, effect_key: str, version: str) -> Written:
        with before_writing():
            record, aimed = one.aimed(self, arguments.key)
        if version and record.version != version:
            raise VersionConflict(f"{self.label}: the record was changed after it was read.", status=412)
        return self._change(one.writing, aimed, effect_key, "")

    def _written(self, one: Endpoint, reply: Reply) -> Written:
        result: dict[str, Any] = {}
        if reply.body and reply.status != 204 and "json" in reply.headers.get("content-type", ""):
            body = self.content(reply)
            if isinstance(body, dict) and one.hiding is not None:
                body = one.hiding.row(one.hiding.body(body))
            result = {
                name: body[name] for name in ("id", "status", "location") if isinstance(body, dict) and name in body
            }
        if where := reply.headers.get("location", "")[:300]:
            result["location"] = where
        return Written(reply.headers.get("etag", "")[:200], result, self.trace.request_id)

    # --- sending ----------------------------------------------------------------------------------
    def _request(self, one: Endpoint, arguments: Any, fixed: Mapping[str, Any] | None = None) -> Request:
        try:
            return one.request(arguments, fixed)
        except (ValueError, ValidationError) as wrong:
            said = faults(wrong) if isinstance(wrong, ValidationError) else str(wrong)
            raise Blocked(f"{one.name}: {said}"[:600], code="arguments") from None

    def _root(self, one: Endpoint) -> str:
        return self.ready.roots[one.name]

    def _ask(self, one: Endpoint, request: Request) -> Reply:
        url = request.url(self._root(one))
        return self._send(one, request.method, url, dict(request.headers), request.body)

    def _send(
        self, one: Endpoint, method: str, url: str, headers: dict[str, str], body: bytes | None, *, effect_key: str = ""
    ) -> Reply:
        """Send one signed request to the confirmed host; a token that is refused is renewed once."""
        headers = {"Accept": READABLE, **headers}
        if body is not None:
            headers["Content-Type"] = one.content_type or "application/json"
        if effect_key:
            headers[EFFECT_HEADER] = effect_key
        reply = self._signed(one, method, url, headers, body, wrote=bool(effect_key))
        if reply.status == 401 and any(proof.way == CLIENT for proof in self.ready.proofs[one.name]):
            reply = self._signed(one, method, url, headers, body, wrote=bool(effect_key))
        if effect_key and self.settings.csrf_path and sessions.wants_token(reply):
            with before_writing():
                credentials.forget(self._session_key(), self._session(one).sealed())
            reply = self._signed(one, method, url, headers, body, wrote=True)
        raise_for(reply, label=self.label, wrote=bool(effect_key), explain=self.explain)
        return reply

    def _signed(
        self, one: Endpoint, method: str, url: str, headers: Mapping[str, str], body: bytes | None, *, wrote: bool
    ) -> Reply:
        proofs, shown = self.ready.proofs[one.name], dict(headers)
        if wrote:
            with before_writing():
                url = self._shows(proofs, url, shown)
                if self.settings.csrf_path:
                    shown |= {**self._session(one).headers()}
        else:
            url = self._shows(proofs, url, shown)
        if self.settings.csrf_header != "X-CSRF-Token" and "X-CSRF-Token" in shown:
            shown[self.settings.csrf_header] = shown.pop("X-CSRF-Token")
        reply = self.http.send(method, url, headers=shown, raw=body)
        if reply.status == 401 and any(proof.way == CLIENT for proof in proofs):
            credentials.forget(self.token_key(), self.token())
        return reply

    def _shows(self, proofs: tuple[Proof, ...], url: str, headers: dict[str, str]) -> str:
        """Put what proves who signs in into the headers; return the address with what stands there."""
        for proof in proofs:
            if proof.way == CLIENT:
                token = self.token().value
                self._shown = (*self._shown, token)
                headers["Authorization"] = f"Bearer {token}"
            elif proof.way == BEARER:
                headers["Authorization"] = f"Bearer {self.secret(proof.secret)}"
            elif proof.way == BASIC:
                headers["Authorization"] = f"Basic {self._basic()}"
            elif proof.way == "header":
                headers[proof.name] = self.secret(proof.secret)
            else:
                url = answers.with_query(url, proof.name, self.secret(proof.secret))
        return url

    def _basic(self) -> str:
        return b64encode(f"{self.settings.user}:{self.secret('password')}".encode()).decode()

    # --- sessions and tokens ----------------------------------------------------------------------
    def _session_key(self) -> str:
        config = self.settings
        return credentials.key_of("csrf", self.name, config.base_url, config.user, *sorted(self._secrets.values()))

    def _session(self, one: Endpoint) -> Session:
        found = sessions.opened(credentials.token_for(self._session_key(), lambda: self._fetched(one).sealed()))
        self._shown = (*self._shown, found.token, *found.cookies.values())
        return found

    def _fetched(self, one: Endpoint) -> Session:
        """Fetch a CSRF token and the cookies that it belongs to."""
        headers = {"Accept": READABLE, self.settings.csrf_header: "Fetch"}
        url = self._shows(self.ready.proofs[one.name], self._root(one) + self.settings.csrf_path, headers)
        reply = self.http.send("GET", url, headers=headers)
        raise_for(reply, label=self.label, wrote=False, explain=self.explain)
        headers = {**reply.headers, "x-csrf-token": reply.headers.get(self.settings.csrf_header.lower(), "")}
        session = Session(sessions.token_of(Reply(reply.status, headers, b"")))
        if not session.token:
            raise Refused(f"{self.label} hands out no CSRF token at {self.settings.csrf_path}.", code="csrf")
        session.keep(reply)
        return session

    def token_key(self) -> str:
        """The token depends on the token server, the client and the secret."""
        config = self.settings
        parts = (config.token_url, config.client_id, config.scope, self.secret("client_secret"))
        return credentials.key_of(self.slug, self.name, *parts)

    def fetch_token(self) -> Token:
        """Ask the token server that the admin confirmed, which may be another host than the API's."""
        config = self.settings
        wanted = {scope for proofs in self.ready.proofs.values() for one in proofs for scope in one.scopes}
        form = {"grant_type": "client_credentials", "client_id": config.client_id}
        form["client_secret"] = self.secret("client_secret")
        if scope := config.scope or " ".join(sorted(wanted)):
            form["scope"] = scope
        return self.token_of(self.ask_for_token(config.token_url, form))

    def explain(self, reply: Reply) -> Explained:
        """Read an error body."""
        return answers.explain(reply)

    def redactor(self) -> Redactor:
        """Hide secrets as HTTP writes them, too, and the tokens of this use."""
        return Redactor([*answers.spellings(self.settings.user, self._secrets), *self._shown])

    def credential(self) -> tuple[str, ...]:
        """Return who signs in where: the host and the secrets; the document is no part of it."""
        if not self._secrets:
            return ("connection", self.name)
        config = self.settings
        host = urlsplit(config.base_url).netloc
        return (self.slug, host, config.user, config.client_id, "", *sorted(self._secrets.values()))


def _with(request: Request, more: Mapping[str, str]) -> Request:
    """Return a request with these query parameters instead of their own."""
    query = tuple((name, value) for name, value in request.query if name not in more)
    return Request(
        request.method, request.path, (*query, *more.items()), request.headers, request.body, request.content_type
    )
