"""The small world that plans are made for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.kit import credentials
from tests.playbooks.world import World, running_world


@pytest.fixture
def world(db: None, tmp_path: Path) -> Iterator[World]:
    """The small business in a simulator of its own."""
    credentials.forget_all()
    with running_world(tmp_path) as running:
        yield running
