"""Reads the environment, once, into typed values."""

import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path

import environ

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()


@dataclass(frozen=True)
class Keys:
    """The two secrets that every installation has: Django's own and the key-encryption key."""

    secret_key: str
    credential_key: str


def data_dir() -> Path:
    """Where the embedded database and generated keys live (``DATA_DIR``, default ``.data``)."""
    return Path(env.str("DATA_DIR", default=str(BASE_DIR / ".data"))).expanduser().resolve()


def keys(environment: str, folder: Path) -> Keys:
    """Take both keys from the environment; outside production make and keep them on first use.

    In production a missing key stays empty and a system check refuses to go on, because a key that
    a start-up script invents on one machine would not be known on the next.
    """
    given = Keys(env.str("SECRET_KEY", default=""), env.str("CREDENTIAL_KEY", default=""))
    if environment == "prod":
        return given
    return Keys(
        given.secret_key or _kept(folder / "secret_key", secrets.token_urlsafe(48)),
        given.credential_key or _kept(folder / "credential_key", urlsafe_b64encode(secrets.token_bytes(32)).decode()),
    )


def _kept(path: Path, fresh: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x") as handle:
            path.chmod(0o600)
            handle.write(fresh)
    except FileExistsError:
        return path.read_text().strip() or fresh
    return fresh
