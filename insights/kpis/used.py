"""Use of systems and models, and the times of steps, as measures: for programs what the page shows in tables."""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet, Subquery, Sum

from audit.access import Person
from connectors.models import Call
from incidents.models import Incident
from insights.kpis import runtimes, usage
from insights.kpis.assumptions import Name, Stated, stated, told
from insights.kpis.cells import between
from insights.kpis.measures import Measure
from insights.kpis.periods import Period
from insights.kpis.runtimes import Runtime
from insights.kpis.usage import Use
from playbooks.models import Execution


def use_measures(user: Person, period: Period) -> tuple[Measure, ...]:
    """Return the calls and the tokens of each connection, and the run times of each operation."""
    known, found = stated(), usage.uses(user, period, stated())
    return (
        *map(_calls, found),
        *(_tokens(one, known) for one in found if one.tokens),
        *map(_times, runtimes.runtimes(user, period)),
    )


def _calls(use: Use) -> Measure:
    data = {"connection": use.connection, "requests": use.requests, "failed": use.failed, "busiest_day": use.busiest}
    return Measure("connector_calls", use.calls, use.calls, data={**data, "allowed_a_day": use.quota})


def _tokens(use: Use, known: Stated) -> Measure:
    price = known.of(Name.TOKEN_PRICE, use.connection)
    data = {"connection": use.connection, "tokens": use.tokens}
    if price is None:
        because = f"No price of a million tokens is stated for the connection {use.connection}."
        return Measure("token_cost", None, use.calls, because=because, data={**data, "currency": "", "assumptions": []})
    amount = round(use.tokens / 1e6 * float(price.value), 4)
    return Measure(
        "token_cost", amount, use.calls, data={**data, "currency": price.currency, "assumptions": told([price])}
    )


def _times(found: Runtime) -> Measure:
    parts = tuple(Measure(f"run_times.{name}", getattr(found, name), found.n) for name in ("p50", "p95"))
    data = {"connection": found.connection, "operation": found.operation}
    return Measure("run_times", found.p50, found.n, parts=parts, data=data)


# --- The rows behind them ------------------------------------------------------------------------


def calling(user: Person, period: Period, name: str, params: Mapping[str, str]) -> "QuerySet[Any]":
    """Return the incidents that calls of the period's days were made for, each with its ``calls`` or ``tokens``."""
    first = datetime.combine(period.start.date(), time(), UTC)
    after = datetime.combine(period.last_day, time(), UTC) + timedelta(days=1)
    made = Call.objects.filter(incident_id=OuterRef("pk"), started_at__gte=first, started_at__lt=after)
    if "connection" in params:
        made = made.filter(connection__slug=params["connection"])
    if name == "token_cost":
        made = made.filter(tokens__gt=0)
    word = Sum("tokens") if name == "token_cost" else Count("id")
    told_ = made.order_by().values("incident_id").annotate(told=word).values("told")
    rows = Incident.objects.visible_to(user).filter(Exists(made))
    counted: QuerySet[Any] = rows.annotate(**{WORDS[name]: Subquery(told_)})
    return counted


def running(user: Person, period: Period, params: Mapping[str, str]) -> "QuerySet[Any]":
    """Return the executions begun in the period that have a finished step, each with its slowest as ``run_time``."""
    rows = Execution.objects.filter(Exists(Incident.objects.visible_to(user).filter(pk=OuterRef("incident"))))
    rows = rows.filter(created_at__gte=period.start, created_at__lt=period.end)
    steps = Q(**{f"step_runs__{name}": params[name] for name in ("connection", "operation") if name in params})
    steps &= Q(step_runs__started_at__isnull=False, step_runs__finished_at__isnull=False)
    slowest = Max(between("step_runs__started_at", "step_runs__finished_at"), filter=steps)
    timed: QuerySet[Any] = rows.annotate(run_time=slowest).filter(run_time__isnull=False)
    return timed.select_related("incident", "plan__playbook_version__playbook")


# What is told of each row.
WORDS = {"connector_calls": "calls", "token_cost": "tokens", "run_times": "run_time"}
