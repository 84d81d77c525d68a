"""How SAP is asked: signed in by password or OAuth, changes with token and cookies, answers judged by what they say."""

import base64
import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import Element

from connectors.base import Blocked, Record, Refused, Unanswered
from connectors.kinds.sap import odata, xmltext
from connectors.kinds.sap.settings import SapConfig, Service, SignIn
from connectors.kit import credentials, sessions
from connectors.kit.answers import Explained, raise_for
from connectors.kit.credentials import Token
from connectors.kit.rest import EFFECT_HEADER, RestConnector, before_writing
from connectors.kit.sessions import Session
from connectors.redaction import Redactor
from connectors.transport import Reply

# A RequestID older than what the system remembers: it was carried out, or may have been.
OUTDATED = re.compile(r"/IWBEP/CM_COS[/ ]?005\Z", re.IGNORECASE)
_ROW_TYPES = ("SystemMessageType", "MessageType", "TYPE", "Type")


def request_id(effect_key: str) -> str:
    """Make SAP Gateway's RequestID of an effect key: a GUID without dashes, the same for life."""
    return hashlib.sha256(f"goldseam sap {effect_key}".encode()).hexdigest()[:32].upper()


class SapClient(RestConnector):
    """The lines to a system; what it can do stands in the kind itself."""

    settings: SapConfig

    # --- signing in ------------------------------------------------------------------------------
    def token_key(self) -> str:
        """The token depends on the system, the user and the secret."""
        config = self.settings
        parts = (config.sign_in.value, config.base_url, config.token_url, config.token_scope, config.user)
        return credentials.key_of(self.slug, self.name, config.client, *parts, self.secret("password"))

    def fetch_token(self) -> Token:
        """Write user and password as Basic has it, or ask the token server."""
        config = self.settings
        if config.sign_in is SignIn.BASIC:
            return Token(self._basic())
        form = {"grant_type": "client_credentials", "client_id": config.user, "client_secret": self.secret("password")}
        if config.token_scope:
            form["scope"] = config.token_scope
        return self.token_of(self.ask_for_token(config.token_url, form))

    def _basic(self) -> str:
        return base64.b64encode(f"{self.settings.user}:{self.secret('password')}".encode()).decode()

    def redactor(self) -> Redactor:
        """Hide the password as Basic writes it, too."""
        found = [value for value in self._secrets.values() if value]
        return Redactor([*found, *(base64.b64encode(f"{self.settings.user}:{one}".encode()).decode() for one in found)])

    def _attempt(
        self, method: str, url: str, content: Mapping[str, Any], headers: Mapping[str, str], *, wrote: bool
    ) -> Reply:
        if self.settings.sign_in is SignIn.CLIENT_CREDENTIALS:
            return super()._attempt(method, url, content, headers, wrote=wrote)
        signed = {**headers, "Authorization": f"Basic {self._basic()}"}
        return self.http.send(method, url, **content, headers=signed)

    # --- sending ---------------------------------------------------------------------------------
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
        """Send one request; a write is what carries ``effect_key``. Statuses in ``allow`` are returned.

        A password that is refused is not tried again: after some tries SAP locks the user.
        """
        all_headers = {"Accept": odata.JSON, **(headers or {})}
        if effect_key:
            all_headers[EFFECT_HEADER] = effect_key
        content = {"params": {**self.always(), **(params or {})} or None, "json": json, "raw": raw}
        reply = self._attempt(method, url, content, all_headers, wrote=bool(effect_key))
        if reply.status == 401 and self.settings.sign_in is SignIn.CLIENT_CREDENTIALS:
            reply = self._attempt(method, url, content, all_headers, wrote=bool(effect_key))
        if reply.status not in allow:
            self._judge(reply, wrote=bool(effect_key))
        return reply

    def _judge(self, reply: Reply, *, wrote: bool) -> None:
        if wrote and any(OUTDATED.match(code) for code, _, _ in odata.messages(odata.error_in(reply))):
            told = f"{self.label} no longer remembers whether this request was carried out."
            raise Unanswered(told, status=reply.status, code="outdated")
        raise_for(reply, label=self.label, wrote=wrote, explain=self.explain)

    def always(self) -> dict[str, str]:
        """Return the parameters that every request carries."""
        config = self.settings
        found = {"sap-client": config.client, "sap-language": config.language}
        return {name: value for name, value in found.items() if value}

    def change(
        self,
        method: str,
        url: str,
        root: str,
        *,
        effect_key: str,
        headers: Mapping[str, str] | None = None,
        session: Session | None = None,
        **content: Any,
    ) -> Reply:
        """Send what changes something, with token and cookies; a token that has expired is renewed once.

        ``root`` is where the token is fetched, blank where none is needed. ``session``: one that is used for this
        change alone; else the one kept for this user is used.
        """
        with before_writing():
            used = session or self._session(root)
        given = dict(headers or {})
        reply = self.send(
            method, url, headers={**given, **used.headers()}, effect_key=effect_key, allow=(403,), **content
        )
        if sessions.wants_token(reply) and root:
            with before_writing():
                self._forget(root, used)
                used = session or self._session(root)
                if session is not None:
                    session.token, session.cookies = "", {}
                    self.renew(session, root)
            again = {**given, **used.headers()}
            reply = self.send(method, url, headers=again, effect_key=effect_key, allow=(403,), **content)
        if sessions.wants_token(reply):
            raise Refused(f"{self.label} does not accept its own CSRF token.", status=403, code="csrf")
        if reply.status == 403:
            self._judge(reply, wrote=bool(effect_key))
        if session is not None:
            session.keep(reply)
        return reply

    def _session(self, root: str) -> Session:
        if not root or not self.settings.csrf:
            return Session()
        return sessions.opened(credentials.token_for(self._session_key(root), lambda: self._fetched(root).sealed()))

    def _session_key(self, root: str) -> str:
        return credentials.key_of("csrf", self.token_key(), root)

    def _forget(self, root: str, used: Session) -> None:
        credentials.forget(self._session_key(root), used.sealed())

    def _fetched(self, root: str) -> Session:
        session = Session()
        self.renew(session, root)
        return session

    def renew(self, session: Session, root: str) -> None:
        """Fetch a token and its cookies: with a slash behind the address, then without, as systems differ."""
        answers = []
        for url in (f"{root}/", root):
            reply = self.send("GET", url, headers={"X-CSRF-Token": "Fetch"}, allow=tuple(range(300, 500)))
            if reply.status in (401, 403, 429):
                self._judge(reply, wrote=False)
            session.token = sessions.token_of(reply)
            if session.token:
                session.keep(reply)
                return
            answers.append(str(reply.status))
        raise Refused(f"{self.label} hands out no CSRF token at {root} ({', '.join(answers)}).", code="csrf")

    # --- answers ---------------------------------------------------------------------------------
    def explain(self, reply: Reply) -> Explained:
        """Read every message of an error: the first text alone often misleads."""
        told = odata.messages(odata.error_in(reply)) or [("", text, "error") for text in _fault_texts(reply)]
        codes = [code for code, _, _ in told]
        return Explained(
            message="; ".join(text for _, text, _ in told[:6]),
            code=next((code for code in codes if code), ""),
            locked=reply.status == 423 or any(self.is_lock(code, text) for code, text, _ in told),
            conflict=reply.status == 428,
        )

    def is_lock(self, code: str, text: str) -> bool:
        """Tell whether a message says that somebody holds the record."""
        codes, parts = self.settings.locks()
        return code.upper() in codes or any(part in text.lower() for part in parts)

    def said(self, reply: Reply) -> dict[str, Any]:
        """Read what a change was answered with. A success may hold a refusal or doubt (``Refused``, ``Unanswered``)."""
        result: dict[str, Any] = {}
        if warnings := odata.warnings_in(reply):
            result["warnings"] = warnings
        if repeated := reply.headers.get("repeatabilityresult", "")[:40]:
            result["repeatability"] = repeated
        if repeated.lower() == "rejected":
            raise Unanswered(f"{self.label} rejected the RequestID.", status=reply.status, code="repeatability")
        body = self.content(reply) if reply.body and reply.status != 204 else {}
        error = body.get("error") if isinstance(body, dict) else None
        if isinstance(error, dict):
            told = odata.messages(error)
            code, text = (told[0][0], "; ".join(line[1] for line in told)) if told else ("", "an error")
            raise Refused(f"{self.label}: {text[:1000]}", status=reply.status, code=code[:100])
        self._refuse_rows(body, reply.status)
        return result

    def _refuse_rows(self, body: Any, status: int) -> None:
        """Hold the rows that a function import returns against their message types."""
        inner = body.get("d", body) if isinstance(body, dict) else {}
        rows = inner.get("results", inner.get("value", [inner])) if isinstance(inner, dict) else []
        for row in rows if isinstance(rows, list) else []:
            kinds = {str(row.get(name)) for name in _ROW_TYPES} if isinstance(row, dict) else set()
            if kinds & {"E", "A"}:
                said = " ".join(str(value) for name, value in row.items() if "essage" in name and value)
                raise Refused(f"{self.label}: {said[:1000] or 'it was not done'}", status=status, code="message")

    def repeatable(self, effect_key: str) -> dict[str, str]:
        """Return the headers of SAP Gateway's own way to recognise a repeat."""
        if not self.settings.repeatability:
            return {}
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"RequestID": request_id(effect_key), "RepeatabilityCreation": now}

    # --- addresses -------------------------------------------------------------------------------
    def service(self, name: str) -> Service:
        """Return a service that this connection may use. Raises ``Blocked``."""
        found = self.settings.known_services().get(name)
        if found is None:
            raise Blocked(f"{self.name} may not use the service {name}: it is not among its services.", code="entity")
        return found

    def root_of(self, service: Service) -> str:
        """Return where a service lies."""
        return self.settings.base_url + service.path

    def versioned(self, record: Record) -> Record:
        """Give a record that has no ETag a version made of what stands in it."""
        if record.version:
            return record
        text = repr(sorted((name, str(value)) for name, value in record.fields.items()))
        version = f"{READ}{hashlib.sha256(text.encode()).hexdigest()[:32]}"
        return Record(record.system, record.entity, record.key, version, record.fields, record.url)


def _fault_texts(reply: Reply) -> list[str]:
    """Return the text of a SOAP fault, nothing where the body is none."""
    try:
        root = xmltext.parsed(reply.body)
    except xmltext.BadXml:
        return []
    return [" ".join(part.text.split())[:500] for part in root.iter() if _is_reason(part) and part.text]


def _is_reason(element: Element) -> bool:
    return xmltext.local(element) in ("faultstring", "Reason")


# Stands before a version that is no ETag: it is compared here and never sent.
READ = "read:"
