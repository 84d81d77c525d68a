"""What other systems tell us by themselves: checked, cut into deliveries, kept. Accepted means committed."""

import hashlib
import hmac
from base64 import b64decode
from binascii import Error as BadBase64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import transaction
from django.db.models import QuerySet

from audit.clock import db_now
from audit.errors import Refusal
from connectors import registry
from connectors.base import Blocked, Connector, HookAnswer, Inbound, Refused, Unauthorized
from connectors.door import credential_uses
from connectors.inbound import bookmarks
from connectors.models import Connection, Delivery
from connectors.signals import deliveries_arrived

# So that a comparison with a secret that was never set takes as long as any other.
_NO_SECRET = hashlib.sha256(b"goldseam: no secret was set").hexdigest()

# Databases bound how many values a statement may hold.
AT_ONCE = 2000

# Beyond these not every zone can write a moment, and no record was changed then.
_EARLIEST, _LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


class UnknownHook(Refusal):
    """No connection listens at this address."""

    status = 404
    code = "unknown_hook"


class WrongSecret(Refusal):
    """The secret is missing or is not this connection's."""

    status = 401
    code = "wrong_secret"


class HookDisabled(Refusal):
    """The connection is disabled; nothing is accepted for it."""

    status = 403
    code = "disabled"


class BadDelivery(Refusal):
    """The body is not what this system sends."""

    status = 400
    code = "bad_delivery"


class DeliveryTooLarge(Refusal):
    """The body or its number of events is over the limit: send less at once."""

    status = 413
    code = "too_large"


class CodedDelivery(Refusal):
    """The body is compressed or otherwise encoded: nothing is unpacked here."""

    status = 415
    code = "encoded"


@dataclass(frozen=True)
class Received:
    """How many things were new, and how many had been told before."""

    accepted: int
    repeated: int
    ids: tuple[int, ...] = ()


def hook_digest(secret: str) -> str:
    """Return the digest that is kept instead of a hook's secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def connection_of_hook(slug: str, secret: str, *, in_path: bool) -> Connection:
    """Return the connection that ``secret`` opens. Raises ``UnknownHook``, ``WrongSecret`` or ``HookDisabled``.

    With the secret in the path a wrong one is an address that does not exist: 404, as for an unknown connection.
    What is signed is only looked up here: ``proven`` holds it against its signature, which takes the body.
    """
    connection = Connection.objects.filter(slug=slug).first()
    if connection is not None and not in_path and _signs(connection):
        return _enabled(connection)
    kept = connection.hook_secret_digest if connection else ""
    # Compared even where there is nothing to compare with: in the path the time taken must not tell which slugs exist.
    right = hmac.compare_digest(hook_digest(secret), kept or _NO_SECRET) and bool(kept)
    if connection is None or (in_path and not right):
        raise UnknownHook("No connection listens here, or the secret in the address is not right.")
    if not right:
        raise WrongSecret(f"The secret for {slug} is missing or not right.")
    credential_uses.note(connection.pk, [credential_uses.HOOK_SECRET])
    return _enabled(connection)


def connection_to_ask(slug: str, secret: str | None) -> Connection:
    """Return the connection that somebody asks about before sending. Raises ``UnknownHook`` or ``HookDisabled``.

    No secret is shown with the question; but where it stands in the path, a wrong one leads nowhere.
    """
    if secret is not None:
        return connection_of_hook(slug, secret, in_path=True)
    connection = Connection.objects.filter(slug=slug).first()
    if connection is None:
        raise UnknownHook("No connection listens here.")
    return _enabled(connection)


def _signs(connection: Connection) -> bool:
    kind = registry.KINDS.get(connection.kind)
    return kind is not None and bool(kind.signed_with)


def _enabled(connection: Connection) -> Connection:
    if not connection.enabled:
        raise HookDisabled(f"The connection {connection.slug} is disabled.")
    return connection


def proven(connection: Connection, body: bytes, headers: Mapping[str, str]) -> None:
    """Hold a signed delivery against its signature, before anything of it is parsed. Raises ``WrongSecret``."""
    if not _signs(connection):
        return
    try:
        connector = registry.connector_for(connection)
        connector.verify(body, headers)
    except (Unauthorized, Refused) as refused:
        raise WrongSecret(str(refused)) from None
    except Blocked:
        # Which secret is missing is nothing to tell an outsider.
        raise WrongSecret(f"{connection.slug} cannot check signatures yet.") from None
    credential_uses.note(connection.pk, connector.trace.secrets)


def plain_only(headers: Mapping[str, str]) -> None:
    """Turn away what is compressed: what it would come to nobody knows before. Raises ``CodedDelivery``."""
    coding = headers.get("Content-Encoding", "").strip().lower()
    if coding not in ("", "identity"):
        raise CodedDelivery("Send the body as it is: nothing compressed is unpacked here.")


def secret_of(headers: Mapping[str, str]) -> str:
    """Find the secret in a request's headers: ``X-Goldseam-Secret``, Bearer, or the password of Basic."""
    if given := headers.get("X-Goldseam-Secret", ""):
        return given
    scheme, _, value = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return b64decode(value.strip(), validate=True).decode().partition(":")[2]
        except (BadBase64, ValueError):
            return ""
    return ""


