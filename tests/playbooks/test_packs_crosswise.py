"""One order in F&O, SAP and Dataverse: told by two of them it is one incident, and one plan mends it in both."""

import io
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from django.core.management import call_command
from django.test import Client

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from connectors import credentials, transport
from connectors.models import Delivery
from connectors.simulator import holding, telling
from connectors.simulator.business import planted
from connectors.simulator.server import serve
from connectors.simulator.telling import Teller
from connectors.simulator.traffic import Target
from incidents.detection import process
from incidents.entity_models import Alias
from incidents.intake import accept
from incidents.models import Incident
from incidents.normal import NormalSignal
from incidents.states import Status
from playbooks.models import StepRun
from tests.connectors.factories import HOOK_SECRET
from tests.factories import make_user
from tests.playbooks.driving import drive

pytestmark = pytest.mark.django_db


class Business:
    """The simulated distributor, its people, and how its systems reach the console."""

    def __init__(self, running: Any) -> None:
        self.running = running
        self.http = httpx.Client(base_url=running.url, trust_env=False)
        target = Target("http://console.test", HOOK_SECRET, "")
        self.teller = Teller(running.store, target, {"dv": "dv", "sap": "sap"}, pause=0)
        self.order = self._free_order()
        self.number = self.order["SalesOrderNumber"]
        self.sap_key = str(int(self.number.removeprefix("SO-")))

    def _free_order(self) -> dict[str, Any]:
        """An open order that nothing is wrong with, of a customer who owes nothing overdue."""
        wrong = {fact.order for fact in planted()}
        with self.running.store.read() as session:
            paid = {
                (row.fields["dataAreaId"], row.fields["CustomerAccount"])
                for row in session.records("fo", "CustomersV3")
                if not row.fields["OverdueAmount"]
            }
            orders = [row.fields for row in session.records("fo", "SalesOrderHeadersV2")]
        return next(
            row
            for row in orders
            if row["CreditHold"] == "No"
            and row["SalesOrderStatus"] != "Invoiced"
            and row["SalesOrderNumber"] not in wrong
            and (row["dataAreaId"], row["OrderingCustomerAccountNumber"]) in paid
        )

    def stands(self, system: str) -> dict[str, Any]:
        """The order as a system has it."""
        entity, field, key = {
            "dv": ("salesorder", "ordernumber", self.number),
            "sap": ("A_SalesOrder", "SalesOrder", self.sap_key),
        }[system]
        with self.running.store.read() as session:
            return next(row.fields for row in session.records(system, entity) if row.fields[field] == key)

    def hold(self, system: str) -> None:
        """Let somebody stop the order in one system."""
        entity, key, changes = {
            "dv": ("salesorder", self.stands("dv")["salesorderid"], {"new_onhold": True}),
            "sap": ("A_SalesOrder", self.sap_key, {"TotalCreditCheckStatus": "B"}),
        }[system]
        body = {"system": system, "entity": entity, "key": key, "changes": changes}
        self.http.post("/control/edit", json=body).raise_for_status()

    def tell(self) -> list[str]:
        """Let the systems say what is new, and judge what arrived; returns what became of each delivery."""
        self.teller.turn()
        waiting = Delivery.objects.filter(processed_at=None).order_by("id").values_list("pk", flat=True)
        for key in list(waiting):
            process(key)
        return list(Delivery.objects.order_by("id").values_list("outcome", flat=True))

    def effects(self) -> list[tuple[str, str]]:
        """What was done to the order on somebody's behalf: system and entity of each keyed effect."""
        rows = self.http.get("/ledger/effects").raise_for_status().json()
        return sorted((row["system"], row["entity"]) for row in rows if row["kind"] not in ("side_effect", "person"))


@pytest.fixture
def business(db, tmp_path, settings, monkeypatch):
    def send(url: str, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, float]:
        given = {name: value for name, value in headers.items() if name != "Content-Type"}
        answer = Client().generic(method, path, body, content_type=headers["Content-Type"], headers=given)
        return answer.status_code, 0.0

    monkeypatch.setattr(telling, "send", send)
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

    known = {(alias.system, alias.value) for alias in Alias.objects.filter(type="order", resolves=True)}
    assert known >= {("sap", business.sap_key), ("dv", business.stands("dv")["salesorderid"])}
    for source, name in (("sap", business.sap_key), ("dv", business.stands("dv")["salesorderid"])):
        told = NormalSignal(
            source=source, id=f"by-{source}", time=datetime.now(UTC), code="held_elsewhere", entity_type="order",
            entity_key=name, business_unit=incident.business_unit, region=incident.region,
        )  # fmt: skip
        assert accept(told).incident == incident


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

    assert [scene.system for scene in planned] == ["dv", "sap", "sap", "dv"]
    assert first == ["signal", "signal"]
    told = Incident.objects.order_by("id").values_list("kind__code", "signals_count")
    assert list(told) == [("held_elsewhere", 2), ("held_elsewhere", 2)]
