"""What goes over the wire for each write, and how odd answers of real systems are understood."""

import json
from typing import Any

import httpx
import pytest

from connectors import gateway
from connectors.base import Locked, NotFound, RateLimited, Refused, Unanswered, VersionConflict
from connectors.kinds.salesforce import soql
from connectors.models import Connection
from tests.connectors.factories import Played, make_crm, make_fo

KEY = "a" * 40
CASE = "500gs0000000001AAA"
ACCOUNT = "001gs0000000001AAA"
ORDER = "/data/SalesOrderHeadersV2(dataAreaId='demf',SalesOrderNumber='SO-1')"
INVOICE = "/data/SalesInvoiceHeadersV2(dataAreaId='demf',InvoiceNumber='CIV-1')"
SOBJECTS = "/services/data/v62.0/sobjects"
STAMP = "2026-11-20T10:00:00.500+0000"
MODE = {"company": "demf", "order": "SO-1", "mode": "AIR"}


@pytest.fixture
def fo(db: None, played: Played) -> Connection:
    return make_fo()


@pytest.fixture
def crm(db: None, played: Played) -> Connection:
    return make_crm()


def write(connection: Connection, name: str, arguments: dict[str, Any], version: str = "") -> Any:
    return gateway.call(connection, name, arguments, actor="test", effect_key=KEY, version=version).written


def read(connection: Connection, name: str, **arguments: Any) -> list[Any]:
    return gateway.call(connection, name, arguments, actor="test").records


# --- F&O -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("asked", "path", "body"),
    [
        (
            ("charge.update", {"company": "demf", "order": "SO-1", "line": 2, "amount": "12.40"}),
            "/data/SalesOrderCharges(dataAreaId='demf',SalesOrderNumber='SO-1',ChargeLineNumber=2)",
            {"FixedChargeAmount": 12.4},
        ),
        (
            ("line.set_price", {"company": "usmf", "lot": "L-1", "price": "9"}),
            "/data/SalesOrderLines(dataAreaId='usmf',InventoryLotId='L-1')", {"SalesPrice": 9.0},
        ),
        (
            ("line.set_warehouse", {"company": "usmf", "lot": "L-1", "warehouse": "24"}),
            "/data/SalesOrderLines(dataAreaId='usmf',InventoryLotId='L-1')", {"ShippingWarehouseId": "24"},
        ),
        (("order.set_delivery_mode", MODE), ORDER, {"DeliveryModeCode": "AIR"}),
    ],
)  # fmt: skip
def test_a_patch_names_one_property_the_company_the_version_and_our_key(
    fo: Connection, played: Played, asked: tuple[str, dict[str, Any]], path: str, body: dict[str, Any]
) -> None:
    played.on("PATCH", path, httpx.Response(204))

    write(fo, *asked, version='W/"abc"')

    sent = played.calls[-1]
    assert json.loads(sent.content) == body
    assert sent.headers["if-match"] == 'W/"abc"'
    assert sent.headers["x-effect-key"] == KEY
    assert sent.url.params["cross-company"] == "true"


@pytest.mark.parametrize(
    ("name", "arguments", "path"),
    [
        (
            "invoice.credit", {"company": "demf", "invoice": "CIV-1", "reason": "Twice"},
            f"{INVOICE}/Microsoft.Dynamics.DataEntities.CreditInvoice",
        ),
        (
            "hold.release", {"company": "demf", "order": "SO-1", "reason": "Twice"},
            f"{ORDER}/Microsoft.Dynamics.DataEntities.ReleaseCreditHold",
        ),
        (
            "hold.place", {"company": "demf", "order": "SO-1", "reason": "Twice"},
            f"{ORDER}/Microsoft.Dynamics.DataEntities.PlaceCreditHold",
        ),
    ],
)  # fmt: skip
def test_a_bound_action_carries_reason_and_reference(
    fo: Connection, played: Played, name: str, arguments: dict[str, Any], path: str
) -> None:
    played.on("POST", path, httpx.Response(200, json={"value": "CN-1"}, headers={"ms-dyn-aid": "act-9"}))

    written = write(fo, name, arguments)

    assert json.loads(played.calls[-1].content) == {"Reason": "Twice", "Reference": KEY}
    assert played.calls[-1].headers["if-match"] == "*"
    assert (written.result, written.request_id) == ({"value": "CN-1"}, "act-9")


