"""Records found by what stands in their fields: none, one and several, in four systems, by values and never by text."""

from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from connectors import gateway, registry
from connectors.base import Blocked, ConnectorError, Refused
from connectors.models import Call, Connection
from tests.connectors.conftest import Simulated
from tests.connectors.factories import Played
from tests.connectors.finding_world import KINDS, SALES, answer_of, find

EACH = pytest.mark.parametrize("kind", sorted(KINDS))
GUID = "2f0c1c1e-0000-0000-0000-000000000001"
ACCOUNT = "001gs0000000001AAA"
NASTY = [
    "O'Brien", "''", "'", "A&B", "A#B", "A?B", "A/B", "A%2FB", "A+B", "A B", "ü中\U0001f600", "(x)", "x' or '1' eq '1",
    "x') or (1 eq 1", "x' OR Name != '", "\\", "\\'", "\\\\'", "A\\nB", '"', "$filter", "{watermark}", "null", "true",
    "2026-01-31", "2026-01-31T08:00:00Z", GUID, "7", "%", "_", "x" * 255,
]  # fmt: skip


def asked_of(simulated: Simulated) -> list[str]:
    """What was asked for beside tokens."""
    return [row["path"] for row in simulated.requests() if "token" not in row["path"]]


# --- none, one, several -------------------------------------------------------------------------
@EACH
def test_one_record_comes_with_its_key_its_version_and_what_is_open_of_it(
    kind: str, simulated: Simulated, db: None
) -> None:
    world = KINDS[kind]
    planted = world.plant(simulated, "PO-77")
    world.plant(simulated, "PO-78", 2)

    records = find(world.connection(simulated.url), world.entity, {world.field: "PO-77"})

    keys = {"salesforce": planted.get("Id"), "dataverse": planted.get("salesorderid"), "dynamics_fo": "demf/SO-1"}
    assert [(one.entity, one.key) for one in records] == [(world.entity.rpartition("/")[2], keys.get(kind, "1"))]
    assert records[0].version
    assert records[0].url
    one = registry.connector_for(Connection.objects.get()).settings.may_find()[world.entity.casefold()]
    labels = {"statecode_label"} if kind == "dataverse" else {"dataAreaId"} if kind == "dynamics_fo" else set()
    assert {*one.by, *one.fields} - {"shippingmethodcode_label"} >= set(records[0].fields) - labels >= {world.field}
    assert len(asked_of(simulated)) == 1


@EACH
def test_no_record_is_an_answer_and_not_an_error(kind: str, simulated: Simulated, db: None) -> None:
    world = KINDS[kind]
    world.plant(simulated, "PO-77")

    assert find(world.connection(simulated.url), world.entity, {world.field: "PO-79"}) == []

    call = Call.objects.get()
    assert (call.outcome, call.requests > 0) == ("ok", True)
    assert call.arguments["where"] == {world.field: "PO-79"}


@EACH
def test_several_are_ambiguous_unless_so_many_were_wished_for(kind: str, simulated: Simulated, db: None) -> None:
    world = KINDS[kind]
    connection = world.connection(simulated.url)
    shared = {world.other: "Draft" if kind == "salesforce" else "A-1"}
    for order in (3, 1, 2):
        world.plant(simulated, f"PO-{order}", order, **shared)

    with pytest.raises(Refused, match=r"more than 2 of .* which is meant cannot be told") as refused:
        find(connection, world.entity, shared, limit=2)
    several = find(connection, world.entity, shared, limit=3)

    assert refused.value.code == "ambiguous"
    assert len({one.key for one in several}) == 3
    assert [one.key for one in several] == sorted(one.key for one in several)
    assert len(asked_of(simulated)) == 2


