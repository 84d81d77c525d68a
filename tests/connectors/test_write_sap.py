"""Every write of SAP against the simulator: predicted, sent once, read back as predicted, undone or said not to be."""

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
    Reversible,
    Unanswered,
    Unreachable,
    VersionConflict,
    Write,
)
from connectors.kinds.sap.client import request_id
from connectors.models import Connection
from tests.connectors.conftest import Simulated
from tests.connectors.sap_world import BILL, COMPANY, ENTRY, INVOICE, JSON_GATEWAY, ORDER, YEAR, make_sap, plant_sap

KEY, BACK = "a" * 40, "b" * 40
Arguments = dict[str, Any]
JOURNAL = {"company": COMPANY, "year": YEAR, "document": ENTRY}
USES: dict[str, Arguments] = {
    "credit_block.release": {"order": ORDER},
    "order.set_delivery_block": {"order": ORDER, "block": ""},
    "order.set_billing_block": {"order": ORDER, "block": "02"},
    "order.set_shipping": {"order": ORDER, "condition": "02"},
    "condition.set_rate": {"order": ORDER, "item": "10", "step": "11", "counter": "1", "rate": "8.50"},
    "billing.cancel": {"billing": BILL},
    "supplier_invoice.release": {"invoice": INVOICE, "year": YEAR},
    "supplier_invoice.cancel": {"invoice": INVOICE, "year": YEAR, "reason": "01", "posting_date": "2026-02-01"},
    "journal.reverse": {**JOURNAL, "reason": "01", "posting_date": "2026-02-01"},
    "payment_block.set": {**JOURNAL, "item": "1", "block": "A"},
}
NAMES = list(USES)
# Where each write's own request is found among those that fetch tokens and read.
PATHS = {
    "credit_block.release": "POST .*ReleaseCreditBlock",
    "order.set_delivery_block": "PATCH .*A_SalesOrder",
    "order.set_billing_block": "PATCH .*A_SalesOrder",
    "order.set_shipping": "PATCH .*A_SalesOrder",
    "condition.set_rate": "PATCH .*PrElement",
    "billing.cancel": "POST .*BILLING_DOCUMENT_SRV/Cancel",
    "supplier_invoice.release": "POST .*Release",
    "supplier_invoice.cancel": "POST .*SUPPLIERINVOICE_PROCESS_SRV/Cancel",
    "journal.reverse": "POST .*BAPI_TRANSACTION_COMMIT",
    "payment_block.set": "POST .*journalentrybulkchange",
}
EACH = pytest.mark.parametrize("name", NAMES)


@pytest.fixture
def sap(db: None, simulated: Simulated) -> Connection:
    """Functions through a JSON gateway: each has an address of its own, so that a fault can be aimed at it."""
    plant_sap(simulated)
    return make_sap(simulated.url, secret="simulator", config=JSON_GATEWAY)


def write_of(connection: Connection, name: str) -> Write:
    found = registry.operation_of(connection, name)
    assert isinstance(found, Write)
    return found


def observed(connection: Connection, name: str) -> Any:
    return gateway.observe(connection, name, USES[name], actor="test")


def send(connection: Connection, name: str, *, key: str = KEY, version: str = "") -> gateway.Answer:
    return gateway.call(connection, name, USES[name], actor="test", effect_key=key, version=version)


def values(records: Any) -> dict[tuple[str, str, str], Any]:
    return {(row.entity, row.key, field): value for row in records for field, value in row.fields.items()}


def wish(simulated: Simulated, **body: Any) -> dict[str, Any]:
    return dict(simulated.client.post("/control/sap", json=body).raise_for_status().json())


@EACH
def test_a_write_does_exactly_what_was_predicted(sap: Connection, simulated: Simulated, name: str) -> None:
    write, before = write_of(sap, name), observed(sap, name)
    predicted = write.predict(write.arguments.model_validate(USES[name]), before)

    send(sap, name, version=before[0].version)

    after = values(observed(sap, name))
    expected = {change.field: change.after for change in predicted}
    found = {change.field: after[change.entity, change.key, change.field] for change in predicted}
    assert {field: float(v) if isinstance(expected[field], float) else v for field, v in found.items()} == expected
    assert predicted
    assert all(change.before != change.after for change in predicted)
    assert len(simulated.effects(KEY)) == 1


