"""The pace of an account, the pauses that it was asked for, and its circuit breaker, shared by all workers."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from audit.clock import db_now
from audit.models import Entry
from connectors import actions
from connectors.base import Blocked, RateLimited, Refused, Unanswered
from connectors.door import breaker, pacing
from connectors.door.models import Gate
from connectors.models import Connection
from tests.connectors.at_door import (
    ORDER,
    ROW,
    change,
    open_fo,
    read,
    refused,
    side_by_side,
)
from tests.connectors.factories import Played, make_fo


@pytest.fixture
def fo(db: None, played: Played) -> Connection:
    return open_fo(played)


# --- rate and pauses of a credential -----------------------------------------------------------------
def test_a_pause_holds_for_every_connection_of_the_same_account(fo: Connection, played: Played) -> None:
    other, stranger = make_fo(slug="fo2"), make_fo(slug="fo3", secret="another secret")
    read(other)
    read(stranger)
    played.on("GET", ORDER, httpx.Response(429, headers={"retry-after": "60"}))
    with pytest.raises(RateLimited):
        read(fo)
    asked = len(played.requests)

    assert refused(other).code == "not_before"
    late = make_fo(slug="fo4")
    assert refused(late).code == "not_before", "also one that was made meanwhile"
    assert len(played.requests) == asked
    with pytest.raises(RateLimited):
        read(stranger)


def test_another_secret_is_another_account(fo: Connection) -> None:
    read(fo)
    before = Connection.objects.get().gate_id
    actions.set_secret(Connection.objects.get(), "client_secret", "renewed-client-secret", actor="automation")
    read(fo)

    assert before is not None
    assert Connection.objects.get().gate_id not in (None, before)


@pytest.mark.parametrize(("calls", "seconds"), [(1, 60), (2, 10), (10, 60), (60, 60), (6000, 300), (7, 3)])
def test_no_stretch_of_time_ever_holds_more_than_the_rate(calls: int, seconds: int) -> None:
    step, ahead = pacing.spacing(calls, seconds)
    span, now, free, sent = seconds * 1_000_000, 0, 0, []
    while len(sent) < 3 * calls:
        now = max(now, free - ahead)
        free = max(free, now) + step
        sent.append(now)

    most = max(sum(1 for later in sent[first:] if later < sent[first] + span) for first in range(len(sent) - calls))
    assert most <= calls
    assert most >= calls * 0.85


@pytest.mark.django_db(transaction=True)
def test_two_connections_and_many_workers_share_one_rate(played: Played) -> None:
    played.on("GET", ORDER, httpx.Response(200, json=ROW))
    both = [make_fo(), make_fo(slug="fo2")]
    for one in both:
        read(one)
        change(one, rate_calls=2, rate_seconds=600)
    asked = len(played.calls)
    read(both[0])
    turn = iter(both * 2)

    outcomes = side_by_side(4, lambda: read(next(turn)))

    assert outcomes == ["rate"] * 4
    assert len(played.calls) == asked + 1
    assert 0 < (refused(both[1]).retry_after or 0) <= 300


def test_a_call_of_several_requests_takes_as_many_places(fo: Connection) -> None:
    change(fo, rate_calls=1000, rate_seconds=1000)
    begun = int(db_now().timestamp() * 1_000_000)

    row = read(fo).call

    assert row.requests == 2, "it signs in first"
    step, _ = pacing.spacing(1000, 1000)
    assert Gate.objects.get().free_at - begun >= 2 * step


# --- circuit breaker ---------------------------------------------------------------------------------
def fail(connection: Connection, times: int) -> None:
    for _ in range(times):
        with pytest.raises(Unanswered):
            read(connection)


@pytest.fixture
def down(played: Played, settings: Any) -> Played:
    settings.BREAKER_FAILURES = 3
    return played.on("GET", ORDER, httpx.Response(500))


def test_it_opens_after_so_many_failures_and_is_entered_once(fo: Connection, down: Played) -> None:
    fail(fo, 3)
    asked = len(down.requests)

    said = refused(fo)

    assert (said.code, said.retryable) == ("breaker", True)
    assert 0 < (said.retry_after or 0) <= breaker.PROBE_SECONDS
    assert len(down.requests) == asked
    assert Entry.objects.filter(verb="breaker.opened").count() == 1


def test_an_answer_in_between_begins_the_count_anew(fo: Connection, down: Played) -> None:
    fail(fo, 2)
    down.on("GET", ORDER, httpx.Response(200, json=ROW))
    read(fo)
    down.on("GET", ORDER, httpx.Response(500))
    fail(fo, 2)

    assert Gate.objects.get().opened_at is None


@pytest.mark.parametrize("status", [400, 403, 409, 422])
def test_a_system_that_says_no_is_well(fo: Connection, down: Played, status: int) -> None:
    down.on("GET", ORDER, httpx.Response(status, json={"error": {"message": "no"}}))
    for _ in range(6):
        with pytest.raises(Refused):
            read(fo)

    assert Gate.objects.get().failures == 0


def test_success_closes_it_and_both_are_in_the_ledger(fo: Connection, down: Played) -> None:
    fail(fo, 3)
    down.on("GET", ORDER, httpx.Response(200, json=ROW))
    Gate.objects.update(probed_at=db_now() - timedelta(seconds=31))

    read(fo)
    read(fo)

    gate = Gate.objects.get()
    assert (gate.failures, gate.opened_at) == (0, None)
    assert list(Entry.objects.filter(verb__startswith="breaker.").values_list("verb", flat=True).order_by("n")) == [
        "breaker.opened", "breaker.closed",
    ]  # fmt: skip


def test_no_probe_is_sent_before_the_half_minute_is_over(fo: Connection, down: Played) -> None:
    fail(fo, 3)
    asked = len(down.calls)
    for gone in (1, 29, 31, 40, 62):
        Gate.objects.update(probed_at=db_now() - timedelta(seconds=gone))
        with pytest.raises(Blocked if gone < 30 else Unanswered):
            read(fo)

    assert len(down.calls) == asked + 3


def test_a_clock_that_was_set_back_holds_no_probe_for_longer(fo: Connection, down: Played) -> None:
    for _ in range(3):
        with pytest.raises(Unanswered):
            read(fo)
    Gate.objects.update(probed_at=db_now() + timedelta(hours=1))
    down.on("GET", ORDER, httpx.Response(200, json=ROW))

    read(fo)

    assert Gate.objects.get().opened_at is None


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_on_two_connections_one_probes(played: Played, settings: Any) -> None:
    settings.BREAKER_FAILURES = 2
    played.on("GET", ORDER, httpx.Response(500))
    both = [make_fo(), make_fo(slug="fo2")]
    for one in both:
        fail(one, 1)
    assert Gate.objects.get().opened_at is not None
    asked = len(played.calls)
    Gate.objects.update(probed_at=db_now() - timedelta(seconds=31))
    turn = iter(both * 3)

    outcomes = side_by_side(6, lambda: read(next(turn)))

    assert outcomes.count("breaker") == 5
    assert len(played.calls) == asked + 1


def test_a_share_of_failures_opens_it_too(fo: Connection, down: Played, settings: Any) -> None:
    settings.BREAKER_FAILURES, settings.BREAKER_SHARE = 0, 50
    for number in range(breaker.LOOKED_AT):
        down.on("GET", ORDER, httpx.Response(500) if number % 2 else httpx.Response(200, json=ROW))
        assert Gate.objects.filter(opened_at__isnull=False).count() == 0
        try:
            read(fo)
        except Unanswered:
            continue

    assert Gate.objects.get().opened_at is not None


def test_zero_switches_it_off(fo: Connection, down: Played, settings: Any) -> None:
    settings.BREAKER_FAILURES = 0

    fail(fo, 8)

    assert Gate.objects.get().opened_at is None


def test_the_test_button_is_a_probe_like_any_other(fo: Connection, down: Played) -> None:
    fail(fo, 3)

    health = actions.test_connection(fo, actor="automation")

    assert not health.ok
    assert "tried twice a minute" in health.message
