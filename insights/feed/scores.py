"""The entity set of the measures: each of the last 53 weeks, counted when it is asked for."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from audit.clock import db_now
from insights.feed.edm import DATE, DOUBLE, INT, STRING
from insights.feed.sets import EntitySet, Property, Row
from insights.kpis.answers import answer
from insights.kpis.periods import Period

WEEKS = 53


def _period(now: datetime) -> Period:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    monday = midnight - timedelta(days=midnight.weekday())
    return Period(monday - timedelta(weeks=WEEKS - 1), monday + timedelta(weeks=1))


def _made(user: Any, fixed: Mapping[str, Any]) -> Iterator[Row]:
    """Yield the measures week by week; a week in which nothing happened has no rows."""
    groups = answer(user, _period(db_now()), "week").groups
    for group in sorted(groups, key=lambda group: group.key):
        if fixed.get("week", group.key) != group.key:
            continue
        for one in sorted(group.first, key=lambda one: one.name):
            yield {
                "week": group.key,
                "starts_on": _monday(group.key),
                "measure": one.name,
                "label": one.definition.label,
                "value": one.value,
                "unit": one.definition.unit,
                "n": one.n,
                "low": one.interval[0] if one.interval else None,
                "high": one.interval[1] if one.interval else None,
                "because": one.because,
            }


def _monday(week: str) -> date | None:
    year, _, number = week.partition("-W")
    return date.fromisocalendar(int(year), int(number), 1) if number.isdigit() else None


KPIS = EntitySet(
    "Kpis",
    "Kpi",
    "The measures of the value page by week (UTC), with their n and 95 % interval, over what you may see.",
    ("week", "measure"),
    (
        Property("week", STRING, "The week by its ISO name, such as 2026-W47."),
        Property("starts_on", DATE, "Its Monday.", nullable=True),
        Property("measure", STRING),
        Property("label", STRING),
        Property("value", DOUBLE, "Empty where there was nothing to measure; see because.", nullable=True),
        Property("unit", STRING),
        Property("n", INT),
        Property("low", DOUBLE, nullable=True),
        Property("high", DOUBLE, nullable=True),
        Property("because", STRING, "Why there is no value."),
    ),
    made=_made,
)
