"""Pages of incidents in any of a few orders, and of lists that are put together here; stable while rows arrive."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import DateTimeField, F, Q, QuerySet, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from audit.errors import Invalid
from audit.paging import Cursor
from incidents import standing
from incidents.orders import AT_STAKE

_NEVER = datetime(9000, 1, 1, tzinfo=UTC)
_LARGEST = 2**63 - 1
# What may be ordered by. Without a clock nothing is ever due: that stands last, whichever way the list is read.
ORDERS: dict[str, Combinable] = {
    "id": F("id"),
    "opened_at": F("opened_at"),
    "last_signal_at": F("last_signal_at"),
    "severity": F("severity_rank"),
    "revenue_at_risk": AT_STAKE,
    "due": Coalesce(F("sla__resolve_due"), Value(_NEVER), output_field=DateTimeField()),
}
# The most severe is the largest, and has the smallest rank.
_UPSIDE_DOWN = frozenset({"severity"})


@dataclass(frozen=True)
class _Place:
    """Where a page begins, and which way it is read from there."""

    name: str
    descending: bool  # both the value and the number, as it is read and not as it is shown
    value: Any = None
    key: int | None = None  # none: from the very end

    def after(self, column: str, key: str) -> Q:
        """Return the condition on what is read after this place."""
        if self.key is None:
            return Q()
        side = "lt" if self.descending is not (self.name in _UPSIDE_DOWN) else "gt"
        further = Q(**{f"{key}__{'lt' if self.descending else 'gt'}": self.key})
        # The first half alone says where in the index to begin.
        return Q(**{f"{column}__{side}e": self.value}) & (Q(**{f"{column}__{side}": self.value}) | further)

    def order(self, column: str, key: str) -> tuple[str, str]:
        """Return the columns to order by."""
        sign = "-" if self.descending is not (self.name in _UPSIDE_DOWN) else ""
        return f"{sign}{column}", f"{'-' if self.descending else ''}{key}"


class KeysetCursor(Cursor):
    """A cursor that remembers value and id of the row it stands at, so that equal values never lose a row."""

    def paginate_queryset(  # type: ignore[override] # a list has no columns to order by
        self, queryset: QuerySet[Any], request: Request, view: Any = None
    ) -> list[Any]:
        """Return the rows of the page that the request asks for. Raises ``Invalid`` for an unknown order or cursor."""
        self.request_url = request.build_absolute_uri()
        name, descending = _order(request.query_params.get("ordering") or "-id")
        size = self.get_page_size(request) or self.page_size or 50
        at = _opened(request.query_params.get(self.cursor_query_param))
        backward = bool(at and at["b"])
        rows = queryset.annotate(_at=ORDERS[name])
        place = _Place(name, descending is not backward)
        if at is not None:
            place = replace(place, value=_read(rows, at["v"]), key=at["id"])
        parts = standing.parts_of((request.query_params.get("sla") or "").split(","))
        found = _found(_Asked(rows, place, size + 1, backward, parts))
        more, page = len(found) > size, found[:size]
        self.page: list[Any] = page[::-1] if backward else page
        self.has_next, self.has_previous = (True, more) if backward else (more, at is not None)
        return self.page

    def get_next_link(self) -> str | None:
        """Return the address of the page after this one."""
        return self._link(self.page[-1], backward=False) if self.has_next and self.page else None

    def get_previous_link(self) -> str | None:
        """Return the address of the page before this one."""
        return self._link(self.page[0], backward=True) if self.has_previous and self.page else None

    def _link(self, row: Any, *, backward: bool) -> str:
        return replace_query_param(self.request_url, self.cursor_query_param, _closed(row, backward))


class ListCursor(Cursor):
    """Pages of a list in the order of time, to which things are only ever added at the end."""

    def paginate_list(self, lines: Sequence[Any], request: Request) -> list[Any]:
        """Return the lines of the page that the request asks for, from the first on."""
        self.request_url = request.build_absolute_uri()
        size = self.get_page_size(request) or self.page_size or 50
        at = _opened(request.query_params.get(self.cursor_query_param)) or {"id": 0}
        start = max(0, int(at["id"]))
        self.after = start + size if len(lines) > start + size else None
        self.before = max(0, start - size) if start else None
        return list(lines[start : start + size])

    def get_next_link(self) -> str | None:
        """Return the address of the page after this one."""
        return self._link(self.after)

    def get_previous_link(self) -> str | None:
        """Return the address of the page before this one."""
        return self._link(self.before)

    def _link(self, start: int | None) -> str | None:
        if start is None:
            return None
        return replace_query_param(
            self.request_url, self.cursor_query_param, _packed({"v": "", "id": start, "b": False})
        )


def _order(text: str) -> tuple[str, bool]:
    name = text.removeprefix("-")
    if name not in ORDERS:
        message = f"Order by one of {', '.join(ORDERS)}, with - for the largest first."
        raise Invalid(message, {"ordering": [message]})
    return name, text.startswith("-")


def _read(rows: QuerySet[Any], text: str) -> Any:
    """Return a cursor's value in the type that is ordered by; a cursor of another order has none."""
    kind = rows.query.annotations["_at"].output_field
    try:
        value = kind.to_python(text)
    except (ValidationError, ValueError, OverflowError):
        raise _foreign() from None
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise _foreign()
    return value


