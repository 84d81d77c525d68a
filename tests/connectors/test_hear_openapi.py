"""Webhooks of REST APIs: Standard Webhooks signatures proven on the raw body before anything is parsed."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from audit.clock import db_now
from connectors.models import Connection, Delivery
from tests.connectors.openapi_world import WEBHOOK_SECRET, make_api

BODY = {"type": "order.held", "timestamp": "2026-11-23T10:00:00Z", "data": {"id": "7", "kind": "hold"}}
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"


def signed(body: bytes, *, at: int | None = None, secret: str = WEBHOOK_SECRET, identifier: str = ID) -> dict[str, str]:
    """The headers that a sender following the standard sets, worked out here by hand."""
    stamp = str(int(db_now().timestamp()) if at is None else at)
    key = base64.b64decode(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else secret.encode()
    mac = hmac.new(key, f"{identifier}.{stamp}.".encode() + body, hashlib.sha256).digest()
    told = f"v1,{base64.b64encode(mac).decode()}"
    return {"webhook-id": identifier, "webhook-timestamp": stamp, "webhook-signature": told}


def post(body: Any, headers: dict[str, str], slug: str = "api") -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Client().post(f"/api/v1/hooks/{slug}/", raw, content_type="application/json", headers=headers)


def hook(body: Any = BODY, **changes: Any) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return post(raw, signed(raw, **changes))


@pytest.fixture
def api(db: None) -> Connection:
    return make_api()


def test_a_signed_event_is_kept_once_under_its_id(api: Connection) -> None:
    first, again = hook(), hook()

    row = Delivery.objects.get()
    assert (first.status_code, again.status_code) == (202, 202)
    assert (row.external_id, row.event, row.payload) == (ID, "order.held", BODY)
    assert row.occurred_at == datetime(2026, 11, 23, 10, tzinfo=UTC)


def test_the_vector_of_the_standard_is_right() -> None:
    # Worked out by the reference libraries of Standard Webhooks for this secret, id, second and body.
    headers = signed(b'{"test": 2432232314}', at=1614265330)

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-signature": ""},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
        {"webhook-id": "another"},
        {"webhook-id": ""},
        {"webhook-timestamp": "1614265330"},
        {"webhook-timestamp": "99999999999"},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": ""},
    ],
)
def test_what_is_forged_or_stale_is_refused_and_nothing_kept(api: Connection, changed: dict[str, str]) -> None:
    raw = json.dumps(BODY).encode()

    answer = post(raw, {**signed(raw), **changed})

    assert answer.status_code == 401
    assert not Delivery.objects.exists()


@pytest.mark.parametrize("seconds", [-310, 310])
def test_five_minutes_are_the_window(api: Connection, seconds: int) -> None:
    now = int(db_now().timestamp())

    assert hook(at=now + seconds).status_code == 401
    assert hook(at=now + seconds * 280 // 310).status_code == 202


def test_a_body_that_was_written_anew_is_refused(api: Connection) -> None:
    headers = signed(json.dumps(BODY).encode())

    assert post(json.dumps(BODY, indent=1).encode(), headers).status_code == 401


def test_of_several_signatures_one_right_one_is_enough(api: Connection) -> None:
    raw = json.dumps(BODY).encode()
    headers = signed(raw)
    headers["webhook-signature"] = f"v1,AAAA v2,BBBB {headers['webhook-signature']}"

    assert post(raw, headers).status_code == 202


def test_a_plain_secret_is_a_key_as_it_is(db: None) -> None:
    make_api(secrets={"webhook_secret": "just-some-shared-words"})

    assert hook(secret="just-some-shared-words").status_code == 202
    assert hook().status_code == 401


@pytest.mark.parametrize("secret", ["", "whsec_not base64!"])
def test_a_secret_that_is_missing_or_broken_lets_nothing_in(db: None, secret: str) -> None:
    make_api(secrets={"webhook_secret": secret} if secret else {})

    answer = hook()

    assert answer.status_code == 401
    assert "secret" not in answer.content.decode() or "whsec_not" not in answer.content.decode()


@pytest.mark.parametrize("secret", ["whsec_", "whsec_AAAA", "a-short-one"])
def test_what_is_signed_with_a_key_that_can_be_guessed_is_not_let_in(db: None, secret: str) -> None:
    make_api(secrets={"webhook_secret": secret})

    assert hook(secret=secret).status_code == 401
    assert not Delivery.objects.exists()


@pytest.mark.parametrize("body", [b"[]", b"{}", b"{", b'{"type": 7}', b'{"type": ""}', b'{"type": "a", "type": "b"}'])
def test_a_signed_body_that_is_no_event_is_refused(api: Connection, body: bytes) -> None:
    assert hook(body).status_code == 400
    assert not Delivery.objects.exists()


def test_where_id_type_and_time_stand_is_configured(db: None) -> None:
    places = {"event_type": "data.kind", "event_time": "at", "event_id": "data.id"}
    connection = make_api(config=places)
    body = {"data": {"id": "7", "kind": "hold"}, "at": 1_700_000_000_000}

    assert hook(body).status_code == 202

    row = Delivery.objects.get(connection=connection)
    assert (row.event, row.external_id) == ("hold", ID)
    assert row.occurred_at == datetime.fromtimestamp(1_700_000_000, UTC)


def test_a_very_long_id_is_kept_by_its_digest_where_the_body_names_it(api: Connection) -> None:
    from connectors import registry

    told = registry.connector_for(api).receive(json.dumps({**BODY, "id": "x" * 900}).encode(), {})

    assert told[0].external_id.startswith("sha256:")
    assert len(told[0].external_id) <= 200


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00Z", 253402300799000]
)
def test_a_moment_that_not_every_zone_can_write_is_none(api: Connection, moment: Any) -> None:
    answer = hook({**BODY, "timestamp": moment})

    row = Delivery.objects.get()
    assert (answer.status_code, row.occurred_at, row.payload["timestamp"]) == (202, None, moment)
