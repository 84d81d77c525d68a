"""Invoices issued anew in F&O: never before the credit, once, linked with what they replace, and taken back."""

from datetime import UTC, datetime
from typing import Any

import pytest

from connectors import gateway, registry
from connectors.base import (
    ConnectorError,
    Locked,
    NotFound,
    RateLimited,
    Refused,
    Unanswered,
    Unreachable,
    VersionConflict,
    Write,
)
from connectors.models import Connection
from tests.connectors.business import CUSTOMER, INVOICE, plant_customer, plant_invoice
from tests.connectors.conftest import Simulated

CREDIT, KEY, BACK = "c" * 40, "a" * 40, "b" * 40
OTHER = "DE-002"
# 100 lamps at 10.00 and a freight of 50.00, taxed with 19 %: 1,249.50; at 9.00 it is 1,130.50.
TOTAL, RIGHT = 1249.5, 1130.5
PRICE = {"company": "demf", "invoice": INVOICE, "line": 1, "price": "9.00", "reason": "Price of the contract"}
BILL_TO = {"company": "demf", "invoice": INVOICE, "customer": OTHER, "reason": "Billed to the wrong account"}
USES = pytest.mark.parametrize("arguments", [PRICE, BILL_TO], ids=["price", "bill to"])
SERVICES = {
    "reissue_service": "Invoicing/CorrectionService/reissue",
    "reissue_reversal_service": "Invoicing/CorrectionService/credit",
}
WAYS = pytest.mark.parametrize("config", [{}, SERVICES], ids=["bound action", "custom service"])
PATH = "POST .*ReissueInvoice"


@pytest.fixture(autouse=True)
def _billed(simulated: Simulated) -> None:
    plant_invoice(simulated, TotalInvoiceAmount=TOTAL, TotalTaxAmount=199.5, RemainingAmount=TOTAL)
    plant_customer(simulated, CustomerAccount=OTHER, OpenBalance=100.0)
    for number, item, quantity, price in ((1, "LAMP", 100, 10.0), (2, "FREIGHT", 1, 50.0)):
        line = {"InvoiceNumber": INVOICE, "LineNumber": number, "ItemNumber": item, "Quantity": quantity}
        simulated.plant(
            "fo", "SalesInvoiceLines", dataAreaId="demf", **line, SalesPrice=price, LineAmount=quantity * price
        )


def credit(fo: Connection) -> None:
    arguments = {"company": "demf", "invoice": INVOICE, "reason": "Wrong price"}
    gateway.call(fo, "invoice.credit", arguments, actor="test", effect_key=CREDIT)


def reissue(fo: Connection, arguments: dict[str, Any], *, key: str = KEY, version: str = "") -> gateway.Answer:
    return gateway.call(fo, "invoice.reissue", arguments, actor="test", effect_key=key, version=version)


def seen(fo: Connection, arguments: dict[str, Any]) -> Any:
    return gateway.observe(fo, "invoice.reissue", arguments, actor="test")


def foreseen(fo: Connection, arguments: dict[str, Any], operation: str = "invoice.reissue") -> list[Any]:
    write = registry.operation_of(fo, operation)
    assert isinstance(write, Write)
    records = gateway.observe(fo, operation, arguments, actor="test")
    return write.predict(write.arguments.model_validate(arguments), records)


def values(records: Any) -> dict[tuple[str, str, str], Any]:
    return {(row.entity, row.key, field): value for row in records for field, value in row.fields.items()}


def chain(fo: Connection) -> dict[str, Any]:
    return next(dict(row.fields) for row in seen(fo, PRICE) if row.entity == "InvoiceChain")


def documents(simulated: Simulated) -> list[dict[str, Any]]:
    rows = simulated.client.get("/control/records", params={"system": "fo", "entity": "FreeTextInvoiceHeaders"}).json()
    return [row["fields"] for row in rows]


def owed(simulated: Simulated) -> dict[str, float]:
    rows = simulated.client.get("/control/records", params={"system": "fo", "entity": "CustomersV3"}).json()
    return {row["fields"]["CustomerAccount"]: row["fields"]["OpenBalance"] for row in rows}


