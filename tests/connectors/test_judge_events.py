"""Business events and the hook that takes them: order, doubles, odd envelopes, secrets, and bodies of every kind."""

import json
from base64 import b64encode
from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from connectors.base import Inbound, Refused
from connectors.inbound import webhooks
from connectors.kinds.dynamics_fo import events
from connectors.models import Connection, Delivery
from tests.connectors.factories import HOOK_SECRET, make_fo

EVENT: dict[str, Any] = {
    "BusinessEventId": "SalesInvoicePostedBusinessEvent", "BusinessEventLegalEntity": "usmf",
    "ControlNumber": 5637145326, "EventId": "E-1", "EventTimeIso8601": "2026-01-01T00:00:00.0000000Z",
}  # fmt: skip


@pytest.fixture
def fo(db: None) -> Connection:
    return make_fo()


def post(body: Any, *, content_type: str = "application/json", path: str = "fo/", **headers: str) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = headers or {"X-Goldseam-Secret": HOOK_SECRET}
    return Client().post(f"/api/v1/hooks/{path}", content, content_type=content_type, headers=headers)


def one(**changes: Any) -> Inbound:
    return events.inbound(json.dumps({**EVENT, **changes}).encode())[0]


# --- identity and order --------------------------------------------------------------------------
def test_events_out_of_order_are_all_kept_with_their_own_times(fo: Connection) -> None:
    for number in (3, 1, 2):
        moment = f"2026-01-01T00:00:0{number}Z"
        post({**EVENT, "EventId": f"E-{number}", "ControlNumber": number, "EventTimeIso8601": moment})

    assert [row.external_id for row in Delivery.objects.order_by("occurred_at")] == ["E-1", "E-2", "E-3"]
    assert [row.external_id for row in Delivery.objects.order_by("id")] == ["E-3", "E-1", "E-2"]


def test_a_gap_in_the_control_numbers_is_no_loss_and_a_double_is_no_second_event(fo: Connection) -> None:
    numbers = [1, 5, 5, 900, 900, 901]
    answer = post([{**EVENT, "EventId": None, "ControlNumber": number} for number in numbers])

    assert answer.json() == {"accepted": 4, "repeated": 2}


def test_two_events_may_share_a_control_number_where_their_ids_differ(fo: Connection) -> None:
    answer = post([{**EVENT, "EventId": "A"}, {**EVENT, "EventId": "B"}])

    assert answer.json() == {"accepted": 2, "repeated": 0}


def test_one_number_under_two_kinds_of_event_is_two_events() -> None:
    first = one(EventId="", BusinessEventId="A")
    second = one(EventId="", BusinessEventId="B")

    assert first.external_id != second.external_id


@pytest.mark.parametrize("control", [None, 0, -1, "5", True, 1.5])
def test_without_any_usable_number_the_content_is_the_identity(control: Any) -> None:
    first, again = one(EventId="", ControlNumber=control), one(EventId="", ControlNumber=control)

    assert first.external_id == again.external_id
    assert first.external_id != one(EventId="", ControlNumber=control, InvoiceId="other").external_id


def test_a_number_of_64_bits_comes_through_whole(fo: Connection) -> None:
    post({**EVENT, "ControlNumber": 9223372036854775807, "TableId": 5637144576123456789})

    assert Delivery.objects.get().payload["ControlNumber"] == 9223372036854775807
    assert Delivery.objects.get().payload["TableId"] == 5637144576123456789


@pytest.mark.parametrize("given", [7, [], {}, True, "x" * 201])
def test_an_id_that_is_no_text_refuses_the_whole_delivery(fo: Connection, given: Any) -> None:
    answer = post([EVENT, {**EVENT, "EventId": given}])

    assert answer.status_code == 400
    assert not Delivery.objects.exists()


