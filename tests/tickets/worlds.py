"""A service desk in Salesforce or Dataverse: its tickets, what people do there, and what it tells us of that."""

import json
from typing import Any

from django.db.models import F

from connectors.inbound import polling
from connectors.models import Connection, Delivery
from connectors.simulator import telling
from connectors.simulator.dataverse import tables as dv_tables
from connectors.simulator.salesforce import sobjects
from connectors.simulator.telling import Change
from incidents import detection
from incidents.models import ExceptionKind, Incident
from playbooks import loop
from tests.connectors.business import ORDER
from tests.connectors.conftest import Simulated
from tests.connectors.factories import make_crm, make_dv

PEOPLE = {"salesforce": sobjects.SERVICE_DESK, "dataverse": dv_tables.SERVICE_DESK}


class Desk:
    """What both systems have alike: a ticket, people who write on it and close it, and two ways of hearing of it."""

    kind: str
    system: str  # as the simulator calls it
    note: str  # the kind of record that a comment is
    path: str  # of the request that writes one

    def __init__(self, simulated: Simulated, connection: Connection) -> None:
        self.simulated = simulated
        self.connection = connection
        self.ticket = self.open()

    def open(self) -> str:
        """Open a ticket about an order, and return its id."""
        raise NotImplementedError

    def write(self, text: str, ticket: str = "") -> str:
        """Let a person write on a ticket, and return the id of what they wrote."""
        raise NotImplementedError

    def close(self) -> None:
        """Let a person close the ticket."""
        raise NotImplementedError

    def reopen(self) -> None:
        """Let a person reopen the ticket."""
        raise NotImplementedError

    def touch(self) -> None:
        """Let the ticket have another stamp and nothing else that is new."""
        raise NotImplementedError

    def hurry_up(self) -> None:
        """Let a person mark the ticket as urgent."""
        raise NotImplementedError

    def text_of(self, note: dict[str, Any]) -> str:
        """Return the text of a note."""
        raise NotImplementedError

    def pushed(self, note: str, number: int = 1) -> tuple[bytes, dict[str, str]]:
        """Return body and headers by which the system itself tells of a note."""
        raise NotImplementedError

    def notes(self) -> list[dict[str, Any]]:
        """Return every note that there is, as the system holds it."""
        query = {"system": self.system, "entity": self.note}
        rows = self.simulated.client.get("/control/records", params=query).raise_for_status().json()
        return [row["fields"] for row in rows]

    def commits(self) -> list[str]:
        """Return the effect keys of the notes that were made, as the system's own ledger has them."""
        rows = self.simulated.client.get("/ledger/effects").raise_for_status().json()
        return [row["effect_key"] for row in rows if row["entity"] == self.note and row["before"] is None]

    def hear_without_judging(self) -> None:
        """Poll, and leave what came for later."""
        polling.poll_one(Connection.objects.get(pk=self.connection.pk))

    def hear(self) -> list[str]:
        """Poll, and judge what came; return what became of each new delivery."""
        self.hear_without_judging()
        return judge()

    def incident(self, **changes: Any) -> Incident:
        """Hear of the ticket for the first time, and look into it."""
        make_kind(self, **changes)
        self.hear()
        return look_into(Incident.objects.latest("pk"))


class SalesforceDesk(Desk):
    """Cases and their comments."""

    kind, system, note, path = "salesforce", "sf", "CaseComment", "POST .*CaseComment"

    def open(self) -> str:
        account = self.simulated.plant("sf", "Account", Name="Lamp House", AccountNumber="DE-001")
        case = {"Subject": "Where is it?", "Status": "Working", "AccountId": account["Id"], "Order_Number__c": ORDER}
        return str(self.simulated.plant("sf", "Case", **case)["Id"])

    def write(self, text: str, ticket: str = "") -> str:
        return str(self.simulated.plant("sf", "CaseComment", ParentId=ticket or self.ticket, CommentBody=text)["Id"])

    def close(self) -> None:
        self.simulated.edit("sf", "Case", self.ticket, Status="Closed")

    def reopen(self) -> None:
        self.simulated.edit("sf", "Case", self.ticket, Status="Working")

    def touch(self) -> None:
        self.simulated.edit("sf", "Case", self.ticket, Subject="Where is it?")

    def hurry_up(self) -> None:
        self.simulated.edit("sf", "Case", self.ticket, Priority="High", OwnerId=sobjects.RUN_AS)

    def text_of(self, note: dict[str, Any]) -> str:
        return str(note["CommentBody"])

    def pushed(self, note: str, number: int = 1) -> tuple[bytes, dict[str, str]]:
        header = {
            "entityName": "CaseComment", "recordIds": [note], "changeType": "CREATE", "changeOrigin": "com/salesforce",
            "transactionKey": "0001", "sequenceNumber": number, "commitTimestamp": 1_795_000_000_000,
        }  # fmt: skip
        event = {"data": {"payload": {"ChangeEventHeader": header}, "event": {"replayId": number}}}
        return json.dumps(event).encode(), {}


