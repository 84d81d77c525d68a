"""Each dangerous setting has a check with an id; production settings that are right pass without a word."""

import os
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import Error

from config.checks import dangerous_settings

ROOT = Path(__file__).resolve().parents[2]
KEY = urlsafe_b64encode(b"k" * 32).decode()
POSTGRESQL = {"default": {"ENGINE": "django.db.backends.postgresql"}}
STORE = {"INSIGHTS_STORE": "s3://logs", "INSIGHTS_S3_ENDPOINT": "https://s3.example"}
SOUND: dict[str, Any] = {
    "ENVIRONMENT": "prod",
    "DEBUG": False,
    "SECRET_KEY_SET": True,
    "CREDENTIAL_KEY": KEY,
    "ALLOWED_HOSTS": ["goldseam.example"],
    "HTTPS": True,
    "PUBLIC_URL": "https://goldseam.example",
    "EMBEDDED": False,
    "DATABASES": POSTGRESQL,
}


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Callable[..., set[str]]:
    """``found(DEBUG=True)``: the ids that sound production settings with these changes give."""

    def run(**changes: Any) -> set[str]:
        kept = {name: getattr(settings, name) for name in dir(settings) if name.isupper()}
        monkeypatch.setattr("config.checks.settings", SimpleNamespace(**{**kept, **SOUND, **changes}))
        return {message.id or "" for message in dangerous_settings(None)}

    return run


def test_sound_production_settings_pass(found):
    assert found() == set()
    assert found(**STORE) == set()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"SECRET_KEY_SET": False}, "goldseam.E001"),
        ({"CREDENTIAL_KEY": ""}, "goldseam.E002"),
        ({"CREDENTIAL_KEY": "short"}, "goldseam.E002"),
        ({"CREDENTIAL_KEY": f"{KEY},x"}, "goldseam.E002"),
        ({"CREDENTIAL_KEY": "ü" * 43}, "goldseam.E002"),
        ({"DEBUG": True}, "goldseam.E003"),
        ({"PUBLIC_URL": ""}, "goldseam.W010"),
        ({"PUBLIC_URL": "goldseam.example"}, "goldseam.E017"),
        ({"PUBLIC_URL": "https://user:secret@goldseam.example"}, "goldseam.E017"),
        ({"PUBLIC_URL": "javascript:alert(1)"}, "goldseam.E017"),
        ({"ALLOWED_HOSTS": ["a.example", "*"]}, "goldseam.E004"),
        ({"ALLOWED_HOSTS": []}, "goldseam.E005"),
        ({"CONTENT_SECURITY_POLICY": {"DIRECTIVES": {"script-src": ["'self'", "'unsafe-inline'"]}}}, "goldseam.E006"),
        ({"CONTENT_SECURITY_POLICY": {"DIRECTIVES": {}}}, "goldseam.E006"),
        ({"MIDDLEWARE": []}, "goldseam.E007"),
        ({"ENVIRONMENT": "production"}, "goldseam.E008"),
        ({"OUTBOUND_ALLOW": ["erp.example:443", "*"]}, "goldseam.E010"),
        ({"AI_HOSTS": ["https://models.example/v1"]}, "goldseam.E019"),
        ({"AI_HOSTS": ["*.openai.azure.com"]}, "goldseam.E019"),
        ({"DELIVERY_KEEP_DAYS": -1}, "goldseam.E020"),
        ({"CALL_KEEP_DAYS": -1}, "goldseam.E020"),
        ({"TELL_KEEP_DAYS": -1}, "goldseam.E020"),
        ({"TEXT_KEEP_DAYS": -30}, "goldseam.E020"),
        ({"CALL_KEEP_DAYS": 29}, "goldseam.E021"),
        ({"HTTPS": False}, "goldseam.W005"),
        ({"BEHIND_PROXY": True}, "goldseam.W006"),
        ({"METRICS_PUBLIC": True}, "goldseam.W007"),
        ({"EMBEDDED": True}, "goldseam.W004"),
        ({"LEASE_SECONDS": 20, "OUTBOUND_TIMEOUT_SECONDS": 20.0}, "goldseam.W003"),
        ({"LEASE_SECONDS": 59, "OUTBOUND_TIMEOUT_SECONDS": 20.0}, "goldseam.W003"),
        ({"CELERY_BROKER_TRANSPORT_OPTIONS": {"visibility_timeout": 30}}, "goldseam.W008"),
        ({**STORE, "INSIGHTS_STORE": "logs"}, "goldseam.E012"),
        ({**STORE, "INSIGHTS_S3_ENDPOINT": "http://10.0.0.7:9000"}, "goldseam.E013"),
        ({"INSIGHTS_STORE": "s3://logs"}, "goldseam.E014"),
        ({**STORE, "INSIGHTS_S3_KEY": "key"}, "goldseam.E015"),
        ({**STORE, "INSIGHTS_S3_ENDPOINT": "s3.example"}, "goldseam.E016"),
        ({**STORE, "INSIGHTS_S3_ENDPOINT": "http://10.0.0.7:9000", "INSIGHTS_S3_ALLOW_HTTP": True}, "goldseam.W009"),
    ],
)
def test_a_dangerous_setting_is_reported(found, changes, expected):
    assert found(**changes) == {expected}


