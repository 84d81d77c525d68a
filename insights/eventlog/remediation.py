"""The loop's own life as event logs: every incident is a case, and what the ledger tells of it are its events.

One log holds the whole; each unit and region has one of its own beside it, for those who may see no more than that.
"""

import logging
from collections.abc import Sequence
from typing import Any

from audit.models import Entry
from incidents.models import Incident
from insights.eventlog.continuous import Happening, append, log_of
from insights.eventlog.importing import LeaseLost
from insights.models import EventLog
from playbooks.models import Plan

logger = logging.getLogger(__name__)
ORIGIN = "loop"
NAME = "Remediation"
_BATCH = 50_000


def keep_up() -> int:
    """Add what the ledger has told since the last turn; return how many events that were, in all logs.

    Entries are numbered in the order of their commits, so that the number is a cursor without gaps.
    """
    added = 0
    for unit, region in [("", ""), *_places()]:
        name = " · ".join([NAME, *filter(None, (unit, region))])
        log = log_of(ORIGIN, name, business_unit=unit, region=region, process="remediation")
        try:
            added += _keep_up(log)
        except LeaseLost as lost:
            logger.info("%s", lost)
    return added


def _places() -> list[tuple[str, str]]:
    rows = Incident.objects.exclude(business_unit="", region="").order_by("business_unit", "region")
    return list(rows.values_list("business_unit", "region").distinct())


def _keep_up(log: EventLog) -> int:
    entries = Entry.objects.filter(n__gt=int(log.mapping.get("cursor") or 0), incident_id__isnull=False)
    if log.business_unit or log.region:
        mine = Incident.objects.filter(business_unit=log.business_unit, region=log.region)
        entries = entries.filter(incident_id__in=mine.values("pk"))
    found = list(entries.order_by("n").only("n", "at", "verb", "actor", "reason", "incident_id")[:_BATCH])
    if not found:
        return 0
    facts = _facts(sorted({entry.incident_id for entry in found if entry.incident_id is not None}))
    append(log, [_happening(entry) for entry in found], facts=facts, cursor=found[-1].n)
    return len(found)


def _happening(entry: Entry) -> Happening:
    values = {"resource": entry.actor, "reason": entry.reason[:200] or None}
    return Happening(f"INC-{entry.incident_id}", entry.verb.removeprefix("incident."), entry.at, values)


def _facts(numbers: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Return what holds for each incident as a whole, as it stands now."""
    facts: dict[str, dict[str, Any]] = {}
    for start in range(0, len(numbers), 500):
        chunk = numbers[start : start + 500]
        plans = Plan.objects.filter(incident__in=chunk).order_by("pk")
        # The latest plan stands last and wins.
        told = plans.values_list("incident_id", "playbook_version__playbook__slug", "playbook_version__number")
        played = {number: (slug, version) for number, slug, version in told}
        for incident in Incident.objects.filter(pk__in=chunk).select_related("kind"):
            facts[str(incident)] = {
                "kind": incident.code,
                "domain": incident.domain,
                "severity": incident.severity,
                "status": incident.status,
                "unit": incident.business_unit,
                "region": incident.region,
                "entity": incident.entity_key,
                "amount": incident.revenue_at_risk if incident.revenue_at_risk is not None else incident.amount,
                "currency": incident.currency,
                "playbook": played.get(incident.pk, (None, None))[0],
                "playbook version": _version(played.get(incident.pk)),
            }
    return facts


def _version(played: tuple[str, int] | None) -> str | None:
    return f"{played[0]} v{played[1]}" if played else None