# --- times ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-01T00:00:00.0000000Z", "2026-01-01T00:00:00+00:00"),
        ("2026-01-01T01:00:00.1234567+01:00", "2026-01-01T00:00:00.123456+00:00"),
        ("2026-01-01T00:00:00", "2026-01-01T00:00:00+00:00"),
        ("/Date(1767225600000)/", "2026-01-01T00:00:00+00:00"),
        ("/Date(1767225600000+0100)/", "2026-01-01T00:00:00+00:00"),
        ("/Date(-1)/", "1969-12-31T23:59:59.999000+00:00"),
        ("1900-06-15T00:00:00Z", "1900-06-15T00:00:00+00:00"),
        ("1900-01-01T00:00:00.0000000Z", None),
        ("/Date(-2208988800000)/", None),
        ("/Date(999999999999999)/", None),
        ("", None),
        (None, None),
    ],
)
def test_a_time_is_read_in_every_form_and_an_empty_one_is_none(text: Any, moment: str | None) -> None:
    told = one(EventTimeIso8601=text).occurred_at

    assert told == (datetime.fromisoformat(moment) if moment else None)


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-13-01T00:00:00Z", "/Date(x)/", "/Date(1)/x", 5, True, ["x"], "9999999"]
)
def test_a_time_that_is_none_is_refused(text: Any) -> None:
    with pytest.raises(Refused, match="not a time"):
        one(EventTimeIso8601=text)


def test_dates_inside_are_readable_and_empty_ones_are_nothing() -> None:
    payload = one(A="/Date(1767225600000)/", B="/Date(-2208988800000)/", C="/Date(soon)/", D=["/Date(0)/"]).payload

    assert (payload["A"], payload["B"], payload["C"]) == ("2026-01-01T00:00:00Z", None, "/Date(soon)/")


@pytest.mark.parametrize(
    ("changes", "company"),
    [
        ({}, "usmf"),
        ({"BusinessEventLegalEntity": "", "LegalEntity": "demf"}, "demf"),
        ({"BusinessEventLegalEntity": None, "LegalEntity": "demf"}, "demf"),
        ({"BusinessEventLegalEntity": "", "LegalEntity": 7}, ""),
        ({"LegalEntity": "demf"}, "usmf"),
    ],
)
def test_the_company_is_found_in_both_envelopes(changes: dict[str, Any], company: str) -> None:
    assert one(**changes).payload["BusinessEventLegalEntity"] == company


# --- bodies --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"null", b"7", b"[]", b"{}", b"[[]]", b"[null]", b'"text"', b"{", b"\xff", b"\xef\xbb\xbf{}",
        b"<a/>",
        b'{"BusinessEventId": ""}', b'{"BusinessEventId": 7}', b'{"BusinessEventId": "A", "BusinessEventId": "B"}',
        b'{"BusinessEventId": "A", "x": NaN}', b'{"BusinessEventId": "A", "x": "\\u0000"}',
        b'{"BusinessEventId": "A", "x": "\\ud800"}', b'{"BusinessEventId": "A", "x": ' + b"[" * 99 + b"]" * 99 + b"}",
        b'{"BusinessEventId": "A", "x": ' + b"9" * 99 + b"}", b'{"BusinessEventId": "' + b"x" * 201 + b'"}',
        b'[{"BusinessEventId": "A"}, {}]',
    ],
    ids=lambda body: repr(body[:40]),
)  # fmt: skip
def test_nothing_is_kept_of_a_body_that_is_not_right_to_the_last_letter(fo: Connection, body: bytes) -> None:
    answer = post(body)

    assert answer.status_code == 400
    assert answer["Content-Type"].startswith("application/problem+json")
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    "content_type", ["text/plain", "", "application/octet-stream", "nonsense", "text/xml", "a/b; c"]
)
def test_the_body_counts_and_not_what_it_is_called(fo: Connection, content_type: str) -> None:
    assert post(EVENT, content_type=content_type).status_code == 202


