"""A number per hour, day or week, as it stood when its hour, day or week was over."""

# ruff: noqa: S608 - the text is ours alone: columns, numbers and named queries; every value is a parameter

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Count, QuerySet, Sum
from django.db.models.functions import Trunc

from connectors.models import Call
from incidents.models import Incident
from insights.detectors.definitions import Series
from insights.detectors.reading import LogReader, moment
from insights.mining.asking import seconds

STEP = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}
MOST_VALUES = 20_000


@dataclass(frozen=True)
class Value:
    """One value: when its span began, and how much; ``None`` where there was nothing to measure."""

    start: datetime
    amount: float | None


def words(series: Series) -> str:
    """Return what the numbers are, as a sentence holds them."""
    what = {
        "events": f"“{series.activity}”" if series.activity else "events",
        "cases": "new cases",
        "throughput": "median throughput in hours",
        "rework": "share of repeated steps",
        "exceptions": f"exceptions of kind {series.code}" if series.code else "exceptions",
        "calls": f"calls of {series.connection}" if series.connection else "connector calls",
        "tokens": f"tokens of {series.connection}" if series.connection else "tokens",
    }[series.measure]
    return f"{what} per {series.per}"


def is_count(series: Series) -> bool:
    """Tell whether nothing happening is a value of its own, nought."""
    return series.measure not in ("throughput", "rework")


def of_log(series: Series, reader: LogReader) -> list[Value]:
    """Return the values of a log, oldest first; the first span, which may be cut, and the running one are left out."""
    happened, measured, named = _QUESTIONS[series.measure](series, reader)
    rows = reader.ask(
        f"SELECT date_trunc('{series.per}', {happened}) AS bucket, {measured} GROUP BY 1 ORDER BY 1", **named
    )
    ends = reader.ask("SELECT min(k.at), max(k.at) FROM known k")[0]
    if ends[0] is None:
        return []
    found = {moment(row[0]): seconds(row[1]) for row in rows}
    return _filled(series, found, moment(ends[0]), reader.until)


def _events(series: Series, reader: LogReader) -> tuple[str, str, dict[str, str]]:
    only = f" WHERE k.activity = {reader.number(series.activity)}" if series.activity else ""
    return "k.at", f"count(*) FROM known k{only}", {}


_BEGUN = "SELECT k.case_no AS case_no, min(k.at) AS first_at FROM known k GROUP BY k.case_no"


def _cases(series: Series, reader: LogReader) -> tuple[str, str, dict[str, str]]:
    return "b.first_at", "count(*) FROM begun b", {"begun": _BEGUN}


def _throughput(series: Series, reader: LogReader) -> tuple[str, str, dict[str, str]]:
    ended = (
        "SELECT k.case_no AS case_no, min(k.at) AS end_at FROM known k"
        f" WHERE k.activity IN ({reader.numbers(series.ends)}) GROUP BY k.case_no"
    )
    hours = "median((epoch(x.end_at) - epoch(b.first_at)) / 3600)"
    return "x.end_at", f"{hours} FROM ended x JOIN begun b ON b.case_no = x.case_no", {"begun": _BEGUN, "ended": ended}


def _rework(series: Series, reader: LogReader) -> tuple[str, str, dict[str, str]]:
    counted = (
        "SELECT k.at AS happened_at, row_number() OVER (PARTITION BY k.case_no, k.activity ORDER BY k.position) AS nth"
        " FROM known k"
    )
    return "n.happened_at", "avg(CASE WHEN n.nth > 1 THEN 1.0 ELSE 0.0 END) FROM counted n", {"counted": counted}


_QUESTIONS = {"events": _events, "cases": _cases, "throughput": _throughput, "rework": _rework}


def of_rows(series: Series, *, since: datetime, until: datetime, business_unit: str = "") -> list[Value]:
    """Return the values of what Goldseam itself keeps, from ``since`` on: exceptions, connector calls, tokens."""
    rows: QuerySet[Incident] | QuerySet[Call]
    if series.measure == "exceptions":
        rows, when = Incident.objects.filter(opened_at__gte=since, opened_at__lt=until), "opened_at"
        rows = rows.filter(business_unit=business_unit) if business_unit else rows
        rows = rows.filter(code=series.code) if series.code else rows
    else:
        rows, when = Call.objects.filter(started_at__gte=since, started_at__lt=until), "started_at"
        rows = rows.filter(connection__slug=series.connection) if series.connection else rows
    amount = Sum("tokens") if series.measure == "tokens" else Count("pk")
    told = rows.annotate(bucket=Trunc(when, series.per, tzinfo=UTC)).values("bucket").annotate(n=amount)
    found = {row["bucket"]: float(row["n"] or 0) for row in told.order_by("bucket")}
    first = min(found, default=None)
    return [] if first is None else _filled(series, dict(found), first, until)


def floor(series: Series, at: datetime) -> datetime:
    """Return when the span that ``at`` lies in began, in UTC."""
    day = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if series.per == "hour":
        return day
    day = day.replace(hour=0)
    return day - timedelta(days=day.weekday()) if series.per == "week" else day


def _filled(series: Series, found: dict[datetime, float | None], first: datetime, until: datetime) -> list[Value]:
    """Return every whole span between the first event and ``until``; a count without events is nought."""
    step, nothing = STEP[series.per], 0.0 if is_count(series) else None
    start = floor(series, first)
    start += step if first > start else timedelta()
    start = max(start, floor(series, until) - step * MOST_VALUES)
    values = []
    while start + step <= until:
        values.append(Value(start, found.get(start, nothing)))
        start += step
    return values
