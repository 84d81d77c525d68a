"""The only module that speaks to the object store: whole objects in, bounded pieces out, failures in words.

What the library says of a failure is not passed on: a server's answer may repeat a key, a header, a signature.
"""

import logging
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
from django.conf import settings
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from insights.objectstore.address import Address, address
from insights.objectstore.faults import ObjectMissing, StoreDamaged, StoreUnavailable

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

logger = logging.getLogger(__name__)
# What one request carries: two of them are in memory at most while an object is sent.
PIECE = 8 << 20
_SENT_AT_ONCE = 2
_CONNECT_SECONDS = 5.0
_PROBE_SECONDS = 2.0
_LONGEST_SECONDS = 300.0
# A store that did not answer is not asked again at once: pages would wait for it one behind the other.
_REST_SECONDS = 5.0
# Listing does not tell these two apart from any other failure, so that its words must.
_REFUSED = ("status code: 401", "status code: 403")
_WORDS = {
    "bucket": "The object store has no such bucket.",
    "connect": "The object store cannot be reached just now.",
    "credentials": "The object store refuses Goldseam's credentials.",
}
_NOTHING_LOST = "Nothing is lost: it is tried again. Whoever runs Goldseam sees the reason at /health/ready."


@dataclass(frozen=True)
class Found:
    """One object as the store lists it; ``at`` is when it became whole."""

    key: str
    size: int
    at: datetime


class Bucket:
    """The part of a bucket that is ours; keys are counted from the prefix that the settings name."""

    def __init__(self, where: Address, *, patient: bool = True) -> None:
        seconds = where.timeout if patient else _PROBE_SECONDS
        client: ClientConfig = {
            "allow_http": where.plain,
            "allow_invalid_certificates": False,
            "connect_timeout": timedelta(seconds=min(_CONNECT_SECONDS, seconds)),
            # Silence ends a request soon; putting a large object together may take long, and says so meanwhile.
            "read_timeout": timedelta(seconds=seconds),
            "timeout": timedelta(seconds=_LONGEST_SECONDS if patient else seconds),
            "user_agent": "Goldseam/1",
        }
        if where.ca_file:
            client["root_certificate"] = Path(where.ca_file).read_bytes()
        retry: RetryConfig = {
            "max_retries": 2 if patient else 0,
            "retry_timeout": timedelta(seconds=seconds),
            "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=2), "base": 2},
        }
        # Both names of the endpoint: a variable of the environment must not send us anywhere else.
        told: S3Config = {
            "endpoint": where.endpoint,
            "aws_endpoint_url_s3": where.endpoint,
            "region": where.region,
            "virtual_hosted_style_request": False,
            "unsigned_payload": False,
            "skip_signature": False,
            # Not every store that speaks S3 removes many at once.
            "disable_bulk_delete": True,
        }
        if where.key:
            told["access_key_id"], told["secret_access_key"] = where.key, where.secret
        prefix = where.prefix or None
        self._store = S3Store(where.bucket, prefix=prefix, config=told, client_options=client, retry_config=retry)
        self._rest_until = 0.0

    def put(self, key: str, path: Path) -> None:
        """Send a file as one object; readers see it whole or not at all. Raises ``StoreUnavailable``."""
        with self._asking("put"):
            obstore.put(self._store, key, path, chunk_size=PIECE, max_concurrency=_SENT_AT_ONCE)

    def read(self, key: str, size: int) -> Iterator[bytes]:
        """Yield an object of ``size`` bytes in pieces, each asked for by itself and in its own time.

        Raises ``StoreDamaged`` where it has another size, ``ObjectMissing``, ``StoreUnavailable``.
        """
        with self._asking("read"):
            found = obstore.head(self._store, key)["size"]
        if found != size:
            raise StoreDamaged(f"An object of the log has {found} bytes, not {size}. Import the log again.")
        for start in range(0, size, PIECE):
            with self._asking("read"):
                piece = obstore.get_range(self._store, key, start=start, length=min(PIECE, size - start)).to_bytes()
            yield piece

    def remove(self, keys: Iterable[str]) -> None:
        """Remove objects; one that is not there is no fault. Raises ``StoreUnavailable``."""
        for key in keys:
            try:
                with self._asking("remove"):
                    obstore.delete(self._store, key)
            except ObjectMissing:
                continue

    def listed(self, folder: str) -> Iterator[Found]:
        """Yield every object below ``folder``. Raises ``StoreUnavailable``."""
        with self._asking("list"):
            for part in obstore.list(self._store, f"{folder.strip('/')}/"):
                for one in part:
                    yield Found(one["path"], one["size"], one["last_modified"])

    def probe(self) -> None:
        """List a folder that is empty, to see whether the store answers us. Raises ``StoreUnavailable``."""
        with self._asking("list"):
            next(iter(obstore.list(self._store, "probe/")), None)

    @contextmanager
    def _asking(self, doing: str) -> Iterator[None]:
        if time.monotonic() < self._rest_until:
            raise StoreUnavailable(f"{_WORDS['connect']} {_NOTHING_LOST}")
        try:
            yield
        except FileNotFoundError:
            raise ObjectMissing from None
        except (BaseError, OSError) as error:
            reason = _reason(error)
            if reason == "connect":
                self._rest_until = time.monotonic() + _REST_SECONDS
            logger.warning("The object store did not %s: %s (%s)", doing, reason, type(error).__name__)
            raise StoreUnavailable(f"{_WORDS[reason]} {_NOTHING_LOST}", reason) from None


_OPEN: dict[tuple[Address, bool], Bucket] = {}
_OPENED_BY: list[int] = []


def bucket(*, patient: bool = True) -> Bucket:
    """Return the bucket that the settings name; without ``patient`` it gives up within seconds.

    Raises ``StoreUnavailable`` where they name none, or none that may be spoken to.
    """
    try:
        where = address(settings)
    except ValueError as wrong:
        logger.error("%s", wrong)
        raise StoreUnavailable(f"The settings of the object store are wrong. {_NOTHING_LOST}", "settings") from None
    if where is None:
        raise StoreUnavailable(
            "The tables of this log lie in an object store, and this installation names none. Whoever runs Goldseam "
            "sets INSIGHTS_STORE again, or somebody imports the log again.",
            "unset",
        )
    if _OPENED_BY and _OPENED_BY[0] != os.getpid():
        # The library's threads do not come along into a forked process: it would wait for ever.
        raise StoreUnavailable(f"This process was forked from one that had the store open. {_NOTHING_LOST}", "fork")
    key = (where, patient)
    if key not in _OPEN:
        try:
            _OPEN[key] = Bucket(where, patient=patient)
        except (BaseError, OSError, ValueError) as wrong:
            logger.error("The object store cannot be set up: %s", type(wrong).__name__)
            raise StoreUnavailable(f"The settings of the object store are wrong. {_NOTHING_LOST}", "settings") from None
        _OPENED_BY[:] = [os.getpid()]
    return _OPEN[key]


def _reason(error: BaseError | OSError) -> str:
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return "credentials"
    text = str(error)
    if "NoSuchBucket" in text:
        return "bucket"
    return "credentials" if any(word in text for word in _REFUSED) else "connect"
