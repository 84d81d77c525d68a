"""The API's paging; it stands on the ground floor, where every app can build on it."""

from audit.paging import Cursor

__all__ = ["Cursor"]
