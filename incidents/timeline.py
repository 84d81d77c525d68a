"""Everything that happened to an incident, in order: signals, ledger, comments, escalations, and what others tell."""

from collections.abc import Iterator
from typing import Any

from audit.models import Entry
from audit.serializers import body_of
from incidents.contributions import Happening, happenings_of
from incidents.models import Incident

# Told by their own lines, with what they said.
_TOLD_ELSEWHERE = ("incident.commented", "sla.escalated")


def timeline_of(incident: Incident, user: Any) -> list[Happening]:
    """Return every line that there is, oldest first; one query for each sort, however many lines."""
    lines = [*_signals(incident), *_entries(incident), *_comments(incident), *_escalations(incident)]
    # Sorting keeps the order above among lines of one moment.
    return sorted([*lines, *happenings_of(incident, user)], key=lambda line: line.at)


def _signals(incident: Incident) -> Iterator[Happening]:
    columns = ("id", "received_at", "occurred_at", "source", "event_id", "type", "channel", "text", "code", "merged")
    for row in incident.signals.order_by("id").values(*columns).iterator(2_000):
        yield Happening(
            at=row["received_at"],
            what="signal",
            actor=row["source"],
            text=row["text"] or row["type"] or row["code"],
            data={name: row[name] for name in ("event_id", "occurred_at", "channel", "merged")} | {"signal": row["id"]},
        )


def _entries(incident: Incident) -> Iterator[Happening]:
    entries = Entry.objects.filter(incident_id=incident.pk).exclude(verb__in=_TOLD_ELSEWHERE).order_by("n")
    for entry in entries.iterator(2_000):
        text = f"{entry.verb}: {entry.reason}" if entry.reason else entry.verb
        data = {"entry": entry.n, "verb": entry.verb, "reason": entry.reason, **body_of(entry)}
        yield Happening(entry.at, "entry", entry.actor, text, data)


def _comments(incident: Incident) -> Iterator[Happening]:
    for comment in incident.comments.all():
        yield Happening(comment.created_at, "comment", comment.author, comment.text, {"comment": comment.pk})


def _escalations(incident: Incident) -> Iterator[Happening]:
    for one in incident.escalations.all():
        data = {"level": one.level, "role": one.role, "acknowledged_by": one.acknowledged_by}
        yield Happening(one.created_at, "escalation", "system:sla", one.justification, data)
