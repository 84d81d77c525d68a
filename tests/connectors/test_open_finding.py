"""What may be found: opened by the connection's lines, held by the door, judged when the answer comes."""

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pydantic import ValidationError

from audit.errors import Invalid
from connectors import gateway, registry
from connectors.base import Blocked, Unanswered
from connectors.forms.connection import form_for
from connectors.kit import finding
from connectors.kit.finding import Symbol
from connectors.models import Connection
from connectors.redaction import HIDDEN
from tests.connectors.factories import Played
from tests.connectors.finding_world import KINDS, SALES, answer_of, find, row_of

EACH = pytest.mark.parametrize("kind", sorted(KINDS))


# --- what is open -------------------------------------------------------------------------------
@EACH
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"entity": "Secret"}, "may not find"),
        ({"where": {"Secret": "x"}}, "by Secret: “Records it may find” at the connection opens"),
        ({"fields": ["Secret"]}, "with Secret: “Records it may find” at the connection opens"),
    ],
)
def test_what_is_not_open_is_refused_with_where_it_is_opened(
    kind: str, changes: dict[str, Any], said: str, played: Played, db: None
) -> None:
    world = KINDS[kind]
    asked = {"entity": world.entity, "where": {world.field: "PO-77"}, **changes}
    asked["entity"] = f"X/{asked['entity']}" if kind == "sap" and "entity" in changes else asked["entity"]

    with pytest.raises(Blocked, match=said) as blocked:
        gateway.call(world.connection(), "record.find", asked, actor="test")

    assert blocked.value.code == "entity"
    assert played.requests == []


@EACH
def test_a_field_is_asked_for_once(kind: str, played: Played, db: None) -> None:
    world = KINDS[kind]

    with pytest.raises(Blocked, match=f"{world.field} of .* is asked for twice"):
        find(world.connection(), world.entity, {world.field: "PO-77", world.field.swapcase(): "PO-78"})

    assert played.requests == []


@EACH
def test_a_connection_that_opens_nothing_finds_nothing(kind: str, played: Played, db: None) -> None:
    world = KINDS[kind]
    connection = world.make(world.root)

    with pytest.raises(Blocked, match="opens nothing"):
        find(connection, world.entity, {world.field: "PO-77"})

    assert played.requests == []


@EACH
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"reads": ["odata.query", "soql.query", "record.get"]}, "operation"),
        ({"data_class": "blocked"}, "class"),
        ({"labelled": True}, "class"),
    ],
)
def test_the_doors_own_rules_hold_for_it(
    kind: str, changes: dict[str, Any], code: str, played: Played, db: None
) -> None:
    world = KINDS[kind]
    connection = world.connection()
    known = {one.name for one in registry.operations_of(connection)}
    changes = {**changes, **({"reads": sorted(known & set(changes["reads"]))} if "reads" in changes else {})}
    if changes.pop("labelled", False):
        changes |= {"labels": {world.field: "personal"}, "cleared": []}
    Connection.objects.filter(pk=connection.pk).update(**changes)

    with pytest.raises(Blocked) as blocked:
        find(connection, world.entity, {world.field: "PO-77"})

    assert blocked.value.code == code
    assert played.requests == []


@EACH
def test_what_must_be_granted_names_what_is_open(kind: str, db: None) -> None:
    told = registry.needs_of(KINDS[kind].connection()).operations or {}
    blank = registry.needs_of(KINDS[kind].make(KINDS[kind].root, slug="other")).operations or {}

    assert any(right.startswith(f"{KINDS[kind].entity}: ") for right in told["record.find"].rights)
    assert blank["record.find"].rights[0].startswith("each ")


# --- answers that are not to be believed ----------------------------------------------------------
def lying(kind: str, played: Played, answer: dict[str, Any]) -> None:
    played.on("GET", KINDS[kind].address, httpx.Response(200, json=answer))


@EACH
def test_records_that_were_not_asked_for_are_no_answer(kind: str, played: Played, db: None) -> None:
    world = KINDS[kind]
    lying(kind, played, answer_of(kind, row_of(kind, "PO-78")))

    with pytest.raises(Unanswered, match="other records"):
        find(world.connection(), world.entity, {world.field: "PO-77"})


@EACH
def test_a_system_that_ignores_the_question_is_not_taken_for_an_ambiguous_one(
    kind: str, played: Played, db: None
) -> None:
    world = KINDS[kind]
    lying(kind, played, answer_of(kind, *(row_of(kind, f"PO-{number}", number) for number in range(1, 9))))

    with pytest.raises(Unanswered, match="other records"):
        find(world.connection(), world.entity, {world.field: "PO-1"})


@EACH
def test_a_record_without_its_key_is_no_answer(kind: str, played: Played, db: None) -> None:
    world = KINDS[kind]
    keys = ("Id", "salesorderid", "SalesOrderNumber", "SalesOrder")
    row = {name: value for name, value in row_of(kind, "PO-77").items() if name not in keys}
    lying(kind, played, answer_of(kind, row))

    with pytest.raises(Unanswered, match="without its key"):
        find(world.connection(), world.entity, {world.field: "PO-77"})


