"""Declared writes of a REST API: foreseen, sent once, found again, held to a version, and taken back."""

import json
from typing import Any

import httpx
import pytest

from audit.errors import Invalid
from connectors import gateway, registry
from connectors.base import Blocked, Change, NotFound, Refused, Reversible, Unanswered, VersionConflict, Write
from connectors.kinds.openapi import example
from connectors.models import Connection
from tests.connectors.factories import Played
from tests.connectors.openapi_world import Orders, document, make_api, operation, parameter

KEY = "k" * 40


@pytest.fixture
def orders(played: Played) -> Orders:
    return Orders(played)


def write_of(connection: Connection, name: str) -> Write:
    found = registry.operation_of(connection, name)
    assert isinstance(found, Write)
    return found


def foresee(connection: Connection, name: str, **arguments: Any) -> tuple[list[Change], Any, str]:
    """What a plan would hold: the changes, the undo, and the version that was seen."""
    write = write_of(connection, name)
    records = gateway.observe(connection, name, arguments, actor="test")
    valid = write.arguments.model_validate(arguments)
    return write.predict(valid, records), write.undo(valid, records, KEY), records[0].version if records else ""


def send(connection: Connection, name: str, effect: str = KEY, version: str = "", **arguments: Any) -> Any:
    return gateway.call(connection, name, arguments, actor="test", effect_key=effect, version=version).written


def find(connection: Connection, name: str, **arguments: Any) -> Any:
    return gateway.find(connection, name, arguments, effect_key=KEY, actor="test")


# --- changing --------------------------------------------------------------------------------------
def test_a_change_is_foreseen_sent_under_its_version_and_taken_back(db: None, orders: Orders) -> None:
    orders.put("7", note="as it was")
    connection = make_api()

    changes, undo, version = foresee(connection, "order.update", id="7", status="held")
    send(connection, "order.update", version=version, id="7", status="held")

    assert changes == [Change("orders", "7", "status", "open", "held")]
    assert orders.rows["7"]["status"] == "held"
    assert orders.played.requests[-1].headers["if-match"] == 'W/"1"'
    assert (undo.operation, undo.arguments) == ("order.update", {"id": "7", "status": "open"})
    send(connection, undo.operation, "u" * 40, **undo.arguments)
    assert orders.rows["7"] == {"id": "7", "status": "open", "note": "as it was"}


def test_a_record_that_was_changed_since_is_not_overwritten(db: None, orders: Orders) -> None:
    orders.put("7")
    connection = make_api()
    version = foresee(connection, "order.update", id="7", status="held")[2]
    orders.put("7", status="closed")

    with pytest.raises(VersionConflict):
        send(connection, "order.update", version=version, id="7", status="held")

    assert orders.rows["7"]["status"] == "closed"


def test_a_change_whose_answer_was_lost_is_found_by_its_values(db: None, orders: Orders) -> None:
    orders.put("7")
    connection = make_api()
    orders.lose = 1

    with pytest.raises(Unanswered):
        send(connection, "order.update", id="7", status="held")

    assert find(connection, "order.update", id="7", status="held").result == {"found_by": "values"}
    assert find(connection, "order.update", id="7", status="closed") is None


def test_a_record_that_is_not_there_is_not_planned_with(db: None, orders: Orders) -> None:
    connection = make_api()

    with pytest.raises(NotFound):
        foresee(connection, "order.update", id="9", status="held")


def test_a_web_page_after_a_write_proves_nothing(db: None, orders: Orders) -> None:
    orders.put("7")
    orders.played.on("PATCH", "/v1/orders/7", httpx.Response(200, html="<html>welcome</html>"))

    with pytest.raises(Unanswered):
        send(make_api(), "order.update", id="7", status="held")


