"""Files as people and systems write them: times, separators, encodings, types, extremes, object-centric forms."""

import gzip
import json

import duckdb
import pytest

from insights.actions import import_file
from insights.states import LogState
from tests.insights.files import GOOD, MAPPING, imported, text_of, trace, utc, xes, zipped
from tests.insights.reading import asked

pytestmark = pytest.mark.django_db


def times(log):
    return [row[0] for row in asked(log, 'SELECT "at" FROM events ORDER BY case_no, position')]


# --- Times ----------------------------------------------------------------------------------------


def test_mixed_zones_become_one(tmp_path):
    stamps = ["2024-01-01T12:00:00+02:00", "2024-01-01T10:30:00Z", "2024-01-01 06:00:00-05:00", "2024-01-01 11:30:00"]

    log = imported(tmp_path, text_of([("c", str(number), stamp) for number, stamp in enumerate(stamps)]))

    assert times(log) == [utc(2024, 1, 1, *each) for each in ((10, 0), (10, 30), (11, 0), (11, 30))]


def test_a_stamp_without_zone_is_meant_in_the_zone_of_the_mapping(tmp_path):
    stamps = ["2024-01-15 12:00:00", "2024-07-15 12:00:00", "2024-07-15T12:00:00+00:00"]

    log = imported(
        tmp_path,
        text_of([("c", str(n), at) for n, at in enumerate(stamps)]),
        mapping={**MAPPING, "time_zone": "Europe/Berlin"},
    )

    assert times(log) == [utc(2024, 1, 15, 11), utc(2024, 7, 15, 10), utc(2024, 7, 15, 12)]


@pytest.mark.parametrize(
    ("stamps", "wanted"),
    [
        (("31.12.2023 23:59", "01.02.2024 08:00"), (utc(2023, 12, 31, 23, 59), utc(2024, 2, 1, 8))),
        (("31/12/2023 23:59:30", "01/02/2024 08:00:00"), (utc(2023, 12, 31, 23, 59, 30), utc(2024, 2, 1, 8))),
        (("12/31/2023 11:59 PM", "02/01/2024 8:00 AM"), (utc(2023, 12, 31, 23, 59), utc(2024, 2, 1, 8))),
        (("31-12-2023 23:59:30.0", "01-02-2024 08:00:00.0"), (utc(2023, 12, 31, 23, 59, 30), utc(2024, 2, 1, 8))),
        (("1704067200", "1706774400"), (utc(2024, 1, 1), utc(2024, 2, 1, 8))),
        (("1704067200000", "1706774400000"), (utc(2024, 1, 1), utc(2024, 2, 1, 8))),
        (("20231231235930", "20240201080000"), (utc(2023, 12, 31, 23, 59, 30), utc(2024, 2, 1, 8))),
        (("31-Dec-2023 23:59:30", "01-Feb-2024 08:00:00"), (utc(2023, 12, 31, 23, 59, 30), utc(2024, 2, 1, 8))),
        (("2023-12-31", "2024-02-01"), (utc(2023, 12, 31), utc(2024, 2, 1))),
    ],
)  # fmt: skip
def test_stamps_are_read_as_people_and_systems_write_them(tmp_path, stamps, wanted):
    log = imported(tmp_path, text_of([("c", str(number), stamp) for number, stamp in enumerate(stamps)]))

    assert (log.state, log.error, log.rejected_count) == (LogState.READY, "", 0)
    assert times(log) == list(wanted)