@EACH
def test_a_list_that_goes_on_is_neither_followed_nor_taken_for_the_whole(kind: str, played: Played, db: None) -> None:
    world = KINDS[kind]
    lying(kind, played, answer_of(kind, more=True))

    with pytest.raises(Unanswered) as lost:
        find(world.connection(), world.entity, {world.field: "PO-77"})

    assert lost.value.code == "paging"
    assert len(played.calls) == 1


@EACH
def test_what_is_not_open_is_dropped_from_an_answer(kind: str, played: Played, db: None) -> None:
    world = KINDS[kind]
    lying(kind, played, answer_of(kind, {**row_of(kind, "po-77"), "Secret__c": "x"}))

    record = find(world.connection(), world.entity, {world.field: "PO-77"})[0]

    assert record.fields[world.field] == "po-77"
    assert "Secret__c" not in record.fields


@pytest.mark.parametrize(
    ("given", "wanted", "fit"),
    [
        ("STRASSE", "straße", True), ("Müller ", "muller", True), ("0000000001", "1", False), (None, "x", False),
        (1, "1", False), ("12.50", Decimal("12.5"), True), (True, 1, False), (True, True, True),
        ("yes", Symbol("NoYes", "Yes"), True),
    ],
)  # fmt: skip
def test_an_answer_is_compared_as_loosely_as_databases_do(given: Any, wanted: Any, fit: bool) -> None:
    assert finding.fits(given, wanted) is fit
    assert finding.fits("0000000001", "1", zeros=True)


# --- the admin's pages ------------------------------------------------------------------------------
@pytest.fixture
def client(admin: User) -> Client:
    browser = Client()
    browser.force_login(admin)
    return browser


@EACH
def test_the_form_draws_the_setting_and_offers_the_read(kind: str, db: None) -> None:
    connection = KINDS[kind].connection()
    form = form_for(registry.KINDS[kind])(instance=connection)

    assert form.initial["config_findable"] == KINDS[kind].findable
    assert "record.find" in [name for name, _ in form.fields["reads"].choices]


@EACH
def test_the_read_is_tried_by_hand(kind: str, client: Client, played: Played) -> None:
    world = KINDS[kind]
    connection = world.connection(labels={world.other: "personal"})
    lying(kind, played, answer_of(kind, {**row_of(kind, "PO-77"), world.other: "Mind the step"}))
    entered = {"entity": world.entity, "where": json.dumps({world.field: "PO-77"}), "limit": "2"}
    address = reverse("admin:connection-try", args=[connection.pk])

    answer = client.post(
        address, {"read": "record.find", **{f"argument_{name}": text for name, text in entered.items()}}
    )

    body = " ".join(answer.content.decode().split())
    assert "Answered 200 with 1 record, in " in body
    assert f"<td>{world.field}</td><td>PO-77</td>" in body
    assert f"<td>{world.other}</td><td>{HIDDEN}</td>" in body
    assert "Mind the step" not in body


# --- settings -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "line", "said"),
    [
        ("salesforce", "Order", "cannot be read"),
        ("salesforce", "Order(Id) by", "cannot be read"),
        ("salesforce", "Order by A:colour", "holds “colour”; write text"),
        ("salesforce", "Order by A:NoYes", "leave its sort away"),
        ("salesforce", "Order by A key B", "leave “key” away"),
        ("salesforce", "Sales/Order by A", "is no object"),
        ("salesforce", "Order by A\norder by B", "stands in two lines"),
        ("salesforce", f"Order by {', '.join(f'F{number}' for number in range(101))}", "at most 100 fields"),
        ("dataverse", "new_box by name", "not among the tables"),
        ("dataverse", "account by statecode:State", "write statecode:whole"),
        ("dataverse", "account by name key accountid", "leave “key” away"),
        ("dynamics_fo", "CustomerGroups by Description", "say the key of CustomerGroups"),
        ("dynamics_fo", "X/Y by Z", "is no entity"),
        ("sap", "A_SalesOrder by PurchaseOrderByCustomer", "write SERVICE/EntitySet"),
        ("sap", "OTHER_SRV/A_Thing by Name", "of no service that is named"),
        ("sap", f"{SALES} by A:NoYes", "leave its sort away"),
    ],
)
def test_a_line_that_cannot_be_kept_says_why(kind: str, line: str, said: str, db: None) -> None:
    with pytest.raises((Invalid, ValidationError)) as invalid:
        KINDS[kind].connection(findable=line)

    assert said in f"{invalid.value} {getattr(invalid.value, 'errors', '')}"


def test_a_key_that_is_not_known_is_said_at_the_line(played: Played, db: None) -> None:
    fo = KINDS["dynamics_fo"].connection(findable="CustomerGroups(Note) by Description key CustomerGroupId")
    row = {"dataAreaId": "demf", "CustomerGroupId": "10", "Description": "Retail", "Note": "x"}
    played.on("GET", "/data/CustomerGroups", httpx.Response(200, json={"value": [row]}))
    sap = KINDS["sap"].connection(findable="sales/Thing by Name")

    record = find(fo, "CustomerGroups", {"Description": "Retail"})[0]
    with pytest.raises(Blocked, match="knows no key of Thing: say it by “key Field”"):
        find(sap, "sales/Thing", {"Name": "x"})

    assert (record.key, record.fields["Note"]) == ("demf/10", "x")
