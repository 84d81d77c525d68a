"""The O2C pack against the simulated distributor: every planted exception gets its cause, and nothing else does."""

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from connectors import gateway
from connectors.models import Connection
from connectors.simulator.distributor.business import planted
from connectors.simulator.server import serve
from incidents import evidence, rootcause
from incidents.intake import accept
from incidents.models import Incident, Statement
from incidents.normal import NormalSignal
from playbooks import planning, plans
from playbooks.states import PlanState
from tests.playbooks import distributor

pytestmark = pytest.mark.django_db
KINDS = ("duplicate_invoice", "freight_misrate", "credit_hold", "price_mismatch", "backorder")


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    """The whole distributor; these tests only read it, so one serves them all."""
    with serve(tmp_path_factory.mktemp("simulator"), port=0, synchronous="OFF") as running:
        yield running


@pytest.fixture
def installed(simulator, settings, monkeypatch):
    """Both packs, with connections that lead to the simulator."""
    distributor.lead_to(simulator.url, settings, monkeypatch)
    distributor.install(simulator.url, "demo", "o2c")


def signal(code, entity_type, entity_key, unit="", **more):
    return NormalSignal(
        source="urn:distributor:test",
        id=f"{code}:{entity_key}",
        time=datetime.now(UTC),
        code=code,
        entity_type=entity_type,
        entity_key=entity_key,
        business_unit=unit,
        **more,
    )


def signal_of(fact):
    more = {"region": fact.region, "attributes": dict(fact.attributes), "text": fact.text}
    return signal(
        fact.kind, fact.entity_type, fact.entity_key, fact.business_unit, amount=Decimal(str(fact.amount)), **more
    )


def diagnosed(one):
    """Take a signal in, read the evidence and find the cause."""
    incident = Incident.objects.get(pk=accept(one).incident.pk)
    collected = evidence.collect(incident, actor="system:test")
    cause = rootcause.diagnose(incident, actor="system:test")
    incident.refresh_from_db()
    return incident, collected, cause


def first_of(kind, cause, unit="EU"):
    return next(fact for fact in planted() if (fact.kind, fact.cause, fact.business_unit) == (kind, cause, unit))


def read(slug, operation, **arguments):
    connection = Connection.objects.get(slug=slug)
    answer = gateway.call(connection, operation, arguments, actor="system:test")
    return [dict(record.fields) for record in answer.records]


@pytest.mark.parametrize("kind", KINDS)
def test_each_planted_exception_is_diagnosed_as_what_it_is(installed, kind):
    facts = [fact for fact in planted() if fact.kind == kind]

    found = {fact.entity_key: diagnosed(signal_of(fact))[2].cause or None for fact in facts}

    assert found == {fact.entity_key: fact.cause for fact in facts}
    assert len(Counter(found.values())) > 1  # rivals are among them


def test_every_statement_of_a_cause_cites_records_that_still_say_so(installed):
    for kind, cause in (("duplicate_invoice", "edi_resend"), ("backorder", "stock_elsewhere")):
        _, _, found = diagnosed(signal_of(first_of(kind, cause)))

        held = found.statements.filter(verdict=Statement.Verdict.HOLDS)

        assert held.count() >= 2
        assert all(statement.citations.exists() for statement in held)
        assert "?" not in "".join(statement.text for statement in held)
        assert rootcause.verify(found) == []


def test_a_rival_that_is_out_names_the_record_that_did_it(installed):
    _, _, found = diagnosed(signal_of(first_of("duplicate_invoice", "edi_resend", "EU")))

    out = found.statements.filter(verdict=Statement.Verdict.RULED_OUT, hypothesis="already_credited")

    assert out.exists()
    assert "says CreditedAmount is" in out.get().refuted_by


@pytest.mark.parametrize(
    ("kind", "cause", "says"),
    [("duplicate_invoice", "already_credited", "covers the whole invoice")],
)
def test_what_is_right_already_is_told_so(installed, kind, cause, says):
    fact = next(fact for fact in planted() if (fact.kind, fact.cause) == (kind, cause))

    _, collected, _ = diagnosed(signal_of(fact))

    assert says in collected.healed


def test_freight_within_the_tolerance_is_nothing_to_mend(installed):
    planted_orders = {fact.order for fact in planted()}
    for number in range(601, 821):
        order = f"SO-{number:06d}"
        if order in planted_orders:
            continue
        row = read("fo", "order.find", order=order)[0]
        charge = read("fo", "charges.list", company=row["dataAreaId"], order=order)[0]
        keys = {"company": row["dataAreaId"], "carrier": row["CarrierCode"], "mode": row["DeliveryModeCode"]}
        rate = read("fo", "freight_rate.get", **keys)[0]
        agreed = max(rate["RatePerKg"] * row["WeightKg"], rate["MinimumAmount"])
        if abs(charge["FixedChargeAmount"] - agreed) > 0.01:
            break

    _, collected, cause = diagnosed(signal("freight_misrate", "order", order))

    assert cause.cause == "within_tolerance"
    assert "within the tolerance" in collected.healed


def test_alike_is_not_the_same_other_customers_and_the_numbers_beside_are_left_alone(installed):
    doubles = [fact for fact in planted() if fact.kind == "duplicate_invoice"]
    second = {fact.entity_key for fact in doubles}
    beside = {f"INV-{int(key[4:]) + step}" for key in second for step in (-1, 1)} - second
    amounts = {fact.amount for fact in doubles}
    alike = set()
    for number in range(10401, 10543):
        rows = read("fo", "invoice.find", invoice=f"INV-{number}")
        if rows and rows[0]["TotalInvoiceAmount"] in amounts and rows[0]["InvoiceNumber"] not in second:
            alike.add(rows[0]["InvoiceNumber"])

    causes = {key: diagnosed(signal("duplicate_invoice", "invoice", key))[2].cause for key in sorted(beside | alike)}

    assert len(alike) >= 8
    assert {key: cause for key, cause in causes.items() if cause} == {}


