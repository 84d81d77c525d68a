"""Hostile and broken answers: each one ends as an exact failure, and the row in the call log is closed."""

import gzip
import json
import zlib
from typing import Any

import httpx
import pytest

from connectors import gateway, transport
from connectors.base import (
    Blocked,
    ConnectorError,
    Locked,
    NotFound,
    RateLimited,
    Refused,
    Unanswered,
    Unauthorized,
    Unreachable,
    VersionConflict,
)
from connectors.models import Call, Connection
from connectors.transport import Reply
from tests.connectors.factories import ROOT, SECRET, Played, make_fo

KEY = "e" * 64
RECORD = "/data/SalesOrderHeadersV2(dataAreaId='demf',SalesOrderNumber='SO-1')"
RELEASE = f"{RECORD}/Microsoft.Dynamics.DataEntities.ReleaseCreditHold"
ORDER = {"company": "demf", "order": "SO-1"}
ROW = {
    "@odata.etag": 'W/"1"', "dataAreaId": "demf", "SalesOrderNumber": "SO-1", "CreditHold": "Yes",
    "SalesOrderProcessingStatus": "OnHold", "OrderTotalAmount": 10, "CurrencyCode": "EUR",
}  # fmt: skip
PAGE = b"<!DOCTYPE html><html><body>Sign in</body></html>"
HTML = {"Content-Type": "text/html; charset=utf-8"}


@pytest.fixture
def fo(db: None, played: Played) -> Connection:
    played.on("GET", RECORD, httpx.Response(200, json=ROW))
    played.on("POST", RELEASE, httpx.Response(200, json={"value": "No"}))
    return make_fo()


def read(connection: Connection) -> gateway.Answer:
    return gateway.call(connection, "order.get", ORDER, actor="test")


def write(connection: Connection, **changes: Any) -> gateway.Answer:
    options = {"actor": "test", "effect_key": KEY, **changes}
    return gateway.call(connection, "hold.release", {**ORDER, "reason": "Paid"}, **options)


def infolog(text: str) -> dict[str, Any]:
    return {"error": {"code": "", "message": "An error has occurred.", "innererror": {"message": f"Infolog: {text}"}}}


def fails(use: Any, connection: Connection) -> ConnectorError:
    with pytest.raises(ConnectorError) as failure:
        use(connection)
    row = Call.objects.latest("id")
    assert row.finished_at is not None
    assert row.outcome == type(failure.value).__name__.lower()
    assert SECRET not in f"{failure.value!r} {vars(row)}"
    return failure.value


# --- the retry table, row by row, over the wire --------------------------------------------------
LOCK = infolog("Error: The record is locked by user anna.")
TABLE: list[tuple[int, dict[str, str], Any, type[ConnectorError], type[ConnectorError]]] = [
    # status, headers, body, what it is for a read, what it is for a write
    (400, {}, infolog("Error: Mode of delivery must be filled in."), Refused, Refused),
    (403, {}, infolog("Error: No privilege."), Refused, Refused),
    (404, {}, infolog("Error: Not here."), NotFound, NotFound),
    (405, {}, None, Refused, Refused),
    (408, {}, None, Unanswered, Unanswered),
    (409, {}, infolog("Error: Exists."), Refused, Refused),
    (410, {}, None, NotFound, NotFound),
    (412, {}, None, VersionConflict, VersionConflict),
    (422, {}, infolog("Error: No."), Refused, Refused),
    (429, {"Retry-After": "7"}, None, RateLimited, RateLimited),
    (429, {}, None, RateLimited, RateLimited),
    (429, HTML, PAGE, RateLimited, RateLimited),
    (500, {}, None, Unanswered, Unanswered),
    (502, HTML, PAGE, Unanswered, Unanswered),
    (503, {"Retry-After": "7"}, None, RateLimited, Unanswered),
    (503, {}, None, Unanswered, Unanswered),
    (504, {}, None, Unanswered, Unanswered),
    (400, {}, LOCK, Locked, Locked),
    (500, {}, LOCK, Locked, Locked),
    (301, {"Location": "https://elsewhere.test/"}, None, Refused, Refused),
    (307, {"Location": "https://elsewhere.test/"}, None, Refused, Refused),
    (404, HTML, PAGE, Unanswered, Unanswered),
    (200, HTML, PAGE, Unanswered, Unanswered),
    (200, {}, PAGE, Unanswered, Unanswered),
]


