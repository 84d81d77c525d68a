"""The outsider's side of the simulator: the ledgers, faults, a person's changes, planting, reset."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from connectors.simulator import faults, ledger, tokens
from connectors.simulator.chat import service as chat
from connectors.simulator.dataverse import changes as dv_changes
from connectors.simulator.dataverse import tables as dv_tables
from connectors.simulator.fo.entities import COMPANY, ENTITY_SETS, Kind
from connectors.simulator.mail import letters
from connectors.simulator.messages import Answer, Refusal, Request
from connectors.simulator.salesforce import outbound as sf_outbound
from connectors.simulator.salesforce import sobjects
from connectors.simulator.sap import desk as sap_desk
from connectors.simulator.sap import tables as sap_tables
from connectors.simulator.store import PERSON, Fields, Record, Session, Store


class Control:
    """Everything under `/ledger` and `/control`."""

    def __init__(self, store: Store, plant: Callable[[Session, int, str], None]) -> None:
        self.store = store
        self.plant = plant
        self.mail: dict[str, str] | None = None  # where mail is read and sent, host:port each
        self.routes: dict[tuple[str, str], Callable[[Request], Answer]] = {
            ("GET", "ledger"): self.ledger,
            **{("GET", f"ledger/{name}"): self.listed for name in ledger.LISTS},
            ("GET", "control/health"): self.health,
            ("GET", "control/faults"): self.list_faults,
            ("POST", "control/faults"): self.add_fault,
            ("DELETE", "control/faults"): self.clear_faults,
            ("POST", "control/edit"): self.edit,
            ("POST", "control/period"): self.period,
            ("POST", "control/reset"): self.reset,
            ("POST", "control/tokens/expire"): self.expire_tokens,
            ("GET", "control/records"): self.look,
            ("POST", "control/records"): self.plant_record,
            ("GET", "control/stream"): self.stream,
            ("POST", "control/deltatokens/expire"): self.expire_delta_tokens,
            ("POST", "control/sap"): lambda request: Answer(200, sap_desk.wish(self.store, request.json())),
            ("POST", "control/mail"): self.write_mail,
            ("POST", "control/chat"): self.write_chat,
            ("POST", "control/outbound"): lambda request: Answer(200, sf_outbound.tell(self.store, request.json())),
        }

    def handle(self, request: Request) -> Answer:
        """Answer one request of an outsider."""
        route = self.routes.get((request.method, "/".join(request.segments).rstrip("/")))
        if route is None:
            raise Refusal(404, f"No such control: {request.readable}")
        return route(request)

    def refuse(self, refusal: Refusal) -> Answer:
        """Draw a refusal."""
        return Answer(refusal.status, {"error": refusal.message})

    def ledger(self, request: Request) -> Answer:
        """Say what the ledger holds and what its fields mean."""
        with self.store.read() as session:
            return Answer(200, ledger.overview(session))

    def listed(self, request: Request) -> Answer:
        """List effects, requests or what was sent, oldest first; `?since=n` leaves out what came up to n."""
        with self.store.read() as session:
            return Answer(200, ledger.rows(session, request.segments[1], request.query))

    def write_mail(self, request: Request) -> Answer:
        """Let somebody write a mail to the mailbox."""
        raw = letters.written(request.json(), at=datetime.now(UTC))
        with self.store.write() as session:
            return Answer(201, {"folder": letters.FOLDERS[0], "uid": letters.deliver(session, raw)})

    def write_chat(self, request: Request) -> Answer:
        """Let somebody write in a channel of Slack."""
        wish = request.json()
        with self.store.write() as session:
            return Answer(201, {"ts": chat.say(session, wish)})

    def health(self, request: Request) -> Answer:
        """Say that the simulator lives, in which process, and how much it holds."""
        with self.store.read() as session:
            count = session.connection.execute("SELECT count(*) FROM records WHERE json IS NOT NULL").fetchone()[0]
            seed, business = session.meta("seed"), session.meta("business")
        found = {"status": "ok", "process": os.getpid(), "records": count, "seed": int(seed), "business": business}
        return Answer(200, found | ({"mail": self.mail} if self.mail else {}))

    def list_faults(self, request: Request) -> Answer:
        """List the fault rules."""
        with self.store.read() as session:
            return Answer(200, faults.listed(session))

    def add_fault(self, request: Request) -> Answer:
        """Add a fault rule."""
        with self.store.write() as session:
            return Answer(201, {"id": faults.add(session, request.json())})

    def clear_faults(self, request: Request) -> Answer:
        """Drop all fault rules."""
        with self.store.write() as session:
            session.connection.execute("DELETE FROM faults")
        return Answer(204)

    def edit(self, request: Request) -> Answer:
        """Change a record as a person would in the system itself: a new row version, no effect key."""
        body = request.json()
        changes = body.get("changes")
        if not isinstance(changes, dict) or not changes:
            raise Refusal(400, "'changes' must be an object with at least one field.")
        system = faults.system_named(body.get("system"))
        with self.store.write() as session:
            record = self._find(session, system, str(body.get("entity")), body.get("key") or body.get("id"))
            if system == "sf":
                record = sobjects.update(session, sobjects.sobject_named(record.entity), record, changes, kind=PERSON)
            elif system == "dv":
                record = dv_tables.edit(session, record, changes, kind=PERSON)
            elif system == "sap":
                record = sap_tables.edit(session, record, changes, kind=PERSON)
            else:
                entity = ENTITY_SETS[record.entity]
                values = {name: entity.property(name).coerce(value) for name, value in changes.items()}
                if any(name in entity.keys and value != record.fields[name] for name, value in values.items()):
                    raise Refusal(400, "The key of a record cannot be changed.")
                record = session.put(system, record.entity, record.key, {**record.fields, **values}, kind=PERSON)
        return Answer(200, drawn(record))

    def _find(self, session: Session, system: str, entity_name: str, key: Any) -> Record:
        """Find a record by its key object, key text or id; dataAreaId may be left out where the rest is unique."""
        if system == "sf":
            return sobjects.get(session, sobjects.sobject_named(entity_name), str(key))
        if system == "dv":
            return dv_tables.get(session, dv_tables.table_named(entity_name), str(key))
        if system == "sap":
            return sap_tables.find(session, entity_name, key)
        entity = ENTITY_SETS.get(entity_name)
        if entity is None:
            raise Refusal(404, f"Unknown entity '{entity_name}'.")
        if isinstance(key, dict):
            wanted = {name: entity.property(name).coerce(value) for name, value in key.items()}
        else:
            prop = entity.property(entity.keys[1])
            wanted = {prop.name: prop.coerce(str(key) if prop.kind is Kind.TEXT else key)}
        found = [
            record
            for record in session.records(system, entity.name)
            if all(record.fields[name] == value for name, value in wanted.items())
        ]
        if len(found) != 1:
            raise Refusal(404 if not found else 409, f"{len(found)} records of '{entity.name}' match {key}.")
        return found[0]

    def period(self, request: Request) -> Answer:
        """Open or close a fiscal period, in one company or in all."""
        body = request.json()
        entity = ENTITY_SETS["FiscalPeriods"]
        companies = [body["company"]] if body.get("company") else ["demf", "usmf"]
        with self.store.write() as session:
            for company in companies:
                fields = entity.complete(
                    {COMPANY: company, "PeriodName": body.get("period"), "Status": body.get("status")}
                )
                session.put("fo", entity.name, entity.key_text(fields), fields, kind=PERSON)
        return Answer(200, {"period": body["period"], "status": body["status"], "companies": companies})

    def reset(self, request: Request) -> Answer:
        """Forget everything, tokens and ledgers included, and plant the business anew."""
        body = request.json()
        seed, business = body.get("seed", 7), body.get("business", "demo")
        if isinstance(seed, bool) or not isinstance(seed, int) or business not in ("demo", "empty"):
            raise Refusal(400, "'seed' must be a whole number and 'business' \"demo\" or \"empty\".")
        self.store.reset(lambda session: self.plant(session, seed, business))
        return self.health(request)

    def expire_tokens(self, request: Request) -> Answer:
        """End every token at once."""
        name = request.json().get("system")
        return Answer(200, {"expired": tokens.expire(self.store, faults.system_named(name) if name else None)})

    def expire_delta_tokens(self, request: Request) -> Answer:
        """Let every change token that Dataverse gave out expire."""
        with self.store.write() as session:
            return Answer(200, {"generation": dv_changes.expire(session)})

    def look(self, request: Request) -> Answer:
        """Show the raw truth: an entity's records, or the one with a key."""
        query = request.query
        system, entity = faults.system_named(query.get("system")), query.get("entity", "")
        with self.store.read() as session:
            if "key" in query:
                try:
                    key = json.loads(query["key"])
                except ValueError:
                    key = query["key"]
                return Answer(200, drawn(self._find(session, system, entity, key)))
            return Answer(200, [drawn(record) for record in session.records(system, entity)])

    def plant_record(self, request: Request) -> Answer:
        """Plant one record without an effect row, as if it had always been there."""
        body = request.json()
        fields = body.get("fields")
        if not isinstance(fields, dict):
            raise Refusal(400, "'fields' must be an object.")
        system = faults.system_named(body.get("system"))
        with self.store.write() as session:
            if system == "sf":
                sobject = sobjects.sobject_named(str(body.get("entity")))
                return Answer(201, drawn(sobjects.create(session, sobject, fields, kind=None)))
            if system == "dv":
                return Answer(201, drawn(dv_tables.plant(session, str(body.get("entity")), fields)))
            if system == "sap":
                return Answer(201, drawn(sap_tables.plant(session, str(body.get("entity")), fields)))
            entity = ENTITY_SETS.get(str(body.get("entity")))
            if entity is None:
                raise Refusal(404, f"Unknown entity '{body.get('entity')}'.")
            missing = [name for name in entity.keys if name not in fields]
            if missing:
                raise Refusal(400, f"The key field '{missing[0]}' is missing.")
            whole = entity.complete(fields)
            return Answer(201, drawn(session.put("fo", entity.name, entity.key_text(whole), whole, kind=None)))

    def stream(self, request: Request) -> Answer:
        """Say how far the stream of exceptions has come and what could not be delivered."""
        names = ("time", "channel", "ids", "attempts", "status", "error")
        with self.store.read() as session:
            state = json.loads(session.meta("stream", "{}"))
            rows = session.connection.execute(
                f"SELECT {', '.join(names)} FROM posts WHERE error IS NOT NULL ORDER BY n"
            )
            errors = [dict(zip(names, row, strict=True)) for row in rows]
        return Answer(200, {**state, "errors": errors})


def drawn(record: Record) -> Fields:
    """Draw a record with its place and version."""
    return {
        "system": record.system,
        "entity": record.entity,
        "key": record.key,
        "version": record.version,
        "fields": record.fields,
    }