# --- making and removing ---------------------------------------------------------------------------
def test_a_record_is_made_with_its_mark_and_taken_back_by_it(db: None, orders: Orders) -> None:
    connection = make_api()

    changes, undo, _ = foresee(connection, "order.create", status="open", note="new")
    orders.lose = 1
    with pytest.raises(Unanswered):
        send(connection, "order.create", status="open", note="new")
    found = find(connection, "order.create", status="open", note="new")

    assert {(change.field, change.before, change.after) for change in changes} == {
        ("status", None, "open"), ("note", None, "new")
    }  # fmt: skip
    assert orders.rows["O-1"]["reference"] == KEY
    assert found.result == {"found_by": "marker", "key": "O-1"}
    assert (undo.operation, undo.arguments) == ("order.delete_marked", {"key": KEY})
    back, none, version = foresee(connection, undo.operation, **undo.arguments)
    assert [(change.field, change.before, change.after) for change in back] == [("Count", 1, 0)]
    assert none is None
    send(connection, undo.operation, "u" * 40, version=version, **undo.arguments)
    assert orders.rows == {}
    assert find(connection, undo.operation, **undo.arguments).result == {"found_by": "absence"}


def test_the_mark_of_another_effect_is_not_taken_for_ours(db: None, orders: Orders) -> None:
    orders.put("5", reference="somebody-elses")
    connection = make_api()
    orders.played.on("GET", "/v1/orders", httpx.Response(200, json={"items": [orders.rows["5"]]}))

    assert find(connection, "order.create", status="open") is None
    with pytest.raises(NotFound):
        send(connection, "order.delete_marked", key=KEY)
    assert "5" in orders.rows


def test_one_more_of_what_is_there_already_is_counted(db: None, orders: Orders) -> None:
    orders.put("5", note="new", reference="x")

    changes = foresee(make_api(), "order.create", status="open", note="new")[0]

    assert [(change.field, change.before, change.after) for change in changes] == [("Count", 1, 2)]


def test_a_removal_is_foreseen_found_and_not_undone(db: None, orders: Orders) -> None:
    orders.put("7")
    connection = make_api()

    changes, undo, version = foresee(connection, "order.delete", id="7")
    send(connection, "order.delete", version=version, id="7")

    assert [(change.key, change.field, change.before, change.after) for change in changes] == [("7", "Count", 1, 0)]
    assert undo is None
    assert write_of(connection, "order.delete").reversible is Reversible.NO
    assert find(connection, "order.delete", id="7").result == {"found_by": "absence"}
    with pytest.raises(NotFound):
        foresee(connection, "order.delete", id="7")


def test_the_fields_that_goldseam_fills_cannot_be_given_by_anybody(db: None, orders: Orders) -> None:
    with pytest.raises(Blocked):
        send(make_api(), "order.create", status="open", reference="mine")

    assert orders.rows == {}


# --- idempotency, versions in a field, money -------------------------------------------------------
KEYED = example.DECLARATIONS.partition("order.create:")[0] + """
order.create:
  read_back: orders.list
  with: {}
  match: {note: note}
  creates: true
  idempotency_key: Idempotency-Key
  quoted: %s
  undo: none
"""  # fmt: skip


@pytest.mark.parametrize(("quoted", "header"), [("true", f'"{KEY}"'), ("false", KEY)])
def test_the_same_key_again_makes_nothing_twice(db: None, orders: Orders, quoted: str, header: str) -> None:
    chosen = ["orders.list", "order.get", "order.create", "order.update"]
    connection = make_api(config={"chosen": chosen, "declarations": KEYED % quoted})
    orders.lose = 1
    with pytest.raises(Unanswered):
        send(connection, "order.create", status="open", note="once")

    assert find(connection, "order.create", status="open", note="once") is None
    send(connection, "order.create", status="open", note="once")

    assert len(orders.rows) == 1
    assert {r.headers["idempotency-key"] for r in orders.played.requests if r.method == "POST"} == {header}


PAID = """
bill.get: {version: rev}
bill.pay:
  read_back: bill.get
  becomes: {state: paid}
  fixed: {channel: goldseam}
  financial: true
  amount: before.total
  currency: =EUR
  risk: high
  idempotency_key: Idempotency-Key
  undo: bill.unpay
  undo_with: {id: argument.id, reason: =taken back}
  reversible: net_zero
bill.unpay: {read_back: bill.get, becomes: {state: open}, undo: none}
"""
BILL = {"type": "object", "properties": {"id": {"type": "string"}, "state": {}, "total": {}, "rev": {}}}
WHY = {"type": "object", "properties": {"reason": {"type": "string"}, "channel": {"type": "string"}}}
BILLS = document(
    {
        "/bills/{id}": {"get": operation(parameter("id", "path"), answer=BILL, operationId="getBill")},
        "/bills/{id}/pay": {"post": operation(parameter("id", "path"), body=WHY, operationId="payBill")},
        "/bills/{id}/unpay": {"post": operation(parameter("id", "path"), body=WHY, operationId="unpayBill")},
    }
)


