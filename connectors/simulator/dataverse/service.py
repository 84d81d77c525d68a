"""Dataverse on the wire: token, tables, conditional writes, relationships, actions, queries, changes, batches."""

from __future__ import annotations

import hmac
import re
from typing import Any

from connectors.simulator import tokens
from connectors.simulator.dataverse import batch as dv_batch
from connectors.simulator.dataverse import changes as dv_changes
from connectors.simulator.dataverse import fetch as dv_fetch
from connectors.simulator.dataverse.query import drawn, select
from connectors.simulator.dataverse.tables import (
    CHANGED,
    DUPLICATE,
    MISSING,
    SYSTEM,
    TABLES,
    TAKEN,
    Table,
    changes_of,
    etag,
    get,
    pair_key,
    put,
    refused,
    remove,
    table_named,
)
from connectors.simulator.messages import Answer, Exchange, Refusal, Request
from connectors.simulator.store import Fields, Record, Session, Store

ADDRESS = re.compile(r"(\$?\w+)(?:\((.*)\))?", re.DOTALL)
KEY = re.compile(r"(\w+)='((?:[^']|'')*)'")
ACTIONS = "Microsoft.Dynamics.CRM."
LARGEST_PAGE = 5000
BURST = 6000
CODES = {401: "0x80048306", 403: "0x80040220", 404: MISSING, 412: CHANGED, 429: "0x80072322"}
UNEXPECTED = "0x80040216"


