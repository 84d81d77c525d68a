"""What F&O does when it is told to: writes, bound actions, and the side effects that nobody asked for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeAlias

from connectors.simulator.fo.entities import COMPANY, ENTITY_SETS, EntitySet, cents
from connectors.simulator.messages import Refusal
from connectors.simulator.store import SIDE_EFFECT, Fields, Record, Session

Bound: TypeAlias = Callable[[Session, EntitySet, Record, Fields], Any]


def infolog(entity: EntitySet, text: str) -> Refusal:
    """Make the refusal of a business rule in the Infolog wording."""
    return Refusal(400, f"Write failed for table row of type '{entity.name}'. Infolog: Error: {text}")


def _save(session: Session, entity: EntitySet, record: Record, changes: Fields, kind: str) -> Record:
    return session.put("fo", entity.name, record.key, {**record.fields, **changes}, kind=kind)


def _nudge(session: Session, name: str, key: Fields, deltas: dict[str, float]) -> None:
    """Add amounts to another record as a side effect; a record that is not there is nobody's loss."""
    entity = ENTITY_SETS[name]
    record = session.get("fo", name, entity.key_text(key))
    moved = {field: amount for field, amount in deltas.items() if cents(amount)}
    if record is not None and moved:
        sums = {field: cents(record.fields[field] + amount) for field, amount in moved.items()}
        _save(session, entity, record, sums, SIDE_EFFECT)


def _nudge_order(session: Session, fields: Fields, amount: float) -> None:
    key = {COMPANY: fields[COMPANY], "SalesOrderNumber": fields["SalesOrderNumber"]}
    _nudge(session, "SalesOrderHeadersV2", key, {"OrderTotalAmount": amount})


def _nudge_customer(session: Session, company: str, account: str, amount: float) -> None:
    _nudge(session, "CustomersV3", {COMPANY: company, "CustomerAccount": account}, {"OpenBalance": amount})


def create(session: Session, entity: EntitySet, body: Fields) -> Record:
    """Insert a record; a key left out comes from a number sequence, so a repeated POST makes a second record."""
    if entity.posted:
        raise infolog(entity, "Records of this entity are created by posting only.")
    for name in entity.keys:
        if body.get(name) in (None, "") and entity.sequence is not None and name != COMPANY:
            number = session.next_number(entity.name, entity.sequence[1])
            body = {**body, name: entity.sequence[0].format(number) if entity.sequence[0] else number}
        if name not in body:
            raise infolog(entity, f"Field '{name}' must be filled in.")
    fields = entity.complete(body)
    key = entity.key_text(fields)
    if session.get("fo", entity.name, key) is not None:
        raise infolog(entity, "Cannot create a record. The record already exists.")
    if entity.name == "SalesOrderLines":
        fields["LineAmount"] = cents(fields["OrderedSalesQuantity"] * fields["SalesPrice"])
    record = session.put("fo", entity.name, key, fields, kind="create")
    _total_follows(session, entity, 0, _worth(entity, fields), fields)
    return record


def delete(session: Session, entity: EntitySet, record: Record) -> None:
    """Delete a record that was never posted."""
    if entity.posted or record.fields.get("IsPosted") == "Yes":
        raise infolog(entity, "The document is posted and cannot be deleted.")
    session.remove(record, kind="delete")
    _total_follows(session, entity, _worth(entity, record.fields), 0, record.fields)


def patch(session: Session, entity: EntitySet, record: Record, body: Fields) -> Record:
    """Change the named properties only. Equal values are a write all the same: a double send must show."""
    if entity.posted or record.fields.get("IsPosted") == "Yes":
        raise infolog(entity, "The document is posted and cannot be changed.")
    changes = {name: entity.property(name).coerce(value) for name, value in body.items()}
    if any(name in entity.keys and value != record.fields[name] for name, value in changes.items()):
        raise infolog(entity, "The key of a record cannot be changed.")
    fields = {**record.fields, **changes}
    moved = False
    if entity.name == "SalesOrderLines":
        if {"SalesPrice", "OrderedSalesQuantity"} & set(changes):
            fields["LineAmount"] = cents(fields["OrderedSalesQuantity"] * fields["SalesPrice"])
        moved = fields["ShippingWarehouseId"] != record.fields["ShippingWarehouseId"]
    if moved:
        fields["LineStatus"] = _status_at_new_warehouse(session, record.fields, fields)
    saved = session.put("fo", entity.name, record.key, fields, kind="update")
    if moved:
        _move_stock(session, record.fields, fields)
    _total_follows(session, entity, _worth(entity, record.fields), _worth(entity, fields), fields)
    return saved


