"""Business time: open hours, time zones, changing clocks, holidays."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incidents.calendars import (
    NeverOpen,
    add_business_minutes,
    business_minutes_between,
    check_hours,
    check_place,
    is_holiday,
)
from incidents.models import Calendar
from tests.incidents.factories import WEEK

ALWAYS = {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}


def office(**changes: Any) -> Calendar:
    """Nine to five on weekdays in Berlin; not stored."""
    return Calendar(**{"slug": "office", "label": "Office", "time_zone": "Europe/Berlin", "hours": WEEK, **changes})


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "minutes", "due"),
    [
        ("2026-11-03T09:00", 60, "2026-11-03T10:00"),  # within the day
        ("2026-11-03T05:00", 60, "2026-11-03T09:00"),  # before opening (08:00 UTC)
        ("2026-11-03T15:30", 60, "2026-11-04T08:30"),  # over night
        ("2026-11-06T15:30", 60, "2026-11-09T08:30"),  # over the weekend
        ("2026-11-07T12:00", 0, "2026-11-09T08:00"),  # due at the next opening
        ("2026-11-03T08:00", 480, "2026-11-03T16:00"),  # exactly the whole day
        ("2026-11-03T08:00", 481, "2026-11-04T08:01"),
        ("2026-11-02T08:00", 5 * 480, "2026-11-06T16:00"),  # exactly a week
    ],
)
def test_time_passes_only_while_it_is_open(start, minutes, due):
    assert add_business_minutes(office(), utc(start), minutes) == utc(due)


def test_in_summer_the_office_opens_an_hour_earlier_in_utc():
    assert add_business_minutes(office(), utc("2026-07-01T00:00"), 60) == utc("2026-07-01T08:00")


@pytest.mark.parametrize(
    ("day", "hours"),
    [("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-03", 24)],
)
def test_a_day_on_which_the_clocks_change_is_as_long_as_it_is(day, hours):
    calendar = office(hours=ALWAYS)
    start = datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(hours=2)

    closes = add_business_minutes(calendar, start, 0)
    total = business_minutes_between(
        office(hours={("sun" if hours != 24 else "tue"): [["00:00", "24:00"]]}), start, start + timedelta(hours=30)
    )

    assert closes == start
    assert total == hours * 60


def test_a_night_is_two_spans_without_a_gap():
    calendar = office(hours={"fri": [["22:00", "24:00"]], "sat": [["00:00", "06:00"]]}, time_zone="UTC")

    assert add_business_minutes(calendar, utc("2026-11-06T23:30"), 60) == utc("2026-11-07T00:30")

    assert add_business_minutes(calendar, utc("2026-11-07T05:00"), 30) == utc("2026-11-07T05:30")
    assert add_business_minutes(calendar, utc("2026-11-07T05:45"), 30) == utc("2026-11-13T22:15")


def test_a_lunch_break_does_not_count():
    calendar = office(hours={"tue": [["13:00", "17:00"], ["09:00", "12:00"]]}, time_zone="UTC")

    assert add_business_minutes(calendar, utc("2026-11-03T11:30"), 60) == utc("2026-11-03T13:30")


def test_public_holidays_of_the_country_are_closed():
    calendar = office(country="DE", subdivision="BY")

    # All Saints' Day is a holiday in Bavaria, Christmas everywhere.
    assert is_holiday(calendar, utc("2027-11-01T00:00").date())
    assert not is_holiday(office(country="DE", subdivision="BE"), utc("2027-11-01T00:00").date())
    assert add_business_minutes(calendar, utc("2026-12-24T15:30"), 60) == utc("2026-12-28T08:30")


def test_further_closed_days_are_closed():
    calendar = office(closed_days=["2026-11-04"])

    assert add_business_minutes(calendar, utc("2026-11-03T15:30"), 60) == utc("2026-11-05T08:30")


def test_a_calendar_that_never_opens_says_so():
    with pytest.raises(NeverOpen, match="no open hours"):
        add_business_minutes(office(hours={}), utc("2026-11-03T09:00"), 1)


def test_minutes_between_count_open_time_only():
    calendar = office()

    assert business_minutes_between(calendar, utc("2026-11-06T15:00"), utc("2026-11-09T09:00")) == 120
    assert business_minutes_between(calendar, utc("2026-11-07T09:00"), utc("2026-11-08T09:00")) == 0
    assert business_minutes_between(calendar, utc("2026-11-04T09:00"), utc("2026-11-03T09:00")) == 0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    start=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)),  # noqa: DTZ001 - given their zone below
    minutes=st.integers(0, 5_000),
)
def test_adding_and_measuring_are_inverse(start, minutes):
    calendar, begin = office(country="DE"), start.replace(tzinfo=UTC)

    due = add_business_minutes(calendar, begin, minutes)

    assert abs(business_minutes_between(calendar, begin, due) - minutes) < 1e-6
    assert due >= begin


@pytest.mark.parametrize(
    ("hours", "message"),
    [
        (WEEK, ""),
        (ALWAYS, ""),
        ({}, "at least one day"),
        ({"mon": []}, "at least one day"),
        ({"monday": [["08:00", "09:00"]]}, "monday is no day"),
        ({"mon": [["8:00", "9:00"]]}, "pairs of times"),
        ({"mon": [["08:00", "25:00"]]}, "pairs of times"),
        ({"mon": [["08:00", "08:00"]]}, "pairs of times"),
        ({"mon": [["22:00", "06:00"]]}, "a night is written as two"),
        ({"mon": ["08:00"]}, "pairs of times"),
        ({"mon": [["08:00", "12:00"], ["11:00", "13:00"]]}, "overlap"),
        ([], "at least one day"),
    ],
)
def test_hours_that_cannot_be_meant_are_explained(hours, message):
    assert (message in check_hours(hours)) if message else check_hours(hours) == ""


def test_a_place_without_known_holidays_is_explained():
    assert check_place("DE", "BY") == check_place("", "") == ""
    assert "XX" in check_place("XX", "")
    assert "country" in check_place("", "BY")