# --- Shapes of files ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        text_of(GOOD, delimiter=";"),
        text_of(GOOD, delimiter="\t"),
        text_of(GOOD, delimiter="|"),
        "sep=;\n" + text_of(GOOD, delimiter=";"),
        text_of(GOOD).encode("utf-8-sig"),
        text_of(GOOD).encode("utf-16"),
        text_of(GOOD).replace("\n", "\r\n"),
        gzip.compress(text_of(GOOD).encode()),
        zipped(log=text_of(GOOD)),
        text_of(GOOD).rstrip("\n"),
    ],
    ids=["semicolon", "tab", "bar", "sep", "bom", "utf-16", "crlf", "gzip", "zip", "no last line end"],
)
def test_csv_comes_in_many_shapes(tmp_path, content):
    log = imported(tmp_path, content)

    assert (log.state, log.error, log.rejected_count) == (LogState.READY, "", 0)
    assert asked(log, "SELECT case_id, events FROM cases") == [("c1", 2)]
    assert asked(log, "SELECT name FROM activities ORDER BY 1") == [("close",), ("open",)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_letters_survive_their_encoding(tmp_path, encoding):
    log = imported(tmp_path, text_of([("Größe – 1", "prüfen €", "2024-01-01")]).encode(encoding))

    assert asked(log, "SELECT case_id, name FROM cases, activities") == [("Größe – 1", "prüfen €")]


def test_cells_may_hold_separators_quotes_and_line_ends(tmp_path):
    log = imported(tmp_path, text_of([("c,1", 'say "hi"\nthere', "2024-01-01"), ("c,1", "b", "2024-01-02")]))

    assert asked(log, "SELECT name FROM activities ORDER BY 1") == [("b",), ('say "hi"\nthere',)]
    assert (log.events, log.rejected_count) == (2, 0)


def test_a_file_without_header_has_numbered_columns(tmp_path):
    mapping = {"case": "column 1", "activity": "column 2", "timestamp": "column 3"}

    log = imported(tmp_path, text_of(GOOD, header=None), mapping=mapping)

    assert (log.state, log.events) == (LogState.READY, 2)


def test_parquet_keeps_its_types_and_zones(tmp_path):
    path = tmp_path / "log.parquet"
    duckdb.sql(
        "SELECT 7 AS case, 'a' AS activity, TIMESTAMPTZ '2024-01-01 12:00:00+02' AS time, 1.5::DECIMAL(9,2) AS cost, "
        "true AS ok, DATE '2024-05-01' AS due UNION ALL SELECT 7, 'b', TIMESTAMPTZ '2024-01-01 13:00:00+02', 2, false, "
        "DATE '2024-05-01'"
    ).write_parquet(str(path))

    log = import_file(path, mapping=MAPPING)

    assert times(log) == [utc(2024, 1, 1, 10), utc(2024, 1, 1, 11)]
    assert {each["name"]: (each["type"], each["level"]) for each in log.attributes} == {
        "cost": ("number", "event"), "ok": ("flag", "event"), "due": ("time", "case"),
    }  # fmt: skip


def test_attributes_get_their_type_from_all_lines_not_only_the_first(tmp_path):
    rows = [
        ("c", str(n), f"2024-01-01T00:{n // 60 % 60:02}:{n % 60:02}Z", str(n), "007", "true") for n in range(25_000)
    ]
    rows.append(("c", "z", "2024-01-02", "n/a", "008", "false"))

    log = imported(tmp_path, text_of(rows, header=(*MAPPING.values(), "size", "code", "ok")))

    assert {each["name"]: each["type"] for each in log.attributes} == {"size": "text", "code": "text", "ok": "flag"}
    size = next(each["column"] for each in log.attributes if each["name"] == "size")
    assert asked(log, f"SELECT {size} FROM events ORDER BY position DESC LIMIT 1") == [("n/a",)]


# --- Extremes -------------------------------------------------------------------------------------


def test_one_case_of_a_million_events_is_a_log(tmp_path):
    path = tmp_path / "long.parquet"
    duckdb.sql(
        "SELECT 'c' AS case, 'a' || i % 3 AS activity, TIMESTAMP '2024-01-01' + to_seconds(i) AS time "
        "FROM range(1000000) r(i)"
    ).write_parquet(str(path))

    log = import_file(path, mapping=MAPPING)

    assert (log.state, log.cases, log.events, log.variants) == (LogState.READY, 1, 1_000_000, 1)
    assert (
        asked(log, "SELECT max(position) FROM events") == asked(log, "SELECT len(path) FROM variants") == [(1_000_000,)]
    )


def test_a_hundred_thousand_activities_are_a_log(tmp_path):
    path = tmp_path / "wide.parquet"
    duckdb.sql(
        "SELECT i // 10 AS case, 'a' || i AS activity, TIMESTAMP '2024-01-01' + to_seconds(i) AS time "
        "FROM range(100000) r(i)"
    ).write_parquet(str(path))

    log = import_file(path, mapping=MAPPING)

    assert (log.state, log.cases, log.activities, log.variants) == (LogState.READY, 10_000, 100_000, 10_000)


def test_a_trace_longer_than_one_batch_is_one_case(tmp_path):
    events = [("a", f"2024-01-01T00:00:{n % 60:02}Z") for n in range(25_000)]

    log = imported(tmp_path, xes(trace("c1", *events)), name="log.xes", mapping=None)

    assert (log.cases, log.events) == (1, 25_000)


def test_objects_may_stand_after_or_before_the_events(tmp_path):
    events = [
        {
            "id": "e1",
            "type": "open",
            "time": "2024-01-01T00:00:00Z",
            "relationships": [{"objectId": "o1", "qualifier": "x"}] * 2,
        }
    ]
    objects = [
        {"id": "o1", "type": "order", "attributes": [{"name": "size", "time": "1970-01-01T00:00:00Z", "value": 3}]}
    ]

    for told in ({"events": events, "objects": objects}, {"objects": objects, "events": events}):
        log = imported(tmp_path, json.dumps(told), name="log.json", mapping=None)
        assert (log.state, log.cases, log.events, log.object_type) == (LogState.READY, 1, 1, "order")


def test_names_that_no_database_keeps_are_written_otherwise(tmp_path):
    told = {
        "objects": [{"id": "o", "type": "or\x00der", "attributes": [{"name": "si\ud800ze", "time": "", "value": "L"}]}],
        "events": [{"id": "e", "type": "open", "time": "2024-01-01", "relationships": [{"objectId": "o"}]}],
    }

    log = imported(tmp_path, json.dumps(told), name="log.json", mapping=None)

    assert (log.state, log.error) == (LogState.READY, "")
    assert "\x00" not in log.object_type + str(log.mapping) + str(log.attributes)


def test_the_older_object_centric_form_is_read_too(tmp_path):
    told = {
        "ocel:global-log": {"ocel:object-types": ["order"]},
        "ocel:events": {
            "e1": {
                "ocel:activity": "open",
                "ocel:timestamp": "2024-01-01 10:00:00",
                "ocel:omap": ["o1"],
                "ocel:vmap": {"cost": 2},
            }
        },
        "ocel:objects": {"o1": {"ocel:type": "order", "ocel:ovmap": {"size": "L"}}},
    }

    log = imported(tmp_path, json.dumps(told), name="log.jsonocel", mapping=None)

    assert (log.state, log.cases, log.events) == (LogState.READY, 1, 1)
    assert {each["name"] for each in log.attributes} == {"cost", "order: size"}


def test_a_type_that_no_object_has_is_refused_with_those_there_are(tmp_path):
    told = {"objects": [{"id": "o1", "type": "order"}], "events": [
        {"id": "e", "type": "a", "time": "2024-01-01T00:00:00Z", "relationships": [{"objectId": "o1"}]}
    ]}  # fmt: skip

    log = imported(tmp_path, json.dumps(told), name="log.json", mapping=None, object_type="invoice")

    assert log.error == "No event belongs to an object of type invoice; there are order."