@EACH
def test_all_conditions_must_hold_and_chosen_fields_come_alone(kind: str, simulated: Simulated, db: None) -> None:
    world = KINDS[kind]
    connection = world.connection(simulated.url)
    here, there = ("Draft", "Activated") if kind == "salesforce" else ("A-1", "A-2")
    world.plant(simulated, "PO-77", 1, **{world.other: here})
    world.plant(simulated, "PO-77", 2, **{world.other: there})

    both = {world.field: "PO-77", world.other: there}
    records = find(connection, world.entity, both, fields=[world.other])

    always = {"dataAreaId": "demf"} if kind == "dynamics_fo" else {}
    assert [one.fields for one in records] == [{**both, **always}]


@EACH
def test_a_name_is_found_in_any_case_and_comes_as_it_was_declared(kind: str, simulated: Simulated, db: None) -> None:
    world = KINDS[kind]
    world.plant(simulated, "PO-77")

    records = find(world.connection(simulated.url), world.entity, {world.field.upper(): "PO-77"})

    assert records[0].fields[world.field] == "PO-77"


# --- values -------------------------------------------------------------------------------------
@EACH
def test_a_hostile_value_finds_the_record_that_has_it_and_no_other(kind: str, simulated: Simulated, db: None) -> None:
    world = KINDS[kind]
    connection = world.connection(simulated.url)
    for order, number in enumerate((*NASTY, "another", "x"), 1):
        world.plant(simulated, number, order)

    found = {text: find(connection, world.entity, {world.field: text}) for text in NASTY}

    assert {text: [one.fields[world.field] for one in rows] for text, rows in found.items()} == {
        text: [text] for text in NASTY
    }


@EACH
@pytest.mark.parametrize(
    "given",
    [
        {"where": {}}, {"where": {"A": None}}, {"where": {"A": ""}}, {"where": {"A": "  "}},
        {"where": {"A": "x" * 256}}, {"where": {"A": "a\nb"}}, {"where": {"A": "a\x00b"}},
        {"where": {"A": "\ud800"}}, {"where": {"A": "a\x7f"}},
        {"where": {"A": ["a"]}}, {"where": {"A": {"b": 1}}}, {"where": {"A": float("inf")}}, {"where": {"A b": "c"}},
        {"where": {"A'": "c"}}, {"where": {"A.B": "c"}}, {"where": {f"F{number}": "c" for number in range(6)}},
        {"where": {"A": "b"}, "limit": 0}, {"where": {"A": "b"}, "limit": 51}, {"where": {"A": "b"}, "fields": ["B,C"]},
        {"where": {"A": "b"}, "entity": "Order WHERE"}, {"where": {"A": "b"}, "entity": "../x"},
    ],
)  # fmt: skip
def test_what_no_key_holds_is_refused_before_anything_is_sent(
    kind: str, given: dict[str, Any], played: Played, db: None
) -> None:
    world = KINDS[kind]

    with pytest.raises(Blocked) as blocked:
        gateway.call(world.connection(), "record.find", {"entity": world.entity, **given}, actor="test")

    assert blocked.value.code == "arguments"
    assert played.requests == []


@pytest.mark.parametrize("text", ["*", "PO-*", "*' or '1' eq '1"])
def test_what_fo_would_search_with_is_refused(text: str, played: Played, db: None) -> None:
    with pytest.raises(Refused, match="asterisk"):
        find(KINDS["dynamics_fo"].connection(), "SalesOrderHeadersV2", {"CustomersOrderReference": text})

    assert played.requests == []