@EACH
def test_an_undo_restores_what_stood_before_and_where_there_is_none_the_write_says_so(
    sap: Connection, simulated: Simulated, name: str
) -> None:
    write, before = write_of(sap, name), observed(sap, name)
    undo = write.undo(write.arguments.model_validate(USES[name]), before, KEY)
    if write.reversible is Reversible.NO:
        assert undo is None
        return
    assert undo is not None
    send(sap, name)

    gateway.call(sap, undo.operation, undo.arguments, actor="test", effect_key=BACK)

    stamps = {"LastChangeDateTime"}
    then, now = values(before), values(observed(sap, name))
    assert {name: value for name, value in now.items() if name[2] not in stamps} == {
        name: value for name, value in then.items() if name[2] not in stamps
    }
    assert len(simulated.effects(BACK)) == 1


@EACH
@pytest.mark.parametrize("fault", ["commit_then_reset", "commit_then_503", "commit_then_timeout"])
def test_a_lost_answer_is_found_again_and_not_sent_twice(
    sap: Connection, simulated: Simulated, name: str, fault: str, settings: Any
) -> None:
    settings.OUTBOUND_TIMEOUT_SECONDS = 1
    assert gateway.find(sap, name, USES[name], effect_key=KEY, actor="test") is None
    simulated.fault(fault, PATHS[name], system="sap")

    with pytest.raises(Unanswered) as lost:
        send(sap, name)

    assert lost.value.effect_possible
    assert gateway.find(sap, name, USES[name], effect_key=KEY, actor="test") is not None
    assert len(simulated.effects(KEY)) == 1


@EACH
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("fail_before", Unanswered),
        ("reset_before", Unanswered),
        ("lock", Locked),
        ("412", VersionConflict),
        ("429", RateLimited),
        ("403", Refused),
        ("422", Refused),
        ("html", Unanswered),
    ],
)
def test_each_answer_becomes_its_exact_failure_and_nothing_was_done(
    sap: Connection, simulated: Simulated, name: str, fault: str, error: type[ConnectorError]
) -> None:
    simulated.fault(fault, PATHS[name], system="sap")

    with pytest.raises(error) as raised:
        send(sap, name)

    assert type(raised.value) is error
    assert simulated.effects(KEY) == []
    Connection.objects.update(not_before=None)  # the pause after a 429 is tested elsewhere
    assert gateway.find(sap, name, USES[name], effect_key=KEY, actor="test") is None


@EACH
def test_a_slow_answer_is_waited_for_and_the_write_is_done_once(
    sap: Connection, simulated: Simulated, name: str
) -> None:
    simulated.fault("slow", PATHS[name], system="sap", seconds=0.05)

    answer = send(sap, name)

    assert answer.written is not None
    assert len(simulated.effects(KEY)) == 1


@EACH
def test_a_record_that_somebody_changed_is_not_overwritten(sap: Connection, simulated: Simulated, name: str) -> None:
    record = observed(sap, name)[0]
    entity, key, change = {
        "billing.cancel": ("A_BillingDocument", BILL, {"DocumentReferenceID": "x"}),
        "supplier_invoice.release": ("A_SupplierInvoice", f"{INVOICE}/{YEAR}", {"InvoicingParty": "1"}),
        "supplier_invoice.cancel": ("A_SupplierInvoice", f"{INVOICE}/{YEAR}", {"InvoicingParty": "1"}),
        "condition.set_rate": ("A_SalesOrderItemPrElement", f"{ORDER}/10/11/1", {"ConditionRateValue": "9"}),
        "journal.reverse": (
            "A_OperationalAcctgDocItemCube", f"{COMPANY}/{YEAR}/{ENTRY}/1", {"AmountInTransactionCurrency": "1"},
        ),
        "payment_block.set": ("A_OperationalAcctgDocItemCube", f"{COMPANY}/{YEAR}/{ENTRY}/1", {"Supplier": "1"}),
    }.get(name, ("A_SalesOrder", ORDER, {"ShippingType": "03"}))  # fmt: skip
    simulated.edit("sap", entity, key, **change)

    with pytest.raises(VersionConflict):
        send(sap, name, version=record.version)

    assert simulated.effects(KEY) == []


@EACH
def test_a_stale_read_after_a_write_is_told_as_it_is(sap: Connection, simulated: Simulated, name: str) -> None:
    before = values(observed(sap, name))
    send(sap, name)
    simulated.fault("stale", "GET ", system="sap", count=20)

    stale = values(observed(sap, name))

    assert {k: v for k, v in stale.items() if k[2] != "Reversed"} == {
        k: v for k, v in before.items() if k[2] != "Reversed"
    }


