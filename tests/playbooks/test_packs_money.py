"""Wrong invoices, returned payments and failed ones against the distributor: found, mended in order, and taken back."""

from datetime import UTC, datetime

import pytest

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from connectors.simulator.distributor.business import build
from connectors.simulator.distributor.money_scenes import RULES
from connectors.simulator.server import serve
from incidents import evidence, rootcause
from incidents.models import Incident, Statement
from incidents.states import Status
from playbooks import actions
from playbooks.models import Execution, Step, StepRun
from tests import loopback
from tests.factories import make_user
from tests.playbooks.distributor import install, lead_to, take_in
from tests.playbooks.driving import drive
from tests.playbooks.test_packs_detect import alert, case

pytestmark = pytest.mark.django_db
WRONG, RETURNED, FAILED = "wrong_invoice", "payment_returned", "vendor_payment_failed"
KINDS = (WRONG, RETURNED, FAILED)


def scenes(kind):
    return [fact for fact in build(7, datetime.now(UTC).date()).postings if fact.kind == kind]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("simulator"), port=0, synchronous="OFF") as running:
        yield running


@pytest.fixture
def simulator(db, running, settings, monkeypatch):
    """The whole distributor as on its first day, and the packs."""
    with loopback.client(running.url) as outsider:
        outsider.post("/control/reset", json={"business": "demo"}).raise_for_status()
    lead_to(running.url, settings, monkeypatch)
    install(running.url, "o2c", "p2p", "demo", confirm_breadth="Both are tested here.")
    return running


def agree(incident):
    """Let everybody who must say yes."""
    asked = ApprovalRequest.objects.get(incident_id=incident.pk, state="pending")
    for name, role in (("ann", "approver"), ("carl", "compliance"), ("bob", "approver")):
        if asked.state == "pending" and any(one["role"] == role for one in asked.requirements):
            person = make_user(f"{name}{asked.pk}", role=role)
            approvals.decide(asked, by=person, verdict="approve", digest=asked.digest)
            asked.refresh_from_db()
    return drive(incident)


def fact_of(kind, cause, *, least=0):
    return next(one for one in scenes(kind) if one.cause == cause and one.amount >= least)


