"""From the ledger to people and back: what is answered in the thread of a message stands with its incident."""

from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from audit.clock import db_now
from connectors import transport
from connectors.inbound import polling
from connectors.kit import credentials
from connectors.models import Connection, Delivery
from connectors.simulator import server
from incidents import detection
from incidents.models import Comment, Incident
from incidents.states import Status
from playbooks.telling import reading, sending
from playbooks.telling.states import Event
from tests.connectors.chat_world import make_slack, make_teams, said, to_slack
from tests.connectors.mail_world import OURS, World, mail_world
from tests.playbooks import scenes
from tests.simulator.bench import Bench
from tests.telling.factories import due_now, happen, make_subscription, states

pytestmark = pytest.mark.django_db(transaction=True)
EVENTS = ["incident.needs_operator", "incident.resolved"]


@pytest.fixture
def chats(tmp_path: Path, settings: Any) -> Iterator[Bench]:
    credentials.forget_all()
    with server.serve(tmp_path, business="empty", synchronous="OFF") as running:
        settings.OUTBOUND_ALLOW = [running.url.removeprefix("http://")]
        settings.PUBLIC_URL = "https://console.example"
        bench = Bench(running)
        yield bench
        bench.http.close()
        transport.close_all()


@pytest.fixture
def post(settings: Any) -> Iterator[World]:
    settings.PUBLIC_URL = "https://console.example"
    with mail_world(settings) as world:
        yield world


def posted(chats: Bench) -> list[dict[str, Any]]:
    return [row["after"] for row in chats.http.get("/ledger/effects").json()]


def tell(incident: Incident, *events: Event) -> None:
    for event in events:
        happen(incident, event)
        reading.keep_up()
        due_now()
        for number in sending.due():
            sending.send(number)


def judge_all() -> list[str]:
    waiting = Delivery.objects.filter(processed_at=None).order_by("id").values_list("pk", flat=True)
    return [detection.process(number) for number in waiting]


def test_slack_is_told_in_one_thread_and_what_is_answered_there_is_heard(chats: Bench, watcher: User) -> None:
    make_subscription(watcher, connection=make_slack(chats.url), operation="slack.post", events=EVENTS)
    incident = scenes.make_incident(Status.NEEDS_OPERATOR)

    tell(incident, Event.NEEDS_OPERATOR, Event.RESOLVED)
    first, second = posted(chats)
    answer = said("I called them.", channel="C0POST001", thread_ts=first["ts"])
    heard = to_slack(answer, seconds=int(db_now().timestamp()))

    assert states() == ["sent", "sent"]
    assert second["thread_ts"] == first["ts"]
    assert f"https://console.example/incidents/{incident.pk}/" in str(first["blocks"])
    assert (heard.status_code, judge_all()) == (202, ["comment"])
    assert [(one.incident_id, one.text) for one in Comment.objects.all()] == [(incident.pk, "I called them.")]
    incident.refresh_from_db()
    assert incident.status == Status.NEEDS_OPERATOR


def test_teams_is_told_by_a_card_that_opens_the_console_and_does_nothing_else(chats: Bench, watcher: User) -> None:
    make_subscription(watcher, connection=make_teams(chats.url), operation="teams.post", events=EVENTS)
    incident = scenes.make_incident(Status.NEEDS_OPERATOR)

    tell(incident, Event.NEEDS_OPERATOR)

    [message] = posted(chats)
    [card] = [one["content"] for one in message["attachments"]]
    assert [(one["type"], one["url"]) for one in card["actions"]] == [
        ("Action.OpenUrl", f"https://console.example/incidents/{incident.pk}/")
    ]


def test_a_mail_begins_a_thread_and_its_answer_is_heard_and_moves_nothing(post: World, watcher: User) -> None:
    connection = post.connect()
    make_subscription(
        watcher, connection=connection, operation="mail.send", events=EVENTS, recipients=["lead@contoso.test"]
    )
    incident = scenes.make_incident(Status.NEEDS_OPERATOR)

    tell(incident, Event.NEEDS_OPERATOR, Event.RESOLVED)
    first, second = (message_from_bytes(one.raw, policy=policy.default) for one in post.mailbox.sent)
    post.deliver("Approved, go ahead.", from_="lead@contoso.test", in_reply_to=first["Message-ID"], to=OURS)
    polling.poll_one(Connection.objects.get(pk=connection.pk))

    assert (first["Auto-Submitted"], first["To"]) == ("auto-generated", "lead@contoso.test")
    assert second["References"] == first["Message-ID"]
    assert f"https://console.example/incidents/{incident.pk}/" in first.get_body(("plain",)).get_content()
    assert judge_all() == ["comment"]
    assert [(one.incident_id, one.text) for one in Comment.objects.all()] == [(incident.pk, "Approved, go ahead.")]
    incident.refresh_from_db()
    assert incident.status == Status.NEEDS_OPERATOR
