"""What a document says is only ever sent, and an API answers all the same: no record, plan, log or page shows it."""

import json
from typing import Any

import httpx
import pytest

from audit.errors import Invalid
from connectors import gateway
from connectors.base import Refused
from connectors.forms.trying import tried
from connectors.kinds.openapi.compiling import document_of
from connectors.kinds.openapi.hiding import Hiding
from connectors.models import Call, Connection
from connectors.redaction import HIDDEN
from connectors.registry import operation_of
from playbooks import planning
from playbooks.chooser import Choice
from playbooks.definitions import PlaybookDefinition
from tests.connectors.canaries import dump
from tests.connectors.factories import Played
from tests.connectors.openapi_world import document, make_api, operation, parameter
from tests.playbooks.driving import begin, drive
from tests.playbooks.world import make_incident, make_playbook

CANARIES = PASSWORD, PIN, KEY, CODE, TOKEN = (
    "canary-password-song", "canary-pin-song", "canary-key-song", "canary-code-song", "canary-token-song"
)  # fmt: skip
NOWHERE = ("", "")
ACCESS = {"type": "object", "properties": {"level": {"type": "string"}, "key": {"$ref": "#/components/schemas/Key"}}}
CODES = {"type": "array", "items": {"oneOf": [
    {"type": "object", "properties": {"code": {"type": "string", "writeOnly": True}, "at": {"type": "string"}}},
    {"type": "object", "properties": {"none": {"type": "boolean"}}},
]}}  # fmt: skip
USER = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "readOnly": True},
        "state": {"type": "string"},
        "password": {"type": "string", "writeOnly": True},
        "access": ACCESS,
        "codes": CODES,
        "tokens": {"type": "object", "additionalProperties": {"type": "string", "format": "password"}},
    },
}  # fmt: skip
# What is sent has a field that no answer describes.
SENT = {
    "allOf": [{"$ref": "#/components/schemas/User"}, {"properties": {"pin": {"type": "string", "writeOnly": True}}}]
}
COMPONENTS = {"schemas": {"User": USER, "Key": {"type": "string", "format": "password"}}}
ONE = {"$ref": "#/components/schemas/User"}
USERS = document(
    {
        "/users": {"get": operation(operationId="listUsers", answer={"type": "array", "items": ONE})},
        "/users/{id}": {
            "parameters": [parameter("id", "path")],
            "get": operation(operationId="getUser", answer=ONE),
            "patch": operation(operationId="updateUser", body=SENT, answer=ONE),
        },
    },
    components=COMPONENTS,
)
DECLARED = "user.update: {read_back: user.get, undo: user.update}"
ROW: dict[str, Any] = {
    "id": "7", "state": "held", "password": PASSWORD, "pin": PIN, "access": {"level": "all", "key": KEY},
    "codes": [{"code": CODE, "at": "noon"}, {"none": True}], "tokens": {"mail": TOKEN}, "empty": None,
}  # fmt: skip
SHOWN: dict[str, Any] = {
    **ROW, "password": HIDDEN, "pin": HIDDEN, "access": {"level": "all", "key": HIDDEN},
    "codes": [{"code": HIDDEN, "at": "noon"}, {"none": True}], "tokens": {"mail": HIDDEN},
}  # fmt: skip


@pytest.fixture
def connection(db: None, played: Played) -> Connection:
    row = dict(ROW)

    def changed(request: httpx.Request) -> httpx.Response:
        row.update(json.loads(request.content))
        return httpx.Response(200, json={**row, "status": "done"})

    played.on("GET", "/users/7", lambda _: httpx.Response(200, json=row)).on("PATCH", "/users/7", changed)
    played.on("GET", "/users", lambda _: httpx.Response(200, json=[row]))
    chosen = ["user.get", "users.list", "user.update"]
    return make_api(USERS, "https://u.test", slug="users", config={"chosen": chosen, "declarations": DECLARED})