@pytest.mark.parametrize(
    ("status", "headers", "body", "on_read", "on_write"), TABLE, ids=lambda value: str(value)[:24].replace(" ", "-")
)
def test_each_answer_has_one_meaning_for_a_read_and_one_for_a_write(
    fo: Connection,
    played: Played,
    *,
    status: int,
    headers: dict[str, str],
    body: Any,
    on_read: type[ConnectorError],
    on_write: type[ConnectorError],
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    for method, path in (("GET", RECORD), ("POST", RELEASE)):
        played.on(method, path, httpx.Response(status, headers=headers, content=content))
    if on_read is not NotFound:
        assert type(fails(read, fo)) is on_read
    else:
        assert read(fo).records == []
    Connection.objects.update(not_before=None)

    failure = fails(write, fo)

    assert type(failure) is on_write
    # Only what may have been carried out has to be looked for before it is sent again.
    assert failure.effect_possible is (on_write is Unanswered)
    assert len([call for call in played.calls if call.method == "POST"]) == 1


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("30", 29, 30), ("0.5", 0, 1), ("-10", 4, 5), ("soon", 4, 5), ("inf", 4, 5), ("1e400", 4, 5), ("nan", 4, 5),
        ("99999999999", 86_390, 86_400), ("Fri, 31 Dec 9999 23:59:59 GMT", 86_390, 86_400),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 4, 5), ("1, 2", 1, 2), ("60, 7", 59, 60), ("Thu, 99 Foo", 4, 5),
    ],
)  # fmt: skip
def test_the_pause_is_the_one_asked_for_or_a_short_one_of_ours(
    fo: Connection, played: Played, text: str, least: float, most: float
) -> None:
    headers = [(b"Retry-After", text.encode("latin-1"))]
    played.on("GET", RECORD, httpx.Response(429, headers=headers, json={}))
    fails(read, fo)

    blocked = fails(read, fo)

    assert isinstance(blocked, Blocked)
    assert blocked.code == "not_before"
    assert blocked.retry_after is not None
    assert least <= blocked.retry_after <= most
    assert len(played.calls) == 1


def test_a_second_worker_with_an_older_copy_waits_as_well(fo: Connection, played: Played) -> None:
    older = Connection.objects.get(pk=fo.pk)
    played.on("POST", RELEASE, httpx.Response(429, headers={"Retry-After": "60"}, json={}))
    fails(write, fo)
    played.on("POST", RELEASE, httpx.Response(429, headers={"Retry-After": "1"}, json={}))

    blocked = fails(write, older)

    assert isinstance(blocked, Blocked)
    assert blocked.retry_after is not None
    assert blocked.retry_after > 50
    assert len(played.calls) == 1


# --- before the first byte, and after it ---------------------------------------------------------
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (httpx.ConnectError("Connection refused"), Unreachable),
        (httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate"), Unreachable),
        (httpx.ConnectTimeout("timed out"), Unreachable),
        (httpx.PoolTimeout("no line free"), Unreachable),
        (httpx.WriteTimeout("timed out"), Unanswered),
        (httpx.WriteError("broken pipe"), Unanswered),
        (httpx.ReadTimeout("timed out"), Unanswered),
        (httpx.ReadError("reset"), Unanswered),
        (httpx.RemoteProtocolError("peer closed without a complete body"), Unanswered),
        (httpx.DecodingError("nonsense"), Unanswered),
    ],
)
def test_only_what_failed_before_the_first_byte_is_safe_to_send_again(
    fo: Connection, played: Played, error: Exception, expected: type[ConnectorError]
) -> None:
    played.on("POST", RELEASE, error)

    failure = fails(write, fo)

    assert type(failure) is expected
    assert failure.effect_possible is (expected is Unanswered)
    assert failure.retryable


@pytest.mark.parametrize("error", [httpx.ReadTimeout("late"), httpx.ReadError("reset"), httpx.ConnectError("refused")])
def test_a_token_server_that_fails_has_not_let_a_write_out(fo: Connection, played: Played, error: Exception) -> None:
    played.on("POST", "token", error)

    failure = fails(write, fo)

    assert isinstance(failure, Unreachable)
    assert not failure.effect_possible
    assert played.calls == []


