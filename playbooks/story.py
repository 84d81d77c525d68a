"""What happened to an incident, told from the ledger: newest first, in words."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audit.models import Entry
from incidents.models import Incident

LIMIT = 80
# Verbs that the page tells elsewhere, or that say nothing to a person.
_SILENT = frozenset({"incident.commented", "evidence.collected"})
_GOLD = ("verified", "resolved", "approved", "rolled_back")
_BAD = ("refused", "failed", "mismatch", "rejected", "dead_letter.put", "breached", "stuck")
_WORDS = {
    "incident.opened": "A signal opened the incident",
    "signal.joined": "A signal joined",
    "incident.triaged": "Sized up and routed",
    "incident.diagnosed": "Cause looked for",
    "incident.planned": "Plan made",
    "incident.awaiting_approval": "Waits for approval",
    "incident.executing": "Mending began",
    "incident.verifying": "Reading the source back",
    "incident.resolved": "Resolved: the source says what it should",
    "incident.needs_operator": "Handed to a person",
    "approval.asked": "Approval asked",
    "approval.decided": "A decision was given",
    "execution.begun": "Execution began",
    "rollback.requested": "Undo requested",
    "dead_letter.put": "Set aside as a dead letter",
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
    entries = Entry.objects.filter(incident_id=incident.pk).exclude(verb__in=_SILENT).order_by("-n")[:limit]
    return [_event(entry) for entry in entries]


def words_for(verb: str) -> str:
    """Say a ledger verb for a person: ``plan.approved`` is "Plan approved", ``refused.approve`` "Refused: approve"."""
    if verb in _WORDS:
        return _WORDS[verb]
    subject, _, act = verb.partition(".")
    if subject == "refused":
        return f"Refused: {act.replace('_', ' ')}"
    return f"{subject} {act}".replace("_", " ").capitalize().strip()


def _event(entry: Entry) -> Event:
    person = not entry.actor.startswith(("system:", "token:", "built-in"))
    tone = "critical" if any(word in entry.verb for word in _BAD) else ""
    tone = tone or ("gold" if any(word in entry.verb for word in _GOLD) else "person" if person else "")
    what = words_for(entry.verb)
    verdict = _data(entry).get("verdict")
    if entry.verb == "approval.decided" and verdict:
        what = "Approved" if verdict == "approve" else "Rejected"
    note = " · ".join(part for part in (entry.actor if person else "", entry.reason) if part)
    return Event(entry.at, what, note, tone, f"/audit/{entry.n}/")


def _data(entry: Entry) -> dict[str, Any]:
    try:
        body = json.loads(entry.body)
    except ValueError:
        return {}
    data = body.get("data", {}) if isinstance(body, dict) else {}
    return data if isinstance(data, dict) else {}
