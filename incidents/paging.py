"""Pages of incidents in any of a few orders, and of lists that are put together here; stable while rows arrive."""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import DateTimeField, DecimalField, F, Q, QuerySet, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

from audit.errors import Invalid
from audit.paging import Cursor

_NEVER = datetime(9000, 1, 1, tzinfo=UTC)
_LARGEST = 2**63 - 1
# What may be ordered by. A missing amount counts as less than nothing at stake, no clock as due at the end of time;
# the most severe is the largest.
ORDERS: dict[str, Combinable] = {
    "id": F("id"),
    "opened_at": F("opened_at"),
    "last_signal_at": F("last_signal_at"),
    "severity": Value(3) - F("severity_rank"),
    "revenue_at_risk": Coalesce(F("revenue_at_risk"), Value(-1), output_field=DecimalField(decimal_places=2)),
    "due": Coalesce(F("sla__resolve_due"), Value(_NEVER), output_field=DateTimeField()),
}


class KeysetCursor(Cursor):
    """A cursor that remembers value and id of the row it stands at, so that equal values never lose a row."""

    def paginate_queryset(  # type: ignore[override] # a list has no columns to order by
        self, queryset: QuerySet[Any], request: Request, view: Any = None
    ) -> list[Any]:
        """Return the rows of the page that the request asks for. Raises ``Invalid`` for an unknown order or cursor."""
        self.request_url = request.build_absolute_uri()
        name, self.descending = _order(request.query_params.get("ordering") or "-id")
        size = self.get_page_size(request) or self.page_size or 50
        at = _opened(request.query_params.get(self.cursor_query_param))
        backward = bool(at and at["b"])
        rows = queryset.annotate(_at=ORDERS[name])
        if at is not None:
            value = _read(rows, at["v"])
            rows = rows.filter(_beyond(value, at["id"], less=self.descending is not backward))
        sign = "-" if self.descending is not backward else ""
        rows = rows.order_by(f"{sign}_at", f"{sign}id")
        if name != "id":
            # Sorting a hundred thousand numbers is quick, sorting as many whole rows is not.
            rows = rows.filter(pk__in=list(rows.values_list("pk", flat=True)[: size + 1]))
        found = list(rows[: size + 1])
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


def _beyond(value: Any, key: int, *, less: bool) -> Q:
    side = "lt" if less else "gt"
    return Q(**{f"_at__{side}": value}) | Q(_at=value, **{f"id__{side}": key})


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
