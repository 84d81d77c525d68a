"""What happened to an incident, told from the ledger: newest first, in words."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q

from audit.models import Entry
from incidents.models import Incident
from incidents.states import Status

LIMIT = 80
_READ = ("n", "at", "actor", "verb", "reason", "body")
MOST_SIGNALS = 20
# Of these the machine writes two or more for one thing that happened; a person's are always told.
_SILENT = (
    *("incident.assessed", "incident.cause_found", "incident.completed", "incident.verifying"),
    *("incident.awaiting_approval", "evidence.collected", "plan.asked", "plan.proposed", "plan.executed"),
    "hold_out.handled",
    *("execution.begun", "execution.running", "execution.verified", "effect.intent", "effect.done"),
)
# Told by another line of the same moment, whoever did it.
_TOLD_ELSEWHERE = ("incident.commented", "incident.rolling_back", "approval.approved", "approval.rejected")
_MACHINE = ("system:", "token:", "built-in")
_GOLD = ("verified", "resolved", "approved", "rolled_back")
_BAD = ("refused", "failed", "mismatch", "rejected", "dead_letter.put", "breached", "stuck")
_WORDS = {
    "incident.opened": "A signal opened the incident",
    "incident.triaged": "Sized up and routed",
    "incident.diagnosed": "Cause found",
    "incident.cause_not_found": "No cause found",
    "incident.planned": "Plan made",
    "incident.executing": "Mending began",
    "incident.resolved": "Resolved: the source says what it should",
    "incident.needs_operator": "Handed to a person",
    "approval.asked": "Approval asked",
    "approval.decided": "A decision was given",
    "hold_out.held": "Drawn for the comparison group: left to people",
    "hold_out.left": "Taken out of the comparison group",
    "rollback.requested": "Undo requested",
    "dead_letter.put": "Set aside as a dead letter",
    "outgoing.dead_lettered": "A message about it could not be delivered",
    "outgoing.sent_again": "A message about it is sent again",
    "outgoing.set_aside": "A message about it was set aside",
}


@dataclass(frozen=True)
class Event:
    """One line of the story: when, what, by whom and why, and how it is marked."""

    at: datetime
    what: str
    note: str
    tone: str
    url: str


def story_of(incident: Incident, *, limit: int = LIMIT) -> list[Event]:
    """Return what happened to an incident that the reader may see, newest first."""
    machine = Q()
    for prefix in _MACHINE:
        machine |= Q(actor__startswith=prefix)
    entries = Entry.objects.filter(incident_id=incident.pk).exclude(machine, verb__in=_SILENT)
    entries = entries.exclude(verb__in=_TOLD_ELSEWHERE).order_by("-n")
    told = [_event(entry) for entry in entries.values_list(*_READ, named=True)[:limit]]
    return sorted([*told, *_joined(incident)], key=lambda event: event.at, reverse=True)


def _joined(incident: Incident) -> list[Event]:
    """Return the latest signals that folded into the incident; the ledger tells only of the one that opened it."""
    if incident.signals_count < 2:  # the first one opened it
        return []
    rows = incident.signals.filter(merged=True).order_by("-id").values_list("received_at", "channel", "source", "text")
    return [
        Event(at, f"A signal joined by {_CHANNELS.get(channel, channel)}", (text or source)[:100], "", "")
        for at, channel, source, text in rows[:MOST_SIGNALS]
    ]


_CHANNELS = {"api": "the API", "hook": "business event", "poll": "a look at the system"}


def words_for(verb: str) -> str:
    """Say a ledger verb for a person: ``plan.approved`` is "Plan approved", ``refused.approve`` "Refused: approve"."""
    if verb in _WORDS:
        return _WORDS[verb]
    subject, _, act = verb.partition(".")
    if subject == "refused":
        return f"Refused: {act.replace('_', ' ')}"
    return f"{subject} {act}".replace("_", " ").capitalize().strip()


def _event(entry: Any) -> Event:
    person = not entry.actor.startswith(_MACHINE)
    tone = "critical" if any(word in entry.verb for word in _BAD) else ""
    tone = tone or ("gold" if any(word in entry.verb for word in _GOLD) else "person" if person else "")
    note = " · ".join(part for part in (entry.actor if person else "", _short(entry.reason)) if part)
    return Event(entry.at, _what(entry), note, tone, f"/audit/{entry.n}/")


def _what(entry: Any) -> str:
    if entry.verb == "approval.decided":
        return "Approved" if _data(entry).get("verdict") == "approve" else "Rejected"
    if entry.verb.startswith("effect.") and (data := _data(entry)).get("step"):
        act = entry.verb.partition(".")[2]
        return f"Step {data['step']} {_EFFECTS.get(act, act.replace('_', ' '))}: {data.get('operation', '')}"
    if entry.verb == "incident.triaged" and _part(entry, "before").get("status") not in (None, Status.NEW):
        return "Looked at again"
    return words_for(entry.verb)


_EFFECTS = {"verified": "read back", "mismatch": "differs from the source", "skipped": "was already so"}


def _short(text: str) -> str:
    return text if len(text) <= 160 else f"{text[:158].rstrip()} …"


def _data(entry: Any) -> dict[str, Any]:
    return _part(entry, "data")


def _part(entry: Any, name: str) -> dict[str, Any]:
    try:
        body = json.loads(entry.body)
    except ValueError:
        return {}
    part = body.get(name, {}) if isinstance(body, dict) else {}
    return part if isinstance(part, dict) else {}
