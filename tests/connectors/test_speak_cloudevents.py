"""CloudEvents in (structured, batch, binary) and out (signed, in both modes), and what each answer means."""

import base64
import hashlib
import hmac
import json
from typing import Any

import httpx
import pytest
from django.test import Client

from connectors import actions, gateway, registry
from connectors.base import Blocked, NotFound, RateLimited, Refused, Unanswered, Unauthorized
from connectors.kinds.cloudevents import events
from connectors.kit import batches, cloudevents
from connectors.models import Call, Connection, Delivery
from tests.connectors.factories import HOOK_SECRET, Played

pytestmark = pytest.mark.django_db
KEY = bytes(range(32))
WHSEC = "whsec_" + base64.b64encode(KEY).decode()
URL = "https://subscriber.test/events"
EVENT = {"specversion": "1.0", "id": "5f1c", "source": "/erp/s4/100", "type": "order.changed", "data": {"n": 1}}


def make_hook(slug: str = "events", **changes: Any) -> Connection:
    config = {"endpoint_url": URL, **changes.pop("config", {})}
    secrets = {"signing_secret": WHSEC, "bearer_token": "a-bearer-token", **changes.pop("secrets", {})}
    return actions.create_connection(
        slug, "cloudevents", actor="system:test", config=config, secrets=secrets, hook_secret=HOOK_SECRET,
        operations=["event.send"], **changes,
    )  # fmt: skip


def deliver(client: Client, body: Any, content_type: str = events.STRUCTURED, **headers: str) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    shown = {"Authorization": f"Bearer {HOOK_SECRET}", **headers}
    return client.post("/api/v1/hooks/events/", raw, content_type=content_type, headers=shown)


def told() -> list[tuple[str, str, Any]]:
    return list(Delivery.objects.order_by("id").values_list("external_id", "event", "payload"))


# --- in ------------------------------------------------------------------------------------------


def test_a_structured_event_is_kept_once_with_every_attribute(client: Client) -> None:
    make_hook()
    event = {**EVENT, "time": "2026-01-02T03:04:05.123456789Z", "traceparent": "00-ab", "sequence": 7}

    first, again = deliver(client, event), deliver(client, event)

    assert (first.json(), again.json()) == ({"accepted": 1, "repeated": 0}, {"accepted": 0, "repeated": 1})
    assert told() == [('["/erp/s4/100","5f1c"]', "order.changed", event)]
    assert Delivery.objects.get().occurred_at.isoformat() == "2026-01-02T03:04:05.123456+00:00"


def test_a_batch_is_kept_whole_or_not_at_all_and_may_be_empty(client: Client) -> None:
    make_hook()

    assert deliver(client, [], events.BATCH).json() == {"accepted": 0, "repeated": 0}
    assert deliver(client, [EVENT, {**EVENT, "id": ""}], events.BATCH).status_code == 400
    assert told() == []
    assert deliver(client, [EVENT, {**EVENT, "id": "2"}, EVENT], events.BATCH).json()["accepted"] == 2


def test_a_batch_has_a_limit(client: Client) -> None:
    make_hook()
    many = [{**EVENT, "id": str(n)} for n in range(batches.LARGEST_BATCH + 1)]

    assert deliver(client, many, events.BATCH).status_code == 413


def test_a_binary_event_is_read_from_its_headers(client: Client) -> None:
    make_hook()
    headers = {
        "CE-SpecVersion": "1.0", "ce-id": "INV%201%20%C3%A9", "ce-source": '"/erp/\\"x\\""', "Ce-Type": "order.changed",
        "ce-time": "2026-01-01T00:00:00Z", "ce-tenant": "100%2525",
    }  # fmt: skip

    assert deliver(client, {"SalesOrder": "1"}, "application/json", **headers).status_code == 202
    ((identity, _, payload),) = told()
    assert identity == json.dumps(['/erp/"x"', "INV 1 é"], separators=(",", ":"), ensure_ascii=False)
    assert payload["data"] == {"SalesOrder": "1"}
    assert payload["datacontenttype"] == "application/json"
    assert payload["tenant"] == "100%25"  # decoded once, not twice