@pytest.mark.parametrize(("count", "status"), [(1000, 202), (1001, 413)])
def test_a_batch_is_taken_up_to_its_limit(fo: Connection, count: int, status: int) -> None:
    answer = post([{**EVENT, "EventId": f"E-{number}"} for number in range(count)])

    assert answer.status_code == status
    assert Delivery.objects.count() == (count if status == 202 else 0)


def test_a_replay_is_answered_like_the_first_and_adds_nothing(fo: Connection) -> None:
    answers = [post(EVENT) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [202] * 3
    assert [answer.json()["accepted"] for answer in answers] == [1, 0, 0]
    assert Delivery.objects.count() == 1


def test_the_same_id_from_two_connections_is_two_things(fo: Connection) -> None:
    make_fo(slug="fo2")

    assert post(EVENT).json()["accepted"] == 1
    assert post(EVENT, path="fo2/").json()["accepted"] == 1


# --- secrets -------------------------------------------------------------------------------------
def basic(text: str) -> str:
    return "Basic " + b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Goldseam-Secret": HOOK_SECRET},
        {"Authorization": f"Bearer {HOOK_SECRET}"},
        {"Authorization": f"bearer   {HOOK_SECRET} "},
        {"Authorization": basic(f"anyone:{HOOK_SECRET}")},
        {"Authorization": basic(f":{HOOK_SECRET}")},
        {"X-Goldseam-Secret": HOOK_SECRET, "Authorization": "Bearer wrong"},
    ],
)
def test_the_right_secret_opens_in_each_header(fo: Connection, headers: dict[str, str]) -> None:
    assert post(EVENT, **headers).status_code == 202


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Other": "1"},
        {"X-Goldseam-Secret": HOOK_SECRET[:-1]},
        {"X-Goldseam-Secret": HOOK_SECRET + "x"},
        {"X-Goldseam-Secret": HOOK_SECRET.upper()},
        {"X-Goldseam-Secret": "wrong", "Authorization": f"Bearer {HOOK_SECRET}"},
        {"Authorization": HOOK_SECRET},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic ???"},
        {"Authorization": "Basic " + b64encode(b"\xff:\xff").decode()},
        {"Authorization": basic(HOOK_SECRET)},
        {"Authorization": f"Digest {HOOK_SECRET}"},
    ],
)
def test_every_other_one_is_refused_before_the_body_is_looked_at(fo: Connection, headers: dict[str, str]) -> None:
    answer = post(b"{not even json", **headers)

    assert answer.status_code == 401
    assert HOOK_SECRET not in answer.content.decode()


def test_a_digest_is_no_secret(fo: Connection) -> None:
    assert post(EVENT, **{"X-Goldseam-Secret": fo.hook_secret_digest}).status_code == 401
    assert post(EVENT, path=f"fo/{fo.hook_secret_digest}/", **{"X-Other": "1"}).status_code == 404


def test_unknown_and_wrong_look_the_same_in_the_path(fo: Connection) -> None:
    wrong = post(EVENT, path="fo/wrong-secret-of-some-length/", **{"X-Other": "1"})
    unknown = post(EVENT, path="nobody/wrong-secret-of-some-length/", **{"X-Other": "1"})

    assert wrong.status_code == unknown.status_code == 404
    own = {"instance": "", "request_id": ""}
    assert {**wrong.json(), **own} == {**unknown.json(), **own}


def test_every_secret_is_compared_in_full_even_where_there_is_none(
    fo: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[int, int]] = []

    def compare(left: str, right: str) -> bool:
        compared.append((len(left), len(right)))
        return left == right

    monkeypatch.setattr(webhooks.hmac, "compare_digest", compare)
    for slug in ("fo", "nobody"):
        with pytest.raises((webhooks.WrongSecret, webhooks.UnknownHook)):
            webhooks.connection_of_hook(slug, "wrong", in_path=False)

    assert compared == [(64, 64), (64, 64)]
