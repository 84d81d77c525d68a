"""What is wrong with posted invoices and payments: wrong prices and accounts, money that came back or never went."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from connectors.simulator.distributor.catalogue import CURRENCY
from connectors.simulator.distributor.invoicing import iso
from connectors.simulator.distributor.payables import said
from connectors.simulator.distributor.planting import Planted
from connectors.simulator.fo.entities import cents
from connectors.simulator.store import Fields

if TYPE_CHECKING:
    from connectors.simulator.distributor.business import Customer, Order, World
    from connectors.simulator.stream import Planner

SOURCES = {
    "wrong_invoice": "urn:distributor:contract-check",
    "payment_returned": "urn:distributor:bank-statements",
    "vendor_payment_failed": "urn:distributor:bank-statements",
}
RULES = {
    "wrong_invoice": ("INVOICE_DIFFERS_FROM_AGREEMENT", "CustInvoice", 62),
    "payment_returned": ("CUSTOMER_PAYMENT_RETURNED", "CustPayment", 345),
    "vendor_payment_failed": ("VENDOR_PAYMENT_FAILED", "VendPayment", 506),
}
PAID_AS_AGREED = 0.9


class _Money:
    """Writes into a world what went wrong after posting; it draws by itself, so that the rest stays as it was."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.draw = random.Random(f"money:{seed}")  # noqa: S311
        self.orders = {order.number: order for order in world.orders}
        self.customers = {one.account: one for one in world.customers}
        self.used = {fact.order for fact in world.planted}
        told = {fact.account for fact in world.planted}
        stopped = {fact.account for fact in world.planted if fact.kind == "credit_hold"}
        # Whose balance changes is in no other story; whose invoice is wrong is at least not in one about payments.
        self.calm = set(self.customers) - told
        self.free = set(self.customers) - stopped

    def bills(self, accounts: set[str], *, paid: bool) -> Iterator[tuple[Fields, Order, Customer]]:
        """Give the youngest invoices of some customers, each order once: wholly paid, or not at all."""
        bills = sorted(self.world.rows["SalesInvoiceHeadersV2"], key=lambda bill: str(bill["PostedAt"]), reverse=True)
        for bill in bills:
            account, order = str(bill["InvoiceCustomerAccountNumber"]), self.orders[str(bill["SalesOrderNumber"])]
            left = 0 if paid else bill["TotalInvoiceAmount"]
            if account not in accounts or order.number in self.used or order.duplicate:
                continue
            if bill["CreditedAmount"] or bill["RemainingAmount"] != left:
                continue
            self.used.add(order.number)
            yield bill, order, self.customers[account]

    def note(
        self, kind: str, cause: str, customer: Customer, *, key: str, order: str, amount: float, text: str
    ) -> None:
        """Remember what was planted about a customer."""
        entity = "invoice" if kind == "wrong_invoice" else "payment"
        attributes = {"legal_entity": customer.company}
        self.world.postings.append(
            Planted(
                kind, entity, key, customer.company, customer.region, cause, customer.account, order, amount, text,
                attributes,
            )
        )  # fmt: skip


def plant(world: World, seed: int) -> None:
    """Plant wrong invoices, returned payments of customers, and payments to vendors that failed."""
    money = _Money(world, seed)
    _wrong_invoices(money)
    _returned_payments(money)
    _failed_payments(money)


# --- invoices that are wrong ------------------------------------------------------------------------------
def _wrong_invoices(money: _Money) -> None:
    """Bill a price that the contract does not know, or an account that the order does not name; three look like it."""
    open_bills, paid = money.bills(money.free, paid=False), money.bills(money.free, paid=True)
    several = next(found for found in open_bills if len(found[1].lines) > 1)
    _wrong_invoice(money, "several_lines", *several)
    for cause in ("wrong_price", "wrong_price", "wrong_account", "wrong_account", "agreement_ended", "wrong_price"):
        _wrong_invoice(money, cause, *next(open_bills))
    _wrong_invoice(money, "paid_already", *next(paid))


def _wrong_invoice(money: _Money, cause: str, bill: Fields, order: Order, customer: Customer) -> None:
    number = str(bill["InvoiceNumber"])
    if cause == "wrong_account":
        near = (customer.company, customer.region)
        others = [one for one in money.world.customers if (one.company, one.region) == near and one is not customer]
        order.row["InvoiceCustomerAccountNumber"] = others[0].account
        what = f"was billed to {customer.account}, the order names {others[0].account}"
    else:
        agreements = 2 if cause == "several_lines" else 1
        contract = f"C-{money.world.number('contract', 101)}"
        order.row["ContractId"] = contract
        ended = order.created - timedelta(days=9) if cause == "agreement_ended" else None
        for line in order.lines[:agreements]:
            money.world.add(
                "SalesPriceAgreements",
                customer.company,
                ContractId=contract,
                ItemNumber=line["ItemNumber"],
                AgreedPrice=cents(line["SalesPrice"] * PAID_AS_AGREED),
                CurrencyCode=CURRENCY[customer.company],
                ValidFrom=f"{money.world.days_ago(300)}T12:00:00Z",
                ValidTo=f"{ended or money.world.today + timedelta(days=120)}T12:00:00Z",
            )
        what = f"charges other prices than contract {contract}"
    text = f"Invoice {number} {what}."
    amount = bill["TotalInvoiceAmount"]
    money.note("wrong_invoice", cause, customer, key=number, order=order.number, amount=amount, text=text)


