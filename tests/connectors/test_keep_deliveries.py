"""Bad deliveries on the real endpoint: turned away unread, or refused within bounds; and replays of good ones."""

import gzip
import json
import tracemalloc
from typing import Any

import pytest
from django.test import Client

from audit.errors import Invalid
from audit.models import Entry
from connectors.inbound import replays
from connectors.kinds.dynamics_fo import events as fo_events
from connectors.kinds.salesforce import outbound
from connectors.kinds.sap import idocs
from connectors.models import Connection, Delivery
from connectors.signals import deliveries_arrived
from incidents.detection import process
from incidents.models import Incident, Signal
from tests.connectors.factories import HOOK_SECRET, make_crm, make_fo
from tests.connectors.hostile import HIT, thrown
from tests.connectors.sap_world import make_sap
from tests.connectors.sf_words import CASE, envelope
from tests.incidents.factories import make_kind
from tests.racing import together

EVENT: dict[str, Any] = {
    "BusinessEventId": "SalesInvoicePostedBusinessEvent", "ControlNumber": 7, "EventId": "E-1", "InvoiceId": "CIV-1",
}  # fmt: skip
POSTED: dict[str, Any] = {"connection": "fo", "event": EVENT["BusinessEventId"], "entity_key": "event.InvoiceId"}
OTHER_SECRET = "the-secret-of-the-other-one"
BYTES = 100 * 1024 * 1024


@pytest.fixture
def fo(db: None) -> Connection:
    return make_fo()


