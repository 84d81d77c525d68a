"""One order in four systems, and connections that open it for finding by its number."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from connectors import gateway
from connectors.models import Connection
from tests.connectors.business import Plants
from tests.connectors.factories import CRM, ORG, ROOT, make_crm, make_dv, make_fo
from tests.connectors.sap_world import HOST, make_sap

SALES = "API_SALES_ORDER_SRV/A_SalesOrder"


@dataclass(frozen=True)
class Kind:
    """How one system names the order, its number and one more field, and what of it is open."""

    system: str  # the simulator's
    entity: str
    field: str
    other: str  # a text that it may be found by as well
    findable: str
    make: Callable[..., Connection]
    root: str  # where a test plays it
    path: str  # below which the simulator has it
    address: str  # where a list is asked for

    def connection(self, url: str = "", findable: str = "", **changes: Any) -> Connection:
        """A connection to the simulator at ``url``, or to what a test plays."""
        config = {"findable": findable or self.findable, **changes.pop("config", {})}
        given = {"secret": "simulator"} if url else {}
        return self.make(f"{url}{self.path}" if url else self.root, config=config, **given, **changes)

    def plant(self, simulated: Plants, number: str, order: int = 1, **more: Any) -> dict[str, Any]:
        """Let an order be there under a number that all systems share."""
        own: dict[str, dict[str, Any]] = {
            "fo": {"dataAreaId": "demf", "SalesOrderNumber": f"SO-{order}"},
            "sap": {"SalesOrder": str(order), "TotalNetAmount": "100.00"},
        }
        entity = self.entity.rpartition("/")[2]
        return simulated.plant(self.system, entity, **{**own.get(self.system, {}), self.field: number, **more})


KINDS = {
    "salesforce": Kind(
        "sf", "Order", "OrderReferenceNumber", "Status",
        "Order(OrderNumber) by OrderReferenceNumber, Status, AccountId:id, EffectiveDate:date, Amount__c:number,"
        " CreatedDate:time",
        make_crm, ORG, "/sf", "/services/data/v62.0/query",
    ),
    "dataverse": Kind(
        "dv", "salesorder", "ordernumber", "name",
        "salesorder(statecode) by ordernumber, name, _customerid_value:id, totalamount:number,"
        " shippingmethodcode:whole, new_onhold:yes_no, requestdeliverby:date, createdon:time",
        make_dv, CRM, "/dv", "/api/data/v9.2/salesorders",
    ),
    "dynamics_fo": Kind(
        "fo", "SalesOrderHeadersV2", "CustomersOrderReference", "DeliveryModeCode",
        "SalesOrderHeadersV2(CurrencyCode) by CustomersOrderReference, DeliveryModeCode, CreditHold:NoYes,"
        " OrderTotalAmount:number, RequestedShippingDate:date, OrderCreationDate:time",
        make_fo, ROOT, "/fo", "/data/SalesOrderHeadersV2",
    ),
    "sap": Kind(
        "sap", SALES, "PurchaseOrderByCustomer", "SoldToParty",
        f"{SALES}(TransactionCurrency) by PurchaseOrderByCustomer, SoldToParty, TotalNetAmount:number,"
        " CreationDate:date, LastChangeDateTime:time\nsales/SalesOrder by PurchaseOrderByCustomer, CreationDate:date,"
        " TotalNetAmount:number, LastChangeDateTime:time",
        make_sap, HOST, "", "/sap/opu/odata/sap/API_SALES_ORDER_SRV/A_SalesOrder",
    ),
}  # fmt: skip


def answer_of(kind: str, *rows: dict[str, Any], more: bool = False) -> dict[str, Any]:
    """A list as a system writes it; ``more``: it says that it goes on."""
    world = KINDS[kind]
    if kind == "salesforce":
        rest = {"nextRecordsUrl": "/services/data/v62.0/query/01g-200"} if more else {}
        return {"totalSize": len(rows), "done": not more, "records": list(rows), **rest}
    link = f"{world.root}{world.address}?$skiptoken=1"
    if kind == "sap":
        return {"d": {"results": list(rows), **({"__next": link} if more else {})}}
    return {"value": list(rows), **({"@odata.nextLink": link} if more else {})}


def row_of(kind: str, number: str, order: int = 1) -> dict[str, Any]:
    """An order in a list as a system writes it."""
    guid = f"2f0c1c1e-0000-0000-0000-{order:012d}"
    rows: dict[str, dict[str, Any]] = {
        "salesforce": {"attributes": {"type": "Order"}, "Id": f"801gs000000{order:04d}AAA", "OrderNumber": "7"},
        "dataverse": {"@odata.etag": 'W/"1"', "salesorderid": guid, "statecode": 0},
        "dynamics_fo": {"@odata.etag": 'W/"1"', "dataAreaId": "demf", "SalesOrderNumber": f"SO-{order}"},
        "sap": {"__metadata": {"etag": "W/\"'1'\""}, "SalesOrder": str(order), "TransactionCurrency": "EUR"},
    }
    return {**rows[kind], KINDS[kind].field: number}


def find(connection: Connection, entity: str, where: dict[str, Any], **more: Any) -> list[Any]:
    """Find records through the door."""
    asked = {"entity": entity, "where": where, **more}
    return gateway.call(connection, "record.find", asked, actor="test").records
