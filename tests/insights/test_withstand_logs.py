"""Strange logs: nothing, one of everything, very many activities, and names that mean harm."""

from typing import Any

import pytest

from insights.eventlog.shapes import storable
from insights.mining.bottlenecks import bottlenecks
from insights.mining.cases import cases, one_case
from insights.mining.causes import causes
from insights.mining.comparing import compare
from insights.mining.conformance import conformance
from insights.mining.duties import duties
from insights.mining.filters import EVERYTHING, Filter, parse
from insights.mining.hotspots import hotspots
from insights.mining.leakage import leakage
from insights.mining.process_map import process_map
from insights.mining.rework import rework
from insights.mining.throughput import throughput
from insights.mining.variants import variants
from tests.insights.factories import at, make_log, path

pytestmark = pytest.mark.django_db
ALL = (process_map, variants, throughput, bottlenecks, rework, leakage, conformance, causes, hotspots, duties, cases)
HARM = [
    "'; DROP TABLE cases; --",
    '"a" OR 1=1',
    "<script>alert(1)</script>",
    "x\x00y",
    "?",
    "$1",
    "{0}",
    "%s",
    "\\",
    "a\nb",
    "\u202elive",
    "=1+1",
    "名前" * 50,
]


@pytest.mark.parametrize("question", ALL)
def test_a_filter_that_leaves_nothing_is_answered(question):
    log = make_log(path("1", "a", "b", resource="x"))

    question(log, Filter(min_seconds=1e12))


@pytest.mark.parametrize("question", ALL)
@pytest.mark.parametrize(
    "events",
    [path("1", "a", resource="x"), path("1", *"aaaa", step=0, resource="x")],
    ids=["one event", "one activity again and again at one moment"],
)
def test_the_smallest_logs_are_answered(question, events):
    question(make_log(events), EVERYTHING)


def test_one_case_with_one_activity_has_a_map():
    drawn = process_map(make_log(path("1", "a")))

    assert (drawn.cases, drawn.edges, drawn.start, drawn.end) == (1, (), {"a": 1}, {"a": 1})


def test_self_loops_at_one_moment_take_no_time():
    drawn = process_map(make_log(path("1", *"aaa", step=0)))

    assert [(one.source, one.target, one.count, one.median_seconds) for one in drawn.edges] == [("a", "a", 2, 0)]


@pytest.mark.parametrize("text", HARM)
def test_names_that_mean_harm_are_only_names(text):
    name = storable(text)  # as an import keeps the names of columns
    named: dict[str, Any] = {name: text, "resource": text}
    other: dict[str, Any] = {name: "other"}
    plain = [*path("1", text, "b", **named), *path("2", "b", **other)]
    log = make_log(plain, case_attributes=[name])

    for narrowed in (
        Filter(attributes=((name, (text,)),)),
        Filter(not_attributes=((name, ("other",)),)),
        Filter(including=(text,)),
        Filter(starts=(text,)),
        Filter(edges=((text, "b"),)),
        Filter(follows=((text, "b"),)),
    ):
        assert [one.case for one in cases(log, narrowed).results] == ["1"]
        assert parse(log, narrowed.query()) == narrowed
    assert process_map(log).edges[0].source == text
    assert hotspots(log, by=f"attribute.{name}").places == 2
    assert {one.value for one in hotspots(log, by="activity").results} == {text, "b"}
    assert one_case(log, "1").attributes == {name: text}
    assert duties(log, pairs=[(text, "b")]).results[0].breaches[0].person == text
    assert conformance(log).cases == 2


def test_a_case_named_to_harm_is_found_by_its_name():
    log = make_log([(text, "a", at(0)) for text in HARM])

    assert [one_case(log, text).case.case for text in HARM] == HARM


def test_a_hundred_thousand_activities_are_answered():
    count = 100_000
    log = make_log_fast(count)

    drawn = process_map(log, activities=10, paths=5)

    assert (len(drawn.activities), drawn.hidden_activities, drawn.cases) == (10, count - 10, count // 10)
    assert len(process_map(log).edges) == count * 9 // 10
    assert rework(log).activities == ()
    assert variants(log, most=3).total == count // 10
    assert conformance(log).cases == count // 10
    assert len(bottlenecks(log, most=5).edges) == 5


def make_log_fast(count):
    """A log of ``count`` events, each of an activity of its own, ten to a case; written without a row in Python."""
    import duckdb

    from insights import storage

    log = make_log(path("1", "a"))
    with duckdb.connect(":memory:") as connection:
        connection.execute(
            f"""
            CREATE TABLE events AS SELECT i // 10 + 1 AS case_no, (i % 10 + 1)::INTEGER AS position,
              (i + 1)::INTEGER AS activity, TIMESTAMP '2026-01-05' + to_seconds(i) AS "at",
              NULL::TIMESTAMP AS started_at, CASE WHEN i % 10 < 9 THEN (i + 2)::INTEGER END AS next,
              CASE WHEN i % 10 < 9 THEN 1.0::DOUBLE END AS gap FROM range({count}) AS r(i);
            CREATE TABLE activities AS SELECT activity, 'step ' || activity AS name, 1::BIGINT AS events,
              1::BIGINT AS cases FROM events;
            CREATE TABLE cases AS SELECT case_no, case_no::VARCHAR AS case_id, case_no::INTEGER AS variant,
              10::INTEGER AS events, min("at") AS first_at, max("at") AS last_at, 9.0::DOUBLE AS seconds,
              min(activity) AS first_activity, max(activity) AS last_activity FROM events GROUP BY case_no;
            CREATE TABLE variants AS SELECT case_no::INTEGER AS variant, list(activity ORDER BY position) AS path,
              1::BIGINT AS cases FROM events GROUP BY case_no
            """
        )
        log.generation = 2
        storage.generation(log).mkdir(parents=True)
        for table in storage.TABLES:
            connection.execute(f"COPY {table} TO '{storage.table(log, table)}' (FORMAT parquet)")
    log.save()
    return log


def test_two_empty_sides_compare():
    nothing = Filter(min_seconds=1e12)

    found = compare(make_log(path("1", "a")), nothing, nothing)

    assert (found.first.cases, found.differences) == (0, ())