@dataclass(frozen=True)
class _Asked:
    """What a page is made of, and how it is read."""

    rows: QuerySet[Any]
    place: _Place
    wanted: int
    backward: bool
    parts: list[Q] | None  # that the rows lie in together, each in order by an index; none known: no parts


def _found(asked: _Asked) -> list[Any]:
    """Return the first rows after a place: found by number through an index, and only then read whole."""
    rows, place = asked.rows, asked.place
    if place.name == "id" and asked.parts is None:
        return list(rows.filter(place.after("id", "id")).order_by(place.order("id", "id")[1])[: asked.wanted])
    keys = _keys(asked)
    whole = {row.pk: row for row in rows.filter(pk__in=keys).order_by()}
    return [whole[key] for key in keys if key in whole]


def _keys(asked: _Asked) -> list[int]:
    """Return the numbers of the first rows after the place, in order."""
    if asked.place.name == "id":
        column = "sla__incident_id"
        rows = asked.rows.filter(asked.place.after(column, column)).order_by(asked.place.order(column, column)[1])
        return _merged(asked, rows, (column,), asked.wanted)
    if asked.place.name != "due":
        return list(_by_value(asked.rows, asked.place).values_list("pk", flat=True)[: asked.wanted])
    keys: list[int] = []
    for rows, columns in _by_due(asked):
        if len(keys) < asked.wanted:
            keys += _merged(asked, rows, columns, asked.wanted - len(keys))
    return keys


def _merged(asked: _Asked, rows: QuerySet[Any], columns: tuple[str, ...], wanted: int) -> list[int]:
    """Return the first numbers of rows that are in order by ``columns``, the last of which is the number."""
    if asked.parts is None:
        return list(rows.values_list("pk", flat=True)[:wanted])
    lines = {line for part in asked.parts for line in standing.lying_in(rows, part).values_list(*columns)[:wanted]}
    return [line[-1] for line in sorted(lines, reverse=asked.place.descending)[:wanted]]


def _by_value(rows: QuerySet[Any], place: _Place) -> QuerySet[Any]:
    return rows.filter(place.after("_at", "id")).order_by(*place.order("_at", "id"))


def _by_due(asked: _Asked) -> list[tuple[QuerySet[Any], tuple[str, ...]]]:
    """Return those with a time and those without, which stand last, as they are read, each with what orders it."""
    place, anew = asked.place, replace(asked.place, key=None)
    if place.key is None:
        return [_dated(asked, anew), _undated(asked, anew)]
    if place.value == _NEVER:
        return [_undated(asked, place), *([_dated(asked, anew)] if asked.backward else [])]
    return [_dated(asked, place), *([] if asked.backward else [_undated(asked, anew)])]


def _dated(asked: _Asked, place: _Place) -> tuple[QuerySet[Any], tuple[str, ...]]:
    columns = ("sla__resolve_due", "sla__incident_id")
    rows = asked.rows.filter(sla__resolve_due__isnull=False).filter(place.after(*columns))
    return rows.order_by(*place.order(*columns)), columns


def _undated(asked: _Asked, place: _Place) -> tuple[QuerySet[Any], tuple[str, ...]]:
    rows = asked.rows.filter(sla__resolve_due__isnull=True)
    if place.key is not None:
        rows = rows.filter(Q(id__lt=place.key) if place.descending else Q(id__gt=place.key))
    return rows.order_by(place.order("", "id")[1]), ("pk",)


def _closed(row: Any, backward: bool) -> str:
    value = row._at  # noqa: SLF001 - the annotation of this module
    return _packed({"v": value.isoformat() if hasattr(value, "isoformat") else str(value), "id": row.pk, "b": backward})


def _packed(at: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(at).encode()).decode().rstrip("=")


def _opened(text: str | None) -> dict[str, Any] | None:
    if not text:
        return None
    try:
        at = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if set(at) == {"v", "id", "b"} and isinstance(at["v"], str) and 0 <= int(at["id"]) <= _LARGEST:
            return {"v": at["v"], "id": int(at["id"]), "b": bool(at["b"])}
    except (binascii.Error, ValueError, TypeError, OverflowError):
        pass
    raise _foreign()


def _foreign() -> Invalid:
    return Invalid("This cursor was not given out here.", {"cursor": ["Use the links next and previous."]})