def test_a_lease_of_three_requests_is_long_enough(found):
    assert found(LEASE_SECONDS=60, OUTBOUND_TIMEOUT_SECONDS=20.0) == set()


def test_whatever_is_kept_for_ever_or_for_long_is_in_order(found):
    assert found(DELIVERY_KEEP_DAYS=0, CALL_KEEP_DAYS=0) == set()
    assert found(DELIVERY_KEEP_DAYS=1, CALL_KEEP_DAYS=30) == set()


def test_throttling_that_believes_any_header_is_reported(found):
    framework = {**settings.REST_FRAMEWORK, "NUM_PROXIES": None}

    assert found(REST_FRAMEWORK=framework) == {"goldseam.E011"}


@pytest.mark.parametrize(
    ("version", "options", "expected"),
    [
        ((3, 53, 4), {"transaction_mode": "IMMEDIATE"}, {"goldseam.W001"}),
        ((3, 40, 1), {"transaction_mode": "IMMEDIATE"}, {"goldseam.W001", "goldseam.W002"}),
        ((3, 37, 2), {"transaction_mode": "IMMEDIATE"}, {"goldseam.W001", "goldseam.E018"}),
        ((3, 38, 0), {"transaction_mode": "IMMEDIATE"}, {"goldseam.W001", "goldseam.W002"}),
        ((3, 53, 4), {}, {"goldseam.W001", "goldseam.E009"}),
    ],
)
def test_the_embedded_database_is_judged_by_its_version_and_its_transactions(
    found, monkeypatch, version, options, expected
):
    class Library:
        sqlite_version_info = version
        sqlite_version = ".".join(map(str, version))

    monkeypatch.setattr("config.checks.connections", {"default": type("Link", (), {"Database": Library})})
    chosen = {"default": {"ENGINE": "django.db.backends.sqlite3", "OPTIONS": options}}

    assert found(DATABASES=chosen) == expected


def test_what_is_dangerous_in_production_is_handy_elsewhere(found):
    relaxed = {"SECRET_KEY_SET": False, "DEBUG": True, "ALLOWED_HOSTS": ["*"], "HTTPS": False, "EMBEDDED": True}

    assert found(ENVIRONMENT="dev", **relaxed) == set()


def test_every_error_says_what_to_do(found):
    found(SECRET_KEY_SET=False, CREDENTIAL_KEY="", DEBUG=True, ALLOWED_HOSTS=["*"])

    messages = dangerous_settings(None)

    assert len(messages) == 4
    assert all(isinstance(message, Error) and message.hint for message in messages)


def deploy_check(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "PYTHONPATH"}}
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env={**kept, "DATA_DIR": str(tmp_path), "ENVIRONMENT": "prod", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_djangos_own_deploy_check_is_clean_with_production_settings(tmp_path):
    result = deploy_check(
        tmp_path,
        SECRET_KEY=urlsafe_b64encode(bytes(range(64))).decode(),
        CREDENTIAL_KEY=KEY,
        ALLOWED_HOSTS="goldseam.example",
        PUBLIC_URL="https://goldseam.example",
        DATABASE_URL="postgres://goldseam@db.example:5432/goldseam",
        CELERY_BROKER_URL="redis://broker.example:6379/0",
    )

    assert result.returncode == 0, result.stderr
    assert "no issues" in result.stdout


def test_production_without_its_keys_does_not_pass(tmp_path):
    result = deploy_check(tmp_path)

    assert result.returncode == 1
    assert all(name in result.stderr for name in ("goldseam.E001", "goldseam.E002", "goldseam.E005", "goldseam.W001"))
    assert not list(tmp_path.iterdir())  # no key was made up on this machine
