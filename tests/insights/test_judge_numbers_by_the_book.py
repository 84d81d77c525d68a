"""Each method of telling odd numbers says what its textbook formula says: medians, smoothed means, the same weekday."""

import math
from datetime import datetime, timedelta
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insights.detectors import anomaly
from insights.detectors.definitions import AnomalyRule, Series
from insights.detectors.series import Value
from tests.insights.factories import START

# A measured value, so that no count's own scatter is added; its spread is at least a twentieth of the middle.
HOURS = {"measure": "throughput", "ends": ["Ship"]}
amounts = st.lists(
    st.none() | st.sampled_from([0.0, 1.0, 90.0, 100.0, 101.5, 140.0, 900.0, -50.0]) | st.floats(-1e4, 1e4),
    min_size=30,
    max_size=70,
)
rules = st.builds(
    lambda history, more, threshold, direction, at_least, measure: {
        "min_history": history,
        "window": history + more,
        "threshold": threshold,
        "direction": direction,
        "at_least": at_least,
        "series": measure,
    },
    st.integers(8, 14),
    st.integers(0, 20),
    st.sampled_from([1.5, 3.0, 4.0]),
    st.sampled_from(["up", "down", "both"]),
    st.sampled_from([0.0, 5.0]),
    st.sampled_from([HOURS, {"measure": "events"}]),
)


def spread_of(values, counts):
    """Median and 1.4826 × the median distance from it, but no less than chance alone would make it."""
    middle = median(values)
    least = math.sqrt(max(abs(middle), 1.0)) if counts else max(abs(middle) / 20, 1e-6)
    return middle, max(1.4826 * median(abs(one - middle) for one in values), least)


def by_median(given_, rule):
    counts = rule["series"] != HOURS
    for at, _ in enumerate(given_):
        before = [one for one in given_[:at] if one is not None]
        enough = len(before) >= rule["min_history"]
        yield spread_of(before[-rule["window"] :], counts) if enough else None


def by_weekday(given_, rule):
    counts = rule["series"] != HOURS
    for at, _ in enumerate(given_):
        window = range(max(0, at - rule["window"]), at)
        same = [given_[day] for day in window if (at - day) % 7 == 0 and given_[day] is not None]
        yield spread_of(same, counts) if at >= rule["min_history"] and len(same) >= 4 else None


def by_smoothing(given_, rule):
    """The exponentially weighted mean and variance with α = 0.2; what is odd counts only as far as the border."""
    counts, seen, state = rule["series"] != HOURS, [], None
    for one in given_:
        usual = None
        if state:
            middle, variance = state
            least = math.sqrt(max(abs(middle), 1.0)) if counts else max(abs(middle) / 20, 1e-6)
            usual = (middle, max(math.sqrt(variance), least))
        yield usual
        if one is None:
            continue
        seen.append(one)
        if len(seen) == rule["min_history"]:
            middle, spread = spread_of(seen, counts)
            state = (middle, spread**2)
        elif usual:
            border = rule["threshold"] * usual[1]
            step = max(-border, min(border, one - usual[0]))
            state = (usual[0] + 0.2 * step, 0.8 * (state[1] + 0.2 * step**2))


METHODS = {"robust_z": by_median, "weekday": by_weekday, "ewma": by_smoothing}


def told(rule, method, given_):
    values = [Value(START + timedelta(days=at), amount) for at, amount in enumerate(given_)]
    model = AnomalyRule.model_validate({**rule, "method": method})
    return anomaly.look(model, values, START - timedelta(days=1), START + timedelta(days=len(given_)))


@pytest.mark.parametrize("method", sorted(METHODS))
@settings(max_examples=120, deadline=None)
@given(given_=amounts, rule=rules)
def test_what_stands_out_is_what_the_formula_says(method, given_, rule):
    found = told(rule, method, given_)
    expected, edges, usually = [], set(), {}
    for at, (one, usual) in enumerate(zip(given_, METHODS[method](given_, rule), strict=True)):
        if one is None or usual is None:
            continue
        difference = one - usual[0]
        far = abs(difference) / usual[1] >= rule["threshold"] and abs(difference) >= rule["at_least"]
        asked = rule["direction"] in ("both", "up" if difference > 0 else "down")
        expected.append((at, far and asked))
        usually[START + timedelta(days=at)] = usual
        # At a border two ways of adding up may fall on either side.
        if math.isclose(abs(difference), rule["threshold"] * usual[1], rel_tol=1e-9) or math.isclose(
            abs(difference), rule["at_least"], rel_tol=1e-9
        ):
            edges.add(at)

    judged = [((start - START).days, odd) for start, odd in found.judgements]
    assert [at for at, _ in judged] == [at for at, _ in expected]
    assert [one for one in judged if one[0] not in edges] == [one for one in expected if one[0] not in edges]
    assert found.judged == len(expected)
    assert len(found.findings) == sum(odd for _, odd in judged)
    for one in found.findings:
        middle, spread = usually[datetime.fromisoformat(one.facts["start"])]
        assert one.facts["usual"] == pytest.approx(middle, rel=1e-9, abs=1e-9)
        assert one.facts["spread"] == pytest.approx(spread, rel=1e-9)


def test_the_modified_z_score_of_a_well_known_sample():
    # Ten values of which two are far off: median 2.45, median distance 0.15, so 8.2 lies 5.75 ÷ (1.4826 × 0.15) away.
    sample = [2.1, 2.6, 2.4, 2.5, 2.3, 2.1, 2.3, 2.6, 8.2, 8.3]
    series = Series.model_validate(HOURS)

    usual = anomaly.robust(series, sample)

    assert (usual.middle, usual.spread) == (pytest.approx(2.45), pytest.approx(1.4826 * 0.15))
    assert usual.distance(8.2) == pytest.approx(25.856, abs=1e-3)
    assert usual.distance(2.1) == pytest.approx(-1.574, abs=1e-3)


def test_smoothing_starts_at_the_median_and_moves_by_a_fifth():
    rule = {"series": HOURS, "min_history": 8, "window": 8, "threshold": 2.0}
    start = [90.0, 95.0, 100.0, 105.0, 110.0, 100.0, 95.0, 105.0]

    # Middle 100, median distance 5: spread 7.413. 110 moves the middle to 102 and the variance to 0.8 × (54.95 + 20).
    (found,) = told(rule, "ewma", [*start, 110.0, 130.0]).findings

    assert found.facts["usual"] == pytest.approx(102.0)
    assert found.facts["spread"] == pytest.approx(math.sqrt(0.8 * (7.413**2 + 0.2 * 100)))
    assert found.facts["deviations"] == pytest.approx(28 / math.sqrt(0.8 * (7.413**2 + 20)), abs=0.01)