def post(body: Any = None, *, path: str = "fo/", secret: str = HOOK_SECRET, **headers: str) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body or EVENT).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Client().post(
        f"/api/v1/hooks/{path}", content, content_type="application/json",
        headers={"X-Goldseam-Secret": secret, **named},
    )  # fmt: skip


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every parser of a body fail the test."""

    def parsed(*_: Any, **__: Any) -> Any:
        raise AssertionError("It was parsed.")

    monkeypatch.setattr(fo_events, "inbound", parsed)
    monkeypatch.setattr(outbound, "inbound", parsed)
    monkeypatch.setattr(idocs, "inbound", parsed)


# --- turned away unread ---------------------------------------------------------------------------
def test_the_secret_of_one_connection_opens_no_other(fo: Connection, unread: None) -> None:
    make_fo(slug="fo2", hook_secret=OTHER_SECRET)
    make_crm(hook_secret=OTHER_SECRET)

    assert post(secret=OTHER_SECRET).status_code == 401
    assert post(path="fo2/").status_code == 401
    assert post(path=f"fo2/{HOOK_SECRET}/").status_code == 404
    assert post(envelope(), path=f"crm/{HOOK_SECRET}/").status_code == 404
    assert post(path="nowhere/").status_code == 404
    assert not Delivery.objects.exists()


def test_what_is_too_large_is_not_read(fo: Connection, unread: None, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000

    assert post(b"[" + b" " * 1000 + b"]").status_code == 413
    assert post(b"<" * 1001, path=f"fo/{HOOK_SECRET}/").status_code == 413
    assert not Delivery.objects.exists()


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "deflate", "br", "identity, gzip", "x-unheard-of"])
def test_what_is_compressed_is_not_unpacked(fo: Connection, unread: None, coding: str) -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    answer = post(bomb, Content_Encoding=coding)

    assert (answer.status_code, answer.json()["code"]) == (415, "encoded")
    assert not Delivery.objects.exists()


def test_the_secret_comes_first_however_bad_the_body_is(fo: Connection, unread: None) -> None:
    for body in (gzip.compress(b"0" * 1000), b"[" * 10_000, b"<a>" * 10_000):
        assert post(body, secret="wrong", Content_Encoding="gzip").status_code == 401


def test_a_delivery_of_another_system_is_refused_though_the_secret_is_right(fo: Connection) -> None:
    make_crm(hook_secret=HOOK_SECRET)

    assert post(envelope(), path="fo/").status_code == 400
    assert post(EVENT, path=f"crm/{HOOK_SECRET}/").status_code == 400
    assert not Delivery.objects.exists()


# --- within bounds --------------------------------------------------------------------------------
@pytest.mark.parametrize(("slug", "bomb"), HIT)
def test_a_bomb_is_refused_within_a_hundred_megabytes(db: None, slug: str, bomb: str) -> None:
    {"fo": make_fo, "crm": make_crm, "sap": make_sap}[slug](slug=slug, hook_secret=HOOK_SECRET)
    tracemalloc.start()

    status = thrown(slug, bomb)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert status in (400, 413)
    assert not Delivery.objects.exists()
    assert peak < BYTES


# --- kept once ------------------------------------------------------------------------------------
@pytest.mark.django_db(transaction=True)
def test_two_deliveries_of_one_event_at_once_are_one_signal() -> None:
    make_fo()
    make_kind(detect=[POSTED])

    answers = together(post, post)

    delivery = Delivery.objects.get()
    assert sorted(answer.json()["accepted"] for answer in answers) == [0, 1]
    together(lambda: process(delivery.pk), lambda: process(delivery.pk))
    assert (Signal.objects.count(), Incident.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_two_outbound_messages_of_one_change_at_once_are_kept_once_and_both_acknowledged() -> None:
    make_crm(hook_secret=HOOK_SECRET)

    answers = together(*[lambda: post(envelope(), path=f"crm/{HOOK_SECRET}/")] * 2)

    assert [answer.status_code for answer in answers] == [200, 200]
    assert all(b"<Ack>true</Ack>" in answer.content for answer in answers)
    assert Delivery.objects.get().payload["Id"] == CASE


def test_what_is_written_anew_by_somebody_in_between_is_the_same_event(fo: Connection) -> None:
    first = post(json.dumps(EVENT, indent=4).encode())
    again = post(json.dumps(dict(reversed(EVENT.items())), separators=(",", ":")).encode())

    assert (first.json()["accepted"], again.json()["repeated"]) == (1, 1)


# --- judged again ---------------------------------------------------------------------------------
def judged(fo: Connection) -> Delivery:
    post()
    delivery = Delivery.objects.get()
    process(delivery.pk)
    delivery.refresh_from_db()
    return delivery


def test_a_replay_is_judged_by_the_rules_as_they_are_now(fo: Connection) -> None:
    delivery = judged(fo)
    make_kind(detect=[POSTED])

    assert delivery.outcome == "no_rule"
    assert replays.replay([delivery.pk], reason="The rule was missing", actor="admin") == (delivery.pk,)
    assert process(delivery.pk) == "signal"
    assert Signal.objects.get().entity_key == "CIV-1"


def test_a_replay_of_what_became_a_signal_adds_no_second_one(fo: Connection) -> None:
    make_kind(detect=[POSTED])
    delivery = judged(fo)
    for _ in range(3):
        replays.replay([delivery.pk], reason="To be sure", actor="admin")
        assert process(delivery.pk) == "signal"

    assert (Signal.objects.count(), Incident.objects.get().signals_count) == (1, 1)
    assert Delivery.objects.count() == 1


def test_a_replay_stands_in_the_ledger_with_its_reason_and_what_was_before(fo: Connection) -> None:
    delivery = judged(fo)
    replays.replay([delivery.pk], reason=" The rule was missing ", actor="admin")

    entry = Entry.objects.get(verb="delivery.replayed")
    assert (entry.actor, entry.reason, entry.target_id) == ("admin", "The rule was missing", str(delivery.pk))
    assert '"outcome":"no_rule"' in entry.body
    assert '"external_id":"E-1"' in entry.body


def test_a_replay_rings_for_what_it_let_go_and_leaves_what_waits_alone(fo: Connection) -> None:
    heard: list[Any] = []

    def listen(sender: Any, connection_id: int, delivery_ids: list[int], **_: Any) -> None:
        heard.append((connection_id, delivery_ids))

    first = judged(fo)
    post({**EVENT, "EventId": "E-2"})
    waiting = Delivery.objects.get(external_id="E-2")
    deliveries_arrived.connect(listen)
    try:
        replays.replay([first.pk, waiting.pk, 4_711], reason="Both", actor="admin")
    finally:
        deliveries_arrived.disconnect(listen)

    assert heard == [(fo.pk, [first.pk])]
    with pytest.raises(replays.NothingToReplay):
        replays.replay([waiting.pk], reason="Only this", actor="admin")


def test_a_replay_needs_a_reason_and_is_bounded(fo: Connection) -> None:
    delivery = judged(fo)
    with pytest.raises(Invalid):
        replays.replay([delivery.pk], reason="  ", actor="admin")
    with pytest.raises(Invalid):
        replays.replay(range(replays.MOST + 1), reason="All", actor="admin")

    delivery.refresh_from_db()
    assert delivery.outcome == "no_rule"
    assert not Entry.objects.filter(verb="delivery.replayed").exists()


def test_a_delivery_that_failed_is_tried_anew_as_often_as_a_new_one(fo: Connection) -> None:
    delivery = judged(fo)
    Delivery.objects.update(outcome="failed", message="Nobody answered.", attempts=8)
    replays.replay([delivery.pk], reason="The system is back", actor="admin")

    delivery.refresh_from_db()
    assert (delivery.outcome, delivery.message, delivery.attempts, delivery.processed_at) == ("", "", 0, None)


@pytest.mark.django_db(transaction=True)
def test_of_two_who_replay_at_once_one_is_entered() -> None:
    delivery = judged(make_fo())

    def act() -> str:
        try:
            return str(len(replays.replay([delivery.pk], reason="Now", actor="admin")))
        except replays.NothingToReplay:
            return "nothing"

    assert sorted(together(act, act)) == ["1", "nothing"]
    assert Entry.objects.filter(verb="delivery.replayed").count() == 1
