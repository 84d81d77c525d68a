"""Signed deliveries, own answers to them, and operations that tell: what the door and the hooks do for any kind."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from django.test import Client

from connectors import actions, gateway, registry
from connectors.base import (
    Arguments,
    Blocked,
    Connector,
    Health,
    HookAnswer,
    Inbound,
    Read,
    Record,
    Refused,
    Tell,
    Unauthorized,
    Write,
    Written,
)
from connectors.models import Call, Connection, Delivery, EmergencyStop
from connectors.talk.messages import Message, as_event
from connectors.wire import signatures

pytestmark = pytest.mark.django_db
KEY = b"the key that signs"
HEARD: list[bytes] = []


class Bell(Connector):
    """A toy that signs what it sends, wants an answer of its own, and can be rung."""

    class Settings(Arguments):
        """Nothing to set."""

    slug = "bell"
    label = "Bell"
    secrets = frozenset({"signing_key"})
    signed_with = "signing_key"
    config = Settings
    operations: ClassVar = (Tell("bell.ring", Message, "Ring"),)

    def check(self) -> Health:
        return Health(True, (), "rings")

    def verify(self, body: bytes, headers: Mapping[str, str]) -> None:
        wanted = signatures.sha256(self.secret("signing_key").encode(), body).hex()
        if not signatures.equal(wanted, headers.get("X-Bell-Signature", "")):
            raise Unauthorized("The signature is not right.")

    def receive(self, body: bytes, headers: Mapping[str, str]) -> list[Inbound]:
        HEARD.append(body)
        told = json.loads(body)
        if "challenge" in told:
            return []
        return [Inbound(external_id=str(told["id"]), event="rung", payload=told)]

    def answer(self, body: bytes, headers: Mapping[str, str]) -> HookAnswer | None:
        told = json.loads(body)
        return HookAnswer(told["challenge"].encode(), "text/plain") if "challenge" in told else None

    def read(self, operation: Read, arguments: Any) -> list[Record]:
        raise Refused("Bells hold no records.")

    def write(self, operation: Write, arguments: Any, *, effect_key: str, version: str = "") -> Written:
        raise Refused("Bells hold no records.")

    def tell(self, operation: Tell, arguments: Any, *, key: str) -> Written:
        return Written(result={"thread": f"t-{key[:3]}", "heard": arguments.title})


@pytest.fixture
def bell(monkeypatch: pytest.MonkeyPatch) -> Connection:
    HEARD.clear()
    monkeypatch.setitem(registry.KINDS, "bell", Bell)
    return actions.create_connection(
        "bell", "bell", actor="system:test", secrets={"signing_key": KEY.decode()}, operations=["*"]
    )


def deliver(client: Client, body: bytes, *, signature: str | None = None, slug: str = "bell") -> Any:
    right = hmac.new(KEY, body, hashlib.sha256).hexdigest()
    headers = {"X-Bell-Signature": right if signature is None else signature}
    return client.post(f"/api/v1/hooks/{slug}/", body, content_type="application/json", headers=headers)


def message(**changes: Any) -> dict[str, Any]:
    known = {
        "id": "m-1", "type": "io.goldseam.incident.resolved", "source": "https://goldseam.test",
        "subject": "incident/1", "occurred_at": "2026-01-02T03:04:05Z", "title": "Mended", "data": {"n": 1},
    }  # fmt: skip
    return {**known, **changes}


def test_what_is_signed_rightly_is_kept_once(client: Client, bell: Connection) -> None:
    first, again = deliver(client, b'{"id": 7}'), deliver(client, b'{"id": 7}')

    assert (first.status_code, first.json()) == (202, {"accepted": 1, "repeated": 0})
    assert again.json() == {"accepted": 0, "repeated": 1}
    assert Delivery.objects.get().payload == {"id": 7}


@pytest.mark.parametrize("signature", ["", "00", "\xe4".encode("latin-1").decode("latin-1")])
def test_what_is_signed_wrongly_is_refused_before_anything_is_parsed(
    client: Client, bell: Connection, signature: str
) -> None:
    refused = deliver(client, b'{"id": 7}', signature=signature)

    assert refused.status_code == 401
    assert refused.json()["code"] == "wrong_secret"
    assert (HEARD, Delivery.objects.count()) == ([], 0)


def test_a_body_that_was_written_anew_no_longer_fits_its_signature(client: Client, bell: Connection) -> None:
    signature = hmac.new(KEY, b'{"id":7}', hashlib.sha256).hexdigest()

    assert deliver(client, b'{"id": 7}', signature=signature).status_code == 401


def test_the_hooks_own_secret_opens_nothing_that_is_signed(client: Client, bell: Connection) -> None:
    actions.update_connection(bell, actor="system:test", hook_secret="a-hook-secret-of-some-length")
    shown = {"X-Goldseam-Secret": "a-hook-secret-of-some-length"}
    in_path = client.post("/api/v1/hooks/bell/a-hook-secret-of-some-length/", b'{"id": 7}', content_type="text/plain")

    assert client.post("/api/v1/hooks/bell/", b'{"id": 7}', "application/json", headers=shown).status_code == 401
    assert in_path.status_code == 401


def test_a_signing_connection_without_its_key_takes_nothing_and_says_not_which(
    client: Client, bell: Connection
) -> None:
    Connection.objects.update(secrets={})
    refused = deliver(client, b'{"id": 7}')

    assert refused.status_code == 401
    assert "signing_key" not in refused.content.decode()


def test_a_disabled_one_says_so_and_an_unknown_one_is_not_there(client: Client, bell: Connection) -> None:
    Connection.objects.update(enabled=False)

    assert deliver(client, b'{"id": 7}').status_code == 403
    assert deliver(client, b'{"id": 7}', slug="gong").status_code == 404


def test_a_sender_hears_what_it_asked_for(client: Client, bell: Connection) -> None:
    asked = deliver(client, b'{"challenge": "say this"}')

    assert (asked.status_code, asked.content, asked["Content-Type"]) == (200, b"say this", "text/plain")
    assert Delivery.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_telling_passes_the_door_and_leaves_its_row(bell: Connection) -> None:
    answer = gateway.call(bell, "bell.ring", message(), actor="system:telling", effect_key="abc-1")
    row = Call.objects.get()

    assert answer.written is not None
    assert answer.written.result == {"thread": "t-abc", "heard": "Mended"}
    assert (row.direction, row.outcome, row.effect_key) == ("tell", "ok", "abc-1")


@pytest.mark.django_db(transaction=True)
def test_telling_needs_leave_a_key_and_no_emergency_stop(bell: Connection) -> None:
    with pytest.raises(Blocked, match="effect key"):
        gateway.call(bell, "bell.ring", message(), actor="system:telling")
    EmergencyStop.objects.create(actor="system:test", reason="Everything stops")
    with pytest.raises(Blocked, match="Emergency stop"):
        gateway.call(bell, "bell.ring", message(), actor="system:telling", effect_key="abc-1")
    EmergencyStop.objects.all().delete()
    Connection.objects.update(operations=[])
    with pytest.raises(Blocked, match="not among the operations"):
        gateway.call(bell, "bell.ring", message(), actor="system:telling", effect_key="abc-1")

    assert set(Call.objects.values_list("outcome", flat=True)) == {"blocked"}


def test_a_message_is_a_cloud_event() -> None:
    event = as_event(Message.model_validate(message()))

    assert event == {
        "specversion": "1.0", "id": "m-1", "source": "https://goldseam.test", "subject": "incident/1",
        "type": "io.goldseam.incident.resolved", "time": "2026-01-02T03:04:05Z",
        "datacontenttype": "application/json", "data": {"n": 1},
    }  # fmt: skip
