"""Verbs about connections: the only writers of ``Connection`` and ``EmergencyStop``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from pydantic import ValidationError

from audit.actions import record
from audit.clock import db_now
from audit.errors import Invalid, Refusal
from connectors import gateway, registry, repointing, texts, vault
from connectors.base import Connector, ConnectorError, Health, Operation, Tell, Write
from connectors.door import credential_uses, governing
from connectors.inbound.webhooks import hook_digest
from connectors.kit import fetching
from connectors.kit.declaring import Declares
from connectors.models import Connection, EmergencyStop
from connectors.wire.payloads import storable_text

SHORTEST_HOOK_SECRET = 16
# What a person or a file may set, beside the secrets.
COLUMNS = ("label", "config", "operations", "enabled", "poll", "owner", *governing.COLUMNS)


class NothingStopped(Refusal):
    """There is no emergency stop to end."""

    code = "nothing_stopped"


def create_connection(
    slug: str,
    kind: str,
    *,
    actor: str,
    secrets: Mapping[str, str] | None = None,
    hook_secret: str = "",
    reason: str = "",
    **columns: Any,
) -> Connection:
    """Configure a new system. Raises ``Invalid`` with a message per field; nothing is called yet."""
    if Connection.objects.filter(slug=slug).exists():
        raise Invalid(f"There is a connection {slug} already.", {"slug": ["Taken."]})
    connection = Connection(slug=slug, kind=kind, label=columns.pop("label", "") or slug)
    return _save(connection, columns, secrets or {}, hook_secret, actor=actor, reason=reason)


def update_connection(
    connection: Connection,
    *,
    actor: str,
    secrets: Mapping[str, str] | None = None,
    hook_secret: str = "",
    reason: str = "",
    **columns: Any,
) -> Connection:
    """Change a connection. A secret that is not named stays as it is. Raises ``Invalid``."""
    return _save(connection, columns, secrets or {}, hook_secret, actor=actor, reason=reason)


def set_secret(connection: Connection, name: str, value: str, *, actor: str, reason: str = "") -> Connection:
    """Seal one secret; a blank value removes it. Raises ``Invalid`` for a name that the kind does not have."""
    return _save(connection, {}, {name: value}, "", actor=actor, reason=reason)


@transaction.atomic
def _save(
    connection: Connection,
    columns: Mapping[str, Any],
    secrets: Mapping[str, str],
    hook_secret: str,
    *,
    actor: str,
    reason: str,
) -> Connection:
    fresh = connection.pk is None
    if not fresh:
        # Somebody else may have renewed another secret since this copy was read: theirs stays.
        connection.secrets = (
            Connection.objects.select_for_update().values_list("secrets", flat=True).get(pk=connection.pk)
        )
    before = {} if fresh else described(connection)
    unknown = set(columns) - set(COLUMNS)
    if unknown:
        raise Invalid(f"A connection has no {min(unknown)}.", {min(unknown): ["Unknown."]})
    for name, value in columns.items():
        setattr(connection, name, value)
    kind = _kind(connection.kind)
    settings = valid_settings(connection.kind, connection.config)
    connection.config = texts.keep(kind, settings.model_dump(mode="json"))
    known = kind.operations_of(settings)
    connection.operations = valid_operations(kind, known, connection.operations)
    governing.check(connection, kind, known)
    connection.__dict__["_change_reason"] = reason[:100]  # simple_history reads it
    _check_secrets(connection, secrets, hook_secret)
    if not fresh:
        repointing.hold(kind, before["config"], connection.config, stored=connection.secrets, given=secrets)
    if fresh:
        connection.save()
    for name, value in secrets.items():
        _put_secret(connection, name, value)
    if hook_secret:
        connection.hook_secret_digest = hook_digest(hook_secret)
    if not fresh and (secrets or before["config"] != connection.config):
        # Perhaps another account now: its limits are found out at the next call.
        connection.gate = None
    if not fresh or secrets or hook_secret:
        connection.save(update_fields=[*COLUMNS, "secrets", "hook_secret_digest", "gate"])
    fresh_ones = [name for name, value in secrets.items() if value]
    credential_uses.renewed(connection, [*fresh_ones, *([credential_uses.HOOK_SECRET] if hook_secret else [])])
    _enter(connection, before, secrets, hook_secret, actor=actor, reason=reason, fresh=fresh)
    return connection


def _put_secret(connection: Connection, name: str, value: str) -> None:
    if value:
        connection.secrets = {**connection.secrets, name: vault.seal(connection, name, value)}
    else:
        connection.secrets = {key: sealed for key, sealed in connection.secrets.items() if key != name}


def valid_config(kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a kind's configuration as it is stored, with its defaults filled in. Raises ``Invalid`` by field."""
    return texts.named(_kind(kind), valid_settings(kind, config).model_dump(mode="json"))


