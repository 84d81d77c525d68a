"""When secrets were set and last taken. Written once an hour for each secret and process: no call waits for more."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from audit.clock import db_now
from connectors import registry
from connectors.door.uses import CredentialUse, UseMark
from connectors.models import Call, Connection

HOOK_SECRET = "hook_secret"  # noqa: S105 - what it is called
_EVERY = 3600.0
_noted: dict[tuple[int, str], float] = {}


def note(connection_id: int, names: Iterable[str]) -> None:
    """Keep that these secrets were taken just now."""
    now = time.monotonic()
    fresh = [name for name in sorted(names) if now - _noted.get((connection_id, name), -_EVERY) >= _EVERY]
    if not fresh:
        return
    at = db_now()
    rows = [CredentialUse(connection_id=connection_id, name=name, used_at=at) for name in fresh]
    CredentialUse.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["connection", "name"], update_fields=["used_at"]
    )
    _noted.update({(connection_id, name): now for name in fresh})


def renewed(connection: Connection, names: Iterable[str]) -> None:
    """Keep that these secrets were set just now; what was said of the old ones is over."""
    at = db_now()
    for name in sorted(names):
        CredentialUse.objects.update_or_create(
            connection=connection, name=name, defaults={"set_at": at, "used_at": None}
        )
        _noted.pop((connection.pk, name), None)


def forget() -> None:
    """Forget what this process has written."""
    _noted.clear()


@dataclass(frozen=True)
class Credential:
    """One secret of a connection; its value is nowhere here."""

    name: str
    is_set: bool
    set_at: datetime | None  # None: not set, or before this was kept
    used_at: datetime | None
    unused: bool  # set for the whole time that is looked at, and never taken in it


def credentials(connection: Connection, days: int, now: datetime | None = None) -> list[Credential]:
    """Return every secret that the connection may have, and whether it was taken in the last ``days``."""
    kind = registry.KINDS.get(connection.kind)
    if kind is None:
        return []
    since = (now or db_now()) - timedelta(days=days)
    # Before it was kept nobody knows: then nothing is called unused.
    begun = UseMark.objects.order_by("begun_at").values_list("begun_at", flat=True).first()
    known = {row.name: row for row in CredentialUse.objects.filter(connection=connection)}
    always, found = registry.needs_of(connection).sent_always, []
    for name in [*sorted(kind.secrets), *([HOOK_SECRET] if kind.listens() and not kind.signed_with else [])]:
        is_set = bool(connection.hook_secret_digest) if name == HOOK_SECRET else name in connection.secrets
        row = known.get(name)
        set_at, used_at = (row.set_at, row.used_at) if row and is_set else (None, None)
        if name in always and is_set:
            used_at = _last_sent(connection)
        old = begun is not None and max(filter(None, (set_at, begun))) <= since
        unused = is_set and old and (used_at is None or used_at < since)
        found.append(Credential(name, is_set, set_at, used_at, unused))
    return found


def _last_sent(connection: Connection) -> datetime | None:
    sent = Call.objects.filter(connection=connection, direction="tell", requests__gt=0).order_by("-id")
    return sent.values_list("started_at", flat=True).first()