LITERALS: list[tuple[str, str, str, Any, str]] = [
    ("salesforce", "Order", "AccountId", ACCOUNT[:15], f"AccountId = '{ACCOUNT}'"),
    ("salesforce", "Order", "EffectiveDate", "2026-01-31", "EffectiveDate = 2026-01-31"),
    ("salesforce", "Order", "CreatedDate", "2026-01-31T08:00:00+01:00", "CreatedDate = 2026-01-31T07:00:00.000Z"),
    ("salesforce", "Order", "Amount__c", 1e-7, "Amount__c = 0.0000001"),
    ("salesforce", "Order", "Status", "2026-01-31", "Status = '2026-01-31'"),
    ("dataverse", "salesorder", "_customerid_value", GUID.upper(), f"_customerid_value eq {GUID}"),
    ("dataverse", "salesorder", "ordernumber", GUID, f"ordernumber eq '{GUID}'"),
    ("dataverse", "salesorder", "shippingmethodcode", 2, "shippingmethodcode eq 2"),
    ("dataverse", "salesorder", "shippingmethodcode", 2.0, "shippingmethodcode eq 2"),
    ("dataverse", "salesorder", "new_onhold", True, "new_onhold eq true"),
    ("dataverse", "salesorder", "totalamount", 12.5, "totalamount eq 12.5"),
    ("dataverse", "salesorder", "requestdeliverby", "2026-01-31", "requestdeliverby eq 2026-01-31"),
    ("dataverse", "salesorder", "createdon", "2026-01-31T08:00:00Z", "createdon eq 2026-01-31T08:00:00Z"),
    (
        "dynamics_fo", "SalesOrderHeadersV2", "CreditHold", "Yes",
        "CreditHold eq Microsoft.Dynamics.DataEntities.NoYes'Yes'",
    ),
    ("dynamics_fo", "SalesOrderHeadersV2", "dataAreaId", "demf", "dataAreaId eq 'demf'"),
    ("dynamics_fo", "SalesOrderHeadersV2", "OrderTotalAmount", 130, "OrderTotalAmount eq 130"),
    (
        "dynamics_fo", "SalesOrderHeadersV2", "RequestedShippingDate", "2026-01-31",
        "RequestedShippingDate ge 2026-01-31T00:00:00Z and RequestedShippingDate le 2026-01-31T23:59:59Z",
    ),
    (
        "dynamics_fo", "SalesOrderHeadersV2", "OrderCreationDate", "2026-01-31T08:00:00Z",
        "OrderCreationDate eq 2026-01-31T08:00:00Z",
    ),
    ("sap", SALES, "TotalNetAmount", 100, "TotalNetAmount eq 100M"),
    ("sap", SALES, "CreationDate", "2026-01-31", "CreationDate eq datetime'2026-01-31T00:00:00'"),
    (
        "sap", SALES, "LastChangeDateTime", "2026-01-31T08:00:00Z",
        "LastChangeDateTime eq datetimeoffset'2026-01-31T08:00:00Z'",
    ),
    ("sap", "sales/SalesOrder", "TotalNetAmount", 100.5, "TotalNetAmount eq 100.5"),
    ("sap", "sales/SalesOrder", "CreationDate", "2026-01-31", "CreationDate eq 2026-01-31"),
    (
        "sap", "sales/SalesOrder", "LastChangeDateTime", "2026-01-31T08:00:00Z",
        "LastChangeDateTime eq 2026-01-31T08:00:00Z",
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", LITERALS, ids=[case[4] for case in LITERALS])
def test_a_value_is_written_as_what_its_field_holds_in_the_language_of_the_system(
    case: tuple[str, str, str, Any, str], played: Played, db: None
) -> None:
    kind, entity, field, value, literal = case
    connection = KINDS[kind].connection()
    v4 = entity.startswith("sales/")
    empty = {"value": []} if v4 else answer_of(kind)
    path = "/sap/opu/odata4/sap/api_salesorder/srvd_a2x/sap/api_salesorder/0001/SalesOrder"
    played.on("GET", path if v4 else KINDS[kind].address, httpx.Response(200, json=empty))

    assert find(connection, entity, {field: value}) == []

    sent = {name: values[0] for name, values in parse_qs(played.calls[0].url.query.decode()).items()}
    if kind == "salesforce":
        assert f" WHERE {literal} ORDER BY Id LIMIT 2" in sent["q"]
    else:
        assert (sent["$filter"], sent["$top"]) == (literal, "2")
        assert field in sent["$select"].split(",")
    assert kind != "dynamics_fo" or sent["cross-company"] == "true"


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("salesforce", "AccountId", "Lamp House"), ("salesforce", "EffectiveDate", "31.01.2026"),
        ("salesforce", "EffectiveDate", "2026-02-30"), ("salesforce", "Amount__c", "12"),
        ("salesforce", "Amount__c", True), ("salesforce", "CreatedDate", "2026-01-31"), ("salesforce", "Status", 7),
        ("dataverse", "_customerid_value", "7"), ("dataverse", "shippingmethodcode", 2.5),
        ("dataverse", "shippingmethodcode", "Ground"), ("dataverse", "new_onhold", "true"),
        ("dynamics_fo", "CreditHold", "Yes'"), ("dynamics_fo", "CreditHold", True),
        ("sap", "LastChangeDateTime", "0999-01-31T08:00:00Z"),
    ],
)  # fmt: skip
def test_a_value_of_another_sort_is_refused_with_what_the_field_holds(
    kind: str, field: str, value: Any, played: Played, db: None
) -> None:
    with pytest.raises(Blocked, match=f"{field} of .* is found by .*“Records it may find”") as blocked:
        find(KINDS[kind].connection(), KINDS[kind].entity, {field: value})

    assert blocked.value.code == "arguments"
    assert played.requests == []


