"""The distributor as the simulated SAP system keeps it: its orders, bills and supplier invoices under SAP's numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from connectors.simulator.sap.tables import CODES, SETS, SYSTEM
from connectors.simulator.store import Fields, Session

if TYPE_CHECKING:
    from connectors.simulator.distributor.business import World


def plant_business(session: Session, world: World) -> None:
    """Store the distributor's orders, bills and supplier invoices as SAP would keep them."""
    parties = {one.account: str(1_000_001 + number) for number, one in enumerate(world.customers)}
    rows: dict[str, list[Fields]] = {name: [] for name in SETS}
    for order in world.orders:
        _order(rows, order.row, order.lines, parties)
    for customer in world.customers:
        # No limit of SAP's own: F&O decides about credit.
        account = {"BusinessPartner": parties[customer.account], "Currency": customer.row["CurrencyCode"]}
        rows["CreditAccountSet"].append(account)
    for bill in world.rows["SalesInvoiceHeadersV2"]:
        rows["A_BillingDocument"].append(_bill(bill, parties))
    owed = _owed(world.rows["VendorInvoiceLines"])
    for invoice in world.rows["VendorInvoiceHeaders"]:
        header, item = _supplier_invoice(invoice, owed.get(str(invoice["HeaderReference"]), 0.0))
        rows["A_SupplierInvoice"].append(header)
        rows["A_OperationalAcctgDocItemCube"].append(item)
    for name, listed in rows.items():
        found = SETS[name]
        whole = [found.complete(row) for row in [*listed, *world.sap_rows[name]]]
        session.plant(SYSTEM, name, [(found.key_text(row), row) for row in whole])


def digits(text: str) -> str:
    """Give SAP's number for what F&O calls SO-000697."""
    return "".join(letter for letter in text if letter.isdigit()).lstrip("0") or "0"


def _order(rows: dict[str, list[Fields]], row: Fields, lines: Iterable[Fields], parties: dict[str, str]) -> None:
    number, currency = digits(str(row["SalesOrderNumber"])), row["CurrencyCode"]
    created, sold_to = str(row["OrderCreationDate"]), parties[str(row["OrderingCustomerAccountNumber"])]
    done = row["SalesOrderStatus"] == "Invoiced"
    rows["A_SalesOrder"].append(
        {
            "SalesOrder": number,
            "SalesOrderType": "OR",
            "SalesOrganization": CODES[str(row["dataAreaId"])],
            "DistributionChannel": "10",
            "OrganizationDivision": "00",
            "SoldToParty": sold_to,
            # Orders reach SAP from F&O: their number there is the reference under which SAP took them in.
            "PurchaseOrderByCustomer": row["SalesOrderNumber"],
            "TransactionCurrency": currency,
            "TotalNetAmount": sum(line["LineAmount"] for line in lines),
            "CreationDate": created[:10],
            "LastChangeDateTime": created[:19] + "Z",
            "ShippingCondition": "01",
            "TotalCreditCheckStatus": "B" if row.get("CreditHold") == "Yes" else "A",
            "OverallSDProcessStatus": "C" if done else "A",
            "OverallSDDocumentRejectionSts": "A",
        }
    )
    for function in ("SP", "SH"):
        rows["A_SalesOrderHeaderPartner"].append(
            {"SalesOrder": number, "PartnerFunction": function, "Customer": sold_to}
        )
    for line in lines:
        item = str(int(line["LineNumber"]) * 10)
        key = {"SalesOrder": number, "SalesOrderItem": item, "TransactionCurrency": currency}
        amount, quantity = line["LineAmount"], line["OrderedSalesQuantity"]
        wanted = {"Material": line["ItemNumber"], "RequestedQuantity": quantity, "NetAmount": amount}
        rows["A_SalesOrderItem"].append({**key, **wanted, "DeliveryStatus": "C" if done else "A"})
        day = {"ScheduleLineOrderQuantity": quantity, "ConfdOrderQtyByMatlAvailCheck": quantity}
        rows["A_SalesOrderScheduleLine"].append(
            {"SalesOrder": number, "SalesOrderItem": item, "ScheduleLine": "1", **day}
        )
        price = {"ConditionType": "PR00", "ConditionRateValue": line["SalesPrice"], "ConditionQuantity": 1}
        place = {"PricingProcedureStep": "11", "PricingProcedureCounter": "1"}
        rows["A_SalesOrderItemPrElement"].append({**key, **place, **price, "ConditionAmount": amount})


def _bill(bill: Fields, parties: dict[str, str]) -> Fields:
    return {
        "BillingDocument": digits(str(bill["InvoiceNumber"])),
        "BillingDocumentType": "F2",
        "CompanyCode": CODES[str(bill["dataAreaId"])],
        "SoldToParty": parties[str(bill["InvoiceCustomerAccountNumber"])],
        "TotalNetAmount": bill["TotalInvoiceAmount"],
        "TransactionCurrency": bill["CurrencyCode"],
        "BillingDocumentDate": str(bill["InvoiceDate"])[:10],
        "LastChangeDateTime": str(bill["InvoiceDate"])[:19] + "Z",
        "AccountingPostingStatus": "C",
        "DocumentReferenceID": bill["InvoiceNumber"],
    }


def _owed(lines: Iterable[Fields]) -> dict[str, float]:
    owed: dict[str, float] = {}
    for line in lines:
        name = str(line["HeaderReference"])
        owed[name] = owed.get(name, 0.0) + float(line["LineAmount"])
    return owed


def _supplier_invoice(row: Fields, amount: float) -> tuple[Fields, Fields]:
    number, day = digits(str(row["HeaderReference"])), str(row["InvoiceDate"])[:10]
    company, block = CODES[str(row["dataAreaId"])], "R" if row["IsOnHold"] == "Yes" else ""
    supplier, currency = digits(str(row["InvoiceAccount"])), row["CurrencyCode"]
    shared = {"CompanyCode": company, "FiscalYear": day[:4], "PostingDate": day, "PaymentBlockingReason": block}
    invoice = {
        **shared,
        "SupplierInvoice": str(5_100_000_000 + int(number)),
        "InvoicingParty": supplier,
        "SupplierInvoiceIDByInvcgParty": row["InvoiceNumber"],
        "DocumentCurrency": currency,
        "InvoiceGrossAmount": amount,
        "SupplierInvoiceStatus": "5",
    }
    item = {
        **shared,
        "AccountingDocument": str(5_100_000_000 + int(number)),
        "AccountingDocumentItem": "1",
        "AccountingDocumentType": "RE",
        "Supplier": supplier,
        "AmountInTransactionCurrency": -amount,
        "TransactionCurrency": currency,
        "ReferenceDocumentType": "RMRP",
        "GLAccount": "160000",
        "DocumentReferenceID": row["InvoiceNumber"],
    }
    return invoice, item
