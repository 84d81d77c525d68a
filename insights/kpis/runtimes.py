"""How long steps take, from the intent to the target's yes: the median and the slow tail of each operation."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Exists, F, FloatField, OuterRef, Window
from django.db.models.functions import Cast, Ceil, Greatest, RowNumber

from audit.access import Person
from incidents.models import Incident
from insights.kpis.cells import between
from insights.kpis.periods import Period
from playbooks.models import StepRun


@dataclass(frozen=True)
class Runtime:
    """One operation of one connection: how many steps, and seconds by nearest rank: values that were measured."""

    connection: str
    operation: str
    n: int
    p50: float
    p95: float


def runtimes(user: Person, period: Period) -> list[Runtime]:
    """Return the run times of the steps of executions begun in the period, the slowest first."""
    mine = Incident.objects.visible_to(user).filter(pk=OuterRef("execution__incident"))
    rows = StepRun.objects.filter(
        Exists(mine),
        execution__created_at__gte=period.start,
        execution__created_at__lt=period.end,
        started_at__isnull=False,
        finished_at__isnull=False,
    )
    part = [F("connection"), F("operation")]
    ranked: Any = rows.annotate(took=between("started_at", "finished_at")).annotate(
        place=Window(RowNumber(), partition_by=part, order_by="took"), n=Window(Count("id"), partition_by=part)
    )
    # Of each operation only the two rows that stand at its ranks leave the database.
    shares = {f"p{share}": Greatest(Ceil(Cast("n", FloatField()) * share / 100.0), 1.0) for share in (50, 95)}
    found: dict[tuple[str, str], dict[str, float]] = {}
    for name, rank in shares.items():
        picked = ranked.annotate(rank=rank).filter(place=F("rank"))
        for connection, operation, n, took in picked.values_list("connection", "operation", "n", "took"):
            found.setdefault((connection, operation), {"n": n})[name] = took
    told = [
        Runtime(connection, operation, int(one["n"]), one["p50"], one["p95"])
        for (connection, operation), one in found.items()
    ]
    return sorted(told, key=lambda one: (-one.p95, one.connection, one.operation))
