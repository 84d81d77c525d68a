"""What a write will change, foreseen from records alone: no network, no database, the same every time."""

from types import SimpleNamespace
from typing import Any

import pytest

from connectors.base import Change, NotFound, Record
from connectors.kinds.dynamics_fo import effects as fo
from connectors.kinds.salesforce import effects as sf
from connectors.kinds.salesforce.arguments import CommentArguments, OpenArguments, full_id

KEY = "k" * 40
CASE = "500gs0000000001AAA"


def record(entity: str, key: str = "demf/1", **fields: Any) -> Record:
    return Record("fo", entity, key, "v1", fields)


def invoice(**changes: Any) -> Record:
    fields = {
        "InvoiceNumber": "CIV-1", "TotalInvoiceAmount": 100.1, "CreditedAmount": 0.0, "RemainingAmount": 100.1,
        "CurrencyCode": "EUR",
    }  # fmt: skip
    return record(fo.INVOICE, "demf/CIV-1", **{**fields, **changes})


def customer(balance: Any = 500.0) -> Record:
    return record(fo.CUSTOMER, "demf/DE-1", OpenBalance=balance)


def note(**changes: Any) -> Record:
    fields = {"InvoiceAmount": -100.1, "IsReversed": "No", "CurrencyCode": "EUR", "FreeTextNumber": "CN-1"}
    return record(fo.NOTE, "demf/7", **{**fields, **changes})


def line(**changes: Any) -> Record:
    fields = {
        "OrderedSalesQuantity": 3.0, "SalesPrice": 10.0, "LineAmount": 30.0, "LineStatus": "Backorder",
        "ShippingWarehouseId": "11",
    }  # fmt: skip
    return record(fo.LINE, "demf/LOT-1", **{**fields, **changes})


def order(**changes: Any) -> Record:
    return record(fo.ORDER, "demf/SO-1", **{"OrderTotalAmount": 42.5, "CurrencyCode": "EUR", **changes})


def stock(warehouse: str, quantity: float) -> Record:
    return record(fo.STOCK, f"demf/LAMP/{warehouse}", WarehouseId=warehouse, AvailableQuantity=quantity)


def args(**values: Any) -> Any:
    return SimpleNamespace(**{"company": "demf", "model_dump": lambda mode: dict(values), **values})


def after(changes: list[Change]) -> dict[str, Any]:
    return {change.field: change.after for change in changes}


def asked_for(changes: list[Change]) -> list[str]:
    return [change.field for change in changes if not change.side_effect]


# --- invoices --------------------------------------------------------------------------------------
def test_what_is_left_of_an_invoice_is_credited_to_the_cent() -> None:
    changes = fo.predict_credit(args(), [invoice(CreditedAmount=33.3, RemainingAmount=66.8), customer()])

    assert after(changes) == {"CreditedAmount": 100.1, "RemainingAmount": 0.0, "OpenBalance": 433.2}
    assert asked_for(changes) == ["CreditedAmount", "RemainingAmount"]


def test_a_part_that_was_paid_leaves_the_customer_with_a_credit() -> None:
    changes = fo.predict_credit(args(), [invoice(RemainingAmount=40.0), customer()])

    assert after(changes)["RemainingAmount"] == -60.1


def test_a_customer_that_cannot_be_read_is_simply_not_foreseen() -> None:
    assert list(after(fo.predict_credit(args(), [invoice()]))) == ["CreditedAmount", "RemainingAmount"]


def test_an_invoice_that_is_credited_already_would_not_change() -> None:
    changes = fo.predict_credit(args(), [invoice(CreditedAmount=100.1, RemainingAmount=0.0), customer()])

    assert all(change.before == change.after for change in changes)
    assert len(changes) == 2


def test_the_amount_of_a_credit_is_what_is_left() -> None:
    assert fo.amount_credit(args(), [invoice(CreditedAmount=0.1)]) == ("100.00", "EUR")


def test_the_undo_of_a_credit_names_the_key_and_the_reason() -> None:
    undo = fo.undo_credit(args(reason="r" * 250), [invoice()], KEY)

    assert undo.operation == "credit_note.reverse"
    assert undo.arguments["reference"] == KEY
    assert undo.arguments["reason"].startswith("Undo: rrr")
    assert len(undo.arguments["reason"]) == 250


def test_a_reversal_puts_the_amounts_back() -> None:
    records = [note(), invoice(CreditedAmount=100.1, RemainingAmount=0.0), customer(399.9)]

    changes = fo.predict_reversal(args(), records)

    assert after(changes) == {
        "IsReversed": "Yes", "CreditedAmount": 0.0, "RemainingAmount": 100.1, "OpenBalance": 500.0
    }  # fmt: skip
    assert asked_for(changes) == ["IsReversed", "CreditedAmount", "RemainingAmount"]


