"""One write of a connection, from what is foreseen to what its undo puts back; the simulator is the witness."""

from typing import Any

from connectors import gateway, registry
from connectors.base import Write
from connectors.models import Connection
from tests.connectors.conftest import Simulated

KEY, LATER = "a" * 40, "b" * 40


def write_of(connection: Connection, name: str) -> Write:
    """Return a declared write."""
    found = registry.operation_of(connection, name)
    assert isinstance(found, Write)
    return found


def observed(connection: Connection, name: str, arguments: dict[str, Any]) -> Any:
    """Look at the records of a write."""
    return gateway.observe(connection, name, arguments, actor="test")


def send(connection: Connection, name: str, arguments: dict[str, Any], key: str = KEY, version: str = "") -> Any:
    """Send a write under a key."""
    return gateway.call(connection, name, arguments, actor="test", effect_key=key, version=version)


def says(records: Any) -> dict[tuple[str, str, str], Any]:
    """Return every value by entity, key and field."""
    return {(row.entity, row.key, field): value for row in records for field, value in row.fields.items()}


def there_and_back(connection: Connection, simulated: Simulated, name: str, arguments: dict[str, Any]) -> None:
    """Hold that a write does exactly what was foreseen, once, and that its undo puts back what was there."""
    write = write_of(connection, name)
    args = write.arguments.model_validate(arguments)
    before = observed(connection, name, arguments)
    predicted, undo = write.predict(args, before), write.undo(args, before, KEY)
    assert undo is not None

    send(connection, name, arguments, version=before[0].version)
    after = says(observed(connection, name, arguments))
    send(connection, undo.operation, undo.arguments, LATER)
    restored = says(observed(connection, name, arguments))

    assert {c.field: after[c.entity, c.key, c.field] for c in predicted} == {c.field: c.after for c in predicted}
    assert {c.field: restored.get((c.entity, c.key, c.field)) for c in predicted} == {
        c.field: c.before for c in predicted
    }
    assert len(simulated.effects(KEY)) == len(simulated.effects(LATER)) == 1