def test_an_order_that_is_not_stopped_needs_no_release(installed):
    stopped = {fact.order for fact in planted() if fact.kind == "credit_hold"}
    order = next(f"SO-{number:06d}" for number in range(760, 821) if f"SO-{number:06d}" not in stopped)

    _, collected, cause = diagnosed(signal("credit_hold", "order", order))

    assert cause.cause == "already_released"
    assert "not on credit hold" in collected.healed


@pytest.mark.parametrize("kind", KINDS)
def test_an_entity_that_nobody_knows_has_no_cause(installed, kind):
    entity = "invoice" if kind == "duplicate_invoice" else "order"

    _, collected, cause = diagnosed(signal(kind, entity, "NO-SUCH-NUMBER"))

    assert (cause.cause, collected.healed) == ("", "")


def test_what_a_signal_left_blank_is_filled_from_the_records(installed):
    fact = first_of("credit_hold", "paid_after_hold")

    incident, _, _ = diagnosed(signal("credit_hold", "order", fact.order))

    assert (incident.business_unit, incident.region, incident.currency) == ("EU", fact.region, "EUR")
    assert incident.revenue_at_risk == Decimal(str(fact.amount))
    assert (incident.queue.slug, incident.domain) == ("credit", "credit")


@pytest.mark.parametrize(
    ("kind", "cause", "operations"),
    [
        ("duplicate_invoice", "edi_resend", ["fo:invoice.credit", "crm:case.open"]),
        ("freight_misrate", "wrong_delivery_mode_rate", ["fo:charge.update"]),
        ("credit_hold", "paid_after_hold", ["fo:hold.release"]),
        ("price_mismatch", "agreed_price_not_applied", ["fo:line.set_price"]),
        ("backorder", "stock_elsewhere", ["fo:line.set_warehouse"]),
    ],
)
@pytest.mark.parametrize("unit", ["EU", "US"])
def test_a_cause_that_can_be_mended_leads_to_a_plan_with_an_undo_for_each_step(
    installed, kind, cause, operations, unit
):
    incident, _, _ = diagnosed(signal_of(first_of(kind, cause, unit)))

    plan = planning.propose(incident, actor="system:test")

    steps = list(plan.steps.all())
    assert [f"{step.connection}:{step.operation}" for step in steps] == operations
    assert all(step.undo and step.predicted for step in steps)
    assert "?" not in plan.rationale + "".join(step.title for step in steps)


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("duplicate_invoice", "split_shipment"),
        ("duplicate_invoice", "already_credited"),
        ("freight_misrate", None),
        ("credit_hold", "really_overdue"),
        ("credit_hold", None),
        ("price_mismatch", "agreement_expired"),
        ("backorder", "no_stock_anywhere"),
    ],
)
def test_a_rival_leads_to_a_person_and_not_to_a_plan(installed, kind, cause):
    fact = next(fact for fact in planted() if (fact.kind, fact.cause) == (kind, cause))
    incident, _, _ = diagnosed(signal_of(fact))

    with pytest.raises(planning.CannotPlan):
        planning.propose(incident, actor="system:test")


def submitted(fact):
    incident, _, _ = diagnosed(signal_of(fact))
    plan = planning.propose(incident, actor="system:test")
    state = plans.submit(plan, actor="system:loop")
    return plan, state


def asked(plan):
    from approvals.models import ApprovalRequest

    requirements = ApprovalRequest.objects.get(subject="plan", subject_id=plan.pk).requirements
    return sorted((one["role"], one["quorum"]) for one in requirements)


@pytest.mark.parametrize(
    ("kind", "cause", "most"),
    [
        ("freight_misrate", "wrong_delivery_mode_rate", 100),
        ("credit_hold", "paid_after_hold", 1500),
        ("backorder", "stock_elsewhere", 100_000),
        ("price_mismatch", "agreed_price_not_applied", 50),
    ],
)
def test_small_and_undoable_changes_run_alone(installed, kind, cause, most):
    fact = next(fact for fact in planted() if (fact.kind, fact.cause) == (kind, cause) and fact.amount <= most)

    plan, state = submitted(fact)

    assert state == PlanState.APPROVED
    assert plan.risk_tier == "low"


@pytest.mark.parametrize(
    ("kind", "cause", "between", "people"),
    [
        ("freight_misrate", "wrong_delivery_mode_rate", (100.01, 10_000), [("approver", 1)]),
        ("credit_hold", "paid_after_hold", (1500.01, 10_000), [("approver", 1)]),
        ("price_mismatch", "agreed_price_not_applied", (50.01, 10_000), [("approver", 1)]),
        ("duplicate_invoice", "edi_resend", (0, 500), [("approver", 1)]),
        ("duplicate_invoice", "edi_resend", (500.01, 5000), [("approver", 1)]),
        ("duplicate_invoice", "edi_resend", (5000.01, 100_000), [("approver", 1), ("compliance", 1)]),
    ],
)
def test_larger_changes_and_all_postings_are_asked_for_by_tier(installed, kind, cause, between, people):
    least, most = between
    fact = next(fact for fact in planted() if (fact.kind, fact.cause) == (kind, cause) and least <= fact.amount <= most)

    plan, state = submitted(fact)

    assert state == PlanState.ASKED
    assert asked(plan) == people
