"""Salesforce on the wire: token, sObject resources, SOQL with paging, composite, limits."""

from __future__ import annotations

import hmac
import re
import secrets
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from connectors.simulator import front, tokens
from connectors.simulator.fo.service import etag
from connectors.simulator.messages import Answer, Exchange, Refusal, Request
from connectors.simulator.salesforce import composite, sobjects, soql
from connectors.simulator.salesforce.sobjects import SOBJECTS, SObject, sobject_named
from connectors.simulator.store import Fields, Record, Session, Store

VERSION = re.compile(r"v\d+\.0")
DAILY_REQUESTS = 100_000
BATCH = (200, 2000)


class Salesforce:
    """The Salesforce org under `/sf`."""

    name = "sf"

    def __init__(self, store: Store, secret: str) -> None:
        self.store = store
        self.secret = secret
        self.used = 0
        # A cursor is the org's memory, not the client's; after a restart it has expired.
        self.cursors: dict[str, tuple[int, list[Fields]]] = {}

    def handle(self, exchange: Exchange) -> Answer:
        """Answer one request below `/sf`."""
        request = exchange.request
        path = request.segments[1:]
        if path == ["services", "oauth2", "token"]:
            return self.token(request)
        if page := front.salesforce_record(exchange, path):
            return page
        if not tokens.accepts(self.store, self.name, request.header("Authorization")):
            raise Refusal(401, "Session expired or invalid", code="INVALID_SESSION_ID")
        self.used += 1
        if path == ["services", "data"]:
            return Answer(200, [{"label": "Winter", "url": "/services/data/v62.0", "version": "62.0"}])
        if path[:2] != ["services", "data"] or len(path) < 3 or not VERSION.fullmatch(path[2]):
            raise missing()
        answer = self.resource(exchange, path[2], path[3:])
        answer.headers.setdefault("Sforce-Limit-Info", f"api-usage={self.used}/{DAILY_REQUESTS}")
        return answer

    def token(self, request: Request) -> Answer:
        """Issue a session by client credentials: no expires_in, issued_at as text in milliseconds."""
        form = request.form()
        if request.method != "POST" or form.get("grant_type") != "client_credentials":
            return Answer(400, {"error": "unsupported_grant_type", "error_description": "grant type not supported"})
        known = form.get("client_id") == "goldseam"
        if not known or not hmac.compare_digest(form.get("client_secret", "").encode(), self.secret.encode()):
            return Answer(400, {"error": "invalid_client", "error_description": "invalid client credentials"})
        token = tokens.issue(self.store, self.name, prefix="00Dgs0000000001!AQ")
        body = {
            "access_token": token,
            "signature": secrets.token_urlsafe(32),
            "scope": "api",
            "instance_url": f"http://{request.host}/sf",
            "id": f"http://{request.host}/sf/id/00Dgs0000000001EAA/005gs0000000001AAA",
            "token_type": "Bearer",
            "issued_at": str(int(time.time() * 1000)),
        }
        return Answer(200, body)

    def resource(self, exchange: Exchange, version: str, path: list[str]) -> Answer:
        """Answer one resource of the versioned API."""
        request = exchange.request
        if path == ["limits"]:
            left = {"Max": DAILY_REQUESTS, "Remaining": max(0, DAILY_REQUESTS - self.used)}
            return Answer(200, {"DailyApiRequests": left})
        if path[:1] == ["query"] and request.method == "GET":
            with exchange.reading() as session:
                return self.query(session, request, version, path[1:])
        if path == ["composite"] and request.method == "POST":
            return composite.run(self, exchange)
        if path[:1] != ["sobjects"]:
            raise missing()
        if len(path) == 1:
            names = [{"name": item.name, "keyPrefix": item.prefix} for item in SOBJECTS.values()]
            return Answer(200, {"encoding": "UTF-8", "sobjects": names})
        if request.method == "GET":
            with exchange.reading() as session:
                return self.sobject(session, request, version, path[1:])
        with exchange.writing() as session:
            return self.sobject(session, request, version, path[1:])

    def sobject(self, session: Session, request: Request, version: str, path: list[str]) -> Answer:
        """Answer `sobjects/<Type>[/<Id> | /<ExtField>/<value> | /describe]`."""
        sobject = sobject_named(path[0])
        if len(path) == 1 and request.method == "POST":
            record = sobjects.create(session, sobject, request.json())
            location = f"/services/data/{version}/sobjects/{sobject.name}/{record.key}"
            return Answer(201, {"id": record.key, "success": True, "errors": []}, {"Location": location})
        if path[1:] == ["describe"] and request.method == "GET":
            return Answer(200, sobjects.describe(sobject))
        if len(path) == 3:
            return self.external(session, request, version, sobject, (path[1], path[2]))
        if len(path) != 2:
            raise Refusal(405, f"HTTP Method '{request.method}' not allowed.", code="METHOD_NOT_ALLOWED")
        record = sobjects.get(session, sobject, path[1])
        if request.method == "GET":
            return self.read(request, version, sobject, record)
        if request.method == "PATCH":
            require_unmodified(request, sobject, record)
            sobjects.update(session, sobject, record, request.json())
            return Answer(204)
        if request.method == "DELETE":
            sobjects.delete(session, sobject, record)
            return Answer(204)
        raise Refusal(405, f"HTTP Method '{request.method}' not allowed.", code="METHOD_NOT_ALLOWED")

    def read(self, request: Request, version: str, sobject: SObject, record: Record) -> Answer:
        """Draw one object; only an Account has an ETag (wire: concurrency)."""
        chosen = [name.strip() for name in request.query.get("fields", "").split(",") if name.strip()]
        names = [sobject.field(name).name for name in chosen] or list(sobject.fields)
        modified = moment_of(record).strftime("%a, %d %b %Y %H:%M:%S GMT")
        headers = {"Last-Modified": modified} | ({"ETag": etag(record)} if sobject.name == "Account" else {})
        return Answer(200, shown(version, sobject, record.fields, names), headers)

    def external(
        self, session: Session, request: Request, version: str, sobject: SObject, address: tuple[str, str]
    ) -> Answer:
        """Read, upsert or delete by external id: 201 created, 200 updated, 300 when several match."""
        field, value = sobject.field(address[0]), address[1]
        found = sobjects.by_external(session, sobject, field, value)
        if len(found) > 1:
            base = f"/services/data/{version}/sobjects/{sobject.name}"
            return Answer(300, [f"{base}/{record.key}" for record in found])
        if request.method == "GET" and found:
            return self.read(request, version, sobject, found[0])
        if request.method == "DELETE" and found:
            sobjects.delete(session, sobject, found[0])
            return Answer(204)
        if request.method != "PATCH":
            raise missing()
        body = request.json()
        if {"id", field.name.lower()} & {name.lower() for name in body}:
            text = f"The {field.name} field should not be specified in the sobject data."
            raise Refusal(400, text, code="INVALID_FIELD", fields=(field.name,))
        if found:
            require_unmodified(request, sobject, found[0])
            sobjects.update(session, sobject, found[0], body)
            return Answer(200, {"id": found[0].key, "success": True, "errors": [], "created": False})
        if request.query.get("updateOnly", "").lower() == "true":
            raise missing()
        record = sobjects.create(session, sobject, {**body, field.name: value})
        return Answer(201, {"id": record.key, "success": True, "errors": [], "created": True})

    def query(self, session: Session, request: Request, version: str, rest: list[str]) -> Answer:
        """Run SOQL, or give the next page of a cursor; `nextRecordsUrl` is a path, not an address."""
        if rest:
            locator, _, start = rest[0].rpartition("-")
            if locator not in self.cursors or not start.isdecimal():
                raise Refusal(400, "invalid query locator", code="INVALID_QUERY_LOCATOR")
            size, rows = self.cursors[locator]
            return Answer(200, page(version, locator, rows, int(start), size))
        query = soql.Parser(request.query.get("q", "")).parse()
        found = soql.run(query, rows_of(session, query.sobject))
        if query.counts:
            return Answer(200, {"totalSize": len(found), "done": True, "records": []})
        rows = [shown(version, query.sobject, row, query.columns) for row in found]
        wanted = re.search(r"batchSize=(\d+)", request.header("Sforce-Query-Options") or "")
        size = max(BATCH[0], min(int(wanted[1]), BATCH[1])) if wanted else BATCH[1]
        locator = ""
        if len(rows) > size:
            locator = f"01ggs{secrets.token_hex(5)}"
            self.cursors[locator] = (size, rows)
        return Answer(200, page(version, locator, rows, 0, size))

    def refuse(self, refusal: Refusal) -> Answer:
        """Draw a refusal in Salesforce's shape: an array of errors."""
        error: Fields = {"message": refusal.message, "errorCode": refusal.code or "UNKNOWN_EXCEPTION"}
        if refusal.fields:
            error["fields"] = list(refusal.fields)
        return Answer(refusal.status, [error])

    def throttled(self, seconds: float) -> Answer:
        """Say 403 REQUEST_LIMIT_EXCEEDED: this system has no 429 and no Retry-After."""
        return Answer(403, [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}])

    def locked(self) -> Refusal:
        """Say that somebody holds the row."""
        return Refusal(400, "unable to obtain exclusive access to this record", code="UNABLE_TO_LOCK_ROW")


