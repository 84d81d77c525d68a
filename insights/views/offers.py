"""What can be made of an insight: a detector that watches, an incident about a case, a draft of a playbook."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from insights.detectors.links import link_to_incident, link_to_new, link_to_playbook
from insights.mining.filters import EVERYTHING, Filter
from insights.mining.wording import duration
from insights.models import EventLog

HOUR = 3600.0


@dataclass(frozen=True)
class Watch:
    """A detector, ready filled in: what it would say, and where its form is."""

    words: str
    url: str


@dataclass(frozen=True)
class Offer:
    """The ways from a figure to action. ``incident`` is about one case; "" where no case stands for it."""

    watches: tuple[Watch, ...] = ()
    case: str = ""
    incident: str = ""
    playbook: str = ""


def known_at_start(log: EventLog, filter: Filter) -> Filter:
    """Return the parts of ``filter`` that can be told of a running case: attributes of the case."""
    mine = {str(one["name"]) for one in log.attributes if one["level"] == "case"}
    parts = ("attributes", "not_attributes", "minima", "maxima")
    told: dict[str, Any] = {part: tuple(one for one in getattr(filter, part) if one[0] in mine) for part in parts}
    return replace(EVERYTHING, **told)


def offer(log: EventLog, watches: Sequence[Watch], *, text: str, label: str, case: str = "") -> Offer:
    """Return what can be made of an insight that ``text`` says in a sentence."""
    return Offer(
        watches=tuple(watches),
        case=case,
        incident=link_to_incident(log, case=case, text=text) if case else "",
        playbook=link_to_playbook(label=label, rationale=text),
    )


def watch_slow(log: EventLog, filter: Filter, source: str, target: str, seconds: float) -> Watch:
    """Offer a detector for cases that wait longer than ``seconds`` between two steps."""
    hours = max(0.1, round(seconds / HOUR, 1))
    words = f"Tell me when {_quoted(target)} has not come {duration(hours * HOUR)} after {_quoted(source)}"
    told = {"pattern": "slow", "activity": source, "then": target, "hours": hours}
    return _watch(log, filter, "pattern", words, label=f"Slow: {source} to {target}", **told)


def watch_loop(log: EventLog, filter: Filter, activity: str) -> Watch:
    """Offer a detector for cases in which an activity comes again."""
    words = f"Tell me when {_quoted(activity)} is done more than once"
    told = {"pattern": "loop", "activity": activity, "times": 1}
    return _watch(log, filter, "pattern", words, label=f"Again: {activity}", **told)


def watch_number(log: EventLog, filter: Filter, activity: str) -> Watch:
    """Offer a detector for days on which an activity is unusually frequent or rare."""
    words = f"Tell me when {_quoted(activity)} is unusually frequent or rare on a day"
    told = {"measure": "events", "activity": activity, "per": "day"}
    return _watch(log, filter, "anomaly", words, label=f"Unusual: {activity}", **told)


def watch_variant(log: EventLog, filter: Filter, path: Sequence[str]) -> Watch:
    """Offer a detector for cases that go exactly this way."""
    told = {"pattern": "variant", "path": list(path), "label": f"Variant: {path[0]} … {path[-1]}"}
    return _watch(log, filter, "pattern", "Tell me when a case goes exactly this way", **told)


def watch_missing(log: EventLog, filter: Filter, activity: str, before: str) -> Watch:
    """Offer a detector for cases that reach ``before`` without ``activity``."""
    words = f"Tell me when {_quoted(before)} comes without {_quoted(activity)} before it"
    told = {"pattern": "missing", "activity": activity, "before": before}
    return _watch(log, filter, "pattern", words, label=f"Missing: {activity}", **told)


def watch_start(log: EventLog, filter: Filter, activity: str) -> Watch:
    """Offer a detector for cases that begin with a step that should not be the first."""
    words = f"Tell me when a case begins with {_quoted(activity)}"
    told = {"pattern": "starts_with", "activity": activity}
    return _watch(log, filter, "pattern", words, label=f"Begins with {activity}", **told)


def watch_end(log: EventLog, filter: Filter, activity: str) -> Watch:
    """Offer a detector for cases that end with a step that should not be the last."""
    words = f"Tell me when a case ends with {_quoted(activity)}"
    told = {"pattern": "ends_with", "activity": activity}
    return _watch(log, filter, "pattern", words, label=f"Ends with {activity}", **told)


def watch_duty(log: EventLog, filter: Filter, first: str, second: str) -> Watch:
    """Offer a detector for one person who does what two should."""
    words = f"Tell me when one person does both {_quoted(first)} and {_quoted(second)}"
    if first == second:
        words = f"Tell me when one person alone does {_quoted(first)}"
    told = {"check": "duty", "first": first, "second": second, "label": f"Duties: {first}, {second}"}
    return _watch(log, filter, "drift", words, **told)


def watch_late(log: EventLog, filter: Filter, ends: Sequence[str], seconds: float) -> Watch:
    """Offer a forecast of running cases that will take longer than ``seconds``."""
    hours = max(0.1, round(seconds / HOUR, 1))
    words = f"Tell me before a running case takes longer than {duration(hours * HOUR)}"
    return _watch(log, filter, "forecast", words, label="Will be late", ends=list(ends), target_hours=hours)


def _watch(log: EventLog, filter: Filter, kind: str, words: str, **asked: Any) -> Watch:
    asked["label"] = f"{asked['label']} ({log.name})"[:120]
    return Watch(words, link_to_new(log, kind, filter=known_at_start(log, filter).query(), **asked))


def _quoted(name: str) -> str:
    return f"“{name[:60]}{'…' if len(name) > 60 else ''}”"
