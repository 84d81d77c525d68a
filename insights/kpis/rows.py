"""The rows behind each measure: the same conditions that counted them, as lists to look through."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from audit.access import Person
from audit.errors import Invalid
from incidents.filters import SLA_STATE
from incidents.models import Incident
from incidents.states import Status
from insights.kpis import cells, used, worth
from insights.kpis.definitions import DEFINITIONS, USE, Definition
from insights.kpis.periods import Period, monday, week_number

_CLOSED = (Status.RESOLVED, Status.ROLLED_BACK)


@dataclass(frozen=True)
class Rows:
    """What a measure counted: ``rows`` are incidents, or executions where ``runs``; ``word`` says how each counted."""

    definition: Definition
    rows: "QuerySet[Any]"
    word: str
    runs: bool = False


def rows_of(user: Person, period: Period, name: str, params: Mapping[str, str]) -> Rows:
    """Return the rows behind a measure, narrowed as its parts are. Raises ``KeyError`` for no such measure."""
    definition = USE[name] if name in USE else DEFINITIONS[name]
    period = _week(period, params.get("week", ""))
    if name == "run_times":
        return Rows(definition, used.running(user, period, params), used.WORDS[name], runs=True)
    if name in USE:
        return Rows(definition, used.calling(user, period, name, params), used.WORDS[name])
    if name == "change_success_rate":
        runs = cells.changes(user, period).select_related("incident", "plan__playbook_version__playbook")
        return Rows(definition, _narrowed(runs, params, "incident__", "plan__"), "state", runs=True)
    rows, word = _INCIDENTS[name](user, period)
    if name in worth.LEAKS:
        return Rows(definition, _narrowed(rows, params, "", ""), word)
    return Rows(definition, _narrowed(rows, params, "", "mend__plan__"), word)


def _narrowed(rows: "QuerySet[Any]", params: Mapping[str, str], incident: str, plan: str) -> "QuerySet[Any]":
    for given, column in (("kind", "code"), ("domain", "domain"), ("business_unit",) * 2, ("region",) * 2):
        if given in params:
            rows = rows.filter(**{f"{incident}{column}": params[given]})
    if "playbook" in params and plan:
        slug = params["playbook"]
        column = f"{plan}playbook_version__playbook"
        rows = rows.filter(**({f"{column}__slug": slug} if slug else {f"{column}__isnull": True}))
    return rows


def _week(period: Period, name: str) -> Period:
    """Return the part of the period that lies in a week. Raises ``Invalid`` for no week."""
    if not name:
        return period
    try:
        begun = datetime.strptime(f"{name}-1", "%G-W%V-%u").replace(tzinfo=UTC)
    except ValueError:
        raise Invalid("That is no week.", {"week": ["Write 2026-W47."]}) from None
    day = datetime.combine(monday(week_number(begun)), datetime.min.time(), UTC)
    return Period(max(period.start, day), min(period.end, day + timedelta(days=7)))


def _mended(user: Person, period: Period) -> "tuple[QuerySet[Any], str]":
    return cells.closed(user, period).filter(status=Status.RESOLVED), "duration"


def _valued(user: Person, period: Period) -> "tuple[QuerySet[Any], str]":
    return _mended(user, period)[0].filter(revenue_at_risk__isnull=False), "duration"


def _contacted(user: Person, period: Period) -> "tuple[QuerySet[Any], str]":
    return cells.closed(user, period).filter(status__in=_CLOSED), "first_contact"


def _clocked(user: Person, period: Period) -> "tuple[QuerySet[Any], str]":
    over = cells.closed(user, period).filter(status__in=_CLOSED, sla__isnull=False).values("pk")
    mine = Incident.objects.visible_to(user).filter(Q(pk__in=over) | Q(pk__in=cells.late(user, period).values("pk")))
    return cells.with_mend(mine).annotate(sla_state=SLA_STATE), "sla_state"


def _handled(user: Person, period: Period) -> "tuple[QuerySet[Any], str]":
    return cells.closed(user, period).exclude(mode=""), "mode"


def _leaking(name: str) -> Callable[[Person, Period], "tuple[QuerySet[Any], str]"]:
    return lambda user, period: (worth.leaking(user, period, name), "fate")


_INCIDENTS: dict[str, Callable[[Person, Period], "tuple[QuerySet[Any], str]"]] = {
    "mttr_seconds": _mended,
    "first_contact_resolution": _contacted,
    "sla_adherence": _clocked,
    "automation_coverage": _handled,
    "roi": _handled,
    "cost_to_serve": _handled,
    "revenue_protected": _valued,
    "working_capital": _valued,
    **{name: _leaking(name) for name in worth.LEAKS},
}