def test_binary_data_that_is_no_json_is_kept_as_it_came(client: Client) -> None:
    make_hook()
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": "t", "ce-data": "mine"}

    deliver(client, b"\x00\xff<a/>", "application/xml", **headers)

    payload = told()[0][2]
    assert base64.b64decode(payload["data_base64"]) == b"\x00\xff<a/>"
    assert "data" not in payload


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a#b", "c"), ("a", "b#c")),
        (('a","b', "c"), ("a", 'b","c')),
        (("a", "b" * 300), ("a", "b" * 299 + "c")),
        (("", "ab"), ("a", "b")),
        (('["a","b"]', "c"), ("a", "b")),
    ],
)
def test_two_pairs_of_source_and_id_never_share_a_name(one: tuple[str, str], other: tuple[str, str]) -> None:
    names = {cloudevents.identity(*one), cloudevents.identity(*other)}

    assert len(names) == 2
    assert all(len(name) <= 200 for name in names)


@pytest.mark.parametrize("text", ["plain", "INV 1 é", '50 % "of" it', "日本", "a/b?c=d&e", "line\ttab"])
def test_a_header_says_afterwards_what_it_said_before(text: str) -> None:
    encoded = cloudevents.encoded(text)

    assert encoded.isascii()
    assert not {" ", '"'} & set(encoded)
    assert cloudevents.decoded(encoded) == text


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ({**EVENT, "specversion": "0.3"}, events.STRUCTURED),
        ({**EVENT, "source": None}, events.STRUCTURED),
        ({**EVENT, "id": 7}, events.STRUCTURED),
        ({**EVENT, "id": "a\u0001b"}, events.STRUCTURED),
        ({**EVENT, "type": " "}, events.STRUCTURED),
        ({**EVENT, "time": "yesterday"}, events.STRUCTURED),
        ({**EVENT, "time": "0001-01-01T00:00:00Z"}, events.STRUCTURED),
        ({**EVENT, "data_base64": "AA=="}, events.STRUCTURED),
        ([EVENT], events.STRUCTURED),
        (EVENT, events.BATCH),
        (EVENT, "application/json"),
        (b'{"specversion":"1.0","id":"1","id":"2","source":"/","type":"t"}', events.STRUCTURED),
        (b'{"specversion":"1.0","id":"\\u0000","source":"/","type":"t"}', events.STRUCTURED),
        (b"{", events.STRUCTURED),
    ],
)
def test_what_is_no_cloud_event_is_refused_and_nothing_is_kept(client: Client, body: Any, content_type: str) -> None:
    make_hook()

    assert deliver(client, body, content_type).status_code == 400
    assert told() == []


def test_a_broken_letter_in_a_header_cannot_break_a_database(client: Client) -> None:
    make_hook()
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": "t", "ce-note": "a%00b%FF"}

    assert deliver(client, b"", "application/json", **headers).status_code == 202
    assert told()[0][2]["note"] == "a\ufffdb\ufffd"


def test_our_own_events_that_come_back_are_left_out(client: Client, settings: Any) -> None:
    settings.PUBLIC_URL = "https://console.example"
    make_hook()

    assert deliver(client, {**EVENT, "source": "https://console.example"}).json() == {"accepted": 0, "repeated": 0}


def test_nobody_is_heard_without_the_hooks_secret(client: Client) -> None:
    make_hook()

    assert deliver(client, EVENT, Authorization="Bearer wrong").status_code == 401


def test_the_sample_is_an_event_that_the_hook_takes(client: Client) -> None:
    kind = registry.KINDS["cloudevents"]
    sample = kind.sample(kind.config.model_validate({}))
    make_hook()

    assert deliver(client, sample.body.encode(), sample.content_type).status_code == 202


# --- out -----------------------------------------------------------------------------------------


def message(**changes: Any) -> dict[str, Any]:
    known = {
        "id": "17-abc", "type": "io.goldseam.incident.resolved", "source": "https://console.example",
        "subject": "incident/1", "occurred_at": "2026-01-02T03:04:05Z", "title": "Mended é", "data": {"n": "é"},
    }  # fmt: skip
    return {**known, **changes}


@pytest.fixture
def subscriber(played: Played, monkeypatch: pytest.MonkeyPatch) -> Played:
    played.on("POST", "/events", httpx.Response(202))
    return played


def send(connection: Connection) -> gateway.Answer:
    return gateway.call(connection, "event.send", message(), actor="system:telling", effect_key="tell-1")


def signed(request: httpx.Request) -> str:
    base = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.content
    return "v1," + base64.b64encode(hmac.new(KEY, base, hashlib.sha256).digest()).decode()