# --- payments of customers ----------------------------------------------------------------------------------
def _returned_payments(money: _Money) -> None:
    """Let two payments come back from the bank; for a third F&O has not noticed, and a fourth was paid again."""
    paid = money.bills(money.calm, paid=True)
    for cause in ("returned", "returned", "still_settled", "paid_again"):
        bill, order, customer = next(paid)
        payments = money.world.rows["CustomerPayments"]
        payment = next(row for row in payments if row["InvoiceNumber"] == bill["InvoiceNumber"])
        came_back = _at(money, 2, 6)
        payment.update(PaymentStatus="Returned", StatusReason="Insufficient funds", StatusAt=iso(came_back))
        if cause == "returned":
            _owes_again(money, bill, customer)
        if cause == "paid_again":
            again = {**payment, "PaymentId": f"PAY-{money.world.number('payment', 20001)}", "PaymentStatus": "Posted"}
            payments.append({**again, "StatusReason": "", "PostedAt": iso(came_back + timedelta(hours=30))})
        key, amount = str(payment["PaymentId"]), float(payment["Amount"])
        text = f"Payment {key} of {customer.account} for {bill['InvoiceNumber']} came back."
        money.note("payment_returned", cause, customer, key=key, order=order.number, amount=amount, text=text)


def _owes_again(money: _Money, bill: Fields, customer: Customer) -> None:
    amount = bill["TotalInvoiceAmount"]
    bill["RemainingAmount"] = amount
    customer.row["OpenBalance"] = cents(customer.row["OpenBalance"] + amount)
    if bill["DueDate"] < money.world.today.isoformat():
        customer.row["OverdueAmount"] = cents(customer.row["OverdueAmount"] + amount)


def _at(money: _Money, days: float, hour: int) -> datetime:
    return datetime.combine(money.world.days_ago(days), time(hour, money.draw.randint(0, 59)), UTC)


# --- payments to vendors ------------------------------------------------------------------------------------
def _failed_payments(money: _Money) -> None:
    """Let the bank reject payments: after new bank details, for another reason, and one that went out since."""
    vendors = {row["VendorAccountNumber"]: row for row in money.world.rows["VendorsV2"]}
    numbers = sorted(vendors)
    # The fifth vendor's bank details were changed some days ago; those of the others have stood for a year.
    for cause, place, days in (("bank_changed", 4, 1), ("rejected_otherwise", 2, 2), ("paid_meanwhile", 3, 5)):
        vendor = vendors[numbers[place]]
        amount = cents(money.draw.uniform(600, 2200))
        number = f"R{money.draw.randint(100000, 999999)}"
        key = _vendor_payment(money, vendor, amount, number, days=days, status="Rejected")
        if cause == "paid_meanwhile":
            _vendor_payment(money, vendor, amount, number, days=days - 3, status="Confirmed")
        company, region = str(vendor["dataAreaId"]), str(vendor["Region"])
        account = str(vendor["VendorAccountNumber"])
        text = f"The bank rejected payment {key} to {account}."
        attributes = {"legal_entity": company, "vendor": account}
        money.world.postings.append(
            Planted(
                "vendor_payment_failed", "payment", key, company, region, cause, account, "", amount, text, attributes
            )
        )


def _vendor_payment(money: _Money, vendor: Fields, amount: float, number: str, *, days: float, status: str) -> str:
    world = money.world
    key = f"VP-{world.number('vendor payment', 80001)}"
    reason = "Account unknown at the receiving bank" if status == "Rejected" else ""
    world.add(
        "VendorPaymentJournalLines",
        str(vendor["dataAreaId"]),
        JournalBatchNumber=f"VPJ-{world.number('vendor payment journal', 501):06d}",
        LineNumber=1,
        PaymentId=key,
        VendorAccountNumber=vendor["VendorAccountNumber"],
        Amount=amount,
        CurrencyCode=vendor["CurrencyCode"],
        InvoiceNumber=number,
        PaidAt=iso(_at(money, days, 7)),
        PaymentStatus=status,
        StatusReason=reason,
        StatusAt=iso(_at(money, days, 15)),
    )
    return key


def tell(planner: Planner, seed: int) -> None:
    """Add what is said of them to a stream: an alert of F&O, and the word of whoever watches over it."""
    draw = random.Random(f"money-stream:{seed}")  # noqa: S311
    for fact in [fact for fact in planner.world.postings if fact.kind in RULES]:
        at = draw.uniform(8, max(9.0, planner.seconds - 24))
        rule, document, table = RULES[fact.kind]
        planner.alert(at, rule, fact.company, (fact.entity_key, document), text=fact.text, table=table)
        planner.cloud(at + draw.uniform(0.2, 4), SOURCES[fact.kind], said(fact))
