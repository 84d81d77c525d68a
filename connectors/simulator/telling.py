"""What systems tell by themselves: webhooks of Dataverse, events and IDocs of SAP, messages of Salesforce and Slack.

They speak of what the ledger of effects holds, whoever did it: their own people and those who write through an
interface. What was told is noted, so a restart goes on; what a crash tells twice carries the same id.
"""

from __future__ import annotations

import base64
import http.client
import json
import logging
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from connectors.simulator.chat import told as chat_told
from connectors.simulator.dataverse.tables import SYSTEM as DATAVERSE
from connectors.simulator.dataverse.tables import TABLES, Column
from connectors.simulator.distributor import holding
from connectors.simulator.messages import Refusal
from connectors.simulator.news import NAMESPACE, Change, Message
from connectors.simulator.salesforce import outbound as sf_outbound
from connectors.simulator.salesforce import told as sf_told
from connectors.simulator.sap import idocs as sap_idocs
from connectors.simulator.sap.tables import SYSTEM as SAP
from connectors.simulator.store import Fields, Session, Store, now_text
from connectors.simulator.stream import ticks
from connectors.simulator.traffic import Target, send

logger = logging.getLogger(__name__)

CONTRACTS = "http://schemas.microsoft.com/xrm/2011/Contracts"
ORGANIZATION = "simulator.crm4.dynamics.test"
SOURCE = "/default/sap.s4.beh/S4DCLNT100"
# Who tells, and of which system's changes.
TELLERS = {DATAVERSE: DATAVERSE, SAP: SAP, "idoc": SAP, "sf": sf_told.SYSTEM, "slack": "slack"}
CHANNELS = {"idoc": "sap_idoc"}
# A webhook is tried once more, and only after these (wire: dataverse 8); Slack tries three times more; Event Mesh, an
# outbound message and, by its customizing, an IDoc go on until they are heard: here for five times.
ATTEMPTS = {DATAVERSE: 2, SAP: 5, "idoc": 5, "sf": 5, "slack": 4}
REPEATED = {DATAVERSE: (502, 503, 504)}
BATCH = 100
# Set of records → family of events, its key fields (wire: sap, events).
FAMILIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "A_SalesOrder": ("salesorder.v1.SalesOrder", ("SalesOrder",)),
    "A_BillingDocument": ("billingdocument.v1.BillingDocument", ("BillingDocument",)),
    "A_SupplierInvoice": ("supplierinvoice.v1.SupplierInvoice", ("SupplierInvoice", "FiscalYear")),
}


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

    ``hooks`` names the console's connection for each of ``TELLERS`` that tells: ``{"dv": "dv", "sf": "crm"}``.
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
            outcomes = [
                (CHANNELS.get(by, f"{by}_hook"), message.id, *self._push(by, message))
                for by, message in self._messages(change)
            ]
            with self.store.write() as session:
                if not _stands(session, change):
                    # Somebody reset the business meanwhile: what is told of it belongs to the old one.
                    break
                session.connection.executemany(
                    "INSERT INTO posts(time, channel, ids, attempts, status, error) VALUES(?,?,?,?,?,?)",
                    [(now_text(), *outcome) for outcome in outcomes],
                )
                sent += len(outcomes)
                session.set_meta("told", str(change.number))
        return sent

    def _messages(self, change: Change) -> list[tuple[str, Message]]:
        """Write what each teller says of a change."""
        telling = [by for by in self.hooks if TELLERS[by] == change.system]
        written = [(by, self._message(by, change)) for by in telling]
        return [(by, message) for by, message in written if message is not None]

    def _message(self, by: str, change: Change) -> Message | None:
        if by == "sf":
            return sf_told.message_of(change, self.store)
        if by == "slack":
            return chat_told.message_of(change)
        return sap_idocs.message_of(change) if by == "idoc" else message_of(change)

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
        telling = {TELLERS[by] for by in self.hooks}
        return [change for change in news if change.system in telling] or news[-1:]

    def _push(self, by: str, message: Message) -> tuple[int, int | None, str | None]:
        """Send a message; answers attempts, the last status, and what went wrong in the end."""
        status, error = None, None
        for attempt in range(1, ATTEMPTS[by] + 1):
            after = 0.0
            try:
                status, after, error = self._once(by, message, attempt)
            except (OSError, http.client.HTTPException) as failure:
                status, error = None, f"{type(failure).__name__}: {failure}"
            if (
                error is None
                or not _passes(by, status)
                or attempt == ATTEMPTS[by]
                or self.stopping.wait(max(self.pause, after))
            ):
                break
        if error is not None:
            logger.warning("%s was not heard after %d attempts: %s", by, attempt, error)
        return attempt, status, error

    def _once(self, by: str, message: Message, attempt: int) -> tuple[int | None, float, str | None]:
        """Make one try; answers status, Retry-After in seconds, and what is wrong with the answer."""
        path, headers = f"/api/v1/hooks/{self.hooks[by]}/", dict(message.headers)
        if by == "sf":
            # Salesforce can send no header of its own: the secret is a part of the address.
            path += f"{quote(self.target.hook_secret, safe='')}/"
        elif by == "slack":
            headers |= chat_told.signed(message, self.target.hook_secret, attempt)
        elif by == "idoc":
            user = base64.b64encode(f"{sap_idocs.SENDER}:{self.target.hook_secret}".encode()).decode()
            headers["Authorization"] = f"Basic {user}"
        else:
            headers["X-Goldseam-Secret"] = self.target.hook_secret
        if "SOAPAction" in headers:
            return _acknowledged(self.target.url.rstrip("/") + path, message)
        status, after = send(self.target.url, "POST", path, message.body, headers)
        return status, after, None if status < 300 else f"HTTP {status}"


def _acknowledged(url: str, message: Message) -> tuple[int | None, float, str | None]:
    """Send an outbound message: what is not acknowledged was not heard, whatever the status."""
    try:
        status, said = sf_outbound.post(url, message.body)
    except Refusal as nobody:
        return None, 0.0, nobody.message
    return status, 0.0, None if sf_outbound.acknowledged(status, said) else f"HTTP {status}, not acknowledged"


def _passes(by: str, status: int | None) -> bool:
    """Tell whether it is tried again after this status; ``None``: nobody answered."""
    if by in REPEATED:
        return status in REPEATED[by]
    if by in ("sf", "slack"):
        return True
    return status is None or status >= 500 or status in (408, 429)


def _stands(session: Session, change: Change) -> bool:
    row = session.connection.execute("SELECT time FROM effects WHERE n=?", (change.number,)).fetchone()
    return row is not None and row[0] == change.time


def _read(text: str | None) -> Fields | None:
    fields: Fields | None = None if text is None else json.loads(text)
    return fields
