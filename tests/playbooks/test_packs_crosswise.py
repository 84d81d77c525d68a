"""One order in F&O, SAP and Dataverse: told by two of them it is one incident, and one plan mends it in both."""

import io
from datetime import UTC, datetime

import pytest
from django.core.management import call_command
from django.test import Client

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from connectors import transport
from connectors.kit import credentials
from connectors.models import Connection, Delivery
from connectors.simulator.distributor import holding
from connectors.simulator.server import serve
from incidents.entity_models import Alias
from incidents.intake import accept
from incidents.models import Incident
from incidents.normal import NormalSignal
from incidents.states import Status
from playbooks.models import StepRun
from tests.connectors.factories import HOOK_SECRET
from tests.factories import make_user
from tests.playbooks.driving import drive
from tests.playbooks.enterprise import Business, reach_by_hooks

pytestmark = pytest.mark.django_db


@pytest.fixture
def business(db, tmp_path, settings, monkeypatch):
    reach_by_hooks(monkeypatch)
    with serve(tmp_path, port=0, synchronous="OFF") as running:
        monkeypatch.setenv("GOLDSEAM_SIMULATOR_URL", running.url)
        monkeypatch.setenv("GOLDSEAM_SIMULATOR_SECRET", "simulator")
        monkeypatch.setenv("GOLDSEAM_HOOK_SECRET", HOOK_SECRET)
        monkeypatch.setenv("GOLDSEAM_DEMO_PASSWORD", "correct horse battery staple")
        settings.OUTBOUND_ALLOW = [running.url.removeprefix("http://")]
        credentials.forget_all()
        call_command("apply", pack=["o2c", "crosswise", "demo", "demo_crosswise"], stdout=io.StringIO())
        business = Business(running)
        yield business
        business.http.close()
        transport.close_all()


@pytest.mark.parametrize("first", ["dv", "sap"])
def test_an_order_that_two_systems_hold_is_one_incident_whoever_tells_it_first(business, first):
    for system in (first, "sap" if first == "dv" else "dv"):
        business.hold(system)

        assert set(business.tell()) == {"signal"}

    incident = Incident.objects.get()
    assert incident.kind.code == "held_elsewhere"
    assert incident.entity_key == business.number
    assert sorted(incident.signals.values_list("source", flat=True)) == ["dv", "sap"]


def test_one_plan_mends_it_in_both_systems_once_somebody_agreed(business):
    business.hold("dv")
    business.hold("sap")
    business.tell()

    incident = drive(Incident.objects.get())
    waiting = (incident.status, business.stands("sap")["TotalCreditCheckStatus"], business.stands("dv")["new_onhold"])
    asked = ApprovalRequest.objects.get(incident_id=incident.pk)
    for name, role in (("ann", "approver"), ("carl", "compliance")):
        approvals.decide(asked, by=make_user(name, role=role), verdict="approve", digest=asked.digest)
        asked.refresh_from_db()
    drive(incident)

    assert waiting == (Status.AWAITING_APPROVAL, "B", True)
    assert incident.status == Status.RESOLVED, incident.status_reason
    assert business.stands("sap")["TotalCreditCheckStatus"] != "B"
    assert business.stands("dv")["new_onhold"] is False
    assert business.effects() == [("dv", "salesorder"), ("sap", "A_SalesOrder")]
    assert StepRun.objects.filter(execution__incident=incident, verifications__matched=True).distinct().count() == 2


def test_what_goldseam_changed_itself_opens_nothing_anew(business):
    test_one_plan_mends_it_in_both_systems_once_somebody_agreed(business)
    before = Delivery.objects.count()

    told = business.tell()

    assert len(told) > before
    assert "signal" not in told[before:]
    assert Incident.objects.count() == 1


def test_the_order_is_known_by_its_id_in_each_system(business):
    business.hold("sap")
    business.tell()
    incident = drive(Incident.objects.get())

    ids = {"sap": business.sap_key, "dv": business.stands("dv")["salesorderid"], "crm": business.stands("sf")["Id"]}
    known = {(alias.system, alias.value) for alias in Alias.objects.filter(type="order", resolves=True)}
    assert known >= set(ids.items())
    account = Alias.objects.get(system="crm", type="account", record_type="Account", field="")
    assert account.entity.label == business.order["OrderingCustomerAccountNumber"]
    for source, name in ids.items():
        told = NormalSignal(
            source=source, id=f"by-{source}", time=datetime.now(UTC), code="held_elsewhere", entity_type="order",
            entity_key=name, business_unit=incident.business_unit, region=incident.region,
        )  # fmt: skip
        assert accept(told).incident == incident


