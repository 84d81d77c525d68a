"""The simulator's Salesforce and Dataverse with tickets in them, and incidents that belong to those."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from tests.connectors.conftest import Simulated, _no_leftovers, _running, simulated  # noqa: F401 - fixtures
from tests.factories import make_user
from tests.tickets.worlds import Desk, make_desk


@pytest.fixture(params=["salesforce", "dataverse"])
def desk(request: Any, db: None, simulated: Simulated) -> Desk:  # noqa: F811 - a fixture
    """One of the two systems, with one open ticket about an order."""
    return make_desk(request.param, simulated)


@pytest.fixture
def dataverse(db: None, simulated: Simulated) -> Desk:  # noqa: F811 - a fixture
    """Dataverse alone, for what only it can do."""
    return make_desk("dataverse", simulated)


@pytest.fixture
def watcher(db: None) -> User:
    """Sees every unit's incidents."""
    return make_user("watcher", role="operator")
