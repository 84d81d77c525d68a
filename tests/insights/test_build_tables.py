"""The four tables against a plain reading of the same events: order, gaps, variants, activities, attributes."""

import csv
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from insights import storage
from insights.eventlog.build import build
from insights.eventlog.shapes import ImportFailed, Mapping, Staged
from insights.eventlog.xes import stage as stage_xes
from tests.insights.files import trace, xes

COLUMNS = ["case", "activity", "time", "size"]
MAPPING = Mapping(case="case", activity="activity", timestamp="time")
START = datetime(2024, 1, 1, tzinfo=UTC)
NAMES = st.sampled_from(["a", "b", "c", "ä", "B", '"', "x,y", "line\nend"])
EVENTS = st.lists(
    st.tuples(st.sampled_from(["1", "2", "10", "x"]), NAMES, st.integers(0, 5), st.sampled_from(["", "7", "8.5"])),
    min_size=1,
    max_size=40,
)


def tables_of(events, folder):
    """Build ``events`` and return the four tables as lists of rows."""
    path = Path(folder) / "staged.csv"
    with path.open("w", newline="") as file:
        rows = [(case, name, (START + timedelta(minutes=at)).isoformat(), size) for case, name, at, size in events]
        csv.writer(file, lineterminator="\n").writerows(rows)
    out = Path(folder) / "out"
    out.mkdir()
    built = build(Staged(path, "csv", COLUMNS), MAPPING, out, now=datetime.now(UTC))
    with duckdb.connect() as db:
        return built, {
            name: db.execute(f"SELECT * FROM read_parquet('{out / name}.parquet')").fetchall()
            for name in storage.TABLES
        }


def plainly(events):
    """Group and sort the events the simple way."""
    cases = {}
    for case, name, at, size in events:
        cases.setdefault(case, []).append((at, name, size))
    # Sorting is stable: equal times keep the order of the file.
    return {case: sorted(told, key=lambda event: event[0]) for case, told in cases.items()}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EVENTS)
def test_the_tables_say_what_the_events_say(events):
    with TemporaryDirectory() as folder:
        built, tables = tables_of(events, folder)
    cases = plainly(events)
    number = {name: index for index, name in enumerate(sorted({event[1] for event in events}, key=str.encode), 1)}
    paths = Counter(tuple(number[name] for _, name, _ in told) for told in cases.values())

    assert (built.cases, built.events, built.activities, built.variants) == (
        len(cases), len(events), len(number), len(paths),
    )  # fmt: skip
    assert [row[:4] for row in tables["cases"]] == [
        (index, case, index_of(paths, [number[name] for _, name, _ in told]), len(told))
        for index, (case, told) in enumerate(cases.items(), 1)
    ]
    assert [(row[1], row[2]) for row in tables["variants"]] == [
        (list(path), count) for path, count in sorted(paths.items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    wanted = []
    for index, told in enumerate(cases.values(), 1):
        for position, (at, name, _) in enumerate(told, 1):
            after = told[position] if position < len(told) else None
            gap = (after[0] - at) * 60.0 if after else None
            wanted.append((index, position, number[name], number[after[1]] if after else None, gap))
    assert [(row[0], row[1], row[2], row[5], row[6]) for row in tables["events"]] == wanted
    assert [(row[1], row[2], row[3]) for row in tables["activities"]] == [
        (
            name,
            sum(event[1] == name for event in events),
            sum(any(event[1] == name for event in told) for told in cases.values()),
        )
        for name in number
    ]


def index_of(paths, path):
    """The number of a variant: the most frequent first, ties by the names of the path."""
    ranked = sorted(paths, key=lambda each: (-paths[each], each))
    return ranked.index(tuple(path)) + 1


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EVENTS)
def test_an_attribute_belongs_to_the_case_exactly_where_no_case_has_two_values_of_it(events):
    with TemporaryDirectory() as folder:
        built, _ = tables_of(events, folder)

    values = [{size for _, _, size in told} for told in plainly(events).values()]
    if all(size == "" for _, _, _, size in events):
        assert built.attributes == []
    else:
        level = "case" if all(len(each) == 1 for each in values) else "event"
        assert built.attributes == [{"name": "size", "level": level, "column": "a1", "type": "number"}]


def test_variants_whose_activities_only_change_places_are_kept_apart(tmp_path):
    events = [
        (f"c{case}", name, at, "")
        for case, path in enumerate(("abc", "acb", "bac", "cba"))
        for at, name in enumerate(path)
    ]

    built, _ = tables_of(events, tmp_path)

    assert built.variants == 4


def test_a_number_column_is_a_number_on_disk_and_blank_is_nothing(tmp_path):
    built, tables = tables_of([("1", "a", 0, "7"), ("1", "b", 1, "")], tmp_path)

    assert built.attributes[0]["type"] == "number"
    assert [row[-1] for row in tables["events"]] == [7.0, None]


def test_what_fails_within_the_database_is_told_in_words(tmp_path):
    path = tmp_path / "gone.csv"

    with pytest.raises(ImportFailed, match="cannot be read"):
        build(Staged(path, "csv", COLUMNS), MAPPING, tmp_path, now=datetime.now(UTC))


def test_a_trace_may_gain_keys_on_its_way(tmp_path):
    given_ = tmp_path / "log.xes"
    grown = trace("2", ("b", "2024-01-02T00:00:00Z")).replace("<event>", '<event><int key="cost" value="5"/>')
    given_.write_text(xes(trace("1", ("a", "2024-01-01T00:00:00Z")) + grown))
    staged = stage_xes(given_, tmp_path, lambda size: None)

    built = build(staged, Mapping(**staged.roles), tmp_path, now=datetime.now(UTC))

    assert (built.events, [each["name"] for each in built.attributes]) == (2, ["cost"])
