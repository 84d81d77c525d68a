"""A worker dies while a wrong invoice is credited and issued anew, or taken back: each posting is made once."""

from typing import Any

import pytest

from approvals import actions as approvals
from approvals.models import ApprovalRequest
from incidents.states import Status
from playbooks import actions
from playbooks.states import StepState
from tests.playbooks.driving import begin, drive, hurry, states
from tests.playbooks.test_survive_crashes import POINTS, die_at
from tests.playbooks.world import CREDIT, REISSUE, World, make_incident, make_plan

ANEW = (REISSUE[0], REISSUE[1], {**REISSUE[2], "invoice": "INV-1"})
FORWARD = ["action:CreditInvoice", "action:ReissueInvoice"]
BACKWARD = ["action:CreditFreeTextInvoice", "action:ReverseCreditNote"]


def posted(world: World) -> list[dict[str, Any]]:
    return [effect for effect in world.effects() if effect["kind"].startswith("action:")]


@pytest.mark.chaos
@pytest.mark.parametrize("point", POINTS)
def test_a_death_while_it_is_credited_leaves_both_postings_once(
    world: World, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    incident = make_incident()
    execution = begin(make_plan(world, incident, CREDIT, ANEW))

    die_at(world, monkeypatch, incident, point)
    drive(incident)

    assert incident.status == Status.RESOLVED, incident.status_reason
    assert [effect["kind"] for effect in posted(world)] == FORWARD
    assert len({effect["effect_key"] for effect in posted(world)}) == 2
    assert world.truth("fo", "CustomersV3", "DE-001")["OpenBalance"] == 1500.0
    assert states(execution) == [StepState.VERIFIED] * 2


@pytest.mark.chaos
@pytest.mark.parametrize("point", [name for name, (_, _, _, fault) in POINTS.items() if fault])
def test_a_death_after_the_credit_leaves_both_postings_once(
    world: World, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    incident = make_incident()
    execution = begin(make_plan(world, incident, CREDIT, ANEW))

    die_at(world, monkeypatch, incident, point, match="^(POST|PATCH|PUT) .*ReissueInvoice")
    between = states(execution)
    drive(incident)

    assert between == [StepState.VERIFIED, StepState.SENT]
    assert incident.status == Status.RESOLVED, incident.status_reason
    assert [effect["kind"] for effect in posted(world)] == FORWARD
    assert len({effect["effect_key"] for effect in posted(world)}) == 2


@pytest.mark.chaos
@pytest.mark.parametrize("point", [name for name in POINTS if name != "verified, not closed"])
def test_a_death_while_it_is_taken_back_leaves_both_counter_postings_once(
    world: World, monkeypatch: pytest.MonkeyPatch, operator: Any, approver: Any, point: str
) -> None:
    incident = make_incident()
    execution = begin(make_plan(world, incident, CREDIT, ANEW))
    drive(incident)
    execution.refresh_from_db()
    back = actions.roll_back(execution, by=operator, reason="the contract was read wrongly")
    asked = ApprovalRequest.objects.get(subject="rollback", subject_id=back.pk)
    approvals.decide(asked, by=approver, verdict="approve", digest=back.digest, comment="fine")
    hurry(incident)

    die_at(world, monkeypatch, incident, point)
    drive(incident)

    assert incident.status == Status.ROLLED_BACK, incident.status_reason
    assert [effect["kind"] for effect in posted(world)] == [*FORWARD, *BACKWARD]
    assert len({effect["effect_key"] for effect in posted(world)}) == 4
    assert world.truth("fo", "SalesInvoiceHeadersV2", "INV-1")["RemainingAmount"] == 1250.0
    assert world.truth("fo", "CustomersV3", "DE-001")["OpenBalance"] == 1500.0
