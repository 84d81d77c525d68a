"""How facts look on a page: words with shapes, money with its currency, times with the exact moment behind them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from django import template
from django.templatetags.static import static
from django.urls import Resolver404, get_script_prefix, resolve
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from playbooks.console.previews import value_of

register = template.Library()

THIN = "\u202f"  # narrow no-break space
MINUS = "\u2212"
NOTHING = "–"

SEVERITIES = {
    "critical": ("◆", "Critical"),
    "high": ("▲", "High"),
    "medium": ("●", "Medium"),
    "low": ("○", "Low"),
}

# word: (label, tone, icon). One list for every state that a page names, so that a word looks the same everywhere.
WORDS: dict[str, tuple[str, str, str]] = {
    # incidents
    "new": ("New", "plain", "circle"),
    "triaged": ("Triaged", "plain", "circle-dashed"),
    "diagnosed": ("Cause found", "plain", "zoom-question"),
    "planned": ("Planned", "plain", "list-details"),
    "awaiting_approval": ("Waiting for approval", "seam", "user-check"),
    "executing": ("Mending", "seam", "player-play"),
    "verifying": ("Reading back", "seam", "eye-check"),
    "resolved": ("Resolved", "good", "circle-check"),
    "needs_operator": ("Needs an operator", "high", "hand-stop"),
    "on_hold": ("On hold", "plain", "player-pause"),
    "rolling_back": ("Rolling back", "low", "arrow-back-up"),
    "rolled_back": ("Rolled back", "low", "arrow-back-up"),
    "dismissed": ("Dismissed", "plain", "x"),
    # approvals
    "pending": ("Pending", "seam", "clock"),
    "approved": ("Approved", "good", "check"),
    "rejected": ("Rejected", "critical", "x"),
    "expired": ("Expired", "plain", "clock"),
    "void": ("Void", "plain", "circle-dashed"),
    # plans, executions, steps and attempts
    "asked": ("Waiting for approval", "seam", "user-check"),
    "executed": ("Executed", "plain", "check"),
    "waiting": ("Waiting", "plain", "clock"),
    "running": ("Running", "seam", "player-play"),
    "intent": ("About to send", "seam", "player-play"),
    "sent": ("Sent", "seam", "bolt"),
    "done": ("Done, not read back", "plain", "check"),
    "refused": ("Refused", "critical", "x"),
    "skipped": ("Already so", "plain", "check"),
    "unknown": ("Outcome unknown", "high", "zoom-question"),
    "verified": ("Read back", "good", "circle-check"),
    "mismatch": ("Read-back differs", "critical", "alert-triangle"),
    "compensating": ("Undoing", "low", "arrow-back-up"),
    "compensated": ("Undone", "low", "arrow-back-up"),
    "stuck": ("Stuck", "critical", "hand-stop"),
    "failed": ("Failed", "critical", "circle-x"),
    "cancelled": ("Cancelled", "plain", "x"),
    "replayed": ("Replayed", "good", "refresh"),
    "draft": ("Draft", "plain", "edit"),
    "active": ("Active", "good", "check"),
    "retired": ("Retired", "plain", "x"),
    # guardrail verdicts
    "allow": ("Allows", "good", "check"),
    "block": ("Blocks", "critical", "shield-x"),
    "correct": ("Corrects", "medium", "edit"),
    "needs_approval": ("Asks for approval", "seam", "user-check"),
    # grades of a statement
    "observed": ("Observed", "good", "check"),
    "consistent": ("Consistent", "medium", "progress-check"),
    "hypothesis": ("Hypothesis", "plain", "zoom-question"),
    "struck": ("Struck out", "critical", "x"),
    "holds": ("Holds", "good", "check"),
    "ruled_out": ("Ruled out", "plain", "x"),
    "untested": ("Untested", "plain", "circle-dashed"),
    # connections
    "ok": ("OK", "good", "check"),
    "failing": ("Failing", "critical", "alert-triangle"),
    # risk tiers
    "none": ("No risk", "plain", "circle"),
}

SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "CHF": "CHF", "INR": "₹"}
NO_CENTS = frozenset({"JPY", "KRW", "CLP", "VND", "ISK"})

NAV = (
    ("", "Inbox", "inbox"),
    ("incidents/", "Incidents", "list-details"),
    ("approvals/", "Approvals", "user-check"),
    ("dead-letters/", "Dead letters", "mail-off"),
    ("playbooks/", "Playbooks", "book-2"),
    ("connections/", "Connections", "plug"),
    ("insights/", "Insights", "chart-bar"),
    ("audit/", "Audit", "history"),
)


@register.simple_tag
def icon(name: str, css: str = "") -> SafeString:
    """Draw one icon of the sprite; it is decoration, so the word beside it carries the meaning."""
    return _icon(name, css, _sprite())


_sprite = lru_cache(maxsize=1)(lambda: static("icons.svg"))


# A page draws the same few icons and words a hundred times. Typed, so that safe text never answers for unsafe text.
@lru_cache(maxsize=512, typed=True)
def _icon(name: str, css: str, sprite: str) -> SafeString:
    classes = f"ic {css}".strip()
    return format_html('<svg class="{}" aria-hidden="true"><use href="{}#{}"/></svg>', classes, sprite, name)


@register.filter
def severity_chip(value: object) -> SafeString:
    """Show a severity as shape and word."""
    return _severity_chip(str(value or ""))


@lru_cache(maxsize=64)
def _severity_chip(value: str) -> SafeString:
    key = value.lower()
    shape, label = SEVERITIES.get(key, ("·", value or "Not triaged"))
    tone = key if key in SEVERITIES else "plain"
    mark = format_html('<span class="shape" aria-hidden="true">{}</span>', shape)
    return format_html('<span class="chip {}">{}{}</span>', tone, mark, label)


@register.filter
def status_chip(value: object, label: str = "") -> SafeString:
    """Show any state the product knows (incident, approval, step, verdict, grade) as icon and word."""
    key = str(value or "").lower()
    words, tone, name = WORDS.get(key, (str(value or NOTHING).replace("_", " ").capitalize(), "plain", "circle"))
    return _chip(tone, icon(name), label or words)


@lru_cache(maxsize=512, typed=True)
def _chip(tone: str, drawn: SafeString, words: str) -> SafeString:
    return format_html('<span class="chip {}">{}{}</span>', tone, drawn, words)


@register.filter
def status_word(value: object) -> str:
    """Say a state in words, without its shape."""
    key = str(value or "").lower()
    return WORDS[key][0] if key in WORDS else str(value or NOTHING).replace("_", " ").capitalize()


def money_text(amount: object, currency: object = "") -> str:
    """Write an amount with its currency, e.g. "€ 1,250.00"; none is a dash, nonsense is shown as it came."""
    if isinstance(amount, Mapping):
        currency = amount.get("currency", currency)
        amount = amount.get("amount")
    if amount is None or amount == "":
        return NOTHING
    code = str(currency or "").upper()
    try:
        number = Decimal(str(amount))
    except InvalidOperation:
        return f"{amount} {code}".strip()
    if not number.is_finite():
        return f"{amount} {code}".strip()
    places = 0 if code in NO_CENTS else 2
    # More digits than cents are kept: a unit price of 0.1275 must not read 0.13.
    exponent = number.normalize().as_tuple().exponent
    places = max(places, -exponent if isinstance(exponent, int) else 0)
    sign = MINUS if number < 0 else ""
    symbol = SYMBOLS.get(code, code)
    return f"{sign}{symbol}{THIN if symbol else ''}{abs(number):,.{places}f}"


@register.filter
def money(amount: object, currency: object = "") -> SafeString:
    """Show an amount with its currency; the ISO code stands behind the symbol."""
    if isinstance(amount, Mapping):
        currency = amount.get("currency", currency)
        amount = amount.get("amount")
    # A list shows the same few sums again and again; what is no number may not even be hashable.
    return (_money if isinstance(amount, Decimal) else _money.__wrapped__)(amount, str(currency or ""))


@lru_cache(maxsize=1_024)
def _money(amount: Any, code: str) -> SafeString:
    return format_html('<span class="nowrap" title="{}">{}</span>', code, money_text(amount, code))


def span_text(seconds: float) -> str:
    """Write a duration with its two largest units: "3 h 12 m", "45 s", "2 d"."""
    left = int(abs(seconds))
    units = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    for index, (unit, size) in enumerate(units):
        if left >= size or unit == "s":
            whole, rest = divmod(left, size)
            text = f"{whole}\u00a0{unit}"
            if unit in "dh" and whole < 10 and (more := rest // units[index + 1][1]):
                text += f" {more}\u00a0{units[index + 1][0]}"
            return text
    return "0\u00a0s"


@register.filter
def duration(value: object) -> str:
    """Write seconds or a timedelta as a short span; nothing is a dash."""
    if isinstance(value, timedelta):
        return span_text(value.total_seconds())
    if isinstance(value, (int, float, Decimal)):
        return span_text(float(value))
    return NOTHING


@register.filter
def took(start: datetime | None, end: datetime | None) -> str:
    """Write how long something took; below ten seconds to the millisecond."""
    if start is None or end is None:
        return NOTHING
    seconds = (end - start).total_seconds()
    return f"{seconds * 1000:.0f}{THIN}ms" if seconds < 10 else span_text(seconds)


def exact(moment: datetime) -> str:
    """Write a moment to the second with its zone, for the title of a relative time."""
    return _exact(moment, timezone.get_current_timezone())


# The same moments are shown again with every look at a page.
@lru_cache(maxsize=4_096)
def _exact(moment: datetime, zone: tzinfo) -> str:
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z")


@register.filter
def ago(value: datetime | None) -> SafeString | str:
    """Show a moment relative to now, the exact time on hover; the script keeps it fresh."""
    if not isinstance(value, datetime):
        return NOTHING
    moment = value if timezone.is_aware(value) else timezone.make_aware(value)
    seconds = (timezone.now() - moment).total_seconds()
    if abs(seconds) < 5:
        text = "just now"
    else:
        text = f"{span_text(seconds)} ago" if seconds > 0 else f"in {span_text(seconds)}"
    return mark_safe(f"{_stamp(moment, timezone.get_current_timezone())} data-ago>{text}</time>")  # noqa: S308 - own words


@lru_cache(maxsize=4_096)
def _stamp(moment: datetime, zone: tzinfo) -> SafeString:
    return format_html('<time datetime="{}" title="{}"', moment.isoformat(), _exact(moment, zone))


@register.filter
def moment(value: datetime | None) -> SafeString | str:
    """Show a moment exactly (for paper and for the ledger)."""
    if not isinstance(value, datetime):
        return NOTHING
    aware = value if timezone.is_aware(value) else timezone.make_aware(value)
    return format_html('<time datetime="{}">{}</time>', aware.isoformat(), exact(aware))


@register.filter
def clock(value: datetime | None) -> SafeString | str:
    """Show the time of day, with the date where it is not today; the exact moment is behind it."""
    if not isinstance(value, datetime):
        return ""
    local = timezone.localtime(value)
    text = local.strftime("%H:%M" if local.date() == timezone.localdate() else "%-d %b %H:%M")
    return format_html('<time datetime="{}" title="{}">{}</time>', value.isoformat(), exact(value), text)


@register.filter
def time_left(value: datetime | None) -> SafeString | str:
    """Show how long until a deadline; late ones say so in words."""
    if not isinstance(value, datetime):
        return NOTHING
    seconds = (value - timezone.now()).total_seconds()
    tone = "tone-critical" if seconds < 0 else "tone-high" if seconds < 4 * 3600 else ""
    text = f"late {span_text(seconds)}" if seconds < 0 else span_text(seconds)
    return mark_safe(f'{_stamp(value, timezone.get_current_timezone())} class="{tone}">{text}</time>')  # noqa: S308 - own words


@register.filter
def shown(value: object) -> str:
    """Write a field's value for a person: none, yes, no, or the value as it is."""
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping) and set(value) >= {"amount", "currency"}:
        return money_text(value)
    if isinstance(value, (Mapping, list, tuple)):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, datetime):
        return exact(value)
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


