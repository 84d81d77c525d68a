"""F&O: what a connection opens to changes and declares to be called, for what no operation of its own is made."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from connectors import gateway
from connectors.base import Blocked, NotFound, Refused, Unanswered, VersionConflict
from connectors.kinds.dynamics_fo.connector import DynamicsFOConfig
from connectors.kit.openlists import opened_of
from connectors.models import Connection
from tests.connectors.business import ORDER, PENDING, plant_order, plant_payable
from tests.connectors.conftest import Simulated
from tests.connectors.factories import make_fo
from tests.connectors.written import KEY, LATER, observed, send, there_and_back, write_of

ENTITIES = """
SalesOrderHeadersV2(DeliveryModeCode, CarrierCode, RequestedShippingDate)
VendorInvoiceHeaders(InvoiceNumber, InvoiceAccount, CurrencyCode) by HeaderReference mark PurchaseOrderNumber:20
SalesOrderCharges
PackingSlips
"""
ACTIONS = {
    "stop": {
        "api": "PlaceCreditHold",
        "table": "SalesOrderHeadersV2",
        "parameters": {"Reason": "text"},
        "sets": {"CreditHold": "Yes", "CreditHoldReason": "=Reason"},
        "mark_parameter": "Reference",
        "mark_column": "CreditHoldReference",
        "undo": "go",
        "undo_parameters": {"Reason": "before:CreditHoldReason"},
        "amount_column": "OrderTotalAmount",
        "currency_column": "CurrencyCode",
    },
    "go": {
        "api": "CreditManagement/CreditHoldService/release",
        "table": "SalesOrderHeadersV2",
        "takes": {"company": "dataAreaId", "salesOrderId": "SalesOrderNumber"},
        "parameters": {"Reason": "text"},
        "sets": {"CreditHold": "No"},
        "mark_parameter": "Reference",
        "mark_column": "CreditHoldReference",
        "undo": "stop",
        "undo_parameters": {"Reason": "before:CreditHoldReason"},
    },
}
ORDER_KEY = {"company": "demf", "entity": "SalesOrderHeadersV2", "key": {"SalesOrderNumber": ORDER}}
MADE = {
    "company": "demf", "entity": "VendorInvoiceHeaders", "match": ["InvoiceNumber", "InvoiceAccount"],
    "values": {"InvoiceNumber": "R-78", "InvoiceAccount": "V-0001", "CurrencyCode": "EUR"},
}  # fmt: skip
STOP = {"company": "demf", "action": "stop", "key": {"SalesOrderNumber": ORDER}, "parameters": {"Reason": "Limit"}}
GO = {**STOP, "action": "go", "parameters": {"Reason": "Paid"}}
USES: dict[str, tuple[str, dict[str, Any], str]] = {
    "change": ("record.update", {**ORDER_KEY, "values": {"DeliveryModeCode": "AIR", "CarrierCode": "DHL"}}, "PATCH"),
    "date": (
        "record.update", {**ORDER_KEY, "values": {"RequestedShippingDate": "2026-12-01T00:00:00Z"}}, "PATCH"
    ),
    "number": (
        "record.update",
        {
            "company": "demf", "entity": "SalesOrderCharges", "key": {"SalesOrderNumber": ORDER, "ChargeLineNumber": 1},
            "values": {"FixedChargeAmount": 12.4},
        },
        "PATCH",
    ),
    "make": ("record.create", MADE, "POST .*VendorInvoiceHeaders"),
    "service": ("action.call", GO, "POST .*release"),
}  # fmt: skip


@pytest.fixture
def open_fo(db: None, simulated: Simulated) -> Connection:
    plant_order(simulated)
    plant_payable(simulated)
    operations = ["record.update", "record.create", "record.remove", "action.call"]
    config = {"entities": ENTITIES, "actions": json.dumps(ACTIONS)}
    return make_fo(f"{simulated.url}/fo", secret="simulator", config=config, operations=operations)


@pytest.mark.parametrize("use", USES)
def test_what_is_opened_is_foreseen_sent_once_read_back_and_taken_back(
    open_fo: Connection, simulated: Simulated, use: str
) -> None:
    name, arguments, _ = USES[use]
    there_and_back(open_fo, simulated, name, arguments)


@pytest.mark.parametrize("fault", ["commit_then_reset", "commit_then_503"])
@pytest.mark.parametrize("use", USES)
def test_a_lost_answer_is_found_again_and_nothing_is_done_twice(
    open_fo: Connection, simulated: Simulated, use: str, fault: str
) -> None:
    name, arguments, path = USES[use]
    assert gateway.find(open_fo, name, arguments, effect_key=KEY, actor="test") is None
    simulated.fault(fault, path)

    with pytest.raises(Unanswered) as lost:
        send(open_fo, name, arguments)

    assert lost.value.effect_possible
    assert gateway.find(open_fo, name, arguments, effect_key=KEY, actor="test") is not None
    assert len(simulated.effects(KEY)) == 1


@pytest.mark.parametrize("fault", ["fail_before", "reset_before", "html", "504"])
@pytest.mark.parametrize("use", USES)
def test_what_was_not_committed_is_not_found(open_fo: Connection, simulated: Simulated, use: str, fault: str) -> None:
    name, arguments, path = USES[use]
    simulated.fault(fault, path)

    with pytest.raises(Unanswered):
        send(open_fo, name, arguments)

    assert gateway.find(open_fo, name, arguments, effect_key=KEY, actor="test") is None
    assert simulated.effects(KEY) == []


@pytest.mark.parametrize("use", ["change", "service"])
def test_what_somebody_changed_meanwhile_is_left_alone(open_fo: Connection, simulated: Simulated, use: str) -> None:
    name, arguments, _ = USES[use]
    version = observed(open_fo, name, arguments)[0].version
    simulated.edit("fo", "SalesOrderHeadersV2", ORDER, DeliveryModeCode="SEA")

    with pytest.raises(VersionConflict):
        send(open_fo, name, arguments, version=version)

    assert simulated.effects(KEY) == []


def test_a_made_record_carries_a_mark_that_fits_its_field(open_fo: Connection, simulated: Simulated) -> None:
    made = send(open_fo, "record.create", MADE).written

    row = gateway.call(
        open_fo, "odata.query", {"entity": "VendorInvoiceHeaders", "filter": "InvoiceNumber eq 'R-78'"}, actor="test"
    ).records[0]
    assert len(row.fields["PurchaseOrderNumber"]) == 20
    assert made.result["key"] == f"demf/{row.fields['HeaderReference']}"
    # A longer key leaves no shorter digest that another key could share by its beginning.
    assert opened_of(ENTITIES)["vendorinvoiceheaders"].mark_of("a" * 41) != row.fields["PurchaseOrderNumber"]


def test_only_the_one_record_that_carries_the_mark_is_deleted(open_fo: Connection, simulated: Simulated) -> None:
    send(open_fo, "record.create", MADE)

    with pytest.raises(NotFound, match="0 records of VendorInvoiceHeaders carry the mark"):
        send(open_fo, "record.remove", {**MADE, "reference": "nobody"}, LATER)
    send(open_fo, "record.remove", {**MADE, "reference": KEY}, LATER)

    query = {"entity": "VendorInvoiceHeaders", "filter": ""}
    left = gateway.call(open_fo, "odata.query", query, actor="test").records
    assert [row.fields["HeaderReference"] for row in left] == [PENDING]


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        (
            "record.update",
            {**ORDER_KEY, "entity": "CustomersV3", "values": {"Region": "DE"}},
            "may not change Customers",
        ),
        ("record.update", {**ORDER_KEY, "values": {"CreditHold": "No"}}, "may not change CreditHold of SalesOrder"),
        ("record.update", {**ORDER_KEY, "key": {"Number": "1"}, "values": {"CarrierCode": "x"}}, "is SalesOrderNumber"),
        ("record.create", {**ORDER_KEY, "values": {"CarrierCode": "x"}, "match": ["CarrierCode"]}, "takes a mark"),
        ("action.call", {**STOP, "action": "wipe"}, "may not call wipe: its actions are go, stop"),
        ("action.call", {**STOP, "parameters": {}}, "Reason is missing"),
    ],
)
def test_what_is_not_open_or_not_declared_is_refused_before_anything_is_sent(
    open_fo: Connection, simulated: Simulated, name: str, arguments: dict[str, Any], told: str
) -> None:
    arguments = {key: value for key, value in arguments.items() if key != "key" or name != "record.create"}

    with pytest.raises(Blocked, match=told):
        send(open_fo, name, arguments)

    assert [row for row in simulated.requests() if row["method"] in ("PATCH", "POST") and "/data/" in row["path"]] == []


def test_posted_records_stay_refused_in_the_systems_own_words(open_fo: Connection, simulated: Simulated) -> None:
    simulated.plant("fo", "PackingSlips", dataAreaId="demf", PackingSlipId="PS-1", SalesOrderNumber=ORDER, Quantity=1.0)
    key = {"company": "demf", "entity": "PackingSlips", "key": {"PackingSlipId": "PS-1"}}

    with pytest.raises(Refused, match="posted and cannot be changed"):
        send(open_fo, "record.update", {**key, "values": {"Quantity": 2.0}})


def test_a_wildcard_recognises_nothing(open_fo: Connection) -> None:
    hostile: dict[str, Any] = {**MADE, "values": {"InvoiceNumber": "R-*"}, "match": ["InvoiceNumber"]}

    with pytest.raises(Refused, match="asterisk"):
        observed(open_fo, "record.create", hostile)


def test_a_call_says_what_is_at_stake(open_fo: Connection) -> None:
    write = write_of(open_fo, "action.call")
    args = write.arguments.model_validate(STOP)

    assert write.amount is not None
    assert write.amount(args, observed(open_fo, "action.call", STOP)) == ("130.0", "EUR")
    assert write.financial


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("entities", "Orders(", "cannot be read"),
        ("entities", "Orders mark Note:8", "from 16 to 64"),
        ("entities", "Orders\norders(A)", "two lines"),
        ("actions", "[]", "write an object"),
        ("actions", json.dumps({"go": {**ACTIONS["go"], "takes": {}}}), "takes which field"),
        ("actions", json.dumps({"stop": {**ACTIONS["stop"], "undo": "none"}}), "its undo none is not declared"),
        ("actions", json.dumps({"stop": {**ACTIONS["stop"], "takes": {"a": "B"}}}), "takes no key"),
    ],
)
def test_a_setting_that_cannot_be_read_is_refused_beside_its_field(field: str, value: str, told: str) -> None:
    config: dict[str, Any] = {"environment_url": "https://contoso.example", "tenant": "contoso", "client_id": "x"}

    with pytest.raises(ValidationError, match=told) as refused:
        DynamicsFOConfig(**{**config, field: value})

    assert refused.value.errors()[0]["loc"] == (field,)
