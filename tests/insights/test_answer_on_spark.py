"""The distributed engine answers as the embedded one does; runs by ``make test-spark``, else it is skipped."""

import math
import random
from dataclasses import fields, is_dataclass
from datetime import timedelta
from typing import Any

import pytest

from insights.engines import EngineUnavailable, TableGone, engine_for
from insights.engines.spark import in_spark
from insights.mining.bottlenecks import bottlenecks
from insights.mining.cases import cases, one_case
from insights.mining.causes import causes
from insights.mining.comparing import compare
from insights.mining.conformance import conformance
from insights.mining.duties import duties
from insights.mining.filters import EVERYTHING, Filter
from insights.mining.hotspots import hotspots
from insights.mining.leakage import leakage
from insights.mining.process_map import process_map
from insights.mining.rework import rework
from insights.mining.throughput import throughput
from insights.mining.variants import variants
from tests.insights.detecting import finished, looked
from tests.insights.factories import at, make_log

pytest.importorskip("pyspark", reason="Spark is not installed; make test-spark installs it")
pytestmark = [
    pytest.mark.django_db,
    # PySpark leaves sockets to the garbage collector, and speaks of its own deprecations.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
]
ODD = 'it\'s "ACME"; -- ?'
QUESTIONS = {
    "map": process_map,
    "map of few": lambda log, chosen: process_map(log, chosen, activities=3, paths=2, colour="rework"),
    "variants": lambda log, chosen: variants(log, chosen, most=500),
    "throughput": throughput,
    "bottlenecks": bottlenecks,
    "rework": rework,
    "leakage": leakage,
    "conformance": conformance,
    "duties": lambda log, chosen: duties(log, chosen, pairs=[("Check", "Ship"), ("Check", "Check")]),
    "causes": causes,
    "causes of rework": lambda log, chosen: causes(log, chosen, target="rework"),
    "hot spots": lambda log, chosen: hotspots(log, chosen, by="attribute.vendor"),
    "hot spots of deviations": lambda log, chosen: hotspots(log, chosen, by="activity", target="deviates"),
    "cases": lambda log, chosen: cases(log, chosen, most=500),
    "one case": lambda log, chosen: one_case(log, "o7"),
    "comparison": lambda log, chosen: compare(log, chosen, Filter(including=("Return",))),
}
FILTERS = {
    "everything": EVERYTHING,
    "text": Filter(attributes=(("vendor", ("Beta", ODD)),)),
    "not filled in": Filter(attributes=(("vendor", ("",)),)),
    "flag and number": Filter(
        attributes=(("rush", ("true",)),), minima=(("amount", 100.0),), maxima=(("amount", 4000.0),)
    ),
    "event's text": Filter(not_attributes=(("resource", ("anna",)),)),
    "time": Filter(begin=at(100), until=at(700), time="touching"),
    "activities": Filter(including=("Check",), excluding=("Return",), repeats=("Check",)),
    "order": Filter(follows=(("Check", "Pack"),), edges=(("Pack", "Ship"),)),
    "ends and length": Filter(starts=("Create",), ends=("Ship", "Pack"), min_seconds=1.0, max_seconds=1e7),
    "variants": Filter(variants=(1, 2, 3)),
    "nothing": Filter(min_seconds=1e12),
}


PATTERNS: dict[str, dict[str, Any]] = {
    "variant": {"path": ["Create", "Check"]},
    "missing before": {"activity": "Check", "before": "Ship"},
    "missing after": {"activity": "Ship", "hours": 40},
    "loop": {"activity": "Check", "times": 1},
    "after_end": {"activity": "Ship"},
    "slow": {"activity": "Check", "hours": 30},
    "slow between": {"activity": "Check", "then": "Pack", "hours": 30},
    "starts_with": {"activity": "Create"},
    "ends_with": {"activity": "Return", "hours": 48},
}


@pytest.fixture(scope="module")
def told():
    """Random orders with every type of attribute, parts of seconds, starts, equal times and odd names."""
    draw = random.Random(5)
    events = []
    for index in range(300):
        vendor = draw.choice(["ACME", "Beta", ODD, None])
        held = {"vendor": vendor, "amount": draw.choice([None, draw.randrange(5000) / 4]), "rush": draw.random() < 0.5}
        hour = draw.uniform(0, 900)
        steps = ["Create", *(draw.choice(["Check", "Pack", "Ship", "Return"]) for _ in range(draw.randrange(7)))]
        for name in steps:
            started = at(hour) - timedelta(seconds=draw.uniform(0, 5000))
            person = draw.choice(["anna", "bob", "carla", "dieter"])
            events.append((f"o{index}", name, at(hour), {**held, "resource": person, "started": started}))
            hour += draw.choice([0, draw.uniform(0, 60)])
    return events


@pytest.fixture
def log(told):
    return make_log(told, case_attributes=["vendor", "amount", "rush"])


def alike(one, other, where=""):
    """Hold two answers equal: numbers of time and money to a billionth, everything else exactly."""
    if is_dataclass(one):
        assert type(one) is type(other), where
        for field in fields(one):
            alike(getattr(one, field.name), getattr(other, field.name), f"{where}.{field.name}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for index, pair in enumerate(zip(one, other, strict=True)):
            alike(*pair, f"{where}[{index}]")
    elif isinstance(one, float):
        assert other is not None, where
        assert math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-6), f"{where}: {one} and {other}"
    else:
        assert one == other, where


def on_both(settings, question, log, chosen):
    """The answers of the embedded and of the distributed engine."""
    settings.INSIGHTS_ENGINE = "duckdb"
    here = question(log, chosen)
    settings.INSIGHTS_ENGINE = "spark"
    return here, question(log, chosen)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("chosen", [EVERYTHING, FILTERS["text"]], ids=["everything", "some"])
def test_every_question_is_answered_alike(log, settings, question, chosen):
    alike(*on_both(settings, QUESTIONS[question], log, chosen))


@pytest.mark.parametrize("name", FILTERS)
def test_every_filter_leaves_the_same_cases(log, settings, name):
    here, there = on_both(settings, QUESTIONS["cases"], log, FILTERS[name])

    alike(here, there)
    assert bool(here.results) is (name != "nothing")


@pytest.mark.parametrize("name", PATTERNS)
def test_every_pattern_of_a_detector_is_found_alike(log, settings, name):
    rule = {"kind": "pattern", "pattern": name.partition(" ")[0], **PATTERNS[name]}

    here, there = on_both(settings, lambda one, _: looked(one, rule).findings, finished(log), EVERYTHING)

    alike(here, there)
    assert here


def test_files_that_are_gone_are_said_to_be(tmp_path):
    with pytest.raises(TableGone):
        engine_for("spark").ask({"events": tmp_path / "gone.parquet"}, "SELECT 1 FROM events")


def test_an_unknown_engine_is_refused():
    with pytest.raises(EngineUnavailable):
        engine_for("abacus")


def test_shares_and_parts_of_seconds_are_put_into_sparks_words():
    assert in_spark("SELECT quantile_cont(gap, [0.5, 0.9]), epoch(x.at) FROM x") == (
        "SELECT PERCENTILE(gap, ARRAY(0.5, 0.9)), (UNIX_MICROS(CAST(x.at AS TIMESTAMP)) / 1e6) FROM x"
    )
