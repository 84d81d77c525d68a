"""What Dataverse and SAP tell by themselves: a webhook for each changed row, an event for each changed document.

They speak of what the ledger of effects holds, whoever did it: their own people and those who write through an
interface. What was told is noted, so a restart goes on; what a crash tells twice carries the same id.
"""

from __future__ import annotations

import http.client
import json
import logging
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import holding
from .dv_tables import SYSTEM as DATAVERSE
from .dv_tables import TABLES, Column
from .sap_tables import SYSTEM as SAP
from .store import Fields, Session, Store, now_text
from .stream import ticks
from .traffic import Target, send

logger = logging.getLogger(__name__)

NAMESPACE = uuid.UUID("6a2c0b5e-8f0d-4c55-9b1c-2d7f0f6f4711")
CONTRACTS = "http://schemas.microsoft.com/xrm/2011/Contracts"
ORGANIZATION = "simulator.crm4.dynamics.test"
SOURCE = "/default/sap.s4.beh/S4DCLNT100"
# A webhook is tried once more, and only after these (wire: dataverse 8); Event Mesh goes on until it is heard.
ATTEMPTS = {DATAVERSE: 2, SAP: 5}
REPEATED = {DATAVERSE: (502, 503, 504)}
BATCH = 100
# Set of records → family of events, its key fields (wire: sap, events).
FAMILIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "A_SalesOrder": ("salesorder.v1.SalesOrder", ("SalesOrder",)),
    "A_BillingDocument": ("billingdocument.v1.BillingDocument", ("BillingDocument",)),
    "A_SupplierInvoice": ("supplierinvoice.v1.SupplierInvoice", ("SupplierInvoice", "FiscalYear")),
}


@dataclass(frozen=True)
class Change:
    """One committed change as the ledger of effects has it."""

    number: int
    time: str
    system: str
    entity: str
    before: Fields | None
    after: Fields | None

    @property
    def verb(self) -> str:
        """Whether something came, went or is another now."""
        return "Create" if self.before is None else "Delete" if self.after is None else "Update"

    @property
    def record(self) -> Fields:
        """The record as it stands, or as it stood before it went."""
        return self.after if self.after is not None else self.before or {}

    def id(self, of: str) -> str:
        """Make an id that the same change always has."""
        return str(uuid.uuid5(NAMESPACE, f"{of}:{self.number}:{self.time}"))


@dataclass(frozen=True)
class Message:
    """One message, ready to be sent to a hook."""

    id: str
    body: bytes
    headers: dict[str, str] = field(hash=False)


def message_of(change: Change) -> Message | None:
    """Say how a system tells of a change; ``None`` where it tells nobody."""
    if change.system == DATAVERSE and change.entity in TABLES:
        return _webhook(change)
    return _event(change) if change.system == SAP and change.entity in FAMILIES else None


# --- Dataverse: the execution context of an asynchronous step ------------------------------------
def _webhook(change: Change) -> Message:
    table, operation = TABLES[change.entity], change.id("operation")
    before, after = change.before or {}, change.after or {}
    columns = [one for one in table.columns.values() if after.get(one.shown) != before.get(one.shown)]
    target: Fields = {
        "__type": f"Entity:{CONTRACTS}",
        "Attributes": [{"key": one.name, "value": _value(one, after)} for one in columns if one.kind != "id"],
        "Id": change.record[table.id],
        "LogicalName": table.name,
    }
    context = {
        "CorrelationId": change.id("correlation"),
        "Depth": 1,
        "InputParameters": [{"key": "Target", "value": target}],
        "MessageName": change.verb,
        "Mode": 1,
        "OperationCreatedOn": ticks(change.time),
        "OperationId": operation,
        "OutputParameters": [],
        "OwningExtension": {"Id": str(uuid.uuid5(NAMESPACE, table.name)), "LogicalName": "sdkmessageprocessingstep"},
        "PostEntityImages": [],
        "PreEntityImages": [],
        "PrimaryEntityId": change.record[table.id],
        "PrimaryEntityName": table.name,
        "SharedVariables": [],
        "Stage": 40,
    }
    headers = {
        "x-ms-dynamics-organization": ORGANIZATION,
        "x-ms-dynamics-entity-name": table.name,
        "x-ms-dynamics-request-name": change.verb,
        "x-ms-correlation-request-id": change.id("correlation"),
    }
    return Message(operation, json.dumps(context).encode(), {"Content-Type": "application/json", **headers})


def _value(column: Column, row: Fields) -> Any:
    """Write a column as the execution context does: money, choices and lookups are objects, dates have ticks."""
    value = row.get(column.shown)
    if value is None:
        return None
    if column.kind == "money":
        return {"__type": f"Money:{CONTRACTS}", "Value": value}
    if column.kind == "choice":
        return {"__type": f"OptionSetValue:{CONTRACTS}", "Value": value}
    if column.kind == "lookup":
        return {"__type": f"EntityReference:{CONTRACTS}", "Id": value, "LogicalName": row.get(f"{column.shown}@")}
    return ticks(value) if column.kind == "moment" else value


