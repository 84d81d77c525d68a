"""Data classes and labels over a whole playbook: refused when it is saved, when it is planned and when it runs."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from audit.clock import db_now
from connectors.base import Blocked
from connectors.door.models import Budget, Spent
from connectors.models import Call, Connection, Delivery
from incidents import detection
from incidents.kinds import KindDefinition
from incidents.models import ExceptionKind
from incidents.states import Status
from playbooks import chooser, flows, loop, pack_actions, planning, verification
from playbooks.definitions import PlaybookDefinition
from playbooks.states import StepState
from tests.connectors.factories import make_model
from tests.playbooks.cases import STEP, make_cause, make_freight
from tests.playbooks.driving import begin, drive, hurry, letters
from tests.playbooks.mends import make_connections
from tests.playbooks.world import CHARGED, CREDIT, World, make_incident, make_plan, make_playbook

pytestmark = pytest.mark.django_db
KIND: dict[str, Any] = {
    "title": "Freight",
    "evidence": [
        {"as": "order", "connection": "fo", "operation": "order.get", "arguments": {"order": "incident.entity_key"}},
        {
            "as": "cases",
            "connection": "crm",
            "operation": "cases.by_order",
            "arguments": {"order": "incident.entity_key"},
        },
    ],
    "derived": {"owner": "order.CustomerName", "size": "order.Total * 2.0"},
}
PERSONAL = {"CustomerName": "personal"}


@pytest.fixture(autouse=True)
def _two_systems(request: pytest.FixtureRequest) -> None:
    if "world" not in request.fixturenames:
        make_connections()


def kind(**changes: Any) -> KindDefinition:
    return KindDefinition.model_validate({**KIND, **changes})


def playbook(
    *, connection: str = "crm", slots: Mapping[str, Any] | None = None, **arguments: Any
) -> PlaybookDefinition:
    step = {
        "name": "tell",
        "title": "Tell",
        "connection": connection,
        "operation": "case.comment",
        "arguments": arguments,
    }
    return PlaybookDefinition.model_validate({"rationale": "Why.", "slots": slots or {}, "steps": [step]})


def change(slug: str, **columns: Any) -> None:
    Connection.objects.filter(slug=slug).update(**columns)


# --- what is refused -----------------------------------------------------------------------------------
def test_by_default_everything_may_flow() -> None:
    assert flows.objections(playbook(text="order.CustomerName"), kind()) == {}


def test_business_and_non_business_systems_are_not_joined() -> None:
    change("crm", data_class="non_business")

    said = flows.objections(playbook(text="'hello'"), kind())

    assert list(said) == ["steps"]
    assert "business systems (fo) and non-business ones (crm)" in said["steps"][0]
    change("fo", data_class="non_business")
    assert flows.objections(playbook(text="'hello'"), kind()) == {}


def test_a_blocked_system_takes_part_in_nothing() -> None:
    change("crm", data_class="blocked")

    assert "steps[0].connection" in flows.objections(playbook(text="'hello'"), kind())


@pytest.mark.parametrize(
    "source",
    [
        "order.CustomerName", "'Dear ' + order.CustomerName", "order . CustomerName", "order.Customer.CustomerName",
        "order['CustomerName']", "string(order)", "[order][0].CustomerName", "derived.owner", "slots.who",
        "order.CustomerName.contains('x') ? 'a' : 'b'", "order.Lines.map(l, l.CustomerName)[0]",
    ],
)  # fmt: skip
def test_a_labelled_field_is_found_however_it_is_taken(source: str) -> None:
    change("fo", labels=PERSONAL)
    slots = {"who": {"values": ["x"], "default": "order.CustomerName"}}

    said = flows.objections(playbook(text=source, slots=slots), kind())

    assert "labelled personal" in said["steps[0].arguments.text"][0]
    change("crm", cleared=["personal"])
    assert flows.objections(playbook(text=source, slots=slots), kind()) == {}


@pytest.mark.parametrize(
    "source",
    ["order.Total", "order.Total.size()", "derived.size", "'CustomerName'", "cases[0].Subject", "incident.title"],
)
def test_what_has_no_label_may_go(source: str) -> None:
    change("fo", labels=PERSONAL)

    assert flows.objections(playbook(text=source), kind()) == {}


def test_an_argument_of_the_target_may_be_labelled_too() -> None:
    change("crm", labels={"text": "financial"})

    said = flows.objections(playbook(text="'12.50'"), kind())

    assert "crm is not cleared for financial data" in said["steps[0].arguments.text"][0]


def test_signals_carry_every_label_of_the_system_that_told_them() -> None:
    change("fo", labels=PERSONAL)
    detect = [{"connection": "fo", "event": "*", "entity_key": "event.id"}]

    said = flows.objections(playbook(text="signals[0].text"), kind(detect=detect))

    assert "does not say plainly" in said["steps[0].arguments.text"][0]


# --- when it is saved ----------------------------------------------------------------------------------
def test_it_is_refused_when_it_is_saved() -> None:
    change("fo", labels=PERSONAL)
    change("crm", data_class="non_business")
    ExceptionKind.objects.create(code="freight_x", label="Freight", definition=KIND)
    text = playbook(text="order.CustomerName").model_dump(mode="json", by_alias=True, exclude_unset=True)

    said = pack_actions.objections(text, kind_code="freight_x")

    assert "definition.steps" in said
    assert "definition.steps[0].arguments.text" in said


# --- when it runs --------------------------------------------------------------------------------------
def test_it_is_refused_when_it_is_planned(world: World) -> None:
    incident = make_incident()
    make_plan(world, incident, CHARGED)
    make_cause(incident)
    change("fo", data_class="blocked")
    asked = len(world.requests())

    with pytest.raises(planning.CannotPlan, match="fo is blocked"):
        planning.propose(incident, actor="system:loop", choice=chooser.Choice("mend", {}))
    assert len(world.requests()) == asked


def test_a_class_that_was_changed_after_the_yes_stops_the_plan_before_it_is_sent(world: World) -> None:
    incident = make_incident()
    plan = make_plan(world, incident, CHARGED)
    ExceptionKind.objects.filter(code=incident.code).update(definition=KIND)
    begin(plan)
    change("crm", data_class="non_business")

    drive(incident)

    assert world.effects() == []
    assert "data classes of the connections do not allow it now" in letters(incident)[0].error


def test_what_was_sent_is_read_back_though_the_system_was_blocked_meanwhile(world: World) -> None:
    incident = make_incident()
    execution = begin(make_plan(world, incident, CREDIT))
    drive(incident)
    run = execution.step_runs.get()
    sent = len(world.effects())
    change("fo", data_class="blocked")

    assert verification.verify(run).matched
    assert len(world.effects()) == sent


# --- models --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("model", "source", "why"),
    [
        ({"data_class": "non_business"}, {}, "non-business"),
        ({}, {"labels": PERSONAL}, "labelled personal"),
        ({"data_class": "blocked"}, {}, "is blocked"),
        ({"cleared": ["personal"]}, {"labels": PERSONAL}, ""),
        ({}, {}, ""),
    ],
)
def test_a_model_is_told_only_what_it_is_cleared_for(model: dict[str, Any], source: dict[str, Any], why: str) -> None:
    ai = make_model(**model)
    change("fo", **source) if source else None

    said = flows.to_model(ai, kind())

    assert why in said if why else said == ""


def test_where_it_may_not_be_told_the_built_in_chooser_goes_on() -> None:
    incident = make_freight(status=Status.DIAGNOSED)
    make_model(data_class="blocked")
    ExceptionKind.objects.filter(code=incident.code).update(definition=KIND)
    incident.refresh_from_db()
    choice = chooser.choose(incident, None, [make_playbook([STEP])], {})

    assert choice.author == chooser.BUILT_IN
    assert "is blocked" in choice.proposal["refused"]
    assert not Call.objects.exists()


# --- what passes is waited for ---------------------------------------------------------------------------
def test_a_plan_waits_for_its_budget_and_goes_on_by_itself(world: World) -> None:
    incident = make_incident()
    begin(make_plan(world, incident, CHARGED))
    budget = Budget.objects.create(connection=world.connections["fo"], calls=1)
    now = db_now().date()
    for day in (now, now + timedelta(days=1)):
        Spent.objects.create(budget=budget, day=day, calls=1)

    for _ in range(8):
        hurry(incident)
        loop.advance(incident.pk)

    run = incident.executions.get().step_runs.get()
    assert world.effects() == []
    assert letters(incident) == []
    assert "Today's budget of fo is spent" in run.state_reason
    budget.delete()
    drive(incident)
    run.refresh_from_db()
    assert (run.state, len(world.effects())) == (StepState.VERIFIED, 1)


def test_a_budget_that_is_spent_after_the_send_keeps_nothing_from_its_proof(world: World) -> None:
    incident = make_incident()
    begin(make_plan(world, incident, CHARGED))
    # The fresh look and the write are new work; the read-back comes after the last unit is gone.
    Budget.objects.create(connection=world.connections["fo"], calls=2)

    drive(incident)

    assert incident.executions.get().step_runs.get().state == StepState.VERIFIED
    assert Spent.objects.get().calls == 3


@pytest.mark.parametrize("code", sorted(Blocked.PASSING))
def test_the_loop_waits_for_what_passes_and_leaves_the_rest_to_a_person(code: str) -> None:
    incident = make_incident()

    pause = loop._stumbled(incident, Blocked("Later.", code=code, retry_after=700.0))
    incident.refresh_from_db()
    assert (pause.seconds, incident.status) == (700.0, Status.DIAGNOSED)
    loop._stumbled(incident, Blocked("Never.", code="class"))
    incident.refresh_from_db()
    assert incident.status == Status.NEEDS_OPERATOR


def test_a_delivery_waits_as_long_as_it_takes() -> None:
    fo = Connection.objects.get(slug="fo")
    delivery = Delivery.objects.create(
        connection=fo, external_id="1", event="x", payload={}, received_at=db_now(), attempts=50
    )

    assert detection._again(delivery, Blocked("Later.", code="budget", retry_after=700.0)) == ""
    assert detection._again(delivery, Blocked("Never.", code="class")) == "failed"
