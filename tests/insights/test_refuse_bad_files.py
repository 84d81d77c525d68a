"""What files do wrong: a reason per line or per file, and nothing half-imported."""

import gzip
from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse

from audit.errors import Invalid
from audit.exports import cell
from audit.models import Entry
from insights import storage
from insights.actions import set_mapping
from insights.eventlog.importing import run
from insights.eventlog.shapes import BadMapping
from insights.states import LogState
from tests.insights.files import GOOD, MAPPING, imported, text_of, trace, xes, zipped
from tests.insights.reading import asked

pytestmark = pytest.mark.django_db


def refused(log):
    return [(each.line, each.reason) for each in log.rejected.all()]


def assert_nothing_is_visible(log):
    assert (log.state, log.generation, log.cases, log.events) == (LogState.FAILED, 0, 0, 0)
    assert [each.name for each in storage.home(log).iterdir()] == ["given"]
    assert Entry.objects.filter(verb="event_log.failed", target_id=str(log.pk)).count() == 1


# --- Lines ---------------------------------------------------------------------------------------


def test_each_line_that_is_no_event_is_listed_with_its_line_and_reason(tmp_path):
    future = (datetime.now(UTC) + timedelta(days=400)).isoformat()
    rows = [
        *GOOD,
        ("", "no case", "2024-01-01T10:00:00Z"),
        ("  ", "blank case", "2024-01-01T10:00:00Z"),
        ("c2", "", "2024-01-01T10:00:00Z"),
        ("c2", "no time", ""),
        ("c2", "bad time", "yesterday"),
        ("c2", "placeholder", "0001-01-01T00:00:00"),
        ("c2", "plan", future),
        ("c2", "impossible", "2024-02-30T10:00:00Z"),
        ("c3", "open", "2024-01-02T10:00:00Z"),
    ]

    log = imported(tmp_path, text_of(rows))

    assert (log.state, log.cases, log.events, log.rejected_count) == (LogState.READY, 2, 3, 8)
    assert refused(log) == [
        (4, "no case id"),
        (5, "no case id"),
        (6, "no activity"),
        (7, "no time"),
        (8, "the time cannot be read"),
        (9, "the time lies before 1900"),
        (10, "the time lies in the future"),
        (11, "the time cannot be read"),
    ]
    assert log.rejected.get(line=8).text == "c2 · bad time · yesterday"


def test_plans_beyond_now_are_kept_where_the_mapping_says_so(tmp_path):
    future = (datetime.now(UTC) + timedelta(days=400)).isoformat()

    log = imported(tmp_path, text_of([*GOOD, ("c1", "plan", future)]), mapping={**MAPPING, "future": "keep"})

    assert (log.events, log.rejected_count) == (3, 0)


def test_lines_that_cannot_be_split_are_refused_and_do_not_shift_the_numbers_of_others(tmp_path):
    content = text_of(GOOD) + "c2,too,2024-01-01,many,cells\n" + ",no case,2024-01-01\n" + "c3,ok,2024-01-02\n"

    log = imported(tmp_path, content)

    assert refused(log) == [(4, "more columns than the header"), (5, "no case id")]
    assert (log.cases, log.events, log.rejected_count) == (2, 3, 2)


def test_a_line_with_fewer_cells_is_refused(tmp_path):
    log = imported(tmp_path, text_of(GOOD) + "c2,a\n")

    assert (log.events, refused(log)) == (2, [(4, "fewer columns than the header")])


def test_a_log_whose_every_line_is_refused_fails_with_the_most_frequent_reason(tmp_path):
    log = imported(tmp_path, text_of([("", "x", "2024-01-01")] * 3 + [("c", "", "2024-01-01")]))

    assert log.error == "No line of the file is an event. Most often: no case id."
    assert_nothing_is_visible(log)


def test_the_first_thousand_refused_lines_are_kept_and_all_are_counted(tmp_path):
    log = imported(tmp_path, text_of([*GOOD, *[("", "x", "2024-01-01")] * 1500]))

    assert (log.rejected_count, log.rejected.count(), log.rejected.last().line) == (1500, 1000, 1003)


def test_equal_lines_are_kept_unless_the_mapping_drops_them(tmp_path):
    rows = [*GOOD, GOOD[0], ("c1", "open", "2024-01-01T10:00:00Z")]

    kept = imported(tmp_path, text_of(rows))
    dropped = imported(tmp_path, text_of(rows), mapping={**MAPPING, "duplicates": "drop"})

    assert (kept.events, kept.rejected_count) == (4, 0)
    assert (dropped.events, refused(dropped)) == (
        2, [(4, "the same as an earlier line"), (5, "the same as an earlier line")],
    )  # fmt: skip


