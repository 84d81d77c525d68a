"""Words in an incident's title, in its entity's key, its number, or a name by which a system knows its records."""

import re
from typing import Any

from django.db.models import Q, QuerySet

from incidents.known import speaking_of
from incidents.models import Incident

# With fewer finds than this they are looked up by number; more are met soon enough on the way through the list.
FEW = 500
_NUMBER = re.compile(r"(?:inc-|#)(\d{1,15})", re.IGNORECASE)


def saying(rows: "QuerySet[Incident]", text: str, user: Any) -> "QuerySet[Incident]":
    """Keep the incidents that hold every one of the first six words of ``text``, or whose evidence knows it as a name.

    PostgreSQL finds them by their trigrams where its ``pg_trgm`` is installed, whichever order is asked for; else,
    and on SQLite, titles and keys are read through.
    """
    words = text[:200].split()[:6]
    if not words:
        return rows
    said = Q()
    for word in words:
        said &= _says(word)
    # What may be seen is decided by ``rows``, as ever; these are only numbers.
    named = _numbers(speaking_of(text[:200].strip(), user))
    numbers = _numbers(said)
    if len(numbers) < FEW:
        return rows.filter(pk__in={*numbers, *named})
    return rows.filter(said | Q(pk__in=named)) if named else rows.filter(said)


def _numbers(condition: Q) -> list[int]:
    return list(Incident.objects.filter(condition).order_by().values_list("pk", flat=True)[:FEW])


def _says(word: str) -> Q:
    number = _NUMBER.fullmatch(word)
    if number is not None:
        return Q(pk=int(number.group(1)))
    found = Q(title__icontains=word) | Q(entity_key__icontains=word)
    return found | Q(pk=int(word)) if word.isascii() and word.isdigit() and len(word) < 16 else found
