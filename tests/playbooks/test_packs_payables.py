"""The P2P pack against the simulated distributor: found, diagnosed, held or handed on, and taken back."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from approvals.models import ApprovalRequest
from connectors.simulator.distributor.business import build
from connectors.simulator.server import serve
from incidents import evidence, rootcause
from incidents.models import Incident, Statement
from incidents.states import Status
from playbooks import actions
from playbooks.models import Execution, StepRun
from tests import loopback
from tests.playbooks import distributor
from tests.playbooks.distributor import drive, take_in
from tests.playbooks.test_packs_detect import alert

pytestmark = pytest.mark.django_db
KINDS = ("duplicate_vendor_invoice", "three_way_mismatch", "missing_goods_receipt", "vendor_bank_changed")
HELD = {
    "duplicate_vendor_invoice": "entered_twice",
    "three_way_mismatch": "price_above_order",
    "missing_goods_receipt": "not_received",
}


def payables():
    return build(7, datetime.now(UTC).date()).payables


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("simulator"), port=0, synchronous="OFF") as running:
        yield running


@pytest.fixture
def simulator(db, running, settings, monkeypatch):
    """The whole distributor as on its first day, and the packs."""
    with loopback.client(running.url) as outsider:
        outsider.post("/control/reset", json={"business": "demo"}).raise_for_status()
    distributor.lead_to(running.url, settings, monkeypatch)
    distributor.install(running.url, "o2c", "p2p", "demo", confirm_breadth="Both are tested here.")
    return running


def stored(simulator, entity, key):
    with simulator.store.read() as session:
        (row,) = (one.fields for one in session.records("fo", entity) if key in one.key)
    return row


def fact_of(kind, cause, *, most=2500):
    return next(one for one in payables() if (one.kind, one.cause) == (kind, cause) and one.amount <= most)


@pytest.mark.parametrize("kind", KINDS)
def test_each_planted_exception_gets_its_cause_and_what_looks_alike_another(simulator, kind):
    facts = [fact for fact in payables() if fact.kind == kind]

    found = {}
    for fact in facts:
        incident = take_in(fact)
        evidence.collect(incident, actor="system:test")
        found[fact.entity_key] = rootcause.diagnose(incident, actor="system:test").cause or None

    assert found == {fact.entity_key: fact.cause for fact in facts}
    assert len(set(found.values())) > 1


def test_every_sentence_of_a_cause_is_whole_and_cites_what_still_says_so(simulator):
    for kind, cause in (*HELD.items(), ("vendor_bank_changed", "unapproved_change")):
        incident = take_in(fact_of(kind, cause, most=100_000))
        evidence.collect(incident, actor="system:test")

        found = rootcause.diagnose(incident, actor="system:test")

        held = found.statements.filter(verdict=Statement.Verdict.HOLDS)
        assert held.count() >= 2
        assert "?" not in "".join(statement.text for statement in held)
        assert rootcause.verify(found) == []


@pytest.mark.parametrize("kind", sorted(HELD))
def test_a_small_invoice_is_held_alone_and_read_back(simulator, kind):
    fact = fact_of(kind, HELD[kind])

    incident = drive(take_in(fact))

    assert incident.status == Status.RESOLVED, incident.status_reason
    assert stored(simulator, "VendorInvoiceHeaders", fact.entity_key)["IsOnHold"] == "Yes"
    assert StepRun.objects.filter(execution__incident=incident, verifications__matched=True).exists()


def test_a_hold_is_taken_back_exactly(simulator, operator):
    fact = fact_of("missing_goods_receipt", "not_received")
    incident = drive(take_in(fact))

    actions.roll_back(Execution.objects.get(incident=incident), by=operator, reason="the goods stand in the yard")
    drive(incident)

    assert incident.status == Status.ROLLED_BACK, incident.status_reason
    assert stored(simulator, "VendorInvoiceHeaders", fact.entity_key)["IsOnHold"] == "No"


def test_a_large_invoice_waits_for_an_approver(simulator):
    fact = next(one for one in payables() if one.cause in ("not_received", "entered_twice") and one.amount > 2500)

    incident = drive(take_in(fact))

    assert incident.status == Status.AWAITING_APPROVAL, incident.status_reason
    assert stored(simulator, "VendorInvoiceHeaders", fact.entity_key)["IsOnHold"] == "No"


def test_a_changed_bank_account_waits_for_compliance_and_another_person(simulator):
    fact = fact_of("vendor_bank_changed", "unapproved_change", most=100_000)

    incident = drive(take_in(fact))

    request = ApprovalRequest.objects.get(incident_id=incident.pk)
    assert incident.status == Status.AWAITING_APPROVAL, incident.status_reason
    assert {one["role"] for one in request.requirements} == {"approver", "compliance"}
    assert stored(simulator, "VendorsV2", fact.entity_key)["OnHoldStatus"] == "No"


@pytest.mark.parametrize("cause", ["held_already", "within_tolerance", "receipt_came", "approved_change"])
def test_what_is_no_problem_is_closed_with_its_reason(simulator, cause):
    incident = drive(take_in(next(one for one in payables() if one.cause == cause)))

    assert incident.status == Status.DISMISSED, incident.status_reason


def test_a_vendor_that_fo_does_not_have_goes_to_an_operator(simulator):
    fact = replace(fact_of("vendor_bank_changed", "unapproved_change", most=100_000), entity_key="V-9999")

    incident = drive(take_in(fact))

    assert incident.status == Status.NEEDS_OPERATOR
    assert incident.root_causes.latest("round").cause == "unknown_vendor"


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("duplicate_vendor_invoice", "VENDOR_INVOICE_SAME_NUMBER"),
        ("three_way_mismatch", "VENDOR_INVOICE_MATCHING_FAILED"),
        ("missing_goods_receipt", "VENDOR_INVOICE_WITHOUT_RECEIPT"),
        ("vendor_bank_changed", "VENDOR_BANK_CHANGED"),
    ],
)
def test_an_alert_of_fo_becomes_a_signal_of_its_kind(simulator, kind, rule):
    fact = next(one for one in payables() if one.kind == kind)

    delivery = alert(fact.company, rule, fact.entity_key)

    incident = Incident.objects.get()
    assert delivery.outcome == "signal", delivery.message
    assert (incident.code, incident.entity_key) == (kind, fact.entity_key)
    assert incident.business_unit == fact.business_unit


def test_the_buying_side_is_the_same_for_the_same_seed_and_leaves_the_selling_side_alone():
    day = date(2026, 11, 22)

    one, other = build(7, day), build(7, day)

    assert one.payables == other.payables
    assert one.rows["VendorInvoiceHeaders"] == other.rows["VendorInvoiceHeaders"]
    assert {fact.kind for fact in one.planted}.isdisjoint(KINDS)
