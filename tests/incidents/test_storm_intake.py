"""Intake under load: many threads at once, and neither a signal nor a count is lost."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from incidents.actions import move
from incidents.intake import Accepted, accept, accept_many
from incidents.models import Evidence, Incident, Signal
from incidents.states import Status
from tests.incidents.factories import assert_counters_equal_rows, later, make_kind, make_signal


def at_once(count: int, act: Callable[[int], Any], workers: int = 16) -> list[Any]:
    def one(number: int) -> Any:
        try:
            return act(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, range(count)))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("count", [50, 200])
def test_concurrent_signals_of_one_problem_are_one_incident_with_all_evidence(count):
    make_kind()

    answers = at_once(count, lambda n: accept(make_signal(id=f"e{n}", time=later(n))))

    assert len({answer.incident.pk for answer in answers}) == 1
    assert sum(not answer.merged for answer in answers) == 1
    assert Evidence.objects.count() == count
    assert_counters_equal_rows()


@pytest.mark.django_db(transaction=True)
def test_one_id_sent_many_times_at_once_is_kept_once():
    answers = at_once(200, lambda n: accept(make_signal()))

    assert sum(not answer.repeated for answer in answers) == 1
    assert len({answer.signal.pk for answer in answers}) == 1
    assert Evidence.objects.count() == 1
    assert_counters_equal_rows()


@pytest.mark.django_db(transaction=True)
def test_concurrent_batches_over_the_same_problems_in_other_orders_all_get_through():
    make_kind()

    def batch(number: int) -> list[Accepted]:
        keys = [f"CIV-{(n * (number * 2 + 1)) % 23}" for n in range(23)]
        return accept_many([make_signal(id=f"{number}-{n}", entity_key=key) for n, key in enumerate(keys)])

    at_once(24, batch, workers=8)

    assert Incident.objects.filter(closed_at=None).count() == 23
    assert Signal.objects.count() == 24 * 23
    assert_counters_equal_rows()


@pytest.mark.django_db(transaction=True)
def test_signals_that_meet_a_closing_are_kept_in_the_old_or_a_new_incident():
    first = accept(make_signal(id="first")).incident
    Incident.objects.filter(pk=first.pk).update(status=Status.NEEDS_OPERATOR)

    def act(number: int) -> Any:
        if number == 20:
            return move(Incident.objects.get(pk=first.pk), Status.DISMISSED, actor="operator", reason="Known.")
        return accept(make_signal(id=f"e{number}", time=later(10_000_000 + number)))

    at_once(60, act)

    assert Signal.objects.count() == 60
    assert Incident.objects.filter(closed_at=None).count() <= 1
    assert_counters_equal_rows()
