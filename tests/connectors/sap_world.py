"""SAP for tests: a small business in the simulator, and connections to it and to what a test plays itself."""

from typing import Any

from connectors import actions
from connectors.models import Connection
from tests.connectors.business import Plants
from tests.connectors.factories import HOOK_SECRET, SECRET

HOST = "https://s4.contoso.test"
ORDER, BILL, INVOICE, ENTRY = "1", "90000001", "5100000001", "100000007"
COMPANY, YEAR = "1010", "2026"
# An order that was entered for the wrong sales organization, and how it is entered anew.
WRONG = "4711"
REPLACE: dict[str, Any] = {
    "order": WRONG, "items": ["10", "20"], "reason": "Z9", "sales_organization": "1010", "conditions": ["PR00"],
}  # fmt: skip
V4 = "sales=/sap/opu/odata4/sap/api_salesorder/srvd_a2x/sap/api_salesorder/0001"
SERVICES = (
    "API_SALES_ORDER_SRV, API_SLS_DOC_WITH_CREDIT_BLOCK, API_BILLING_DOCUMENT_SRV, API_SUPPLIERINVOICE_PROCESS_SRV,"
    f" API_OPLACCTGDOCITEMCUBE_SRV, Z_IDOC_STATUS_SRV, {V4}"
)
CONFIG: dict[str, Any] = {
    "client": "100",
    "language": "EN",
    "services": SERVICES,
    "logical_system": "S4DCLNT100",
    "read_functions": "BAPI_COMPANYCODE_PERIOD_CHECK",
    "idoc_status_set": "Z_IDOC_STATUS_SRV/IDocSet",
}
JSON_GATEWAY: dict[str, Any] = {
    "rfc_style": "json",
    "rfc_path": "/sap/bc/rfc/{function}",
    "rfc_root": "/sap/bc/rfc",
    "rfc_csrf": True,
}


def make_sap(root: str = HOST, *, secret: str = SECRET, **changes: Any) -> Connection:
    """A connection to SAP that may do every write."""
    return actions.create_connection(
        changes.pop("slug", "sap"),
        "sap",
        actor="system:test",
        secrets={"password": secret},
        hook_secret=changes.pop("hook_secret", HOOK_SECRET),
        config={"base_url": root, "user": "goldseam", **CONFIG, **changes.pop("config", {})},
        operations=changes.pop("operations", ["*"]),
        **changes,
    )


def plant_sap(simulated: Plants) -> None:
    """One order with a credit block and a priced item, a bill, a supplier invoice, two journal entries."""
    simulated.plant(
        "sap",
        "A_SalesOrder",
        SalesOrder=ORDER,
        SalesOrderType="OR",
        SoldToParty="1000001",
        PurchaseOrderByCustomer="PO-77",
        TransactionCurrency="EUR",
        TotalNetAmount="100.00",
        CreationDate="2026-01-31",
        ShippingCondition="01",
        DeliveryBlockReason="Z1",
        TotalCreditCheckStatus="B",
    )
    item = {"SalesOrder": ORDER, "SalesOrderItem": "10", "TransactionCurrency": "EUR"}
    simulated.plant("sap", "A_SalesOrderItem", **item, Material="LAMP", RequestedQuantity="10", NetAmount="100.00")
    price = {"ConditionType": "PR00", "ConditionRateValue": "10", "ConditionQuantity": "1", "ConditionAmount": "100"}
    simulated.plant(
        "sap", "A_SalesOrderItemPrElement", **item, PricingProcedureStep="11", PricingProcedureCounter="1", **price
    )
    bill = {"CompanyCode": COMPANY, "SoldToParty": "1000001", "TotalNetAmount": "100.00", "TransactionCurrency": "EUR"}
    simulated.plant("sap", "A_BillingDocument", BillingDocument=BILL, BillingDocumentType="F2", **bill)
    owed = {"CompanyCode": COMPANY, "InvoicingParty": "3001", "SupplierInvoiceIDByInvcgParty": "R-77"}
    money = {"DocumentCurrency": "EUR", "InvoiceGrossAmount": "250.50", "PaymentBlockingReason": "R"}
    simulated.plant("sap", "A_SupplierInvoice", SupplierInvoice=INVOICE, FiscalYear=YEAR, **owed, **money)
    for number, amount, origin in ((ENTRY, "75.25", "BKPFF"), ("100000008", "12.00", "VBRK")):
        for line, sign, block in (("1", "", ""), ("2", "-", "A")):
            simulated.plant(
                "sap",
                "A_OperationalAcctgDocItemCube",
                CompanyCode=COMPANY,
                FiscalYear=YEAR,
                AccountingDocument=number,
                AccountingDocumentItem=line,
                AmountInTransactionCurrency=f"{sign}{amount}",
                TransactionCurrency="EUR",
                PaymentBlockingReason=block,
                ReferenceDocumentType=origin,
                GLAccount="400000" if line == "1" else "113100",
                PostingDate=f"{YEAR}-01-15",
                DocumentReferenceID="ACCRUAL-01",
            )


def plant_wrong_order(simulated: Plants, reason: str = "") -> None:
    """An order for the wrong sales organization; unless it is rejected it has all the lamps, and most of the credit."""
    area = {"SalesOrganization": "1710", "DistributionChannel": "10", "OrganizationDivision": "00"}
    head = {"SalesOrderType": "OR", "SoldToParty": "1000001", "PurchaseOrderByCustomer": "SO-4711"}
    state = {"OverallSDDocumentRejectionSts": "C", "OverallSDProcessStatus": "C"} if reason else {}
    money = {"TransactionCurrency": "EUR", "TotalNetAmount": "0" if reason else "130"}
    rest = {"RequestedDeliveryDate": "2026-02-10", "ShippingCondition": "01"}
    simulated.plant("sap", "A_SalesOrder", SalesOrder=WRONG, **area, **head, **state, **money, **rest)
    for item, material, quantity, amount in (("10", "LAMP", "8", "80"), ("20", "SHADE", "5", "50")):
        key = {"SalesOrder": WRONG, "SalesOrderItem": item}
        wanted = {"Material": material, "RequestedQuantity": quantity, "NetAmount": amount, "DeliveryStatus": "A"}
        rejected = {"SalesDocumentRjcnReason": reason, "TransactionCurrency": "EUR"}
        simulated.plant("sap", "A_SalesOrderItem", **key, **wanted, **rejected)
        price = {"ConditionType": "PR00", "ConditionRateValue": "10", "ConditionQuantity": "1"}
        place = {"PricingProcedureStep": "11", "PricingProcedureCounter": "1", "ConditionAmount": amount}
        simulated.plant("sap", "A_SalesOrderItemPrElement", **key, **price, **place, TransactionCurrency="EUR")
        day = {"ScheduleLineOrderQuantity": quantity, "ConfdOrderQtyByMatlAvailCheck": "0" if reason else quantity}
        simulated.plant("sap", "A_SalesOrderScheduleLine", **key, ScheduleLine="1", **day)
    for function, customer in (("SP", "1000001"), ("SH", "1000009")):
        partner = {"PartnerFunction": function, "Customer": customer}
        simulated.plant("sap", "A_SalesOrderHeaderPartner", SalesOrder=WRONG, **partner)
    simulated.plant("sap", "StockSet", Material="LAMP", Quantity="8")
    account = {"BusinessPartner": "1000001", "CreditLimit": "200", "Currency": "EUR"}
    simulated.plant("sap", "CreditAccountSet", **account)