def valid_settings(kind: str, config: Mapping[str, Any]) -> Any:
    """Return a kind's settings, read from a configuration. Raises ``Invalid`` with a message per field."""
    try:
        return _kind(kind).config.model_validate(dict(config))
    except ValidationError as invalid:
        errors: dict[str, list[str]] = {}
        for error in invalid.errors():
            errors.setdefault(".".join(map(str, error["loc"])) or "config", []).append(error["msg"])
        raise Invalid(f"The configuration is not valid: {', '.join(errors)}.", errors) from None


def _kind(kind: str) -> type[Connector]:
    if kind not in registry.KINDS:
        known = ", ".join(sorted(registry.KINDS))
        raise Invalid(f"There is no kind {kind}; known are {known}.", {"kind": [f"Choose one of {known}."]})
    return registry.KINDS[kind]


def valid_operations(kind: type[Connector], known: Sequence[Operation], wanted: Sequence[str]) -> list[str]:
    """Return the writes that ``wanted`` names of those ``known``; ``["*"]`` stands for all. Raises ``Invalid``."""
    writes = {item.name for item in known if isinstance(item, Write | Tell)}
    # "*" is written out: a later version's new write is not allowed by an old decision.
    names = sorted(writes) if list(wanted) == ["*"] else list(dict.fromkeys(wanted))
    unknown = sorted(set(names) - writes)
    if unknown:
        raise Invalid(
            f"{kind.slug} has no write operation {', '.join(unknown)}.",
            {"operations": [f"Unknown: {', '.join(unknown)}. Reads are always allowed and are not listed."]},
        )
    return names


def _check_secrets(connection: Connection, secrets: Mapping[str, str], hook_secret: str) -> None:
    unknown = sorted(set(secrets) - _kind(connection.kind).secrets)
    if unknown:
        raise Invalid(f"{connection.kind} has no secret {unknown[0]}.", {unknown[0]: ["Unknown."]})
    if hook_secret and len(hook_secret) < SHORTEST_HOOK_SECRET:
        raise Invalid(
            "The hook's secret is too short.", {"hook_secret": [f"Use at least {SHORTEST_HOOK_SECRET} letters."]}
        )


def described(connection: Connection) -> dict[str, Any]:
    """Return a connection as the ledger tells of it: secrets only as set or not set."""
    kind = registry.KINDS.get(connection.kind)
    names = kind.secrets if kind else frozenset(connection.secrets)
    return {
        "label": connection.label,
        "config": connection.config,
        "operations": connection.operations,
        "enabled": connection.enabled,
        "poll": connection.poll,
        "owner": connection.owner.get_username() if connection.owner else "",
        **governing.described(connection),
        "hook_secret": "set" if connection.hook_secret_digest else "not set",
        **{f"secret {name}": "set" if name in connection.secrets else "not set" for name in sorted(names)},
    }


def _enter(
    connection: Connection,
    before: dict[str, Any],
    secrets: Mapping[str, str],
    hook_secret: str,
    *,
    actor: str,
    reason: str,
    fresh: bool,
) -> None:
    after = described(connection)
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    renewed = sorted([*secrets, *(["hook_secret"] if hook_secret else [])])
    if not fresh and not changed and not renewed:
        return
    record(
        "connection.added" if fresh else "connection.changed",
        actor=actor,
        target=connection,
        reason=reason,
        before={name: before[name] for name in changed if name in before},
        after=changed,
        data={"name": connection.slug, **({"secrets_renewed": renewed} if renewed else {})},
    )


@dataclass(frozen=True)
class Fetched:
    """A document that was fetched: the name under which it waits for somebody to use it, and where it came from."""

    reference: str
    host: str


def fetch_document(kind: type[Declares], url: str, *, actor: str, connection: Connection | None = None) -> Fetched:
    """Fetch a document of an API once, from the address that was entered; no connection is changed by it.

    Raises ``ConnectorError`` where it does not come, ``Invalid`` where it cannot be used; both are entered.
    """
    host = fetching.host_of(url)
    try:
        text = gateway.fetch(url, actor=actor, connection=connection)
        kind.described({"document": text})
    except (ConnectorError, ValueError) as failed:
        said = storable_text(str(failed))
        with transaction.atomic():
            record("document.fetched", actor=actor, target=connection, data={"host": host, "failed": said[:500]})
        if isinstance(failed, ConnectorError):
            raise
        raise Invalid(said, {"document": [said]}) from None
    with transaction.atomic():
        reference = texts.park(text)
        record("document.fetched", actor=actor, target=connection, data={"host": host, "document": reference})
    return Fetched(reference, host)


