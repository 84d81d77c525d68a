"""What it is worth in money: leakage found and stopped, capital released, and what leaving things open costs."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Case, CharField, Count, Exists, F, OuterRef, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Coalesce

from audit.access import Person
from incidents.costs import costs_of
from incidents.filters import SLA_STATE
from incidents.kinds import definition_of
from incidents.models import Evidence, ExceptionKind, Incident
from incidents.states import CLOSED, Status
from insights.kpis.assumptions import Name, Stated, told
from insights.kpis.cells import Cell
from insights.kpis.measures import Measure
from insights.kpis.periods import Period

# Kinds by the beginning of their code, so that a pack for another process brings its own without a change here.
LEAKS = {"duplicate_invoices": ("duplicate_invoice", "duplicate_vendor_invoice"), "freight_misrates": ("freight_",)}
FATES = ("prevented", "recovered", "missed", "open")


@dataclass(frozen=True)
class Leak:
    """What became of the leaks of one sort in one currency: how many and how much, by fate."""

    name: str
    currency: str
    counts: dict[str, int]
    amounts: dict[str, Decimal]

    @property
    def found(self) -> int:
        """How many there were."""
        return sum(self.counts.values())

    @property
    def found_amount(self) -> Decimal:
        """What they were worth."""
        return sum(self.amounts.values(), Decimal(0))


@dataclass(frozen=True)
class Process:
    """The four costs of leaving the open incidents of one process as they are, in one currency."""

    name: str
    currency: str
    n: int
    costs: tuple[tuple[str, Decimal], ...]

    @property
    def total(self) -> Decimal:
        """All four together."""
        return sum((amount for _, amount in self.costs), Decimal(0))


def leaking(user: Person, period: Period, name: str) -> "QuerySet[Any]":
    """Return the leaks of one sort that were found in the period, each with its ``fate``. Raises ``KeyError``."""
    wanted = Q()
    for beginning in LEAKS[name]:
        wanted |= Q(code__startswith=beginning)
    rows = Incident.objects.visible_to(user).filter(wanted, opened_at__gte=period.start, opened_at__lt=period.end)
    rows = rows.filter(merged_into=None).exclude(status=Status.DISMISSED)
    # The invoice as it was first read: wholly owed by the customer, or not yet approved to be paid to the vendor.
    # An amount that is not told is owed by nobody, though nothing equals nothing.
    whole = Q(content__RemainingAmount=F("content__TotalInvoiceAmount")) & ~Q(content__RemainingAmount=None)
    owed = whole | Q(content__IsApproved="No")
    unpaid = Evidence.objects.filter(owed, incident=OuterRef("pk"), form=Evidence.Form.RECORD, name="invoice", round=1)
    fate = Case(
        When(Q(Exists(unpaid), status=Status.RESOLVED), then=Value("prevented")),
        When(status=Status.RESOLVED, then=Value("recovered")),
        When(Q(status=Status.ROLLED_BACK) | Q(sla_state="breached"), then=Value("missed")),
        default=Value("open"),
        output_field=CharField(),
    )
    return rows.annotate(sla_state=SLA_STATE).annotate(fate=fate, worth=Coalesce("revenue_at_risk", "amount"))


def leaks(user: Person, period: Period) -> list[Leak]:
    """Return what became of the leaks found in the period, by sort and currency."""
    found = []
    for name in LEAKS:
        rows = leaking(user, period, name).order_by().values_list("currency", "fate")
        told_: dict[str, Leak] = {}
        for currency, fate, n, amount in rows.annotate(n=Count("id"), total=Sum("worth")):
            fresh = Leak(name, currency, dict.fromkeys(FATES, 0), dict.fromkeys(FATES, Decimal(0)))
            leak = told_.setdefault(currency, fresh)
            leak.counts[fate], leak.amounts[fate] = n, amount or Decimal(0)
        found += [told_[currency] for currency in sorted(told_)]
    return found


def leak_measures(found: Iterable[Leak]) -> tuple[Measure, ...]:
    """Return leaks as measures: the value is what was prevented and recovered."""
    return tuple(
        Measure(
            leak.name,
            float(leak.amounts["prevented"] + leak.amounts["recovered"]),
            leak.found,
            data={
                "currency": leak.currency,
                "found": {"n": leak.found, "amount": f"{leak.found_amount:.2f}"},
                **{fate: {"n": leak.counts[fate], "amount": f"{leak.amounts[fate]:.2f}"} for fate in FATES},
            },
        )
        for leak in found
    )


def working_capital(rows: Iterable[Cell], period: Period, stated: Stated) -> tuple[Measure, ...]:
    """Return the average amount that verified mends released, by currency; else one measure that says why not."""
    sums: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    used, silent = [], set()
    for one in rows:
        if one.outcome != "mended" or not one.valued:
            continue
        days = stated.of(Name.DAYS_BY_HAND, one.kind)
        if days is None:
            silent.add(one.kind)
            continue
        used.append(days)
        sums[one.currency][0] += float(days.value) * one.worth - one.worth_seconds / 86_400
        sums[one.currency][1] += one.valued
    if not sums:
        kinds = ", ".join(sorted(kind.replace("_", " ") for kind in silent))
        missing = f"Not enough data: no days by hand are stated for {kinds}."
        because = missing if silent else "Not enough data: nothing with revenue at risk was mended in this period."
        return (Measure("working_capital", None, 0, because=because),)
    return tuple(
        Measure(
            "working_capital",
            round(total / period.days, 2),
            int(n),
            data={"currency": currency, "assumptions": told(used), "left_out": sorted(silent)},
        )
        for currency, (total, n) in sorted(sums.items())
    )


def inaction(user: Person) -> list[Process]:
    """Return what leaving the open incidents as they are costs, by process and currency."""
    rows: Any = (
        Incident.objects.visible_to(user)
        .exclude(status__in=CLOSED)
        .filter(merged_into=None, kind__isnull=False)
        .order_by()
        .values_list("kind", "currency")
        .annotate(n=Count("id"), at_risk=Sum(Coalesce("revenue_at_risk", "amount")))
    )
    kinds = {kind.pk: kind for kind in ExceptionKind.objects.all()}
    counts: defaultdict[tuple[str, str], int] = defaultdict(int)
    sums: defaultdict[tuple[str, str], dict[str, Decimal]] = defaultdict(dict)
    for pk, currency, n, at_risk in rows:
        place = (definition_of(kinds[pk]).process or "", currency)
        counts[place] += n
        for name, amount in _costs(kinds[pk], n, at_risk or Decimal(0)):
            sums[place][name] = sums[place].get(name, Decimal(0)) + amount
    found = [Process(*place, counts[place], tuple(costs.items())) for place, costs in sums.items()]
    return sorted(found, key=lambda one: (one.name, one.currency))


def _costs(kind: ExceptionKind, n: int, at_risk: Decimal) -> list[tuple[str, Decimal]]:
    """Return the four costs of ``n`` incidents that have ``at_risk`` between them, as each declares its own."""
    nothing = {one.name: one.amount for one in costs_of(Incident(kind=kind, revenue_at_risk=Decimal(0)))}
    whole = {one.name: one.amount for one in costs_of(Incident(kind=kind, revenue_at_risk=at_risk))}
    # What does not depend on the amount comes once for each of them.
    return [(name, whole[name] - nothing[name] + n * nothing[name]) for name in whole]
