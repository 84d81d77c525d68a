"""What goes over the wire for each write of Dataverse, and answers to it that prove nothing."""

import json
from typing import Any

import httpx
import pytest

from connectors import gateway
from connectors.base import (
    Blocked,
    ConnectorError,
    Locked,
    NotFound,
    RateLimited,
    Refused,
    Unanswered,
    VersionConflict,
)
from connectors.kinds.dataverse.tables import id_for
from connectors.models import Call, Connection
from tests.connectors.business import ACTIONS, DATAVERSE
from tests.connectors.factories import CRM, SECRET, Played, make_dv

API = "/api/data/v9.2"
KEY = "a" * 40
ID, OTHER = "2f0c1c1e-0000-0000-0000-000000000001", "2f0c1c1e-0000-0000-0000-000000000002"
ROW = {"@odata.etag": 'W/"7"', "accountid": ID, "name": "Lamp House"}
HOLD = {"table": "account", "id": ID, "values": {"creditonhold": True}}
FILED = {"table": "task", "values": {"subject": "Call"}}
MADE = f"{API}/tasks({id_for(KEY, 'task')})"


@pytest.fixture
def dv(db: None, played: Played) -> Connection:
    return make_dv(config=DATAVERSE)


def write(connection: Connection, name: str, arguments: dict[str, Any], version: str = "") -> Any:
    return gateway.call(connection, name, arguments, actor="test", effect_key=KEY, version=version).written


def sent(played: Played) -> httpx.Request:
    return played.calls[-1]


def error(code: str, message: str = "No.") -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


# --- what goes out -----------------------------------------------------------------------------
@pytest.mark.parametrize(("version", "condition"), [("", "*"), ('W/"7"', 'W/"7"')])
def test_a_change_names_only_its_columns_and_never_makes_a_row(
    dv: Connection, played: Played, version: str, condition: str
) -> None:
    played.on("PATCH", f"{API}/accounts({ID})", httpx.Response(204))

    write(dv, "record.update", HOLD, version)

    assert json.loads(sent(played).content) == {"creditonhold": True}
    assert sent(played).headers["if-match"] == condition
    assert sent(played).headers["x-effect-key"] == KEY
    assert "if-none-match" not in sent(played).headers
    assert "mscrm.suppressduplicatedetection" not in sent(played).headers


def test_a_new_record_is_asked_for_under_our_id_and_only_if_it_is_new(db: None, played: Played) -> None:
    played.on("PATCH", MADE, httpx.Response(204))
    link = {"lookup": "regardingobjectid", "to": "account", "id": ID, "navigation": "regardingobjectid_account"}

    written = write(make_dv(config={"detect_duplicates": True}), "record.create", {**FILED, "links": [link]})

    assert json.loads(sent(played).content) == {
        "subject": "Call", "regardingobjectid_account@odata.bind": f"/accounts({ID})",
    }  # fmt: skip
    assert sent(played).headers["if-none-match"] == "*"
    assert sent(played).headers["mscrm.suppressduplicatedetection"] == "false"
    assert written.result == {"id": id_for(KEY, "task")}


def test_a_cleared_lookup_is_bound_to_nothing(dv: Connection, played: Played) -> None:
    played.on("PATCH", f"{API}/accounts({ID})", httpx.Response(204))

    write(dv, "record.link", {"table": "account", "id": ID, "lookup": "primarycontactid", "to": "contact"})

    assert json.loads(sent(played).content) == {"primarycontactid@odata.bind": None}


def test_a_pair_is_named_by_an_address_of_this_environment(dv: Connection, played: Played) -> None:
    path = f"{API}/accounts({ID})/new_account_contact"
    pair = {"table": "account", "id": ID, "relationship": "new_account_contact", "to": "contact", "target": OTHER}
    played.on("POST", f"{path}/$ref", httpx.Response(204))
    played.on("DELETE", f"{path}({OTHER})/$ref", httpx.Response(204))

    write(dv, "record.associate", pair)
    body = json.loads(sent(played).content)
    write(dv, "record.disassociate", pair)

    assert body == {"@odata.id": f"{CRM}{API}/contacts({OTHER})"}
    assert sent(played).method == "DELETE"


