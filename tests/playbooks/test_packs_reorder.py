"""An order that SAP took in for the wrong sales organization: cancelled and entered anew, and back again."""

import io
from typing import Any

import httpx
import pytest
from django.core.management import call_command
from django.test import Client

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from connectors import transport
from connectors.kit import credentials
from connectors.models import Delivery
from connectors.simulator import telling
from connectors.simulator.server import serve
from connectors.simulator.telling import Teller
from connectors.simulator.traffic import Target
from incidents.detection import process
from incidents.entity_models import Alias
from incidents.evidence import ask
from incidents.kinds import definition_of
from incidents.models import ExceptionKind, Incident
from incidents.states import Status
from playbooks import actions
from playbooks.models import Execution, Plan, StepRun
from playbooks.plans import described
from playbooks.policies import Situation, judge
from tests.connectors.factories import HOOK_SECRET
from tests.factories import make_user
from tests.playbooks.driving import drive

pytestmark = pytest.mark.django_db


class Business:
    """The simulated distributor, an open order of its company demf in it, and how SAP tells what changes."""

    def __init__(self, running: Any) -> None:
        self.running = running
        self.http = httpx.Client(base_url=running.url, trust_env=False)
        self.teller = Teller(running.store, Target("http://console.test", HOOK_SECRET, ""), {"sap": "sap"}, pause=0)
        with running.store.read() as session:
            orders = [row.fields for row in session.records("fo", "SalesOrderHeadersV2")]
        open_ones = (row for row in orders if row["SalesOrderStatus"] != "Invoiced" and row["dataAreaId"] == "demf")
        self.number = str(next(open_ones)["SalesOrderNumber"])
        self.old = str(int(self.number.removeprefix("SO-")))

    def post(self, path: str, **body: Any) -> None:
        self.http.post(f"/control/{path}", json=body).raise_for_status()

    def change(self, entity: str, key: str, **changes: Any) -> None:
        self.post("edit", system="sap", entity=entity, key=key, changes=changes)

    def read(self, entity: str, key: str) -> dict[str, Any]:
        answer = self.http.get("/control/records", params={"system": "sap", "entity": entity, "key": key})
        return dict(answer.raise_for_status().json()["fields"])

    def order(self, number: str = "") -> dict[str, Any]:
        return self.read("A_SalesOrder", number or self.old)

    def confirmed(self, number: str) -> list[float]:
        with self.running.store.read() as session:
            rows = [row.fields for row in session.records("sap", "A_SalesOrderScheduleLine")]
        return [float(row["ConfdOrderQtyByMatlAvailCheck"]) for row in rows if row["SalesOrder"] == number]

    def exposure(self) -> float:
        return float(self.read("CreditAccountSet", self.order()["SoldToParty"])["CreditExposure"])

    def enter_wrongly(self) -> Incident:
        """Let SAP have the order for the other company's organization, and tell it."""
        self.change("A_SalesOrder", self.old, SalesOrganization="1710")
        self.tell()
        return Incident.objects.get()

    def tell(self) -> list[str]:
        self.teller.turn()
        for key in list(Delivery.objects.filter(processed_at=None).order_by("id").values_list("pk", flat=True)):
            process(key)
        return list(Delivery.objects.order_by("id").values_list("outcome", flat=True))

    def effects(self) -> list[tuple[str, str]]:
        rows = self.http.get("/ledger/effects").raise_for_status().json()
        return [(row["entity"], row["kind"]) for row in rows if row["kind"] not in ("side_effect", "person")]


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
        call_command("apply", pack=["o2c", "reorder", "demo", "demo_crosswise"], stdout=io.StringIO())
        business = Business(running)
        yield business
        business.http.close()
        transport.close_all()


def agree(incident: Incident, subject: str = "plan") -> None:
    """Let everybody who is asked say yes."""
    asked = ApprovalRequest.objects.filter(incident_id=incident.pk, subject=subject).latest("pk")
    for name, role in (("ann", "approver"), ("carl", "compliance")):
        asked.refresh_from_db()
        if asked.state == "pending" and any(one["role"] == role for one in asked.requirements):
            approvals.decide(
                asked, by=make_user(f"{name}-{subject}", role=role), verdict="approve", digest=asked.digest
            )


def mended(business: Business) -> tuple[Incident, Execution]:
    incident = drive(business.enter_wrongly())
    agree(incident)
    drive(incident)
    assert incident.status == Status.RESOLVED, incident.status_reason
    return incident, Execution.objects.get(incident=incident)


def test_it_is_one_incident_about_the_order_as_fo_knows_it(business):
    incident = business.enter_wrongly()
    business.change("A_SalesOrder", business.old, ShippingCondition="02")

    assert set(business.tell()) == {"signal"}
    assert Incident.objects.get() == incident
    assert (incident.kind.code, incident.entity_key) == ("wrong_sales_area", business.number)


def test_what_is_proposed_shows_stock_and_credit_and_waits_for_an_approver(business):
    incident = drive(business.enter_wrongly())

    plan = Plan.objects.get(incident=incident)
    told = {(change["entity"], change["field"]) for step in plan.steps.all() for change in step.predicted}
    assert incident.status == Status.AWAITING_APPROVAL
    assert [step.undo["operation"] for step in plan.steps.all()] == ["order.reopen", "order.withdraw"]
    assert told >= {
        ("A_SalesOrderItem", "SalesDocumentRjcnReason"),
        ("A_SalesOrderScheduleLine", "ConfdOrderQtyByMatlAvailCheck"),
        ("CreditExposure", "CreditExposure"),
        ("OrderReplacement", "SalesOrganization"),
    }
    assert business.effects() == []