def missing() -> Refusal:
    """Make the refusal of a resource that does not exist."""
    return Refusal(404, "The requested resource does not exist", code="NOT_FOUND")


def moment_of(record: Record) -> datetime:
    """Give an object's last change."""
    return datetime.strptime(record.fields["LastModifiedDate"], "%Y-%m-%dT%H:%M:%S.%f%z").astimezone(UTC)


def require_unmodified(request: Request, sobject: SObject, record: Record) -> None:
    """Hold the conditional headers: If-Match for Accounts only, If-Unmodified-Since by whole seconds."""
    tag = request.header("If-Match")
    if tag and sobject.name == "Account" and tag.strip() not in ("*", etag(record)):
        raise Refusal(412, "The entity has been modified", code="PRECONDITION_FAILED")
    since = request.header("If-Unmodified-Since")
    if not since:
        return
    try:
        moment = parsedate_to_datetime(since)
    except (TypeError, ValueError):
        raise Refusal(400, f"Bad date in If-Unmodified-Since: {since}", code="INVALID_DATE_HEADER") from None
    if moment_of(record).replace(microsecond=0) > moment.replace(tzinfo=moment.tzinfo or UTC):
        raise Refusal(412, "The entity has been modified", code="PRECONDITION_FAILED")


def shown(version: str, sobject: SObject, row: Fields, names: list[str]) -> Fields:
    """Draw a row with its attributes; parents are nested under their relationship."""
    base = f"/services/data/{version}/sobjects"
    answer: Fields = {"attributes": {"type": sobject.name, "url": f"{base}/{sobject.name}/{row['Id']}"}}
    for name in names:
        parent, dot, rest = name.partition(".")
        if not dot:
            answer[name] = row[name]
        elif row.get(parent) is None:
            answer[parent] = None
        else:
            reference = sobject.fields[f"{parent}Id"].refers_to
            attributes = {"type": reference, "url": f"{base}/{reference}/{row[parent]['Id']}"}
            answer.setdefault(parent, {"attributes": attributes})[rest] = row[parent][rest]
    return answer


def rows_of(session: Session, sobject: SObject) -> list[Fields]:
    """List an object's rows with their parents alongside."""
    rows = [dict(record.fields) for record in session.records("sf", sobject.name)]
    for field in sobject.fields.values():
        if field.refers_to:
            parents = {record.key: record.fields for record in session.records("sf", field.refers_to)}
            for row in rows:
                row[field.name.removesuffix("Id")] = parents.get(row[field.name])
    return rows


def page(version: str, locator: str, rows: list[Fields], start: int, size: int) -> Fields:
    """Cut one page out of a result."""
    answer: Fields = {"totalSize": len(rows), "done": start + size >= len(rows)}
    if not answer["done"]:
        answer["nextRecordsUrl"] = f"/services/data/{version}/query/{locator}-{start + size}"
    answer["records"] = rows[start : start + size]
    return answer