def test_an_unbound_action_is_given_the_record_and_the_mark(db: None, played: Played) -> None:
    unbound = {**ACTIONS["hold"], "bound": False, "record": "OrderId"}
    connection = make_dv(config={"actions": json.dumps({**ACTIONS, "hold": unbound})})
    row = {"@odata.etag": 'W/"7"', "salesorderid": ID}
    played.on("GET", f"{API}/salesorders({ID})", httpx.Response(200, json=row))
    played.on(
        "POST", f"{API}/new_HoldOrder", httpx.Response(200, json={"@odata.context": "x", "State": "held", "x": []})
    )

    written = write(connection, "action.call", {"action": "hold", "id": ID, "parameters": {"Reason": "Late"}})

    assert json.loads(sent(played).content) == {"Reason": "Late", "OrderId": ID, "Mark": KEY}
    assert written.result == {"answer": {"State": "held"}}


def test_a_table_without_row_versions_is_compared_before_it_is_written(db: None, played: Played) -> None:
    connection = make_dv(config={"unversioned": "account"})
    played.on("GET", f"{API}/accounts({ID})", httpx.Response(200, json=ROW))
    played.on("PATCH", f"{API}/accounts({ID})", httpx.Response(204))

    write(connection, "record.update", HOLD, 'W/"7"')
    with pytest.raises(VersionConflict, match="was changed after it was read"):
        write(connection, "record.update", HOLD, 'W/"6"')

    patches = [request for request in played.calls if request.method == "PATCH"]
    assert [request.headers["if-match"] for request in patches] == ["*"]


# --- what an answer means -----------------------------------------------------------------------
MEANINGS: list[tuple[int, Any, type[ConnectorError]]] = [
    (400, error("0x80048d19"), Refused),
    (400, error("0x80072322"), RateLimited),
    (403, error("0x80040220"), Refused),
    (404, error("0x80040217"), NotFound),
    (412, error("0x80060882"), VersionConflict),
    (412, error("0x80040333"), Refused),
    (412, {}, VersionConflict),
    (500, error("0x80040333"), Refused),
    (500, error("-2147220685"), Refused),
    (500, error("0x80060882"), VersionConflict),
    (500, error("0x80044151"), Locked),
    (500, error("0x80040216"), Unanswered),
    (500, error(""), Unanswered),
    (500, {"error": "text"}, Unanswered),
    (500, {"error": {"code": 7, "message": {"a": 1}}}, Unanswered),
    (503, error("0x80044151x"), Unanswered),
    (400, [], Refused),
]


@pytest.mark.parametrize(("status", "body", "meaning"), MEANINGS)
def test_the_code_says_more_than_the_status(
    dv: Connection, played: Played, status: int, body: Any, meaning: type[ConnectorError]
) -> None:
    played.on("PATCH", f"{API}/accounts({ID})", httpx.Response(status, json=body))

    with pytest.raises(meaning) as told:
        write(dv, "record.update", HOLD)

    assert type(told.value) is meaning
    assert told.value.effect_possible is (meaning is Unanswered)
    assert SECRET not in f"{told.value!r} {vars(Call.objects.latest('id'))}"


@pytest.mark.parametrize("code", ["0x80040237", "", "0x80060892"])
def test_an_id_that_is_taken_is_our_own_earlier_effect(dv: Connection, played: Played, code: str) -> None:
    played.on("PATCH", MADE, httpx.Response(412, json=error(code)))
    row = {"@odata.etag": 'W/"9"', "activityid": id_for(KEY, "task"), "subject": "Call"}
    played.on("GET", MADE, httpx.Response(200, json=row))

    written = write(dv, "record.create", FILED)

    assert (written.version, written.result["found_by"]) == ('W/"9"', "id")


@pytest.mark.parametrize(("code", "kind"), [("", VersionConflict), ("0x80040333", Refused)])
def test_an_id_that_is_said_to_be_taken_and_is_not_there_is_no_success(
    dv: Connection, played: Played, code: str, kind: type[ConnectorError]
) -> None:
    played.on("PATCH", MADE, httpx.Response(412, json=error(code)))

    with pytest.raises(kind):
        write(dv, "record.create", FILED)


def test_a_refused_creation_is_not_looked_for(dv: Connection, played: Played) -> None:
    played.on("PATCH", MADE, httpx.Response(400, json=error("0x80048d19")))

    with pytest.raises(Refused):
        write(dv, "record.create", FILED)

    assert [request.method for request in played.calls] == ["PATCH"]


# --- change sets -------------------------------------------------------------------------------
CHANGES = {"changes": [HOLD, {"table": "contact", "id": OTHER, "values": {"fullname": "Büyer\r\n--x"}}]}