def test_once_agreed_it_is_cancelled_and_entered_anew_with_its_links_stock_and_credit(business):
    before, asked, exposed = business.order(), business.confirmed(business.old), business.exposure()

    incident, execution = mended(business)

    new = StepRun.objects.get(execution=execution, number=2).result["order"]
    old, now = business.order(), business.order(new)
    assert (old["OverallSDDocumentRejectionSts"], now["OverallSDDocumentRejectionSts"]) == ("C", "A")
    assert (now["SalesOrganization"], now["PurchaseOrderByCustomer"]) == ("1010", business.number)
    assert (now["SoldToParty"], float(now["TotalNetAmount"])) == (
        before["SoldToParty"],
        float(before["TotalNetAmount"]),
    )
    assert (sum(business.confirmed(business.old)), business.confirmed(new)) == (0.0, asked)
    assert business.exposure() == pytest.approx(exposed)
    assert incident.status_reason


def test_both_orders_are_known_as_the_same(business):
    incident, execution = mended(business)
    new = StepRun.objects.get(execution=execution, number=2).result["order"]

    known = set(Alias.objects.filter(type="order", resolves=True, system="sap").values_list("value", flat=True))
    assert business.old in known
    assert f"{business.old}/" in business.order(new)["PurchaseOrderByShipToParty"]
    assert incident.entity_key == business.order(new)["PurchaseOrderByCustomer"]


def test_what_goldseam_did_itself_opens_nothing_anew(business):
    mended(business)

    told = business.tell()

    assert "signal" not in told[1:]
    assert Incident.objects.count() == 1


def test_undone_the_old_order_stands_again_and_the_new_one_asks_for_nothing(business):
    stood = business.confirmed(business.old)
    incident, execution = mended(business)
    new = StepRun.objects.get(execution=execution, number=2).result["order"]

    back = actions.roll_back(execution, by=make_user("olga", role="operator"), reason="the organization was right")
    assert back.approval_id is not None
    agree(incident, "rollback")
    drive(incident)

    assert incident.status == Status.ROLLED_BACK, incident.status_reason
    assert (business.confirmed(business.old), sum(business.confirmed(new))) == (stood, 0.0)
    assert business.order()["OverallSDDocumentRejectionSts"] == "A"
    assert business.order(new)["OverallSDDocumentRejectionSts"] == "C"


def test_what_is_delivered_goes_to_a_person(business):
    with business.running.store.read() as session:
        items = [
            row.key for row in session.records("sap", "A_SalesOrderItem") if row.fields["SalesOrder"] == business.old
        ]
    business.change("A_SalesOrderItem", items[0], DeliveryStatus="B")

    incident = drive(business.enter_wrongly())

    assert incident.root_causes.latest("round").cause == "delivered_wrongly"
    assert incident.status == Status.NEEDS_OPERATOR, incident.status_reason
    assert business.effects() == []


def test_an_order_that_somebody_entered_anew_by_hand_is_only_cancelled(business):
    incident = business.enter_wrongly()
    row = {**business.order(), "SalesOrder": "9000001", "SalesOrganization": "1010"}
    business.post("records", system="sap", entity="A_SalesOrder", fields=row)

    drive(incident)
    agree(incident)
    drive(incident)

    assert incident.root_causes.latest("round").cause == "entered_twice"
    assert incident.status == Status.RESOLVED, incident.status_reason
    assert {entity for entity, _ in business.effects()} == {"A_SalesOrderItem"}


def test_an_order_for_the_right_organization_is_none_of_this(business):
    business.change("A_SalesOrder", business.old, ShippingCondition="02")

    assert business.tell() == ["nothing_wrong"]
    assert not Incident.objects.exists()


def test_nobody_may_enter_it_for_a_company_that_does_not_sell_it(business):
    incident = drive(business.enter_wrongly())
    situation: dict[str, Any] = {
        "operation": "sap:order.replace", "connection": "sap", "record": {}, "changes": {}, "risk": "high",
        "incident": described(incident), "financial": False, "amount": None, "currency": "", "actor": "x",
        "subject": "plan",
    }  # fmt: skip

    verdicts = {
        area: {
            one.policy: one.verdict for one in judge(Situation(parameters={"sales_organization": area}, **situation))
        }
        for area in ("1010", "1710")
    }

    assert verdicts["1710"]["sap-order-where-fo-sells-it"] == "block"
    assert verdicts["1010"].get("sap-order-where-fo-sells-it", "allow") == "allow"


def test_an_order_that_was_entered_anew_is_the_one_that_other_kinds_look_at(business):
    call_command("apply", pack=["crosswise"], stdout=io.StringIO())
    _, execution = mended(business)
    new = StepRun.objects.get(execution=execution, number=2).result["order"]
    query = next(
        one
        for one in definition_of(ExceptionKind.objects.get(code="held_elsewhere")).evidence
        if one.name == "sap_order"
    )
    variables = {"incident": {"entity_key": business.number}}

    ask([query], variables, actor="test")

    assert variables["sap_order"]["SalesOrder"] == new