def stored(simulator, entity, **wanted):
    with simulator.store.read() as session:
        rows = [row.fields for row in session.records("fo", entity)]
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def keyed(simulator):
    with loopback.client(simulator.url) as outsider:
        effects = outsider.get("/ledger/effects").json()
    return [row for row in effects if row["effect_key"] and row["kind"] != "side_effect"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_planted_scene_gets_its_cause_and_what_looks_alike_another(simulator, kind):
    found = {}
    for fact in scenes(kind):
        incident = take_in(fact)
        evidence.collect(incident, actor="system:test")
        found[fact.entity_key] = rootcause.diagnose(incident, actor="system:test").cause or None

    assert found == {fact.entity_key: fact.cause for fact in scenes(kind)}
    assert len(set(found.values())) > 2


@pytest.mark.parametrize("kind", KINDS)
def test_every_sentence_of_a_cause_is_whole_and_cites_what_still_says_so(simulator, kind):
    for cause in sorted({fact.cause for fact in scenes(kind)}):
        incident = take_in(fact_of(kind, cause))
        evidence.collect(incident, actor="system:test")

        found = rootcause.diagnose(incident, actor="system:test")

        held = found.statements.filter(verdict=Statement.Verdict.HOLDS)
        assert held.exists()
        assert "?" not in "".join(statement.text for statement in held)
        assert rootcause.verify(found) == []


@pytest.mark.parametrize("kind", KINDS)
def test_an_alert_of_fo_becomes_a_signal_of_its_kind(simulator, kind):
    fact = scenes(kind)[0]

    delivery = alert(fact.company, RULES[kind][0], fact.entity_key)

    incident = Incident.objects.get()
    assert delivery.outcome == "signal", delivery.message
    assert (incident.code, incident.entity_key) == (kind, fact.entity_key)
    assert incident.business_unit == fact.business_unit


def test_a_customer_who_complains_about_an_invoice_is_heard(simulator):
    fact = fact_of(WRONG, "wrong_price")

    delivery = case("Wrong invoice", Invoice_Number__c=fact.entity_key)

    assert delivery.outcome == "signal", delivery.message
    assert Incident.objects.get().entity_key == fact.entity_key


# --- invoices issued anew --------------------------------------------------------------------------------
def test_the_plan_shows_field_by_field_what_will_be_billed(simulator):
    fact = fact_of(WRONG, "wrong_price")

    incident = drive(take_in(fact))

    credit, reissue = Step.objects.filter(plan__incident=incident, connection="fo").order_by("number")
    assert incident.status == Status.AWAITING_APPROVAL, incident.status_reason
    assert (credit.operation, reissue.operation) == ("invoice.credit", "invoice.reissue")
    told = {change["field"]: (change["before"], change["after"]) for change in reissue.predicted}
    net_before, net_after = told["Net"]
    assert told["Reissued"] == (0.0, net_after)
    assert net_before == fact.amount
    assert 0 < net_after < net_before
    assert [undo["operation"] for undo in (credit.undo, reissue.undo)] == ["credit_note.reverse", "reissue.reverse"]
    assert keyed(simulator) == []


def test_credit_and_new_invoice_are_posted_in_this_order_and_read_back(simulator):
    fact = fact_of(WRONG, "wrong_price")
    number = fact.entity_key
    before = stored(simulator, "CustomersV3", CustomerAccount=fact.account)[0]["OpenBalance"]

    incident = agree(drive(take_in(fact)))

    note, made = stored(simulator, "FreeTextInvoiceHeaders", CorrectedInvoiceId=number)
    (invoice,) = stored(simulator, "SalesInvoiceHeadersV2", InvoiceNumber=number)
    assert incident.status == Status.RESOLVED, incident.status_reason
    assert [row["kind"] for row in keyed(simulator)][:2] == ["action:CreditInvoice", "action:ReissueInvoice"]
    assert note["InvoiceAmount"] == -fact.amount
    assert (invoice["CreditNoteNumber"], invoice["RemainingAmount"]) == (note["FreeTextNumber"], 0)
    after = stored(simulator, "CustomersV3", CustomerAccount=fact.account)[0]["OpenBalance"]
    assert after - before == pytest.approx(made["InvoiceAmount"] - fact.amount)
    runs = StepRun.objects.filter(execution__incident=incident, step__connection="fo")
    assert [run.verifications.latest("id").matched for run in runs] == [True, True]
    assert [run.verifications.latest("id").surprises for run in runs] == [0, 0]


def test_an_invoice_to_the_wrong_account_is_billed_to_the_right_one(simulator):
    fact = fact_of(WRONG, "wrong_account")
    (order,) = stored(simulator, "SalesOrderHeadersV2", SalesOrderNumber=fact.order)

    incident = agree(drive(take_in(fact)))

    _, made = stored(simulator, "FreeTextInvoiceHeaders", CorrectedInvoiceId=fact.entity_key)
    assert incident.status == Status.RESOLVED, incident.status_reason
    assert (made["CustomerAccount"], made["InvoiceAmount"]) == (order["InvoiceCustomerAccountNumber"], fact.amount)
    assert made["CustomerAccount"] != fact.account


def test_a_large_one_is_agreed_to_by_an_approver_and_by_compliance(simulator):
    fact = fact_of(WRONG, "wrong_price", least=5000)

    drive(take_in(fact))

    asked = ApprovalRequest.objects.get()
    assert {one["role"] for one in asked.requirements} == {"approver", "compliance"}


def test_taken_back_the_new_invoice_is_credited_before_the_credit_is_reversed(simulator, operator):
    fact = fact_of(WRONG, "wrong_price")
    incident = agree(drive(take_in(fact)))
    before = len(keyed(simulator))

    actions.roll_back(Execution.objects.get(incident=incident), by=operator, reason="the contract was read wrongly")
    drive(incident)
    waiting = (incident.status, len(keyed(simulator)))
    agree(incident)

    kinds = [row["kind"] for row in keyed(simulator)[before:] if row["system"] == "fo"]
    (invoice,) = stored(simulator, "SalesInvoiceHeadersV2", InvoiceNumber=fact.entity_key)
    assert waiting == (Status.ROLLING_BACK, before)
    assert incident.status == Status.ROLLED_BACK, incident.status_reason
    assert kinds == ["action:CreditFreeTextInvoice", "action:ReverseCreditNote"]
    assert (invoice["CreditedAmount"], invoice["RemainingAmount"]) == (0, fact.amount)


def test_what_was_credited_and_no_more_is_issued_anew_without_a_second_credit(simulator):
    fact = fact_of(WRONG, "wrong_price")
    with loopback.client(simulator.url) as outsider:
        # The very fault of a worker that dies between the two, and a plan that was given up then.
        outsider.post(
            "/control/edit",
            json={
                "system": "fo",
                "entity": "SalesInvoiceHeadersV2",
                "key": fact.entity_key,
                "changes": {"CreditedAmount": fact.amount, "RemainingAmount": 0, "CreditNoteNumber": "CN-1"},
            },
        ).raise_for_status()

    incident = drive(take_in(fact))

    steps = Step.objects.filter(plan__incident=incident, connection="fo")
    assert [step.operation for step in steps] == ["invoice.reissue"]
    assert agree(incident).status == Status.RESOLVED, incident.status_reason
    assert [row["kind"] for row in keyed(simulator) if row["system"] == "fo"] == ["action:ReissueInvoice"]


def test_in_a_closed_period_nothing_is_planned_and_it_is_said_what_to_do(simulator):
    fact = fact_of(WRONG, "wrong_price")
    with loopback.client(simulator.url) as outsider:
        month = datetime.now(UTC).strftime("%Y-%m")
        outsider.post("/control/period", json={"period": month, "status": "Closed"}).raise_for_status()

    incident = drive(take_in(fact))

    assert incident.status == Status.NEEDS_OPERATOR
    assert "ask finance to open it" in incident.status_reason
    assert keyed(simulator) == []


@pytest.mark.parametrize("cause", ["several_lines", "paid_already"])
def test_what_needs_a_person_goes_to_the_billing_desk(simulator, cause):
    incident = drive(take_in(fact_of(WRONG, cause)))

    assert (incident.status, incident.queue.slug) == (Status.NEEDS_OPERATOR, "billing")
    assert keyed(simulator) == []


# --- payments --------------------------------------------------------------------------------------------
def test_after_a_returned_payment_deliveries_stop_once_somebody_agreed_and_go_on_again(simulator, operator):
    fact = fact_of(RETURNED, "returned")

    incident = drive(take_in(fact))
    waiting = (incident.status, stored(simulator, "CustomersV3", CustomerAccount=fact.account)[0]["OnHoldStatus"])
    agree(incident)
    stopped = (incident.status, stored(simulator, "CustomersV3", CustomerAccount=fact.account)[0]["OnHoldStatus"])
    actions.roll_back(Execution.objects.get(incident=incident), by=operator, reason="the money has come")
    drive(incident)

    assert waiting == (Status.AWAITING_APPROVAL, "No"), incident.status_reason
    assert stopped == (Status.RESOLVED, "All")
    assert incident.status == Status.ROLLED_BACK, incident.status_reason
    assert stored(simulator, "CustomersV3", CustomerAccount=fact.account)[0]["OnHoldStatus"] == "No"


def test_a_failed_payment_to_new_bank_details_stops_the_next_once_compliance_agreed(simulator):
    fact = fact_of(FAILED, "bank_changed")
    vendor = fact.attributes["vendor"]

    incident = drive(take_in(fact))
    asked = ApprovalRequest.objects.get(incident_id=incident.pk)
    waiting = stored(simulator, "VendorsV2", VendorAccountNumber=vendor)[0]["OnHoldStatus"]
    agree(incident)

    assert {one["role"] for one in asked.requirements} == {"approver", "compliance"}
    assert waiting == "No"
    assert incident.status == Status.RESOLVED, incident.status_reason
    assert stored(simulator, "VendorsV2", VendorAccountNumber=vendor)[0]["OnHoldStatus"] == "Payment"


@pytest.mark.parametrize(
    ("kind", "cause", "queue"), [(RETURNED, "still_settled", "credit"), (FAILED, "rejected_otherwise", "payables")]
)
def test_what_no_playbook_mends_goes_to_its_desk(simulator, kind, cause, queue):
    incident = drive(take_in(fact_of(kind, cause)))

    assert (incident.status, incident.queue.slug) == (Status.NEEDS_OPERATOR, queue)
    assert keyed(simulator) == []


@pytest.mark.parametrize(
    ("kind", "cause"), [(WRONG, "agreement_ended"), (RETURNED, "paid_again"), (FAILED, "paid_meanwhile")]
)
def test_what_is_no_problem_is_closed_with_its_reason(simulator, kind, cause):
    incident = drive(take_in(fact_of(kind, cause)))

    assert incident.status == Status.DISMISSED, incident.status_reason
    assert keyed(simulator) == []


def test_the_scenes_are_the_same_for_the_same_seed_and_day():
    day = datetime.now(UTC).date()

    one, other = build(7, day), build(7, day)

    assert one.postings == other.postings
    assert {fact.kind for fact in one.planted}.isdisjoint(KINDS)
