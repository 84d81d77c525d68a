"""A small business, planted in the simulator: one invoice, one order with a line and a charge, one case."""

import json
from typing import Any, Protocol

ORDER, INVOICE, LOT, CUSTOMER = "SO-000001", "CIV-000001", "LOT-000001", "DE-001"
VENDOR, PENDING = "V-0001", "VI-000001"


class Plants(Protocol):
    """What takes records."""

    def plant(self, system: str, entity: str, **fields: Any) -> dict[str, Any]:
        """Let a record be there."""


def plant_customer(simulated: Plants, **changes: Any) -> None:
    fields = {
        "dataAreaId": "demf",
        "CustomerAccount": CUSTOMER,
        "OrganizationName": "Lamp House",
        "CurrencyCode": "EUR",
    }
    simulated.plant("fo", "CustomersV3", **{**fields, "OpenBalance": 5000.0, "CreditLimit": 10000.0, **changes})


def plant_invoice(simulated: Plants, **changes: Any) -> None:
    plant_customer(simulated)
    fields = {
        "dataAreaId": "demf",
        "InvoiceNumber": INVOICE,
        "InvoiceCustomerAccountNumber": CUSTOMER,
        "SalesOrderNumber": ORDER,
        "CustomersOrderReference": "PO-77",
        "CurrencyCode": "EUR",
        "TotalInvoiceAmount": 1250.5,
        "RemainingAmount": 1250.5,
        "CreditedAmount": 0,
    }
    simulated.plant("fo", "SalesInvoiceHeadersV2", **{**fields, **changes})


def plant_order(simulated: Plants, **changes: Any) -> None:
    order = {
        "dataAreaId": "demf",
        "SalesOrderNumber": ORDER,
        "OrderingCustomerAccountNumber": CUSTOMER,
        "CurrencyCode": "EUR",
        "OrderTotalAmount": 130.0,
        "DeliveryModeCode": "ROAD",
        "SalesOrderProcessingStatus": "OnHold",
        "CreditHold": "Yes",
        "CreditHoldReason": "Limit reached",
    }
    simulated.plant("fo", "SalesOrderHeadersV2", **{**order, **changes})
    line = {
        "dataAreaId": "demf",
        "InventoryLotId": LOT,
        "SalesOrderNumber": ORDER,
        "LineNumber": 1,
        "ItemNumber": "LAMP",
        "OrderedSalesQuantity": 10.0,
        "SalesPrice": 10.0,
        "LineAmount": 100.0,
        "LineStatus": "Backorder",
        "ShippingWarehouseId": "11",
    }
    simulated.plant("fo", "SalesOrderLines", **line)
    charge = {"SalesOrderNumber": ORDER, "ChargeLineNumber": 1, "SalesChargeCode": "FREIGHT", "FixedChargeAmount": 30.0}
    simulated.plant("fo", "SalesOrderCharges", dataAreaId="demf", ChargeCurrencyCode="EUR", **charge)
    for warehouse, quantity in (("11", 0.0), ("12", 25.0)):
        stock = {"ItemNumber": "LAMP", "WarehouseId": warehouse, "AvailableQuantity": quantity}
        simulated.plant("fo", "WarehousesOnHand", dataAreaId="demf", **stock)


def plant_payable(simulated: Plants) -> None:
    vendor = {"VendorAccountNumber": VENDOR, "VendorOrganizationName": "Wire Works", "CurrencyCode": "EUR"}
    simulated.plant("fo", "VendorsV2", dataAreaId="demf", **vendor, OnHoldStatus="No")
    invoice = {"InvoiceNumber": "R-77", "InvoiceAccount": VENDOR, "CurrencyCode": "EUR", "IsOnHold": "No"}
    simulated.plant("fo", "VendorInvoiceHeaders", dataAreaId="demf", HeaderReference=PENDING, **invoice)
    for number, amount in ((1, 120.25), (2, 79.75)):
        line = {"HeaderReference": PENDING, "LineNumber": number, "LineAmount": amount}
        simulated.plant("fo", "VendorInvoiceLines", dataAreaId="demf", **line)


def plant_case(simulated: Plants, **changes: Any) -> dict[str, Any]:
    account = simulated.plant("sf", "Account", Name="Lamp House", AccountNumber=CUSTOMER)
    fields = {"Subject": "Billed twice", "Status": "Working", "AccountId": account["Id"], "Order_Number__c": ORDER}
    return simulated.plant("sf", "Case", **{**fields, **changes})


ACTIONS: dict[str, dict[str, Any]] = {
    "hold": {
        "api": "new_HoldOrder",
        "table": "salesorder",
        "parameters": {"Reason": "text"},
        "sets": {"new_onhold": True},
        "undo": "release",
        "undo_parameters": {"Reason": "=Reason"},
        "mark_parameter": "Mark",
        "mark_column": "new_holdmark",
        "amount_column": "totalamount",
        "currency_column": "new_currency",
    },
    "release": {
        "api": "new_ReleaseOrder",
        "table": "salesorder",
        "parameters": {"Reason": "text"},
        "sets": {"new_onhold": False},
        "undo": "hold",
        "undo_parameters": {"Reason": "=Reason"},
        "repeatable": True,
    },
}
DATAVERSE: dict[str, Any] = {
    "actions": json.dumps(ACTIONS),
    "many_to_many": "account.new_account_contact",
    "tracked": "account(name,creditonhold), incident",
}


def plant_crm(simulated: Plants) -> dict[str, str]:
    """The same customer and order in Dataverse, a contact and a case; returns their ids."""
    account = simulated.plant("dv", "account", name="Lamp House", accountnumber=CUSTOMER, creditlimit=10000.0)
    other = simulated.plant("dv", "account", name="Wire Works", accountnumber="DE-002")
    contact = simulated.plant("dv", "contact", fullname="Buyer")
    pointing = {"_customerid_value": account["accountid"]}
    order = {"ordernumber": ORDER, "name": "Lamps", "totalamount": 130.0, "new_currency": "EUR"}
    made = simulated.plant("dv", "salesorder", **order, **pointing, shippingmethodcode=2)
    case = simulated.plant("dv", "incident", title="Billed twice", new_ordernumber=ORDER, **pointing)
    return {
        "account": account["accountid"],
        "other": other["accountid"],
        "contact": contact["contactid"],
        "order": made["salesorderid"],
        "case": case["incidentid"],
    }