def _worth(entity: EntitySet, fields: Fields) -> float:
    """Say what a record adds to its order's total."""
    name = {"SalesOrderCharges": "FixedChargeAmount", "SalesOrderLines": "LineAmount"}.get(entity.name)
    return float(fields[name]) if name else 0.0


def _total_follows(session: Session, entity: EntitySet, before: float, after: float, fields: Fields) -> None:
    if entity.name in ("SalesOrderCharges", "SalesOrderLines"):
        _nudge_order(session, fields, cents(after - before))


def _stock_key(fields: Fields) -> Fields:
    return {
        COMPANY: fields[COMPANY],
        "ItemNumber": fields["ItemNumber"],
        "WarehouseId": fields["ShippingWarehouseId"],
    }


def _status_at_new_warehouse(session: Session, before: Fields, after: Fields) -> str:
    """A line that moves is reserved where stock covers it, and waits where it does not."""
    if before["LineStatus"] == "Delivered":
        raise infolog(ENTITY_SETS["SalesOrderLines"], "The line is delivered; its warehouse cannot be changed.")
    stock = ENTITY_SETS["WarehousesOnHand"]
    record = session.get("fo", stock.name, stock.key_text(_stock_key(after)))
    available = record.fields["AvailableQuantity"] if record is not None else 0
    return "Reserved" if available >= after["OrderedSalesQuantity"] else "Backorder"


def _move_stock(session: Session, before: Fields, after: Fields) -> None:
    if before["LineStatus"] == "Reserved":
        key = _stock_key(before)
        _nudge(session, "WarehousesOnHand", key, {"AvailableQuantity": before["OrderedSalesQuantity"]})
    if after["LineStatus"] == "Reserved":
        key = _stock_key(after)
        _nudge(session, "WarehousesOnHand", key, {"AvailableQuantity": -after["OrderedSalesQuantity"]})


def _require_open_period(session: Session, entity: EntitySet, company: str) -> None:
    """Refuse to post today when today's fiscal period is closed; an unknown period is open."""
    today = datetime.now(UTC).strftime("%Y-%m")
    periods = ENTITY_SETS["FiscalPeriods"]
    record = session.get("fo", periods.name, periods.key_text({COMPANY: company, "PeriodName": today}))
    if record is not None and record.fields["Status"] == "Closed":
        raise infolog(entity, f"Fiscal period {today} of company {company} is closed; posting is not allowed.")


