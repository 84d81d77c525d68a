"""What is found in step logs: patterns, ways of doing a task, values that are carried; the same each time."""

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.models import Entry
from insights.tasklog import entry, running
from insights.tasklog.models import TaskLog
from insights.tasklog.patterns import LONGEST, patterns
from insights.tasklog.states import TaskLogState
from tests.insights.steps import OTHER, USUAL, as_csv, clerks, lines, make_task_log


def found_in(symbols, *, session=None, least=3, seconds=None):
    row = np.array(symbols, dtype=np.int64)
    sessions = np.zeros(len(row), dtype=np.int64) if session is None else np.array(session)
    spent = np.ones(len(row)) if seconds is None else np.array(seconds, dtype=float)
    return [(one.symbols, len(one.starts)) for one in patterns(row, sessions, spent, least=least)]


def test_a_run_that_repeats_is_found_whole():
    assert found_in([1, 2, 3, 9, 4] * 4)[0] == ((1, 2, 3, 9, 4), 4)


def test_a_run_that_only_repeats_itself_is_told_once():
    assert found_in([1, 2, 3] * 6) == [((1, 2, 3), 6)]


def test_up_to_two_rare_steps_may_lie_within_a_run_and_no_more():
    rare = iter(range(100, 200))
    within = [symbol for _ in range(4) for symbol in (1, next(rare), 2, next(rare), next(rare), 3, *[next(rare)] * 1)]
    beyond = [symbol for _ in range(4) for symbol in (1, next(rare), next(rare), next(rare), 2, 3)]

    assert ((1, 2, 3), 4) in found_in(within)
    assert all((1, 2) not in pairwise(run) for run, _ in found_in(beyond))


def test_typing_on_in_one_field_is_one_step():
    assert found_in([1, 1, 1, 2, 3] * 3 + [1, 2, 3])[0] == ((1, 2, 3), 4)


def test_no_run_reaches_over_the_end_of_a_session():
    assert found_in([1, 2, 3, 4] * 4, session=[number // 2 for number in range(16)]) == []


def test_runs_do_not_overlap_and_are_no_longer_than_the_limit():
    found = found_in(list(range(LONGEST + 5)) * 3)

    assert max(len(run) for run, _ in found) == LONGEST


def by_hand(symbols, least):
    """Every run of three to twenty steps that occurs often without overlap, by trying all."""
    counted = {}
    for length in range(3, min(20, len(symbols)) + 1):
        for start in range(len(symbols) - length + 1):
            run = tuple(symbols[start : start + length])
            end, count = counted.get(run, (-1, 0))
            if start >= end:
                counted[run] = (start + length, count + 1)
    return {run: count for run, (_, count) in counted.items() if count >= least}


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=3, max_size=40))
def test_whatever_is_found_is_there_and_the_costliest_is_among_it(symbols):
    row = [one for number, one in enumerate(symbols) if number == 0 or one != symbols[number - 1]]
    frequent = [one for one in row if row.count(one) >= 2]
    found = found_in(row, least=2)

    if frequent == row:
        truth = by_hand(row, 2)
        assert all(truth[run] >= count for run, count in found)
        assert found == found_in(row, least=2)


def test_a_hundred_thousand_steps_are_mined_in_bounded_time_and_the_same_each_time():
    rnd = random.Random(4)
    task = [1, 2, 3, 4, 5]
    row = [symbol for _ in range(15_000) for symbol in (*task, 10 + rnd.randrange(40), 10 + rnd.randrange(40))]

    first, second = found_in(row, least=50), found_in(row, least=50)

    assert first == second
    assert first[0] == ((1, 2, 3, 4, 5), 15_000)