@pytest.mark.django_db(transaction=True)
def test_an_event_goes_out_signed_under_its_id(subscriber: Played) -> None:
    send(make_hook())

    (request,) = subscriber.requests
    body = json.loads(request.content)
    assert (body["id"], body["source"], body["data"]) == ("17-abc", "https://console.example", {"n": "é"})
    assert request.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert request.headers["webhook-id"] == "17-abc"
    assert request.headers["webhook-signature"] == signed(request)
    assert request.headers["webhook-request-origin"] == "console.example"
    assert request.headers["authorization"] == "Bearer a-bearer-token"


@pytest.mark.django_db(transaction=True)
def test_in_binary_mode_the_attributes_are_headers_and_the_data_is_the_body(subscriber: Played) -> None:
    send(make_hook(config={"mode": "binary"}))

    (request,) = subscriber.requests
    assert json.loads(request.content) == {"n": "é"}
    assert request.headers["content-type"] == "application/json"
    assert {name: request.headers[f"ce-{name}"] for name in ("id", "type", "specversion", "subject")} == {
        "id": "17-abc", "type": "io.goldseam.incident.resolved", "specversion": "1.0", "subject": "incident/1",
    }  # fmt: skip
    assert "ce-datacontenttype" not in request.headers
    assert request.headers["webhook-signature"] == signed(request)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (httpx.Response(410), Refused, "gone"),
        (httpx.Response(410, html="<p>gone</p>"), Refused, "gone"),
        (httpx.Response(415), Refused, "format"),
        (httpx.Response(301, html="<p>moved</p>", headers={"Location": "https://evil.test"}), Refused, ""),
        (httpx.Response(401), Unauthorized, ""),
        (httpx.Response(403), Refused, ""),
        (httpx.Response(404), NotFound, ""),
        (httpx.Response(429, headers={"Retry-After": "7"}), RateLimited, ""),
        (httpx.Response(503, headers={"Retry-After": "7"}), RateLimited, ""),
        (httpx.Response(429), RateLimited, ""),
        (httpx.Response(503), Unanswered, ""),
        (httpx.Response(408), Unanswered, ""),
    ],
)
def test_each_answer_means_what_the_specification_says(
    played: Played, answer: httpx.Response, error: type[Exception], code: str
) -> None:
    played.on("POST", "/events", answer)

    with pytest.raises(error) as refused:
        send(make_hook())

    assert type(refused.value) is error
    assert refused.value.code == code
    assert len(played.requests) == 1
    if "Retry-After" in answer.headers:
        assert refused.value.retry_after == 7


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("answer", [httpx.Response(200, html="<p>thanks</p>"), httpx.Response(204)])
def test_whatever_a_receiver_says_beside_its_yes_it_is_a_yes(played: Played, answer: httpx.Response) -> None:
    played.on("POST", "/events", answer)

    assert send(make_hook()).written.result == {"status": answer.status_code}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("secret", ["", "whsec_!!!", "whsec_c2hvcnQ=", "a-plain-password"])
def test_without_a_sound_signing_secret_nothing_is_sent_and_the_secret_stays_secret(
    subscriber: Played, secret: str
) -> None:
    with pytest.raises(Blocked) as refused:
        send(make_hook(secrets={"signing_secret": secret}))

    assert refused.value.code == "credentials"
    assert subscriber.requests == []
    assert not secret or secret not in f"{refused.value}{vars(Call.objects.get())}"


@pytest.mark.django_db(transaction=True)
def test_a_connection_without_an_endpoint_only_receives(subscriber: Played) -> None:
    connection = make_hook(config={"endpoint_url": ""})

    with pytest.raises(Blocked, match="no endpoint"):
        send(connection)
    assert gateway.check(connection, actor="test").ok
    assert subscriber.requests == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("answer", "ok", "says"),
    [
        (httpx.Response(200, headers={"WebHook-Allowed-Origin": "*"}), True, "It consents"),
        (httpx.Response(200, headers={"WebHook-Allowed-Origin": "console.example"}), True, "It consents"),
        (httpx.Response(200), True, "does not speak the handshake"),
        (httpx.Response(405), True, "does not speak the handshake"),
        (httpx.Response(401), False, "bearer token"),
        (httpx.Response(502), False, "answered 502"),
    ],
)
def test_a_connection_test_asks_by_the_handshake_and_sends_no_event(
    played: Played, settings: Any, answer: httpx.Response, ok: bool, says: str
) -> None:
    settings.PUBLIC_URL = "https://console.example"
    played.on("OPTIONS", "/events", answer)

    health = gateway.check(make_hook(), actor="test")

    assert (health.ok, says in health.message) == (ok, True)
    assert [request.method for request in played.requests] == ["OPTIONS"]
    assert played.requests[0].headers["webhook-request-origin"] == "console.example"