def test_a_mark_stands_in_every_record_that_shows_it(connection: Connection) -> None:
    (record,) = gateway.call(connection, "user.get", {"id": "7"}, actor="test").records

    assert {name: record.fields[name] for name in SHOWN} == SHOWN
    assert record.fields["access.key"] == HIDDEN
    assert not [word for word in CANARIES if word in repr(record)]


def test_lists_and_read_backs_hide_it_too(connection: Connection) -> None:
    (listed,) = gateway.call(connection, "users.list", {}, actor="test").records
    (observed,) = gateway.observe(connection, "user.update", {"id": "7", "state": "open"}, actor="test")

    # What only the other operation sends is known where its own record is read back.
    assert not [word for word in CANARIES if word != PIN and word in repr(listed)]
    assert not [word for word in CANARIES if word in repr(observed)]


def test_it_stands_in_no_table_after_a_change_was_planned_made_and_verified(connection: Connection) -> None:
    incident = make_incident()
    step = {"name": "let_in", "title": "Let in", "connection": "users", "operation": "user.update"}
    version = make_playbook([{**step, "arguments": {"id": '"7"', "state": '"open"'}}])
    plan = _planned(incident, version)
    begin(plan)
    drive(incident)

    incident.refresh_from_db()
    told = dump(NOWHERE)
    assert incident.status == "resolved"
    assert not [word for word in CANARIES if word in told]
    (change,) = plan.steps.get().predicted
    assert (change["field"], change["before"], change["after"]) == ("state", "held", "open")


def _planned(incident: Any, version: Any) -> Any:
    valid = PlaybookDefinition.model_validate(version.definition)
    drafted = [planning._draft(incident, one, {}, "system:loop") for one in valid.steps]
    return planning._store(incident, version, Choice("mend", {}, candidates=["mend"]), drafted, rationale="Wrong.")


def test_what_a_write_answers_is_hidden_in_the_call_log(connection: Connection, played: Played) -> None:
    text = USERS.replace('"state": {"type": "string"}', '"state": {"type": "string"}, "status": {"writeOnly": true}')
    other = make_api(text, "https://u.test", slug="others",
                     config={"chosen": ["user.get", "user.update"], "declarations": DECLARED})  # fmt: skip

    gateway.call(other, "user.update", {"id": "7", "state": "open"}, actor="test", effect_key="k1")

    assert Call.objects.get(direction="write").answer["result"] == {"id": "7", "status": HIDDEN}


def test_trying_a_read_shows_the_mark(connection: Connection) -> None:
    read: Any = operation_of(connection, "user.get")

    shown = tried(connection, read, {"id": "7"}, "admin")

    assert ("pin", HIDDEN) in shown["fields"]
    assert not [word for word in CANARIES if word in json.dumps(shown)]


def test_a_mark_is_never_put_back_in_the_place_of_what_stood_there(connection: Connection) -> None:
    update: Any = operation_of(connection, "user.update")
    (record,) = gateway.observe(connection, "user.update", {"id": "7", "state": "open"}, actor="test")
    given = update.arguments.model_validate({"id": "7", "access": {"level": "none"}})

    undo = update.undo(given, [record], "key")

    # What holds a secret is neither foreseen nor put back.
    assert HIDDEN not in json.dumps(undo.arguments)
    assert "access" not in undo.arguments


@pytest.mark.parametrize(
    ("declared", "named"),
    [
        ("user.update: {read_back: user.get, undo: user.update, becomes: {password: x}}", "user.update.becomes"),
        ("user.update: {read_back: user.get, undo: user.update, undo_with: {id: argument.id, pin: before.pin}}",
         "user.update.undo_with"),
        ("user.update: {read_back: user.get, undo: user.update, undo_with: {id: =7, state: before.access.key}}",
         "user.update.undo_with"),
        ("user.update: {read_back: user.get, undo: user.update}\nuser.get: {version: password}", "user.get.version"),
        ("user.update: {read_back: user.get, undo: user.update}\nuser.get: {key: {password: id}}", "user.get.key"),
    ],
)  # fmt: skip
def test_nothing_may_be_expected_of_what_is_never_shown(db: None, declared: str, named: str) -> None:
    with pytest.raises(Invalid) as refused:
        make_api(USERS, "https://u.test", config={"chosen": ["user.get", "user.update"], "declarations": declared})

    said = str(refused.value.errors["declarations"])
    assert named in said
    assert "is only ever sent" in said