@pytest.mark.django_db
def test_a_task_is_found_with_its_cost_its_people_and_its_ways():
    log = make_task_log(as_csv(lines(clerks(6), times=9, ways=(USUAL, USUAL, OTHER))))
    usual, other = log.routines.filter(kind="sequence")[:2]

    assert (log.state, log.steps, log.people, log.withheld) == ("ready", 216, 6, 0)
    assert [step["element"] for step in usual.steps] == ["Mail body", "Invoice no", "Amount", "Save"]
    assert (usual.repeats, usual.people, usual.weeks, usual.median_seconds) == (36, 6, 2, 30.0)
    assert (usual.family, usual.share, other.share) == (other.family, pytest.approx(2 / 3), pytest.approx(1 / 3))


@pytest.mark.django_db
def test_what_is_copied_and_what_is_typed_again_is_told_apart():
    typed = (*USUAL[:3], ("CRM", "Reference", "type", "INVOICE-{n}"), USUAL[3])

    log = make_task_log(as_csv(lines(clerks(6), ways=(typed,))))
    told = {one.kind: [(step["application"], step["element"]) for step in one.steps] for one in log.routines.all()}

    assert told["copy_paste"] == [("Outlook", "Mail body"), ("SAP GUI", "Invoice no")]
    assert told["retyping"] == [("SAP GUI", "Invoice no"), ("CRM", "Reference")]


@pytest.mark.django_db
@pytest.mark.parametrize(("people", "shown"), [(4, 0), (5, 2)])
def test_what_too_few_people_do_is_counted_and_not_kept(people, shown):
    log = make_task_log(as_csv(lines(clerks(people), times=4)))

    assert log.routines.count() == shown
    assert log.withheld == 2 - shown


@pytest.mark.django_db
def test_the_least_number_of_people_can_be_raised_and_never_switched_off(settings):
    settings.INSIGHTS_TASK_MIN_PEOPLE = 0
    assert running.least_people() == 2
    settings.INSIGHTS_TASK_MIN_PEOPLE = 9
    assert make_task_log().routines.count() == 0


@pytest.mark.django_db
def test_of_two_workers_one_mines_a_log():
    log = make_task_log(mined=False)
    running.claim(log.pk)

    with pytest.raises(running.LeaseLost):
        running.run(log.pk)
    assert running.due() == []


@pytest.mark.django_db
def test_a_log_whose_worker_died_is_mined_by_another_to_the_same_end():
    log = make_task_log(mined=False)
    running.claim(log.pk)
    TaskLog.objects.filter(pk=log.pk).update(lease_until=log.created_at)

    assert running.due() == [log.pk]
    assert running.run(log.pk).routines.count() == 2


@pytest.mark.django_db
def test_a_worker_that_lost_its_lease_changes_nothing(monkeypatch):
    log = make_task_log(mined=False)

    def taken_over(*args, **more):
        TaskLog.objects.filter(pk=log.pk).update(lease_token="another")
        return real(*args, **more)

    real = running.mine
    monkeypatch.setattr(running, "mine", taken_over)

    with pytest.raises(running.LeaseLost):
        running.run(log.pk)
    log.refresh_from_db()
    assert (log.state, log.routines.count()) == (TaskLogState.MINING, 0)


@pytest.mark.django_db
def test_a_log_whose_steps_are_gone_fails_with_what_to_do():
    log = make_task_log(mined=False)
    entry.forget(log)

    log = running.run(log.pk)

    assert log.state == TaskLogState.FAILED
    assert "Bring the log in again" in log.error


@pytest.mark.django_db
def test_steps_are_removed_when_their_time_is_over_and_what_was_found_stays():
    log = make_task_log()
    TaskLog.objects.update(expires_at=log.created_at)

    assert (running.expire(), running.expire()) == (1, 0)
    log.refresh_from_db()
    assert log.expired_at
    assert not entry.home(log).exists()
    assert log.routines.count() == 2


@pytest.mark.django_db
def test_the_ledger_tells_the_life_of_a_log():
    make_task_log()

    assert list(Entry.objects.filter(verb__startswith="task_log").values_list("verb", flat=True)) == [
        "task_log.received",
        "task_log.mined",
    ]
