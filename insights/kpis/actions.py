"""What is done about figures: a spike or a finding becomes an incident through the ordinary intake, or is set aside."""

from datetime import UTC, datetime, time
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from audit.actions import record
from audit.clock import db_now
from audit.errors import IllegalMove, Invalid, NotAllowed
from incidents.access import reach_of
from incidents.intake import accept
from incidents.models import Incident
from incidents.normal import NormalSignal
from insights.access import OWNERS, may_act
from insights.kpis.models import Finding
from insights.kpis.spikes import Spike, spikes


def raise_spike(key: str, *, by: User) -> Incident:
    """Open an incident about a spike that ``by`` sees; the same spike again is the same incident.

    Raises ``NotAllowed``, and ``Invalid`` where there is no such spike any more.
    """
    _check(by)
    spike = next((one for one in spikes(by) if one.key == key), None)
    if spike is None:
        raise Invalid("There is no such spike any more; look at the page again.")
    return _raise(
        by,
        source="insights:usage",
        id=spike.key,
        time=datetime.combine(spike.day, time(), UTC),
        code="usage_spike",
        entity_type="connection",
        entity_key=spike.connection,
        attributes={
            "measure": spike.measure,
            "day": f"{spike.day:%Y-%m-%d}",
            "value": spike.value,
            "usual": spike.usual,
        },
        text=words_of(spike),
    )


def words_of(spike: Spike) -> str:
    """Say a spike in a sentence."""
    return (
        f"{spike.connection}: {spike.value:,} {spike.measure} on {spike.day:%A %Y-%m-%d}; usual on that weekday are "
        f"{spike.usual:,.0f} (median of {spike.weeks} weeks)."
    )


def raise_finding(finding: Finding, *, by: User) -> Incident:
    """Open an incident about a finding and close the finding. Raises ``NotAllowed`` and ``IllegalMove``."""
    _check(by)
    with transaction.atomic():
        _take(finding, by)
        incident = _raise(
            by,
            source="insights:findings",
            id=str(finding.pk),
            time=finding.found_at,
            code=finding.kind,
            entity_type="process",
            entity_key=finding.key,
            attributes=finding.data,
            business_unit=finding.business_unit,
            region=finding.region,
            text=f"{finding.title}. {finding.text}",
        )
        Finding.objects.filter(pk=finding.pk).update(incident_id=incident.pk)
        record("finding.raised", actor=by.get_username(), target=finding, incident=incident.pk)
    return incident


def set_aside(finding: Finding, *, by: User, reason: str) -> None:
    """Close a finding without an incident, for a reason. Raises ``NotAllowed``, ``Invalid`` and ``IllegalMove``."""
    _check(by)
    if not reason.strip():
        raise Invalid("Say why nothing needs to be done.", {"reason": ["A reason is needed."]})
    with transaction.atomic():
        _take(finding, by)
        record("finding.set_aside", actor=by.get_username(), target=finding, reason=reason.strip())


def _check(by: User) -> None:
    if not may_act(by):
        raise NotAllowed(f"This takes the role {' or '.join(OWNERS)}.")


def _take(finding: Finding, by: User) -> None:
    # Compare and swap: of two people, the database lets one through.
    open_ = Finding.objects.filter(pk=finding.pk, closed_at=None)
    if not open_.update(closed_at=db_now(), closed_by=by.get_username()):
        raise IllegalMove("Somebody has dealt with this finding already.")


def _raise(by: User, **signal: Any) -> Incident:
    reach = reach_of(by)
    # Somebody who works for one unit only would not see an incident of none.
    if not signal.get("business_unit") and reach.units is not None and len(reach.units) == 1:
        signal["business_unit"] = reach.units[0]
    if not signal.get("region") and reach.regions is not None and len(reach.regions) == 1:
        signal["region"] = reach.regions[0]
    taken = accept(NormalSignal(channel="console", **signal), actor=by.get_username(), reach=reach)
    incident: Incident = taken.incident
    return incident