def batch(*parts: tuple[int, Any], mark: str = "batchresponse_1", inner: str = "changesetresponse_1") -> bytes:
    lines = [f"--{mark}", f"Content-Type: multipart/mixed; boundary={inner}", ""]
    for status, body in parts:
        lines += [f"--{inner}", "Content-Type: application/http", "", f"HTTP/1.1 {status} X", "", json.dumps(body)]
    return "\r\n".join([*lines, f"--{inner}--", f"--{mark}--", ""]).encode()


MULTIPART = {"Content-Type": "multipart/mixed; boundary=batchresponse_1"}


@pytest.fixture
def contact(dv: Connection, played: Played) -> Connection:
    row = {"@odata.etag": 'W/"5"', "contactid": OTHER}
    played.on("GET", f"{API}/contacts({OTHER})", httpx.Response(200, json=row))
    return dv


def answered(played: Played, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
    played.on("POST", f"{API}/$batch", httpx.Response(status, content=body, headers=headers or MULTIPART))


def test_a_change_set_guards_each_record_and_no_value_ends_a_line(contact: Connection, played: Played) -> None:
    answered(played, 200, batch((204, None), (204, None)))

    written = write(contact, "records.update", CHANGES, 'W/"7"')

    text = sent(played).content.decode()
    mark = sent(played).headers["content-type"].partition('boundary="')[2].rstrip('"')
    assert written.result == {"changes": 2}
    assert text.count(f"PATCH {CRM}{API}/") == 2
    assert ('If-Match: W/"7"' in text, 'If-Match: W/"5"' in text) == (True, True)
    assert json.dumps("Büyer\r\n--x") in text
    assert text.startswith(f"--{mark}\r\n")
    assert text.endswith(f"--{mark}--\r\n")


@pytest.mark.parametrize(
    ("status", "part", "meaning"),
    [
        (200, (412, error("0x80060882")), VersionConflict), (412, (412, error("0x80060882")), VersionConflict),
        (400, (400, error("0x80048d19")), Refused), (404, (404, error("0x80040217")), NotFound),
        (500, (500, error("0x80040333")), Refused), (500, (500, error("0x80040216")), Unanswered),
        (200, (500, {}), Unanswered), (200, (429, error("0x80072322")), RateLimited),
    ],
)  # fmt: skip
def test_one_refused_part_says_what_became_of_all(
    contact: Connection, played: Played, status: int, part: tuple[int, Any], meaning: type[ConnectorError]
) -> None:
    answered(played, status, batch(part))

    with pytest.raises(meaning) as told:
        write(contact, "records.update", CHANGES)

    assert type(told.value) is meaning


@pytest.mark.parametrize(
    "body",
    [
        b"", b"--batchresponse_1--", batch((204, None)), batch((204, None), (204, None), (204, None)), b"{}",
        b"--batchresponse_1\r\nContent-Type: application/http\r\n\r\nnonsense\r\n--batchresponse_1--",
        batch((204, None), (204, None)).replace(b"HTTP/1.1 204", b"HTTP/1.1 999 204"),
        batch((204, None), (204, None)).replace(b"--changesetresponse_1", b"--another"),
    ],
)  # fmt: skip
def test_an_answer_that_does_not_account_for_every_part_proves_nothing(
    contact: Connection, played: Played, body: bytes
) -> None:
    answered(played, 200, body)

    with pytest.raises(ConnectorError) as told:
        write(contact, "records.update", CHANGES)

    assert type(told.value) in (Unanswered, Refused)
    assert type(told.value) is Unanswered or b"999" in body


def test_a_batch_that_is_answered_with_something_else_proves_nothing(contact: Connection, played: Played) -> None:
    for headers in ({"Content-Type": "application/json"}, {"Content-Type": "multipart/mixed"}):
        answered(played, 200, batch((204, None), (204, None)), headers)
        with pytest.raises(Unanswered, match="something that is none"):
            write(contact, "records.update", CHANGES)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("record.update", {**HOLD, "values": {}}), ("record.create", {"table": "task", "values": {}}),
        ("records.update", {"changes": [{**HOLD, "values": {}}]}),
    ],
)  # fmt: skip
def test_a_change_of_nothing_is_not_sent(dv: Connection, played: Played, name: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        write(dv, name, arguments)

    assert played.calls == []


@pytest.mark.parametrize(
    "values", [{"a b": 1}, {"x'": 1}, {"name@odata.bind": "/x"}, {"": 1}, {"n": [1]}, {"n": float("nan")}]
)
def test_no_column_is_named_as_none_can_be(dv: Connection, played: Played, values: dict[str, Any]) -> None:
    with pytest.raises(Blocked):
        write(dv, "record.update", {**HOLD, "values": values})

    assert played.requests == []
