"""Business time: open hours in a time zone, without closed days and public holidays, right across clock changes."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from incidents.models import Calendar

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# A calendar that is shut for so long is a mistake in the calendar, not a long wait.
HORIZON_DAYS = 3 * 366


class NeverOpen(ValueError):
    """The calendar has no open hours, so nothing in it is ever due."""


def add_business_minutes(calendar: Calendar, start: datetime, minutes: float) -> datetime:
    """Return when ``minutes`` of open time after ``start`` have passed, in UTC. Raises ``NeverOpen``."""
    left = timedelta(minutes=minutes)
    for opens, closes in open_times(calendar, start):
        begin = max(opens, start)
        if closes - begin >= left:
            return begin + left
        left -= closes - begin
    raise NeverOpen(f"The calendar {calendar} has no open hours.")


def business_minutes_between(calendar: Calendar, start: datetime, end: datetime) -> float:
    """Return the open minutes from ``start`` to ``end``; 0 where the end is not after the start."""
    total = timedelta()
    for opens, closes in open_times(calendar, start):
        if opens >= end:
            break
        total += min(closes, end) - max(opens, start)
    return total.total_seconds() / 60


def is_open(calendar: Calendar, moment: datetime) -> bool:
    """Tell whether ``moment`` lies within open hours."""
    opens = next(open_times(calendar, moment), None)
    return opens is not None and opens[0] <= moment


def open_times(calendar: Calendar, start: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield the open times that end after ``start``, in order, in UTC, for three years."""
    zone = ZoneInfo(calendar.time_zone)
    first = start.astimezone(zone).date()
    for number in range(HORIZON_DAYS):
        for opens, closes in _day(calendar, first + timedelta(days=number), zone):
            if closes > start and closes > opens:
                yield opens, closes


def _day(calendar: Calendar, day: date, zone: ZoneInfo) -> list[tuple[datetime, datetime]]:
    hours = calendar.hours.get(DAYS[day.weekday()], [])
    if not hours or day.isoformat() in calendar.closed_days or is_holiday(calendar, day):
        return []
    times = []
    for begin, end in sorted(hours):
        # Both ends are local times of their own: on the day the clocks change, an open day is longer or shorter.
        times.append((_at(day, begin, zone), _at(day, end, zone)))
    return times


def _at(day: date, clock: str, zone: ZoneInfo) -> datetime:
    hour, minute = (int(part) for part in clock.split(":"))
    days, hour = divmod(hour, 24)
    return datetime.combine(day + timedelta(days=days), time(hour, minute), zone).astimezone(UTC)


def is_holiday(calendar: Calendar, day: date) -> bool:
    """Tell whether ``day`` is a public holiday of the calendar's country and subdivision."""
    return bool(calendar.country) and day in _holidays(calendar.country, calendar.subdivision, day.year)


@lru_cache(maxsize=256)
def _holidays(country: str, subdivision: str, year: int) -> frozenset[date]:
    import holidays

    return frozenset(holidays.country_holidays(country, subdiv=subdivision or None, years=year))


def check_place(country: str, subdivision: str) -> str:
    """Return why the holidays of this place are not known, or "" where they are."""
    if not country:
        return "A subdivision needs its country." if subdivision else ""
    try:
        _holidays(country, subdivision, 2026)
    except NotImplementedError as error:
        return str(error)
    return ""


def check_hours(hours: object) -> str:
    """Return what is wrong with a week's open hours, or "" where nothing is."""
    if not isinstance(hours, dict) or not any(hours.values()):
        return "Give at least one day with open hours, such as {mon: [[08:00, 18:00]]}."
    for day, spans in hours.items():
        if day not in DAYS:
            return f"{day} is no day; days are {', '.join(DAYS)}."
        if not isinstance(spans, list) or not all(_is_span(span) for span in spans):
            return f"{day}: hours are pairs of times such as [08:00, 18:00]; a night is written as two."
        ends = sorted(spans)
        if any(later[0] < earlier[1] for earlier, later in pairwise(ends)):
            return f"{day}: hours overlap."
    return ""


def _is_span(span: object) -> bool:
    return isinstance(span, list) and len(span) == 2 and all(_is_clock(part) for part in span) and span[0] < span[1]


def _is_clock(text: object) -> bool:
    if not isinstance(text, str) or len(text) != 5 or text[2] != ":" or not (text[:2] + text[3:]).isdecimal():
        return False
    return text == "24:00" or (int(text[:2]) < 24 and int(text[3:]) < 60)
