"""The finance pack against the simulated SAP system: what stands twice is reversed or cancelled, and proved."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.test import Client

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from audit.clock import db_now
from connectors.models import Connection, Delivery
from connectors.simulator.distributor.business import build
from connectors.simulator.sap import acts as sap_acts
from connectors.simulator.server import serve
from incidents import evidence, rootcause
from incidents.detection import process
from incidents.models import Incident, Statement
from incidents.states import Status
from playbooks.models import Step, Verification
from tests import loopback
from tests.factories import make_user
from tests.playbooks.distributor import install, lead_to, take_in
from tests.playbooks.driving import drive

pytestmark = pytest.mark.django_db
ENTRY, INVOICE = "entry_posted_twice", "vendor_invoice_posted_twice"
CUBE = "A_OperationalAcctgDocItemCube"


def postings():
    return build(7, datetime.now(UTC).date()).postings


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
    install(running.url, "o2c", "finance", "demo", "demo_crosswise", confirm_breadth="Both are tested here.")
    return running


def close(simulator, period):
    with loopback.client(simulator.url) as outsider:
        outsider.post("/control/period", json={"period": period, "status": "Closed"}).raise_for_status()


def this_month():
    return datetime.now(UTC).strftime("%Y-%m")


def agree(incident):
    """Let everybody who must say yes."""
    asked = ApprovalRequest.objects.get(incident_id=incident.pk, state="pending")
    for name, role in (("ann", "approver"), ("carl", "compliance")):
        if any(one["role"] == role for one in asked.requirements):
            approvals.decide(asked, by=make_user(name, role=role), verdict="approve", digest=asked.digest)
            asked.refresh_from_db()
    return drive(incident)


def fact_of(kind, cause, *, least=0, most=100_000):
    return next(one for one in postings() if (one.kind, one.cause) == (kind, cause) and least <= one.amount <= most)


def rows(simulator, entity, **wanted):
    with simulator.store.read() as session:
        found = [row.fields for row in session.records("sap", entity)]
    return [row for row in found if all(row[name] == value for name, value in wanted.items())]


def net(simulator, *documents):
    """What documents come to per account, straight from the simulator's books."""
    sums = {}
    for row in rows(simulator, CUBE):
        if row["AccountingDocument"] in documents:
            account = row["GLAccount"], row["TransactionCurrency"]
            sums[account] = sums.get(account, Decimal(0)) + Decimal(row["AmountInTransactionCurrency"])
    return sums


def keyed(simulator):
    with loopback.client(simulator.url) as outsider:
        effects = outsider.get("/ledger/effects").json()
    return [row for row in effects if row["effect_key"] and row["kind"] != "side_effect"]


@pytest.mark.parametrize("kind", [ENTRY, INVOICE])
def test_each_planted_posting_gets_its_cause_and_what_looks_alike_another(simulator, kind):
    facts = [fact for fact in postings() if fact.kind == kind]

    found = {}
    for fact in facts:
        incident = take_in(fact)
        evidence.collect(incident, actor="system:test")
        found[fact.entity_key] = rootcause.diagnose(incident, actor="system:test").cause or None

    assert found == {fact.entity_key: fact.cause for fact in facts}
    assert len(set(found.values())) > 2


@pytest.mark.parametrize("kind", [ENTRY, INVOICE])
def test_every_sentence_of_a_cause_is_whole_and_cites_what_still_says_so(simulator, kind):
    for cause in sorted({fact.cause for fact in postings() if fact.kind == kind}):
        incident = take_in(fact_of(kind, cause))
        evidence.collect(incident, actor="system:test")

        found = rootcause.diagnose(incident, actor="system:test")

        held = found.statements.filter(verdict=Statement.Verdict.HOLDS)
        assert held.exists()
        assert "?" not in "".join(statement.text for statement in held)
        assert rootcause.verify(found) == []