def sales_order(incident):
    """What the newest evidence says of the order in Salesforce."""
    return incident.evidence.filter(name="sales_order").order_by("pk").last()


def test_the_incidents_page_shows_the_record_of_salesforce_beside_the_others(business):
    business.hold("sap")
    business.tell()
    incident = drive(Incident.objects.get())
    browser = Client()
    browser.force_login(make_user("olga", role="operator", units=[incident.business_unit]))

    body = browser.get(f"/incidents/{incident.pk}/").content.decode()

    row = sales_order(incident)
    assert (row.system, row.entity, row.record_id) == ("crm", "Order", business.stands("sf")["Id"])
    assert row.content == {
        "OrderReferenceNumber": business.number, "OrderNumber": business.stands("sf")["OrderNumber"],
        "Status": "Activated",
    }  # fmt: skip
    assert all(name in body for name in (row.record_id, business.stands("dv")["salesorderid"]))


def test_that_salesforce_has_no_such_order_is_evidence_too(business):
    body = {"system": "sf", "entity": "Order", "key": business.stands("sf")["Id"]}
    changes = {"OrderReferenceNumber": "SO-of-nobody"}
    business.http.post("/control/edit", json={**body, "changes": changes}).raise_for_status()
    business.hold("dv")
    business.hold("sap")
    business.tell()

    incident = drive(Incident.objects.get())

    row = sales_order(incident)
    assert (row.record_id, row.content["outcome"]) == ("", "none")
    assert row.content["arguments"]["where"] == {"OrderReferenceNumber": business.number}
    assert incident.status == Status.AWAITING_APPROVAL
    assert not Alias.objects.filter(system="crm", record_type="Order").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("twice", "more than 1 of Order have this OrderReferenceNumber; which is meant cannot be told"),
        ("closed", "may not find Order: “Records it may find” at the connection opens nothing"),
    ],
)
def test_where_it_cannot_be_told_which_order_is_meant_the_incident_goes_on_and_says_why(business, change, said):
    if change == "twice":
        twin = {"OrderReferenceNumber": business.number, "AccountId": business.stands("sf")["AccountId"]}
        planted = {"system": "sf", "entity": "Order", "fields": twin}
        business.http.post("/control/records", json=planted).raise_for_status()
    else:
        crm = Connection.objects.get(slug="crm")
        Connection.objects.filter(pk=crm.pk).update(config={**crm.config, "findable": ""})
    business.hold("dv")
    business.hold("sap")
    business.tell()

    incident = drive(Incident.objects.get())

    row = sales_order(incident)
    assert (row.record_id, row.content["outcome"]) == ("", "unreadable")
    assert said in row.content["reason"]
    assert incident.status == Status.AWAITING_APPROVAL
    assert not Alias.objects.filter(system="crm", record_type="Order").exists()


def test_an_order_that_the_leading_system_holds_too_is_none_of_this(business):
    body = {"system": "fo", "entity": "SalesOrderHeadersV2", "changes": {"CreditHold": "Yes"}}
    key = {"dataAreaId": business.order["dataAreaId"], "SalesOrderNumber": business.number}
    business.http.post("/control/edit", json={**body, "key": key}).raise_for_status()
    business.hold("sap")
    business.hold("dv")

    assert set(business.tell()) == {"nothing_wrong"}
    assert not Incident.objects.exists()


def test_told_again_it_adds_nothing(business):
    business.hold("sap")
    business.tell()
    with business.running.store.write() as session:
        session.set_meta("told", "0")

    business.tell()

    assert Delivery.objects.count() == 1
    assert Incident.objects.get().signals.count() == 1


def test_people_of_the_demo_stop_two_orders_and_each_is_one_incident(business):
    with business.running.store.read() as session:
        planned = holding.scenes(session)

    business.teller.play(planned, 30)
    first = business.tell()
    business.teller.play(planned, 30)
    business.teller.play(planned, 100)
    business.tell()

    stopping = [scene.system for scene in planned if scene.system in ("dv", "sap")]
    assert stopping == ["dv", "sap", "sap", "dv"]
    assert first == ["signal", "signal"]
    told = Incident.objects.order_by("id").values_list("kind__code", "signals_count")
    assert list(told) == [("held_elsewhere", 2), ("held_elsewhere", 2)]
