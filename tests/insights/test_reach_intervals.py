"""Intervals hold what they promise: exact where they say so, honest about nothing, the same every time."""

import math
import random

import pytest

from insights.kpis import intervals
from insights.kpis.intervals import moments


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    # The published values of Clopper and Pearson.
    [(0, 10, 0.0, 0.30850), (3, 10, 0.06674, 0.65245), (10, 10, 0.69150, 1.0), (81, 263, 0.2527, 0.3676)],
)
def test_the_interval_of_a_share_is_exact(hits, n, low, high):
    found = intervals.of_share(hits, n)

    assert found == pytest.approx((low, high), abs=6e-5)


def test_the_interval_of_a_mean_is_students():
    found = intervals.of_mean(moments([float(value) for value in range(1, 22)]))

    # 11 ± 2.085963 × 6.204837 / √21
    assert found == pytest.approx((11 - 2.824404, 11 + 2.824404), abs=1e-5)


def test_nothing_and_little_have_no_interval():
    assert intervals.of_share(0, 0) is None
    assert intervals.of_mean(moments([1.0] * 19)) is None
    assert intervals.of_means(moments([1.0] * 19), moments([2.0] * 500)).verdict == "too_thin"
    assert intervals.of_shares((1, 19), (400, 500)).verdict == "too_thin"
    assert intervals.of_cells([19], lambda counts: counts[0]) is None


def test_shares_are_told_apart_only_beyond_chance():
    assert intervals.of_shares((50, 100), (52, 100)).verdict == "no_effect"
    assert intervals.of_shares((50, 100), (90, 100)).verdict == "more"
    low, high = intervals.of_shares((48, 80), (56, 70)).interval or (0, 0)
    assert low < 0.0524
    assert high > 0.3339  # Newcombe's own example, whose interval is one of 95 %


def test_values_that_do_not_vary_are_exactly_apart():
    found = intervals.of_means(moments([3.0] * 20), moments([2.0] * 20))

    assert (found.value, found.interval, found.verdict) == (-1.0, (-1.0, -1.0), "less")


@pytest.mark.parametrize(("effect", "covered_at_least"), [(0.0, 0.93), (-0.3, 0.93)])
def test_means_of_skewed_times_are_compared_honestly(effect, covered_at_least):
    chance = random.Random(7)
    runs, covered, claimed = 400, 0, 0
    truth = (math.exp(effect) - 1) * math.exp(0.5 * 0.6**2)
    for _ in range(runs):
        before = moments([chance.lognormvariate(0, 0.6) for _ in range(80)])
        after = moments([chance.lognormvariate(effect, 0.6) for _ in range(80)])
        found = intervals.of_means(before, after)
        low, high = found.interval or (0, 0)
        covered += low <= truth <= high
        claimed += found.verdict != "no_effect"

    assert covered / runs >= covered_at_least
    if not effect:
        assert claimed / runs <= 0.05


def test_drawing_cells_anew_gives_the_same_interval_every_time():
    def share(counts):
        return counts[0] / sum(counts)

    found = intervals.of_cells([300, 700], share)

    assert found == intervals.of_cells([300, 700], share)
    assert found == pytest.approx((0.272, 0.328), abs=0.004)
