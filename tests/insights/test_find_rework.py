"""Rework, bottlenecks and leakage: what is done again, where cases wait, and what that costs."""

import pytest

from insights.mining.bottlenecks import bottlenecks
from insights.mining.filters import Filter
from insights.mining.leakage import leakage
from insights.mining.rework import rework
from tests.insights.factories import make_log, path

pytestmark = pytest.mark.django_db


def test_extra_occurrences_and_self_loops_are_counted_per_activity():
    log = make_log([*path("1", "a", "b", "b", "b", "c"), *path("2", "a", "b", "c", "b"), *path("3", "a", "c")])

    found = rework(log)

    assert [(one.activity, one.cases, one.extra, one.self_loops) for one in found.activities] == [("b", 2, 3, 2)]
    assert (found.cases, found.reworked) == (3, 2)
    assert (found.median_seconds_with, found.median_seconds_without) == (3.5 * 3600, 3600)


def test_the_step_that_sends_cases_back_is_told_from_those_that_are_only_done_again():
    # Checking sends back to picking twice; packing is repeated but starts nothing.
    log = make_log(
        path("1", "Pick", "Pack", "Check", "Pick", "Pack", "Check", "Pick", "Pack", "Check", "Ship", start=0)
    )

    found = rework(log)

    assert [(one.source, one.target, one.count, one.cases) for one in found.loops] == [("Check", "Pick", 2, 1)]
    assert [(one.activity, one.net_loop_gain) for one in found.starters] == [("Check", 2)]
    gains = {one.activity: (one.loops_started, one.loops_received, one.net_loop_gain) for one in found.activities}
    assert gains == {"Check": (2, 0, 2), "Pack": (0, 0, 0), "Pick": (0, 2, -2)}


def test_a_process_without_rework_has_none():
    found = rework(make_log(path("1", "a", "b")))

    assert (found.activities, found.loops, found.reworked) == ((), (), 0)


def waiting():
    """Cheap orders wait long and often before Ship; one dear order waits before Pay."""
    told = []
    for index in range(4):
        told += path(f"cheap{index}", "Order", "Ship", step=48, amount=10.0)
    told += path("dear", "Order", "Pay", step=24, amount=100_000.0)
    return told


def test_bottlenecks_are_ranked_by_delay_volume_and_money():
    log = make_log(waiting(), case_attributes=["amount"])

    found = bottlenecks(log)

    assert [(one.source, one.target, one.count, one.score) for one in found.edges] == [
        ("Order", "Pay", 1, 100_000.0),
        ("Order", "Ship", 4, 80.0),
    ]
    assert (found.edges[1].money, found.edges[1].share, found.edges[1].total_seconds) == (40, 8 / 9, 8 * 86400)
    assert found.edges[1].why == (
        "4 times a case waited between Order and Ship, 2 days in the middle case and 2 days or more in every tenth:"
        " 89% of all waiting time. What passed (4 cases) carries 40."
    )
    assert [one.target for one in found.steps] == ["Pay", "Ship"]


def test_without_money_time_alone_ranks_and_that_is_said():
    log = make_log([event[:3] for event in waiting()])

    found = bottlenecks(log, most=1)

    assert [(one.target, one.score, one.money) for one in found.edges] == [("Ship", 8.0, None)]
    assert "money=" in found.note


def test_a_case_that_waits_at_one_place_twice_brings_its_money_once():
    log = make_log(path("1", "a", "b", "a", "b", step=24, amount=10.0), case_attributes=["amount"])

    found = next(one for one in bottlenecks(log).edges if one.source == "a")

    assert (found.count, found.cases, found.money, found.score) == (2, 1, 10, 20)


def test_leakage_is_the_time_over_target_and_what_tied_up_money_costs():
    log = make_log(
        [*path("1", "a", "b", step=24, amount=3650.0), *path("2", "a", "c", step=1, amount=1.0)],
        case_attributes=["amount"],
    )

    found = leakage(log, target_seconds=14 * 3600, rate=0.1)

    assert (found.seconds, found.target_from) == (10 * 3600, "given")
    assert found.money == pytest.approx(10 / 24)  # 3,650 for ten hours at a tenth a year
    assert [(one.activities, one.count, one.over) for one in found.variants] == [(("a", "b"), 1, 1)]


def test_a_step_leaks_against_its_own_median():
    told = [event for case, hours in enumerate((1, 1, 4)) for event in path(f"{case}", "a", "b", step=hours)]

    found = leakage(make_log(told))

    assert found.target_seconds == 3600
    assert [(one.activities, one.count, one.over, one.seconds) for one in found.steps] == [(("a", "b"), 3, 1, 3 * 3600)]
    assert found.steps[0].money is None


def test_questions_answer_a_filter_that_leaves_nothing():
    log, nothing = make_log(waiting(), case_attributes=["amount"]), Filter(min_seconds=1e12)

    assert rework(log, nothing).cases == 0
    assert bottlenecks(log, nothing).edges == ()
    assert leakage(log, nothing).variants == ()
