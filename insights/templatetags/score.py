"""How figures are written on the pages of value."""

from decimal import Decimal
from typing import Any

from django import template

from incidents.models import Incident
from insights.kpis.holdouts import Contrast
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
    if word == "run_time":
        return f"slowest step {short_time(row.run_time)}"
    if word in ("calls", "tokens"):
        count = getattr(row, word)
        return f"{count:,} {word if count != 1 else word[:-1]}"
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


_MEASURES = {
    "time_open": "Time open",
    "came_back": "Came back",
    "exposure": "Money at risk × days open",
    "throughput": "Time of a case",
    "rework": "Repeated steps a case",
    "leakage": "Time over target",
}


@register.filter
def measured(one: Contrast) -> str:
    """Name a measure of a hold-out."""
    return _MEASURES[one.name]


@register.filter
def figure_of(value: float | None, one: Contrast) -> str:
    """Write the mean or share of one group."""
    return "–" if value is None else _written(value, one)


@register.filter
def contrasted(one: Contrast) -> str:
    """Say what the difference is, or how many more records it takes."""
    found = one.found
    if found.interval is None or found.value is None:
        out, handled = one.more_needed
        lacking = [f"{n} more {word}" for n, word in ((out, "held out"), (handled, "handled")) if n]
        return f"too few to say: {' and '.join(lacking)} needed"
    low, high = found.interval
    verdict = {"less": "less", "more": "more", "no_effect": "no effect shown"}[found.verdict]
    return f"{_with_sign(found.value, one)}: {verdict} ({_with_sign(low, one)} to {_with_sign(high, one)})"


def _with_sign(value: float, one: Contrast) -> str:
    return f"{'−' if value < 0 else '+'}{_written(abs(value), one)}"


def _written(value: float, one: Contrast) -> str:
    if one.unit == "time":
        return span_text(value)
    if one.unit == "share":
        return f"{value * 100:.1f}{THIN}%"
    return f"{value:,.2f}{THIN}{one.currency}" if one.unit == "money_days" else f"{value:.2f}"


def _signed(value: float, unit: str) -> str:
    sign = "−" if value < 0 else "+"
    return f"{sign}{span_text(value) if unit == 'time' else f'{abs(value):.2f}'}"
