"""A sender of one unit neither attaches to another unit's incident nor learns that there is one."""

from typing import Any

import pytest

from incidents.models import Evidence, Incident, Signal
from tests.factories import make_user
from tests.incidents.factories import make_kind
from tests.incidents.test_send_signals_api import MANY, event, send
from tests.racing import numbered

pytestmark = pytest.mark.django_db


def told(number: int, unit: Any, **data: Any) -> dict[str, Any]:
    """One more event about the same invoice, from a unit."""
    return event(id=f"e-{number}", data={"business_unit": unit, **data})


@pytest.fixture
def german(api):
    return api(make_user("german", role="integration", units=["EU"]))


@pytest.fixture
def american(api):
    return api(make_user("american", role="integration", units=["US"]))


def shape(answer: Any) -> tuple[int, list[str], bool]:
    """What an answer tells beside the numbers."""
    return answer.status_code, sorted(answer.json()), answer.json()["merged"]


def test_the_answer_is_the_same_whether_another_units_incident_exists_or_not(german, american):
    alone = send(american, told(1, "US", entity_key="CIV-1"))
    send(german, told(2, "EU"))

    beside = send(american, told(3, "US"))

    assert shape(beside) == shape(alone) == (202, ["incident", "merged", "signal"], False)
    theirs = Incident.objects.get(pk=beside.json()["incident"])
    assert (theirs.business_unit, theirs.signals_count) == ("US", 1)


def test_nothing_of_it_reaches_the_other_units_incident(german, american):
    first = send(german, told(1, "EU")).json()["incident"]
    send(american, told(2, "US", text="look here"))

    incident = Incident.objects.get(pk=first)
    assert (incident.signals_count, incident.evidence.count()) == (1, 1)
    assert not Evidence.objects.filter(incident=first, signal__text="look here").exists()


@pytest.mark.parametrize("batch", [False, True])
def test_what_it_tells_again_joins_its_own(german, american, batch):
    send(german, told(1, "EU"))
    one = send(american, told(2, "US")).json()

    body = told(3, "US")
    again = send(american, [body], MANY).json()[0] if batch else send(american, body).json()

    assert (again["incident"], again["merged"]) == (one["incident"], True)
    assert Incident.objects.count() == 2


def test_one_that_names_no_unit_is_kept_apart_too(german, american):
    theirs = send(german, told(1, "EU")).json()["incident"]

    answer = send(american, told(2, ...)).json()

    assert (answer["incident"] != theirs, answer["merged"]) == (True, False)


def test_a_sender_of_both_units_joins_the_one_incident(german, api):
    theirs = send(german, told(1, "EU")).json()["incident"]
    both = api(make_user("both", role="integration", units=["EU", "US"]))

    answer = send(both, told(2, "US")).json()

    assert (answer["incident"], answer["merged"]) == (theirs, True)


def test_an_incident_whose_unit_nobody_knows_yet_is_joined(api, american):
    everywhere = api(make_user("hub", role="integration"))
    opened = send(everywhere, told(1, ...)).json()["incident"]

    assert send(american, told(2, "US")).json()["incident"] == opened


def test_regions_are_kept_apart_as_units_are(german, api):
    theirs = send(german, told(1, "EU", region="DE")).json()["incident"]
    french = api(make_user("french", role="integration", units=["EU"], regions=["FR"]))

    answer = send(french, told(2, "EU", region="FR")).json()

    assert (answer["incident"] != theirs, answer["merged"]) == (True, False)


def test_the_id_of_another_units_signal_shows_nothing_of_it(german, american):
    theirs = send(german, told(1, "EU")).json()

    answer = send(american, told(1, "US"))

    assert answer.status_code == 403
    assert str(theirs["incident"]) not in answer.json()["detail"].replace("e-1", "")
    assert Signal.objects.count() == 1


def test_an_own_incident_that_was_merged_into_a_foreign_one_is_not_told_of(german, american):
    theirs = Incident.objects.get(pk=send(german, told(1, "EU")).json()["incident"])
    own = Incident.objects.get(pk=send(american, told(2, "US")).json()["incident"])
    Incident.objects.filter(pk=own.pk).update(merged_into=theirs, closed_at=own.opened_at, status="dismissed")

    answer = send(american, told(3, "US")).json()

    assert answer["incident"] not in (theirs.pk, own.pk)
    assert not answer["merged"]


@pytest.mark.django_db(transaction=True)
def test_two_units_at_once_come_to_one_incident_each(api):
    make_kind()
    clients = [api(make_user(unit, role="integration", units=[unit])) for unit in ("EU", "US")]

    def call(number: int) -> tuple[str, int]:
        unit = ("EU", "US")[number % 2]
        return unit, send(clients[number % 2], told(number, unit)).json()["incident"]

    answers = numbered(8, call)

    assert len(set(answers)) == 2, answers
    for unit, incident in set(answers):
        assert Incident.objects.get(pk=incident).business_unit == unit
        assert Incident.objects.get(pk=incident).signals_count == 4
