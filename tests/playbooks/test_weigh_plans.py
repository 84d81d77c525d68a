"""What policies and grants say of a plan, when it is made and again in the last moment before it is sent."""

from typing import Any

import pytest

from approvals.models import ApprovalRequest, ApprovalRule
from connectors.models import Connection
from incidents.models import Incident
from incidents.states import Status
from playbooks import authority, planning, plans
from playbooks.models import Guardrail, Plan
from playbooks.states import PlanState, StepState
from tests.playbooks.cases import CHARGE_KEY, STEP, make_cause, make_freight, make_mend, make_policy
from tests.playbooks.driving import begin, drive, letters, states
from tests.playbooks.world import CHARGED, CREDIT, PRICE, RELEASE, World, make_incident, make_plan


def diagnosed(**changes: Any) -> Incident:
    """A diagnosed incident with its cause."""
    incident = make_freight(status=Status.DIAGNOSED, **changes)
    make_cause(incident)
    return incident


def propose(incident: Incident, **options: Any) -> Plan:
    return planning.propose(incident, actor="system:loop", **options)


def refusal(incident: Incident) -> str:
    with pytest.raises(planning.CannotPlan) as refused:
        propose(incident)
    assert not incident.plans.exists()
    return str(refused.value)


def changed(**step: Any) -> dict[str, Any]:
    return {**STEP, **step}


def test_a_policy_that_blocks_ends_it_with_its_name_and_reason(world):
    make_mend()
    make_policy("amount > 20.0", message="too much at once")

    words = refusal(diagnosed())

    assert "too much at once (rule v1)" in words


def test_a_policy_corrects_and_the_plan_is_foreseen_with_the_correction(world):
    make_mend()
    make_policy("parameters.amount != '90.00'", "correct", corrections={"amount": "'90.00'"})

    plan = propose(diagnosed())

    step = plan.steps.get()
    assert step.parameters["amount"] == "90.00"
    assert step.predicted[0]["after"] == 90.0
    assert [ruling.verdict for ruling in step.guardrails.all()] == ["correct"]


def test_a_correction_that_never_settles_asks_a_person(world):
    make_mend()
    make_policy("true", "correct", corrections={"amount": "double(parameters.amount) + 1.0"})

    plan = propose(diagnosed())
    state = plans.submit(plan, actor="system:loop")

    assert state == PlanState.ASKED
    assert "does not settle" in ApprovalRequest.objects.get().asked_because


def test_a_correction_may_lead_to_a_block(world):
    make_mend()
    make_policy("true", "correct", slug="a-corrects", corrections={"amount": "'200.00'"})
    make_policy("double(parameters.amount) > 150.0", "block", slug="b-blocks")

    assert "b-blocks v1" in refusal(diagnosed())


@pytest.mark.parametrize("condition", ["record.NoSuchField > 1.0", "int(operation) == 1", "amount > 'x'"])
def test_a_policy_in_error_asks_for_a_person_and_never_allows(world, condition):
    make_mend()
    make_policy(condition, "allow")

    plan = propose(diagnosed())

    assert plans.submit(plan, actor="system:loop") == PlanState.ASKED
    assert "could not be evaluated" in ApprovalRequest.objects.get().asked_because


def test_a_policy_lifts_the_risk_and_never_lowers_it(world):
    make_mend()
    make_policy("true", "allow", risk="medium")
    lifted = propose(diagnosed())

    credit = make_plan(world, make_incident(), CREDIT)

    assert lifted.risk_tier == "medium"
    assert credit.risk_tier == "high"


def test_who_owns_the_policy_that_asked_cannot_answer(world, approver):
    make_mend()
    version = make_policy("true", "needs_approval", author="approver")
    version.policy.owner = approver
    version.policy.save()

    plans.submit(propose(diagnosed()), actor="system:loop")

    assert "approver" in ApprovalRequest.objects.get().excluded


# --- autonomy ------------------------------------------------------------------------------------


def grant(**autonomy: Any) -> dict[str, Any]:
    return {"autonomy": {"max_risk": "low", **autonomy}}


@pytest.mark.parametrize(
    ("definition", "state"),
    [
        (grant(), PlanState.APPROVED),
        (grant(max_amount="28.00", currency="EUR"), PlanState.APPROVED),
        (grant(max_amount="27.99", currency="EUR"), PlanState.ASKED),
        (grant(max_amount="1000.00", currency="USD"), PlanState.ASKED),
        ({"autonomy": None}, PlanState.ASKED),
    ],
    ids=["any amount", "exactly the limit", "a cent above", "another currency", "no grant"],
)
def test_a_grant_covers_what_it_says_and_not_a_cent_more(world, definition, state):
    make_mend(**definition)

    plan = propose(diagnosed())

    assert plans.submit(plan, actor="system:loop") == state
    assert plan.autonomous is (state == PlanState.APPROVED)