def receive(connection: Connection, body: bytes, headers: Mapping[str, str]) -> Received:
    """Keep what a webhook's body tells. Raises ``BadDelivery`` or ``DeliveryTooLarge``; then nothing of it is kept."""
    kind = registry.KINDS.get(connection.kind)
    if kind is None:
        raise UnknownHook(f"The connection {connection.slug} is of a kind that is not installed.")
    try:
        connector = registry.connector_for(connection, secrets={})
        told = connector.receive(body, headers)
    except Blocked as blocked:
        raise HookDisabled(str(blocked)) from None
    except Refused as refused:
        kind_of_refusal = {401: WrongSecret, 404: UnknownHook, 413: DeliveryTooLarge}.get(
            refused.status or 400, BadDelivery
        )
        raise kind_of_refusal(str(refused)) from None
    with transaction.atomic():
        # A gap that a message tells of must be asked for, should the process die right after the answer.
        bookmarks.remember(connection, connection.bookmarks, connector.bookmarks)
        return store(connection, told)


def answer(connection: Connection, body: bytes, headers: Mapping[str, str]) -> HookAnswer | None:
    """Return what the sender wants to hear of a delivery that was kept; ``None``: how many things were new."""
    kind = registry.KINDS.get(connection.kind, Connector)
    if kind.answer is Connector.answer:
        # Most senders want nothing more: no connector is made a second time for them.
        return None
    return registry.connector_for(connection, secrets={}).answer(body, headers)


@transaction.atomic
def store(connection: Connection, told: Sequence[Inbound]) -> Received:
    """Insert what is new of ``told``; the same external id again adds nothing, however many arrive at once."""
    fresh: dict[str, Inbound] = {}
    for inbound in told:
        fresh.setdefault(inbound.external_id, inbound)  # of two equals the first one counts
    now, waiting = db_now(), list(fresh.values())
    ids: tuple[int, ...] = ()
    for start in range(0, len(waiting), AT_ONCE):
        ids += _insert(connection, waiting[start : start + AT_ONCE], at=now)
    if ids:
        deliveries_arrived.send(sender=Delivery, connection_id=connection.pk, delivery_ids=list(ids))
    return Received(len(ids), len(told) - len(ids), ids)


def _insert(connection: Connection, told: list[Inbound], *, at: datetime) -> tuple[int, ...]:
    """Insert what is new of as many as fit into one statement; return their ids in order."""
    known = set(_ids(connection, [one.external_id for one in told]).values_list("external_id", flat=True))
    rows = [_row(connection, one, at=at) for one in told if one.external_id not in known]
    if not rows:
        return ()
    Delivery.objects.bulk_create(rows, ignore_conflicts=True)
    return _inserted(connection, rows, at=at)


def _row(connection: Connection, inbound: Inbound, *, at: datetime) -> Delivery:
    moment = inbound.occurred_at
    return Delivery(
        connection=connection,
        external_id=inbound.external_id,
        event=inbound.event,
        payload=inbound.payload,
        occurred_at=moment if moment and _EARLIEST <= moment <= _LATEST else None,
        received_at=at,
    )


def _inserted(connection: Connection, rows: list[Delivery], *, at: datetime) -> tuple[int, ...]:
    """Tell our rows from those that another request inserted in the same instant, by their time of arrival."""
    mine = _ids(connection, [row.external_id for row in rows]).filter(received_at=at)
    return tuple(mine.order_by("id").values_list("id", flat=True))


def _ids(connection: Connection, external_ids: list[str]) -> QuerySet[Delivery]:
    return Delivery.objects.filter(connection=connection, external_id__in=external_ids)