def test_a_note_that_is_reversed_already_changes_nothing_else() -> None:
    changes = fo.predict_reversal(args(), [note(IsReversed="Yes"), invoice(), customer()])

    assert [(change.field, change.before, change.after) for change in changes] == [("IsReversed", "Yes", "Yes")]


@pytest.mark.parametrize(
    ("records", "possible"),
    [
        ([note(), invoice(CreditedAmount=100.1)], True),
        ([note(), invoice(CreditedAmount=100.0)], False),
        ([note()], False),
    ],
)
def test_a_reversal_can_be_undone_only_where_crediting_the_rest_means_the_same(
    records: list[Record], possible: bool
) -> None:
    assert (fo.undo_reversal(args(), records, KEY) is not None) is possible


# --- orders ----------------------------------------------------------------------------------------
def test_a_smaller_charge_lowers_the_total_of_the_order() -> None:
    charge = record(fo.CHARGE, "demf/SO-1/1", FixedChargeAmount=30.0, ChargeCurrencyCode="EUR")

    changes = fo.predict_charge(args(amount="12.4"), [charge, order()])

    assert after(changes) == {"FixedChargeAmount": 12.4, "OrderTotalAmount": 24.9}
    assert fo.amount_charge(args(amount="12.4"), [charge]) == ("17.60", "EUR")
    assert fo.undo_charge(args(amount="12.4", line=1), [charge], KEY).arguments == {"amount": "30.00", "line": 1}


def test_the_same_charge_moves_nothing() -> None:
    charge = record(fo.CHARGE, FixedChargeAmount=30.0, ChargeCurrencyCode="EUR")

    assert after(fo.predict_charge(args(amount="30"), [charge, order()])) == {"FixedChargeAmount": 30.0}


@pytest.mark.parametrize(
    ("predict", "undo", "hold", "processing", "back"),
    [
        (fo.predict_release, fo.undo_release, "No", "Confirmed", "hold.place"),
        (fo.predict_hold, fo.undo_hold, "Yes", "OnHold", "hold.release"),
    ],
)
def test_holds_carry_the_processing_with_them(predict: Any, undo: Any, hold: str, processing: str, back: str) -> None:
    held = order(CreditHold="?", CreditHoldReason="Limit", SalesOrderProcessingStatus="?")

    changes = predict(args(reason="Paid"), [held])

    assert after(changes) == {
        "CreditHold": hold, "CreditHoldReason": "Paid", "SalesOrderProcessingStatus": processing
    }  # fmt: skip
    assert asked_for(changes) == ["CreditHold", "CreditHoldReason"]
    assert undo(args(order="SO-1"), [held], KEY).operation == back
    assert undo(args(order="SO-1"), [held], KEY).arguments["reason"] == "Limit"


def test_a_price_moves_the_line_and_the_order() -> None:
    from decimal import Decimal

    wanted = args(price=Decimal("9.995"), lot="LOT-1")

    changes = fo.predict_price(wanted, [line(), order()])

    assert after(changes) == {"SalesPrice": 10.0, "LineAmount": 29.99, "OrderTotalAmount": 42.49}
    assert fo.amount_price(wanted, [line(), order()]) == ("0.01", "EUR")
    assert fo.undo_price(wanted, [line()], KEY).arguments["price"] == "10.00"


@pytest.mark.parametrize(
    ("there", "status", "moved"), [(25.0, "Reserved", 22.0), (3.0, "Reserved", 0.0), (2.9, None, None)]
)
def test_a_line_that_moves_is_reserved_where_stock_covers_it(
    there: float, status: str | None, moved: float | None
) -> None:
    changes = after(fo.predict_warehouse(args(warehouse="12"), [line(), stock("11", 0.0), stock("12", there)]))

    assert changes["ShippingWarehouseId"] == "12"
    assert changes.get("LineStatus") == status
    assert changes.get("AvailableQuantity") == moved


def test_a_reserved_line_gives_its_stock_back() -> None:
    changes = fo.predict_warehouse(
        args(warehouse="12"), [line(LineStatus="Reserved"), stock("11", 1.0), stock("12", 1.0)]
    )

    assert [(change.key, change.field, change.after) for change in changes if change.side_effect] == [
        ("demf/LOT-1", "LineStatus", "Backorder"),
        ("demf/LAMP/11", "AvailableQuantity", 4.0),
    ]


