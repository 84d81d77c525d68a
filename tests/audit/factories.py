"""Lines of the ledger for its own tests."""

from typing import Any

from django.db import transaction

from audit.actions import record
from audit.models import BusinessUnit, Entry


def make_entry(verb: str = "incident.opened", **changes: Any) -> Entry:
    """One entry in a transaction of its own."""
    told: dict[str, Any] = {"actor": "operator", "target": "INC-1", "reason": "because", **changes}
    with transaction.atomic():
        return record(verb, **told)


def make_entries(count: int) -> list[Entry]:
    """A chain of entries that differ."""
    return [
        make_entry(f"incident.step{number}", incident=number, after={"status": "triaged", "n": number})
        for number in range(1, count + 1)
    ]


def make_unit(slug: str = "EU", **changes: Any) -> BusinessUnit:
    told: dict[str, Any] = {"name": "Europe", "regions": ["DE", "NL", "FR"], "currency": "EUR", **changes}
    return BusinessUnit.objects.create(slug=slug, **told)
