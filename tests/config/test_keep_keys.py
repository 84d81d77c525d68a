"""Keys come from the environment; outside production they are made once and kept for the next start."""

from base64 import urlsafe_b64decode
from pathlib import Path

import pytest

from config.env import Keys, data_dir, keys


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET_KEY", "CREDENTIAL_KEY", "DATA_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_keys_are_made_on_the_first_start_and_kept_for_the_next(tmp_path):
    first, second = keys("dev", tmp_path / "data"), keys("dev", tmp_path / "data")

    assert first == second
    assert len(first.secret_key) >= 50
    assert len(urlsafe_b64decode(first.credential_key)) == 32


def test_kept_keys_are_for_the_owner_only(tmp_path):
    keys("dev", tmp_path)

    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "secret_key": 0o600,
        "credential_key": 0o600,
    }


def test_what_the_environment_names_is_used_and_not_written_down(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "from outside")
    monkeypatch.setenv("CREDENTIAL_KEY", "also from outside")

    assert keys("dev", tmp_path) == Keys("from outside", "also from outside")
    assert list(tmp_path.iterdir()) == []


def test_in_production_nothing_is_made_up(tmp_path):
    assert keys("prod", tmp_path) == Keys("", "")
    assert list(tmp_path.iterdir()) == []


def test_data_lives_where_the_environment_says(tmp_path, monkeypatch):
    assert data_dir().name == ".data"

    monkeypatch.setenv("DATA_DIR", str(tmp_path / "elsewhere"))

    assert data_dir() == Path(tmp_path / "elsewhere")
