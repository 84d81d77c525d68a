"""From an event or a case back to the record that it tells of: in the system that keeps it, and here.

A log knows its records in one of two ways. Events name them: ``system`` (a connection), ``record type`` and ``record``;
what grows from a connection always does. Or its owner has said so once for all cases (``EventLog.records``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from audit.actions import record
from audit.errors import Invalid
from connectors.models import Connection
from connectors.registry import page_of
from incidents.entity_models import Entity
from incidents.known import called, incidents_of
from incidents.models import Incident
from insights.models import EventLog

SYSTEM, TYPE, KEY = "system", "record type", "record"
ORIGIN = "connection:"
OWN = "loop"
_NUMBERED = "INC-"
FIELDS = ("connection", "entity", "key", "prefix")
_LENGTHS = {"connection": 60, "entity": 120, "key": 200, "prefix": 60}
_MOST = 20


@dataclass(frozen=True)
class SourceRecord:
    """One record of a connected system. ``url`` is empty where no link to it is known.

    ``exact``: the link opens this record; else the form in which its key is to be searched for.
    """

    system: str
    label: str
    entity: str
    key: str
    url: str = ""
    exact: bool = False


class Sources:
    """What the events of one log tell of; asks for each connection once."""

    def __init__(self, log: EventLog) -> None:
        self.bound: Mapping[str, str] = {key: str(value) for key, value in log.records.items()}
        self.origin = log.origin.removeprefix(ORIGIN) if log.origin.startswith(ORIGIN) else ""
        self._connections: dict[str, Connection | None] = {}

    def of_case(self, case: str, told: Mapping[str, Any]) -> SourceRecord | None:
        """Return the record that a case is, by what the source told of the case as a whole."""
        if self.bound.get("connection"):
            named = self.bound.get("key", "")
            return self._bound(case if not named else _text(told.get(named)))
        return self._named(told)

    def of_event(self, told: Mapping[str, Any], of_case: Mapping[str, Any]) -> SourceRecord | None:
        """Return the record that one event names by itself, ``None`` where only its case is known."""
        if self.bound.get("connection"):
            return self._bound(_text(told.get(self.bound.get("key", ""))))
        # A part that is the same for the whole case stands with the case.
        return self._named({**of_case, **told}) if _text(told.get(KEY)) else None

    def _bound(self, key: str) -> SourceRecord | None:
        if not key:
            return None
        return self._found(self.bound["connection"], self.bound.get("entity", ""), self.bound.get("prefix", "") + key)

    def _named(self, told: Mapping[str, Any]) -> SourceRecord | None:
        system, entity, key = _text(told.get(SYSTEM)) or self.origin, _text(told.get(TYPE)), _text(told.get(KEY))
        return self._found(system, entity, key) if system and key else None

    def _found(self, system: str, entity: str, key: str) -> SourceRecord | None:
        if system not in self._connections:
            self._connections[system] = Connection.objects.filter(slug=system).first()
        connection = self._connections[system]
        if connection is None:
            return None
        page = page_of(connection, entity, key)
        label = connection.label or connection.slug
        if page is None:
            return SourceRecord(system, label, entity, key)
        return SourceRecord(system, label, entity, key, page.url, page.exact)


def _text(value: Any) -> str:
    """Return a value as a key is written: a whole number without its decimals."""
    if value is None or isinstance(value, bool):
        return ""
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value).strip()


def entities_of(user: Any, source: SourceRecord | None) -> list[Entity]:
    """Return the entities that are this record, as far as ``user`` may see the evidence that says so."""
    if source is None:
        return []
    number = source.key.rpartition("/")[2]
    found = called(user, name=source.key, system=source.system) | called(user, name=number, system=source.system)
    return list(found.distinct()[:_MOST])


def incidents_about(user: Any, log: EventLog, case: str, entities: list[Entity]) -> "QuerySet[Incident]":
    """Return the incidents about a case, newest first: of its name, of its record, and itself where it is one."""
    same = Q(entity_key=case)
    if entities:
        same |= Q(pk__in=incidents_of(user, entities).order_by().values("pk"))
    if log.origin == OWN and case.removeprefix(_NUMBERED).isdecimal() and len(case) < 20:
        same |= Q(pk=int(case.removeprefix(_NUMBERED)))
    rows: QuerySet[Incident] = Incident.objects.visible_to(user).filter(same)
    return rows.order_by("-pk")


def bind(log: EventLog, said: Mapping[str, Any], *, actor: str) -> EventLog:
    """Say whose records the cases of a log are; an empty connection takes it back.

    Raises ``Invalid`` with the field at fault.
    """
    wanted = {name: str(said.get(name) or "").strip() for name in FIELDS}
    errors = {name: ["This is too long."] for name, most in _LENGTHS.items() if len(wanted[name]) > most}
    if wanted["connection"] and not Connection.objects.filter(slug=wanted["connection"]).exists():
        errors["connection"] = ["There is no such connection."]
    if wanted["connection"] and not wanted["entity"]:
        errors["entity"] = ["Say what its records are called there."]
    if wanted["key"] and not any(one["name"] == wanted["key"] for one in log.attributes):
        errors["key"] = ["The log has no such attribute."]
    if errors:
        raise Invalid("The records cannot be found like this.", errors)
    after = {name: value for name, value in wanted.items() if value} if wanted["connection"] else {}
    with transaction.atomic():
        row = EventLog.objects.select_for_update().get(pk=log.pk)
        record("event_log.bound", actor=actor, target=row, before=row.records, after=after)
        EventLog.objects.filter(pk=log.pk).update(records=after)
    log.records = after
    return log
