"""By which ways something can be told: connections whose kind tells, as far as they are allowed to."""

from collections.abc import Sequence
from dataclasses import dataclass

from connectors import registry
from connectors.base import Tell
from connectors.models import Connection
from playbooks.telling.models import Subscription


@dataclass(frozen=True)
class Way:
    """One operation of one connection that tells something."""

    connection: Connection
    operation: str
    what: str
    # It takes addresses, and the connection names none itself.
    needs_recipients: bool = False

    @property
    def name(self) -> str:
        """Return what forms and files call it, such as hooks:event.send."""
        return f"{self.connection.slug}:{self.operation}"

    @property
    def label(self) -> str:
        """Return it in words."""
        return f"{self.connection.label or self.connection.slug}: {self.what}"


def known() -> list[Way]:
    """Return every way that may be used, by the connections' names."""
    return [
        Way(
            connection, operation.name, operation.label, operation.addressed and not connection.config.get("recipients")
        )
        for connection in Connection.objects.order_by("slug")
        for operation in registry.operations_of(connection)
        if isinstance(operation, Tell) and operation.name in connection.operations
    ]


def _addresses(connection: Connection) -> bool:
    return bool(connection.config.get("recipients"))


def objection(way: Way, recipients: Sequence[str], *, ask_approvers: bool) -> str:
    """Say why nothing could be told this way; blank: it can."""
    if way.needs_recipients and not recipients and not ask_approvers:
        return "Name somebody to write to: the connection has no addresses of its own."
    return ""


def named(name: str) -> Way | None:
    """Return the way of that name; ``None`` where there is none, or it may not be used."""
    return next((way for way in known() if way.name == name), None)


def name_of(subscription: Subscription) -> str:
    """Return the name of the way that a subscription goes by, whether or not it may be used still."""
    return f"{subscription.connection.slug}:{subscription.operation}"
