"""Every write of F&O against the simulator: predicted, sent once, read back as predicted, undone."""

from datetime import UTC, datetime
from typing import Any

import pytest

from connectors import gateway, registry
from connectors.base import Locked, NotFound, RateLimited, Refused, Unanswered, VersionConflict, Write
from connectors.models import Call, Connection
from tests.connectors.business import (
    CUSTOMER,
    INVOICE,
    LOT,
    ORDER,
    PENDING,
    VENDOR,
    plant_invoice,
    plant_order,
    plant_payable,
)
from tests.connectors.conftest import Simulated

KEY = "a" * 40
WRITES: list[tuple[str, dict[str, Any]]] = [
    ("invoice.credit", {"company": "demf", "invoice": INVOICE, "reason": "Billed twice"}),
    ("charge.update", {"company": "demf", "order": ORDER, "line": 1, "amount": "12.40"}),
    ("hold.release", {"company": "demf", "order": ORDER, "reason": "Paid"}),
    ("line.set_price", {"company": "demf", "lot": LOT, "price": "8.25"}),
    ("line.set_warehouse", {"company": "demf", "lot": LOT, "warehouse": "12"}),
    ("order.set_delivery_mode", {"company": "demf", "order": ORDER, "mode": "AIR"}),
    ("vendor_invoice.set_hold", {"company": "demf", "reference": PENDING, "hold": "Yes"}),
    ("vendor.set_hold", {"company": "demf", "vendor": VENDOR, "status": "Payment"}),
    ("customer.set_hold", {"company": "demf", "customer": CUSTOMER, "status": "All"}),
]
PATHS = {
    "invoice.credit": "POST .*CreditInvoice",
    "charge.update": "PATCH .*SalesOrderCharges",
    "hold.release": "POST .*ReleaseCreditHold",
    "line.set_price": "PATCH .*SalesOrderLines",
    "line.set_warehouse": "PATCH .*SalesOrderLines",
    "order.set_delivery_mode": "PATCH .*SalesOrderHeadersV2",
    "vendor_invoice.set_hold": "PATCH .*VendorInvoiceHeaders",
    "vendor.set_hold": "PATCH .*VendorsV2",
    "customer.set_hold": "PATCH .*CustomersV3",
}


@pytest.fixture(autouse=True)
def _business(simulated: Simulated) -> None:
    plant_invoice(simulated)
    plant_order(simulated)
    plant_payable(simulated)


def write_of(connection: Connection, name: str) -> Write:
    found = registry.operation_of(connection, name)
    assert isinstance(found, Write)
    return found


def observed(connection: Connection, name: str, arguments: dict[str, Any]) -> Any:
    return gateway.observe(connection, name, arguments, actor="test")


def values(records: Any) -> dict[tuple[str, str, str], Any]:
    return {(row.entity, row.key, field): value for row in records for field, value in row.fields.items()}


@pytest.mark.parametrize(("name", "arguments"), WRITES)
def test_a_write_does_exactly_what_was_predicted_and_its_undo_puts_it_back(
    fo: Connection, simulated: Simulated, name: str, arguments: dict[str, Any]
) -> None:
    write = write_of(fo, name)
    args = write.arguments.model_validate(arguments)
    before = observed(fo, name, arguments)
    predicted, undo = write.predict(args, before), write.undo(args, before, KEY)
    assert undo is not None

    gateway.call(fo, name, arguments, actor="test", effect_key=KEY, version=before[0].version)
    after = values(observed(fo, name, arguments))
    gateway.call(fo, undo.operation, undo.arguments, actor="test", effect_key="b" * 40)
    restored = values(observed(fo, name, arguments))

    assert {c.field: after[c.entity, c.key, c.field] for c in predicted} == {c.field: c.after for c in predicted}
    assert {c.field: restored[c.entity, c.key, c.field] for c in predicted} == {c.field: c.before for c in predicted}
    assert len(simulated.effects(KEY)) == len(simulated.effects("b" * 40)) == 1


@pytest.mark.parametrize("fault", ["commit_then_reset", "commit_then_503"])
@pytest.mark.parametrize(("name", "arguments"), WRITES)
def test_a_lost_answer_is_found_again_and_nothing_is_sent_twice(
    fo: Connection, simulated: Simulated, name: str, arguments: dict[str, Any], fault: str
) -> None:
    assert gateway.find(fo, name, arguments, effect_key=KEY, actor="test") is None
    simulated.fault(fault, PATHS[name])

    with pytest.raises(Unanswered) as lost:
        gateway.call(fo, name, arguments, actor="test", effect_key=KEY)

    assert lost.value.effect_possible
    assert gateway.find(fo, name, arguments, effect_key=KEY, actor="test") is not None
    assert len(simulated.effects(KEY)) == 1


@pytest.mark.parametrize("fault", ["fail_before", "reset_before", "html", "500", "504"])
@pytest.mark.parametrize(("name", "arguments"), WRITES)
def test_an_unanswered_write_that_was_not_committed_is_not_found(
    fo: Connection, simulated: Simulated, name: str, arguments: dict[str, Any], fault: str
) -> None:
    simulated.fault(fault, PATHS[name])

    with pytest.raises(Unanswered):
        gateway.call(fo, name, arguments, actor="test", effect_key=KEY)

    assert gateway.find(fo, name, arguments, effect_key=KEY, actor="test") is None
    assert simulated.effects(KEY) == []