def test_the_systems_themselves_take_these_literals(simulated: Simulated, db: None) -> None:
    account = simulated.plant("sf", "Account", Name="Lamp House")["Id"]
    buyer = simulated.plant("dv", "account", name="Lamp House")["accountid"]
    KINDS["salesforce"].plant(simulated, "a", AccountId=account, EffectiveDate="2026-01-31", Amount__c=12.5)
    planted = KINDS["dataverse"].plant(
        simulated, "b", _customerid_value=buyer, totalamount=12.5, shippingmethodcode=2, new_onhold=True,
        requestdeliverby="2026-01-31",
    )  # fmt: skip
    KINDS["dynamics_fo"].plant(
        simulated, "c", CreditHold="Yes", OrderTotalAmount=12.5, RequestedShippingDate="2026-01-31T12:00:00Z",
        OrderCreationDate="2026-01-30T08:00:00Z",
    )  # fmt: skip
    KINDS["sap"].plant(simulated, "d", CreationDate="2026-01-31", LastChangeDateTime="2026-01-31T08:00:00Z")
    whole = {
        ("salesforce", "Order"): {"AccountId": account, "EffectiveDate": "2026-01-31", "Amount__c": 12.5},
        ("dataverse", "salesorder"): {
            "_customerid_value": buyer, "totalamount": 12.5, "shippingmethodcode": 2, "new_onhold": True,
            "requestdeliverby": "2026-01-31",
        },
        ("dynamics_fo", "SalesOrderHeadersV2"): {
            "CreditHold": "Yes", "OrderTotalAmount": 12.5, "RequestedShippingDate": "2026-01-31",
            "OrderCreationDate": "2026-01-30T08:00:00Z", "dataAreaId": "demf",
        },
        ("sap", SALES): {
            "CreationDate": "2026-01-31", "LastChangeDateTime": "2026-01-31T08:00:00Z", "TotalNetAmount": 100,
        },
        ("sap", "sales/SalesOrder"): {"CreationDate": "2026-01-31", "TotalNetAmount": 100.0},
    }  # fmt: skip
    connections = {kind: world.connection(simulated.url) for kind, world in KINDS.items()}

    found = {key: len(find(connections[key[0]], key[1], where)) for key, where in whole.items()}
    moment = find(connections["dataverse"], "salesorder", {"createdon": planted["createdon"]})

    assert found == dict.fromkeys(whole, 1)
    assert [one.key for one in moment] == [planted["salesorderid"]]


@EACH
def test_every_failure_of_the_system_is_an_exact_one(kind: str, simulated: Simulated, db: None) -> None:
    world = KINDS[kind]
    connection = world.connection(simulated.url)
    for fault in ("fail_before", "html", "504"):
        simulated.fault(fault, "GET", system="sap" if kind == "sap" else world.system)
        with pytest.raises(ConnectorError) as failed:
            find(connection, world.entity, {world.field: "PO-77"})
        assert failed.value.retryable, fault
        simulated.calm()