# --- SAP: an event that names the document and little else ---------------------------------------
def _event(change: Change) -> Message:
    family, keys = FAMILIES[change.entity]
    verb = {"Create": "Created", "Delete": "Deleted", "Update": "Changed"}[change.verb]
    id_ = change.id("event")
    event = {
        "specversion": "1.0",
        "type": f"sap.s4.beh.{family}.{verb}.v1",
        "source": SOURCE,
        "id": id_,
        "time": change.time,
        "datacontenttype": "application/json",
        "data": {key: str(change.record[key]) for key in keys},
    }
    return Message(id_, json.dumps(event).encode(), {"Content-Type": "application/cloudevents+json"})


class Teller(threading.Thread):
    """Tells a console what changes, in the order in which it was committed.

    ``hooks`` names the console's connection for each system that tells: ``{"dv": "dv", "sap": "sap"}``.
    """

    def __init__(self, store: Store, target: Target, hooks: Mapping[str, str], *, pause: float = 0.5) -> None:
        super().__init__(name="teller", daemon=True)
        self.store = store
        self.target = target
        self.hooks = dict(hooks)
        self.pause = pause
        self.stopping = threading.Event()

    def stop(self) -> None:
        """Ask it to end after the message at hand."""
        self.stopping.set()

    def run(self) -> None:
        """Wait for the console, then tell what is new, again and again; in the demo's business people stop orders."""
        try:
            self._wait_for_target()
            with self.store.read() as session:
                planned = holding.scenes(session) if session.meta("business") == "demo" else []
            start = time.monotonic()
            while not self.stopping.wait(self.pause):
                self.play(planned, time.monotonic() - start)
                self.turn()
        except Exception:
            logger.exception("the systems fell silent")
        finally:
            self.store.close()

    def _wait_for_target(self) -> None:
        """Knock once a second until something answers; an answer of any kind will do."""
        while not self.stopping.is_set():
            try:
                send(self.target.url, "GET", "/health/live", b"", {})
            except (OSError, http.client.HTTPException):
                self.stopping.wait(1.0)
            else:
                return

    def play(self, planned: Sequence[holding.Scene], seconds: float) -> None:
        """Let happen what is due after so many seconds, each thing once, whatever was restarted in between."""
        with self.store.write() as session:
            played = int(session.meta("played", "0"))
            due = [scene for scene in planned[played:] if scene.at <= seconds]
            for scene in due:
                holding.play(session, scene)
            if due:
                session.set_meta("played", str(played + len(due)))

    def turn(self) -> int:
        """Tell what has changed since the last turn; returns how many messages were sent."""
        sent = 0
        for change in self._news():
            if self.stopping.is_set():
                break
            message = message_of(change)
            outcome = self._push(change.system, message) if message else None
            with self.store.write() as session:
                if not _stands(session, change):
                    # Somebody reset the business meanwhile: what is told of it belongs to the old one.
                    break
                if message and outcome:
                    session.connection.execute(
                        "INSERT INTO posts(time, channel, ids, attempts, status, error) VALUES(?,?,?,?,?,?)",
                        (now_text(), f"{change.system}_hook", message.id, *outcome),
                    )
                    sent += 1
                session.set_meta("told", str(change.number))
        return sent

    def _news(self) -> list[Change]:
        with self.store.read() as session:
            told = int(session.meta("told", "0"))
            rows = session.connection.execute(
                "SELECT n, time, system, entity, before, after FROM effects WHERE n>? ORDER BY n LIMIT ?",
                (told, BATCH),
            ).fetchall()
        news = [
            Change(number, time, system, entity, _read(before), _read(after))
            for number, time, system, entity, before, after in rows
        ]
        return [change for change in news if change.system in self.hooks] or news[-1:]

    def _push(self, system: str, message: Message) -> tuple[int, int | None, str | None] | None:
        """Send a message; answers attempts, the last status, and what went wrong in the end."""
        if system not in self.hooks:
            return None
        headers = {**message.headers, "X-Goldseam-Secret": self.target.hook_secret}
        path = f"/api/v1/hooks/{self.hooks[system]}/"
        status, error = None, None
        for attempt in range(1, ATTEMPTS[system] + 1):
            after = 0.0
            try:
                status, after = send(self.target.url, "POST", path, message.body, headers)
                error = None if status < 300 else f"HTTP {status}"
            except (OSError, http.client.HTTPException) as failure:
                status, error = None, f"{type(failure).__name__}: {failure}"
            if (
                error is None
                or not _passes(system, status)
                or attempt == ATTEMPTS[system]
                or self.stopping.wait(max(self.pause, after))
            ):
                break
        if error is not None:
            logger.warning("%s was not heard after %d attempts: %s", system, attempt, error)
        return attempt, status, error


def _passes(system: str, status: int | None) -> bool:
    """Tell whether a system tries again after this status; ``None``: nobody answered."""
    if system in REPEATED:
        return status in REPEATED[system]
    return status is None or status >= 500 or status in (408, 429)


def _stands(session: Session, change: Change) -> bool:
    row = session.connection.execute("SELECT time FROM effects WHERE n=?", (change.number,)).fetchone()
    return row is not None and row[0] == change.time


def _read(text: str | None) -> Fields | None:
    fields: Fields | None = None if text is None else json.loads(text)
    return fields