@register.filter
def json_pretty(value: Any) -> str:
    """Write JSON for reading; the template escapes it like any text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return str(value)
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False, default=str)


@register.filter
def short_digest(value: object) -> str:
    """Shorten a digest so that two can be compared by eye: first and last four characters."""
    text = str(value or "")
    return text if len(text) <= 12 else f"{text[:4]}…{text[-4:]}"


@register.filter
def percent(value: float | None) -> str:
    """Write a share, 0 to 1, with one decimal; nothing is a dash."""
    return NOTHING if value is None else f"{value * 100:.1f}".removesuffix(".0") + f"{THIN}%"


@register.filter
def human(value: object) -> str:
    """Write a name made for programs as words: ``freight_misrate`` is "freight misrate"."""
    return str(value or "").replace("_", " ").replace("-", " ")


@register.filter
def item(mapping: Mapping[str, Any] | None, key: str) -> Any:
    """Look ``key`` up; what is not there is shown as its key."""
    return mapping.get(key, key) if mapping else key


@register.simple_tag
def field_value(name: str, value: object) -> str:
    """Write a record's field for a person: sums with two decimals."""
    return shown(value_of(name, value))


@register.filter
def safe_url(value: object) -> str:
    """Let only http(s) and paths of this site into an href; anything else, javascript: above all, becomes "#"."""
    text = str(value or "").strip()
    if not text or "\\" in text or any(ord(character) <= 32 or ord(character) == 127 for character in text):
        return "#"
    try:
        parts = urlsplit(text)
    except ValueError:
        return "#"
    if parts.scheme in ("http", "https"):
        return text if parts.netloc else "#"
    # "//host/" would leave this site, "name:rest" may be a scheme that a browser knows and we do not.
    return "#" if parts.scheme or parts.netloc or ":" in parts.path.split("/")[0] else text


@lru_cache(maxsize=64)
def is_there(path: str) -> bool:
    """Tell whether this installation has a page at ``path``; which ones it has does not change while it runs."""
    try:
        resolve(path)
    except Resolver404:
        return False
    return True


@register.simple_tag(takes_context=True)
def nav_items(context: template.Context) -> list[dict[str, Any]]:
    """List the console's pages that exist, which one is open, and how many things wait in each."""
    prefix = get_script_prefix()
    request = context.get("request")
    here = getattr(request, "path", "")
    counts = context.get("nav_counts") or {}
    hidden = context.get("nav_hidden") or ()
    items: list[dict[str, Any]] = []
    for path, label, name in NAV:
        url = prefix + path
        if label in hidden:
            continue
        if not is_there(f"/{path}"):
            continue
        current = here == url if not path else here.startswith(url)
        count = counts.get(label.lower().replace(" ", "_"), 0)
        items.append({"url": url, "label": label, "icon": name, "current": current, "count": count, "hot": not path})
    return items
