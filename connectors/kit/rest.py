"""What REST kinds share: a bearer token refreshed once, the effect key in a header, and failures from one table."""

import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from connectors import transport
from connectors.base import Connector, Unanswered, Unauthorized, Unreachable
from connectors.kit import credentials
from connectors.kit.answers import Explained, raise_for
from connectors.kit.credentials import Token
from connectors.redaction import Redactor
from connectors.transport import NotJson, Reply

EFFECT_HEADER = transport.EFFECT_HEADER
# What a token server says that will be well again, whatever the status (RFC 6749, 4.1.2.1).
_BUSY = frozenset({"temporarily_unavailable", "server_error"})


@contextmanager
def before_writing() -> Iterator[None]:
    """Mark what happens before a write is sent: if that gets no answer, the write was not sent at all."""
    try:
        yield
    except Unanswered as lost:
        raise Unreachable(
            f"{lost} Nothing was written.", status=lost.status, code=lost.code, retry_after=lost.retry_after
        ) from None


class RestConnector(Connector):
    """A system that is called by JSON over HTTPS with a bearer token."""

    # The tokens that this use has shown: a system may say them back.
    _shown: tuple[str, ...] = ()

    def redactor(self) -> Redactor:
        """Return what takes the secrets and the tokens of this use out of texts and data."""
        return Redactor([*self._secrets.values(), *self._shown])

    @abstractmethod
    def fetch_token(self) -> Token:
        """Ask the token server for an access token. Raises ``Unauthorized`` where the credentials are refused."""

    @abstractmethod
    def explain(self, reply: Reply) -> Explained:
        """Read this system's error body."""

    @abstractmethod
    def token_key(self) -> str:
        """Name the token by all it depends on (``credentials.key_of``)."""

    def send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        effect_key: str = "",
        allow: tuple[int, ...] = (),
    ) -> Reply:
        """Send one authorised request; a write is what carries ``effect_key``. Statuses in ``allow`` are returned.

        A token that is refused with 401 is renewed once and the request repeated: a 401 was not carried out.
        """
        all_headers = {"Accept": "application/json", **(headers or {})}
        if effect_key:
            all_headers[EFFECT_HEADER] = effect_key
        content = {"params": params, "json": json, "raw": raw}
        reply = self._attempt(method, url, content, all_headers, wrote=bool(effect_key))
        if reply.status == 401:
            reply = self._attempt(method, url, content, all_headers, wrote=bool(effect_key))
        if reply.status not in allow:
            raise_for(reply, label=self.label, wrote=bool(effect_key), explain=self.explain)
        return reply

    def token(self) -> Token:
        """Return a token that should be good, fetching one where none is kept."""
        return credentials.token_for(self.token_key(), self.fetch_token)

    def _attempt(
        self, method: str, url: str, content: Mapping[str, Any], headers: Mapping[str, str], *, wrote: bool
    ) -> Reply:
        if wrote:
            with before_writing():
                token = self.token()
        else:
            token = self.token()
        self._shown = (*self._shown, token.value)
        reply = self.http.send(method, url, **content, headers={**headers, "Authorization": f"Bearer {token.value}"})
        if reply.status == 401:
            credentials.forget(self.token_key(), token)
        return reply

    def ask_for_token(self, url: str, form: Mapping[str, str]) -> dict[str, Any]:
        """Post a token request and return its answer. Raises ``Unauthorized`` with the server's reason."""
        reply = self.http.send("POST", url, form=form, headers={"Accept": "application/json"})
        if reply.status in (400, 401, 403):
            if _reason(reply, "error") in _BUSY:
                raise Unreachable("The token server is busy.", status=reply.status, code="token")
            raise Unauthorized(f"The token server refused: {_reason(reply)}.", status=reply.status, code="token")
        raise_for(reply, label="The token server", wrote=False, explain=self.explain)
        answer = self.content(reply)
        if (
            not isinstance(answer, dict)
            or not isinstance(answer.get("access_token"), str)
            or not answer["access_token"].strip()
        ):
            raise Unauthorized("The token server answered without a token.", status=reply.status, code="token")
        return answer

    def token_of(self, answer: Mapping[str, Any], base: str = "") -> Token:
        """Make a token of a token server's answer; without ``expires_in`` it is good until it is refused."""
        lifetime = answer.get("expires_in")
        ends_at = None
        if isinstance(lifetime, int | float | str) and str(lifetime).replace(".", "", 1).isdecimal():
            ends_at = time.monotonic() + float(lifetime)
        return Token(str(answer["access_token"]), ends_at, base)

    def content(self, reply: Reply) -> Any:
        """Read an answer's JSON. Raises ``Unanswered`` where it is none: after a write its outcome is unknown."""
        try:
            return reply.json()
        except NotJson as bad:
            raise Unanswered(f"{self.label} {bad}.", status=reply.status, code="html") from None


def _reason(reply: Reply, *names: str) -> str:
    """Return what a token server says went wrong, as a rule in words (RFC 6749, 5.2)."""
    try:
        body = reply.json()
    except NotJson as bad:
        return str(bad)
    if not isinstance(body, dict):
        return str(reply.status)
    said = (body.get(name) for name in names or ("error_description", "error"))
    text = str(next(filter(None, said), reply.status))
    return " ".join(text.split())[:300].rstrip(".")