def test_a_mark_that_an_undo_would_send_is_refused_before_anything_is_sent(db: None, played: Played) -> None:
    """The document hides a field in answers that it lets be sent in the open."""
    open_body = {"type": "object", "properties": {"pin": {"type": "string"}, "note": {"type": "string"}}}
    nested = {"type": "object", "properties": {"pin": {"type": "string", "writeOnly": True}, "id": {"type": "string"}}}
    text = document({"/users/{id}": {
        "parameters": [parameter("id", "path")],
        "get": operation(operationId="getUser", answer={"type": "object", "properties": {"id": {"type": "string"}}}),
        "patch": operation(operationId="updateUser", body=open_body),
        "put": operation(operationId="putUser", body=nested),
    }})  # fmt: skip
    declared = (
        "user.update: {read_back: user.get, undo: user.update}\nuser.put: {read_back: user.get, undo: user.update}"
    )
    played.on("GET", "/users/7", httpx.Response(200, json={"id": "7", "pin": PIN, "note": "a"}))
    names = ["user.get", "user.update", "user.put"]
    connection = make_api(text, "https://u.test", config={"chosen": names, "declarations": declared})
    update: Any = operation_of(connection, "user.update")
    given = {"id": "7", "pin": "1", "note": "b"}
    records = gateway.observe(connection, "user.update", given, actor="test")

    with pytest.raises(Refused, match=r"before\.pin is only ever sent"):
        update.undo(update.arguments.model_validate(given), records, "key")
    assert [change.field for change in update.predict(update.arguments.model_validate(given), records)] == ["note"]


# --- where documents are odd --------------------------------------------------------------------------
def test_a_document_that_says_nothing_of_the_kind_is_not_searched(db: None) -> None:
    text = document({"/notes": {"get": operation(operationId="listNotes", answer={"$ref": "#/nowhere"})}})
    value = {"a": [{"b": 1}]}

    assert Hiding(document_of(text), {"$ref": "#/nowhere"}).body(value) is value


DEEP = {"pin": PIN, "below": {"pin": PIN, "below": {"pin": PIN}}}
LOOP = {"$ref": "#/components/schemas/Loop"}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (LOOP, DEEP),
        ({"allOf": [LOOP, {"$ref": "https://elsewhere.test/x"}]}, DEEP),
        ({"anyOf": [{"$ref": "#/lost"}, {"items": LOOP}]}, [DEEP]),
        ({"prefixItems": [{"type": "string"}, LOOP]}, ["a", DEEP]),
        ({"patternProperties": {"^p": {"writeOnly": True}}}, {"pin": PIN}),
        ({"if": {}, "then": {"properties": {"pin": {"writeOnly": True}}}}, {"pin": PIN}),
    ],
)
def test_schemas_that_refer_to_themselves_or_nowhere_hide_what_they_can(schema: Any, value: Any) -> None:
    known = {"pin": {"type": "string", "writeOnly": True}, "below": LOOP}
    loop = {"properties": known, "allOf": [{**LOOP, "description": "Itself."}]}
    text = document({"/x": {"get": operation(operationId="getX")}}, components={"schemas": {"Loop": loop}})

    told = json.dumps(Hiding(document_of(text), schema).body(value), ensure_ascii=False)

    assert PIN not in told
    assert HIDDEN in told


def test_a_schema_of_too_many_parts_is_hidden_whole() -> None:
    many = {"allOf": [{"properties": {f"p{number}": {}}} for number in range(3001)]}
    text = document({"/x": {"get": operation(operationId="getX", answer={"writeOnly": True})}})

    assert Hiding(document_of(text), {"properties": {"deep": many, "pin": {"writeOnly": True}}}).body(
        {"deep": {"pin": PIN}, "plain": 1}
    ) == {"deep": HIDDEN, "plain": 1}
