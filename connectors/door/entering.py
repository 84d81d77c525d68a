"""How a use comes in: what it takes and the row that it leaves, committed together before anything is sent."""

from dataclasses import dataclass, field
from typing import Any

from django.db import connection as database
from django.db import transaction

from connectors.base import Connector, ConnectorError
from connectors.door import calls
from connectors.door import rules as door
from connectors.models import Call, Connection


@dataclass(frozen=True)
class Entry:
    """How a use came in: its row, what it took and what it is to do; or why it may not."""

    row: Call
    passed: door.Passed = field(default_factory=door.Passed)
    valid: calls.Valid | None = None
    refusal: ConnectorError | None = None


def entered(
    use: calls.Use, connection: Connection, connector: Connector, arguments: dict[str, Any], tokens: int
) -> tuple[Call, door.Passed]:
    """Take what a use takes and open its row. Raises ``Blocked``, and ``RuntimeError`` inside a transaction.

    Where nothing seems to speak against it both are one statement, which does nothing where something does. Then, as
    where one is not possible, the rules are asked one after the other, so that the first of them speaks.
    """
    if database.in_atomic_block:
        # Django itself refuses where the caller has a transaction open. A statement of its own would not notice.
        with transaction.atomic(durable=True):
            pass
    foreseen = door.foresee(use.asked, connection, tokens)
    if foreseen is not None and foreseen[0].possible:
        row = calls.opened_with(use, arguments, foreseen[0])
        if row is not None:
            return row, foreseen[1]
    with transaction.atomic(durable=True):
        passed = door.admit(use.asked, connection, connector, tokens)
        return calls.opened(use, arguments), passed