def test_a_warehouse_without_a_stock_record_covers_nothing() -> None:
    assert after(fo.predict_warehouse(args(warehouse="99"), [line()])) == {"ShippingWarehouseId": "99"}


def test_staying_where_it_is_moves_no_stock() -> None:
    records = [line(LineStatus="Reserved"), stock("11", 1.0)]

    assert after(fo.predict_warehouse(args(warehouse="11"), records)) == {"ShippingWarehouseId": "11"}
    assert fo.undo_warehouse(args(lot="LOT-1"), records, KEY).arguments["warehouse"] == "11"


def test_a_mode_of_delivery_is_put_back_as_it_was() -> None:
    held = order(DeliveryModeCode="ROAD")

    assert after(fo.predict_mode(args(mode="AIR"), [held])) == {"DeliveryModeCode": "AIR"}
    assert fo.undo_mode(args(order="SO-1"), [held], KEY).arguments["mode"] == "ROAD"


@pytest.mark.parametrize(
    ("value", "text"), [(None, "0.00"), ("", "0.00"), (0.125, "0.13"), (2.675, "2.68"), (-0.005, "-0.01")]
)
def test_cents_are_rounded_half_up_as_fo_rounds_them(value: Any, text: str) -> None:
    assert str(fo.cents(value)) == text


# --- cases -----------------------------------------------------------------------------------------
def case(status: str = "Working") -> Record:
    return Record("crm", "Case", CASE, "t", {"Status": status})


def to_be(entity: str, count: int, **fields: Any) -> Record:
    return Record("crm", entity, "new:1", "", {"Count": count, **fields})


def test_a_first_comment_is_foreseen_as_its_text_and_a_second_as_a_count() -> None:
    wanted = CommentArguments(case=CASE, text="Mended")

    first = sf.predict_comment(wanted, [to_be("CaseComment", 0), case()])
    second = sf.predict_comment(wanted, [to_be("CaseComment", 1), case()])

    assert [(change.field, change.before, change.after) for change in first] == [("CommentBody", None, "Mended")]
    assert [(change.field, change.before, change.after) for change in second] == [("Count", 1, 2)]


def test_deleting_one_of_two_equal_comments_leaves_one() -> None:
    gone = sf.predict_uncomment(args(), [to_be("CaseComment", 1, CommentBody="Mended"), case()])
    fewer = sf.predict_uncomment(args(), [to_be("CaseComment", 2, CommentBody="Mended"), case()])

    assert [(change.before, change.after) for change in gone] == [("Mended", None)]
    assert [(change.field, change.before, change.after) for change in fewer] == [("Count", 2, 1)]


@pytest.mark.parametrize(
    ("status", "undo"),
    [
        ("Working", ("case.reopen", {"case": CASE, "status": "Working"})),
        ("Closed", ("case.close", {"case": CASE})),
        (None, ("case.reopen", {"case": CASE, "status": "New"})),
    ],
)
def test_a_status_is_put_back_as_it_was(status: Any, undo: tuple[str, dict[str, Any]]) -> None:
    found = sf.undo_status(args(), [case(status)], KEY)

    assert (found.operation, found.arguments) == undo


def test_an_opened_case_holds_what_was_given_and_nothing_else() -> None:
    wanted = OpenArguments(account="001gs0000000001", subject="Freight", order="SO-1")

    changes = sf.predict_open(wanted, [to_be("Case", 0)])

    assert after(changes) == {
        "AccountId": full_id("001gs0000000001"), "Subject": "Freight", "Order_Number__c": "SO-1", "Status": "New"
    }  # fmt: skip
    assert sf.undo_open(wanted, [], KEY).arguments == {"key": KEY}


def test_a_record_to_be_is_named_by_what_it_will_say() -> None:
    assert sf.to_be("new", CASE, "a") == sf.to_be("new", CASE, "a")
    assert sf.to_be("new", CASE, "a") != sf.to_be("new", CASE, "b")


@pytest.mark.parametrize(
    ("short", "long"), [("001gs0000000001", "001gs0000000001AAA"), ("500D0000001abCD", "500D0000001abCDIAY")]
)
def test_an_id_gets_its_three_check_letters(short: str, long: str) -> None:
    assert full_id(short) == long
    assert full_id(long) == long


def test_what_is_not_there_is_told_as_not_found() -> None:
    for predict in (fo.predict_credit, fo.predict_release, sf.predict_close, sf.predict_comment):
        with pytest.raises(NotFound):
            predict(args(), [])
