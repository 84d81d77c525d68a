"""What it costs to leave an incident as it is, in the four ways that its kind declares."""

from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings

from incidents.kinds import definition_of
from incidents.models import Incident

CENT = Decimal("0.01")


@dataclass(frozen=True)
class Cost:
    """One cost of inaction: what for, how much in the incident's currency, and how it is worked out."""

    name: str
    amount: Decimal
    because: str


def costs_of(incident: Incident) -> list[Cost]:
    """Return the four costs of inaction; empty where the kind declares none.

    ``sla_penalty`` (an amount, due when the clock runs out), ``write_off_share`` (of the revenue at risk),
    ``regulatory`` (an amount) and ``rework_minutes`` (of a person, at ``REWORK_HOURLY_RATE``).
    """
    if incident.kind is None:
        return []
    declared = definition_of(incident.kind).costs
    if not declared:
        return []
    at_risk = incident.revenue_at_risk or incident.amount or Decimal(0)
    share = Decimal(str(declared.get("write_off_share", 0)))
    minutes = Decimal(str(declared.get("rework_minutes", 0)))
    rate = Decimal(str(settings.REWORK_HOURLY_RATE))
    return [
        Cost("SLA penalty", _money(declared.get("sla_penalty", 0)), "once the clock has run out"),
        Cost("Write-off", (at_risk * share).quantize(CENT), f"{share:.0%} of what is at risk"),
        Cost("Regulatory risk", _money(declared.get("regulatory", 0)), "if it is mended inconsistently"),
        Cost("Rework by hand", (minutes * rate / 60).quantize(CENT), f"{minutes:.0f} min at {rate:.0f} an hour"),
    ]


def _money(value: float) -> Decimal:
    return Decimal(str(value)).quantize(CENT)
