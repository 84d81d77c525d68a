"""The wiring: settings, URLs, the API root, Celery, and the commands that start it all.

SQLite below 3.51.3 can corrupt its write-ahead log when it is reset, so a newer SQLite from the
``pysqlite3`` wheel takes the place of the interpreter's own before Django first imports it.
"""

import sys
from typing import Any

SQLiteConnection: Any = None

try:
    import sqlite3 as _bundled

    import pysqlite3 as _newer
    import pysqlite3.dbapi2 as _newer_api
except ImportError:
    # No wheel for this platform: the interpreter's own SQLite serves (see config.checks, goldseam.W002).
    pass
else:
    if _bundled.sqlite_version_info < (3, 51, 3) <= _newer.sqlite_version_info:
        for _module in (_newer, _newer_api):
            if not hasattr(_module, "SQLITE_LIMIT_VARIABLE_NUMBER"):
                _module.SQLITE_LIMIT_VARIABLE_NUMBER = 9
        sys.modules["sqlite3"], sys.modules["sqlite3.dbapi2"] = _newer, _newer_api

        class _Connection(_newer_api.Connection):  # type: ignore[misc]
            """SQLite's connection with the one method that Django asks for and the wheel lacks."""

            def getlimit(self, category: int) -> int:
                return 32766

        SQLiteConnection = _Connection

from config.celery import app as celery_app  # noqa: E402 - SQLite must be swapped before anything else loads

__all__ = ["SQLiteConnection", "celery_app"]
