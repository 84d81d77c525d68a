"""SAP on the wire: sign-in, OData in two versions, CSRF tokens and sessions, functions, messages, IDocs."""

from __future__ import annotations

import base64
import hmac
import json
import re
import secrets
from typing import Any
from xml.sax.saxutils import escape

from connectors.simulator import tokens
from connectors.simulator.messages import Answer, Exchange, Refusal, Request
from connectors.simulator.sap import later as sap_later
from connectors.simulator.sap import orders as sap_orders
from connectors.simulator.sap.acts import FUNCTIONS, patch, require_open, returned, reverse_entry
from connectors.simulator.sap.query import bare, drawn, etag, key_of, one, page
from connectors.simulator.sap.tables import BY_V4, SETS, SYSTEM, Set, get, refused, set_named
from connectors.simulator.store import Fields, Session, Store

ADDRESS = re.compile(r"(\$?\w+)(?:\((.*)\))?", re.DOTALL)
LITERAL = re.compile(r"(?:datetime)?'((?:[^']|'')*)'|(true|false|\d+)")
V4_SERVICE = ["api_salesorder", "srvd_a2x", "sap", "api_salesorder", "0001"]
SESSION, GUARD = "SAP_SESSIONID_SIM_100", "sap-XSRF_SIM_100"
CSRF = "sap:csrf"
COMMIT, ROLLBACK = "BAPI_TRANSACTION_COMMIT", "BAPI_TRANSACTION_ROLLBACK"
REVERSE, CHECK = "BAPI_ACC_DOCUMENT_REV_POST", "BAPI_ACC_DOCUMENT_REV_CHECK"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
RFC = "urn:sap-com:document:sap:rfc:functions"


class _Undone(Exception):
    """Ends a transaction whose work is not to stay; carries what came of it."""

    def __init__(self, result: Fields) -> None:
        super().__init__()
        self.result = result


