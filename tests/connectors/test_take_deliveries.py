"""Hooks: the right secret, strict bodies, both envelopes, and nothing kept twice."""

import json
from base64 import b64encode
from typing import Any

import pytest
from django.test import Client

from connectors.base import Inbound
from connectors.inbound import webhooks
from connectors.kinds.dynamics_fo.events import moment_of
from connectors.models import Connection, Delivery
from connectors.signals import deliveries_arrived
from tests.connectors.factories import HOOK_SECRET, make_crm, make_fo, make_model
from tests.racing import together

EVENT: dict[str, Any] = {
    "BusinessEventId": "SalesInvoicePostedBusinessEvent",
    "BusinessEventLegalEntity": "usmf",
    "ControlNumber": 5637145326,
    "EventId": "0B5C1F0E-3E0E-4C62-9B8F-5E4E6B1B4A10",
    "EventTime": "/Date(1767225600000)/",
    "EventTimeIso8601": "2026-01-01T00:00:00.0000000Z",
    "InvoiceId": "CIV-000697",
    "InvoiceDueDate": "/Date(-2208988800000)/",
    "InvoiceDate": "/Date(1767225600000)/",
    "ParentContextRecordSubjects": None,
}
OLD = {
    "BusinessEventId": "SalesInvoicePostedBusinessEvent", "ControlNumber": 77, "EventTime": "/Date(1767225600000)/",
    "LegalEntity": "demf", "InvoiceId": "CIV-1",
}  # fmt: skip


@pytest.fixture
def fo(db: None) -> Connection:
    return make_fo()


def post(body: Any, *, path: str = "fo/", secret: str = HOOK_SECRET, **headers: str) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    if secret:
        headers.setdefault("X-Goldseam-Secret", secret)
    return Client().post(f"/api/v1/hooks/{path}", content, content_type="application/json", headers=headers)


def test_an_event_is_kept_as_it_came_with_readable_dates(fo: Connection) -> None:
    answer = post(EVENT)

    kept = Delivery.objects.get()
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "repeated": 0})
    assert (kept.external_id, kept.event) == (EVENT["EventId"], "SalesInvoicePostedBusinessEvent")
    assert kept.occurred_at is not None
    assert kept.occurred_at.isoformat() == "2026-01-01T00:00:00+00:00"
    assert kept.payload["ControlNumber"] == 5637145326
    assert kept.payload["InvoiceDate"] == "2026-01-01T00:00:00Z"
    assert kept.payload["InvoiceDueDate"] is None
    assert kept.processed_at is None


def test_the_envelope_of_2019_is_understood_too(fo: Connection) -> None:
    post(OLD)

    kept = Delivery.objects.get()
    assert kept.external_id == "SalesInvoicePostedBusinessEvent:77"
    assert kept.payload["BusinessEventLegalEntity"] == "demf"
    assert kept.occurred_at is not None


def test_the_same_event_again_adds_nothing(fo: Connection) -> None:
    answers = [post(EVENT).json(), post(EVENT).json(), post([EVENT, OLD, OLD]).json()]

    assert answers == [
        {"accepted": 1, "repeated": 0}, {"accepted": 0, "repeated": 1}, {"accepted": 1, "repeated": 2}
    ]  # fmt: skip
    assert Delivery.objects.count() == 2


def test_a_batch_keeps_its_order(fo: Connection) -> None:
    events = [{**EVENT, "EventId": f"e-{number}"} for number in range(20)]

    answer = post([*events, events[3]])

    assert answer.json() == {"accepted": 20, "repeated": 1}
    assert list(Delivery.objects.values_list("external_id", flat=True)) == [f"e-{number}" for number in range(20)]


def test_the_floor_above_hears_of_new_rows_only(fo: Connection) -> None:
    heard: list[Any] = []

    def listen(sender: Any, connection_id: int, delivery_ids: list[int], **_: Any) -> None:
        heard.append((connection_id, delivery_ids))

    deliveries_arrived.connect(listen)
    post(EVENT)
    post(EVENT)
    deliveries_arrived.disconnect(listen)

    assert heard == [(fo.pk, [Delivery.objects.get().pk])]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Goldseam-Secret": HOOK_SECRET},
        {"Authorization": f"Bearer {HOOK_SECRET}"},
        {"Authorization": "Basic " + b64encode(f"anybody:{HOOK_SECRET}".encode()).decode()},
    ],
)
def test_the_secret_may_come_in_each_of_three_headers(fo: Connection, headers: dict[str, str]) -> None:
    assert post(EVENT, secret="", **headers).status_code == 202


def test_a_sender_without_headers_puts_the_secret_into_the_path(fo: Connection) -> None:
    assert post(EVENT, secret="", path=f"fo/{HOOK_SECRET}/").status_code == 202
    assert post(EVENT, secret="", path="fo/another-secret-of-some-length/").status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"X-Goldseam-Secret": "wrong"}, {"X-Goldseam-Secret": HOOK_SECRET[:-1]}, {"Authorization": "Bearer"},
        {"Authorization": "Basic !!!"}, {"Authorization": "Basic " + b64encode(b"\xff\xfe").decode()},
        {"Authorization": f"Digest {HOOK_SECRET}"}, {"Authorization": f"Basic {HOOK_SECRET}"},
    ],
)  # fmt: skip
def test_a_wrong_or_missing_secret_is_a_problem_and_nothing_is_kept(fo: Connection, headers: dict[str, str]) -> None:
    answer = post(EVENT, secret="", **headers)

    assert answer.status_code == 401
    assert answer["Content-Type"].startswith("application/problem+json")
    assert not Delivery.objects.exists()


