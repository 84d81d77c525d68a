"""A kept connection is checked before it is used again, unless it answered a moment ago."""

from types import SimpleNamespace
from typing import Any

import pytest

from config import freshness


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Any:
    connection = SimpleNamespace(connection=object(), errors_occurred=False, health_check_done=False)
    monkeypatch.setattr(freshness, "connections", SimpleNamespace(all=lambda initialized_only: [connection]))
    return connection


def at(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    monkeypatch.setattr(freshness, "time", SimpleNamespace(monotonic=lambda: seconds))


def test_a_connection_that_was_just_used_is_trusted(kept, monkeypatch):
    at(monkeypatch, 10.0)
    freshness.note_use()

    at(monkeypatch, 10.9)
    freshness.trust_recent()

    assert kept.health_check_done is True


def test_a_connection_that_was_idle_is_checked(kept, monkeypatch):
    at(monkeypatch, 10.0)
    freshness.note_use()

    at(monkeypatch, 11.1)
    freshness.trust_recent()

    assert kept.health_check_done is False


def test_a_connection_is_checked_after_an_error(kept, monkeypatch):
    at(monkeypatch, 10.0)
    freshness.note_use()
    kept.errors_occurred = True
    freshness.note_use()

    freshness.trust_recent()

    assert kept.health_check_done is False


def test_another_connection_in_its_place_is_checked(kept, monkeypatch):
    at(monkeypatch, 10.0)
    freshness.note_use()
    kept.connection = object()

    freshness.trust_recent()

    assert kept.health_check_done is False


def test_a_connection_that_never_served_is_checked(kept):
    freshness.trust_recent()

    assert kept.health_check_done is False
