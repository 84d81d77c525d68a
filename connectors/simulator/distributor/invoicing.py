"""The money side of the distributor: confirmations, packing slips, invoices, payments, balances."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from connectors.simulator.distributor import planting
from connectors.simulator.distributor.catalogue import CURRENCY, TAX
from connectors.simulator.fo.entities import NO_DATE, cents
from connectors.simulator.store import Fields

if TYPE_CHECKING:
    from connectors.simulator.distributor.business import Customer, Order, World

TERMS_DAYS = 30


def iso(moment: datetime) -> str:
    """Write a moment as the store keeps it."""
    return moment.isoformat().replace("+00:00", "Z")


def confirm(world: World, order: Order, moment: datetime, channel: str) -> Fields:
    """Confirm an order to the customer by mail or over the EDI gateway."""
    message = f"EDI-{world.number('message', 771001)}" if channel == "EDI" else ""
    return world.add(
        "SalesOrderConfirmations",
        order.customer.company,
        ConfirmationId=f"CNF-{world.number('confirmation', 30001)}",
        SalesOrderNumber=order.number,
        SentAt=iso(moment),
        Channel=channel,
        GatewayMessageId=message,
    )


def ship(world: World, order: Order, moment: datetime, quantity: float) -> None:
    """Deliver goods and write the packing slip."""
    world.add(
        "PackingSlips",
        order.customer.company,
        PackingSlipId=f"PS-{world.number('slip', 50001)}",
        SalesOrderNumber=order.number,
        DeliveredAt=iso(moment),
        Quantity=quantity,
    )


def invoice(
    world: World, order: Order, moment: datetime, confirmation: Fields, *, user: str = "billing-batch", parts: int = 1
) -> Fields:
    """Post an invoice over an order, or over one of its equal parts; freight is its last line."""
    number = f"INV-{world.number('invoice', 10401)}"
    company = order.customer.company
    lines = [(line["ItemNumber"], line["OrderedSalesQuantity"] / parts, line["SalesPrice"]) for line in order.lines]
    lines.append(("FREIGHT", 1, cents(order.charge["FixedChargeAmount"] / parts)))
    net = 0.0
    for position, (item, quantity, price) in enumerate(lines, 1):
        amount = cents(quantity * price)
        net = cents(net + amount)
        world.add(
            "SalesInvoiceLines",
            company,
            InvoiceNumber=number,
            LineNumber=position,
            ItemNumber=item,
            Quantity=quantity,
            SalesPrice=price,
            LineAmount=amount,
        )
    tax = cents(Decimal(str(net)) * Decimal(TAX[order.customer.region]))
    due = moment.date() + timedelta(days=TERMS_DAYS)
    return world.add(
        "SalesInvoiceHeadersV2",
        company,
        InvoiceNumber=number,
        InvoiceCustomerAccountNumber=order.customer.account,
        SalesOrderNumber=order.number,
        CustomersOrderReference=order.row["CustomersOrderReference"],
        InvoiceDate=f"{moment.date().isoformat()}T12:00:00Z",
        DueDate=f"{due.isoformat()}T12:00:00Z",
        CurrencyCode=CURRENCY[company],
        TotalInvoiceAmount=cents(net + tax),
        TotalTaxAmount=tax,
        RemainingAmount=cents(net + tax),
        CreditedAmount=0,
        CreditNoteNumber="",
        PostedAt=iso(moment),
        PostedByUserId=user,
        ConfirmationId=confirmation["ConfirmationId"],
    )


def invoice_all(world: World) -> None:
    """Confirm every order; ship and invoice the finished ones, the doubled ones twice."""
    doubles = [order for order in world.orders if order.duplicate]
    for order in world.orders:
        draw = world.random
        placed = datetime.fromisoformat(order.row["OrderCreationDate"])
        confirmed = placed + timedelta(minutes=draw.randint(4, 55), seconds=draw.randint(0, 59))
        if order.duplicate:
            planting.invoice_twice(world, order, confirmed, doubles.index(order))
            continue
        confirmation = confirm(world, order, confirmed, draw.choice(("MAIL", "EDI")))
        if order.invoiced:
            ship(
                world, order, confirmed + timedelta(hours=20), sum(line["OrderedSalesQuantity"] for line in order.lines)
            )
            invoice(world, order, confirmed + timedelta(hours=22, minutes=draw.randint(0, 40)), confirmation)


def settle(world: World, bill: Fields, moment: datetime) -> None:
    """Post a payment that covers an invoice in full."""
    world.add(
        "CustomerPayments",
        bill["dataAreaId"],
        PaymentId=f"PAY-{world.number('payment', 20001)}",
        CustomerAccount=bill["InvoiceCustomerAccountNumber"],
        Amount=bill["TotalInvoiceAmount"],
        CurrencyCode=bill["CurrencyCode"],
        PostedAt=iso(moment),
        InvoiceNumber=bill["InvoiceNumber"],
    )
    bill["RemainingAmount"] = 0


def pay(world: World) -> None:
    """Let customers pay: what fell due is paid in time, but for those whose story says otherwise."""
    draw = world.random
    customers = {customer.account: customer for customer in world.customers}
    calm = [customer for customer in world.customers if customer.paid_before is None]
    # Late payers whose orders run on: being overdue alone is no exception.
    late = {customer.account for customer in draw.sample(calm, 4)}
    planting.choose_late_invoices(world, customers)
    for bill in world.rows["SalesInvoiceHeadersV2"]:
        customer = customers[bill["InvoiceCustomerAccountNumber"]]
        due = datetime.fromisoformat(bill["DueDate"])
        back, early, hour = draw.randint(2, 9), draw.random() < 0.3, draw.randint(8, 15)
        if bill["InvoiceNumber"] == customer.overdue_invoice or bill["CreditedAmount"] or _is_second(world, bill):
            continue
        if bill["InvoiceNumber"] == customer.late_invoice and customer.late_paid is not None:
            settle(world, bill, due.replace(hour=hour) + (customer.late_paid - due.date()))
        elif due.date() < world.today and customer.account in late:
            late.discard(customer.account)
        elif due.date() < world.today:
            day = due.date() - timedelta(days=back)
            if customer.paid_before is not None:
                day = min(day, customer.paid_before - timedelta(days=1))
            settle(world, bill, due.replace(hour=hour) + (day - due.date()))
        elif early and customer.paid_before is None:
            day = min(datetime.fromisoformat(bill["PostedAt"]).date() + timedelta(days=2), world.days_ago(1))
            settle(world, bill, due.replace(hour=hour) + (day - due.date()))


def _is_second(world: World, bill: Fields) -> bool:
    return any(fact.entity_key == bill["InvoiceNumber"] for fact in world.planted if fact.kind == "duplicate_invoice")


def balance(world: World) -> None:
    """Add up what each customer owes, how much of it is overdue, and their last payment."""
    today = world.today.isoformat()
    for customer in world.customers:
        bills = [
            b for b in world.rows["SalesInvoiceHeadersV2"] if b["InvoiceCustomerAccountNumber"] == customer.account
        ]
        payments = [p for p in world.rows["CustomerPayments"] if p["CustomerAccount"] == customer.account]
        last = max(payments, key=lambda payment: str(payment["PostedAt"]), default=None)
        owed = cents(sum(bill["RemainingAmount"] for bill in bills))
        overdue = cents(sum(bill["RemainingAmount"] for bill in bills if bill["DueDate"] < today))
        customer.row.update(
            OpenBalance=owed,
            OverdueAmount=overdue,
            LastPaymentDate=last["PostedAt"] if last else NO_DATE,
            LastPaymentAmount=last["Amount"] if last else 0,
            CreditLimit=_limit(world, customer, owed),
        )


def _limit(world: World, customer: Customer, owed: float) -> int:
    open_orders = sum(order.total for order in world.orders if order.customer is customer and not order.invoiced)
    return math.ceil((owed + open_orders) * 1.3 / 1000) * 1000 + 5000