def test_an_act_on_money_has_its_amount_its_version_and_its_counter_act(db: None, played: Played) -> None:
    connection = make_api(BILLS, config={"chosen": ["bill.get", "bill.pay", "bill.unpay"], "declarations": PAID})
    bill = {"id": "1", "state": "open", "total": "12.50", "rev": 3}
    played.on("GET", "/bills/1", lambda request: httpx.Response(200, json=bill))
    played.on("POST", "/bills/1/pay", httpx.Response(200, json={"state": "paid"}))
    pay = write_of(connection, "bill.pay")

    changes, undo, version = foresee(connection, "bill.pay", id="1", reason="due")
    records = gateway.observe(connection, "bill.pay", {"id": "1"}, actor="test")
    send(connection, "bill.pay", version=version, id="1", reason="due")

    assert [(change.field, change.before, change.after) for change in changes] == [
        ("reason", None, "due"), ("state", "open", "paid")
    ]  # fmt: skip
    assert pay.amount is not None
    assert pay.amount(pay.arguments.model_validate({"id": "1"}), records) == ("12.50", "EUR")
    assert (pay.financial, pay.risk, pay.reversible) == (True, "high", Reversible.NET_ZERO)
    assert undo.arguments == {"id": "1", "reason": "taken back"}
    assert json.loads(played.requests[-1].content) == {"reason": "due", "channel": "goldseam"}
    assert version == "3"
    bill["rev"] = 4
    with pytest.raises(VersionConflict):
        send(connection, "bill.pay", version=version, id="1", reason="due")


def test_what_could_not_be_put_back_is_not_begun(db: None, orders: Orders) -> None:
    orders.put("7", status=None)

    with pytest.raises(Refused, match="could not put status back"):
        foresee(make_api(), "order.update", id="7", status="held")


BIN = {"type": "object", "properties": {"id": {"type": "string", "readOnly": True}, "size": {"type": "integer"}}}
BINS = document(
    {
        "/bins/{id}": {
            "get": operation(parameter("id", "path"), answer=BIN, operationId="getBin"),
            "put": operation(parameter("id", "path"), body=BIN, operationId="putBin"),
            "delete": operation(parameter("id", "path"), operationId="deleteBin"),
        }
    }
)
BINNED = """
bin.put: {creates: true, read_back: bin.get, undo: bin.delete}
bin.delete: {removes: true, read_back: bin.get, undo: bin.put}
"""


def test_what_is_made_under_an_id_of_ours_is_found_and_undone_by_it(db: None, played: Played) -> None:
    connection = make_api(BINS, config={"chosen": ["bin.get", "bin.put", "bin.delete"], "declarations": BINNED})
    changes, undo, _ = foresee(connection, "bin.put", id="A1", size=3)
    missing = find(connection, "bin.put", id="A1", size=3)
    played.on("GET", "/bins/A1", httpx.Response(200, json={"id": "A1", "size": 3}))

    assert [(change.key, change.field, change.after) for change in changes] == [("A1", "size", 3)]
    assert (undo.operation, undo.arguments) == ("bin.delete", {"id": "A1"})
    assert missing is None
    assert find(connection, "bin.put", id="A1", size=3).result == {"found_by": "values"}
    assert find(connection, "bin.put", id="A1", size=4) is None
    with pytest.raises(Refused, match="there already"):
        foresee(connection, "bin.put", id="A1", size=3)
    assert foresee(connection, "bin.delete", id="A1")[1].arguments == {"id": "A1", "size": 3}


