"""Which column is what: names of many systems, contents, and what the templates know."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insights.actions import import_file
from insights.eventlog.guess import guess, time_format_of
from insights.eventlog.templates import best_for, templates
from insights.eventlog.times import patterns

STAMPS = [f"2024-01-{day:02} 10:00:00" for day in range(1, 21)]
STEPS = ["open", "check", "approve", "close"] * 5
CASES = [f"SO-{n // 4}" for n in range(20)]
PEOPLE = ["ann", "bob"] * 10
MONEY = [f"{n}.50" for n in range(20)]
OTHER = [f"text {n}" for n in range(20)]


def rows_of(*columns):
    return [list(row) for row in zip(*columns, strict=True)]


@pytest.mark.parametrize(
    ("case", "activity", "timestamp", "resource"),
    [
        ("case:concept:name", "concept:name", "time:timestamp", "org:resource"),
        ("Case ID", "Activity", "Timestamp", "Resource"),
        ("case_id", "event_name", "event_time", "user"),
        ("Order Number", "Step", "Date", "Employee"),
        ("Vorgang", "Aktivität", "Zeitstempel", "Bearbeiter"),
        ("VBELN", "Activity Text", "ERDAT", "ERNAM"),
        ("EBELN", "event concept:name", "event time:timestamp", "event org:resource"),
        ("SalesId", "BusinessEventId", "EventTime", "ModifiedBy"),
        ("caseId", "activityName", "timeStamp", "createdBy"),
    ],
)
def test_the_names_of_many_systems_are_known(case, activity, timestamp, resource):
    columns = ["Comment", timestamp, resource, activity, case]

    found = guess(columns, rows_of(OTHER, STAMPS, PEOPLE, STEPS, CASES))

    mapping = found.mapping
    assert (mapping.case, mapping.activity, mapping.timestamp, mapping.resource) == (
        case,
        activity,
        timestamp,
        resource,
    )
    assert found.sure


def test_content_alone_suggests_but_is_not_sure():
    found = guess(["a", "b", "c"], rows_of(CASES, STEPS, STAMPS))

    assert found.mapping.timestamp == "c"
    assert not found.sure


def test_a_name_whose_content_speaks_against_it_is_not_believed():
    found = guess(["case id", "activity", "timestamp"], rows_of(CASES, STEPS, OTHER))

    assert found.mapping.timestamp == ""
    assert not found.sure


def test_what_was_told_is_not_guessed_again():
    found = guess(["case id", "p", "q", "timestamp"], rows_of(CASES, STEPS, OTHER, STAMPS), {"activity": "p"})

    assert (found.mapping.activity, found.confidence["activity"]) == ("p", 1.0)


def test_start_and_end_of_a_step_are_told_apart():
    found = guess(["case id", "activity", "start time", "end time"], rows_of(CASES, STEPS, STAMPS, STAMPS))

    assert (found.mapping.timestamp, found.mapping.start) == ("end time", "start time")


def test_an_amount_is_a_number_with_such_a_name():
    found = guess(
        ["case id", "activity", "timestamp", "Net amount", "price"], rows_of(CASES, STEPS, STAMPS, MONEY, OTHER)
    )

    assert found.mapping.amount == "Net amount"


@pytest.mark.parametrize(
    ("stamps", "format_", "sure"),
    [
        (["2024-01-31 10:00"], "", True),
        (["31.01.2024 10:00"], "%d.%m.%Y %H:%M", True),
        (["01/31/2024 10:00:00"], "%m/%d/%Y %H:%M:%S", True),
        (["31/01/2024"], "%d/%m/%Y", True),
        (["03/04/2024 10:00"], "%d/%m/%Y %H:%M", False),
        (["03/04/24 1:00 PM"], "%m/%d/%y %I:%M %p", False),
        (["1704067200"], "epoch_s", True),
        (["1704067200000"], "epoch_ms", True),
        (["something"], "", False),
    ],
)
def test_the_way_of_writing_dates_is_seen_and_its_doubts_are_told(stamps, format_, sure):
    found, share = time_format_of(stamps)

    assert (found, share == 1.0) == (format_, sure)


@given(st.lists(st.lists(st.text(max_size=12), min_size=3, max_size=3), max_size=12))
def test_no_content_breaks_the_guess(rows):
    found = guess(["case id", "activity", "timestamp"], rows)

    assert all(0.0 <= share <= 1.0 for share in found.confidence.values())
    assert patterns(found.mapping.time_format)


def test_every_template_is_whole_and_knows_the_activities_it_speaks_of():
    assert [each.slug for each in templates()] == ["o2c-fo", "o2c-sap", "p2p-fo", "p2p-sap"]
    for template in templates():
        assert template.kpis
        assert template.targets.steps
        assert all(len(set(path)) == len(path) for path in template.reference.paths)


def test_a_template_knows_activities_by_other_names():
    template = next(each for each in templates() if each.slug == "p2p-sap")

    assert template.canonical(" miro ") == "Record Invoice Receipt"
    assert template.canonical("dance") is None
    assert best_for(["dance", "sing"]) is None


@pytest.mark.django_db
def test_a_real_purchasing_log_is_recognised(real_logs):
    log = import_file(real_logs / "16_bpic2019_1t_per_variant.xes.gz")

    assert log.process == "p2p"
