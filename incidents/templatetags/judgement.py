"""What was judged of an incident, and how fast incidents come: parts that pages above load."""

from typing import Any

from django import template
from django.core.cache import cache

from incidents.actions import domains
from incidents.confidence import Confidence, confidences_of
from incidents.judgements import Decision
from incidents.models import Incident
from incidents.pace import MEASURES, figures
from incidents.states import Severity

register = template.Library()
FRESH_SECONDS = 30
_SAYS = {
    "transport": ("From the event to us", "between the time that the event carries and our receiving it"),
    "visible": ("From us to a sized-up incident", "between receiving the first signal and its severity being set"),
}


@register.inclusion_tag("incidents/_judged.html")
def judged(incident: Incident) -> dict[str, Any]:
    """Show severity and domain with their reason and confidence, and whom the queue chose."""
    sure, offer = confidences_of(incident), getattr(incident, "offer", None)
    return {
        "incident": incident,
        "severity": _told(sure[Decision.Subject.SEVERITY]),
        "domain": _told(sure[Decision.Subject.DOMAIN]),
        "offer": None if incident.closed_at else offer,
    }


@register.inclusion_tag("incidents/_correct.html", takes_context=True)
def correct_dialog(context: dict[str, Any], incident: Incident) -> dict[str, Any]:
    """Show the form that sets severity and domain right."""
    choices = {"severities": Severity.choices, "domains": cache.get_or_set("incidents:domains", domains, FRESH_SECONDS)}
    return {**choices, "incident": incident, "csrf_token": context.get("csrf_token")}


@register.inclusion_tag("incidents/_pace.html", takes_context=True)
def pace_line(context: dict[str, Any]) -> dict[str, Any]:
    """Show how long signals took lately, among those that the reader may see."""
    user = context["user"]
    key = f"pace:{user.pk}"
    lines = cache.get(key)
    if lines is None:
        lines = [{"label": _SAYS[name][0], "help": _SAYS[name][1], "now": figures(name, user)} for name in MEASURES]
        cache.set(key, lines, FRESH_SECONDS)
    return {"lines": lines}


@register.filter
def brief_seconds(value: float | None) -> str:
    """Say a span in its most telling unit: 40 ms, 2.5 s, 12 min, 3 h, 2 d."""
    if value is None:
        return "–"
    for limit, size, unit in ((1, 0.001, "ms"), (90, 1, "s"), (5_400, 60, "min"), (172_800, 3_600, "h")):
        if value < limit:
            shown = value / size
            return f"{shown:.1f} {unit}" if unit == "s" and shown < 10 else f"{shown:.0f} {unit}"
    return f"{value / 86_400:.0f} d"


def _told(found: Confidence) -> dict[str, Any]:
    if found.corrected_by:
        return {"text": "", "basis": found.basis}
    value, interval = found.value, found.interval
    if value is None or interval is None:
        return {"text": f"confidence not yet known (n={found.n})", "basis": found.basis}
    low, high = (round(end * 100) for end in interval)
    return {"text": f"confidence {value * 100:.0f} % ({low}–{high} %, n={found.n})", "basis": found.basis}