# --- what the form says ----------------------------------------------------------------------------
MARKED = "order.update: {read_back: order.get, undo: none, marker: status, found_by: {read: orders.list"
GOOD = "order.update: {read_back: order.get, undo: order.update}"


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("", "order.update is not declared. Begin with “order.update: {read_back: order.get, undo: order.update}”"),
        ("order.update: {undo: none}", "order.update.read_back: name a chosen read"),
        ("order.update: {read_back: orders.list}", "order.update.undo: name the chosen write"),
        ("order.update: {read_back: order.get, undo: order.get}", "is no chosen write"),
        (f"{GOOD}\norder.close: {{}}", "order.close: declared, but not chosen"),
        ("order.update: {read_back: order.get, undo: none, typo: 1}", "order.update.typo"),
        ("order.update: {read_back: order.get, undo: none, financial: true}", "amount and currency"),
        ("order.update: {read_back: order.get, undo: none, key: [id]}", "key cannot be said of a write"),
        (f"{GOOD}\norder.get: {{undo: none}}", "undo cannot be said of a read"),
        ("order.update: {read_back: order.get, undo: none, with: {id: id}}", "write argument.NAME"),
        ("order.update: {read_back: order.get, undo: none, with: {}}", "order.get needs id"),
        ("order.update: {read_back: order.get, undo: none, with: {id: argument.no}}", "no argument no; known"),
        ("order.update: {read_back: order.get, undo: none, sets: {no: status}}", "order.update.sets"),
        ("order.update: {read_back: order.get, undo: none, sets: {}}", "say what the read-back shows"),
        ("order.update: {read_back: order.get, undo: none, creates: true, removes: true}", "not both"),
        ("order.update: {read_back: order.get, undo: none, creates: true}", "could be done twice"),
        ("order.update: {read_back: order.get, undo: none, marker: reference}", "belong together"),
        ("order.update: {read_back: order.get, undo: none, idempotency_key: Authorization}", "no header"),
        ("order.update: {read_back: order.get, undo: order.update, undo_with: {id: found.id}}", "needs marker"),
        ("order.update: {read_back: order.get, undo: none, settle_seconds: 0}", "settle_seconds"),
        ("order.update: {read_back: order.get, undo: none, fixed: {no: 1}}", "the body has no field no"),
        ("order.update: {read_back: order.get, undo: none, fixed: {status: no}}", "cannot hold what it is filled with"),
        (f"{MARKED}, with: {{reference: key}}}}}}", "reference: write argument.NAME"),
        (f"{MARKED}, with: {{reference: effect_key}}}}}}", "the field status cannot hold"),
        ("order.update: {read_back: order.get, undo: none, with: {id: effect_key}}", "only found_by does"),
        ("order.update: {read_back: order.get, undo: none, with: {id: \"={effect_key}\"}}", "only found_by does"),
        ("order.update: {read_back: order.get, undo: x, undo_with: {id: \"={effect_key}\"}}", "in found_by only"),
        ("[1]", "names of operations"),
        ("{", "neither JSON"),
        ("a: *b", "alias"),
    ],
)  # fmt: skip
def test_a_declaration_that_does_not_hold_is_refused_with_its_place(db: None, declared: str, said: str) -> None:
    with pytest.raises(Invalid) as refused:
        make_api(config={"chosen": ["order.get", "orders.list", "order.update"], "declarations": declared})

    assert list(refused.value.errors) == ["declarations"]
    assert said in refused.value.errors["declarations"][0] or said == "neither JSON"


def test_a_post_that_only_searches_is_a_read_once_it_is_declared(db: None, played: Played) -> None:
    row = {"type": "object", "properties": {"id": {"type": "string"}}}
    body = {"type": "object", "properties": {"text": {"type": "string"}}}
    text = document({"/rows/search": {"post": operation(body=body, answer={"type": "array", "items": row},
                                                        operationId="rows.search")}})  # fmt: skip
    connection = make_api(text, config={"chosen": ["rows.search"], "declarations": "rows.search: {reads: true}"})
    played.on("POST", "/rows/search", httpx.Response(200, json=[{"id": "1"}]))

    answer = gateway.call(connection, "rows.search", {"text": "x"}, actor="test")

    assert [record.key for record in answer.records] == ["1"]
    assert connection.operations == []
