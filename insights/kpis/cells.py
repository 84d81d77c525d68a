"""Incidents and executions of a period, counted by the database into cells: every measure is a sum of them.

There are as many cells as there are kinds, units, weeks, playbooks and outcomes that occur together, whatever the
number of incidents. An incident that was folded into another counts for nothing: the other one stands for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import (
    Case,
    CharField,
    Count,
    Exists,
    ExpressionWrapper,
    F,
    FilteredRelation,
    FloatField,
    Func,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Cast, Coalesce

from audit.access import Person
from audit.models import Entry
from incidents.filters import SLA_STATE
from incidents.models import Incident
from incidents.states import Status
from insights.kpis.intervals import Moments
from insights.kpis.periods import Period, Week, week_name
from playbooks.models import Execution, StepRun
from playbooks.states import ExecutionState

BY = ("kind", "domain", "business_unit", "region", "week", "playbook")
_SLA = {"breached": "missed", "ok": "kept", "warning": "kept"}


class Seconds(Func):
    """The seconds from one time to another, as a number that sums and squares on both databases."""

    output_field = FloatField()

    def as_sqlite(self, compiler, connection, **extra):  # type: ignore[no-untyped-def]
        """Write it for SQLite, to the millisecond."""
        return self.as_sql(compiler, connection, template="((%(expressions)s) * 86400.0)", arg_joiner=" - ", **extra)

    def as_postgresql(self, compiler, connection, **extra):  # type: ignore[no-untyped-def]
        """Write it for PostgreSQL."""
        template = "EXTRACT(EPOCH FROM (%(expressions)s))::float8"
        return self.as_sql(compiler, connection, template=template, arg_joiner=" - ", **extra)


class _Day(Func):
    """A time as a number of days, where the database has no times of its own."""

    def as_sqlite(self, compiler, connection, **extra):  # type: ignore[no-untyped-def]
        """Write it for SQLite."""
        return self.as_sql(compiler, connection, template="julianday(%(expressions)s)", **extra)

    def as_postgresql(self, compiler, connection, **extra):  # type: ignore[no-untyped-def]
        """Leave it as it is."""
        return self.as_sql(compiler, connection, template="%(expressions)s", **extra)


def between(start: str, end: str) -> Seconds:
    """Return the seconds from the one field to the other."""
    return Seconds(_Day(F(end)), _Day(F(start)))


@dataclass(frozen=True)
class Cell:
    """So many incidents that are alike in all these ways, with the sums over them.

    ``outcome``: mended, rolled_back, dismissed or late (open, and a target was missed). ``mode``: autonomous,
    approved, manual, or "" for what counts for no coverage. ``worth`` is the revenue at risk of the ``valued`` ones;
    ``worth_seconds`` that of each times the seconds it took.
    """

    kind: str
    domain: str
    business_unit: str
    region: str
    week: str
    playbook: str
    version: int
    outcome: str
    mode: str
    first_contact: bool
    sla: str
    contractual: bool
    currency: str
    n: int
    seconds: Moments
    worth: float = 0.0
    valued: int = 0
    worth_seconds: float = 0.0


@dataclass(frozen=True)
class Change:
    """So many changes that were carried out and are alike in all these ways."""

    kind: str
    domain: str
    business_unit: str
    region: str
    week: str
    playbook: str
    version: int
    right: bool
    n: int


@dataclass(frozen=True)
class Cells:
    """Everything that the measures of one period and one reader are summed from."""

    cells: tuple[Cell, ...] = ()
    changes: tuple[Change, ...] = ()


def count(user: Person, period: Period) -> Cells:
    """Count what ``user`` may see of ``period``: three statements."""
    return Cells((*_closed(user, period), *_late(user, period)), tuple(_changes(user, period)))


# --- Which rows count: the same conditions answer the drill-down ---------------------------------


def closed(user: Person, period: Period) -> "QuerySet[Any]":
    """Return the incidents that were closed in the period and are closed still, each with the mend that stands."""
    rows = Incident.objects.visible_to(user).filter(
        closed_at__gte=period.start,
        closed_at__lt=period.end,
        merged_into=None,
        status__in=(Status.RESOLVED, Status.ROLLED_BACK, Status.DISMISSED),
    )
    told: QuerySet[Any] = with_mend(rows).annotate(mode=_mode(), first_contact=_first_contact())
    return told


def with_mend(rows: "QuerySet[Incident]") -> "QuerySet[Any]":
    """Join to each incident the verified forward execution that stands, as ``mend``; none for those without."""
    verified = Q(executions__direction=Execution.Direction.FORWARD, executions__state=ExecutionState.VERIFIED)
    later = Execution.objects.filter(
        incident=OuterRef("pk"),
        direction=Execution.Direction.FORWARD,
        state=ExecutionState.VERIFIED,
        id__gt=OuterRef("mend__id"),
    )
    joined: QuerySet[Any] = rows.annotate(mend=FilteredRelation("executions", condition=verified))
    # Mended twice, the later one stands.
    kept: QuerySet[Any] = joined.filter(Q(mend__id=None) | ~Exists(later))
    return kept


def late(user: Person, period: Period) -> "QuerySet[Incident]":
    """Return the open incidents that missed a target of their service level in the period."""
    rows = Incident.objects.visible_to(user).filter(closed_at=None, merged_into=None)
    return rows.filter(sla__breached_at__gte=period.start, sla__breached_at__lt=period.end)


def changes(user: Person, period: Period) -> "QuerySet[Execution]":
    """Return the forward executions begun in the period that have ended and sent something, or were verified."""
    sent = StepRun.objects.filter(execution=OuterRef("pk"), attempts_count__gt=0)
    ended = Q(state=ExecutionState.VERIFIED) | (
        Q(state__in=(ExecutionState.FAILED, ExecutionState.CANCELLED)) & Exists(sent)
    )
    rows = Execution.objects.filter(ended, direction=Execution.Direction.FORWARD)
    rows = rows.filter(created_at__gte=period.start, created_at__lt=period.end)
    return rows.filter(Exists(Incident.objects.visible_to(user).filter(pk=OuterRef("incident"))))


def _told(*verbs: str) -> Any:
    # As a list of numbers, read once through the ledger's index by verb: asked row by row it would cost every entry.
    return Entry.objects.filter(verb__in=verbs, incident_id__isnull=False).values("incident_id")


def _helped() -> Q:
    return Q(pk__in=_told("incident.needs_operator"))


def _mode() -> Case:
    by_person = Entry.objects.filter(verb="incident.dismissed", incident_id__isnull=False)
    by_person = by_person.exclude(actor__startswith="system:")
    return Case(
        When(status=Status.ROLLED_BACK, then=Value("manual")),
        When(Q(status=Status.DISMISSED, pk__in=by_person.values("incident_id")), then=Value("manual")),
        When(status=Status.DISMISSED, then=Value("")),
        When(_helped(), then=Value("manual")),
        When(mend__plan__autonomous=True, then=Value("autonomous")),
        default=Value("approved"),
        output_field=CharField(),
    )


def _first_contact() -> Case:
    good = Q(status=Status.RESOLVED, mend__plan__number=1) & ~_helped()
    return Case(When(good, then=Value(1)), default=Value(0), output_field=IntegerField())


# --- Counting ------------------------------------------------------------------------------------

_OUTCOMES = {Status.RESOLVED: "mended", Status.ROLLED_BACK: "rolled_back", Status.DISMISSED: "dismissed"}


def _closed(user: Person, period: Period) -> Iterator[Cell]:
    worth = Cast("revenue_at_risk", FloatField())
    seconds = between("opened_at", "closed_at")
    rows: Any = (
        closed(user, period)
        .order_by()
        .annotate(
            week=Week("closed_at"),
            sla_state=SLA_STATE,
            playbook=Coalesce(F("mend__plan__playbook_version__playbook__slug"), Value("")),
            version=Coalesce(F("mend__plan__playbook_version__number"), Value(0)),
        )
        .values_list(
            *("code", "domain", "business_unit", "region", "week", "playbook", "version", "status"),
            *("mode", "first_contact", "sla_state", "sla__policy__contractual", "currency"),
        )
        .annotate(
            n=Count("id"),
            total=Sum(seconds),
            squares=Sum(seconds * seconds),
            worth=Sum(worth),
            valued=Count("revenue_at_risk"),
            worth_seconds=Sum(ExpressionWrapper(worth * seconds, output_field=FloatField())),
        )
    )
    for row in rows:
        kind, domain, unit, region, week, playbook, version, status = row[:8]
        mode, first, sla, contractual, currency, n = row[8:14]
        total, squares, at_risk, valued, at_risk_seconds = (one or 0 for one in row[14:])
        yield Cell(
            kind, domain, unit, region, week_name(week), playbook, version, _OUTCOMES[status], mode, first == 1,
            _SLA.get(sla, "none"), bool(contractual), currency, n, Moments(n, total, squares),
            at_risk, valued, at_risk_seconds,
        )  # fmt: skip


def _late(user: Person, period: Period) -> Iterator[Cell]:
    rows: Any = (
        late(user, period)
        .order_by()
        .annotate(week=Week("sla__breached_at"))
        .values_list("code", "domain", "business_unit", "region", "week", "sla__policy__contractual", "currency")
        .annotate(n=Count("id"))
    )
    for kind, domain, unit, region, week, contractual, currency, n in rows:
        yield Cell(
            kind, domain, unit, region, week_name(week), "", 0, "late", "", False, "missed", bool(contractual),
            currency, n, Moments(),
        )  # fmt: skip


def _changes(user: Person, period: Period) -> Iterator[Change]:
    rows: Any = (
        changes(user, period)
        .order_by()
        .annotate(week=Week("created_at"))
        .values_list(
            *("incident__code", "incident__domain", "incident__business_unit", "incident__region", "week"),
            *("plan__playbook_version__playbook__slug", "plan__playbook_version__number"),
            *("state", "first_attempt_verified"),
        )
        .annotate(n=Count("id"))
    )
    for kind, domain, unit, region, week, playbook, version, state, first, n in rows:
        right = state == ExecutionState.VERIFIED and first is True
        yield Change(kind, domain, unit, region, week_name(week), playbook, version, right, n)