def test_a_connection_without_a_hook_secret_takes_nothing(db: None) -> None:
    make_crm()

    assert post(EVENT, path="crm/", secret="anything at all").status_code == 401
    assert post(EVENT, path="crm/anything/", secret="").status_code == 404
    assert post(EVENT, path="nowhere/").status_code == 404


def test_a_disabled_connection_takes_nothing(fo: Connection) -> None:
    Connection.objects.update(enabled=False)

    assert post(EVENT).status_code == 403


def test_a_kind_that_sends_nothing_here_says_so(db: None) -> None:
    make_model(hook_secret=HOOK_SECRET)

    answer = post(EVENT, path="ai/")

    assert answer.status_code == 404
    assert "does not send events here" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b'"text"', b"7", b"[]", b"[7]", b"{}", b'{"a": 1}', b"\xff\xfe", b'{"BusinessEventId": ""}',
        b'{"BusinessEventId": 7}', b'{"BusinessEventId": "x", "BusinessEventId": "y"}',
        b'{"BusinessEventId": "x", "amount": NaN}', b'{"BusinessEventId": "x", "amount": Infinity}',
        b'{"BusinessEventId": "x", "amount": 1e999}', b'{"BusinessEventId": "x", "n": ' + b"9" * 400 + b"}",
        b'{"BusinessEventId": "x", "t": "\\u0000"}', b'{"BusinessEventId": "x", "t": "\\ud800"}',
        b'{"BusinessEventId": "x", "EventId": 7}', b'{"BusinessEventId": "x", "EventId": "' + b"e" * 201 + b'"}',
        b'{"BusinessEventId": "x", "EventTime": "yesterday"}', b'{"BusinessEventId": "x", "EventTime": 7}',
        b'{"BusinessEventId": "x", "deep": ' + b"[" * 100 + b"]" * 100 + b"}", b"[" * 100_000,
        b'{"BusinessEventId": "' + b"n" * 201 + b'"}',
    ],
)  # fmt: skip
def test_a_body_that_is_not_what_fo_sends_is_refused_whole(fo: Connection, body: bytes) -> None:
    answers = [post(body), post(b"[" + json.dumps(EVENT).encode() + b"," + body + b"]")]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert all(answer.json()["detail"] for answer in answers)
    assert not Delivery.objects.exists()


def test_a_body_or_batch_over_the_limit_is_refused(fo: Connection, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 200_000

    assert post(b" " * 200_001).status_code == 413
    assert post([{"BusinessEventId": "x", "ControlNumber": number} for number in range(1, 1002)]).status_code == 413
    assert not Delivery.objects.exists()


def test_other_methods_are_not_for_hooks(fo: Connection) -> None:
    assert Client().get("/api/v1/hooks/fo/", headers={"X-Goldseam-Secret": HOOK_SECRET}).status_code == 405


def test_an_event_without_any_id_is_known_by_its_content(fo: Connection) -> None:
    bare = {"BusinessEventId": "BusinessEventsAlertEvent", "RuleId": "FREIGHT_RATE_DIFFERS"}

    answers = [post(bare).json(), post(dict(reversed(bare.items()))).json(), post({**bare, "RuleId": "x"}).json()]

    assert [answer["accepted"] for answer in answers] == [1, 0, 1]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("/Date(1767225600000)/", "2026-01-01T00:00:00+00:00"),
        ("/Date(1767225600000+0100)/", "2026-01-01T00:00:00+00:00"),
        ("2026-01-01T00:00:00.0000000Z", "2026-01-01T00:00:00+00:00"),
        ("2026-01-01T01:00:00.1234567+01:00", "2026-01-01T00:00:00.123456+00:00"),
        ("2026-01-01T00:00:00", "2026-01-01T00:00:00+00:00"),
        ("/Date(-2208988800000)/", None),
        ("1900-01-01T00:00:00Z", None),
        ("/Date(999999999999999)/", None),
        ("/Date(x)/", None),
        ("0001-01-01T00:00:00+14:00", None),
    ],
)
def test_times_are_read_in_every_form_that_fo_writes(text: str, moment: str | None) -> None:
    found = moment_of(text)

    assert (found.isoformat() if found else None) == moment


@pytest.mark.django_db(transaction=True)
def test_many_deliveries_of_the_same_at_once_are_kept_once_and_counted_once() -> None:
    connection = make_fo()
    told = [Inbound(f"e-{number}", "x", {}) for number in range(5)]

    received = together(*[lambda: webhooks.store(connection, told)] * 8)

    assert Delivery.objects.count() == 5
    assert sum(one.accepted for one in received) == 5
    assert sum(one.repeated for one in received) == 35