def test_amounts_in_two_currencies_are_not_slipped_under_a_limit(world):
    order = {"dataAreaId": "usmf", "SalesOrderNumber": "SO-US"}
    world.plant("fo", "SalesOrderHeadersV2", **order, CurrencyCode="USD", OrderTotalAmount=900.0)
    world.plant(
        "fo", "SalesOrderCharges", **order, ChargeLineNumber=1, FixedChargeAmount=800.0, ChargeCurrencyCode="USD"
    )
    arguments = {"company": "'usmf'", "order": "'SO-US'", "line": 1, "amount": "'84.00'"}
    make_mend(STEP, changed(name="other", arguments=arguments), **grant(max_amount="100.00", currency="EUR"))
    thresholds = {"subjects": ["plan"], "role": "compliance", "quorum": 1, "min_amount": 5000, "currency": "EUR"}
    ApprovalRule.objects.create(slug="large", label="Large sums", **thresholds)

    plan = propose(diagnosed())

    assert plan.amount is None
    assert plans.submit(plan, actor="system:loop") == PlanState.ASKED
    assert [one["role"] for one in ApprovalRequest.objects.get().requirements] == ["compliance"]


def test_an_amount_without_a_currency_is_compared_with_nothing(world):
    make_mend(**grant(max_amount="100.00", currency="EUR"))
    world.edit(system="fo", entity="SalesOrderCharges", key=CHARGE_KEY, changes={"ChargeCurrencyCode": ""})

    plan = propose(diagnosed())

    assert plans.submit(plan, actor="system:loop") == PlanState.ASKED


def test_each_rule_tells_its_reason_once(world):
    make_mend()
    for slug, role in (("eyes", "compliance"), ("tier", "approver")):
        ApprovalRule.objects.create(slug=slug, label=slug.title(), role=role)

    plans.submit(propose(diagnosed()), actor="system:loop")

    parts = ApprovalRequest.objects.get().asked_because.split("; ")
    assert sorted(part.split(":")[0] for part in parts) == ["Eyes", "Tier"]


def test_what_cannot_be_undone_is_never_done_alone(world, monkeypatch):
    make_mend(**grant())
    operation = planning.registry.operation_of(Connection.objects.get(slug="fo"), "charge.update")
    final = type(operation)(**{**vars(operation), "undo": lambda arguments, records, key: None})
    monkeypatch.setattr(planning.registry, "operation_of", lambda connection, name: final)

    plan = propose(diagnosed())

    assert plan.steps.get().reversible == "no"
    assert plans.submit(plan, actor="system:loop") == PlanState.ASKED
    assert "cannot be undone" in plan.asked_because


def test_parts_of_one_sum_count_together(world):
    make_mend(**grant())
    rule = {"subjects": ["plan"], "role": "approver", "quorum": 1, "min_amount": 50, "currency": "EUR"}
    ApprovalRule.objects.create(slug="tier", label="Over € 50", **rule)
    first = propose(diagnosed())
    assert plans.submit(first, actor="system:loop") == PlanState.APPROVED

    second = propose(diagnosed())

    assert plans.submit(second, actor="system:loop") == PlanState.ASKED


# --- asked again in the last moment ---------------------------------------------------------------


def run_with(world: World, condition: str, verdict: str, *writes: Any, **changes: Any) -> tuple[Incident, Any]:
    """Begin a plan, then switch a policy on, then go on."""
    incident = make_incident()
    execution = begin(make_plan(world, incident, *(writes or (CHARGED,))))
    make_policy(condition, verdict, **changes)
    return drive(incident), execution


@pytest.mark.parametrize(
    ("verdict", "changes"),
    [("block", {}), ("needs_approval", {}), ("correct", {"corrections": {"amount": "'90.00'"}})],
)
def test_a_policy_that_speaks_only_now_stops_what_runs_alone(world, verdict, changes):
    incident, execution = run_with(world, "true", verdict, **changes)

    assert world.effects() == []
    assert incident.status == Status.NEEDS_OPERATOR
    assert "rule v1" in incident.status_reason
    assert states(execution) == [StepState.STUCK]
    assert letters(incident)[0].cause == "fo: not_authorised"
    assert Guardrail.objects.filter(moment="run", verdict=verdict).exists()


def test_the_last_moment_asks_about_this_step_and_not_about_the_sum_of_all(world):
    incident, _ = run_with(world, "amount > 60.0", "block", CHARGED, PRICE)

    # 28.00 and 50.00 are each within the limit, as when the plan was made.
    assert incident.status == Status.RESOLVED, incident.status_reason
    assert len(world.effects()) == 2


def test_the_last_moment_looks_at_the_record_as_it_is_now(world, monkeypatch):
    incident = make_incident()
    begin(make_plan(world, incident, RELEASE))
    make_policy("record.OrderTotalAmount > 5000.0", "block")
    seen: list[Any] = []
    forbids = authority.forbids

    def with_a_fresh_record(step_run, records):
        seen.append(records[0].fields["OrderTotalAmount"])
        return forbids(step_run, records)

    monkeypatch.setattr(authority, "forbids", with_a_fresh_record)
    drive(incident)

    assert seen == [1112.0]
    assert incident.status == Status.RESOLVED


def test_a_playbook_that_is_switched_off_stops_what_it_began_alone(world):
    incident = make_incident()
    plan = make_plan(world, incident, CHARGED)
    begin(plan)
    playbook = plan.playbook_version.playbook
    playbook.enabled = False
    playbook.save()

    drive(incident)

    assert world.effects() == []
    assert "switched off" in incident.status_reason