def infolog(text: str, **error: Any) -> dict[str, Any]:
    inner = {"message": text, "stacktrace": "at Secret.Place()"}
    return {"error": {"code": "", "message": "An error has occurred.", "innererror": inner, **error}}


@pytest.mark.parametrize(
    ("answer", "expected", "words"),
    [
        (
            (400, infolog("No. Infolog: Warning: Field 'X' must be filled in.; Error: Update has been canceled.")),
            Refused, "F&O: Warning: Field 'X' must be filled in.",
        ),
        ((500, infolog("Infolog: Error: The record is locked by user anna.")), Locked, "locked by user"),
        (
            (400, infolog("An update conflict occurred due to another user process deleting the record.")),
            Locked, "update conflict",
        ),
        ((400, infolog("Infolog: Error: No resources were found when selecting.")), NotFound, "No resources"),
        ((400, {"error": {"code": "0x1", "message": "The query is malformed."}}), Refused, "malformed"),
        ((403, {"error": {}}), Refused, "answered 403"),
        ((500, {"Message": "An error has occurred."}), Unanswered, "answered 500"),
        ((412, infolog("Infolog: Error: changed")), VersionConflict, "changed"),
    ],
)  # fmt: skip
def test_errors_of_fo_are_told_in_its_own_words(
    fo: Connection, played: Played, answer: tuple[int, Any], expected: type[Exception], words: str
) -> None:
    played.on("PATCH", ORDER, httpx.Response(answer[0], json=answer[1]))

    with pytest.raises(expected, match=words) as told:
        write(fo, "order.set_delivery_mode", MODE)

    assert "Secret.Place" not in str(told.value)
    assert "canceled" not in str(told.value)


@pytest.mark.parametrize("body", [{"value": "x"}, [], "text", 7, {"value": [1]}, None])
def test_an_answer_of_another_shape_is_no_answer(fo: Connection, played: Played, body: Any) -> None:
    played.on("GET", "/data/SalesOrderCharges", httpx.Response(200, json=body))
    played.on("GET", ORDER, httpx.Response(200, json=body))

    with pytest.raises(Unanswered):
        read(fo, "charges.list", company="demf", order="SO-1")
    with pytest.raises(Unanswered):
        read(fo, "order.get", company="demf", order="SO-1")


def test_two_notes_with_one_reference_are_left_to_a_person(fo: Connection, played: Played) -> None:
    row = {"dataAreaId": "demf", "CorrectedInvoiceId": "CIV-1"}
    rows = [{**row, "InvoiceIdentifier": 1}, {**row, "InvoiceIdentifier": 2}]
    played.on("GET", "/data/FreeTextInvoiceHeaders", httpx.Response(200, json={"value": rows}))

    with pytest.raises(NotFound, match="2 credit notes"):
        write(fo, "credit_note.reverse", {"company": "demf", "reference": "k", "reason": "Undo"})

    assert {request.method for request in played.calls} == {"GET"}


# --- Salesforce ------------------------------------------------------------------------------------
def errors(code: str, message: str = "told") -> list[dict[str, str]]:
    return [{"message": message, "errorCode": code}]


def test_an_upsert_puts_our_key_into_the_path_and_never_into_the_body(crm: Connection, played: Played) -> None:
    path = f"{SOBJECTS}/Case/Goldseam_Key__c/{KEY}"
    played.on("PATCH", path, httpx.Response(201, json={"id": CASE, "success": True, "errors": [], "created": True}))

    written = write(crm, "case.open", {"account": ACCOUNT, "subject": "Freight", "type": "Freight"})

    body = json.loads(played.calls[-1].content)
    assert body == {"AccountId": ACCOUNT, "Subject": "Freight", "Type": "Freight"}
    assert written.result == {"id": CASE, "created": True}
    assert played.calls[-1].headers["x-effect-key"] == KEY


def found_by_key(played: Played, *stamps: str) -> None:
    rows = [{"Id": CASE, "Status": "New", "SystemModstamp": one, "LastModifiedDate": one} for one in stamps]
    body = {"totalSize": len(rows), "done": True, "records": rows}
    played.on("GET", "/services/data/v62.0/query", httpx.Response(200, json=body))
    played.on("PATCH", f"{SOBJECTS}/Case/{CASE}", httpx.Response(204))


