"""Which kinds of connector there are, and how a configured connection becomes a usable one. One line per kind."""

import json
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.utils.module_loading import import_string
from pydantic import ValidationError

from connectors import vault
from connectors.base import Blocked, Connector, ConnectorError, Operation, Trace
from connectors.kit import declaredactions
from connectors.kit.changed import Changed
from connectors.kit.needs import Told
from connectors.kit.pages import Page, Pages, page
from connectors.models import Connection
from connectors.talk.tickets import Tickets
from connectors.transport import Http

_KINDS = (
    "connectors.kinds.dynamics_fo.connector.DynamicsFO",
    "connectors.kinds.dataverse.connector.Dataverse",
    "connectors.kinds.salesforce.connector.Salesforce",
    "connectors.kinds.sap.connector.Sap",
    "connectors.kinds.mail.connector.Mail",
    "connectors.kinds.slack.connector.Slack",
    "connectors.kinds.teams.connector.Teams",
    "connectors.kinds.openai.connector.OpenAIModel",
    "connectors.kinds.openapi.connector.OpenApi",
    "connectors.kinds.cloudevents.connector.CloudEvents",
)


def loaded(path: str) -> type[Connector]:
    """Return the kind that a line names. Raises ``ImportError`` and ``TypeError``: without it nothing starts."""
    kind = import_string(path)
    if not (isinstance(kind, type) and issubclass(kind, Connector)):
        raise TypeError(f"{path} is no kind of connector.")
    return kind


KINDS: dict[str, type[Connector]] = {kind.slug: kind for kind in map(loaded, _KINDS)}


def kind_of(connection: Connection) -> type[Connector]:
    """Return the kind of a connection. Raises ``Blocked`` where it is not installed."""
    kind = KINDS.get(connection.kind)
    if kind is None:
        raise Blocked(f"The connection {connection.slug} is of the unknown kind “{connection.kind}”.", code="disabled")
    return kind


def settings_of(connection: Connection) -> Any:
    """Return the settings of a connection. Raises ``ValidationError``, ``Blocked`` where its kind is not installed.

    Held against the kind's schema once for each configuration in each process. What stands in the row is the key, so
    a change is seen at once, whoever made it.
    """
    kind = kind_of(connection)
    try:
        text = json.dumps(connection.config)
    except (TypeError, ValueError):
        # It was never stored, so it may hold anything.
        return kind.config.model_validate(connection.config)
    return _settings(kind, text)


@lru_cache(maxsize=512)
def _settings(kind: type[Connector], config: str) -> Any:
    return kind.config.model_validate(json.loads(config))


def operations_of(connection: Connection) -> tuple[Operation, ...]:
    """Return what a connection could do, were all of it allowed; nothing where its kind is not installed."""
    kind = KINDS.get(connection.kind)
    if kind is None:
        return ()
    try:
        return kind.operations_of(settings_of(connection))
    except ValidationError:
        # Its kind's own operations stay known, so that what is under way can say what is wrong.
        return kind.operations


def operation_of(connection: Connection, name: str) -> Operation | None:
    """Return the operation of that name, or ``None`` where the connection has none such."""
    return next((operation for operation in operations_of(connection) if operation.name == name), None)


def queryable_of(connection: Connection) -> frozenset[str]:
    """Return the entities that free queries may read; none where the connection's configuration is not usable."""
    try:
        return kind_of(connection).queryable(settings_of(connection))
    except (Blocked, ValidationError):
        return frozenset()


def needs_of(connection: Connection) -> Told:
    """Return what its kind says of rights and undos; nothing where it says nothing or the settings are not usable."""
    kind = KINDS.get(connection.kind)
    tell = _beside(kind.__module__, "rights", "needs") if kind else None
    if kind is None or tell is None:
        return Told()
    try:
        told: Told = tell(settings_of(connection))
        return told
    except (ValidationError, ConnectorError):
        return Told()