class Sap:
    """The SAP system under `/sap`."""

    name = SYSTEM

    def __init__(self, store: Store, secret: str) -> None:
        self.store = store
        self.secret = secret

    def handle(self, exchange: Exchange) -> Answer:
        """Answer one request below `/sap`."""
        request = exchange.request
        path = request.segments[1:]
        if path == ["bc", "sec", "oauth2", "token"]:
            return self.token(request)
        self.require_known(request)
        sap_later.process(exchange, self.store)
        if path[:3] == ["opu", "odata", "sap"] and len(path) > 3:
            answer = self.odata(exchange, path[3].partition(";")[0], path[4:], v4=False)
        elif path[:3] == ["opu", "odata4", "sap"] and path[3:8] == V4_SERVICE:
            answer = self.odata(exchange, V4_SERVICE[0], path[8:], v4=True)
        elif path[:2] == ["bc", "rfc"] and len(path) == 3 and request.method == "POST":
            self.require_token(request)
            answer = self.function_json(exchange, path[2])
        elif path[:3] == ["bc", "soap", "rfc"] and request.method == "POST":
            answer = self.function_soap(exchange)
        elif path[:2] == ["bc", "srt"] and request.method == "POST":
            with exchange.writing() as session:
                sap_later.take_change(session, request.body, exchange.effect_key)
            answer = Answer(202)
        elif path == ["bc", "idoc_xml"] and request.method == "POST":
            with exchange.writing() as session:
                number = sap_later.take_idoc(session, request.body, exchange.effect_key)
            answer = Answer(200, f"<IDOC_RECEIVED>{number}</IDOC_RECEIVED>", content_type="text/xml")
        elif path == ["bc", "rfc"]:
            answer = self.greeted(request, Answer(200, {"functions": [REVERSE, COMMIT, ROLLBACK]}))
        else:
            raise refused(f"Resource not found for '{request.readable}'.", 404, "/IWFND/MED/170")
        sap_later.process(exchange, self.store)
        return answer

    # --- signing in ------------------------------------------------------------------------------
    def token(self, request: Request) -> Answer:
        """Issue a token by client credentials."""
        form = request.form()
        known = form.get("client_id") == "goldseam" and form.get("grant_type") == "client_credentials"
        if not known or not hmac.compare_digest(form.get("client_secret", "").encode(), self.secret.encode()):
            return Answer(401, {"error": "invalid_client", "error_description": "The client is not known."})
        token = tokens.issue(self.store, self.name, prefix="sap.")
        return Answer(200, {"token_type": "Bearer", "expires_in": int(tokens.LIFETIME) - 1, "access_token": token})

    def require_known(self, request: Request) -> None:
        """Hold that a user signed in, by password or by token."""
        given = request.header("Authorization") or ""
        basic = base64.b64encode(f"goldseam:{self.secret}".encode()).decode()
        if hmac.compare_digest(given.encode(), f"Basic {basic}".encode()):
            return
        if not tokens.accepts(self.store, self.name, given):
            raise refused("Logon failed", 401, "/IWFND/CM_CONSUMER/101")

    # --- sessions --------------------------------------------------------------------------------
    def session_of(self, request: Request) -> str:
        """Read the session's cookie, blank where there is none."""
        found = re.search(rf"(?:^|;\s*){SESSION}=([\w-]+)", request.header("Cookie") or "")
        return found[1] if found else ""

    def greeted(self, request: Request, answer: Answer) -> Answer:
        """Hand out a token and the cookies that it belongs to, where one was asked for (wire: CSRF)."""
        if (request.header("X-CSRF-Token") or "").lower() == "fetch":
            sid, token = secrets.token_urlsafe(18), secrets.token_urlsafe(18)
            with self.store.write() as session:
                session.connection.execute("INSERT INTO tokens VALUES(?,?,?)", (f"{sid}:{token}", CSRF, 2**40))
            answer.headers["x-csrf-token"] = token
            answer.headers["set-cookie"] = f"{SESSION}={sid}; path=/; HttpOnly"
            answer.headers["Set-Cookie"] = f"{GUARD}={token[:8]}; path=/; expires=Wed, 31 Dec 2098 07:28:00 GMT"
        return answer

    def require_token(self, request: Request) -> None:
        """Hold token and cookies together; a token without its cookies is none."""
        pair = f"{self.session_of(request)}:{request.header('X-CSRF-Token') or ''}"
        with self.store.read() as session:
            row = session.connection.execute("SELECT 1 FROM tokens WHERE token=? AND system=?", (pair, CSRF)).fetchone()
        if row is None:
            raise Refusal(403, "CSRF token validation failed", code=CSRF)

    # --- OData -----------------------------------------------------------------------------------
    def odata(self, exchange: Exchange, service: str, path: list[str], *, v4: bool) -> Answer:
        """Answer a service's root, a set, one record, or a function import."""
        request = exchange.request
        if request.method != "GET":
            self.require_token(request)
        root = f"http://{request.host}" + request.target.partition("?")[0]
        root = root[: root.index(V4_SERVICE[-1]) + 4] if v4 else root[: root.index(service) + len(service)]
        if path in ([], [""]):
            names = [found.v4 if v4 else found.name for found in SETS.values() if v4 or found.service == service]
            if not names:
                raise refused(f"No service found for namespace, name {service}", 403, "/IWFND/MED/170")
            sets = [{"name": name, "url": name} for name in names if name]
            return self.greeted(request, Answer(200, {"value": sets} if v4 else {"d": {"EntitySets": names}}))
        match = ADDRESS.fullmatch(path[0])
        if match is None or len(path) != 1:
            raise refused(f"Resource not found for segment '{path[-1]}'.", 404, "/IWBEP/CM_MGW_RT/021")
        if request.method == "POST" and (service, match[1]) in FUNCTIONS:
            return self.function_import(exchange, service, match[1])
        found = self.set(service, match[1], v4=v4)
        if match[2] is None:
            if request.method == "POST" and found is sap_orders.ORDER and not v4:
                return self.created(exchange, root)
            if request.method != "GET":
                raise refused("Creation is not supported", 405, "/IWFND/CM_MGW/004")
            with exchange.reading() as session:
                return Answer(200, page(session, request, found, root, v4=v4))
        return self.record(exchange, found, match[2], root, v4=v4)

    def set(self, service: str, name: str, *, v4: bool) -> Set:
        """Find a set of this service, under the name that the version gives it."""
        found = BY_V4.get(name) if v4 else set_named(name)
        if found is None or (not v4 and found.service != service):
            raise refused(f"Resource not found for segment '{name}'.", 404, "/IWBEP/CM_MGW_RT/021")
        return found

    def record(self, exchange: Exchange, found: Set, key: str, root: str, *, v4: bool) -> Answer:
        """Read or change one record; If-Match is required where the set has ETags."""
        request = exchange.request
        if request.method == "GET":
            with exchange.reading() as session:
                record = one(session, request, found, key)
                body = drawn(session, found, record, request, root, v4=v4)
            return Answer(200, body if v4 else {"d": body}, {"ETag": etag(record)} if found.etag else {})
        if request.method != "PATCH":
            raise refused(f"The method {request.method} is not supported", 405, "/IWFND/CM_MGW/004")
        body = request.json()
        body = body["d"] if set(body) == {"d"} else body
        with exchange.writing() as session:
            if repeat := self.repeated(session, request):
                return repeat
            record = get(session, found, key_of(found, key))
            wanted = (request.header("If-Match") or "").strip()
            if found.etag and not wanted:
                raise refused("The request must be conditional. Try using If-Match.", 428, "/IWBEP/CM_MGW_RT/200")
            if wanted and wanted != etag(record) and wanted != "*":
                raise refused("The resource has been changed by another user", 412, "/IWBEP/CM_MGW_RT/201")
            record = patch(session, found, record, body)
            answer = Answer(204, headers={"ETag": etag(record)} if found.etag else {})
            if "ShippingCondition" in body:
                told = {"code": "VP/112", "message": "Route was redetermined", "severity": "warning", "details": []}
                answer.headers["sap-message"] = json.dumps(told)
            return self.remembered(session, request, answer)

    def created(self, exchange: Exchange, root: str) -> Answer:
        """Enter an order with all that is below it: 201 with the new record (wire: deep insert)."""
        request = exchange.request
        body = request.json()
        body = body["d"] if set(body) == {"d"} else body
        with exchange.writing() as session:
            if repeat := self.repeated(session, request):
                return repeat
            record = sap_orders.create(session, body)
            drawn_ = drawn(session, sap_orders.ORDER, record, bare(request), root, v4=False)
            headers = {"ETag": etag(record), "Location": drawn_["__metadata"]["uri"]}
            return self.remembered(session, request, Answer(201, {"d": drawn_}, headers))

    def function_import(self, exchange: Exchange, service: str, name: str) -> Answer:
        """Carry out a function import; its parameters stand in the address (wire: function imports)."""
        request = exchange.request
        act, known = FUNCTIONS[service, name]
        given: dict[str, str] = {}
        for parameter, text in request.query.items():
            match = LITERAL.fullmatch(text)
            if parameter in known and match:
                given[parameter] = (match[1] or match[2] or "").replace("''", "'")
        if missing := known - set(given):
            raise refused(f"Mandatory parameter '{min(missing)}' is missing", 400, "/IWBEP/CM_MGW_RT/024")
        with exchange.writing() as session:
            if repeat := self.repeated(session, request):
                return repeat
            return self.remembered(session, request, Answer(200, {"d": {"results": act(session, given)}}))

    def repeated(self, session: Session, request: Request) -> Answer | None:
        """Answer a RequestID that is known as it was answered before, where an administrator set that up."""
        if session.meta("sap:repeatability") != "on":
            return None
        known = session.meta(f"sap:request:{request.header('RequestID') or ''}")
        if known == "outdated":
            raise refused("RequestID is outdated", 400, "/IWBEP/CM_COS/005")
        return Answer(int(known), headers={"RepeatabilityResult": "accepted"}) if known else None

    def remembered(self, session: Session, request: Request, answer: Answer) -> Answer:
        """Remember a RequestID with its answer."""
        number = request.header("RequestID") or ""
        if session.meta("sap:repeatability") != "on" or not number:
            return answer
        if not re.fullmatch(r"[0-9A-F]{32}", number):
            raise refused("RequestID is not a GUID without dashes", 400, "/IWBEP/CM_COS/002")
        session.set_meta(f"sap:request:{number}", str(answer.status))
        answer.headers["RepeatabilityResult"] = "accepted"
        return answer

    # --- functions -------------------------------------------------------------------------------
    def function_json(self, exchange: Exchange, name: str) -> Answer:
        """Call a function through the JSON gateway."""
        return Answer(200, self.called(exchange, name, exchange.request.json(), self.session_of(exchange.request)))

    def function_soap(self, exchange: Exchange) -> Answer:
        """Call a function by SOAP; the session is in a cookie, and a caller without one gets one."""
        root = sap_later.read_xml(exchange.request.body)
        body = next((part for part in root if sap_later.local(part) == "Body"), None)
        call = next(iter(body), None) if body is not None else None
        if call is None:
            return Answer(500, _fault("The envelope has no call."), content_type="text/xml; charset=utf-8")
        name = sap_later.local(call)
        parameters: Fields = {
            sap_later.local(part): sap_later.texts(part) if len(part) else (part.text or "") for part in call
        }
        sid = self.session_of(exchange.request) or secrets.token_urlsafe(18)
        try:
            result = self.called(exchange, name, parameters, sid)
        except Refusal as refusal:
            return Answer(500, _fault(refusal.message), content_type="text/xml; charset=utf-8")
        inner = "".join(_written(field, value) for field, value in result.items())
        text = f'<s:Envelope xmlns:s="{SOAP}"><s:Body><f:{name}.Response xmlns:f="{RFC}">{inner}</f:{name}.Response>'
        headers = {"Set-Cookie": f"{SESSION}={sid}; path=/; HttpOnly"}
        return Answer(200, f"{text}</s:Body></s:Envelope>", headers, content_type="text/xml; charset=utf-8")

    def called(self, exchange: Exchange, name: str, parameters: Fields, sid: str) -> Fields:
        """Run a function: what it changes waits for the commit in the same session."""
        if name in (REVERSE, CHECK):
            return self.prepared(name, parameters, sid)
        if name == ROLLBACK:
            with self.store.write() as session:
                session.set_meta(f"sap:pending:{sid}", "")
            return {"RETURN": {}}
        if name == COMMIT:
            with exchange.writing() as session:
                waiting = session.meta(f"sap:pending:{sid}")
                session.set_meta(f"sap:pending:{sid}", "")
                if waiting:
                    reverse_entry(session, json.loads(waiting).get("REVERSAL", {}))
            return {"RETURN": {}}
        if name == "BAPI_COMPANYCODE_PERIOD_CHECK":
            return self.period(parameters)
        raise refused(f"Function module {name} does not exist", 500, "FL/046")

    def prepared(self, name: str, parameters: Fields, sid: str) -> Fields:
        """Do a function's work and take it back: it stays when the session commits. A check is that and no more."""
        try:
            with self.store.write() as session:
                raise _Undone(reverse_entry(session, dict(parameters.get("REVERSAL") or {})))
        except _Undone as undone:
            result = undone.result
        except Refusal as refusal:
            return returned(refusal)
        if name == CHECK:
            return {"RETURN": result["RETURN"]}
        with self.store.write() as session:
            session.set_meta(f"sap:pending:{sid}", json.dumps({"function": name, **parameters}))
        return result

    def period(self, parameters: Fields) -> Fields:
        """Tell whether a period is open; a function of the simulator's own, which changes nothing."""
        try:
            with self.store.read() as session:
                require_open(session, str(parameters.get("COMPANYCODE")), str(parameters.get("POSTING_DATE")))
        except Refusal as refusal:
            return returned(refusal)
        return {"OPEN": "X", "RETURN": []}

    # --- refusals --------------------------------------------------------------------------------
    def refuse(self, refusal: Refusal) -> Answer:
        """Draw a refusal in the shape of version 2, with the whole list of messages."""
        line = {"code": refusal.code, "message": refusal.message, "severity": "error", "propertyref": "", "target": ""}
        general = {"code": "SY/530", "message": "An exception was raised", "severity": "error"}
        inner = {"transactionid": "4C1D9A6E0000", "errordetails": [line, general]}
        code = "" if refusal.code == CSRF else refusal.code
        error = {"code": code, "message": {"lang": "en", "value": refusal.message}, "innererror": inner}
        headers = {"x-csrf-token": "Required"} if refusal.code == CSRF else {}
        return Answer(refusal.status, {"error": error}, headers)

    def throttled(self, seconds: float) -> Answer:
        """Say 429 with Retry-After."""
        answer = self.refuse(refused("Too many requests", 429, "/IWFND/CM_COS/429"))
        answer.headers["Retry-After"] = str(max(1, round(seconds)))
        return answer

    def locked(self) -> Refusal:
        """Say that somebody holds the document (wire: object lock)."""
        return refused("Document is currently being processed by user WHCLERK", 423, "V1/042")


def _written(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return f"<{name}>{''.join(_written(part, inner) for part, inner in value.items())}</{name}>"
    if isinstance(value, list):
        return f"<{name}>{''.join(_written('item', row) for row in value)}</{name}>"
    return f"<{name}>{escape(str(value))}</{name}>"


def _fault(text: str) -> str:
    inner = f"<faultcode>SOAP:Server</faultcode><faultstring>{escape(text)}</faultstring>"
    return f'<s:Envelope xmlns:s="{SOAP}"><s:Body><s:Fault>{inner}</s:Fault></s:Body></s:Envelope>'
