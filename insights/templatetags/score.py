"""How figures are written on the pages of value."""

from decimal import Decimal
from typing import Any

from django import template

from incidents.models import Incident
from insights.kpis.intervals import Difference
from playbooks.templatetags.goldseam import THIN, span_text

register = template.Library()
_WORDS = {
    "autonomous": "autonomous",
    "approved": "approved",
    "manual": "manual",
    "breached": "missed",
    "ok": "kept",
    "warning": "kept",
    0: "not at first contact",
    1: "at first contact",
}


@register.filter
def cents(value: float | None) -> str:
    """Write an amount with two decimals, so that no fraction of a cent is shown."""
    return "" if value is None else f"{value:.2f}"


@register.filter
def thousands(value: int) -> str:
    """Write a count with its thousands apart."""
    return f"{value:,}"


@register.filter
def plain(value: Decimal) -> str:
    """Write a figure without the zeros behind it."""
    return f"{value.normalize():,f}"


@register.filter
def short_time(seconds: float) -> str:
    """Write seconds; below ten in milliseconds."""
    return f"{seconds * 1000:,.0f}{THIN}ms" if seconds < 10 else span_text(seconds)


@register.simple_tag
def incident_of(row: Any, runs: bool) -> Incident:
    """Return the incident that a row is, or is about."""
    found: Incident = row.incident if runs else row
    return found


@register.simple_tag
def counted_as(row: Any, word: str) -> str:
    """Say how a row counted."""
    if word == "duration":
        return span_text((row.closed_at - row.opened_at).total_seconds())
    if word == "state":
        return "right at the first attempt" if row.first_attempt_verified else f"{row.state}, not at the first attempt"
    said = getattr(row, word)
    return _WORDS.get(said, str(said))


@register.simple_tag
def difference(found: Difference, unit: str) -> str:
    """Say a difference in words: from, to, the interval, and what may be claimed."""
    if found.interval is None or found.before is None or found.after is None:
        return f"too few to say ({min(found.n_before, found.n_after)} on the smaller side)"
    low, high = (_signed(end, unit) for end in found.interval)
    verdict = {"less": "less", "more": "more", "no_effect": "no effect shown"}[found.verdict]
    return f"{_signed(found.before, unit)[1:]} → {_signed(found.after, unit)[1:]}: {verdict} ({low} to {high})"


def _signed(value: float, unit: str) -> str:
    sign = "−" if value < 0 else "+"
    return f"{sign}{span_text(value) if unit == 'time' else f'{abs(value):.2f}'}"