@pytest.mark.parametrize(
    "answer",
    [
        {}, {"access_token": None}, {"access_token": ""}, {"access_token": "  "}, {"access_token": 7}, [], "token", 0,
    ],
)  # fmt: skip
def test_an_answer_without_a_token_is_told_as_one(fo: Connection, played: Played, answer: Any) -> None:
    played.on("POST", "token", httpx.Response(200, json=answer))

    failure = fails(read, fo)

    assert isinstance(failure, Unauthorized)
    assert "without a token" in str(failure)
    assert played.calls == []


@pytest.mark.parametrize("lifetime", [None, "²", "-1", -1, "soon", [], {}, True, "1e5", 0, "0"])
def test_an_odd_lifetime_of_a_token_does_no_harm(fo: Connection, played: Played, lifetime: Any) -> None:
    played.on("POST", "token", httpx.Response(200, json={"access_token": "t", "expires_in": lifetime}))

    assert read(fo).records[0].key == "demf/SO-1"


@pytest.mark.parametrize("token", ["tök", "a\nX-Injected: 1", "a\r\n\r\nGET /", "\u4e2d"])
def test_a_token_that_no_header_can_carry_is_not_sent_nor_shown(fo: Connection, played: Played, token: str) -> None:
    def refuse_as_the_wire_does(request: httpx.Request) -> httpx.Response:
        if "\n" in request.headers["authorization"]:
            raise httpx.LocalProtocolError("Illegal header value")
        return httpx.Response(200, json=ROW)

    played.on("GET", RECORD, refuse_as_the_wire_does)
    played.on("POST", "token", httpx.Response(200, json={"access_token": token}))

    failure = fails(read, fo)

    assert isinstance(failure, Blocked)
    assert token not in f"{failure}"
    assert failure.__cause__ is None


def test_a_session_that_ends_between_two_pages_is_renewed_and_the_page_asked_again(
    fo: Connection, played: Played
) -> None:
    path = "/data/SalesOrderCharges"
    charge = {"dataAreaId": "demf", "SalesOrderNumber": "SO-1", "ChargeLineNumber": 1}

    def page(request: httpx.Request) -> httpx.Response:
        if "$skiptoken" not in request.url.params:
            link = f"{ROOT}{path}?$skiptoken=1"
            return httpx.Response(200, json={"value": [charge], "@odata.nextLink": link})
        if request.headers["authorization"] == "Bearer token-1":
            return httpx.Response(401, json={})
        return httpx.Response(200, json={"value": [{**charge, "ChargeLineNumber": 2}]})

    played.on("GET", path, page)

    answer = gateway.call(fo, "charges.list", ORDER, actor="test")

    assert [record.fields["ChargeLineNumber"] for record in answer.records] == [1, 2]
    assert played.tokens == 2
    assert answer.call.requests == 5


def test_a_write_refused_with_401_goes_out_once_more_under_the_same_key_and_then_parks(
    fo: Connection, played: Played
) -> None:
    played.on("POST", RELEASE, httpx.Response(401, json={}))

    failure = fails(write, fo)

    assert isinstance(failure, Unauthorized)
    assert not failure.retryable
    assert [call.headers["x-effect-key"] for call in played.calls] == [KEY, KEY]
    assert Connection.objects.get(pk=fo.pk).health == "failing"


# --- bodies --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"7", b'"text"', b"{", b'{"value"', b'{"a": 1, "a": 2}', b"{} {}", b"NaN",
        '{"dataAreaId": "d\u00e9mf"}'.encode("latin-1"), '{"dataAreaId": "demf"}'.encode("utf-16"),
        b"[" * 5000, b'{"dataAreaId": ' + b"9" * 400 + b"}", b"\xef\xbb\xbf\xef\xbb\xbf{}", b"while(1);{}",
    ],
    ids=lambda body: body[:12].decode("latin-1"),
)  # fmt: skip
def test_a_body_that_is_no_record_is_no_answer(fo: Connection, played: Played, body: bytes) -> None:
    played.on("GET", RECORD, httpx.Response(200, content=body, headers={"Content-Type": "application/json"}))

    assert isinstance(fails(read, fo), Unanswered)


