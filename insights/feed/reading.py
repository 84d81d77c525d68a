"""Fetches what a question asks: one page, bounded, from the place where the last one ended (never by counting off)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cmp_to_key, partial
from itertools import islice
from typing import Any

from django.db.models import F, Q, QuerySet

from insights.feed.conditions import Condition, condition_of
from insights.feed.edm import pack
from insights.feed.evaluation import holds, pinned
from insights.feed.options import Question, token
from insights.feed.sets import EntitySet, Property, Row

_PREFIX = "p_"


@dataclass(frozen=True)
class Page:
    """The rows of one page, in order, and the token of the next; ``total`` counts all that the filter leaves."""

    rows: list[Row]
    next: str = ""
    total: int | None = None


def read(entity_set: EntitySet, asked: Question, user: Any) -> Page:
    """Return the page that ``asked`` asks for, of the rows that ``user`` may see."""
    limit = asked.size
    left = None if asked.top is None else max(asked.top - (asked.place.sent if asked.place else 0), 0)
    if left is not None:
        limit = min(limit, left)
    rows, total = (_stored if entity_set.rows else _made)(entity_set, asked, user, limit)
    more = len(rows) > limit
    rows = rows[:limit]
    sent = (asked.place.sent if asked.place else 0) + len(rows)
    if not more or not rows or (asked.top is not None and sent >= asked.top):
        return Page(rows, total=total)
    ending = [pack(rows[-1][one.name]) for one, _ in asked.order]
    return Page(rows, token(ending, sent, asked.size), total)


def count(entity_set: EntitySet, asked: Question, user: Any) -> int:
    """Return how many rows the filter leaves."""
    if entity_set.rows is None:
        return sum(1 for _ in _filtered(entity_set, asked, user))
    return _narrowed(entity_set, asked, user)[0].count()


def find(entity_set: EntitySet, key: Mapping[str, Any], asked: Question, user: Any) -> Row | None:
    """Return the row with this key where ``user`` may see it."""
    if entity_set.rows is None:
        made = entity_set.made(user, key) if entity_set.made else iter(())
        return next((row for row in made if all(row[name] == value for name, value in key.items())), None)
    rows = entity_set.rows(user)
    names: dict[str, Any] = {}
    where = Q()
    for name, value in key.items():
        where &= Q(**{f"{_looked_up(entity_set.by_name[name], names)}__exact": value})
    return next(iter(_shown(entity_set, rows.alias(**names).filter(where), list(entity_set.properties), 1)), None)


def _stored(entity_set: EntitySet, asked: Question, user: Any, limit: int) -> tuple[list[Row], int | None]:
    rows, names = _narrowed(entity_set, asked, user)
    total = rows.count() if asked.count else None
    if limit <= 0:
        return [], total
    paths = [(_looked_up(one, names), one, falls) for one, falls in asked.order]
    rows = rows.alias(**names)
    if asked.place:
        rows = rows.filter(_after(paths, asked.place.values))
    rows = rows.order_by(*(_ordered(path, one, falls) for path, one, falls in paths))
    start = 0 if asked.place else asked.skip
    wanted = {one.name: one for one in (*asked.chosen, *(one for one, _ in asked.order))}
    return _shown(entity_set, rows, list(wanted.values()), limit + 1, start), total


def _narrowed(entity_set: EntitySet, asked: Question, user: Any) -> tuple["QuerySet[Any]", dict[str, Any]]:
    """Return the rows that the filter leaves, and the names that were given to expressions."""
    rows = entity_set.rows(user) if entity_set.rows else None
    if rows is None:
        raise TypeError(f"{entity_set.name} is not stored")
    condition = condition_of(asked.where) if asked.where else Condition()
    return rows.alias(**condition.names).filter(condition.where), dict(condition.names)


def _looked_up(one: Property, names: dict[str, Any]) -> str:
    if isinstance(one.path, str):
        return one.path
    names[f"o_{one.name}"] = one.path
    return f"o_{one.name}"


def _ordered(path: str, one: Property, falls: bool) -> Any:
    if not one.nullable:
        return F(path).desc() if falls else F(path).asc()
    # Nothing comes before everything, as the standard has it, on every database.
    return F(path).desc(nulls_last=True) if falls else F(path).asc(nulls_first=True)


def _after(paths: list[tuple[str, Property, bool]], values: tuple[Any, ...]) -> Q:
    """Return the condition that a row comes after the one with these values."""
    found, same = Q(pk__in=[]), Q()
    for (path, one, falls), value in zip(paths, values, strict=True):
        found |= same & _beyond(path, one, falls, value)
        same &= Q(**{f"{path}__isnull": True}) if value is None else Q(**{f"{path}__exact": value})
    return found


def _beyond(path: str, one: Property, falls: bool, value: Any) -> Q:
    if value is None:
        return Q(pk__in=[]) if falls else Q(**{f"{path}__isnull": False})
    beyond = Q(**{f"{path}__{'lt' if falls else 'gt'}": value})
    return beyond | Q(**{f"{path}__isnull": True}) if falls and one.nullable else beyond


def _shown(entity_set: EntitySet, rows: Any, wanted: list[Property], most: int, start: int = 0) -> list[Row]:
    if not entity_set.grouped:
        # A prefix, since a property may be called like a column that it is not.
        rows = rows.values(**{_PREFIX + one.name: _source(one) for one in wanted})
    names = {one.name: one.path if entity_set.grouped else _PREFIX + one.name for one in wanted}
    return [{name: row[path] for name, path in names.items()} for row in rows[start : start + most]]


def _source(one: Property) -> Any:
    return F(one.path) if isinstance(one.path, str) else one.path


def _made(entity_set: EntitySet, asked: Question, user: Any, limit: int) -> tuple[list[Row], int | None]:
    rows: Iterable[Row] = _filtered(entity_set, asked, user)
    total = None
    if asked.count or [(one.name, falls) for one, falls in asked.order] != [(name, False) for name in entity_set.key]:
        listed = sorted(rows, key=cmp_to_key(partial(_rank, asked)))
        rows, total = listed, len(listed) if asked.count else None
    if asked.place:
        ending = {one.name: value for (one, _), value in zip(asked.order, asked.place.values, strict=True)}
        rows = (row for row in rows if _rank(asked, row, ending) > 0)
    start = 0 if asked.place else asked.skip
    return list(islice(rows, start, start + limit + 1)) if limit else [], total


def _filtered(entity_set: EntitySet, asked: Question, user: Any) -> Iterable[Row]:
    made = entity_set.made(user, pinned(asked.where)) if entity_set.made else iter(())
    return (row for row in made if asked.where is None or holds(asked.where, row))


def _rank(asked: Question, one: Row, other: Row) -> int:
    for prop, falls in asked.order:
        left, right = one[prop.name], other[prop.name]
        if left == right:
            continue
        less = right is not None if left is None else right is not None and left < right
        return -1 if less != falls else 1
    return 0
