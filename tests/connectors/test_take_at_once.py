"""What a call costs the database, and that all of what it takes is taken with its row, or none of it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from audit.clock import db_now
from connectors.base import Blocked
from connectors.door import pacing, rules
from connectors.door.models import Budget, Gate, Spent
from connectors.models import Call, Connection
from tests.connectors.at_door import change, open_fo, read, refused, release
from tests.connectors.factories import Played
from tests.racing import together

POSTGRESQL = database.vendor == "postgresql"
DAY = 86_400


@pytest.fixture
def fo(transactional_db: None, played: Played) -> Connection:
    """An F&O that has signed in. Transactions are real: what is committed is counted."""
    fo = open_fo(played)
    read(fo)
    return fo


def configure(fo: Connection) -> None:
    """Set a rate and two budgets whose day has begun, and let the last call have failed."""
    change(fo, team="finance", rate_calls=1000, rate_seconds=DAY)
    Budget.objects.create(connection=fo, calls=1000, time_zone="Europe/Berlin", spike=3.0)
    Budget.objects.create(team="finance", calls=9, tokens=1000)
    read(fo)
    Gate.objects.update(failures=1)


def cost(use: Callable[[], Any]) -> tuple[int, int]:
    """Return how many statements a use takes, BEGIN and COMMIT among them, and how many commits."""
    with CaptureQueriesContext(database) as captured:
        use()
    commits, inside = 0, False
    for words in (query["sql"].split() for query in captured):
        if words[0] in ("BEGIN", "COMMIT"):
            inside = words[0] == "BEGIN"
        # A change outside a transaction is one of its own.
        commits += words[0] == "COMMIT" or (words[0] != "SELECT" and not inside)
    return len(captured), commits


@pytest.mark.parametrize("use", [read, release])
def test_a_call_takes_three_statements_and_two_commits(fo: Connection, use: Callable[[Connection], Any]) -> None:
    assert cost(lambda: use(fo)) == (3, 2)


@pytest.mark.parametrize("use", [read, release])
def test_with_everything_configured_it_commits_no_more(fo: Connection, use: Callable[[Connection], Any]) -> None:
    configure(fo)

    # SQLite knows no statement that changes several tables; its statements cost no way over a network.
    assert cost(lambda: use(fo)) == ((3, 2) if POSTGRESQL else (12, 2))

    assert Gate.objects.get().failures == 0


def test_of_many_workers_each_takes_of_everything_or_of_nothing(fo: Connection) -> None:
    configure(fo)
    begun = Gate.objects.get().free_at

    def work() -> list[str]:
        return [_said(fo) for _ in range(3)]

    outcomes = [said for worker in together(*[work] * 6) for said in worker]

    assert sorted(outcomes) == ["budget"] * 10 + ["ok"] * 8, "one of the nine was used before"
    assert list(Spent.objects.values_list("calls", flat=True)) == [9, 9]
    step, _ = pacing.spacing(1000, DAY)
    assert Gate.objects.get().free_at == begun + 8 * step
    assert Call.objects.filter(outcome="ok").count() == 1 + 9


def _said(fo: Connection) -> str:
    try:
        return read(fo).call.outcome
    except Blocked as blocked:
        return blocked.code


CHANGES: dict[str, Callable[[], Any]] = {
    "budget": lambda: Spent.objects.filter(budget__team="finance").update(calls=9),
    "rate": lambda: Gate.objects.update(free_at=10**18),
    "breaker": lambda: Gate.objects.update(failures=30, opened_at=db_now(), probed_at=db_now()),
}


@pytest.mark.parametrize("code", CHANGES)
def test_what_changes_after_the_look_is_found_when_it_is_taken(
    fo: Connection, played: Played, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    configure(fo)
    foresee, asked = rules.foresee, len(played.requests)
    own = Spent.objects.filter(budget__connection=fo).values_list("calls", flat=True)
    before = (own.get(), Gate.objects.get().free_at)

    def too_late(*given: Any) -> Any:
        found = foresee(*given)
        assert found is not None
        CHANGES[code]()
        return found

    monkeypatch.setattr(rules, "foresee", too_late)

    assert refused(fo).code == code
    assert len(played.requests) == asked
    free_at = 10**18 if code == "rate" else before[1]
    assert (own.get(), Gate.objects.get().free_at) == (before[0], free_at)
    assert Call.objects.latest("id").outcome == "blocked"


def test_a_spike_and_a_new_day_are_left_to_the_rules(fo: Connection) -> None:
    change(fo, rate_calls=1000, rate_seconds=DAY)
    budget = Budget.objects.create(connection=fo, calls=1000, spike=3.0)
    assert rules.foresee(rules.Asked("order.get", "read", "x"), rules.fresh(fo.pk), 0) is None
    read(fo)
    assert rules.foresee(rules.Asked("order.get", "read", "x"), rules.fresh(fo.pk), 0) is not None
    budget.days.update(unusual={"calls": 2})
    assert rules.foresee(rules.Asked("order.get", "read", "x"), rules.fresh(fo.pk), 0) is None

    read(fo)

    assert budget.days.get().warned_at is not None
    assert rules.foresee(rules.Asked("order.get", "read", "x"), rules.fresh(fo.pk), 0) is not None