@pytest.mark.parametrize("value", [None, 7, "x", {}, [1], [None], [[]], {"value": []}])
def test_a_list_of_another_shape_is_no_answer(fo: Connection, played: Played, value: Any) -> None:
    played.on("GET", "/data/SalesOrderCharges", httpx.Response(200, json={"value": value}))

    with pytest.raises(Unanswered):
        gateway.call(fo, "charges.list", ORDER, actor="test")


@pytest.mark.parametrize(
    "error",
    [
        None, [], "broken", 7, {"error": None}, {"error": "text"}, {"error": []}, {"error": {"innererror": "x"}},
        {"error": {"message": {"lang": "en"}}}, {"error": {"message": "A\u0000B \ud800"}}, {"error": {"code": 7}},
    ],
)  # fmt: skip
def test_an_error_body_of_any_shape_is_still_a_refusal(fo: Connection, played: Played, error: Any) -> None:
    played.on("POST", RELEASE, httpx.Response(400, content=json.dumps(error).encode()))

    failure = fails(write, fo)

    assert isinstance(failure, Refused)
    assert str(failure)
    assert "\x00" not in Call.objects.latest("id").message


def test_a_stack_trace_and_a_flood_of_words_reach_nobody(fo: Connection, played: Played) -> None:
    body = infolog("Error: " + "x" * 100_000)
    body["error"]["innererror"]["stacktrace"] = "at Dynamics.Secret.Code()"
    played.on("POST", RELEASE, httpx.Response(400, json=body))

    failure = fails(write, fo)

    assert len(str(failure)) < 1100
    assert "Dynamics.Secret" not in f"{failure} {vars(Call.objects.latest('id'))}"


def test_a_secret_that_comes_back_in_an_error_is_hidden_however_it_is_spelled(db: None, played: Played) -> None:
    secret = 'p@ss/wörd+"x" y'
    connection = make_fo(secret=secret)
    told = "p%40ss%2Fw%C3%B6rd%2B%22x%22%20y and p%40ss%2Fw%C3%B6rd%2B%22x%22+y and " + secret
    played.on("POST", RELEASE, httpx.Response(400, json=infolog(f"Error: bad {told}")))

    with pytest.raises(Refused) as failure:
        write(connection)

    assert "p%40ss" not in str(failure.value)
    assert "p@ss" not in f"{failure.value} {vars(Call.objects.latest('id'))}"


@pytest.mark.parametrize("cut", [1, 8, 20])
def test_a_compressed_answer_that_breaks_off_is_no_answer(cut: int) -> None:
    packed = gzip.compress(b'{"a": "' + bytes(range(97, 123)) * 3 + b'"}')

    with pytest.raises(Unanswered):
        transport._bounded([packed[:-cut]], "gzip", 1e12, "x.test")


def test_an_empty_answer_may_call_itself_compressed() -> None:
    assert transport._bounded([], "gzip", 1e12, "x.test") == b""
    assert transport._bounded([zlib.compress(b"{}")], "deflate", 1e12, "x.test") == b"{}"


def test_a_bomb_is_stopped_at_the_limit_and_exactly_the_limit_is_taken(settings: Any) -> None:
    settings.OUTBOUND_MAX_BYTES = 1000

    assert len(transport._bounded([gzip.compress(b"0" * 1000)], "gzip", 1e12, "x.test")) == 1000
    with pytest.raises(Unanswered, match="more than 1000 bytes"):
        transport._bounded([gzip.compress(b"0" * 1001)], "gzip", 1e12, "x.test")
    with pytest.raises(Unanswered, match="more than 1000 bytes"):
        transport._bounded([b"0" * 600, b"0" * 600], "", 1e12, "x.test")


@pytest.mark.parametrize(
    ("headers", "body", "page"),
    [
        ({"content-type": "text/html"}, b"", True),
        ({"content-type": "Application/XHTML+XML"}, b"x", True),
        ({}, b" \n<!DocType HTML>", True),
        ({"content-type": "application/json"}, b"<html>", True),
        ({"content-type": "application/json"}, b'{"note": "<html>"}', False),
        ({}, b"", False),
    ],
)
def test_a_page_is_known_by_its_type_or_its_first_letters(headers: dict[str, str], body: bytes, page: bool) -> None:
    assert Reply(200, headers, body).is_page is page