def test_closing_by_key_is_held_to_the_version_that_was_seen(crm: Connection, played: Played) -> None:
    found_by_key(played, STAMP)

    write(crm, "case.close_by_key", {"key": "k"}, version=STAMP)

    assert played.calls[-1].url.path == f"{SOBJECTS}/Case/{CASE}"
    assert played.calls[-1].headers["if-unmodified-since"] == "Fri, 20 Nov 2026 10:00:00 GMT"
    assert played.calls[-1].headers["x-effect-key"] == KEY


def test_closing_by_key_sends_nothing_where_somebody_changed_the_case(crm: Connection, played: Played) -> None:
    found_by_key(played, "2026-11-20T10:00:00.501+0000")

    with pytest.raises(VersionConflict, match="was changed after it was read"):
        write(crm, "case.close_by_key", {"key": "k"}, version=STAMP)

    assert "PATCH" not in {request.method for request in played.calls}


@pytest.mark.parametrize(("stamps", "refusal"), [((), NotFound), ((STAMP, STAMP), Refused)], ids=["none", "two"])
def test_closing_by_key_wants_exactly_one_case(
    crm: Connection, played: Played, stamps: tuple[str, ...], refusal: type[Exception]
) -> None:
    found_by_key(played, *stamps)

    with pytest.raises(refusal, match="carr"):
        write(crm, "case.close_by_key", {"key": "k"}, version=STAMP)

    assert "PATCH" not in {request.method for request in played.calls}


def test_several_records_under_one_key_are_refused(crm: Connection, played: Played) -> None:
    path = f"{SOBJECTS}/Case/Goldseam_Key__c/{KEY}"
    played.on("PATCH", path, httpx.Response(300, json=[f"{SOBJECTS}/Case/1", f"{SOBJECTS}/Case/2"]))

    with pytest.raises(Refused, match="several records of Case carry the key") as refused:
        write(crm, "case.open", {"account": ACCOUNT, "subject": "Freight"})

    assert refused.value.status == 300


def test_a_success_that_says_it_is_none_is_a_refusal(crm: Connection, played: Played) -> None:
    body = {"id": None, "success": False, "errors": [{"statusCode": "DUPLICATE_VALUE", "message": "duplicate"}]}
    played.on("POST", f"{SOBJECTS}/CaseComment", httpx.Response(200, json=body))

    with pytest.raises(Refused, match="duplicate") as refused:
        write(crm, "case.comment", {"case": CASE, "text": "Mended"})

    assert refused.value.code == "DUPLICATE_VALUE"


def test_a_comment_ends_with_the_mark_of_its_effect(crm: Connection, played: Played) -> None:
    played.on("POST", f"{SOBJECTS}/CaseComment", httpx.Response(201, json={"id": "00a1", "success": True}))

    write(crm, "case.comment", {"case": CASE, "text": "Mended"})

    body = json.loads(played.calls[-1].content)
    assert body == {"ParentId": CASE, "CommentBody": f"Mended\n\n[goldseam {KEY}]"}


