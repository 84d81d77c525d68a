"""Lists are paged by a cursor: stable while rows arrive, and as fast on the last page as on the first."""

from typing import Any

from django.db.models import QuerySet
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request


class Cursor(CursorPagination):
    """``{"next", "previous", "results"}``, newest first, ``?page_size=`` up to 200.

    A view whose rows have no ``id``, or another order, says so in ``cursor_ordering``; the order must end
    in a unique column.
    """

    page_size = 50
    max_page_size = 200
    page_size_query_param = "page_size"
    ordering = "-id"

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: Any) -> tuple[str, ...]:
        chosen = getattr(view, "cursor_ordering", None)
        if chosen:
            return (chosen,) if isinstance(chosen, str) else tuple(chosen)
        return super().get_ordering(request, queryset, view)