# --- what it comes to ------------------------------------------------------------------------------
@WAYS
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(PRICE, (RIGHT, CUSTOMER, 4881.0, 100.0)), (BILL_TO, (TOTAL, OTHER, 3750.5, 1349.5))],
    ids=["price", "bill to"],
)
def test_after_credit_and_new_invoice_what_is_billed_is_what_is_right(
    fo: Connection,
    simulated: Simulated,
    config: dict[str, str],
    arguments: dict[str, Any],
    expected: tuple[float, str, float, float],
) -> None:
    total, account, *balances = expected
    fo.config = {**fo.config, **config}
    fo.save()
    before = foreseen(fo, arguments)  # as at the time of the plan: nothing is credited yet
    credit(fo)

    reissue(fo, arguments, version=seen(fo, arguments)[0].version)

    after = values(seen(fo, arguments))
    assert {c.field: after[c.entity, c.key, c.field] for c in before} == {c.field: c.after for c in before}
    assert chain(fo) == {
        "Billed": TOTAL, "Credited": TOTAL, "Reissued": total, "Net": total, "BilledTo": account,
        "CreditNotes": "CN-900001", "Replacements": "FTI-700001",
    }  # fmt: skip
    assert [owed(simulated)[CUSTOMER], owed(simulated)[OTHER]] == balances
    assert len(simulated.effects(KEY)) == 1


def test_the_plan_shows_what_is_billed_before_and_after(fo: Connection) -> None:
    told = {change.field: (change.before, change.after, change.side_effect) for change in foreseen(fo, PRICE)}

    assert told == {
        "Reissued": (0.0, RIGHT, False), "BilledTo": ("", CUSTOMER, False), "Net": (TOTAL, RIGHT, True),
        "OpenBalance": (5000.0, 4881.0, True),
    }  # fmt: skip


def test_the_three_documents_name_each_other(fo: Connection, simulated: Simulated) -> None:
    credit(fo)
    reissue(fo, PRICE)

    note, made = documents(simulated)
    assert (note["CorrectedInvoiceId"], made["CorrectedInvoiceId"]) == (INVOICE, INVOICE)
    assert (note["CustomerReference"], made["CustomerReference"]) == (CREDIT, KEY)
    assert (note["InvoiceAmount"], made["InvoiceAmount"]) == (-TOTAL, RIGHT)


def test_the_undo_credits_the_new_invoice_and_leaves_the_old_one_alone(fo: Connection, simulated: Simulated) -> None:
    credit(fo)
    between = (chain(fo), owed(simulated))
    write = registry.operation_of(fo, "invoice.reissue")
    assert isinstance(write, Write)
    undo = write.undo(write.arguments.model_validate(PRICE), seen(fo, PRICE), KEY)
    assert undo is not None
    reissue(fo, PRICE)
    predicted = foreseen(fo, undo.arguments, undo.operation)

    gateway.call(fo, undo.operation, undo.arguments, actor="test", effect_key=BACK)

    after = values(gateway.observe(fo, undo.operation, undo.arguments, actor="test"))
    assert {c.field: after[c.entity, c.key, c.field] for c in predicted} == {c.field: c.after for c in predicted}
    assert (chain(fo), owed(simulated)) == between
    assert len(simulated.effects(BACK)) == 1
    assert [row["CorrectedInvoiceId"] for row in documents(simulated)] == [INVOICE, INVOICE, "FTI-700001"]


# --- the order ---------------------------------------------------------------------------------------
@WAYS
@pytest.mark.parametrize("part", [None, 1000.0])
def test_nothing_is_issued_anew_before_all_of_the_old_one_is_credited(
    fo: Connection, simulated: Simulated, part: float | None, config: dict[str, str]
) -> None:
    fo.config = {**fo.config, **config}
    fo.save()
    if part:
        simulated.edit("fo", "SalesInvoiceHeadersV2", INVOICE, CreditedAmount=part)

    with pytest.raises(Refused, match="is not credited: credit it first") as refused:
        reissue(fo, PRICE)

    assert refused.value.code == "order"
    assert simulated.effects(KEY) == []
    assert [row for row in simulated.requests() if row["method"] == "POST" and "oauth2" not in row["path"]] == []


def test_it_is_issued_anew_once_whoever_asks(fo: Connection, simulated: Simulated) -> None:
    credit(fo)
    reissue(fo, PRICE)

    with pytest.raises(Refused, match="was issued anew already as FTI-700001"):
        reissue(fo, PRICE, key=BACK)

    assert len(documents(simulated)) == 2


