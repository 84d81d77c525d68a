"""Long lists of a page, each line drawn at once: a template takes ten times as long over a hundred of them."""

from collections.abc import Iterable
from html import escape

from django import template
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import normalize_newlines

from incidents.models import Comment
from playbooks.console.story import Event
from playbooks.templatetags.goldseam import ago

register = template.Library()


@register.simple_tag
def timeline(events: Iterable[Event]) -> SafeString:
    """Draw what happened, one line an event."""
    return mark_safe(f'<ol class="timeline">{"".join(map(_line, events))}</ol>')  # noqa: S308 - each line escapes


def _line(event: Event) -> str:
    what = escape(event.what)
    what = f'<a href="{escape(event.url)}">{what}</a>' if event.url.startswith("/") else f"<span>{what}</span>"
    note = f"<small>{escape(event.note)}</small>" if event.note else ""
    return f'\n  <li class="{escape(event.tone)}">{ago(event.at)}{what}{note}</li>'


@register.simple_tag
def remarks(comments: Iterable[Comment]) -> SafeString:
    """Draw what people wrote: who, when and what, line by line."""
    return mark_safe("".join(map(_remark, comments)))  # noqa: S308 - each one escapes


def _remark(comment: Comment) -> str:
    said = escape(normalize_newlines(comment.text)).replace("\n", "<br>")
    head = f"<b>{escape(comment.author)}</b> <small>{ago(comment.created_at)}</small>"
    return f'\n  <div class="in comment">{head}<p class="said">{said}</p></div>'
