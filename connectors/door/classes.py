"""Data classes and labels: which systems may take part in one flow, and what may be sent to whom.

Every system is business, non-business or blocked. A label says that a field is personal or financial; a system that
is not cleared for a label is not sent such a field. What cannot be understood counts as forbidden.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from connectors.base import Blocked
from connectors.door.models import DataClass
from connectors.door.purposes import Purpose
from connectors.models import Connection

_DEEPEST = 20


def admit(connection: Connection, direction: str, arguments: Mapping[str, Any], purpose: Purpose) -> None:
    """Hold one use against the connection's class and labels. Raises ``Blocked`` with the code ``class``."""
    if purpose is Purpose.SETTLE or direction == "check":
        return
    if said := blocked(connection):
        raise Blocked(said, code="class")
    if purpose is Purpose.UNDO or not connection.labels:
        return
    for name in sorted(names(arguments)):
        if said := uncleared(connection, name, label_of(connection, name)):
            raise Blocked(said, code="class")


def blocked(connection: Connection) -> str:
    """Say why nothing may be exchanged with a connection; blank: it may."""
    if connection.data_class in (DataClass.BUSINESS, DataClass.NON_BUSINESS):
        return ""
    known = connection.data_class == DataClass.BLOCKED
    why = "is blocked" if known else f"has the data class “{connection.data_class}”, which nobody knows"
    return (
        f"{connection.slug} {why}: nothing is exchanged with it. Whoever configures connections can give it another"
        " data class."
    )


def mixed(connections: Iterable[Connection]) -> str:
    """Say which business and non-business systems one flow would join; blank: it joins none."""
    by_class: dict[str, list[str]] = {}
    for one in connections:
        by_class.setdefault(one.data_class, []).append(one.slug)
    business, other = by_class.get(DataClass.BUSINESS), by_class.get(DataClass.NON_BUSINESS)
    if not business or not other:
        return ""
    return (
        f"It would join business systems ({', '.join(sorted(business))}) and non-business ones"
        f" ({', '.join(sorted(other))}). Take one side out, or change a connection's data class."
    )


def label_of(connection: Connection, name: str) -> str:
    """Return the label of a field or argument of a connection, whatever its case; blank: it has none."""
    wanted = name.lower()
    return next((str(label) for field, label in connection.labels.items() if field.lower() == wanted), "")


def uncleared(target: Connection, name: str, label: str, source: str = "") -> str:
    """Say that ``target`` is not cleared for the label of a field; blank: it is, or there is no label."""
    if not label or label in target.cleared:
        return ""
    of = f" of {source}" if source and source != target.slug else ""
    return (
        f"“{name}”{of} is labelled {label}, and {target.slug} is not cleared for {label} data. Leave it out, or have"
        " the connection cleared."
    )


def names(value: Any, depth: int = 0) -> set[str]:
    """Return every name in JSON-like ``value``. Raises ``Blocked`` where it is nested too deeply."""
    if depth > _DEEPEST:
        raise Blocked("The arguments are nested too deeply to be held against the labels.", code="class")
    if isinstance(value, Mapping):
        below = (names(part, depth + 1) for part in value.values())
        return {str(name) for name in value}.union(*below)
    if isinstance(value, list | tuple):
        return set().union(*(names(part, depth + 1) for part in value))
    return set()
