"""Field-level history, readable: what a row said before and after each change, who changed it and why."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import models

from audit.models import Entry

ACTS = {"+": "added", "~": "changed", "-": "deleted"}
_SECRET = re.compile(r"password|passwd|secret|credential|private_key|api_key|access_token|refresh_token", re.IGNORECASE)
_MISSING = object()
_NOTHING: tuple[Any, ...] = (None, "", [], {})


@dataclass(frozen=True)
class Change:
    """One field before and after; ``field`` is dotted inside structured values, ``label`` is for people."""

    field: str
    label: str
    before: Any
    after: Any


@dataclass(frozen=True)
class HistoryLine:
    """One change of a row: when, by whom, why, and field by field what."""

    at: datetime
    who: str
    reason: str
    act: str
    changes: list[Change] = field(default_factory=list)


def changes_of(instance: models.Model, *, limit: int = 200) -> list[HistoryLine]:
    """Return the latest ``limit`` changes of a row, newest first; a change that altered no field is left out.

    Takes a constant number of queries: one for the versions and one per kind of row that they point at.
    """
    manager: Any = instance.history  # type: ignore[attr-defined]
    versions = list(manager.select_related("history_user").order_by("-history_date", "-history_id")[: limit + 1])
    names = _Names(versions)
    lines = []
    for index, version in enumerate(versions[:limit]):
        older = versions[index + 1] if index + 1 < len(versions) else None
        changes = [] if version.history_type == "-" else list(_between(older, version, names))
        if changes or version.history_type != "~":
            lines.append(_line(version, changes))
    return lines


def _line(version: Any, changes: list[Change]) -> HistoryLine:
    who = version.history_user.get_username() if version.history_user else "system"
    reason = version.history_change_reason or ""
    return HistoryLine(version.history_date, who, reason, ACTS[version.history_type], changes)


def told_of(instance: models.Model, *, limit: int = 200) -> list[HistoryLine]:
    """Return what the ledger tells of a row without versions of its own, such as a person; newest first."""
    found = Entry.objects.filter(target_type=instance._meta.label_lower, target_id=str(instance.pk))
    lines = []
    for entry in found.order_by("-n")[:limit]:
        body = json.loads(entry.body)
        before, after = body.get("before", {}), body.get("after", {})
        names = [*before, *(name for name in after if name not in before)]
        changes = [
            Change(name, name.replace("_", " ").capitalize(), before.get(name), after.get(name))
            for name in names
            if before.get(name) not in _NOTHING or after.get(name) not in _NOTHING
        ]
        lines.append(HistoryLine(entry.at, entry.actor, entry.reason, entry.verb, changes))
    return lines


class _Names:
    """Names of the rows that versions point at, fetched once per kind of row."""

    def __init__(self, versions: list[Any]) -> None:
        self._names: dict[tuple[str, Any], str] = {}
        for column in _tracked(versions[0]) if versions else []:
            if isinstance(column, models.ForeignKey):
                wanted = {getattr(version, column.attname) for version in versions} - {None}
                target = column.remote_field.model
                for row in target._default_manager.filter(pk__in=wanted) if wanted else []:
                    self._names[column.attname, row.pk] = str(row)

    def of(self, column: Any, value: Any) -> Any:
        if isinstance(column, models.ForeignKey) and value is not None:
            return self._names.get((column.attname, value), f"#{value}")
        return dict(column.flatchoices).get(value, value) if column.choices else value


def _tracked(version: Any) -> list[Any]:
    return [column for column in version.tracked_fields if not column.primary_key]


def _between(older: Any, newer: Any, names: _Names) -> Iterator[Change]:
    for column in _tracked(newer):
        before = getattr(older, column.attname) if older is not None and older.history_type != "-" else None
        after = getattr(newer, column.attname)
        if before == after or (older is None and after in _NOTHING):
            continue
        label = str(column.verbose_name).capitalize()
        if _SECRET.search(column.name):
            yield Change(column.name, label, _veiled(before), _veiled(after, changed=True))
        elif isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _inside(column.name, label, before, after)
        else:
            old, new = names.of(column, before), names.of(column, after)
            yield Change(column.name, label, without_secrets(old), without_secrets(new))


def _inside(name: str, label: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """Walk two structured values and yield only the leaves that differ."""
    for key in [*before, *(key for key in after if key not in before)]:
        old, new = before.get(key, _MISSING), after.get(key, _MISSING)
        if old == new:
            continue
        path, words = f"{name}.{key}", f"{label} · {key}"
        if _SECRET.search(str(key)):
            yield Change(path, words, _veiled(_plain(old)), _veiled(_plain(new), changed=True))
        elif isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _inside(path, words, old, new)
        else:
            yield Change(path, words, without_secrets(_plain(old)), without_secrets(_plain(new)))


def _plain(value: Any) -> Any:
    return None if value is _MISSING else value


def _veiled(value: Any, *, changed: bool = False) -> str:
    return ("changed" if changed else "set") if value else "not set"


def without_secrets(value: Any) -> Any:
    """Return ``value`` with every part whose name speaks of a secret replaced by ``set`` or ``not set``."""
    if isinstance(value, Mapping):
        return {
            str(key): _veiled(part) if _SECRET.search(str(key)) else without_secrets(part)
            for key, part in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_secrets(part) for part in value]
    return value


def snapshot(instance: models.Model) -> dict[str, Any]:
    """Return a row's columns and many-to-many names as plain values, secrets in the clear: only for comparing."""
    values = {column.name: column.value_from_object(instance) for column in instance._meta.concrete_fields}
    for relation in instance._meta.many_to_many:
        if relation.remote_field.through._meta.auto_created:  # type: ignore[union-attr]
            values[relation.name] = sorted(str(row) for row in getattr(instance, relation.name).all())
    return values


def difference(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what differs between two snapshots as (before, after), fit for the ledger: no secret in it."""
    changed = [name for name in after if before.get(name, _MISSING) != after[name]]
    shown_before = {name: _shown(name, before[name]) for name in changed if name in before}
    shown_after = {name: _shown(name, after[name], changed=name in before) for name in changed}
    return shown_before, shown_after


def _shown(name: str, value: Any, *, changed: bool = False) -> Any:
    return _veiled(value, changed=changed) if _SECRET.search(name) else without_secrets(value)