def test_what_was_taken_back_can_be_issued_anew_again(fo: Connection, simulated: Simulated) -> None:
    credit(fo)
    reissue(fo, PRICE)
    given = {"company": "demf", "reference": KEY, "reason": "Wrong again"}
    gateway.call(fo, "reissue.reverse", given, actor="test", effect_key=BACK)

    reissue(fo, {**PRICE, "price": "8.00"}, key="e" * 40)

    assert chain(fo)["Replacements"] == "FTI-700003"
    with pytest.raises(Refused, match="credited already"):
        gateway.call(fo, "reissue.reverse", given, actor="test", effect_key="f" * 40)


def test_a_line_or_an_account_that_is_not_there_is_told(fo: Connection, simulated: Simulated) -> None:
    credit(fo)

    with pytest.raises(NotFound, match="has no line 9"):
        foreseen(fo, {**PRICE, "line": 9})
    with pytest.raises(Refused, match="'Invoice account' is not found"):
        reissue(fo, {**BILL_TO, "customer": "DE-999"})
    assert simulated.effects(KEY) == []


def test_a_closed_period_is_told_and_nothing_is_posted(fo: Connection, simulated: Simulated) -> None:
    credit(fo)
    simulated.period(datetime.now(UTC).strftime("%Y-%m"), "Closed")

    with pytest.raises(Refused, match="is closed; posting is not allowed"):
        reissue(fo, PRICE)

    assert simulated.effects(KEY) == []


# --- bad days ------------------------------------------------------------------------------------------
@USES
@pytest.mark.parametrize("fault", ["commit_then_reset", "commit_then_503"])
def test_a_lost_answer_is_found_again_and_not_sent_twice(
    fo: Connection, simulated: Simulated, arguments: dict[str, Any], fault: str
) -> None:
    credit(fo)
    assert gateway.find(fo, "invoice.reissue", arguments, effect_key=KEY, actor="test") is None
    simulated.fault(fault, PATH)

    with pytest.raises(Unanswered):
        reissue(fo, arguments)

    found = gateway.find(fo, "invoice.reissue", arguments, effect_key=KEY, actor="test")
    assert found is not None
    assert found.result["invoice"] == "FTI-700001"
    assert len(simulated.effects(KEY)) == 1


@pytest.mark.parametrize("fault", ["commit_then_reset", "commit_then_503"])
def test_a_lost_answer_of_the_undo_is_found_again(fo: Connection, simulated: Simulated, fault: str) -> None:
    credit(fo)
    reissue(fo, PRICE)
    given = {"company": "demf", "reference": KEY, "reason": "Undo"}
    assert gateway.find(fo, "reissue.reverse", given, effect_key=BACK, actor="test") is None
    simulated.fault(fault, "POST .*CreditFreeTextInvoice")

    with pytest.raises(Unanswered):
        gateway.call(fo, "reissue.reverse", given, actor="test", effect_key=BACK)

    assert gateway.find(fo, "reissue.reverse", given, effect_key=BACK, actor="test") is not None
    assert len(simulated.effects(BACK)) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("fail_before", Unanswered), ("reset_before", Unanswered), ("lock", Locked), ("412", VersionConflict),
        ("429", RateLimited), ("403", Refused), ("422", Refused), ("html", Unanswered),
    ],
)  # fmt: skip
def test_each_answer_becomes_its_exact_failure_and_nothing_was_done(
    fo: Connection, simulated: Simulated, fault: str, error: type[ConnectorError]
) -> None:
    credit(fo)
    simulated.fault(fault, PATH)

    with pytest.raises(error) as raised:
        reissue(fo, PRICE)

    assert type(raised.value) is error
    assert simulated.effects(KEY) == []


def test_what_cannot_be_looked_at_before_is_not_sent(fo: Connection, simulated: Simulated) -> None:
    credit(fo)
    simulated.fault("503", "GET .*SalesInvoiceHeadersV2", count=2)

    with pytest.raises(Unreachable, match="Nothing was written"):
        reissue(fo, PRICE)

    assert simulated.effects(KEY) == []


@WAYS
def test_an_invoice_that_somebody_changed_is_not_issued_anew(
    fo: Connection, simulated: Simulated, config: dict[str, str]
) -> None:
    fo.config = {**fo.config, **config}
    fo.save()
    credit(fo)
    version = seen(fo, PRICE)[0].version
    simulated.edit("fo", "SalesInvoiceHeadersV2", INVOICE, CustomersOrderReference="PO-78")

    with pytest.raises(VersionConflict):
        reissue(fo, PRICE, version=version)

    assert simulated.effects(KEY) == []