def _text(body: Fields, name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        raise Refusal(400, f"The parameter '{name}' must be a string.")
    return value


def credit_invoice(session: Session, entity: EntitySet, record: Record, body: Fields) -> str:
    """Post a credit note against an invoice and answer its number.

    Each call draws new numbers: it is not idempotent. Without `Amount` it credits all that is left, so a repeat
    is refused; with a part `Amount` a repeat credits twice. Only `Reference` (kept as the note's CustomerReference)
    tells whose note it is.
    """
    invoice = record.fields
    company = invoice[COMPANY]
    _require_open_period(session, entity, company)
    left = cents(invoice["TotalInvoiceAmount"] - invoice["CreditedAmount"])
    amount = entity.property("CreditedAmount").coerce(body.get("Amount", left))
    if left <= 0:
        raise infolog(entity, f"Invoice {invoice['InvoiceNumber']} is already credited in full.")
    if not 0 < amount <= left:
        raise infolog(entity, f"The credit amount must lie between 0 and {left:.2f}.")
    notes = ENTITY_SETS["FreeTextInvoiceHeaders"]
    number = f"CN-{session.next_number('CreditNote', 900001):06d}"
    note = notes.complete(
        {
            COMPANY: company,
            "InvoiceIdentifier": session.next_number(notes.name, 68719480001),
            "CustomerAccount": invoice["InvoiceCustomerAccountNumber"],
            "FreeTextNumber": number,
            "IsCorrection": "Yes",
            "CorrectedInvoiceId": invoice["InvoiceNumber"],
            "CurrencyCode": invoice["CurrencyCode"],
            "InvoiceAmount": -amount,
            "IsPosted": "Yes",
            "CustomerReference": _text(body, "Reference"),
            "InvoiceDate": datetime.now(UTC).strftime("%Y-%m-%dT12:00:00Z"),
        }
    )
    changes = {
        "CreditedAmount": cents(invoice["CreditedAmount"] + amount),
        "RemainingAmount": cents(invoice["RemainingAmount"] - amount),
        "CreditNoteNumber": number,
    }
    _save(session, entity, record, changes, "action:CreditInvoice")
    session.put("fo", notes.name, notes.key_text(note), note, kind=SIDE_EFFECT)
    _nudge_customer(session, company, invoice["InvoiceCustomerAccountNumber"], -amount)
    return number


def reverse_credit_note(session: Session, entity: EntitySet, record: Record, body: Fields) -> str:
    """Take a credit note back: the invoice owes again, the customer's balance rises."""
    note = record.fields
    company = note[COMPANY]
    if note["IsCorrection"] != "Yes" or note["IsPosted"] != "Yes" or note["InvoiceAmount"] >= 0:
        raise infolog(entity, "Only a posted credit note can be reversed.")
    if note["IsReversed"] == "Yes":
        raise infolog(entity, f"Credit note {note['FreeTextNumber']} is already reversed.")
    _require_open_period(session, entity, company)
    amount = -note["InvoiceAmount"]
    changes = {"IsReversed": "Yes", "ReversalReference": _text(body, "Reference")}
    _save(session, entity, record, changes, "action:ReverseCreditNote")
    invoices = ENTITY_SETS["SalesInvoiceHeadersV2"]
    key = {COMPANY: company, "InvoiceNumber": note["CorrectedInvoiceId"]}
    invoice = session.get("fo", invoices.name, invoices.key_text(key))
    if invoice is not None:
        credited = cents(invoice.fields["CreditedAmount"] - amount)
        restored: Fields = {
            "CreditedAmount": credited,
            "RemainingAmount": cents(invoice.fields["RemainingAmount"] + amount),
            "CreditNoteNumber": invoice.fields["CreditNoteNumber"] if credited else "",
        }
        _save(session, invoices, invoice, restored, SIDE_EFFECT)
    _nudge_customer(session, company, note["CustomerAccount"], amount)
    return str(note["FreeTextNumber"])


def reissue_invoice(session: Session, entity: EntitySet, record: Record, body: Fields) -> str:
    """Post an invoice in the place of one that is credited in full, and answer its number.

    It is the old one with one line at another price, or for another account, taxed at the same rate. Like every
    posting it draws new numbers; only `Reference` tells whose it is.
    """
    invoice, notes = record.fields, ENTITY_SETS["FreeTextInvoiceHeaders"]
    company, number = invoice[COMPANY], invoice["InvoiceNumber"]
    _require_open_period(session, entity, company)
    if cents(invoice["TotalInvoiceAmount"] - invoice["CreditedAmount"]) > 0:
        raise infolog(entity, f"Invoice {number} is not credited in full; credit it first.")
    live = [
        row.fields["FreeTextNumber"]
        for row in session.records("fo", notes.name)
        if (row.fields[COMPANY], row.fields["CorrectedInvoiceId"], row.fields["IsReversed"]) == (company, number, "No")
        and row.fields["InvoiceAmount"] > 0
    ]
    if live:
        raise infolog(entity, f"Invoice {number} was issued anew already as {live[0]}.")
    account = _text(body, "InvoiceAccount") or invoice["InvoiceCustomerAccountNumber"]
    customers = ENTITY_SETS["CustomersV3"]
    if session.get("fo", customers.name, customers.key_text({COMPANY: company, "CustomerAccount": account})) is None:
        raise infolog(entity, f"The value '{account}' in field 'Invoice account' is not found.")
    amount = _new_total(session, entity, invoice, body)
    made = _free_text(session, invoice, account, amount, _text(body, "Reference"))
    session.put("fo", notes.name, notes.key_text(made), made, kind="action:ReissueInvoice")
    _nudge_customer(session, company, account, amount)
    return str(made["FreeTextNumber"])


def _new_total(session: Session, entity: EntitySet, invoice: Fields, body: Fields) -> float:
    """Price the one line anew where one is named; the tax follows at the old rate."""
    total, tax = invoice["TotalInvoiceAmount"], invoice["TotalTaxAmount"]
    if "LineNumber" not in body:
        return float(total)
    lines = ENTITY_SETS["SalesInvoiceLines"]
    number = lines.property("LineNumber").coerce(body["LineNumber"])
    key = {COMPANY: invoice[COMPANY], "InvoiceNumber": invoice["InvoiceNumber"], "LineNumber": number}
    line = session.get("fo", lines.name, lines.key_text(key))
    if line is None:
        raise infolog(entity, f"Line {number} of invoice {invoice['InvoiceNumber']} is not found.")
    price = lines.property("SalesPrice").coerce(body.get("SalesPrice"))
    net = cents(total - tax)
    after = cents(net - line.fields["LineAmount"] + cents(line.fields["Quantity"] * price))
    return cents(after + cents(Decimal(str(tax)) * Decimal(str(after)) / Decimal(str(net)))) if net else after


def _free_text(session: Session, invoice: Fields, account: str, amount: float, reference: str) -> Fields:
    notes = ENTITY_SETS["FreeTextInvoiceHeaders"]
    return notes.complete(
        {
            COMPANY: invoice[COMPANY],
            "InvoiceIdentifier": session.next_number(notes.name, 68719480001),
            "CustomerAccount": account,
            "FreeTextNumber": f"FTI-{session.next_number('FreeTextInvoice', 700001):06d}",
            "IsCorrection": "Yes",
            "CorrectedInvoiceId": invoice["InvoiceNumber"],
            "CurrencyCode": invoice["CurrencyCode"],
            "InvoiceAmount": amount,
            "IsPosted": "Yes",
            "CustomerReference": reference,
            "InvoiceDate": datetime.now(UTC).strftime("%Y-%m-%dT12:00:00Z"),
        }
    )


def credit_free_text_invoice(session: Session, entity: EntitySet, record: Record, body: Fields) -> str:
    """Credit a posted free text invoice by a note of its own; it is marked with whose doing that was."""
    made = record.fields
    if made["IsPosted"] != "Yes" or made["InvoiceAmount"] <= 0:
        raise infolog(entity, "Only a posted invoice can be credited.")
    if made["IsReversed"] == "Yes":
        raise infolog(entity, f"Invoice {made['FreeTextNumber']} is credited already.")
    _require_open_period(session, entity, made[COMPANY])
    reference = _text(body, "Reference")
    changes = {"IsReversed": "Yes", "ReversalReference": reference}
    _save(session, entity, record, changes, "action:CreditFreeTextInvoice")
    named = {**made, "InvoiceNumber": made["FreeTextNumber"]}
    note = _free_text(session, named, made["CustomerAccount"], -made["InvoiceAmount"], reference)
    session.put("fo", entity.name, entity.key_text(note), note, kind=SIDE_EFFECT)
    _nudge_customer(session, made[COMPANY], made["CustomerAccount"], -made["InvoiceAmount"])
    return str(note["FreeTextNumber"])


def _set_hold(session: Session, entity: EntitySet, record: Record, body: Fields, *, hold: bool) -> str:
    order = record.fields
    if (order["CreditHold"] == "Yes") == hold:
        state = "already" if hold else "not"
        raise infolog(entity, f"Sales order {order['SalesOrderNumber']} is {state} on credit hold.")
    changes = {
        "CreditHold": "Yes" if hold else "No",
        "CreditHoldReason": _text(body, "Reason"),
        "CreditHoldReference": _text(body, "Reference"),
        # Nobody asked for this one: the order's processing follows the hold.
        "SalesOrderProcessingStatus": "OnHold" if hold else "Confirmed",
    }
    _save(session, entity, record, changes, "action:PlaceCreditHold" if hold else "action:ReleaseCreditHold")
    return str(changes["CreditHold"])


def release_credit_hold(session: Session, entity: EntitySet, record: Record, body: Fields) -> str:
    """Let an order go; no out-of-the-box action exists, so an integrator exposes this one (wire: fix recipes)."""
    return _set_hold(session, entity, record, body, hold=False)


def place_credit_hold(session: Session, entity: EntitySet, record: Record, body: Fields) -> str:
    """Stop an order for credit reasons."""
    return _set_hold(session, entity, record, body, hold=True)


PARAMETERS = {"Reason", "Reference"}
_ORDERS = ("SalesOrderHeadersV2", "SalesOrderNumber", "salesOrderId")
_INVOICES, _FREE_TEXTS = ("InvoiceNumber", "invoiceId"), ("FreeTextNumber", "invoiceId")
BOUND: dict[tuple[str, str], tuple[Bound, set[str]]] = {
    ("SalesInvoiceHeadersV2", "CreditInvoice"): (credit_invoice, {*PARAMETERS, "Amount"}),
    ("FreeTextInvoiceHeaders", "ReverseCreditNote"): (reverse_credit_note, PARAMETERS),
    ("SalesInvoiceHeadersV2", "ReissueInvoice"): (
        reissue_invoice,
        {*PARAMETERS, "LineNumber", "SalesPrice", "InvoiceAccount"},
    ),
    ("FreeTextInvoiceHeaders", "CreditFreeTextInvoice"): (credit_free_text_invoice, PARAMETERS),
    ("SalesOrderHeadersV2", "ReleaseCreditHold"): (release_credit_hold, PARAMETERS),
    ("SalesOrderHeadersV2", "PlaceCreditHold"): (place_credit_hold, PARAMETERS),
}
# Custom service → the entity, its field that the body names, that member of the body, and the action behind it.
SERVICES: dict[str, tuple[str, str, str, str]] = {
    "CreditManagement/CreditHoldService/release": (*_ORDERS, "ReleaseCreditHold"),
    "CreditManagement/CreditHoldService/place": (*_ORDERS, "PlaceCreditHold"),
    "Invoicing/CorrectionService/reissue": ("SalesInvoiceHeadersV2", *_INVOICES, "ReissueInvoice"),
    "Invoicing/CorrectionService/credit": ("FreeTextInvoiceHeaders", *_FREE_TEXTS, "CreditFreeTextInvoice"),
}


def bound(session: Session, entity: EntitySet, record: Record, name: str, body: Fields) -> Any:
    """Run a bound action by its name."""
    found = BOUND.get((entity.name, name))
    if found is None:
        raise Refusal(404, f"No action '{name}' is bound to '{entity.name}'.")
    action, parameters = found
    unknown = set(body) - parameters
    if unknown:
        raise Refusal(400, f"The parameter '{min(unknown)}' in the request payload is not a valid parameter.")
    return action(session, entity, record, body)


def custom_service(session: Session, address: str, body: Fields) -> Fields:
    """Run a custom service operation; it names company and document in its JSON body (wire: custom services)."""
    found = SERVICES.get(address)
    if found is None:
        raise Refusal(404, f"The service operation '{address}' was not found.")
    name, field, member, action = found
    wanted = (_text(body, "company"), _text(body, member))
    rows = (row for row in session.records("fo", name) if (row.fields[COMPANY], row.fields[field]) == wanted)
    record = next(rows, None)
    if record is None:
        raise Refusal(404, "No resources were found when selecting for update.")
    parameters = {part: value for part, value in body.items() if part not in ("company", member)}
    said = bound(session, ENTITY_SETS[name], record, action, parameters)
    return {"CreditHold" if name == _ORDERS[0] else "Invoice": said}
