"""From what a page shows to what can be done about it: a detector, an incident or a playbook of it, ready filled in."""

from typing import Any
from urllib.parse import urlencode

from django.urls import NoReverseMatch, reverse

from insights.models import EventLog

# What a page may say, by the kind of detector; other words are a mistake in the page.
WORDS: dict[str, frozenset[str]] = {
    "anomaly": frozenset({"measure", "activity", "ends", "per", "code", "connection", "direction"}),
    "forecast": frozenset({"ends", "target_hours", "calendar"}),
    "drift": frozenset({"check", "field", "values", "first", "second", "by", "person"}),
    "pattern": frozenset({"pattern", "path", "activity", "before", "after", "then", "hours", "times"}),
    "query": frozenset({"connection", "operation", "language"}),
    "duplicate": frozenset({"party", "amount_field", "reference", "date", "currency_field"}),
}
COMMON = frozenset({"label", "filter", "amount", "code"})


def link_to_new(log: EventLog | None, kind: str, **what: Any) -> str:
    """Return the address of a form, filled in, such as ``link_to_new(log, "pattern", pattern="loop", activity="Pay")``.

    ``kind``: anomaly, forecast, drift, pattern, query or duplicate; ``what``: the words of ``WORDS``, a list for
    several values. Raises ``ValueError`` for a kind or word that the form does not know.
    """
    if kind not in WORDS:
        raise ValueError(f"there is no detector of kind {kind}")
    if strange := sorted(set(what) - WORDS[kind] - COMMON):
        raise ValueError(f"a detector of kind {kind} has no {strange[0]}")
    pairs: list[tuple[str, str]] = [("log", str(log.pk))] if log is not None else []
    pairs.append(("kind", kind))
    for name, value in what.items():
        given = value if isinstance(value, list | tuple) else [value]
        pairs += [(name, str(one)) for one in given if one not in (None, "")]
    return f"{reverse('detector_new')}?{urlencode(pairs)}"


def link_to_incident(log: EventLog, *, case: str, text: str, code: str = "process_deviation") -> str:
    """Return the address of the form that opens an incident about one case by hand."""
    asked = {"log": log.pk, "case": case, "text": text[:500], "code": code}
    return f"{reverse('insight_incident')}?{urlencode(asked)}"


def link_to_playbook(*, label: str, code: str = "process_deviation", rationale: str = "") -> str:
    """Return the address where a playbook is drafted: its name, what it mends and why; for those who write them."""
    try:
        place = reverse("admin:playbooks_playbook_add")
    except NoReverseMatch:
        return ""
    slug = "-".join("".join(c if c.isalnum() and c.isascii() else " " for c in label.lower()).split())[:50]
    text = "\n".join((f"rationale: {_quoted(rationale or label)}", "causes: []", "steps: []"))
    return f"{place}?{urlencode({'label': label[:120], 'slug': slug, 'kind_code': code, 'definition': text})}"


def _quoted(text: str) -> str:
    # A YAML text in single quotes: the only mark that means anything inside is the quote itself.
    return "'" + " ".join(text.split())[:500].replace("'", "''") + "'"