def test_formulas_stay_text_and_are_harmless_in_our_own_exports(tmp_path):
    formula = '=HYPERLINK("http://x.example","y")'

    log = imported(tmp_path, text_of([("c1", formula, "2024-01-01"), ("+1+1", "@SUM(1)", "2024-01-01")]))

    assert asked(log, "SELECT name FROM activities ORDER BY 1") == [(formula,), ("@SUM(1)",)]
    assert cell(asked(log, "SELECT name FROM activities ORDER BY 1")[0][0]) == f"'{formula}"


# --- Files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (text_of([]), "no events"),
        (xes(""), "no events"),
        (xes(trace("c1")), "no events"),
        (xes(trace("", ("a", "2024-01-01T00:00:00Z"))), "which column"),
        (xes(trace("c1", ("a", "2024-01-01T00:00:00Z")))[:-20], "cannot be read"),
        ('<!DOCTYPE log [<!ENTITY a "b">]><log/>', "document type"),
        ('<!DOCTYPE log SYSTEM "http://x.example/log.dtd"><log/>', "document type"),
        (xes("<list>" * 200 + "</list>" * 200), "nested"),
        (gzip.compress(xes(trace("c1", ("a", "2024-01-01T00:00:00Z"))).encode() * 50)[:-30], "cut off"),
        (b"\x1f\x8b\x08\x00broken-gzip-data", "cut off or damaged"),
        (zipped(a="x", b="y"), "holds 2 files"),
        (b"PK\x03\x04broken", "damaged"),
        (b"PAR1broken", "Parquet"),
        (b"SQLite format 3\x00" + b"\x00" * 100, "SQLite"),
        ('{"events": [', "cut off"),
        ('{"events": [{"id": "e1"', "cannot be read"),
        ('{"objectTypes": ' + "[" * 100_000 + "]" * 100_000 + "}", "deep"),
        ('{"events": [], "objects": []}', "no events"),
        ("a,b\n1,2\n", "Fewer than three columns"),
        (b"\x00\x01\x02\x03" * 500, "neither text nor a known format"),
    ],
)
def test_a_file_that_is_no_log_fails_with_words_and_leaves_nothing(tmp_path, content, reason):
    log = imported(tmp_path, content, mapping=None)

    assert reason in log.error
    assert_nothing_is_visible(log)


def test_an_empty_file_is_refused_at_once(tmp_path):
    with pytest.raises(Invalid) as refusal:
        imported(tmp_path, "")

    assert refusal.value.errors == {"file": ["The file is empty."]}


def test_what_unpacks_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("insights.eventlog.unpack._FREE", 1 << 20)

    log = imported(tmp_path, gzip.compress(text_of(GOOD).encode() + b"\n" * (64 << 20)))

    assert "unpacks to more" in log.error
    assert_nothing_is_visible(log)


def test_what_unpacks_beyond_the_absolute_limit_is_refused(tmp_path, settings):
    settings.INSIGHTS_MAX_UPLOAD_MB = 1
    rows = [("c", "a", "2024-01-01")] * 900_000 + [("c", "b", "2024-01-01")]

    log = imported(tmp_path, gzip.compress(text_of(rows).encode()) + b"", name="log.csv.gz")

    assert "unpacks to more" in log.error


def test_one_element_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("insights.eventlog.xes._LARGEST", 1 << 20)
    monkeypatch.setattr("insights.eventlog.jsonstream._LARGEST", 1 << 20)

    logs = [imported(tmp_path, head + "x" * (4 << 20), mapping=None) for head in ('<log a="', '{"events": [{"id": "')]

    assert [log.error for log in logs] == [
        "One element of the XML is larger than 32 MB.",
        "One element of the JSON is larger than 32 MB.",
    ]


@pytest.mark.parametrize(
    ("mapping", "field"),
    [
        ({**MAPPING, "case": "nothing"}, "mapping.case"),
        ({**MAPPING, "case": "activity"}, "mapping.case"),
        ({**MAPPING, "time_zone": "Mars/Olympus"}, "mapping.time_zone"),
        ({**MAPPING, "time_zone": "../../etc/passwd"}, "mapping.time_zone"),
        ({**MAPPING, "duplicates": "maybe"}, "mapping.duplicates"),
        ({**MAPPING, "colour": "red"}, "mapping.colour"),
        ({**MAPPING, "case": 7}, "mapping.case"),
    ],
)
def test_a_wrong_mapping_is_refused_by_field(tmp_path, mapping, field):
    with pytest.raises(BadMapping) as refusal:
        imported(tmp_path, text_of(GOOD), mapping=mapping)

    assert list(refusal.value.errors) == [field]


