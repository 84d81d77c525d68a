"""The time that figures are about: from included, to excluded, in UTC; weeks begin on Monday."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.db.models import F, Func, IntegerField
from django.utils.dateparse import parse_date, parse_datetime

from audit.clock import db_now
from audit.errors import Invalid

DAYS = 90
LONGEST = timedelta(days=3_660)
# The Monday that weeks are counted from.
MONDAY = datetime(1970, 1, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Period:
    """A stretch of time: ``start`` belongs to it, ``end`` does not."""

    start: datetime
    end: datetime

    @property
    def days(self) -> float:
        """How many days it lasts."""
        return (self.end - self.start) / timedelta(days=1)

    @property
    def last_day(self) -> date:
        """The last day that belongs to it."""
        return (self.end - timedelta(microseconds=1)).date()

    @property
    def before(self) -> "Period":
        """The stretch of the same length that ends where this one begins."""
        return Period(self.start - (self.end - self.start), self.start)

    @property
    def query(self) -> str:
        """The period as the query of an address."""
        return f"from={_text(self.start)}&to={_text(self.end)}"


def latest(days: int = DAYS) -> Period:
    """Return the last so many days, whole days, today included."""
    midnight = db_now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return Period(midnight - timedelta(days=days), midnight)


def parse(params: Mapping[str, str]) -> Period:
    """Read ``from`` and ``to`` (a date or a time; the default is the last 90 days). Raises ``Invalid``."""
    usual = latest()
    end = _moment(params, "to") or usual.end
    start = _moment(params, "from") or min(usual.start, end - timedelta(days=DAYS))
    if start >= end:
        raise Invalid("The period ends before it begins.", {"from": ["It must lie before `to`."]})
    if end - start > LONGEST:
        raise Invalid("The period is too long.", {"from": ["At most ten years."]})
    return Period(start, end)


def _moment(params: Mapping[str, str], name: str) -> datetime | None:
    text = params.get(name, "")
    if not text:
        return None
    try:
        # A plus sign in an address stands for a blank.
        moment = parse_datetime(text.replace(" ", "+") if "T" in text else text)
        day = parse_date(text) if moment is None else None
        if day is not None:
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        if moment is not None:
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        pass
    raise Invalid(f"{name} is no time.", {name: ["Write 2026-11-01 or 2026-11-01T08:00:00Z."]})


def _text(moment: datetime) -> str:
    whole = (moment.hour, moment.minute, moment.second, moment.microsecond) == (0, 0, 0, 0)
    return f"{moment:%Y-%m-%d}" if whole else moment.isoformat().replace("+00:00", "Z")


def week_name(number: int) -> str:
    """Return a week by its ISO name, such as 2026-W47."""
    year, week, _ = monday(number).isocalendar()
    return f"{year}-W{week:02d}"


def week_number(moment: datetime) -> int:
    """Return how many weeks lie between ``MONDAY`` and the week of ``moment``."""
    return (moment - MONDAY) // timedelta(days=7)


def monday(number: int) -> date:
    """Return the day on which a week begins."""
    return (MONDAY + timedelta(days=7 * number)).date()


class Week(Func):
    """The number of the week of a time, counted from ``MONDAY``; the databases know no such function by one name."""

    output_field = IntegerField()

    def __init__(self, field: str) -> None:
        super().__init__(F(field))

    def as_sqlite(self, compiler, connection, **extra):  # type: ignore[no-untyped-def]
        """Write it for SQLite."""
        template = "CAST((julianday(%(expressions)s) - 2440591.5) / 7 AS INTEGER)"
        return self.as_sql(compiler, connection, template=template, **extra)

    def as_postgresql(self, compiler, connection, **extra):  # type: ignore[no-untyped-def]
        """Write it for PostgreSQL."""
        template = "FLOOR((EXTRACT(EPOCH FROM %(expressions)s) - 345600) / 604800)::int"
        return self.as_sql(compiler, connection, template=template, **extra)
