"""One order in three systems: what the kind says about their records, and records that say so."""

from typing import Any

from connectors.base import Record
from incidents.evidence import collect
from incidents.models import Incident
from tests.incidents.conftest import Systems
from tests.incidents.factories import make_incident, make_kind

SF_ORDER = "8015g00000A1bcQAA"
EVIDENCE: list[dict[str, Any]] = [
    {
        "as": "order",
        "connection": "fo",
        "operation": "order.find",
        "arguments": {"order": "incident.entity_key"},
        "one": True,
    },
    {
        "as": "sales",
        "connection": "crm",
        "operation": "orders.by_number",
        "arguments": {"order": "incident.entity_key"},
    },
    {
        "as": "cases",
        "connection": "crm",
        "operation": "cases.by_order",
        "arguments": {"order": "incident.entity_key"},
    },
]
ENTITIES: list[dict[str, Any]] = [
    {"record": "order", "is": "order", "key": "SalesOrderNumber", "names": {"account": "Customer"}},
    {"record": "sales", "is": "order", "key": "ErpNumber", "also": ["OrderNumber"]},
    {"record": "cases", "is": "case", "key": "CaseNumber", "names": {"order": "Order_Number__c"}},
]


def order_kind(code: str = "credit_hold", **changes: Any) -> None:
    """A kind about orders that reads all three systems."""
    given = {"title": "Order {incident.entity_key} is stuck", "evidence": EVIDENCE, "entities": ENTITIES, **changes}
    make_kind(code, **given)


def order_record(number: str = "SO-697", customer: str = "DE-001") -> Record:
    """The order as the ERP has it."""
    fields = {"SalesOrderNumber": number, "Customer": customer, "Text": f"please see SO-9 and {SF_ORDER}"}
    return Record("fo", "SalesOrderHeadersV2", f"demf/{number}", 'W/"1"', fields, f"https://fo.example/{number}")


def sales_record(number: str = "SO-697", sf_id: str = SF_ORDER, own: str = "00000101") -> Record:
    """The same order as the CRM has it."""
    return Record("crm", "Order", sf_id, "1", {"ErpNumber": number, "OrderNumber": own})


def case_record(order: str | None = "SO-697", number: str = "00001026") -> Record:
    """A case about it."""
    fields = {"CaseNumber": number, "Order_Number__c": order, "Description": "about SO-5"}
    return Record("crm", "Case", f"500{number}", "1", fields)


def stuck(**changes: Any) -> Incident:
    """An incident about the order, from the ERP."""
    return make_incident(**{"code": "credit_hold", "entity_type": "order", "entity_key": "SO-697", **changes})


def read(systems: Systems, incident: Incident, *sales: Record, cases: tuple[Record, ...] = ()) -> None:
    """Collect evidence in a world that holds the order of the incident and these records."""
    systems.hold("order.find", order_record(incident.entity_key))
    systems.hold("orders.by_number", *sales, connection="crm")
    systems.hold("cases.by_order", *cases, connection="crm")
    collect(incident, actor="system:loop")
