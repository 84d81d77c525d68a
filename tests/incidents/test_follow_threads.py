"""What people write in a thread stands with the incident that the thread is about, and moves nothing."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from audit.clock import db_now
from audit.models import Entry
from connectors.models import BegunThread, Connection, Delivery
from incidents import detection, merging
from incidents.models import Comment, ExceptionKind, Incident, Signal
from incidents.states import Status
from incidents.timeline import timeline_of
from tests.factories import make_user
from tests.incidents.factories import make_incident, make_kind, put

pytestmark = pytest.mark.django_db
ROOT = "C0LISTEN1/1767268800.000001"


@pytest.fixture(autouse=True)
def slack(db: None) -> Connection:
    """Orders by their one number; everything else is for a person to read."""
    named = "has(event.mentions.order) && size(event.mentions.order) == 1"
    make_kind("reported_order", detect=[asks(named, "event.mentions.order[0]")])
    make_kind("reported_message", detect=[asks("true", "event.conversation", otherwise=True)])
    ExceptionKind.objects.filter(code="reported_order").update(entity_type="order")
    ExceptionKind.objects.filter(code="reported_message").update(entity_type="conversation")
    return Connection.objects.create(slug="slack", kind="slack", label="Slack")


def asks(where: str, key: str, **more: Any) -> dict[str, Any]:
    return {"connection": "slack", "event": "*", "where": where, "entity_key": key, "text": "event.text", **more}


def told(key: str = ROOT, text: str = "SO-000697 is stuck", *, thread: str = "", orders: str = "") -> Delivery:
    """A message as the Slack kind cuts it out."""
    payload = {
        "id": key, "way": "message", "text": text, "thread": thread, "conversation": thread or key,
        "channel": "C0LISTEN1", "author": "U0SOMEONE", "mentions": {"order": orders.split()} if orders else {},
    }  # fmt: skip
    return Delivery.objects.create(
        connection=Connection.objects.get(slug="slack"), external_id=key, event="message", payload=payload,
        received_at=db_now(),
    )  # fmt: skip


def judged(key: str = ROOT, text: str = "SO-000697 is stuck", **changes: Any) -> str:
    return detection.process(told(key, text, **changes).pk)


def reply(text: str = "any news?", *, number: int = 2, **changes: Any) -> str:
    return judged(f"C0LISTEN1/1767268800.{number:06d}", text, thread=changes.pop("thread", ROOT), **changes)


def test_a_reply_becomes_a_comment_on_the_incident_that_its_thread_began() -> None:
    assert judged(orders="SO-000697") == "signal"
    assert reply() == "comment"

    incident, comment = Incident.objects.get(), Comment.objects.get()
    assert (incident.code, incident.entity_key, incident.signals_count) == ("reported_order", "SO-000697", 1)
    assert (comment.incident, comment.author, comment.text) == (incident, "slack:U0SOMEONE", "any news?")
    entry = Entry.objects.filter(verb="incident.commented").get()
    assert (entry.actor, entry.incident_id) == ("slack:U0SOMEONE", incident.pk)
    assert "any news?" in [line.text for line in timeline_of(incident, None)]


def test_a_reply_to_what_we_told_of_an_incident_belongs_to_that_incident(slack: Connection) -> None:
    incident = make_incident()
    BegunThread.objects.create(connection=slack, thread=ROOT, incident_id=incident.pk)

    assert reply() == "comment"
    assert Comment.objects.get().incident == incident
    assert Incident.objects.count() == 1


def test_the_same_record_named_again_in_the_thread_is_no_second_problem() -> None:
    judged(orders="SO-000697")

    assert reply("so-000697 still stuck", orders="so-000697") == "comment"
    assert Signal.objects.count() == 1


def test_another_record_named_in_the_thread_is_a_problem_of_its_own_and_a_comment_too() -> None:
    judged(orders="SO-000697")

    assert reply("SO-000698 as well", orders="SO-000698") == "signal"
    assert set(Incident.objects.values_list("entity_key", flat=True)) == {"SO-000697", "SO-000698"}
    assert Comment.objects.get().incident.entity_key == "SO-000697"


def test_a_reply_to_what_is_closed_is_not_lost_in_silence() -> None:
    judged(orders="SO-000697")
    closed = put(Incident.objects.get(), Status.DISMISSED)

    assert reply("it is stuck again") == "signal"
    fresh = Incident.objects.exclude(pk=closed.pk).get()
    assert (fresh.code, fresh.entity_key) == ("reported_message", ROOT)
    assert Comment.objects.get().incident == closed


def test_a_reply_follows_a_merged_incident_to_where_it_went(slack: Connection) -> None:
    judged(orders="SO-000697")
    folded, kept = Incident.objects.get(), make_incident()
    merging.merge(kept, folded, by=make_user("merger", role="operator"), reason="The same")

    assert reply() == "comment"
    assert Comment.objects.get().incident == kept


@pytest.mark.parametrize("thread", ["C0LISTEN1/1.000009", "", 7, None, ["x"]])
def test_in_nobodys_thread_a_message_is_judged_like_any_other(thread: Any) -> None:
    judged(orders="SO-000697")

    assert reply(thread=thread) == "signal"
    assert Comment.objects.count() == 0


def test_a_thread_of_another_connection_is_another_thread() -> None:
    judged(orders="SO-000697")
    other = Connection.objects.create(slug="slack-us", kind="slack", label="Slack US")
    delivery = told("C0LISTEN1/1767268800.000009", "any news?", thread=ROOT)
    Delivery.objects.filter(pk=delivery.pk).update(connection=other)

    assert detection.process(delivery.pk) == "no_rule"
    assert Comment.objects.count() == 0


@pytest.mark.parametrize(
    ("more", "outcome", "author"),
    [({"from": "ann@contoso.test"}, "comment", "slack:ann@contoso.test"), ({}, "comment", "slack:somebody"),
     ({"automatic": "auto-replied"}, "signal", "")],
)  # fmt: skip
def test_a_mail_says_who_wrote_it_and_an_automatic_one_is_nobodys_word(
    more: dict[str, str], outcome: str, author: str
) -> None:
    judged(orders="SO-000697")
    delivery = told("m-2", "any news?", thread=ROOT)
    payload = {name: value for name, value in delivery.payload.items() if name != "author"}
    Delivery.objects.filter(pk=delivery.pk).update(payload={**payload, **more})

    assert detection.process(delivery.pk) == outcome
    assert [comment.author for comment in Comment.objects.all()] == ([author] if author else [])


def test_messages_of_one_thread_that_name_nothing_are_one_incident() -> None:
    assert judged(text="everything is slow") == "signal"
    assert reply("very slow") == "comment"

    incident = Incident.objects.get()
    assert (incident.code, incident.entity_type, incident.entity_key) == ("reported_message", "conversation", ROOT)


def test_a_comment_moves_nothing_whatever_it_says() -> None:
    judged(orders="SO-000697")
    before = Incident.objects.values().get()
    reply("approved. APPROVE ALL. dismiss this incident, severity critical <script>")

    assert Incident.objects.values().get() == before


def test_what_is_delivered_again_is_written_down_once() -> None:
    judged(orders="SO-000697")
    delivery = told("C0LISTEN1/1767268800.000002", "any news?", thread=ROOT)

    assert [detection.process(delivery.pk) for _ in range(3)] == ["comment", "", ""]
    assert Comment.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_one_writes_it_down() -> None:
    judged(orders="SO-000697")
    delivery = told("C0LISTEN1/1767268800.000002", "any news?", thread=ROOT)

    def work(_: int) -> str:
        try:
            return detection.process(delivery.pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        outcomes = sorted(pool.map(work, range(6)))

    assert outcomes == [""] * 5 + ["comment"]
    assert Comment.objects.count() == 1


def test_an_empty_reply_leaves_nothing_and_a_long_one_is_cut() -> None:
    judged(orders="SO-000697")
    reply("", number=2)
    reply("x" * 20_000, number=3)

    assert [len(comment.text) for comment in Comment.objects.all()] == [10_000]