class Dataverse:
    """The Dataverse environment under `/dv`."""

    name = SYSTEM

    def __init__(self, store: Store, secret: str) -> None:
        self.store = store
        self.secret = secret

    def handle(self, exchange: Exchange) -> Answer:
        """Answer one request below `/dv`."""
        request = exchange.request
        path = request.segments[1:]
        if path[1:] == ["oauth2", "v2.0", "token"]:
            return self.token(request)
        if not tokens.accepts(self.store, self.name, request.header("Authorization")):
            raise refused("The user is not authenticated.", 401, CODES[401])
        if path[:2] != ["api", "data"] or len(path) < 4 or not re.fullmatch(r"v\d\.\d", path[2]):
            raise refused(f"Resource not found for '{request.readable}'.", 404, "0x8006088a")
        if path[3] == "$batch" and request.method == "POST":
            return dv_batch.run(exchange, self.carried, self.refuse)
        if request.method == "GET":
            with exchange.reading() as session:
                answer = self.read(session, request, path[3:])
        else:
            with exchange.writing() as session:
                answer = self.write(session, request, path[3:])
        answer.headers.setdefault("x-ms-ratelimit-burst-remaining-xrm-requests", str(BURST))
        return answer

    def token(self, request: Request) -> Answer:
        """Issue a token by client credentials; a scope of another environment yields one that is not accepted."""
        form = request.form()
        known = form.get("client_id") == "goldseam" and form.get("grant_type") == "client_credentials"
        if not known or not hmac.compare_digest(form.get("client_secret", "").encode(), self.secret.encode()):
            told = "AADSTS7000215: Invalid client secret provided."
            return Answer(401, {"error": "invalid_client", "error_description": told})
        usable = form.get("scope", "").endswith("/dv/.default")
        token = tokens.issue(self.store, self.name, prefix="eyJ0eXAj.", usable=usable)
        return Answer(200, {"token_type": "Bearer", "expires_in": int(tokens.LIFETIME) - 1, "access_token": token})

    def root(self, request: Request) -> str:
        """Give the address of the Web API as the caller reached it."""
        return f"http://{request.host}/dv/api/data/{request.segments[3]}"

    # --- reading ---------------------------------------------------------------------------------
    def read(self, session: Session, request: Request, path: list[str]) -> Answer:
        """Answer a set, one row, or the far side of a relationship."""
        if path == ["EntityDefinitions"]:
            # Metadata beside the tables: which there are, by logical name and by set.
            told = [{"LogicalName": table.name, "EntitySetName": table.set} for table in TABLES.values()]
            return Answer(200, {"@odata.context": f"{self.root(request)}/$metadata#EntityDefinitions", "value": told})
        table, key = self.address(session, path[0])
        wishes = request.header("Prefer") or ""
        if key is None:
            return Answer(200, self.listed(session, table, request, wishes))
        record = get(session, table, key)
        if len(path) == 1:
            body = drawn(session, table, record, request.query, wishes)
            return Answer(200, {"@odata.context": f"{self.root(request)}/$metadata#{table.set}/$entity", **body})
        other = self.many(table, path[1])
        keys = [row.key for row in session.records(SYSTEM, f"{table.name}.{path[1]}")]
        near = {pair.partition("/")[2] for pair in keys if pair.startswith(f"{record.key}/")}
        rows = [row for row in select(session, other, request.query) if row.key in near]
        return Answer(200, self.page(session, other, request, rows, wishes))

    def listed(self, session: Session, table: Table, request: Request, wishes: str) -> Fields:
        """Answer a whole set: by FetchXML, by change tracking, or by its query options."""
        if "fetchXml" in request.query:
            return dv_fetch.answer(session, request.query["fetchXml"], wishes)
        if dv_changes.wanted(request):
            return dv_changes.answer(session, table, request, self.root(request), self.size(wishes))
        return self.page(session, table, request, select(session, table, request.query), wishes)

    def size(self, wishes: str) -> int:
        """Read how many rows a page may have."""
        wish = re.search(r"odata\.maxpagesize=(\d+)", wishes)
        return max(1, min(int(wish[1]), LARGEST_PAGE)) if wish else LARGEST_PAGE

    def page(self, session: Session, table: Table, request: Request, rows: list[Record], wishes: str) -> Fields:
        """Cut one page out of the found rows; the next is behind `@odata.nextLink`."""
        size, skip = self.size(wishes), int(request.query.get("$skiptoken", "0") or 0)
        window = rows[skip : skip + size]
        body: Fields = {
            "@odata.context": f"{self.root(request)}/$metadata#{table.set}",
            "value": [drawn(session, table, row, request.query, wishes) for row in window],
        }
        if skip + size < len(rows):
            base = re.sub(r"(?<=[?&])(?:\$|%24)skiptoken=\d+&?", "", request.target).rstrip("?&")
            mark = "&" if "?" in base else "?"
            body["@odata.nextLink"] = f"http://{request.host}{base}{mark}$skiptoken={skip + size}"
        return body

    def address(self, session: Session, text: str) -> tuple[Table, str | None]:
        """Read `accounts`, `accounts(<id>)` or `accounts(accountnumber='A-1')`."""
        match = ADDRESS.fullmatch(text)
        if match is None:
            raise refused(f"Resource not found for the segment '{text}'.", 404, "0x8006088a")
        table = table_named(match[1])
        if match[1] != table.set:
            raise refused(f"Resource not found for the segment '{match[1]}'.", 404, "0x8006088a")
        if match[2] is None or "=" not in match[2]:
            return table, match[2]
        keys = {name: value.replace("''", "'") for name, value in KEY.findall(match[2])}
        if not keys or set(keys) - set(table.keys):
            raise refused("The specified key attributes are not a defined key for the entity.")
        found = [
            row.key for row in session.records(SYSTEM, table.name) if all(row.fields[n] == v for n, v in keys.items())
        ]
        if not found:
            raise refused("A record with the specified key values does not exist.", 404, MISSING)
        return table, found[0]

    def many(self, table: Table, name: str) -> Table:
        """Find the far table of a many-to-many relationship."""
        if name not in table.many:
            raise refused(f"Resource not found for the segment '{name}'.", 404, "0x8006088a")
        return TABLES[table.many[name]]

    # --- writing ---------------------------------------------------------------------------------
    def carried(self, session: Session, request: Request) -> Answer:
        """Carry out one part of a change set."""
        path = request.segments[1:]
        return self.write(session, request, path[3:])

    def write(self, session: Session, request: Request, path: list[str]) -> Answer:
        """Answer a change: a row, a pair of rows, an action."""
        table, key = self.address(session, path[0])
        if key is None:
            return self.created(session, table, request)
        if len(path) == 1:
            return self.changed(session, table, key, request)
        if path[1].startswith(ACTIONS) and request.method == "POST":
            return self.action(session, table, get(session, table, key), path[1].removeprefix(ACTIONS), request.json())
        if path[2:] == ["$ref"]:
            return self.pair(session, table, get(session, table, key), path[1], request)
        raise refused(f"Resource not found for '{request.readable}'.", 404, "0x8006088a")

    def created(self, session: Session, table: Table, request: Request) -> Answer:
        """Make a row under an id of Dataverse's own."""
        if request.method != "POST":
            raise refused("The requested method is not allowed here.", 405, "0x80060888")
        number = session.next_number(f"dv {table.name}", 1)
        fields = changes_of(session, table, request.json())
        self.distinct(session, table, fields, request)
        record = put(session, table, f"00000000-0000-4000-8000-{number:012d}", fields, kind="create")
        return Answer(204, headers={"OData-EntityId": f"{self.root(request)}/{table.set}({record.key})"})

    def changed(self, session: Session, table: Table, key: str, request: Request) -> Answer:
        """Change, make or delete the row of an id: PATCH is an upsert unless a condition says otherwise."""
        record = session.get(SYSTEM, table.name, key.lower())
        wanted, none = request.header("If-Match"), request.header("If-None-Match")
        if request.method == "DELETE":
            found = get(session, table, key)
            self.unchanged(found, wanted)
            remove(session, table, found)
            return Answer(204)
        if request.method != "PATCH":
            raise refused("The requested method is not allowed here.", 405, "0x80060888")
        if record is not None and none == "*":
            raise refused("A record with matching key values already exists.", 412, TAKEN)
        if record is None and wanted:
            get(session, table, key)
        if record is not None:
            self.unchanged(record, wanted)
        fields = changes_of(session, table, request.json())
        before = record.fields if record else {}
        self.distinct(session, table, {**before, **fields}, request, own=key.lower())
        kind = "update" if record else "create"
        saved = put(session, table, key.lower(), {**before, **fields}, kind=kind)
        return Answer(204, headers={"OData-EntityId": f"{self.root(request)}/{table.set}({saved.key})"})

    def unchanged(self, record: Record, wanted: str | None) -> None:
        """Hold If-Match against the row version."""
        if wanted and wanted.strip() not in ("*", etag(record)):
            raise refused(
                "The version of the existing record doesn't match the RowVersion property provided.", 412, CHANGED
            )

    def distinct(self, session: Session, table: Table, fields: Fields, request: Request, own: str = "") -> None:
        """Look for duplicates where the header asks for it: `false` switches the search on (wire: idempotency)."""
        if (request.header("MSCRM.SuppressDuplicateDetection") or "").lower() != "false":
            return
        by = {"account": "name", "incident": "title"}.get(table.name)
        if by is None or not fields.get(by):
            return
        if any(row.fields[by] == fields[by] and row.key != own for row in session.records(SYSTEM, table.name)):
            told = "A record was not created or updated because a duplicate of the current record already exists."
            # The article shows this status for it, the table of statuses files it under 412.
            raise refused(told, 500, DUPLICATE)

    def pair(self, session: Session, table: Table, record: Record, name: str, request: Request) -> Answer:
        """Associate or part two rows of a many-to-many relationship."""
        match = re.fullmatch(r"(\w+)(?:\(([0-9a-fA-F-]{36})\))?", name)
        if match is None:
            raise refused(f"Resource not found for the segment '{name}'.", 404, "0x8006088a")
        other, entity = self.many(table, match[1]), f"{table.name}.{match[1]}"
        if request.method == "DELETE" and match[2]:
            found = session.get(SYSTEM, entity, pair_key(record.key, match[2].lower()))
            if found is not None:
                session.remove(found, kind="disassociate")
            return Answer(204)
        target = re.search(r"\(([0-9a-fA-F-]{36})\)$", str(request.json().get("@odata.id", "")))
        if request.method != "POST" or match[2] or target is None:
            raise refused("Invalid property '@odata.id' was found.")
        far = get(session, other, target[1])
        key = pair_key(record.key, far.key)
        if session.get(SYSTEM, entity, key) is not None:
            raise refused("Cannot insert duplicate key.", 412, TAKEN)
        session.put(SYSTEM, entity, key, {"near": record.key, "far": far.key}, kind="associate")
        return Answer(204)

    def action(self, session: Session, table: Table, record: Record, name: str, body: Fields) -> Answer:
        """Carry out a custom API of this environment: an order is put on hold, or let go."""
        if table.name != "salesorder" or name not in ("new_HoldOrder", "new_ReleaseOrder"):
            raise refused(f"Resource not found for the segment '{name}'.", 404, "0x80060888")
        if set(body) - {"Reason", "Mark"} or not isinstance(body.get("Reason"), str):
            raise refused("The parameters of the action are not the declared ones.")
        held = name == "new_HoldOrder"
        if bool(record.fields["new_onhold"]) == held:
            raise refused("The order stands like that already.", 400, "0x80040265")
        changes = {"new_onhold": held, "new_holdmark": body.get("Mark")}
        put(session, table, record.key, {**record.fields, **changes}, kind="action")
        return Answer(200, {"@odata.context": "$metadata#Edm.String", "State": "held" if held else "released"})

    # --- how it refuses --------------------------------------------------------------------------
    def refuse(self, refusal: Refusal) -> Answer:
        """Draw a refusal in Dataverse's shape: what counts is the code."""
        code = refusal.code if refusal.code.startswith("0x") else CODES.get(refusal.status, UNEXPECTED)
        return Answer(refusal.status, {"error": {"code": code, "message": refusal.message}})

    def throttled(self, seconds: float) -> Answer:
        """Say 429 with Retry-After, as the service protection limits do."""
        told = f"Number of requests exceeded the limit of {BURST} over time window of 300 seconds."
        error: dict[str, Any] = {"code": CODES[429], "message": told}
        return Answer(429, {"error": error}, {"Retry-After": str(max(1, round(seconds)))})

    def locked(self) -> Refusal:
        """Say that somebody else's transaction was in the way for too long."""
        return refused("SQL timeout expired.", 500, "0x80044151")
