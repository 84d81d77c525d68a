"""The process map: counts, times, sliders, colours."""

import random
from collections import Counter
from itertools import pairwise
from statistics import median

import pytest

from insights.mining.filters import Filter
from insights.mining.process_map import process_map
from insights.mining.sliders import connected
from insights.mining.throughput import throughput
from insights.mining.variants import variants
from tests.insights.factories import at, make_log, path

pytestmark = pytest.mark.django_db


def edges(drawn):
    return {(edge.source, edge.target): edge.count for edge in drawn.edges}


@pytest.fixture
def orders():
    return make_log(
        [
            *path("1", "Create", "Check", "Ship", step=1, amount=100.0),
            *path("2", "Create", "Check", "Ship", step=3, amount=50.0),
            *path("3", "Create", "Check", "Check", "Ship", "Create", step=2, amount=7.5),
        ]
    )


def test_a_map_counts_what_directly_follows_what_and_how_long_it_takes(orders):
    drawn = process_map(orders)

    assert (drawn.cases, drawn.events) == (3, 11)
    assert [(one.name, one.count, one.cases, one.extra) for one in drawn.activities] == [
        ("Check", 4, 3, 1),
        ("Create", 4, 3, 1),
        ("Ship", 3, 3, 0),
    ]
    assert edges(drawn) == {("Create", "Check"): 3, ("Check", "Ship"): 3, ("Check", "Check"): 1, ("Ship", "Create"): 1}
    first = next(edge for edge in drawn.edges if edge.source == "Create")
    assert (first.median_seconds, first.mean_seconds) == (7200, 7200)
    assert first.p90_seconds == pytest.approx(2.8 * 3600)
    assert (drawn.start, drawn.end) == ({"Create": 3}, {"Ship": 2, "Create": 1})


def test_a_hidden_activity_leaves_its_neighbours_following_each_other(orders):
    drawn = process_map(orders, Filter(variants=(2,)), activities=2)

    assert {one.name for one in drawn.activities} == {"Check", "Create"}
    assert edges(drawn) == {("Create", "Check"): 1, ("Check", "Check"): 1, ("Check", "Create"): 1}
    assert {(edge.source, edge.target): edge.median_seconds for edge in drawn.edges}["Check", "Create"] == 4 * 3600
    assert (drawn.start, drawn.end, drawn.hidden_activities) == ({"Create": 1}, {"Create": 1}, 1)


def test_a_map_of_no_activities_is_empty(orders):
    drawn = process_map(orders, activities=0)

    assert (drawn.activities, drawn.edges, drawn.start, drawn.cases) == ((), (), {}, 3)


def test_fewer_paths_keep_every_step_on_a_way_from_start_to_end():
    shown = connected(
        {("a", "b"): 9, ("b", "d"): 9, ("a", "c"): 1, ("c", "d"): 1, ("b", "c"): 2, ("c", "c"): 5},
        ["a"],
        ["d"],
        ["a", "b", "c", "d"],
        2,
    )

    assert shown == {("a", "b"), ("b", "d"), ("b", "c"), ("c", "d")}


def test_the_colour_is_a_share_of_the_largest(orders):
    by = {colour: process_map(orders, colour=colour) for colour in ("frequency", "time", "rework")}

    assert {edge.value for edge in by["frequency"].edges} == {1.0, 1 / 3}
    assert {edge.value for edge in by["time"].edges} == {1.0}
    assert {(edge.source, edge.target): edge.value for edge in by["rework"].edges} == {
        ("Create", "Check"): 0,
        ("Check", "Ship"): 0,
        ("Check", "Check"): 1,
        ("Ship", "Create"): 1,
    }


def test_a_map_equals_one_that_is_counted_by_hand():
    draw = random.Random(11)
    told = {str(case): [draw.choice("abcde") for _ in range(draw.randrange(1, 9))] for case in range(120)}
    hours = {case: sorted(draw.uniform(0, 900) for _ in one) for case, one in told.items()}
    log = make_log(
        [(case, name, at(hour)) for case, one in told.items() for name, hour in zip(one, hours[case], strict=True)]
    )
    gaps: dict[tuple[str, str], list[float]] = {}
    for case, one in told.items():
        for index, couple in enumerate(pairwise(one)):
            gap = (at(hours[case][index + 1]) - at(hours[case][index])).total_seconds()
            gaps.setdefault(couple, []).append(gap)

    drawn = process_map(log)

    assert edges(drawn) == {couple: len(found) for couple, found in gaps.items()}
    for edge in drawn.edges:
        found = gaps[edge.source, edge.target]
        assert edge.median_seconds == pytest.approx(median(found), abs=1e-5)
        assert edge.mean_seconds == pytest.approx(sum(found) / len(found), abs=1e-5)
    assert drawn.start == dict(Counter(one[0] for one in told.values()))
    assert drawn.end == dict(Counter(one[-1] for one in told.values()))
    assert {one.name: one.extra for one in drawn.activities} == {
        name: sum(max(0, one.count(name) - 1) for one in told.values()) for name in "abcde"
    }


def test_events_of_equal_time_keep_the_order_in_which_they_were_told():
    log = make_log([("1", name, at(0)) for name in ("Zebra", "Apple", "Middle")])

    assert edges(process_map(log)) == {("Zebra", "Apple"): 1, ("Apple", "Middle"): 1}


def test_variants_are_ranked_by_cases_with_share_time_and_money(orders):
    found = variants(orders)

    assert [(one.number, one.activities, one.cases) for one in found.results] == [
        (1, ("Create", "Check", "Ship"), 2),
        (2, ("Create", "Check", "Check", "Ship", "Create"), 1),
    ]
    assert (found.results[0].share, found.results[0].median_seconds) == (2 / 3, 4 * 3600)
    assert (found.results[0].money, found.total, found.cases) == (150, 2, 3)
    assert variants(orders, start=1, most=1).results == found.results[1:]


def test_amounts_in_several_currencies_are_not_added():
    log = make_log([*path("1", "a", amount=1.0, currency="EUR"), *path("2", "a", amount=1.0, currency="USD")])

    mixed, euros = variants(log), variants(log, Filter(attributes=(("currency", ("EUR",)),)))

    assert (mixed.results[0].money, mixed.currency) == (None, "")
    assert (euros.results[0].money, euros.currency) == (1.0, "EUR")


def test_throughput_tells_how_long_cases_take(orders):
    found = throughput(orders)

    assert (found.median_seconds, found.mean_seconds, found.max_seconds) == (6 * 3600, 16 / 3 * 3600, 8 * 3600)
    assert found.p90_seconds == pytest.approx(7.6 * 3600)
    assert sum(bar.cases for bar in found.histogram) == 3
    assert (found.histogram[0].low, found.histogram[-1].high) == (2 * 3600, 8 * 3600)
    assert (found.started_share, found.median_working_seconds) == (0, None)


def test_working_and_waiting_time_are_told_apart_where_starts_are_known():
    log = make_log(
        [
            ("1", "Check", at(2), {"started": at(1)}),
            ("1", "Ship", at(10), {"started": at(7)}),
            ("2", "Check", at(2), {"started": at(3)}),
        ]
    )

    found = throughput(log)

    assert found.started_share == 1
    assert {one.activity: one.median_working_seconds for one in found.activities} == {"Check": 1800, "Ship": 3 * 3600}
    assert {one.activity: one.median_waiting_seconds for one in found.activities} == {"Check": None, "Ship": 5 * 3600}
    assert found.median_waiting_seconds == 2.5 * 3600