@EACH
def test_an_expired_token_is_fetched_again_and_the_write_is_done_once(
    sap: Connection, simulated: Simulated, name: str
) -> None:
    send(sap, "order.set_shipping", key=BACK)
    assert wish(simulated, expire_csrf=True)["expired"] >= 1

    send(sap, name if name != "order.set_shipping" else "order.set_delivery_block")

    assert len(simulated.effects(KEY)) == 1


def test_a_token_is_kept_with_its_cookies_and_fetched_once(sap: Connection, simulated: Simulated) -> None:
    send(sap, "order.set_shipping", key=BACK)
    send(sap, "order.set_delivery_block", key=KEY)

    fetched = [row for row in simulated.requests() if row["path"].partition("?")[0].endswith("API_SALES_ORDER_SRV/")]
    assert len(fetched) == 1


def test_a_403_that_asks_for_no_token_is_not_repeated(sap: Connection, simulated: Simulated) -> None:
    simulated.fault("403", PATHS["order.set_shipping"], system="sap", count=5)

    with pytest.raises(Refused):
        send(sap, "order.set_shipping")

    assert len([row for row in simulated.requests() if row["method"] == "PATCH"]) == 1


def test_what_cannot_be_sent_because_no_token_comes_is_no_effect(sap: Connection, simulated: Simulated) -> None:
    simulated.fault("503", "GET .*API_SALES_ORDER_SRV/[?]", system="sap", count=2)

    with pytest.raises(Unreachable) as failed:
        send(sap, "order.set_shipping", version="W/\"'00000001'\"")

    assert not failed.value.effect_possible
    assert [row for row in simulated.requests() if row["method"] == "PATCH"] == []


def test_a_warning_beside_a_success_is_kept(sap: Connection) -> None:
    answer = send(sap, "order.set_shipping")

    assert answer.written is not None
    assert answer.written.result["warnings"] == ["Route was redetermined"]


@pytest.mark.parametrize("name", ["order.set_shipping", "credit_block.release", "journal.reverse"])
def test_a_document_that_somebody_edits_is_locked_whatever_the_status(
    sap: Connection, simulated: Simulated, name: str
) -> None:
    wish(simulated, lock=ENTRY if name == "journal.reverse" else ORDER, user="MEIER")

    with pytest.raises(Locked, match="currently being processed by user MEIER") as locked:
        send(sap, name)

    assert locked.value.status == (200 if name == "journal.reverse" else 400)
    assert simulated.effects(KEY) == []


@pytest.mark.parametrize("name", ["billing.cancel", "supplier_invoice.cancel", "journal.reverse"])
def test_a_closed_period_is_a_refusal_with_its_message_number(sap: Connection, simulated: Simulated, name: str) -> None:
    for period in ("2026-02", datetime.now(UTC).strftime("%Y-%m")):
        simulated.period(period, "Closed")

    with pytest.raises(Refused, match="is not open") as refused:
        send(sap, name)

    assert refused.value.code == "F5/201"
    assert simulated.effects(KEY) == []


def test_every_message_of_an_error_is_told(sap: Connection) -> None:
    send(sap, "credit_block.release")

    with pytest.raises(Refused, match="is not blocked by credit management; An exception was raised"):
        send(sap, "credit_block.release", key=BACK)


def test_a_repeat_that_sap_recognises_has_no_second_effect(sap: Connection, simulated: Simulated) -> None:
    wish(simulated, repeatability=True)
    version = observed(sap, "order.set_shipping")[0].version

    first = send(sap, "order.set_shipping", version=version)
    again = send(sap, "order.set_shipping", version=version)

    assert first.written is not None
    assert again.written is not None
    assert (first.written.result["repeatability"], again.written.result["repeatability"]) == ("accepted", "accepted")
    assert len(simulated.effects(KEY)) == 1


def test_an_outdated_request_may_have_been_carried_out(sap: Connection, simulated: Simulated) -> None:
    wish(simulated, repeatability=True, outdate=request_id(KEY))

    with pytest.raises(Unanswered) as unknown:
        send(sap, "order.set_shipping")

    assert unknown.value.code == "outdated"
    assert unknown.value.effect_possible


def test_a_request_id_is_a_guid_without_dashes_and_the_same_for_life() -> None:
    assert request_id(KEY) == request_id(KEY)
    assert request_id(KEY) != request_id(BACK)
    assert len(request_id(KEY)) == 32
    assert int(request_id(KEY), 16)


def test_a_record_that_is_not_there_is_said_to_be_missing(sap: Connection) -> None:
    with pytest.raises(NotFound):
        gateway.call(sap, "billing.cancel", {"billing": "4711"}, actor="test", effect_key=KEY)
