"""Added, modified or deleted: whichever way a system tells it, triggers see one form, and one change is one signal."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from connectors import registry
from connectors.inbound import polling, webhooks
from connectors.kit.changed import Changed, How, by_stamps
from connectors.models import Connection, Delivery
from connectors.registry import KINDS
from incidents.detection import process
from incidents.models import Incident, Signal
from tests.connectors.business import plant_case, plant_crm, plant_invoice
from tests.connectors.conftest import Simulated
from tests.connectors.factories import HOOK_SECRET, make_crm, make_dv, make_fo
from tests.connectors.sap_world import ORDER, make_sap
from tests.incidents.factories import make_kind

GUID = "2f0c1c1e-0000-0000-0000-000000000001"
CASE = "5003000000D8cuIAAR"
AT, LATER = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
INVOICES = (
    "SalesInvoicePostedBusinessEvent: SalesInvoiceHeadersV2 by InvoiceDate, InvoiceId=InvoiceNumber,"
    " InvoiceDate=InvoiceDate"
)
HELD, FREE = {"creditonhold": True}, {"creditonhold": False}


def context(message: str, **parts: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {"Target": {}, "PreEntityImages": {}, "PostEntityImages": {}}
    return {"PrimaryEntityName": "account", "PrimaryEntityId": GUID, "MessageName": message, **empty, **parts}


def image(**columns: Any) -> dict[str, Any]:
    return {"image": {"Attributes": columns}}


def sf_payload(**parts: Any) -> dict[str, Any]:
    return {"Id": CASE, **parts}


def sap_event(verb: str, **parts: Any) -> dict[str, Any]:
    kind = f"sap.s4.beh.salesorder.v1.SalesOrder.{verb}.v1"
    return {"specversion": "1.0", "type": kind, "data": {"SalesOrder": "0000000001"}, **parts}


@dataclass(frozen=True)
class Way:
    """One way by which a kind tells something, and what triggers are to see of it."""

    kind: str
    name: str
    event: str
    payload: dict[str, Any]
    how: How
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    fields: list[str] | None = None
    about: tuple[str, str] = ("account", GUID)
    config: dict[str, Any] = field(default_factory=dict)


ROW = {"PrimaryEntityName": "account", "PrimaryEntityId": GUID, "Deleted": False, "accountid": GUID}
BILL = {"SalesOrder": "1", "SoldToParty": "1000001", "LastChangeDateTime": AT}
STAMPED = {"CreatedDate": AT, "SystemModstamp": LATER}
DV, SF, SAP, FO = "dataverse", "salesforce", "sap", "dynamics_fo"
THE_CASE, THE_ORDER = ("Case", CASE), ("A_SalesOrder", "1")
WAYS = [
    # Dataverse by webhook: what its step's images hold is known, and no more.
    Way(DV, "added", "account.Create", context("Create", Target=HELD), How.ADDED, {}, HELD, ["creditonhold"]),
    Way(
        DV, "modified with images", "account.Update",
        context("Update", Target=HELD, PreEntityImages=image(creditonhold=False, name="Lamps")),
        How.MODIFIED, {**FREE, "name": "Lamps"}, {**HELD, "name": "Lamps"}, ["creditonhold"],
    ),
    Way(
        DV, "modified with the image after", "account.Update",
        context("Update", Target=HELD, PostEntityImages=image(creditonhold=True, name="Lamps")),
        How.MODIFIED, None, {**HELD, "name": "Lamps"}, ["creditonhold"],
    ),
    Way(DV, "modified", "account.Update", context("Update", Target=HELD), How.MODIFIED, None, HELD, ["creditonhold"]),
    Way(
        DV, "cut short and read", "account.Update", context("Update", Target=HELD, Gone=False, Shortened=False),
        How.MODIFIED, None, HELD,
    ),
    Way(DV, "gone when read", "account.Update", context("Update", Gone=True), How.DELETED, None, {}),
    Way(
        DV, "deleted with an image", "account.Delete", context("Delete", PreEntityImages=image(**FREE)),
        How.DELETED, FREE, {},
    ),
    Way(DV, "deleted", "account.Delete", context("Delete"), How.DELETED, None, {}),
    Way(
        DV, "lookup", "account.Update", context("Update", Target={"ownerid": {"Id": GUID, "LogicalName": "team"}}),
        How.MODIFIED, None, {"ownerid": GUID}, ["ownerid"],
    ),
    # Dataverse by change tracking: the row as it stands; its stamps tell a new one.
    Way(DV, "tracked", "record:account", {**ROW, **HELD}, How.SAVED, None, {**HELD, "accountid": GUID}),
    Way(
        DV, "tracked new", "record:account", {**ROW, "createdon": AT, "modifiedon": AT},
        How.ADDED, {}, {"accountid": GUID, "createdon": AT, "modifiedon": AT}, None,
    ),
    Way(
        DV, "tracked changed", "record:account", {**ROW, "createdon": AT, "modifiedon": LATER, "_ownerid_value": GUID},
        How.MODIFIED, None, {"accountid": GUID, "createdon": AT, "modifiedon": LATER, "ownerid": GUID},
    ),
    Way(DV, "tracked gone", "record:account:deleted", {**ROW, "Deleted": True}, How.DELETED, None, {}),
    # Salesforce: none of its ways says what stood before.
    Way(
        SF, "change event, new", "record:Case", sf_payload(Status="New", attributes={"changeType": "CREATE"}),
        How.ADDED, {}, {"Id": CASE, "Status": "New"}, None, THE_CASE,
    ),
    Way(
        SF, "change event", "changed:Case",
        sf_payload(Status="Closed", attributes={"changeType": "UPDATE", "changedFields": ["Status"]}),
        How.MODIFIED, None, {"Id": CASE, "Status": "Closed"}, ["Status"], THE_CASE,
    ),
    Way(
        SF, "change event, gone", "deleted:Case", sf_payload(attributes={"changeType": "DELETE"}),
        How.DELETED, None, {}, None, THE_CASE,
    ),
    Way(
        SF, "gap", "gap:Case", sf_payload(attributes={"changeType": "GAP_UPDATE"}), How.MODIFIED, None, None, None,
        THE_CASE,
    ),
    Way(
        SF, "outbound message, read", "record:Case", sf_payload(**STAMPED, attributes={"told": "outbound message"}),
        How.MODIFIED, None, {"Id": CASE, **STAMPED}, None, THE_CASE,
    ),
    Way(
        SF, "outbound message, gone when read", "record:Case", sf_payload(gone=True, attributes={}),
        How.DELETED, None, {}, None, THE_CASE,
    ),
    Way(
        SF, "poll", "record:Case", sf_payload(**STAMPED), How.MODIFIED, None, {"Id": CASE, **STAMPED}, None, THE_CASE,
    ),
    Way(SF, "poll without stamps", "record:Case", sf_payload(), How.SAVED, None, {"Id": CASE}, None, THE_CASE),
    # SAP: an event names its record, which is read.
    Way(SAP, "event, new", "x", sap_event("Created", record=BILL), How.ADDED, {}, BILL, None, THE_ORDER),
    Way(SAP, "event", "x", sap_event("Changed", record=BILL), How.MODIFIED, None, BILL, None, THE_ORDER),
    Way(SAP, "event, not read yet", "x", sap_event("Changed"), How.MODIFIED, None, None, None, THE_ORDER),
    Way(SAP, "event, gone", "x", sap_event("Deleted", record={}, gone=True), How.DELETED, None, {}, None, THE_ORDER),
    Way(SAP, "event, approval", "x", sap_event("ApprovalStsChanged"), How.MODIFIED, None, None, None, THE_ORDER),
    Way(SAP, "poll", "record:A_SalesOrder", BILL, How.SAVED, None, BILL, None, THE_ORDER),
    Way(
        SAP, "IDoc", "INVOIC", {"MESTYP": "INVOIC", "segments": {"E1EDK01": [{"BELNR": "90000001"}]}},
        How.SAVED, None, None, None, ("INVOIC", "90000001"),
    ),
    # F&O: which record an event tells of stands in the connection.
    Way(
        FO, "business event", "SalesInvoicePostedBusinessEvent",
        {"BusinessEventLegalEntity": "demf", "InvoiceId": "INV-1", "InvoiceDate": AT}, How.SAVED, None,
        {"InvoiceNumber": "INV-1", "InvoiceDate": AT, "dataAreaId": "demf"}, None,
        ("SalesInvoiceHeadersV2", "demf/INV-1"), {"reconcile": INVOICES},
    ),
]  # fmt: skip


def connection_of(way: Way) -> Connection:
    makers = {DV: make_dv, SF: make_crm, SAP: make_sap, FO: make_fo}
    made = makers[way.kind]()
    made.config = {**made.config, **way.config}
    return made


@pytest.mark.django_db
@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.kind} {way.name}")
def test_each_way_gives_the_same_form(way: Way) -> None:
    change = registry.change_of(connection_of(way), way.event, way.payload)

    assert change is not None
    told = change.told()
    assert list(told) == ["how", "entity", "key", "before", "after", "fields"]
    assert (told["entity"], told["key"]) == way.about
    assert (told["how"], told["before"], told["after"]) == (way.how, way.before, way.after)
    assert told["fields"] == way.fields
    assert json.loads(json.dumps(told)) == told


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.kind} {way.name}")
def test_what_is_not_known_is_never_said_to_be_nothing(way: Way) -> None:
    assert (way.before == {}) == (way.how is How.ADDED)
    assert (way.after == {}) == (way.how is How.DELETED)


def test_each_kind_that_tells_of_records_is_here() -> None:
    telling = {slug for slug, kind in KINDS.items() if registry._beside(kind.__module__, "changed", "change")}

    assert telling == {way.kind for way in WAYS}
    assert {way.how for way in WAYS if way.kind in (DV, SF, SAP)} == set(How)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("make", "event", "payload"),
    [
        (make_dv, "account.new_Approve", context("new_Approve")),
        (make_dv, "account.Update", {}),
        (make_crm, "Order_Event__e", {"attributes": {"told": "platform event"}}),
        (make_crm, "resync:Case", {"attributes": {"type": "Case"}}),
        (make_sap, "x", sap_event("Changed", data={"Something": "1"})),
        (make_sap, "record:Z_Own", {"Key": "1"}),
        (make_sap, "DESADV", {"segments": {"E1EDL20": [{"VBELN": "80000001"}]}}),
        (make_fo, "SalesInvoicePostedBusinessEvent", {"InvoiceId": "INV-1"}),
        (make_fo, "Workflow_Something_Started", {}),
    ],
)
def test_what_tells_of_no_record_is_left_as_it_came(make: Any, event: str, payload: dict[str, Any]) -> None:
    assert registry.change_of(make(), event, payload) is None


def test_the_fields_that_differ_are_worked_out_where_both_sides_are_known() -> None:
    change = Changed(How.MODIFIED, "account", GUID, {"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4})

    assert change.told()["fields"] == ["b"]


def test_stamps_tell_a_new_record_only_where_both_are_known() -> None:
    first, second = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)

    assert [by_stamps(first, first), by_stamps(first, second)] == [How.ADDED, How.MODIFIED]
    assert {by_stamps(None, first), by_stamps(first, None)} == {How.SAVED}


# --- one change, told in two ways ------------------------------------------------------------------
def rule(connection: str, event: str, **changes: Any) -> dict[str, Any]:
    return {"connection": connection, "event": event, "entity_key": "event.change.key", **changes}


def judged() -> list[str]:
    return [process(row.pk) for row in Delivery.objects.filter(processed_at=None).order_by("id")]


def once() -> None:
    """Hold that all that was told is one signal of one incident."""
    assert set(judged()) == {"signal"}
    assert Delivery.objects.count() == 2
    assert (Signal.objects.count(), Incident.objects.count()) == (1, 1)


@pytest.mark.django_db
def test_dataverse_by_webhook_and_by_change_tracking(simulated: Simulated) -> None:
    hold = "event.change.after != null && event.change.after.creditonhold == true"
    make_kind(detect=[rule("dv", "account.Update", when=hold), rule("dv", "record:account", when=hold)])
    dv = make_dv(f"{simulated.url}/dv", secret="simulator", config={"tracked": "account"})
    key = plant_crm(simulated)["account"]
    simulated.edit("dv", "account", key, creditonhold=True)
    polling.poll_one(dv)
    stamp = str(Delivery.objects.get(payload__creditonhold=True).payload["modifiedon"])
    Delivery.objects.exclude(payload__creditonhold=True).delete()
    milliseconds = int(datetime.fromisoformat(stamp).timestamp() * 1000)
    columns = [{"key": "creditonhold", "value": True}, {"key": "modifiedon", "value": f"/Date({milliseconds})/"}]
    body = {
        "PrimaryEntityName": "account", "PrimaryEntityId": key, "MessageName": "Update",
        "OperationId": "4af10637-4ea2-e711-8122-000d3aa2331c",
        "InputParameters": [{"key": "Target", "value": {"Attributes": columns, "LogicalName": "account"}}],
    }  # fmt: skip
    webhooks.receive(dv, json.dumps(body).encode(), {})

    once()


@pytest.mark.django_db
def test_salesforce_by_change_event_and_by_poll(simulated: Simulated) -> None:
    make_kind(detect=[rule("crm", "record:Case", when="event.change.how != 'deleted'")])
    crm = make_crm(f"{simulated.url}/sf", secret="simulator", hook_secret=HOOK_SECRET, poll=True)
    case = plant_case(simulated)
    header = {"entityName": "Case", "changeType": "UPDATE", "recordIds": [case["Id"]], "commitTimestamp": 1767225600000}
    webhooks.receive(crm, json.dumps({"payload": {"ChangeEventHeader": header}, "event": {"replayId": 7}}).encode(), {})
    polling.poll_one(crm)

    once()


@pytest.mark.django_db
def test_sap_by_event_and_by_poll(sap: Connection, simulated: Simulated) -> None:
    blocked = "event.change.after != null && event.change.after.TotalCreditCheckStatus == 'B'"
    kind = "sap.s4.beh.salesorder.v1.SalesOrder.Changed.v1"
    make_kind(detect=[rule("sap", kind, when=blocked), rule("sap", "record:A_SalesOrder", when=blocked)])
    event = {**sap_event("Changed", data={"SalesOrder": ORDER}), "source": "/s4", "id": "1", "time": AT}
    webhooks.receive(sap, json.dumps(event).encode(), {})
    polling.poll_one(sap)

    once()


@pytest.mark.django_db
def test_fo_by_business_event_and_by_reading_back(fo: Connection, simulated: Simulated) -> None:
    Connection.objects.update(config={**fo.config, "reconcile": INVOICES})
    fo = Connection.objects.get()
    make_kind(detect=[rule("fo", "SalesInvoicePostedBusinessEvent")])
    at = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    plant_invoice(simulated, InvoiceNumber="INV-1", InvoiceDate=at.strftime("%Y-%m-%dT%H:%M:%SZ"))
    event = {
        "BusinessEventId": "SalesInvoicePostedBusinessEvent", "BusinessEventLegalEntity": "demf", "InvoiceId": "INV-1",
        "EventId": "e-1", "InvoiceDate": f"/Date({int(at.timestamp() * 1000)})/",
    }  # fmt: skip
    webhooks.receive(fo, json.dumps(event).encode(), {})
    polling.poll_one(fo)

    once()


@pytest.mark.django_db
def test_a_second_change_of_the_same_record_is_a_second_signal(sap: Connection, simulated: Simulated) -> None:
    make_kind(detect=[rule("sap", "record:A_SalesOrder")])
    polling.poll_one(sap)
    assert judged() == ["signal"]
    simulated.edit("sap", "A_SalesOrder", ORDER, ShippingCondition="03")
    polling.poll_one(Connection.objects.get())

    assert judged() == ["signal"]
    assert (Signal.objects.count(), Incident.objects.count()) == (2, 1)


@pytest.mark.django_db
def test_a_stage_that_went_back_is_seen_where_the_source_says_what_stood_before(simulated: Simulated) -> None:
    back = "event.change.before != null && event.change.before.stage > event.change.after.stage"
    make_kind(detect=[rule("dv", "account.Update", when=back)])
    dv = make_dv(f"{simulated.url}/dv", secret="simulator", hook_secret=HOOK_SECRET)
    for number, (before, after) in enumerate([(2, 3), (3, 1), (None, 1)]):
        images = [{"key": "pre", "value": {"Attributes": [{"key": "stage", "value": before}]}}] if before else []
        body = {
            "PrimaryEntityName": "account", "PrimaryEntityId": GUID, "MessageName": "Update",
            "OperationId": f"4af10637-4ea2-e711-8122-00000000000{number}", "PreEntityImages": images,
            "InputParameters": [{"key": "Target", "value": {"Attributes": [{"key": "stage", "value": after}]}}],
        }  # fmt: skip
        headers = {"X-Goldseam-Secret": HOOK_SECRET}
        Client().post("/api/v1/hooks/dv/", json.dumps(body), content_type="application/json", headers=headers)
    assert dv.slug == "dv"

    assert judged() == ["nothing_wrong", "signal", "nothing_wrong"]
