"""Every question to a made-up log, whole and filtered, has the answer that loops in plain Python give."""

import dataclasses
from collections import Counter
from datetime import timedelta

import pytest

from insights.mining.bottlenecks import bottlenecks
from insights.mining.cases import cases
from insights.mining.conformance import check, conformance
from insights.mining.duties import duties
from insights.mining.filters import Filter
from insights.mining.leakage import YEAR, leakage
from insights.mining.process_map import process_map
from insights.mining.references import from_paths
from insights.mining.rework import rework
from insights.mining.throughput import throughput
from insights.mining.variants import variants
from tests.insights import counting
from tests.insights.counting import Run, quantile
from tests.insights.factories import at, make_log

pytestmark = pytest.mark.django_db
NAMES = ("Order", "Check", "Pay", "Ship", "Call", "Ünbook")
DECLARED = [["Order", "Check", "Pay", "Ship"], ["Order", "Check", "Check", "Ship"], ["Order", "Pay", "Check"]]


def began(run: Run) -> float:
    return (run.steps[0].at - at(0)) / timedelta(hours=1)


# A filter beside what it says, in Python.
FILTERS = {
    "all": (Filter(), lambda run: True),
    "unit": (Filter(attributes=(("unit", ("EU",)),)), lambda run: run.unit == "EU"),
    "no unit": (Filter(attributes=(("unit", ("",)),)), lambda run: not run.unit),
    "not a unit": (Filter(not_attributes=(("unit", ("EU", "US")),)), lambda run: run.unit not in ("EU", "US")),
    "a person": (Filter(attributes=(("who", ("ann",)),)), lambda run: any(one.who == "ann" for one in run.steps)),
    "never a person": (
        Filter(not_attributes=(("who", ("ann", "bob")),)),
        lambda run: not any(one.who in ("ann", "bob") for one in run.steps),
    ),
    "amount": (
        Filter(minima=(("amount", 20.0),), maxima=(("amount", 80.0),)),
        lambda run: run.amount is not None and 20 <= run.amount <= 80,
    ),
    "begun": (Filter(begin=at(300), until=at(1500)), lambda run: 300 <= began(run) < 1500),
    "long": (Filter(min_seconds=3600, max_seconds=900_000), lambda run: 3600 <= run.seconds <= 900_000),
    "with": (Filter(including=("Pay", "Check")), lambda run: {"Pay", "Check"} <= set(run.path)),
    "without": (Filter(excluding=("Ship",)), lambda run: "Ship" not in run.path),
    "repeats": (Filter(repeats=("Check",)), lambda run: run.path.count("Check") > 1),
    "edge": (Filter(edges=(("Order", "Check"),)), lambda run: ("Order", "Check") in [one[:2] for one in run.gaps]),
    "follows": (
        Filter(follows=(("Pay", "Order"),)),
        lambda run: "Pay" in run.path and "Order" in run.path[run.path.index("Pay") + 1 :],
    ),
    "follows itself": (Filter(follows=(("Check", "Check"),)), lambda run: run.path.count("Check") > 1),
    "ends": (
        Filter(starts=("Order", "Pay"), ends=("Ship", "Check")),
        lambda run: run.path[0] in ("Order", "Pay") and run.path[-1] in ("Ship", "Check"),
    ),
}


@pytest.fixture(params=[3, 4])
def world(request):
    runs = counting.made_up(request.param)
    return make_log(
        counting.rows(runs, request.param), case_attributes=["unit", "amount"], mapping={"resource": "who"}
    ), runs


@pytest.fixture(params=["all", "unit", "repeats"])
def asked(request, world):
    log, runs = world
    filter_, keep = FILTERS[request.param]
    return log, filter_, [run for run in runs if keep(run)]


def close(value):
    return None if value is None else pytest.approx(value, abs=1e-4, rel=1e-9)


def test_each_filter_leaves_what_it_says(world):
    log, runs = world

    for name, (filter_, keep) in FILTERS.items():
        expected = {run.key for run in runs if keep(run)}
        assert 0 < len(expected) < len(runs) or name == "all", name
        assert {one.case for one in cases(log, filter_, most=999).results} == expected, name


def test_the_map_counts_and_times_what_follows_what(asked):
    log, filter_, runs = asked
    drawn = process_map(log, filter_)
    steps = Counter(name for run in runs for name in run.path)
    waits = {name: [gap for run in runs for _, other, gap in run.gaps if other == name] for name in NAMES}

    assert (drawn.cases, drawn.events) == (len(runs), steps.total())
    assert {one.name: (one.count, one.cases, one.extra, one.median_seconds) for one in drawn.activities} == {
        name: (
            count,
            sum(name in run.path for run in runs),
            sum(max(run.path.count(name) - 1, 0) for run in runs),
            close(quantile(waits[name], 0.5)),
        )
        for name, count in steps.items()
    }
    same_edges(drawn, runs)