def test_a_reversal_waits_for_people_then_comes_to_zero_account_by_account(simulator):
    fact = fact_of(ENTRY, "posted_twice", most=1000)
    number = fact.entity_key.rpartition("/")[2]

    incident = drive(take_in(fact))
    waiting = (incident.status, net(simulator, number))
    agree(incident)

    assert waiting[0] == Status.AWAITING_APPROVAL, incident.status_reason
    assert set(waiting[1].values()) == {Decimal("380.40"), Decimal("-380.40")}
    assert incident.status == Status.RESOLVED, incident.status_reason
    (back,) = {row["ReverseDocument"] for row in rows(simulator, CUBE, AccountingDocument=number)}
    assert set(net(simulator, number, back).values()) == {Decimal(0)}
    read = {row["field"]: row["actual"] for row in Verification.objects.latest("id").fields}
    assert read == {
        "Reversed": True, "Net of account 476000 in EUR": "0.00", "Net of account 113100 in EUR": "0.00",
        "AccountsNotZero": 0,
    }  # fmt: skip
    assert len(keyed(simulator)) == 1


def test_the_page_shows_each_account_before_and_after(simulator):
    fact = fact_of(ENTRY, "posted_twice", most=1000)
    incident = agree(drive(take_in(fact)))
    reader = Client()
    reader.force_login(make_user("reader", role="operator"))

    page = reader.get(f"/incidents/{incident.pk}/").content.decode()

    assert "Net of account 476000 in EUR" in page
    assert "380.40" in page
    assert "0.00" in page


def test_a_reversal_that_does_not_come_to_zero_is_not_called_mended(simulator):
    fact = fact_of(ENTRY, "posted_twice", most=1000)
    incident = drive(take_in(fact))
    real = sap_acts._post_back

    def elsewhere(session, row, number, day):
        real(session, row, number, day)
        key = f"{row.fields['CompanyCode']}/{row.fields['FiscalYear']}/{number}/{row.fields['AccountingDocumentItem']}"
        posted = session.get("sap", CUBE, key)
        session.put("sap", CUBE, key, {**posted.fields, "GLAccount": "999999"}, kind=None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sap_acts, "_post_back", elsewhere)
        agree(incident)

    assert incident.status == Status.NEEDS_OPERATOR
    assert "Net of account" in incident.status_reason
    assert len(keyed(simulator)) == 1


def test_where_the_period_of_the_entry_is_closed_a_day_in_an_open_one_is_planned(simulator):
    fact = fact_of(ENTRY, "posted_twice", least=5000)

    incident = drive(take_in(fact))

    step = Step.objects.get(plan__incident=incident)
    assert incident.status == Status.AWAITING_APPROVAL, incident.status_reason
    assert (step.parameters["reason"], step.parameters["posting_date"]) == ("02", f"{datetime.now(UTC):%Y-%m-%d}")
    asked = ApprovalRequest.objects.get(incident_id=incident.pk)
    assert {one["role"] for one in asked.requirements} == {"approver", "compliance"}
    assert agree(incident).status == Status.RESOLVED, incident.status_reason
    back = rows(simulator, CUBE, ReverseDocument=step.parameters["document"])
    assert {row["PostingDate"][:7] for row in back} == {this_month()}


def test_where_no_period_is_open_it_is_said_what_to_do_and_nothing_is_sent(simulator):
    fact = fact_of(ENTRY, "posted_twice", least=5000)
    close(simulator, this_month())

    incident = drive(take_in(fact))

    found = incident.root_causes.latest("round")
    assert incident.status == Status.NEEDS_OPERATOR
    assert found.cause == "period_closed"
    assert "Have finance open a period" in "".join(found.statements.values_list("text", flat=True))
    assert "is not open" in "".join(found.statements.values_list("text", flat=True))
    assert keyed(simulator) == []


def test_a_period_that_closes_after_the_approval_voids_it_and_nothing_is_posted(simulator):
    fact = fact_of(ENTRY, "posted_twice", least=5000)
    incident = drive(take_in(fact))
    close(simulator, this_month())

    agree(incident)

    assert incident.status != Status.RESOLVED
    assert keyed(simulator) == []
    assert "period" in incident.status_reason


