"""Use of other systems and of models: calls summed up by day, so that a page never reads the log of calls itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Count, F, Max, Min, QuerySet, Sum

from audit.access import Person
from audit.clock import db_now
from connectors.models import Call
from incidents.models import Incident
from insights.kpis.assumptions import Name, Stated
from insights.kpis.models import UsageDay, UsageMark
from insights.kpis.periods import Period

BATCH = 10_000
# A call is closed by then, and every number below it has been committed.
SETTLED = timedelta(minutes=5)
MODEL = "model"
_KEY = ("day", "connection_id", "direction", "model", "team", "business_unit", "region")
_SUMS = ("calls", "requests", "failed", "tokens", "seconds")
_Key = tuple[date, int, str, str, str, str, str]


@dataclass(frozen=True)
class Use:
    """What one connection was used for in a period. ``quota`` is the calls a day that are stated as allowed."""

    connection: str
    label: str
    calls: int
    requests: int
    failed: int
    tokens: int
    busiest: int  # calls of the busiest day
    quota: int | None = None

    @property
    def quota_share(self) -> float | None:
        """How much of the quota the busiest day took."""
        return self.busiest / self.quota if self.quota else None


@dataclass(frozen=True)
class Tokens:
    """What a model, a team or an incident used."""

    name: str
    tokens: int
    calls: int


def count() -> int:
    """Add the calls that have come since the last turn to their days; returns how many. Two at once count each once."""
    with transaction.atomic():
        UsageMark.objects.get_or_create(name="calls")
        mark = UsageMark.objects.select_for_update().get(name="calls")
        # A row that is younger may still be open, and one with a lower number may not be committed yet.
        young = Call.objects.filter(id__gt=mark.last_id, started_at__gt=db_now() - SETTLED).order_by("id")
        first = young.values_list("id", flat=True).first()
        rows = Call.objects.filter(id__gt=mark.last_id).order_by("id")
        found = list((rows.filter(id__lt=first) if first is not None else rows).values(*_COLUMNS)[:BATCH])
        if not found:
            return 0
        _add(found)
        mark.last_id = found[-1]["id"]
        mark.save()
    return len(found)


def uncounted(asked: Iterable[int]) -> list[int]:
    """Return those of some calls that are not summed up yet: until then none of them may be forgotten."""
    counted = UsageMark.objects.filter(name="calls").values_list("last_id", flat=True).first() or 0
    return [number for number in asked if number > counted]


_COLUMNS = (
    *("id", "connection_id", "direction", "arguments__model", "incident_id", "started_at", "finished_at"),
    *("outcome", "requests", "tokens"),
)


def _add(calls: list[dict[str, Any]]) -> None:
    places = _places({call["incident_id"] for call in calls if call["incident_id"] is not None})
    sums: dict[_Key, UsageDay] = {}
    for call in calls:
        team, unit, region = places.get(call["incident_id"], ("", "", ""))
        model = str(call["arguments__model"] or "")[:100] if call["direction"] == MODEL else ""
        day = call["started_at"].astimezone(UTC).date()
        key = (day, call["connection_id"], call["direction"], model, team, unit, region)
        fresh = UsageDay(**dict(zip(_KEY, key, strict=True)), first_call=call["id"], last_call=call["id"])
        one = sums.setdefault(key, fresh)
        one.calls += 1
        one.requests += call["requests"]
        one.failed += call["outcome"] != "ok"
        one.tokens += call["tokens"]
        one.seconds += (call["finished_at"] - call["started_at"]).total_seconds() if call["finished_at"] else 0.0
        one.last_call = call["id"]
    for key, one in sums.items():
        raised = {name: F(name) + getattr(one, name) for name in _SUMS}
        known = UsageDay.objects.filter(**dict(zip(_KEY, key, strict=True)))
        if not known.update(**raised, last_call=one.last_call):
            one.save(force_insert=True)


def _places(incidents: Iterable[int]) -> dict[int | None, tuple[str, str, str]]:
    numbers, found = sorted(incidents), {}
    for start in range(0, len(numbers), 500):
        rows = Incident.objects.filter(pk__in=numbers[start : start + 500])
        for pk, team, unit, region in rows.values_list("pk", "queue__slug", "business_unit", "region"):
            found[pk] = (team or "", unit, region)
    return found  # type: ignore[return-value] # a call without an incident is looked up too, in vain


# --- Reading -------------------------------------------------------------------------------------


def days(user: Person, period: Period) -> "QuerySet[UsageDay]":
    """Return the sums that ``user`` may see: those of their units, and of none only for whoever sees all units."""
    rows = UsageDay.objects.visible_to(user)
    return rows.filter(day__gte=period.start.date(), day__lte=period.last_day)


def uses(user: Person, period: Period, stated: Stated) -> list[Use]:
    """Return how much each connection was used, the busiest first."""
    rows: Any = days(user, period).order_by()
    whole = rows.values_list("connection__slug", "connection__label").annotate(
        *(Sum(name) for name in ("calls", "requests", "failed", "tokens"))
    )
    busiest: dict[str, int] = {}
    for slug, _day, calls in rows.values_list("connection__slug", "day").annotate(Sum("calls")):
        busiest[slug] = max(calls, busiest.get(slug, 0))
    found = []
    for slug, label, calls, requests, failed, tokens in whole:
        quota = stated.value(Name.CALLS_PER_DAY, slug)
        found.append(Use(slug, label, calls, requests, failed, tokens, busiest[slug], int(quota) if quota else None))
    return sorted(found, key=lambda use: (-use.calls, use.connection))


def tokens_of(user: Person, period: Period) -> list[tuple[str, int]]:
    """Return how many tokens each connection used."""
    rows: Any = days(user, period).order_by().values_list("connection__slug").annotate(Sum("tokens"))
    return sorted((slug, tokens) for slug, tokens in rows if tokens)


def tokens_by(user: Person, period: Period, column: str) -> list[Tokens]:
    """Return tokens by ``model`` or ``team``, the most first."""
    rows: Any = days(user, period).filter(direction=MODEL).order_by().values_list(column)
    found = [Tokens(name, tokens, calls) for name, tokens, calls in rows.annotate(Sum("tokens"), Sum("calls"))]
    return sorted(found, key=lambda one: (-one.tokens, one.name))


def tokens_by_incident(user: Person, period: Period, most: int = 10) -> list[tuple[int, int, int]]:
    """Return the incidents that used most tokens: number, tokens, calls."""
    edges = days(user, period).filter(direction=MODEL).aggregate(first=Min("first_call"), last=Max("last_call"))
    if edges["first"] is None:
        return []
    # The days know where their calls begin and end, so that only those are looked at.
    calls: Any = Call.objects.filter(id__range=(edges["first"], edges["last"]), direction=MODEL)
    calls = calls.filter(started_at__gte=period.start, started_at__lt=period.end)
    mine = Incident.objects.visible_to(user).values("pk")
    rows = calls.filter(incident_id__in=mine).order_by().values_list("incident_id")
    return list(rows.annotate(used=Sum("tokens"), n=Count("id")).order_by("-used", "incident_id")[:most])