def same_edges(drawn, runs):
    expected = counting.edges(runs)
    assert {(edge.source, edge.target) for edge in drawn.edges} == set(expected)
    for edge in drawn.edges:
        told = expected[edge.source, edge.target]
        assert {name: getattr(edge, name) for name in told} == {name: close(value) for name, value in told.items()}
    assert drawn.start == dict(Counter(run.path[0] for run in runs))
    assert drawn.end == dict(Counter(run.path[-1] for run in runs))


def test_what_is_hidden_never_happened(asked):
    log, filter_, runs = asked
    drawn = process_map(log, filter_, activities=3)
    frequent = Counter(name for run in runs for name in run.path)
    shown = sorted(frequent, key=lambda name: (-frequent[name], name))[:3]
    seen = [counting.without(run, shown) for run in runs]

    assert sorted(one.name for one in drawn.activities) == sorted(shown)
    assert drawn.hidden_activities == len(frequent) - 3
    same_edges(drawn, [run for run in seen if run.steps])


def test_variants_are_the_paths(asked):
    log, filter_, runs = asked
    found = variants(log, filter_, most=999, money="amount")
    paths = Counter(run.path for run in runs)

    assert (found.total, found.cases) == (len(paths), len(runs))
    assert [one.cases for one in found.results] == sorted(paths.values(), reverse=True)
    for one in found.results:
        mine = [run for run in runs if run.path == one.activities]
        spans = [run.seconds for run in mine]
        assert (one.cases, one.share) == (len(mine), pytest.approx(len(mine) / len(runs)))
        assert (one.median_seconds, one.mean_seconds) == (close(quantile(spans, 0.5)), close(sum(spans) / len(spans)))
        assert (one.money or 0.0) == pytest.approx(sum(run.amount or 0 for run in mine))


def test_rework_is_what_is_done_again_and_who_sends_back(asked):
    log, filter_, runs = asked
    found, back = rework(log, filter_), counting.loops(runs)
    again = [run for run in runs if len(set(run.path)) < len(run.path)]
    others = [run for run in runs if run not in again]

    assert (found.cases, found.reworked) == (len(runs), len(again))
    assert found.median_seconds_with == close(quantile([run.seconds for run in again], 0.5))
    assert found.median_seconds_without == close(quantile([run.seconds for run in others], 0.5))
    assert {(one.source, one.target): (one.count, one.cases) for one in found.loops} == back
    gains = {
        name: sum(n for (one, _), (n, _) in back.items() if one == name)
        - sum(n for (_, other), (n, _) in back.items() if other == name)
        for name in NAMES
    }
    assert {one.activity: (one.extra, one.cases, one.self_loops, one.net_loop_gain) for one in found.activities} == {
        name: (
            sum(max(run.path.count(name) - 1, 0) for run in runs),
            sum(run.path.count(name) > 1 for run in runs),
            sum(gap[:2] == (name, name) for run in runs for gap in run.gaps),
            gains[name],
        )
        for name in NAMES
        if any(run.path.count(name) > 1 for run in runs)
    }
    assert [one.activity for one in found.starters if one.net_loop_gain <= 0] == []
    assert {one.activity for one in found.starters} == {name for name, gain in gains.items() if gain > 0}


def test_throughput_tells_spans_work_and_waiting(asked):
    log, filter_, runs = asked
    found, spans = throughput(log, filter_), [run.seconds for run in runs]

    assert (found.cases, found.min_seconds, found.max_seconds) == (len(runs), close(min(spans)), close(max(spans)))
    assert (found.median_seconds, found.p90_seconds) == (close(quantile(spans, 0.5)), close(quantile(spans, 0.9)))
    assert found.mean_seconds == close(sum(spans) / len(spans))
    assert sum(bar.cases for bar in found.histogram) == len(runs)
    for bar in found.histogram[:-1]:
        assert bar.cases == sum(bar.low <= span < bar.high for span in spans)
    every = [step for run in runs for step in run.steps]
    assert found.started_share == pytest.approx(sum(step.started is not None for step in every) / len(every))
    known = [run for run in runs if any(step.started for step in run.steps)]
    assert found.median_working_seconds == close(quantile([sum(map(worked, run.steps)) for run in known], 0.5))
    assert found.median_waiting_seconds == close(quantile([sum(waits(run)) for run in known], 0.5))