def test_a_version_is_held_to_the_millisecond_and_again_by_the_header(crm: Connection, played: Played) -> None:
    now = {"Id": CASE, "SystemModstamp": STAMP, "LastModifiedDate": STAMP}
    played.on("GET", f"{SOBJECTS}/Case/{CASE}", httpx.Response(200, json=now))
    played.on("PATCH", f"{SOBJECTS}/Case/{CASE}", httpx.Response(204))

    write(crm, "case.close", {"case": CASE}, version=STAMP)
    with pytest.raises(VersionConflict):
        write(crm, "case.close", {"case": CASE}, version="2026-11-20T10:00:00.499+0000")

    patches = [request for request in played.calls if request.method == "PATCH"]
    assert [request.headers["if-unmodified-since"] for request in patches] == ["Fri, 20 Nov 2026 10:00:00 GMT"]
    assert "if-match" not in patches[0].headers


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, errors("FIELD_CUSTOM_VALIDATION_EXCEPTION"), Refused),
        (400, errors("UNABLE_TO_LOCK_ROW"), Locked),
        (500, errors("UNABLE_TO_LOCK_ROW"), Locked),
        (403, errors("REQUEST_LIMIT_EXCEEDED"), RateLimited),
        (403, errors("INSUFFICIENT_ACCESS"), Refused),
        (404, errors("NOT_FOUND"), NotFound),
        (400, errors("ENTITY_IS_DELETED"), NotFound),
        (500, errors("UNKNOWN_EXCEPTION"), Unanswered),
        (503, errors("SERVER_UNAVAILABLE"), Unanswered),
        (409, errors("CONFLICT"), Refused),
        (500, {}, Unanswered),
        (400, "text", Refused),
    ],
)
def test_errors_of_salesforce_are_told_by_their_code(
    crm: Connection, played: Played, status: int, body: Any, expected: type[Exception]
) -> None:
    played.on("PATCH", f"{SOBJECTS}/Case/{CASE}", httpx.Response(status, json=body))

    with pytest.raises(expected) as told:
        write(crm, "case.close", {"case": CASE})

    assert type(told.value) is expected


COMPOSITE = "/services/data/v62.0/composite"


def part(number: int, status: int, body: Any) -> dict[str, Any]:
    return {"referenceId": f"part{number}", "httpStatusCode": status, "body": body, "httpHeaders": {}}


def test_a_part_that_failed_is_told_although_the_whole_answered_200(crm: Connection, played: Played) -> None:
    parts = [part(0, 200, {"Id": CASE}), part(1, 400, errors("INVALID_FIELD", "No such column"))]
    played.on("POST", COMPOSITE, httpx.Response(200, json={"compositeResponse": parts}))
    wanted = [{"type": "Case", "id": CASE}, {"type": "Account", "id": ACCOUNT, "fields": ["Nope"]}]

    with pytest.raises(Refused, match="No such column") as refused:
        read(crm, "records.get", requests=wanted)

    assert refused.value.status == 400


@pytest.mark.parametrize("answer", [{}, [], {"compositeResponse": "x"}, {"compositeResponse": []}])
def test_a_composite_answer_with_parts_missing_is_no_answer(crm: Connection, played: Played, answer: Any) -> None:
    played.on("POST", COMPOSITE, httpx.Response(200, json=answer))

    with pytest.raises(Unanswered):
        read(crm, "records.get", requests=[{"type": "Case", "id": CASE}])


def test_a_composite_asks_for_reads_only_and_names_its_parts(crm: Connection, played: Played) -> None:
    played.on("POST", COMPOSITE, httpx.Response(200, json={"compositeResponse": [part(0, 404, errors("NOT_FOUND"))]}))

    found = read(crm, "records.get", requests=[{"type": "Case", "id": CASE, "fields": ["Id", "Status"]}])

    sent = json.loads(played.calls[-1].content)
    assert found == []
    assert sent["allOrNone"] is False
    assert sent["compositeRequest"] == [
        {"method": "GET", "url": f"{SOBJECTS}/Case/{CASE}?fields=Id,Status", "referenceId": "part0"}
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("it's", "'it\\'s'"),
        ("back\\slash", "'back\\\\slash'"),
        ("two\nlines", "'two\\nlines'"),
        (None, "null"),
        (True, "true"),
        (7, "7"),
    ],
)
def test_soql_literals_cannot_be_left(value: Any, text: str) -> None:
    assert soql.literal(value) == text


@pytest.mark.parametrize("name", ["Id; DELETE", "Name FROM User", "1abc", "", "a.b.c", "x'"])
def test_only_names_are_taken_as_names_in_soql(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        soql.select("Case", [name], {"Id": CASE})


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-01T00:00:00.000+0000", "2026-01-01T00:00:00+00:00"),
        ("2026-01-01T02:00:00.000+0200", "2026-01-01T00:00:00+00:00"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00+00:00"),
        ("yesterday", None),
        (None, None),
        ("0001-01-01T00:00:00.000+1400", None),
    ],
)
def test_times_of_salesforce_are_read_leniently(text: Any, moment: str | None) -> None:
    found = soql.moment_of(text)

    assert (found.isoformat() if found else None) == moment