def test_names_of_columns_never_become_sql(tmp_path):
    evil = "x'); DROP TABLE raw; --"
    rows = [("c1", "open", "2024-01-01", "v1"), ("c1", "close", "2024-01-02", "v2")]

    log = imported(
        tmp_path,
        text_of(rows, header=('ca"se', evil, "time", 'a";b')),
        mapping={"case": 'ca"se', "activity": evil, "timestamp": "time"},
    )

    assert (log.state, log.events) == (LogState.READY, 2)
    assert [each["name"] for each in log.attributes] == ['a";b']


# --- What a failed import leaves -----------------------------------------------------------------

BAD = [("", "no case", "2024-01-01T10:00:00Z"), ("c2", "no time", ""), ("c2", "bad time", "yesterday")]


def test_a_failed_import_keeps_the_lines_that_it_refused(tmp_path, api, operator):
    log = imported(tmp_path, text_of(BAD), business_unit="")

    assert_nothing_is_visible(log)
    assert (log.failed_rejected_count, log.rejected_count) == (3, 0)
    assert refused(log) == [(2, "no case id"), (3, "no time"), (4, "the time cannot be read")]
    told = api(operator).get(f"/api/v1/event-logs/{log.pk}/").json()
    assert (told["state"], told["failed_rejected_count"]) == ("failed", 3)
    assert [one["reason"] for one in told["rejected"]] == [reason for _, reason in refused(log)]


def test_of_many_refused_lines_all_are_counted_and_the_first_thousand_kept(tmp_path):
    log = imported(tmp_path, text_of([BAD[1]] * 1500))

    assert (log.state, log.failed_rejected_count, log.rejected.count()) == (LogState.FAILED, 1500, 1000)


def test_what_a_second_import_refused_stands_beside_what_is_seen(tmp_path, client, automation):
    rows = [*GOOD, ("", "no case", "2024-01-01T10:00:00Z")]
    log = imported(tmp_path, text_of(rows))
    swapped = {"case": "activity", "activity": "case", "timestamp": "time", "time_format": "%d.%m.%Y"}

    failed = run(set_mapping(log, swapped, actor="ann").pk, aside=False)

    assert (failed.state, failed.generation, failed.rejected_count, failed.failed_rejected_count) == (
        LogState.FAILED, 1, 1, 3,
    )  # fmt: skip
    assert [each.line for each in failed.refused_now()] == [4]
    assert [each.line for each in failed.refused_last()] == [2, 3, 4]
    client.force_login(automation)
    url = reverse("event_log_rejects", args=[log.pk])
    files = {of: b"".join(client.get(f"{url}?of={of}").streaming_content).decode() for of in ("seen", "failed")}
    assert [len(text.splitlines()) for text in files.values()] == [2, 4]
    page = client.get(reverse("event_log_facts", args=[log.pk])).text
    assert "The last import failed" in page
    assert "Refused by the import that failed" in page


def test_the_next_import_that_works_takes_the_failed_ones_lines_away(tmp_path):
    log = imported(tmp_path, text_of([*GOOD, BAD[0]]))
    run(set_mapping(log, {**MAPPING, "time_format": "%d.%m.%Y"}, actor="ann").pk, aside=False)
    log.refresh_from_db()

    mended = run(set_mapping(log, MAPPING, actor="ann").pk, aside=False)

    assert (mended.state, mended.rejected_count, mended.failed_rejected_count) == (LogState.READY, 1, 0)
    assert [(each.line, each.generation) for each in mended.rejected.all()] == [(4, 2)]


def test_a_failed_log_shows_its_refused_lines_and_sends_them(tmp_path, client, automation):
    log = imported(tmp_path, text_of([("", "=1+1", "2024-01-01T10:00:00Z")] * 12))
    client.force_login(automation)

    page = client.get(log.get_absolute_url()).text
    file = b"".join(client.get(reverse("event_log_rejects", args=[log.pk])).streaming_content).decode()

    state = client.get(reverse("event_log_live", args=[log.pk])).text
    assert "The first 10 of 12 refused lines" in page + state
    assert len(file.splitlines()) == 13