def test_silence_after_the_commit_ends_at_the_time_limit(fo: Connection, simulated: Simulated, settings: Any) -> None:
    settings.OUTBOUND_TIMEOUT_SECONDS = 0.3
    simulated.fault("commit_then_timeout", PATHS["charge.update"], seconds=1)
    name, arguments = WRITES[1]

    with pytest.raises(Unanswered, match="did not answer in time"):
        gateway.call(fo, name, arguments, actor="test", effect_key=KEY)

    assert gateway.find(fo, name, arguments, effect_key=KEY, actor="test") is not None


def test_a_record_that_somebody_changed_is_not_overwritten(fo: Connection, simulated: Simulated) -> None:
    name, arguments = WRITES[5]
    version = observed(fo, name, arguments)[0].version
    simulated.edit("fo", "SalesOrderHeadersV2", ORDER, DeliveryModeCode="SEA")

    with pytest.raises(VersionConflict):
        gateway.call(fo, name, arguments, actor="test", effect_key=KEY, version=version)

    assert observed(fo, name, arguments)[0].fields["DeliveryModeCode"] == "SEA"
    assert simulated.effects(KEY) == []


@pytest.mark.parametrize(
    ("fault", "error"), [("412", VersionConflict), ("lock", Locked), ("429", RateLimited), ("403", Refused)]
)
def test_each_answer_of_fo_becomes_its_exact_failure(
    fo: Connection, simulated: Simulated, fault: str, error: type[Exception]
) -> None:
    simulated.fault(fault, PATHS["hold.release"])
    name, arguments = WRITES[2]

    with pytest.raises(error):
        gateway.call(fo, name, arguments, actor="test", effect_key=KEY)

    assert Call.objects.filter(operation=name).latest("id").outcome == error.__name__.lower()


def test_a_business_rule_is_told_in_the_words_of_the_infolog_without_its_stack_trace(
    fo: Connection, simulated: Simulated
) -> None:
    simulated.period(datetime.now(UTC).strftime("%Y-%m"), "Closed")
    name, arguments = WRITES[0]

    with pytest.raises(Refused, match=r"Fiscal period .* is closed; posting is not allowed") as refused:
        gateway.call(fo, name, arguments, actor="test", effect_key=KEY)

    assert "stacktrace" not in str(refused.value)
    assert "Infolog" not in str(refused.value)


def test_the_undo_of_a_credit_note_that_nobody_posted_says_so(fo: Connection) -> None:
    arguments = {"company": "demf", "reference": "nobody", "reason": "Undo"}

    assert observed(fo, "credit_note.reverse", arguments) == []
    with pytest.raises(NotFound, match="no credit note with the reference nobody"):
        gateway.call(fo, "credit_note.reverse", arguments, actor="test", effect_key=KEY)


def test_a_lost_reversal_is_found_by_its_own_key(fo: Connection, simulated: Simulated) -> None:
    gateway.call(fo, *WRITES[0], actor="test", effect_key=KEY)
    reversal = {"company": "demf", "reference": KEY, "reason": "Undo"}
    simulated.fault("commit_then_reset", "POST .*ReverseCreditNote")

    with pytest.raises(Unanswered):
        gateway.call(fo, "credit_note.reverse", reversal, actor="test", effect_key="b" * 40)

    found = gateway.find(fo, "credit_note.reverse", reversal, effect_key="b" * 40, actor="test")
    assert found is not None
    assert gateway.find(fo, "credit_note.reverse", reversal, effect_key="c" * 40, actor="test") is None


def test_a_reversal_can_be_undone_only_where_it_comes_to_the_same_amount(fo: Connection) -> None:
    gateway.call(fo, *WRITES[0], actor="test", effect_key=KEY)
    reversal = {"company": "demf", "reference": KEY, "reason": "Undo"}
    write = write_of(fo, "credit_note.reverse")
    args = write.arguments.model_validate(reversal)
    records = observed(fo, "credit_note.reverse", reversal)

    undo = write.undo(args, records, "b" * 40)

    assert undo is not None
    assert undo.operation == "invoice.credit"
    assert write.amount is not None
    assert write.amount(args, records) == ("1250.50", "EUR")


def test_the_customers_balance_is_foreseen_as_a_side_effect(fo: Connection) -> None:
    name, arguments = WRITES[0]
    write = write_of(fo, name)

    changes = write.predict(write.arguments.model_validate(arguments), observed(fo, name, arguments))

    balance = next(change for change in changes if change.field == "OpenBalance")
    assert (balance.key, balance.before, balance.after, balance.side_effect) == (
        f"demf/{CUSTOMER}",
        5000.0,
        3749.5,
        True,
    )
    assert [change.field for change in changes if not change.side_effect] == ["CreditedAmount", "RemainingAmount"]


def test_the_effect_key_goes_out_in_a_header_and_as_the_reference(fo: Connection, simulated: Simulated) -> None:
    gateway.call(fo, *WRITES[0], actor="test", effect_key=KEY)

    notes = gateway.call(fo, "credit_notes.by_reference", {"reference": KEY}, actor="test").records

    assert [note.fields["CorrectedInvoiceId"] for note in notes] == [INVOICE]
    assert notes[0].key.startswith("demf/")
    assert any(row["effect_key"] == KEY for row in simulated.requests() if "CreditInvoice" in row["path"])


def test_a_pending_invoice_is_worth_the_sum_of_its_lines(fo: Connection) -> None:
    arguments = {"company": "demf", "reference": PENDING, "hold": "Yes"}
    write = write_of(fo, "vendor_invoice.set_hold")
    assert write.amount is not None

    found = write.amount(write.arguments.model_validate(arguments), observed(fo, write.name, arguments))

    assert found == ("200.00", "EUR")