def lasting_of(connection: Connection, operation: str, parameters: Mapping[str, Any]) -> str:
    """Return why nothing takes an effect back, as the connection states it; blank where it states nothing.

    A kind states it in the function ``lasting`` of its module ``rights``; declared actions state it in themselves.
    """
    kind = KINDS.get(connection.kind)
    try:
        settings = settings_of(connection)
        tell = _beside(kind.__module__, "rights", "lasting") if kind else None
        return str((tell or declaredactions.lasting)(settings, operation, parameters))
    except (ValidationError, ConnectorError):
        return ""


@cache
def _beside(kind: str, module: str, function: str) -> Callable[..., Any] | None:
    """Return a function of a module beside a kind's own, which may have none."""
    folder = kind.rpartition(".")[0]
    if not folder.startswith("connectors.kinds.") or find_spec(f"{folder}.{module}") is None:
        return None
    found: Callable[..., Any] | None = getattr(import_module(f"{folder}.{module}"), function, None)
    return found


def pages_of(connection: Connection) -> Pages | None:
    """Return what the kind knows of its front end, ``None`` where it declares nothing."""
    found = getattr(KINDS.get(connection.kind), "pages", None)
    return found if isinstance(found, Pages) else None


def tickets_of(connection: Connection) -> Tickets | None:
    """Return how the system of a connection keeps tickets, ``None`` where its kind knows of none."""
    found = getattr(KINDS.get(connection.kind), "tickets", None)
    return found if isinstance(found, Tickets) else None


def page_of(connection: Connection, entity: str, key: str) -> Page | None:
    """Return the link to a record in the connected system, ``None`` where its kind knows none."""
    pages = pages_of(connection)
    return page(pages, connection.config, entity, key) if pages else None


def record_named(connection: Connection, event: str, payload: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return entity and key of the record that an event of the system is about, where its kind can tell."""
    pages = pages_of(connection)
    return pages.names(event, payload) if pages else None


def identity_of(connection: Connection, payload: Mapping[str, Any]) -> str:
    """Return what names a complete payload however it was told; blank where only its delivery's id does."""
    kind = KINDS.get(connection.kind)
    return kind.identity(payload) if kind else ""


def change_of(connection: Connection, event: str, payload: Mapping[str, Any]) -> Changed | None:
    """Return which change of which record a complete payload tells of; ``None`` where its kind knows of none."""
    kind = KINDS.get(connection.kind)
    tell = _beside(kind.__module__, "changed", "change") if kind else None
    if kind is None or tell is None:
        return None
    try:
        told: Changed | None = tell(event, payload, settings_of(connection))
        return told
    except (ValidationError, ConnectorError):
        return None


def polled(connection: Connection, event: str, payload: Mapping[str, Any]) -> bool:
    """Tell what a poll of the connection found from what was delivered to its hook."""
    return KINDS.get(connection.kind, Connector).polled(event, payload)


def channel_of(connection: Connection, event: str, payload: Mapping[str, Any]) -> str:
    """Return by which way an event came: poll, hook, or what its kind says of itself, such as chat."""
    kind = KINDS.get(connection.kind, Connector)
    return kind.channel or ("poll" if polled(connection, event, payload) else "hook")


def opened_secrets(connection: Connection) -> dict[str, str]:
    """Open the secrets of a connection. Raises ``Blocked`` where one does not open."""
    try:
        return {name: vault.open_sealed(connection, name, sealed) for name, sealed in connection.secrets.items()}
    except vault.CannotOpen as closed:
        raise Blocked(f"{connection.slug}: {closed}", code="credentials") from None


def connector_for(connection: Connection, secrets: dict[str, str] | None = None) -> Connector:
    """Make a connector of a saved connection, for one use. Raises ``Blocked`` where its configuration is not usable."""
    kind = kind_of(connection)
    try:
        settings = settings_of(connection)
    except ValidationError as invalid:
        fields = ", ".join(str(error["loc"][0]) if error["loc"] else "config" for error in invalid.errors())
        raise Blocked(f"The configuration of {connection.slug} is not valid: {fields}.", code="disabled") from None
    opened = opened_secrets(connection) if secrets is None else secrets
    connector = kind(name=connection.slug, settings=settings, secrets=opened, http=Http(connection.slug, Trace()))
    connector.bookmarks = dict(connection.bookmarks)
    return connector
