"""System checks, each with an id, for settings that would be dangerous. Errors stop every command but these checks."""

import binascii
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 - Django calls it so
from django.db import connections

from insights.objectstore.address import faults, in_the_clear

_FIRST_SOUND_SQLITE = (3, 51, 3)
# The first whose JSON operators (->, ->>) our own SQL uses.
_FIRST_ABLE_SQLITE = (3, 38)
# Days: two weeks are drawn, and what has not been counted yet is looked for a while longer.
_SHORTEST_LOG = 30


@register(Tags.security)
def dangerous_settings(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """Report every setting that would lose data, leak it, or let somebody in."""
    return [message for find in _FINDERS for message in find()]


def _production() -> bool:
    return bool(settings.ENVIRONMENT == "prod")


def environment() -> Iterator[CheckMessage]:
    if settings.ENVIRONMENT not in {"dev", "test", "prod"}:
        yield Error(
            f"ENVIRONMENT is {settings.ENVIRONMENT!r}.",
            hint="Use dev, test or prod: a misspelt prod would run with the safeguards of dev.",
            id="goldseam.E008",
        )
    if _production() and settings.DEBUG:
        yield Error("DEBUG is on in production.", hint="It shows settings and source to callers.", id="goldseam.E003")


def keys() -> Iterator[CheckMessage]:
    if _production() and not settings.SECRET_KEY_SET:
        yield Error("SECRET_KEY is not set.", hint="Set it to 50 or more random characters.", id="goldseam.E001")
    if not all(_is_key(text) for text in settings.CREDENTIAL_KEY.split(",")):
        yield Error(
            "CREDENTIAL_KEY is missing or not 32 bytes in URL-safe base64.",
            hint="Make one: python -c 'import base64,os;print(base64.urlsafe_b64encode(os.urandom(32)).decode())'",
            id="goldseam.E002",
        )


def _is_key(text: str) -> bool:
    padded = text.strip() + "=" * (-len(text.strip()) % 4)
    try:
        return len(urlsafe_b64decode(padded)) == 32
    except (ValueError, binascii.Error):
        return False


def hosts() -> Iterator[CheckMessage]:
    if _production() and any(host.strip() in {"*", "."} for host in settings.ALLOWED_HOSTS):
        yield Error("ALLOWED_HOSTS takes any host.", hint="Name the hosts you serve.", id="goldseam.E004")
    if _production() and not settings.ALLOWED_HOSTS:
        yield Error("ALLOWED_HOSTS is empty: every request is refused.", hint="Set it.", id="goldseam.E005")
    if _production() and not settings.HTTPS:
        yield Warning("HTTPS is off: tokens and sessions travel in the clear.", hint="Set HTTPS=1.", id="goldseam.W005")
    if settings.BEHIND_PROXY and not settings.REST_FRAMEWORK["NUM_PROXIES"]:
        yield Warning(
            "BEHIND_PROXY without NUM_PROXIES: every caller seems to have the proxy's address.",
            hint="Set NUM_PROXIES to the number of your own proxies; sign-in limits and the ledger use the address.",
            id="goldseam.W006",
        )


def address() -> Iterator[CheckMessage]:
    parts = urlsplit(settings.PUBLIC_URL)
    more = parts.query or parts.fragment or "@" in parts.netloc
    sound = parts.scheme in {"http", "https"} and parts.hostname and not more
    if settings.PUBLIC_URL and not sound:
        yield Error(
            "PUBLIC_URL is no address of a console.", hint="Such as https://goldseam.example.", id="goldseam.E017"
        )
    if _production() and not settings.PUBLIC_URL:
        yield Warning(
            "PUBLIC_URL is not set: messages to people and subscribers have no link.",
            hint="Set it to the address under which people reach the console.",
            id="goldseam.W010",
        )


def browser() -> Iterator[CheckMessage]:
    scripts = settings.CONTENT_SECURITY_POLICY["DIRECTIVES"].get("script-src", [])
    if {"'unsafe-inline'", "'unsafe-eval'", "*"} & set(scripts) or not scripts:
        yield Error("The content security policy lets any script run.", hint="script-src 'self'.", id="goldseam.E006")
    if "csp.middleware.CSPMiddleware" not in settings.MIDDLEWARE:
        yield Error("The content security policy is not sent.", hint="Keep CSPMiddleware.", id="goldseam.E007")


def database() -> Iterator[CheckMessage]:
    chosen = settings.DATABASES["default"]
    if not chosen["ENGINE"].endswith("sqlite3"):
        return
    if _production():
        yield Warning(
            "SQLite in production serves one machine only.", hint="Set DATABASE_URL to PostgreSQL.", id="goldseam.W001"
        )
    library: Any = connections["default"]
    if library.Database.sqlite_version_info < _FIRST_ABLE_SQLITE:
        yield Error(
            f"SQLite {library.Database.sqlite_version} is too old: 3.38 is the oldest that can answer our questions.",
            hint="Install the pysqlite3 wheel or a newer Python, or use PostgreSQL.",
            id="goldseam.E018",
        )
    elif library.Database.sqlite_version_info < _FIRST_SOUND_SQLITE:
        yield Warning(
            f"SQLite {library.Database.sqlite_version} can corrupt its write-ahead log.",
            hint="Install the pysqlite3 wheel (3.51.3 or newer), or use PostgreSQL.",
            id="goldseam.W002",
        )
    if chosen.get("OPTIONS", {}).get("transaction_mode") != "IMMEDIATE":
        yield Error(
            "SQLite without IMMEDIATE transactions refuses concurrent writers as locked.",
            hint='OPTIONS = {"transaction_mode": "IMMEDIATE"}.',
            id="goldseam.E009",
        )


def loop() -> Iterator[CheckMessage]:
    # The longest single call signs in, looks at the record and writes: three requests under one lease.
    if settings.LEASE_SECONDS < 3 * settings.OUTBOUND_TIMEOUT_SECONDS:
        yield Warning(
            f"LEASE_SECONDS ({settings.LEASE_SECONDS}) is less than three times OUTBOUND_TIMEOUT_SECONDS "
            f"({settings.OUTBOUND_TIMEOUT_SECONDS:g}).",
            hint="A worker would lose its lease while it still waits for an answer: make the lease longer, or the "
            "timeout shorter.",
            id="goldseam.W003",
        )
    if _production() and settings.EMBEDDED:
        yield Warning(
            "The broker lives in one process's memory.",
            hint="Set CELERY_BROKER_URL to Redis or RabbitMQ, else other processes never hear a bell.",
            id="goldseam.W004",
        )
    visible = settings.CELERY_BROKER_TRANSPORT_OPTIONS.get("visibility_timeout")
    if visible is not None and visible <= settings.LEASE_SECONDS:
        yield Warning(
            "The broker hands a message out again before its lease ends.",
            hint="Make visibility_timeout longer than LEASE_SECONDS.",
            id="goldseam.W008",
        )


def keeping() -> Iterator[CheckMessage]:
    for name in ("DELIVERY_KEEP_DAYS", "CALL_KEEP_DAYS", "TELL_KEEP_DAYS", "TEXT_KEEP_DAYS"):
        if (days := getattr(settings, name)) < 0:
            yield Error(f"{name} is {days}.", hint="Name a number of days, or 0 to keep for ever.", id="goldseam.E020")
    if 0 < settings.CALL_KEEP_DAYS < _SHORTEST_LOG:
        yield Error(
            f"CALL_KEEP_DAYS is {settings.CALL_KEEP_DAYS}: pages draw two weeks of calls.",
            hint=f"Keep calls for at least {_SHORTEST_LOG} days, or 0 to keep them for ever.",
            id="goldseam.E021",
        )


def outside() -> Iterator[CheckMessage]:
    if any(entry.strip().startswith("*") for entry in settings.OUTBOUND_ALLOW):
        yield Error("OUTBOUND_ALLOW lets any host be called.", hint="List host:port pairs.", id="goldseam.E010")
    if _production() and settings.METRICS_PUBLIC:
        yield Warning("METRICS_PUBLIC shows counts of all units to anybody.", hint="Use a token.", id="goldseam.W007")
    if settings.REST_FRAMEWORK.get("NUM_PROXIES") is None:
        yield Error(
            "Throttling believes whatever X-Forwarded-For says.",
            hint="Set NUM_PROXIES to a number.",
            id="goldseam.E011",
        )


def models() -> Iterator[CheckMessage]:
    wrong = [host for host in settings.AI_HOSTS if "/" in host or "://" in host or ("*" in host and host != "*")]
    if wrong:
        yield Error(
            f"AI_HOSTS names {', '.join(wrong)}, which is no host.",
            hint="Write host or host:port, such as contoso.openai.azure.com; * for any, nothing for none.",
            id="goldseam.E019",
        )


def event_logs() -> Iterator[CheckMessage]:
    for id_, words, hint in faults(settings):
        yield Error(words, hint=hint, id=id_)
    if _production() and in_the_clear(settings) and settings.INSIGHTS_S3_ALLOW_HTTP:
        yield Warning(
            "INSIGHTS_S3_ALLOW_HTTP: event logs cross the network in the clear.",
            hint="Give the object store a certificate, and name its authority in INSIGHTS_S3_CA_FILE.",
            id="goldseam.W009",
        )


_FINDERS: tuple[Callable[[], Iterator[CheckMessage]], ...] = (
    environment,
    keys,
    hosts,
    address,
    browser,
    database,
    loop,
    keeping,
    outside,
    models,
    event_logs,
)
