"""A signal that joins while the loop comes to no cause is heard, whichever of both is first, and also after a crash."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from audit.errors import LostRace
from incidents import actions as incident_actions
from incidents import news
from incidents.intake import accept, accept_many
from incidents.models import Incident
from incidents.states import Status
from playbooks import loop
from tests.incidents.factories import assert_counters_equal_rows
from tests.playbooks.driving import die_and_come_back, dying, hurry
from tests.playbooks.parcels import LOST, again, before, carry_on, cause_of, looks, make_parcels, parcel, waiting
from tests.racing import at_once, numbered, together

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 10
# The call of the loop before which the signal joins, and whether it has to look twice to have known of it.
MOMENTS: dict[str, tuple[Any, str, int, bool]] = {
    "before anything is read": (loop.triage, "triage", 1, False),
    "while records are read": (loop.evidence, "_store", 1, True),
    "between records and cause": (loop.rootcause, "diagnose", 1, True),
    "between cause and plan": (loop.planning, "propose", 1, True),
    "before it is left to a person": (loop, "move", 3, True),
    "after it was left to a person": (loop.news, "hear", 1, True),
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("take", ["alone", "in a batch"])
def test_whenever_a_signal_joins_it_is_heard_and_once(monkeypatch, moment, take):
    module, name, call, twice = MOMENTS[moment]
    make_parcels()
    incident = accept(parcel()).incident
    said = parcel(2, attributes={"depot": "A"})
    join = partial(accept, said) if take == "alone" else partial(accept_many, [said])
    before(monkeypatch, module, name, join, call=call)

    carry_on(incident)
    carry_on(incident)

    assert incident.signals_count == 2
    assert (looks(incident), len(again(incident))) == ((2, 1) if twice else (1, 0))
    assert (incident.status, incident.due_at) == (Status.NEEDS_OPERATOR, None)


def test_what_says_the_same_while_it_is_looked_into_changes_nothing(monkeypatch):
    make_parcels()
    incident = accept(parcel()).incident
    before(monkeypatch, loop.rootcause, "diagnose", lambda: [accept(parcel(number)) for number in range(2, 52)])

    carry_on(incident)

    assert (incident.signals_count, looks(incident), incident.due_at) == (51, 1, None)


@pytest.mark.parametrize("died", ["before it was heard", "while it was taken up", "before the cause"])
def test_a_worker_that_dies_loses_no_news(monkeypatch, died):
    make_parcels()
    incident = accept(parcel()).incident
    before(monkeypatch, loop.planning, "propose", lambda: accept(parcel(2, attributes={LOST: True})))
    with monkeypatch.context() as dying_here:
        if died == "before it was heard":
            dying_here.setattr(news, "hear", dying())
        elif died == "while it was taken up":
            dying_here.setattr(news, "look_again", dying())
        else:
            dying_here.setattr(loop.rootcause, "diagnose", dying(1, loop.rootcause.diagnose))
        die_and_come_back(incident)

    hurry(incident)
    carry_on(incident)

    assert (cause_of(incident), len(again(incident))) == (LOST, 1)


def test_a_signal_and_the_end_of_a_look_at_the_same_moment_lose_nothing():
    make_parcels()
    for number in range(ROUNDS):
        about = f"P-{number}"
        incident = accept(parcel(about=about)).incident

        together(partial(loop.advance, incident.pk), partial(accept, parcel(2, about=about, attributes={LOST: 1})))
        carry_on(incident)

        assert cause_of(incident) == LOST
        assert looks(incident) == 1 + len(again(incident))
    assert_counters_equal_rows()


def test_a_signal_and_the_hearing_of_another_at_the_same_moment_lose_nothing():
    make_parcels()
    for number in range(ROUNDS):
        about = f"P-{number}"
        incident = waiting(about)
        accept(parcel(2, about=about, attributes={"depot": "A"}))

        together(partial(loop.advance, incident.pk), partial(accept, parcel(3, about=about, attributes={LOST: 1})))
        carry_on(incident)

        assert cause_of(incident) == LOST
        assert len(again(incident)) in (1, 2)


def test_a_bell_that_rings_twice_at_once_is_one_look():
    make_parcels()
    for number in range(ROUNDS):
        incident = waiting(f"P-{number}")
        accept(parcel(2, about=f"P-{number}", attributes={"depot": "A"}))

        together(*[partial(loop.advance, incident.pk)] * 4)
        carry_on(incident)

        assert (looks(incident), len(again(incident))) == (2, 1)


def test_a_storm_of_the_same_with_one_new_thing_in_it_is_one_look():
    incident = waiting()

    def act(number: int) -> Any:
        if number % 8 == 7:
            return loop.advance(incident.pk)
        if number % 8 == 6:
            return accept_many([parcel(1000 * number + one) for one in range(5)])
        return accept(parcel(number + 2, attributes={LOST: 1} if number == 9 else {}))

    for one in numbered(32, act):
        assert not isinstance(one, Exception), one
    carry_on(incident)

    assert (cause_of(incident), looks(incident), len(again(incident))) == (LOST, 2, 1)
    assert_counters_equal_rows()


ACTS: dict[str, Callable[[Incident, Any], Any]] = {
    "holds it": lambda incident, by: incident_actions.hold(incident, by=by, reason="Wait."),
    "dismisses it": lambda incident, by: incident_actions.dismiss(incident, by=by, reason="Known."),
    "takes it": lambda incident, by: incident_actions.assign(incident, by=by, to=by),
}


@pytest.mark.parametrize("act", ACTS)
def test_a_person_and_the_loop_at_the_same_moment_are_one_after_the_other(operator, act):
    make_parcels()
    for number in range(8):
        incident = waiting(f"P-{number}")
        accept(parcel(2, about=f"P-{number}", attributes={"depot": "A"}))

        _, came = at_once(partial(loop.advance, incident.pk), partial(ACTS[act], incident, operator))
        carry_on(incident)

        assert not isinstance(came, Exception) or isinstance(came, LostRace)
        assert len(again(incident)) <= 1
        by_hand = {"holds it": Status.ON_HOLD, "dismisses it": Status.DISMISSED, "takes it": Status.NEEDS_OPERATOR}
        expected = Status.NEEDS_OPERATOR if isinstance(came, Exception) else by_hand[act]
        assert (incident.status, incident.due_at) == (expected, None)
