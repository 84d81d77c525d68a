"""A herald that starts with nothing told, and somebody who sees everything."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User

from connectors import registry
from tests.factories import make_user
from tests.telling.factories import Herald


@pytest.fixture(autouse=True)
def _herald(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(registry.KINDS, "herald", Herald)
    Herald.told.clear()
    Herald.answers.clear()
    yield
    Herald.told.clear()
    Herald.answers.clear()


@pytest.fixture
def watcher(db: None) -> User:
    """Sees every unit's incidents, plans and approvals."""
    return make_user("watcher", role="operator")


@pytest.fixture
def european(db: None) -> User:
    """Sees business unit EU only."""
    return make_user("european", role="operator", units=["EU"])