@pytest.mark.parametrize("cause", ["other_lines", "from_elsewhere"])
def test_what_is_no_case_for_a_reversal_goes_to_the_desk(simulator, cause):
    incident = drive(take_in(fact_of(ENTRY, cause)))

    assert (incident.status, incident.queue.slug) == (Status.NEEDS_OPERATOR, "ledger")
    assert keyed(simulator) == []


@pytest.mark.parametrize(("kind", "cause"), [(ENTRY, "reversed_already"), (INVOICE, "first_was_cancelled")])
def test_what_is_no_problem_is_closed_with_its_reason(simulator, kind, cause):
    incident = drive(take_in(fact_of(kind, cause)))

    assert incident.status == Status.DISMISSED, incident.status_reason


def test_the_second_posting_of_an_invoice_is_cancelled_once_somebody_agreed(simulator):
    fact = fact_of(INVOICE, "posted_twice", most=5000)
    number = fact.entity_key.partition("/")[0]

    incident = drive(take_in(fact))
    waiting = (incident.status, rows(simulator, "A_SupplierInvoice", SupplierInvoice=number)[0]["IsReversed"])
    agree(incident)

    assert waiting == (Status.AWAITING_APPROVAL, False)
    assert incident.status == Status.RESOLVED, incident.status_reason
    (stands,) = rows(simulator, "A_SupplierInvoice", SupplierInvoice=number)
    twins = rows(simulator, "A_SupplierInvoice", SupplierInvoiceIDByInvcgParty=stands["SupplierInvoiceIDByInvcgParty"])
    assert sorted(row["IsReversed"] for row in twins) == [False, True]
    assert len(keyed(simulator)) == 1


def test_a_cancellation_in_a_closed_period_is_told_with_what_to_do(simulator):
    fact = fact_of(INVOICE, "posted_twice", most=5000)
    incident = drive(take_in(fact))
    close(simulator, this_month())

    agree(incident)

    assert incident.status == Status.NEEDS_OPERATOR
    assert "have finance open it, or plan again with a posting date in an open period" in incident.status_reason
    assert keyed(simulator) == []


def test_two_invoices_of_one_number_and_other_amounts_go_to_the_desk(simulator):
    incident = drive(take_in(fact_of(INVOICE, "other_amount")))

    assert (incident.status, incident.queue.slug) == (Status.NEEDS_OPERATOR, "ledger")


# --- what SAP tells by itself --------------------------------------------------------------------
def deliver(event, payload):
    sap = Connection.objects.get(slug="sap")
    row = Delivery.objects.create(
        connection=sap, external_id=f"{event}-1", event=event, payload=payload, received_at=db_now(),
        occurred_at=db_now(),
    )  # fmt: skip
    process(row.pk)
    row.refresh_from_db()
    return row


@pytest.mark.parametrize(("cause", "outcome"), [("posted_twice", "signal"), ("other_amount", "nothing_wrong")])
def test_a_posted_supplier_invoice_is_looked_at(simulator, cause, outcome):
    fact = fact_of(INVOICE, cause)
    number, _, year = fact.entity_key.partition("/")
    kind = "sap.s4.beh.supplierinvoice.v1.SupplierInvoice.Created.v1"
    data = {"SupplierInvoice": number, "FiscalYear": year}

    told = deliver(kind, {"specversion": "1.0", "id": "1", "source": "s4", "type": kind, "data": data})

    assert told.outcome == outcome, told.message
    assert [one.entity_key for one in Incident.objects.all()] == ([fact.entity_key] if outcome == "signal" else [])


@pytest.mark.parametrize(("cause", "outcome"), [("posted_twice", "signal"), ("other_lines", "nothing_wrong")])
def test_a_polled_journal_entry_is_looked_at(simulator, cause, outcome):
    fact = fact_of(ENTRY, cause)
    item = rows(simulator, CUBE, AccountingDocument=fact.entity_key.rpartition("/")[2])[0]

    told = deliver(f"record:{CUBE}", item)

    assert told.outcome == outcome, told.message
    assert [one.entity_key for one in Incident.objects.all()] == ([fact.entity_key] if outcome == "signal" else [])