def test_connection(connection: Connection, *, actor: str) -> Health:
    """Try a connection and keep what came of it; never raises because of the other system."""
    health = gateway.check(connection, actor=actor)
    with transaction.atomic():
        connection.health = "ok" if health.ok else "failing"
        connection.health_message = health.message
        connection.checked_at = db_now()
        Connection.objects.filter(pk=connection.pk).update(
            health=connection.health, health_message=health.message, checked_at=connection.checked_at
        )
        record(
            "connection.tested",
            actor=actor,
            target=connection,
            data={"name": connection.slug, "ok": health.ok, "message": health.message[:500]},
        )
    return health


@transaction.atomic
def stop_everything(
    *, reason: str, actor: str, connection: Connection | None = None, operation: str = ""
) -> EmergencyStop:
    """Let nothing be written to any other system, or to one connection, until ``resume``. Raises ``Invalid``.

    With an ``operation`` that one alone is stopped, a read or a model call too.
    """
    if not reason.strip():
        raise Invalid("Say why everything must stop.", {"reason": ["Required."]})
    if operation and operation not in _operations(connection):
        raise Invalid(f"There is no operation {operation} to stop.", {"operation": ["Unknown."]})
    standing = EmergencyStop.objects.filter(connection=connection, operation=operation, ended_at=None).first()
    if standing is not None:
        return standing
    stop = EmergencyStop.objects.create(connection=connection, operation=operation, reason=reason.strip(), actor=actor)
    record("stop.started", actor=actor, target=stop, reason=stop.reason, data=_stopped(connection, operation))
    return stop


@transaction.atomic
def resume(*, reason: str, actor: str, connection: Connection | None = None, operation: str = "") -> int:
    """End the emergency stop of everything, of one connection or of one operation; says how many ended.

    Raises ``NothingStopped``.
    """
    if not reason.strip():
        raise Invalid("Say why it may go on.", {"reason": ["Required."]})
    ended = 0
    for stop in EmergencyStop.objects.filter(connection=connection, operation=operation, ended_at=None):
        ended += EmergencyStop.objects.filter(pk=stop.pk, ended_at=None).update(ended_at=db_now())
        record("stop.ended", actor=actor, target=stop, reason=reason.strip(), data=_stopped(connection, operation))
    if not ended:
        raise NothingStopped("No emergency stop is active there.")
    return ended


def reseal_secrets(*, actor: str) -> int:
    """Seal every secret anew that stands under an older key than the first in ``CREDENTIAL_KEY``; says how many.

    Raises ``vault.CannotOpen`` after all others are done, where one does not open; its key must stay until it is set.
    """
    count, closed = 0, []
    for key in Connection.objects.order_by("pk").values_list("pk", flat=True):
        try:
            count += _reseal(key, actor)
        except vault.CannotOpen as error:
            closed.append(str(error))
    if closed:
        raise vault.CannotOpen(" ".join(closed))
    return count


@transaction.atomic
def _reseal(key: int, actor: str) -> int:
    """Seal one connection's old secrets anew, whatever else of it may not be valid any more."""
    connection = Connection.objects.select_for_update().get(pk=key)
    old = [name for name, sealed in connection.secrets.items() if vault.needs_resealing(sealed)]
    opened = {name: vault.open_sealed(connection, name, connection.secrets[name]) for name in old}
    if not old:
        return 0
    sealed = {name: vault.seal(connection, name, value) for name, value in opened.items()}
    Connection.objects.filter(pk=key).update(secrets={**connection.secrets, **sealed})
    data = {"name": connection.slug, "secrets_renewed": sorted(old)}
    record("connection.changed", actor=actor, target=connection, reason="sealed under the new key", data=data)
    return len(old)


def _stopped(connection: Connection | None, operation: str) -> dict[str, str]:
    whole = {"connection": connection.slug if connection else "all"}
    return {**whole, "operation": operation} if operation else whole


def _operations(connection: Connection | None) -> set[str]:
    if connection is not None:
        return {operation.name for operation in registry.operations_of(connection)}
    every = {operation.name for kind in registry.KINDS.values() for operation in kind.operations}
    # Some kinds have the operations that their connections name.
    return every.union(*(_operations(one) for one in Connection.objects.exclude(kind="")))


def stopped(connection: Connection | None = None) -> EmergencyStop | None:
    """Return the emergency stop that holds for everything or for ``connection``, or ``None``."""
    stops = EmergencyStop.objects.filter(operation="", ended_at=None).order_by("started_at")
    return next((stop for stop in stops if stop.connection_id in (None, getattr(connection, "pk", None))), None)


def owner_named(username: str) -> User | None:
    """Return the person of that name, or ``None`` for a blank one. Raises ``Invalid``."""
    if not username:
        return None
    owner = User.objects.filter(username=username).first()
    if owner is None:
        raise Invalid(f"There is no user {username}.", {"owner": [f"There is no user {username}."]})
    return owner
