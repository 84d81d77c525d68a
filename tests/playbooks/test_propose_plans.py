"""From a cause to a plan: what is foreseen, what policies say of it, who must be asked, and what the digest binds."""

from decimal import Decimal
from typing import Any

import pytest

from approvals.models import ApprovalRequest
from audit.errors import LostRace
from connectors.base import Unreachable
from connectors.models import Connection
from incidents import leases
from incidents.models import Incident
from incidents.states import Status
from playbooks import planning, plans
from playbooks.chooser import Choice
from playbooks.models import Plan, PlaybookVersion
from playbooks.states import PlanState
from tests.playbooks.cases import STEP, live_plan, make_cause, make_freight, make_mend, make_policy
from tests.playbooks.driving import drive
from tests.playbooks.world import ORDER


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


def test_a_plan_foresees_each_field_and_how_it_is_taken_back(world):
    make_mend()

    plan = propose(diagnosed())

    step = plan.steps.get()
    assert step.title == f"Correct the freight of {ORDER}"
    assert [(row["field"], row["before"], row["after"], row["side_effect"]) for row in step.predicted] == [
        ("FixedChargeAmount", 112.0, 84.0, False),
        ("OrderTotalAmount", 1112.0, 1084.0, True),
    ]
    assert step.undo["parameters"]["amount"] == "112.00"
    assert (plan.amount, plan.currency, plan.risk_tier) == (Decimal("28.00"), "EUR", "low")
    assert step.sources[0]["version"]
    assert step.lane.startswith("fo:SalesOrderCharges:")


def test_without_a_cause_nothing_is_proposed(world):
    make_mend()
    incident = make_freight(status=Status.DIAGNOSED)

    assert "No cause was found" in refusal(incident)


def test_a_cause_that_no_playbook_mends_goes_to_a_person(world):
    make_mend(causes=["another_cause"])

    assert "No playbook mends" in refusal(diagnosed())


def test_a_kind_without_an_active_playbook_is_told_so(world):
    PlaybookVersion.objects.filter(pk=make_mend().pk).update(active=False)

    assert "No playbook is active" in refusal(diagnosed())


def test_a_playbook_that_is_switched_off_is_no_candidate(world):
    version = make_mend()
    version.playbook.enabled = False
    version.playbook.save()

    refusal(diagnosed())


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (changed(connection="nav"), "connection “nav”, which is not configured"),
        (changed(operation="charge.forget"), "no write operation “charge.forget”"),
        (changed(operation="charges.list"), "no write operation “charges.list”"),
        (changed(when="1 > 2"), "every step's condition is false"),
        (changed(when="charge.NoSuchField > 1.0"), "evidence does not give"),
        (changed(arguments={**STEP["arguments"], "amount": "charge.Amount"}), "evidence does not give “charge.Amount”"),
    ],
)
def test_what_cannot_be_planned_is_said_in_a_sentence(world, step, words):
    make_mend(step)

    assert words in refusal(diagnosed())


def test_a_slot_that_the_evidence_does_not_fill_is_said_in_a_sentence(world):
    make_mend(slots={"amount": {"from": "charge.Offers", "default": "charge.Best"}})

    assert "evidence does not give" in refusal(diagnosed())


def test_an_argument_that_the_operation_does_not_take_is_not_sent(world):
    make_mend(changed(arguments={**STEP["arguments"], "colour": "'red'"}))
    incident = diagnosed()

    drive(incident)

    assert incident.status == Status.NEEDS_OPERATOR
    assert "colour" in incident.status_reason
    assert world.effects() == []


def test_a_step_that_would_change_nothing_that_can_be_seen_is_refused(world, monkeypatch):
    make_mend()
    operation = planning.registry.operation_of(Connection.objects.get(slug="fo"), "charge.update")
    blind = type(operation)(**{**vars(operation), "predict": lambda arguments, records: []})
    monkeypatch.setattr(planning.registry, "operation_of", lambda connection, name: blind)

    assert "nothing to approve" in refusal(diagnosed())


def test_a_record_that_cannot_be_read_is_an_error_of_the_system_not_of_the_plan(world):
    make_mend()
    incident = diagnosed()
    Connection.objects.filter(slug="fo").update(config={})

    with pytest.raises(Unreachable):
        propose(incident)


