"""The attributes of a log: which column holds each, what a text says as its value, and which of them is money."""

from dataclasses import dataclass
from datetime import UTC
from math import isfinite

from django.utils.dateparse import parse_datetime

from insights.engines import Value
from insights.models import EventLog


@dataclass(frozen=True)
class Attribute:
    """One attribute of a log: its name as the file told it, and where it stands."""

    name: str
    column: str
    level: str  # case or event
    type: str  # text, number, time or flag


def held(log: EventLog, level: str = "", *types: str) -> list[Attribute]:
    """Return the log's attributes, of one level and of these types where they are named; those of cases first."""
    found = [
        Attribute(str(one["name"]), str(one["column"]), str(one["level"]), str(one["type"])) for one in log.attributes
    ]
    # The importer numbers columns itself; anything else would be a way for text into SQL.
    safe = [one for one in found if one.column[:1] == "a" and one.column[1:].isdigit()]
    wanted = [one for one in safe if (not level or one.level == level) and (not types or one.type in types)]
    return sorted(wanted, key=lambda one: one.level != "case")


def column(log: EventLog, name: str) -> tuple[str, str, str]:
    """Return column, level and type of an attribute. Raises ``KeyError`` for a name that the log does not have."""
    for one in held(log):
        if one.name == name:
            return one.column, one.level, one.type
    raise KeyError(name)


def typed(kind: str, text: str) -> Value:
    """Return what ``text`` says as a value of an attribute's type. Raises ``ValueError`` where it says none."""
    if kind == "number":
        found = float(text)
        if not isfinite(found):
            raise ValueError(text)
        return found
    if kind == "flag":
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    if kind == "time":
        at = parse_datetime(text)
        if at is None:
            raise ValueError(text)
        return at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
    return text
