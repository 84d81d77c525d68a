"""Fold one incident into another, and take it apart again exactly. Only people do either; what they part stays so."""

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, Max, Min

from audit.clock import db_now
from audit.errors import IllegalMove, Invalid, LostRace
from incidents.briefs import note
from incidents.models import Evidence, Incident, Merge, Signal
from incidents.moves import move, put_back
from incidents.states import CLOSED, Status

# In these something is being done in another system: the incident cannot be folded away under it.
BUSY = frozenset({Status.EXECUTING, Status.VERIFYING, Status.ROLLING_BACK})


def merge(kept: Incident, folded: Incident, *, by: User, reason: str = "") -> Merge:
    """Move the signals of ``folded`` to ``kept`` and close it. Later signals of its fingerprint join ``kept``.

    Raises ``IllegalMove`` where one of them is over, is being carried out, or both are the same, and ``Invalid``
    where they belong to different business units.
    """
    if kept.pk == folded.pk:
        raise IllegalMove("An incident cannot be merged into itself.")
    with transaction.atomic():
        kept, folded = _held(kept.pk, folded.pk)
        _may_merge(kept, folded)
        signals = list(folded.signals.order_by("pk").values_list("pk", flat=True))
        pieces = list(Evidence.objects.filter(signal__in=signals).order_by("pk").values_list("pk", flat=True))
        done = Merge.objects.create(
            kept=kept,
            folded=folded,
            signal_ids=signals,
            evidence_ids=pieces,
            before={"status": str(folded.status), "status_reason": folded.status_reason},
            actor=by.get_username(),
            reason=reason,
            merged_at=db_now(),
        )
        _carry(signals, kept)
        _count(kept, folded)
        why = f"Merged into {kept}. {reason}".strip()
        move(folded, Status.DISMISSED, actor=by.get_username(), by=by, reason=why, merged_into=kept)
        data = {"folded": folded.pk, "merge": done.pk}
        note(kept, "incident.merged", actor=by.get_username(), reason=reason, data=data)
    return done


def unmerge(merge: Merge, *, by: User, reason: str = "") -> Merge:
    """Give ``folded`` back its signals and its state, and to it also what came for its fingerprint since.

    Raises ``LostRace`` where it was taken apart already, ``IllegalMove`` where the kept one is being carried out,
    was itself merged since, or another incident is open for the folded problem by now.
    """
    with transaction.atomic():
        kept, folded = _held(merge.kept_id, merge.folded_id)
        if not Merge.objects.filter(pk=merge.pk, unmerged_at=None).update(unmerged_at=db_now()):
            raise LostRace("This merge has been taken apart already.")
        _may_unmerge(kept)
        since = Signal.objects.filter(incident=kept, fingerprint=folded.fingerprint)
        # Two incidents can have had the same fingerprint, one after the other.
        late = since.exclude(fingerprint=kept.fingerprint).values_list("pk", flat=True)
        _carry(sorted({*merge.signal_ids, *late}), folded)
        _count(kept, folded)
        _restore(folded, merge, by)
        data = {"folded": folded.pk, "merge": merge.pk}
        note(kept, "incident.unmerged", actor=by.get_username(), reason=reason, data=data)
    merge.refresh_from_db()
    return merge


def kept_apart(one: Incident, other: Incident) -> bool:
    """Tell whether a person has taken these two problems apart: nothing may join them again by itself."""
    pair = {one.fingerprint, other.fingerprint}
    parted = Merge.objects.filter(unmerged_at__isnull=False)
    parted = parted.filter(kept__fingerprint__in=pair, folded__fingerprint__in=pair)
    return any(
        {kept, folded} == pair for kept, folded in parted.values_list("kept__fingerprint", "folded__fingerprint")
    )


def _held(one: int, other: int) -> tuple[Incident, Incident]:
    # In the order of fingerprints, as intake does: so neither two merges nor a merge and a batch of signals
    # wait for each other.
    rows = Incident.objects.select_for_update().filter(pk__in=[one, other]).order_by("fingerprint", "pk")
    held = {row.pk: row for row in rows}
    return held[one], held[other]


def _may_merge(kept: Incident, folded: Incident) -> None:
    for incident in (kept, folded):
        if incident.status in CLOSED:
            raise IllegalMove(f"{incident} is {incident.get_status_display().lower()}: only open incidents are merged.")
    if folded.status in BUSY:
        raise IllegalMove(f"{folded} is being carried out. Merge it when that is over, or cancel it first.")
    if folded.business_unit and kept.business_unit and folded.business_unit != kept.business_unit:
        # Its signals would be shown to people who work for another unit.
        message = f"{folded} belongs to {folded.business_unit}, {kept} to {kept.business_unit}."
        raise Invalid(message, {"into": ["Name an incident of the same business unit."]})


def _may_unmerge(kept: Incident) -> None:
    if kept.status in BUSY:
        raise IllegalMove(f"{kept} is being carried out. Take it apart when that is over.")
    if kept.merged_into_id is not None:
        raise IllegalMove(f"{kept} was itself merged into INC-{kept.merged_into_id}; take that apart first.")


def _carry(signals: list[int], to: Incident) -> None:
    Signal.objects.filter(pk__in=signals).update(incident=to)
    Evidence.objects.filter(signal__in=signals).update(incident=to)


def _count(*incidents: Incident) -> None:
    """Let the counters equal the rows; an incident without signals keeps the times that it had."""
    for incident in incidents:
        found = incident.signals.aggregate(n=Count("pk"), first=Min("occurred_at"), last=Max("occurred_at"))
        columns: dict[str, Any] = {"signals_count": found["n"]}
        if found["first"] is not None:
            columns |= {"first_signal_at": found["first"], "last_signal_at": found["last"]}
        Incident.objects.filter(pk=incident.pk).update(**columns)


def _restore(folded: Incident, merge: Merge, by: User) -> None:
    before = Status(merge.before["status"])
    reason = merge.before["status_reason"]
    put_back(folded, before, actor=by.get_username(), by=by, reason=reason, merged_into=None)
