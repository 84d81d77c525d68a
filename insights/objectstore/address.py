"""Where the object store is: from the settings alone, never from a row, a file or a person."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit

# A bucket's name and a prefix: nothing that an address could read as something else.
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


@dataclass(frozen=True)
class Address:
    """One bucket, the folder in it that is ours, and how it is spoken to."""

    bucket: str
    prefix: str
    endpoint: str
    region: str
    key: str = field(repr=False)
    secret: str = field(repr=False)
    ca_file: str = ""
    timeout: float = 20.0

    @property
    def plain(self) -> bool:
        """Tell whether what is said goes over the line in the clear."""
        return self.endpoint.startswith("http:")


def address(settings: Any) -> Address | None:
    """Return where the store is, or nothing where event logs stay in the data folder.

    Raises ``ValueError`` with words for the operator where the settings would be dangerous or make no sense; ``faults``
    tells all of them.
    """
    if not settings.INSIGHTS_STORE:
        return None
    for _, words, hint in faults(settings):
        raise ValueError(f"{words} {hint}")
    named = urlsplit(settings.INSIGHTS_STORE)
    region = settings.INSIGHTS_S3_REGION or "us-east-1"
    return Address(
        bucket=named.netloc,
        prefix=named.path.strip("/"),
        endpoint=settings.INSIGHTS_S3_ENDPOINT.rstrip("/") or f"https://s3.{region}.amazonaws.com",
        region=region,
        key=settings.INSIGHTS_S3_KEY,
        secret=settings.INSIGHTS_S3_SECRET,
        ca_file=settings.INSIGHTS_S3_CA_FILE,
        timeout=settings.OUTBOUND_TIMEOUT_SECONDS,
    )


def faults(settings: Any) -> Iterator[tuple[str, str, str]]:
    """Yield what is wrong with the settings of the store: the id of the system check, what it is, what to do."""
    if not settings.INSIGHTS_STORE:
        return
    if not _is_store(settings.INSIGHTS_STORE):
        # The setting itself is not shown: somebody may have put a password into it.
        yield "goldseam.E012", "INSIGHTS_STORE names no bucket.", "Use s3://bucket or s3://bucket/folder, nothing else."
    yield from _faults_of_endpoint(settings)
    if not settings.INSIGHTS_S3_ENDPOINT and not settings.INSIGHTS_S3_REGION:
        yield "goldseam.E014", "INSIGHTS_STORE lies nowhere.", "Set INSIGHTS_S3_ENDPOINT, or INSIGHTS_S3_REGION on AWS."
    if bool(settings.INSIGHTS_S3_KEY) != bool(settings.INSIGHTS_S3_SECRET):
        yield (
            "goldseam.E015",
            "Of INSIGHTS_S3_KEY and INSIGHTS_S3_SECRET only one is set.",
            "Set both, or neither: then the credentials come from AWS_* variables or the machine's role.",
        )


def in_the_clear(settings: Any) -> bool:
    """Tell whether the store is spoken to without TLS beyond this machine, because a setting says so."""
    endpoint = _split(settings.INSIGHTS_S3_ENDPOINT)
    return bool(settings.INSIGHTS_STORE and endpoint and endpoint.scheme == "http" and not _is_here(endpoint.hostname))


def _faults_of_endpoint(settings: Any) -> Iterator[tuple[str, str, str]]:
    if not settings.INSIGHTS_S3_ENDPOINT:
        return
    endpoint = _split(settings.INSIGHTS_S3_ENDPOINT)
    if endpoint is None:
        yield (
            "goldseam.E016",
            "INSIGHTS_S3_ENDPOINT is no address of a server.",
            "Use https://host or https://host:port: no user, no password, no path.",
        )
    elif in_the_clear(settings) and not settings.INSIGHTS_S3_ALLOW_HTTP:
        yield (
            "goldseam.E013",
            "INSIGHTS_S3_ENDPOINT is not https: event logs would cross the network in the clear.",
            "Use https, with INSIGHTS_S3_CA_FILE for a certificate of your own; or set INSIGHTS_S3_ALLOW_HTTP=1.",
        )


def _is_store(text: str) -> bool:
    try:
        named = urlsplit(text)
    except ValueError:
        return False
    parts = [named.netloc, *named.path.strip("/").split("/")] if named.path.strip("/") else [named.netloc]
    said = all(part and set(part) <= _LETTERS and part.strip(".") for part in parts)
    return named.scheme == "s3" and said and not named.query and not named.fragment


def _split(text: str) -> SplitResult | None:
    """Return the parts of an endpoint, or nothing where it is more or less than scheme, host and port."""
    try:
        parts = urlsplit(text)
        wrong = parts.port == 0 or not parts.hostname
    except ValueError:
        return None
    extra = parts.username or parts.password or parts.path.strip("/") or parts.query or parts.fragment
    return None if wrong or extra or parts.scheme not in {"http", "https"} else parts


def _is_here(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        # Only what is written as an address: no other spelling of a number counts.
        return ip_address(host or "").is_loopback
    except ValueError:
        return False
