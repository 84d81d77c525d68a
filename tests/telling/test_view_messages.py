"""Messages that could not be delivered, on the page of the dead letters: read, sent again, set aside."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from audit.models import Entry
from config.metrics import Rows
from incidents.models import Incident
from playbooks.telling.models import Outgoing
from tests.factories import make_user
from tests.playbooks import scenes
from tests.telling.factories import make_outgoing, make_subscription

pytestmark = pytest.mark.django_db


@pytest.fixture
def dead(watcher: User) -> Outgoing:
    subscription = make_subscription(watcher, label="Billing desk")
    said: dict[str, Any] = {
        "state": "dead",
        "state_reason": "<b>No such channel.</b>",
        "guidance": "Read the target's reason.",
    }
    return make_outgoing(scenes.make_incident(), subscription, **said)


def read(client: Client, user: User, query: str = "") -> str:
    client.force_login(user)
    return str(client.get(reverse("dead-letters") + query).content.decode())


def post(client: Client, user: User, name: str, row: Outgoing, **form: str) -> list[str]:
    client.force_login(user)
    answer = client.post(reverse(name, args=[row.pk]), form, follow=True)
    return [str(message) for message in answer.context["messages"]]


def test_a_dead_message_is_shown_with_its_error_and_what_to_do(client: Client, operator: User, dead: Outgoing) -> None:
    page = read(client, operator)

    assert "Messages that were not delivered" in page
    assert "&lt;b&gt;No such channel.&lt;/b&gt;" in page
    assert "Read the target&#x27;s reason." in page
    assert "Billing desk" in page
    assert reverse("outgoing-send-again", args=[dead.pk]) in page
    assert "No dead letters" not in page


def test_whoever_may_not_mend_reads_only(client: Client, viewer: User, dead: Outgoing) -> None:
    page = read(client, viewer)

    assert "No such channel." in page
    assert "Send again" not in page


def test_another_units_messages_are_not_there(client: Client, dead: Outgoing) -> None:
    Incident.objects.update(business_unit="US")
    european = make_user("eu-operator", role="operator", units=["EU"])

    assert "not delivered" not in read(client, european)
    assert client.post(reverse("outgoing-send-again", args=[dead.pk]), {"reason": "x"}).status_code == 404


def test_what_is_not_dead_is_not_shown(client: Client, operator: User, dead: Outgoing) -> None:
    Outgoing.objects.update(state="sent")

    assert "not delivered" not in read(client, operator)
    assert "No dead letters" in read(client, operator)


def test_it_is_sent_again_with_a_reason(client: Client, operator: User, dead: Outgoing) -> None:
    (refused,) = post(client, operator, "outgoing-send-again", dead, reason=" ")
    (said,) = post(client, operator, "outgoing-send-again", dead, reason="The channel is back.")

    dead.refresh_from_db()
    assert "A reason is needed." in refused
    assert "old id" in said
    assert (dead.state, dead.attempts) == ("pending", 0)
    assert Entry.objects.get(verb="outgoing.sent_again").reason == "The channel is back."


def test_it_is_set_aside_with_a_reason_and_only_once(client: Client, operator: User, dead: Outgoing) -> None:
    post(client, operator, "outgoing-set-aside", dead, reason="They know.")
    (again,) = post(client, operator, "outgoing-set-aside", dead, reason="They know.")

    dead.refresh_from_db()
    assert (dead.state, dead.state_reason) == ("skipped", "They know.")
    assert "cannot become" in again
    assert Entry.objects.filter(verb="outgoing.set_aside").count() == 1


def test_who_only_looks_on_sends_nothing_again(client: Client, viewer: User, dead: Outgoing) -> None:
    (said,) = post(client, viewer, "outgoing-send-again", dead, reason="Please.")

    dead.refresh_from_db()
    assert "takes the role" in said
    assert dead.state == "dead"


def test_messages_are_counted_by_state_for_the_metrics(dead: Outgoing) -> None:
    family = next(one for one in Rows().collect() if one.name == "goldseam_outgoing_messages")

    assert [(sample.labels, sample.value) for sample in family.samples] == [({"state": "dead"}, 1.0)]
