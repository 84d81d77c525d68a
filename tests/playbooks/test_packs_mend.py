"""The O2C pack through the whole loop: mended, read back, told to the customer's case, and right afterwards."""

import pytest

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from connectors.simulator.distributor.business import planted
from connectors.simulator.salesforce import sobjects
from connectors.simulator.server import serve
from incidents import evidence
from incidents.states import Status
from playbooks.actions import roll_back
from playbooks.models import StepRun
from tests import loopback
from tests.factories import make_user
from tests.playbooks import distributor
from tests.playbooks.distributor import drive, take_in

pytestmark = pytest.mark.django_db
ALONE = {
    "freight_misrate": ("wrong_delivery_mode_rate", 100),
    "credit_hold": ("paid_after_hold", 1500),
    "price_mismatch": ("agreed_price_not_applied", 50),
    "backorder": ("stock_elsewhere", 100_000),
}
CASE_TYPES = {
    "freight_misrate": "Freight",
    "credit_hold": "Credit hold",
    "price_mismatch": "Price",
    "backorder": "Back order",
}


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
    distributor.install(running.url, "demo", "o2c")
    return running


def small(kind):
    cause, most = ALONE[kind]
    return next(fact for fact in planted() if (fact.kind, fact.cause) == (kind, cause) and fact.amount <= most)


def open_case(simulator, fact):
    body = {"Subject": "What about our order?", "Status": "New", "Type": CASE_TYPES[fact.kind]}
    with simulator.store.write() as session:
        record = sobjects.create(session, sobjects.SOBJECTS["Case"], {**body, "Order_Number__c": fact.order}, kind=None)
    return record.key


def stored(simulator, entity):
    with simulator.store.read() as session:
        return [record.fields for record in session.records("sf", entity)]


@pytest.mark.parametrize("kind", sorted(ALONE))
def test_a_small_exception_is_mended_alone_and_the_customers_case_is_answered_and_closed(simulator, kind):
    fact = small(kind)
    case = open_case(simulator, fact)
    incident = take_in(fact)

    drive(incident)

    assert incident.status == Status.RESOLVED, incident.status_reason
    assert StepRun.objects.filter(execution__incident=incident, verifications__matched=True).distinct().count() == 3
    assert [row["Status"] for row in stored(simulator, "Case") if row["Id"] == case] == ["Closed"]
    assert [row["ParentId"] for row in stored(simulator, "CaseComment")] == [case]


@pytest.mark.parametrize("kind", sorted(ALONE))
def test_what_was_mended_is_found_right_when_it_is_asked_about_again(simulator, kind):
    incident = take_in(small(kind))
    drive(incident)

    collected = evidence.collect(incident, actor="system:test")

    assert incident.status == Status.RESOLVED, incident.status_reason
    assert collected.healed


@pytest.mark.parametrize("kind", sorted(ALONE))
def test_each_mend_can_be_undone_and_a_price_above_the_agreement_takes_a_persons_word(simulator, kind):
    incident = take_in(small(kind))
    drive(incident)

    back = roll_back(incident.executions.get(), by=make_user("olga", role="operator"), reason="The customer asked.")
    for asked in ApprovalRequest.objects.filter(subject="rollback"):
        approvals.decide(asked, by=make_user("ann", role="approver"), verdict="approve", digest=back.digest)
    drive(incident)

    assert incident.status == Status.ROLLED_BACK, incident.status_reason
    assert (back.approval_id is not None) == (kind == "price_mismatch")


def test_a_duplicate_waits_for_people_before_anything_is_posted(simulator):
    fact = next(fact for fact in planted() if fact.cause == "edi_resend")
    with simulator.store.read() as session:
        notes = len(session.records("fo", "FreeTextInvoiceHeaders"))

    incident = drive(take_in(fact))

    with simulator.store.read() as session:
        assert len(session.records("fo", "FreeTextInvoiceHeaders")) == notes
    assert incident.status == Status.AWAITING_APPROVAL


def test_an_exception_that_is_none_is_closed_with_its_reason(simulator):
    incident = drive(take_in(next(fact for fact in planted() if fact.cause == "already_credited")))

    assert incident.status == Status.DISMISSED
    assert "covers the whole invoice" in incident.status_reason
