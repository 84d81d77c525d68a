"""How names and figures of event logs are written on pages."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from insights.drawing.placing import plain
from insights.mining.wording import duration, money_text
from playbooks.templatetags.goldseam import shown

register = template.Library()
_LONGEST = 220
_BRIEF = 56


@register.filter
def named(value: object) -> SafeString:
    """Show a name from outside: alone in its direction, without marks that hide or turn other text round."""
    text = plain(str(value)) or "(no name)"
    if len(text) > _LONGEST:
        return format_html('<bdi title="{}">{}…</bdi>', text[:1000], text[:_LONGEST])
    return format_html("<bdi>{}</bdi>", text)


@register.filter
def sentence(value: object) -> str:
    """Show a sentence that holds names from outside, whole, without marks that hide or turn other text round."""
    return plain(str(value))


@register.filter
def brief(value: object) -> SafeString:
    """Show a name where there is little room; the whole of it on hover."""
    text = plain(str(value)) or "(no name)"
    if len(text) <= _BRIEF:
        return format_html("<bdi>{}</bdi>", text)
    return format_html('<bdi title="{}">{}…</bdi>', text[:1000], text[:_BRIEF].rstrip())


@register.filter
def count(value: int | None) -> str:
    """Write a count with its thousands apart."""
    return "–" if value is None else f"{value:,}"


@register.filter
def lasting(value: float | None) -> str:
    """Write a duration in words; none is a dash."""
    return "–" if value is None else duration(value)


@register.filter
def worth(value: float | None, currency: str = "") -> str:
    """Write an amount of a log, in whole units where it is large; none is a dash."""
    if value is None:
        return "–"
    return money_text(value, currency) if abs(value) >= 100 else f"{currency} {value:,.2f}".strip()


@register.filter
def told(value: object) -> str:
    """Write an attribute's value as people write it."""
    return f"{value:,.12g}" if isinstance(value, float) else shown(value)


@register.filter
def bar(value: float) -> str:
    """Write the width of a bar for SVG, never quite nothing."""
    return f"{max(0.6, min(100.0, float(value))):.1f}"