class DataverseDesk(Desk):
    """Cases and the notes on them."""

    kind, system, note, path = "dataverse", "dv", "annotation", "PATCH .*annotations"

    def open(self) -> str:
        return str(self.simulated.plant("dv", "incident", title="Where is it?", new_ordernumber=ORDER)["incidentid"])

    def write(self, text: str, ticket: str = "") -> str:
        case = ticket or self.ticket
        return str(self.simulated.plant("dv", "annotation", notetext=text, _objectid_value=case)["annotationid"])

    def close(self) -> None:
        self.simulated.edit("dv", "incident", self.ticket, statecode=1, statuscode=5)

    def reopen(self) -> None:
        self.simulated.edit("dv", "incident", self.ticket, statecode=0, statuscode=1)

    def touch(self) -> None:
        self.simulated.edit("dv", "incident", self.ticket, title="Where is it?")

    def hurry_up(self) -> None:
        self.simulated.edit("dv", "incident", self.ticket, prioritycode=1)

    def text_of(self, note: dict[str, Any]) -> str:
        return str(note["notetext"])

    def pushed(self, note: str, number: int = 1) -> tuple[bytes, dict[str, str]]:
        row = next(row for row in self.notes() if row["annotationid"] == note)
        message = telling.message_of(Change(number, "2026-11-03T12:00:00.000Z", "dv", "annotation", None, row))
        assert message is not None
        return message.body, message.headers


def make_desk(kind: str, simulated: Simulated) -> Desk:
    """One system with one open ticket, polled for tickets and for what is written on them."""
    if kind == "salesforce":
        config = {"case_comments": True}
        crm = make_crm(f"{simulated.url}/sf", secret="simulator", operations=["case.tell"], poll=True, config=config)
        return SalesforceDesk(simulated, crm)
    tables = {"tables": "incident, annotation", "tracked": "incident, annotation"}
    dv = make_dv(f"{simulated.url}/dv", secret="simulator", operations=["case.tell"], poll=True, config=tables)
    return DataverseDesk(simulated, dv)


QUERIES: dict[str, dict[str, Any]] = {
    "salesforce": {"operation": "case.get", "arguments": {"id": "incident.attributes.case_id"}},
    "dataverse": {
        "operation": "record.get",
        "arguments": {"table": "'incident'", "id": "incident.attributes.case_id"},
    },
}  # fmt: skip
WHERE = {
    "salesforce": (
        "record:Case", "event.Status != 'Closed'", "event.CaseNumber", "event.Id", "case.Status == 'Closed'",
    ),
    "dataverse": (
        "record:incident", "!event.Deleted && event.statecode == 0", "event.ticketnumber", "event.incidentid",
        "case.statecode != 0",
    ),
}  # fmt: skip


def make_kind(desk: Desk, *, closes: bool = True, code: str = "service_case", **changes: Any) -> ExceptionKind:
    """An open ticket is an incident; closed, it is healed."""
    event, where, number, key, closed = WHERE[desk.kind]
    slug = desk.connection.slug
    definition: dict[str, Any] = {
        "title": "Ticket {incident.entity_key}",
        "detect": [{
            "connection": slug, "event": event, "where": where, "entity_key": number, "attributes": {"case_id": key},
            "business_unit": "'EU'",
        }],
        "evidence": [{"as": "case", "connection": slug, "one": True, **QUERIES[desk.kind]}],
        "tickets": [{"connection": slug, "id": "incident.attributes.case_id", "closes": closes}],
        "healed": f"case != null && {closed} ? 'the ticket is closed.' : ''",
    }  # fmt: skip
    return ExceptionKind.objects.create(
        code=code, label="Ticket", domain="service", entity_type="case", definition={**definition, **changes}
    )


def judge() -> list[str]:
    """Judge what waits; return what became of each delivery that was judged now, in order."""
    waiting = list(Delivery.objects.filter(processed_at=None).order_by("pk").values_list("pk", flat=True))
    return [detection.process(key) for key in waiting]


def hurry() -> None:
    """Let what waits be due: the rows' time moves, never the clock."""
    Delivery.objects.filter(processed_at=None, not_before__isnull=False).update(not_before=F("received_at"))


def look_into(incident: Incident) -> Incident:
    """Let the loop carry an incident on until it rests."""
    loop.advance(incident.pk)
    incident.refresh_from_db()
    return incident
