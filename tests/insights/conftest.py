"""A data folder of its own for every test, and the real logs where they are at hand."""

from pathlib import Path

import pytest

from tests.insights.storing import s3_server, store, unreachable

__all__ = ["s3_server", "store", "unreachable"]

REAL = Path(__file__).resolve().parents[3] / "shared" / "logs"


@pytest.fixture(autouse=True)
def _own_folder(settings, tmp_path):
    settings.INSIGHTS_DIR = tmp_path / "insights"


@pytest.fixture(scope="session")
def real_logs() -> Path:
    """The folder of public event logs; the test is skipped where it is absent."""
    if not REAL.is_dir():
        pytest.skip(f"the public event logs are not in {REAL}")
    return REAL
