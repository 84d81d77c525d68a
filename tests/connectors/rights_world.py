"""What tests of rights share: calls in the log, rows of what is named, and a time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.models import Call, Connection
from connectors.rights import naming
from connectors.rights.naming import Named

NOW = datetime(2026, 3, 10, 14, 30, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=400)


def called(
    connection: Connection,
    operation: str,
    direction: str = "write",
    *,
    days: float = 1,
    outcome: str = "ok",
    n: int = 1,
) -> None:
    """So many calls, ``days`` before NOW."""
    at = NOW - timedelta(days=days)
    row: dict[str, Any] = {"connection": connection, "operation": operation, "direction": direction, "actor": "x"}
    Call.objects.bulk_create(Call(**row, outcome=outcome, started_at=at, finished_at=at) for _ in range(n))


def aged(connection: Connection, days: float = 400) -> None:
    """Let the connection be configured as it is since so many days before NOW."""
    history: Any = Connection.history.model
    history.objects.filter(id=connection.pk).update(history_date=NOW - timedelta(days=days))


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> list[Named]:
    """What is named, instead of what the floors above say."""
    said: list[Named] = []
    monkeypatch.setattr(naming, "_tellers", {"test": lambda: said})
    return said
