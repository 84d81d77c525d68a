"""From an event to its incident: measured from rows, counted once, clocks that run ahead apart."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection

from audit.clock import db_now
from incidents import pace, tasks
from incidents.judgements import Decision, Pace
from incidents.models import Signal
from incidents.triage import triage
from tests.incidents.factories import make_incident, make_kind


def took(seconds: float, *, age: float = 120, **changes: object) -> None:
    """A signal that we received ``age`` seconds ago, ``seconds`` after its event."""
    incident = make_incident(**{"entity_key": f"CIV-{Signal.objects.count()}", **changes})
    received = db_now() - timedelta(seconds=age)
    rows = Signal.objects.filter(incident=incident)
    rows.update(received_at=received, occurred_at=received - timedelta(seconds=seconds))


@pytest.mark.django_db
def test_the_percentiles_are_values_that_were_measured(operator):
    for number in range(1, 21):
        took(number)

    found = pace.figures("transport", operator)

    assert (found.n, found.p50, found.p95, found.ahead) == (20, 10.0, 19.0, 0)
    assert found.since == Signal.objects.order_by("received_at").first().received_at


@pytest.mark.django_db
def test_a_clock_that_runs_ahead_is_counted_apart(operator):
    took(4)
    took(-90)

    found = pace.figures("transport", operator)

    assert (found.n, found.p50, found.ahead, found.furthest) == (1, 4.0, 1, 90.0)


@pytest.mark.django_db
def test_without_rows_nothing_is_claimed(operator):
    assert pace.figures("transport", operator) == pace.Figures(0, None, None, 0, 0.0, None)


@pytest.mark.django_db
def test_nobody_reads_the_figures_of_units_that_are_not_theirs(viewer):
    took(1)
    took(500, business_unit="US")

    assert pace.figures("transport", viewer).n == 1


@pytest.mark.django_db
def test_only_the_latest_signals_are_read(operator, monkeypatch):
    monkeypatch.setattr(pace, "LATEST", 3)
    for seconds in (900, 900, 1, 2, 3):
        took(seconds)

    found = pace.figures("transport", operator)

    assert (found.n, found.p95) == (3, 3.0)


@pytest.mark.django_db
def test_a_first_look_ends_the_way_to_the_incident(operator):
    make_kind()
    incident = make_incident()
    triage(incident, actor="system:loop")
    late = incident.opened_at + timedelta(seconds=7)
    Decision.objects.update(decided_at=late)
    triage(incident, actor="system:loop")  # a second look changes nothing of it

    found = pace.figures("visible", operator)

    assert (found.n, found.p50) == (1, 7.0)


# --- the running histogram -------------------------------------------------------------------------


@pytest.mark.django_db
def test_each_row_is_counted_once_in_the_bucket_of_its_span():
    for seconds in (0.05, 0.07, 40, 200_000, -3):
        took(seconds)

    assert (pace.count(), pace.count()) == (5, 0)
    took(2)
    assert pace.count() == 1

    row = Pace.objects.get(measure="transport")
    found = dict(zip([*pace.BOUNDS, "more"], row.counts, strict=True))
    assert {bound: n for bound, n in found.items() if n} == {0.05: 1, 0.1: 1, 2.5: 1, 60.0: 1, "more": 1}
    assert (row.ahead, round(row.seconds, 2)) == (1, 200_042.12)


@pytest.mark.django_db
def test_what_may_still_be_committed_before_it_waits_a_turn():
    took(1)
    took(1, age=10)

    assert pace.count() == 1
    Signal.objects.update(received_at=db_now() - timedelta(seconds=70))
    assert pace.count() == 1


@pytest.mark.django_db
def test_a_turn_is_bounded(monkeypatch):
    monkeypatch.setattr(pace, "BATCH", 2)
    for _ in range(3):
        took(1)

    assert [pace.count(), pace.count(), pace.count()] == [2, 1, 0]


@pytest.mark.django_db(transaction=True)
def test_two_counters_at_once_count_each_row_once():
    for _ in range(6):
        took(1)

    def count(_: int) -> int:
        try:
            return pace.count()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(count, range(4))) == 6

    assert sum(Pace.objects.get(measure="transport").counts) == 6


@pytest.mark.django_db
def test_two_schedulers_take_one_turn():
    took(1)

    assert (tasks.count_pace(), tasks.count_pace()) == (1, 0)


@pytest.mark.django_db
def test_metrics_carry_the_histogram(client):
    for seconds in (0.2, 3, -5):
        took(seconds)
    pace.count()

    text = client.get("/metrics").content.decode()

    name = "goldseam_event_to_incident_seconds"
    assert f'{name}_bucket{{le="0.25",span="transport"}} 1.0' in text
    assert f'{name}_bucket{{le="5.0",span="transport"}} 2.0' in text
    assert f'{name}_bucket{{le="+Inf",span="transport"}} 2.0' in text
    assert f'{name}_count{{span="transport"}} 2.0' in text
    assert 'goldseam_event_clock_ahead_total{span="transport"} 1.0' in text


@pytest.mark.django_db
def test_the_inbox_says_the_figures_with_their_number(client, operator):
    took(12)
    took(-30)
    client.force_login(operator)

    page = client.get("/").content.decode()

    assert "half within 12 s, 95 % within 12 s" in page
    assert "n=1" in page
    assert "1 more came from clocks that run ahead of ours, by up to 30 s" in page
