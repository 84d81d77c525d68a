"""A signal that says something new has an incident without a cause looked into afresh: once, and nobody is overrun."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.clock import db_now
from connectors.base import Blocked
from connectors.models import Connection, Delivery
from incidents import actions as incident_actions
from incidents import evidence, news, routing, threads
from incidents.intake import accept, accept_many
from incidents.models import Incident, Signal
from incidents.states import Assign, Status
from playbooks import actions
from tests.incidents.factories import make_incident, make_queue, put
from tests.playbooks.parcels import LOST, again, carry_on, cause_of, looks, make_parcels, parcel, waiting

pytestmark = pytest.mark.django_db


def test_a_signal_that_says_something_new_has_the_incident_looked_into_afresh():
    incident = waiting()

    joined = accept(parcel(2, attributes={LOST: True}))
    carry_on(incident)

    assert joined.incident == incident
    assert (cause_of(incident), looks(incident)) == (LOST, 2)
    assert again(incident) == [f"Looked at again: signal {joined.key} of fo:demf says something new: lost."]
    assert carry_on(incident).due_at is None


def test_each_new_thing_is_looked_at_once_however_often_it_is_said():
    incident = waiting()
    for number, attributes in enumerate([{"depot": "A"}, {"depot": "A"}, {"depot": "B"}, {"depot": "A"}, {}], start=2):
        accept(parcel(number, attributes=attributes))
        carry_on(incident)
        carry_on(incident)

    assert [line.rpartition(" says ")[2] for line in again(incident)] == ["something new: depot."] * 2
    assert (looks(incident), incident.status, incident.due_at) == (3, Status.NEEDS_OPERATOR, None)


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"amount": "7.00"}, "amount"),
        ({"currency": "USD"}, "currency"),
        ({"text": "It was seen in Hull."}, "text"),
        ({"type": "ParcelReturned"}, "kind of event"),
        ({"source": "carrier"}, "source"),
        ({"region": "FR"}, "region"),
        ({"attributes": {"say <b>yes</b>": 1}}, "an attribute"),
        ({"amount": "7.00", "text": "Hull", "attributes": {"depot": "A"}}, "amount, text, depot"),
    ],
)
def test_what_is_new_is_named_in_the_reason(said, named):
    incident = waiting()

    accept(parcel(2, **said))
    carry_on(incident)

    (reason,) = again(incident)
    assert reason.endswith(f"says something new: {named}.")


def test_known_things_in_a_new_combination_are_new():
    incident = waiting()
    accept_many([parcel(2, attributes={"depot": "A"}), parcel(3, attributes={"van": 1})])
    carry_on(incident)

    accept(parcel(4, attributes={"depot": "A", "van": 1}))
    carry_on(incident)

    assert again(incident)[-1].endswith("says what no signal had said in this combination.")


def test_a_unit_that_only_a_later_signal_knows_is_something_new():
    incident = waiting()
    other = accept(parcel(1, about="P-2", business_unit="")).incident
    carry_on(other)

    accept(parcel(2, about="P-2"))
    accept(parcel(2))
    carry_on(other)

    assert (len(again(other)), len(again(incident))) == (1, 0)
    assert carry_on(other).business_unit == "EU"


def test_a_thousand_signals_that_say_the_same_are_looked_at_never():
    incident = waiting()
    for number in range(2, 502):
        accept(parcel(number))
    for number in range(502, 1002, 50):
        accept_many([parcel(one) for one in range(number, number + 50)])
        assert carry_on(incident).due_at is None

    assert (incident.signals_count, looks(incident)) == (1001, 1)


def test_what_says_nothing_new_takes_the_short_way_as_before():
    waiting()
    accept(parcel(2))

    with CaptureQueriesContext(connection) as queries:
        accept(parcel(3))

    # Two more are the savepoint that a test's transaction makes of an own transaction.
    assert len(queries) == (3 if connection.vendor == "postgresql" else 5)


def test_a_thousand_signals_that_all_say_something_else_are_looked_at_three_times_and_then_together(monkeypatch):
    incident = waiting()
    for number in range(2, 1002):
        accept(parcel(number, attributes={"depot": number}))
        if number % 20 == 0:
            carry_on(incident)
    assert (len(again(incident)), looks(incident), incident.status) == (3, 4, Status.NEEDS_OPERATOR)
    assert incident.due_at is not None
    assert db_now() < incident.due_at <= db_now() + news.WINDOW

    monkeypatch.setattr(news, "db_now", lambda: db_now() + news.WINDOW)
    Incident.objects.update(due_at=db_now() - timedelta(seconds=1))
    carry_on(incident)

    assert (len(again(incident)), incident.due_at) == (4, None)


def test_a_batch_rings_for_the_incidents_that_it_tells_something_new():
    first, second, third = waiting("P-1"), waiting("P-2"), waiting("P-3")
    accept_many(
        [
            parcel(2, about="P-1"),
            parcel(2, about="P-2", attributes={"depot": "A"}),
            parcel(2, about="P-3"),
            parcel(3, about="P-3", text="Found."),
            parcel(1, about="P-4", attributes={"depot": "A"}),
        ]
    )
    due = set(Incident.objects.exclude(due_at=None).values_list("entity_key", flat=True))
    carry_on(first)

    assert due == {"P-2", "P-3", "P-4"}
    assert [len(again(one)) for one in (first, second, third)] == [0, 1, 1]


# --- whose it is -----------------------------------------------------------------------------------
def _comment(incident: Incident, by: User) -> None:
    incident_actions.comment(incident, by=by, text="I am on the phone with the carrier.")


def _correct(incident: Incident, by: User) -> None:
    incident_actions.correct(incident, by=by, severity="high", reason="An important customer.")


def _hold(incident: Incident, by: User) -> None:
    incident_actions.hold(incident, by=by, reason="Wait for the carrier.")


def _acknowledge(incident: Incident, by: User) -> None:
    incident.escalations.create(level=1, role="operator", justification="Late.", created_at=db_now())
    incident_actions.acknowledge(incident, by=by)


TOUCHES: dict[str, Callable[[Incident, User], object]] = {
    "takes over": lambda incident, by: actions.take_over(incident, by=by, reason="Mine."),
    "assigns": lambda incident, by: incident_actions.assign(incident, by=by, to=by),
    "acknowledges": _acknowledge,
    "comments": _comment,
    "corrects": _correct,
    "holds": _hold,
}


@pytest.mark.parametrize("touch", TOUCHES)
def test_an_incident_that_a_person_works_on_is_left_to_them(operator, touch):
    incident = waiting()
    TOUCHES[touch](incident, operator)
    stood = Incident.objects.get(pk=incident.pk).status

    accept(parcel(2, attributes={LOST: True}))
    carry_on(incident)

    assert (again(incident), looks(incident), incident.status, incident.due_at) == ([], 1, stood, None)


def test_whoever_has_it_lets_it_be_looked_at_with_all_that_came_by_planning_again(operator):
    incident = waiting()
    _comment(incident, operator)
    accept(parcel(2, attributes={"depot": "A"}))
    carry_on(incident)

    actions.replan(incident, by=operator)
    carry_on(incident)
    assert (looks(incident), again(incident)) == (2, [])

    # What they wrote before they gave it back holds it no more.
    accept(parcel(3, attributes={LOST: True}))
    assert cause_of(carry_on(incident)) == LOST


def test_what_somebody_writes_in_another_system_is_no_work_of_an_operator():
    incident = waiting()
    crm = Connection.objects.create(slug="crm", kind="salesforce", label="CRM")
    told = Delivery.objects.create(connection=crm, external_id="1", event="e", payload={}, received_at=db_now())
    threads.keep(incident, told, author="005", text="Any news?")

    accept(parcel(2, attributes={LOST: True}))
    carry_on(incident)

    assert len(again(incident)) == 1


def test_whom_the_queues_rule_gave_it_to_has_not_begun(operator):
    make_queue("parcels", domains=["billing"], members=[{"user": "operator", "skills": []}], assign=Assign.LEAST_LOADED)
    incident = waiting()
    routing.offer(incident.pk)
    incident.refresh_from_db()
    assert incident.assignee == operator

    accept(parcel(2, attributes={LOST: True}))

    assert (cause_of(carry_on(incident)), incident.assignee) == (LOST, operator)


# --- what it waits for -----------------------------------------------------------------------------
def test_an_incident_whose_cause_is_known_waits_for_something_else():
    incident = waiting()
    accept(parcel(2, attributes={LOST: True}))
    carry_on(incident)
    assert "No playbook is active" in incident.status_reason

    accept(parcel(3, attributes={"depot": "A"}))
    carry_on(incident)

    assert (len(again(incident)), looks(incident), incident.due_at) == (1, 2, None)


def test_an_incident_of_an_unknown_kind_is_decided_by_a_person():
    incident = make_incident(code="unheard_of")

    accept(parcel(2).model_copy(update={"code": "unheard_of", "entity_type": "invoice", "entity_key": "CIV-000697"}))
    carry_on(incident)

    assert incident.signals_count == 2
    assert (again(incident), looks(incident), incident.due_at) == ([], 0, None)


def test_records_that_may_not_be_read_are_not_asked_for_by_every_signal(monkeypatch):
    make_parcels()
    incident = accept(parcel()).incident

    def refuse(*_args: object, **_options: object) -> None:
        raise Blocked("The data class forbids it.", code="class")

    monkeypatch.setattr(evidence, "ask", refuse)
    carry_on(incident)
    assert incident.status == Status.NEEDS_OPERATOR

    accept(parcel(2, attributes={LOST: True}))
    carry_on(incident)

    assert (again(incident), incident.due_at) == ([], None)


@pytest.mark.parametrize("status", [Status.AWAITING_APPROVAL, Status.EXECUTING, Status.VERIFYING, Status.ROLLING_BACK])
def test_what_is_under_way_is_not_rung_for(status):
    incident = put(waiting(), status)

    accept(parcel(2, attributes={LOST: True}))
    incident.refresh_from_db()

    assert (incident.status, incident.due_at, incident.signals_count) == (status, None, 2)


# --- what people see -------------------------------------------------------------------------------
def test_the_page_and_the_timeline_say_that_and_why_it_was_looked_at_again(api, operator):
    incident = waiting()
    accept(parcel(2, attributes={LOST: True}))
    carry_on(incident)
    client = Client()
    client.force_login(operator)

    page = client.get(incident.get_absolute_url()).content.decode()
    timeline = api(operator).get(f"/api/v1/incidents/{incident.pk}/timeline/").json()

    reason = f"Looked at again: signal {Signal.objects.latest('pk').pk} of fo:demf says something new: lost."
    assert reason in page
    assert reason in [line["data"].get("reason") for line in timeline["results"]]
