"""Fold one incident into another, and take it apart again exactly. Only people do either."""

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F, Max, Min

from audit.clock import db_now
from audit.errors import IllegalMove, LostRace
from incidents import history
from incidents.briefs import note
from incidents.models import Evidence, Incident, Merge, Signal
from incidents.moves import lock
from incidents.states import CLOSED, Status

# In these something is being done in another system: the incident cannot be folded away under it.
BUSY = frozenset({Status.EXECUTING, Status.VERIFYING, Status.ROLLING_BACK})
COUNTED = ("signals_count", "first_signal_at", "last_signal_at")
FOLDED = ("status", "status_reason", "closed_at", "due_at", "merged_into_id", *COUNTED)


def merge(kept: Incident, folded: Incident, *, by: User, reason: str = "") -> Merge:
    """Move the signals of ``folded`` to ``kept`` and close it. Later signals of its fingerprint join ``kept``.

    Raises ``IllegalMove`` where one of them is over, is being carried out, or both are the same.
    """
    with transaction.atomic():
        # Both are held in the order of their numbers, so that two merges cannot wait for each other.
        rows = {pk: lock(pk) for pk in sorted({kept.pk, folded.pk})}
        kept, folded = rows[kept.pk], rows[folded.pk]
        _may_merge(kept, folded)
        signals = list(folded.signals.values_list("pk", flat=True))
        pieces = list(Evidence.objects.filter(signal__in=signals).values_list("pk", flat=True))
        before = {"kept": _columns(kept, COUNTED), "folded": _columns(folded, FOLDED)}
        now = db_now()
        done = Merge.objects.create(
            kept=kept,
            folded=folded,
            signal_ids=signals,
            evidence_ids=pieces,
            before=_plain(before),
            actor=by.get_username(),
            reason=reason,
            merged_at=now,
        )
        _move(signals, pieces, kept)
        over = {"status": Status.DISMISSED, "status_reason": f"Merged into {kept}.", "closed_at": now, "due_at": None}
        _write(folded, by, reason, {**over, "merged_into_id": kept.pk})
        _count(kept, by, reason)
        _count(folded, by, reason)
        note(
            kept,
            "incident.merged",
            actor=by.get_username(),
            reason=reason,
            data={"folded": folded.pk, "merge": done.pk},
        )
    return done


def unmerge(merge: Merge, *, by: User, reason: str = "") -> Merge:
    """Give ``folded`` back its signals and its state, and to it also what came for its fingerprint since.

    Nothing ever joins the two again by itself: incidents are only merged by people. Raises ``LostRace`` where
    it was taken apart already, ``IllegalMove`` where one of them is being carried out.
    """
    with transaction.atomic():
        rows = {pk: lock(pk) for pk in sorted({merge.kept_id, merge.folded_id})}
        kept, folded = rows[merge.kept_id], rows[merge.folded_id]
        if not Merge.objects.filter(pk=merge.pk, unmerged_at=None).update(unmerged_at=db_now()):
            raise LostRace("This merge has been taken apart already.")
        if kept.status in BUSY:
            raise IllegalMove(f"{kept} is being carried out. Take it apart when that is over.")
        since = Signal.objects.filter(incident=kept, fingerprint=folded.fingerprint).exclude(
            fingerprint=kept.fingerprint
        )
        signals = sorted({*merge.signal_ids, *since.values_list("pk", flat=True)})
        pieces = list(Evidence.objects.filter(signal__in=signals).values_list("pk", flat=True))
        _move(signals, pieces, folded)
        _write(folded, by, reason, _restored(merge.before["folded"]))
        _count(kept, by, reason)
        _count(folded, by, reason)
        data = {"folded": folded.pk, "merge": merge.pk}
        note(kept, "incident.unmerged", actor=by.get_username(), reason=reason, data=data)
    merge.refresh_from_db()
    return merge


def _may_merge(kept: Incident, folded: Incident) -> None:
    if kept.pk == folded.pk:
        raise IllegalMove("An incident cannot be merged into itself.")
    for incident in (kept, folded):
        if incident.status in CLOSED:
            raise IllegalMove(f"{incident} is {incident.get_status_display().lower()}: only open incidents are merged.")
    if folded.status in BUSY:
        raise IllegalMove(f"{folded} is being carried out. Merge it when that is over, or cancel it first.")


def _columns(incident: Incident, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(incident, name) for name in names}


def _plain(value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        side: {name: part.isoformat() if hasattr(part, "isoformat") else part for name, part in columns.items()}
        for side, columns in value.items()
    }


def _restored(columns: dict[str, Any]) -> dict[str, Any]:
    """Return what the folded incident goes back to; the counters are counted anew."""
    kept = {name: value for name, value in columns.items() if name not in COUNTED}
    times = {name: datetime.fromisoformat(kept[name]) for name in ("closed_at", "due_at") if kept[name]}
    return {**kept, **times}


def _move(signals: list[int], pieces: list[int], to: Incident) -> None:
    Signal.objects.filter(pk__in=signals).update(incident=to)
    Evidence.objects.filter(pk__in=pieces).update(incident=to)


def _count(incident: Incident, by: User, reason: str) -> None:
    """Let the counters equal the rows; an incident without signals keeps the times that it had."""
    found = incident.signals.aggregate(first=Min("occurred_at"), last=Max("occurred_at"))
    columns: dict[str, Any] = {"signals_count": incident.signals.count()}
    if found["first"] is not None:
        columns |= {"first_signal_at": found["first"], "last_signal_at": found["last"]}
    Incident.objects.filter(pk=incident.pk).update(**columns)


def _write(incident: Incident, by: User, reason: str, columns: dict[str, Any]) -> None:
    Incident.objects.filter(pk=incident.pk).update(**columns, row_version=F("row_version") + 1)
    incident.refresh_from_db()
    history.remember([incident], db_now(), reason=reason, by=by)
