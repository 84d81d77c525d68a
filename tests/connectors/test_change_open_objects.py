"""Salesforce: objects that a connection opens to changes, for what no operation of its own is made."""

from typing import Any

import pytest
from pydantic import ValidationError

from connectors import gateway
from connectors.base import Blocked, NotFound, Refused, Unanswered, VersionConflict
from connectors.kinds.salesforce.connector import SalesforceConfig
from connectors.models import Connection
from tests.connectors.business import plant_case
from tests.connectors.conftest import Simulated
from tests.connectors.factories import make_crm
from tests.connectors.written import KEY, LATER, observed, send, there_and_back

OBJECTS = "Case(Priority, Subject, AccountId, Order_Number__c)\nAccount"
USES = ["change", "empty", "make"]
PATHS = {"change": "PATCH .*Case/", "empty": "PATCH .*Account/", "make": "PATCH .*Goldseam_Key__c"}


@pytest.fixture
def case(simulated: Simulated) -> dict[str, Any]:
    return plant_case(simulated)


@pytest.fixture
def open_crm(db: None, simulated: Simulated, case: dict[str, Any]) -> Connection:
    operations = ["record.update", "record.create", "record.remove"]
    return make_crm(f"{simulated.url}/sf", secret="simulator", config={"objects": OBJECTS}, operations=operations)


def use_of(name: str, case: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if name == "change":
        return "record.update", {"object": "Case", "id": case["Id"], "values": {"Priority": "High", "Subject": "Now"}}
    if name == "empty":
        return "record.update", {"object": "Account", "id": case["AccountId"], "values": {"Region__c": None}}
    values = {"Subject": "Call the customer", "AccountId": case["AccountId"], "Order_Number__c": "SO-000009"}
    return "record.create", {"object": "Case", "values": values, "match": ["Subject", "AccountId"]}


@pytest.mark.parametrize("use", USES)
def test_what_is_opened_is_foreseen_sent_once_read_back_and_taken_back(
    open_crm: Connection, simulated: Simulated, case: dict[str, Any], use: str
) -> None:
    simulated.edit("sf", "Account", case["AccountId"], Region__c="DE")
    name, arguments = use_of(use, case)
    there_and_back(open_crm, simulated, name, arguments)


@pytest.mark.parametrize("fault", ["commit_then_reset", "commit_then_503"])
@pytest.mark.parametrize("use", ["change", "make"])
def test_a_lost_answer_is_found_again_and_nothing_is_done_twice(
    open_crm: Connection, simulated: Simulated, case: dict[str, Any], use: str, fault: str
) -> None:
    name, arguments = use_of(use, case)
    assert gateway.find(open_crm, name, arguments, effect_key=KEY, actor="test") is None
    simulated.fault(fault, PATHS[use], system="sf")

    with pytest.raises(Unanswered):
        send(open_crm, name, arguments)

    assert gateway.find(open_crm, name, arguments, effect_key=KEY, actor="test") is not None
    assert len(simulated.effects(KEY)) == 1


@pytest.mark.parametrize("fault", ["fail_before", "html", "504"])
@pytest.mark.parametrize("use", ["change", "make"])
def test_what_was_not_committed_is_not_found(
    open_crm: Connection, simulated: Simulated, case: dict[str, Any], use: str, fault: str
) -> None:
    name, arguments = use_of(use, case)
    simulated.fault(fault, PATHS[use], system="sf")

    with pytest.raises(Unanswered):
        send(open_crm, name, arguments)

    assert gateway.find(open_crm, name, arguments, effect_key=KEY, actor="test") is None
    assert simulated.effects(KEY) == []


def test_what_somebody_changed_meanwhile_is_left_alone(
    open_crm: Connection, simulated: Simulated, case: dict[str, Any]
) -> None:
    name, arguments = use_of("change", case)
    version = observed(open_crm, name, arguments)[0].version
    simulated.edit("sf", "Case", case["Id"], Status="Working")

    with pytest.raises(VersionConflict, match="was changed after it was read"):
        send(open_crm, name, arguments, version=version)

    assert simulated.effects(KEY) == []


def test_only_the_record_that_carries_the_key_is_deleted(
    open_crm: Connection, simulated: Simulated, case: dict[str, Any]
) -> None:
    name, arguments = use_of("make", case)
    made = send(open_crm, name, arguments).written.result["id"]

    with pytest.raises(NotFound, match="0 records of Case carry the key"):
        send(open_crm, "record.remove", {**arguments, "reference": "nobody"}, LATER)
    send(open_crm, "record.remove", {**arguments, "reference": KEY}, LATER)

    left = gateway.call(open_crm, "soql.query", {"query": "SELECT Id FROM Case"}, actor="test").records
    assert [row.key for row in left] == [case["Id"]]
    assert made != case["Id"]


@pytest.mark.parametrize(
    "asked",
    [
        ("record.update", {"object": "Order"}, "may not change Order: open to changes are Account, Case"),
        ("record.update", {"values": {"Status": "Closed"}}, "may not change Status of Case"),
        ("record.create", {"values": {"OwnerId": "x"}, "match": ["OwnerId"]}, "may not change OwnerId of Case"),
    ],
)
def test_what_is_not_open_is_refused_before_anything_is_sent(
    open_crm: Connection, simulated: Simulated, case: dict[str, Any], asked: tuple[str, dict[str, Any], str]
) -> None:
    name, changes, told = asked
    _, arguments = use_of("change" if name == "record.update" else "make", case)

    with pytest.raises(Blocked, match=told):
        send(open_crm, name, {**arguments, **changes})

    assert [row for row in simulated.requests() if row["effect_key"]] == []


def test_several_records_under_one_external_id_are_never_guessed_between(
    simulated: Simulated, case: dict[str, Any], db: None
) -> None:
    for name in ("Lamp House", "Lamp Yard"):
        simulated.plant("sf", "Account", Name=name, AccountNumber=KEY)
    config = {"objects": "Account(Name) mark AccountNumber"}
    crm = make_crm(f"{simulated.url}/sf", secret="simulator", config=config, operations=["record.create"])

    with pytest.raises(Refused, match="several records of Account carry the key") as refused:
        send(crm, "record.create", {"object": "Account", "values": {"Name": "New"}, "match": ["Name"]})

    assert refused.value.status == 300
    assert simulated.effects(KEY) == []


@pytest.mark.parametrize(("value", "told"), [("Case(", "cannot be read"), ("Case by Id", "leave “by” away")])
def test_a_setting_that_cannot_be_read_is_refused_beside_its_field(value: str, told: str) -> None:
    with pytest.raises(ValidationError, match=told) as refused:
        SalesforceConfig(login_url="https://contoso.my.salesforce.com", client_id="x", objects=value)

    assert refused.value.errors()[0]["loc"] == ("objects",)