def test_a_title_longer_than_its_column_is_cut(world):
    make_mend(changed(title="Correct {incident.title}"))

    plan = propose(diagnosed(title="x" * 300))

    assert len(plan.steps.get().title) == 200


def test_a_playbook_that_is_gone_since_it_was_chosen_is_refused_in_words(world):
    make_mend()

    with pytest.raises(planning.CannotPlan, match="does not fit this incident any more"):
        propose(diagnosed(), choice=Choice("gone", {}))


# --- the digest ----------------------------------------------------------------------------------


def digest_of(incident: Incident, version: PlaybookVersion, step: planning.Drafted, number: int = 1) -> str:
    return planning._digest(incident, number, version, [step])


def drafted(incident: Incident, step: dict[str, Any] = STEP) -> planning.Drafted:
    version = make_mend(step)
    definition = planning.PlaybookDefinition.model_validate(version.definition)
    return planning._draft(incident, definition.steps[0], planning.facts(incident), "system:loop")


def test_the_digest_is_the_same_for_the_same_plan_and_another_for_another_number(world):
    incident, version = diagnosed(), make_mend()

    once, twice = (digest_of(incident, version, drafted(incident)) for _ in range(2))

    assert once == twice
    assert digest_of(incident, version, drafted(incident), number=2) != once


@pytest.mark.parametrize("part", ["parameters", "records", "changes", "undo", "rulings", "operation", "definition"])
def test_the_digest_changes_with_each_part_that_an_approval_binds(world, part):
    incident, version = diagnosed(), make_mend()
    make_policy("true", "allow")
    step = drafted(incident)
    before = digest_of(incident, version, step)
    connection = Connection.objects.get(slug="fo")
    others = {
        "parameters": {**step.parameters, "amount": "84.01"},
        "records": [planning.replace(step.records[0], version="W/other"), *step.records[1:]],
        "changes": [planning.replace(step.changes[0], after=84.01), *step.changes[1:]],
        "undo": {"operation": "charge.update", "parameters": {}},
        "rulings": [planning.replace(step.rulings[0], version=2)],
        "operation": planning.registry.operation_of(connection, "line.set_price"),
        "definition": step.definition.model_copy(update={"connection": "crm"}),
    }

    setattr(step, part, others[part])

    assert digest_of(incident, version, step) != before


def test_another_incident_and_another_text_of_the_playbook_have_other_digests(world):
    incident, other, version = diagnosed(), diagnosed(), make_mend()
    step = drafted(incident)

    digests = {
        digest_of(incident, version, step),
        digest_of(other, version, step),
        digest_of(incident, make_mend(), step),
    }

    assert len(digests) == 3


# --- races ---------------------------------------------------------------------------------------


def test_a_worker_that_lost_its_lease_while_planning_stores_nothing(world):
    make_mend()
    incident = diagnosed()
    stale = leases.claim(incident.pk, only_due=False)
    Incident.objects.filter(pk=incident.pk).update(lease_until=incident.opened_at)
    assert leases.claim(incident.pk, only_due=False) is not None
    standing = propose(incident)

    with pytest.raises(leases.LeaseLost):
        propose(incident, lease=stale)

    assert live_plan(incident) == standing


def test_an_incident_that_was_taken_over_meanwhile_gets_no_plan(world, monkeypatch):
    make_mend()
    incident = diagnosed()
    observe = planning.gateway.observe

    def taken_over(*args, **options):
        Incident.objects.filter(pk=incident.pk).update(status=Status.NEEDS_OPERATOR)
        return observe(*args, **options)

    monkeypatch.setattr(planning.gateway, "observe", taken_over)
    with pytest.raises(LostRace, match="moved on"):
        propose(incident)

    assert not incident.plans.exists()


def test_a_newer_plan_voids_the_older_and_its_question(world):
    make_mend(autonomy=None)
    incident = diagnosed()
    older = propose(incident)
    plans.submit(older, actor="system:loop")

    newer = propose(incident)

    older.refresh_from_db()
    assert (older.state, newer.state, newer.number) == (PlanState.VOID, PlanState.DRAFT, 2)
    assert ApprovalRequest.objects.get().state == "void"