def worked(step):
    return (step.at - step.started).total_seconds() if step.started else 0.0


def waits(run):
    """How long each step whose start is known waited since the one before; clocks that differ make no less than 0."""
    return [
        max((two.started - one.at).total_seconds(), 0.0)
        for one, two in zip(run.steps, run.steps[1:], strict=False)
        if two.started
    ]


def test_bottlenecks_weigh_delay_by_volume_and_money(asked):
    log, filter_, runs = asked
    found = bottlenecks(log, filter_, money="amount")
    waited = {run.key: run.amount or 0.0 for run in runs}
    whole = sum(gap for run in runs for *_, gap in run.gaps)
    expected = counting.edges(runs)

    assert {(one.source, one.target) for one in found.edges} == set(expected)
    for one in found.edges:
        mine = [
            (run.key, gap)
            for run in runs
            for source, target, gap in run.gaps
            if (source, target) == (one.source, one.target)
        ]
        assert (one.count, one.cases) == (len(mine), len({key for key, _ in mine}))
        assert one.total_seconds == close(sum(gap for _, gap in mine))
        assert one.share == close(sum(gap for _, gap in mine) / whole)
        assert one.money == close(sum(waited[key] for key in {key for key, _ in mine}))
        assert one.score == close(sum(gap * waited[key] for key, gap in mine) / 86_400)
        assert (one.median_seconds, one.p90_seconds) == (
            close(expected[one.source, one.target]["median_seconds"]),
            close(expected[one.source, one.target]["p90_seconds"]),
        )
    assert [one.score for one in found.edges] == sorted((one.score for one in found.edges), reverse=True)
    assert {one.target: one.count for one in found.steps} == Counter(other for run in runs for _, other, _ in run.gaps)


def test_leakage_is_what_lies_over_the_target(asked):
    log, filter_, runs = asked
    found = leakage(log, filter_, rate=0.1, money="amount", most=999)
    target = quantile([run.seconds for run in runs], 0.5)
    over = {run.key: max(run.seconds - target, 0.0) for run in runs}

    assert (found.target_seconds, found.seconds) == (close(target), close(sum(over.values())))
    assert found.money == close(sum(over[run.key] * (run.amount or 0) for run in runs) * 0.1 / YEAR)
    for one in found.variants:
        mine = [run for run in runs if run.path == one.activities]
        assert (one.count, one.over) == (len(mine), sum(over[run.key] > 0 for run in mine))
        assert one.seconds == close(sum(over[run.key] for run in mine))
    for one in found.steps:
        gaps = [gap for run in runs for source, target_, gap in run.gaps if (source, target_) == one.activities]
        usual = quantile(gaps, 0.5)
        assert one.seconds == close(sum(max(gap - usual, 0) for gap in gaps))
        assert (one.count, one.over) == (len(gaps), sum(gap > usual for gap in gaps))


def test_conformance_counts_each_way_of_leaving_the_declared_paths(asked):
    log, filter_, runs = asked
    found = conformance(log, filter_, reference=from_paths(DECLARED, name="declared"), most=999)
    told = [counting.judged(run.path, DECLARED) for run in runs]

    assert found.cases == len(runs)
    assert found.fitting == sum(not wrong for _, wrong in told)
    assert found.fitness == pytest.approx(sum(fit for fit, _ in told) / len(told))
    often, within = Counter(), Counter()
    for _, wrong in told:
        often += wrong
        within += Counter(wrong.keys())
    assert {words(one.deviation): (one.count, one.cases) for one in found.deviations} == {
        key: (count, within[key]) for key, count in often.items()
    }
    assert {one.activities for one in found.variants} == {
        run.path for run, (_, wrong) in zip(runs, told, strict=True) if wrong
    }


def words(deviation):
    return tuple(part for part in dataclasses.astuple(deviation) if part)


def test_every_declared_path_fits_itself():
    reference = from_paths(DECLARED, name="declared")

    assert [check(path, reference) for path in DECLARED] == [(1.0, ())] * 3


def test_duties_tell_who_did_both(asked):
    log, filter_, runs = asked
    pairs = [("Order", "Pay"), ("Check", "Ship"), ("Check", "Check"), ("Order", "Nothing")]
    found = {(one.first, one.second): one for one in duties(log, filter_, pairs=pairs).results}

    assert len(found) == 4
    for one, other in pairs:
        possible, broken = counting.by_one_person(runs, *sorted((one, other)))
        duty = found[tuple(sorted((one, other)))]
        assert (duty.cases, duty.broken) == (possible, len(broken))
        assert {breach.case: breach.person for breach in duty.breaches} == broken
    assert found["Check", "Check"].broken > 0
