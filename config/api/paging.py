"""Lists are paged by a cursor: stable while rows arrive, and as fast on the last page as on the first."""

from rest_framework.pagination import CursorPagination


class Cursor(CursorPagination):
    """``{"next", "previous", "results"}``, newest first, ``?page_size=`` up to 200."""

    page_size = 50
    max_page_size = 200
    page_size_query_param = "page_size"
    ordering = "-id"
