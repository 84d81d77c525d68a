"""One use of each kind of write of Dataverse, and short names for what tests do with it."""

from typing import Any

from connectors import gateway, registry
from connectors.base import Write
from connectors.models import Connection
from tests.connectors.business import ORDER

KEY, BACK = "a" * 40, "b" * 40
Arguments = dict[str, Any]


def asked(name: str, ids: dict[str, str]) -> tuple[str, Arguments]:
    """One use of each kind of write."""
    account, order = {"table": "account", "id": ids["account"]}, {"table": "salesorder", "id": ids["order"]}
    customer = {"lookup": "customerid", "to": "account", "navigation": "customerid_account"}
    uses: dict[str, tuple[str, Arguments]] = {
        "columns": ("record.update", {**account, "values": {"creditonhold": True, "creditlimit": 12.5}}),
        "together": (
            "records.update",
            {
                "changes": [
                    {**account, "values": {"creditonhold": True}},
                    {**order, "values": {"shippingmethodcode": 3}},
                ]
            },
        ),
        "lookup": ("record.link", {**order, **customer, "target": ids["other"]}),
        "cleared lookup": ("record.link", {**order, **customer, "target": ""}),
        "pair": (
            "record.associate",
            {**account, "relationship": "new_account_contact", "to": "contact", "target": ids["contact"]},
        ),
        "new case": (
            "record.create",
            {
                "table": "incident",
                "values": {"title": "Freight of " + ORDER, "new_ordernumber": ORDER, "prioritycode": 1},
                "links": [{**customer, "id": ids["account"]}],
            },
        ),
        "action": ("action.call", {"action": "hold", "id": ids["order"], "parameters": {"Reason": "Overdue"}}),
    }
    return uses[name]


USES = ["columns", "together", "lookup", "cleared lookup", "pair", "new case", "action"]
PATHS = {
    "columns": "PATCH .*accounts",
    "together": "POST .*batch",
    "lookup": "PATCH .*salesorders",
    "cleared lookup": "PATCH .*salesorders",
    "pair": "POST .*ref",
    "new case": "PATCH .*incidents",
    "action": "POST .*new_HoldOrder",
}


def write_of(connection: Connection, name: str) -> Write:
    found = registry.operation_of(connection, name)
    assert isinstance(found, Write)
    return found


def observed(connection: Connection, name: str, arguments: Arguments) -> Any:
    return gateway.observe(connection, name, arguments, actor="test")


def send(connection: Connection, name: str, arguments: Arguments, key: str = KEY, version: str = "") -> Any:
    return gateway.call(connection, name, arguments, actor="test", effect_key=key, version=version).written


def looked_for(connection: Connection, name: str, arguments: Arguments, key: str = KEY) -> Any:
    return gateway.find(connection, name, arguments, effect_key=key, actor="test")


def values(records: Any) -> dict[tuple[str, str, str], Any]:
    return {(row.entity, row.key, field): value for row in records for field, value in row.fields.items()}
