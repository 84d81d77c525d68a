"""A mail is judged like all that is told: it becomes a signal, or stands with the incident that it is about."""

from typing import Any

import pytest

from approvals.models import ApprovalRequest, Decision
from audit.clock import db_now
from connectors import gateway
from connectors.inbound import polling
from connectors.models import Call, Connection, Delivery
from incidents import detection
from incidents.models import Comment, ExceptionKind, Incident, Signal
from tests.approvals.factories import make_request
from tests.connectors.mail_world import World, message
from tests.incidents.factories import make_incident, make_kind

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def mail(post: World) -> Connection:
    """Orders by their one number; everything else is for a person to read."""
    named = "has(event.mentions.order) && size(event.mentions.order) == 1"
    make_kind("reported_order", detect=[asks(named, "event.mentions.order[0]")])
    make_kind("reported_message", detect=[asks("true", "event.conversation", otherwise=True)])
    ExceptionKind.objects.filter(code="reported_order").update(entity_type="order")
    ExceptionKind.objects.filter(code="reported_message").update(entity_type="conversation")
    return post.connect()


def asks(where: str, key: str, **more: Any) -> dict[str, Any]:
    known = {"connection": "mail", "event": "mail.received", "where": where, "entity_key": key, "text": "event.text"}
    return {**known, **more}


def judge(mail: Connection) -> list[str]:
    """Poll, and judge what came in the order in which it came."""
    mail.refresh_from_db()
    return [detection.process(key) for key in polling.poll_one(mail).ids]


def test_a_mail_about_an_order_becomes_a_signal_about_it(post: World, mail: Connection) -> None:
    post.deliver("SO-000697 is stuck.")

    assert judge(mail) == ["signal"]

    signal = Signal.objects.get()
    assert (signal.channel, signal.code, signal.entity_key) == ("poll", "reported_order", "SO-000697")
    assert Incident.objects.get().entity_key == "SO-000697"


def test_a_mail_that_nobody_knows_goes_to_a_person(post: World, mail: Connection) -> None:
    post.deliver("Everything is slow.", message_id="<slow@partner.test>")

    assert judge(mail) == ["signal"]

    incident = Incident.objects.get()
    assert (incident.code, incident.entity_key) == ("reported_message", "slow@partner.test")


def test_an_answer_stands_with_the_incident_of_the_mail_that_it_answers(post: World, mail: Connection) -> None:
    post.deliver("SO-000697 is stuck.", message_id="<a@partner.test>")
    post.deliver("Any news?", message_id="<b@partner.test>", in_reply_to="<a@partner.test>")
    first = judge(mail)
    post.deliver("None yet?", message_id="<c@partner.test>", references="<b@partner.test>")

    assert [*first, *judge(mail)] == ["signal", "comment", "comment"]

    incident = Incident.objects.get()
    comments = list(Comment.objects.order_by("pk"))
    assert [comment.text for comment in comments] == ["Any news?", "None yet?"]
    assert {comment.incident for comment in comments} == {incident}
    assert comments[0].author == "mail:anna@partner.test (not verified)"
    assert incident.signals_count == 1


def test_an_answer_to_what_we_told_stands_with_the_incident_that_was_told_of(post: World, mail: Connection) -> None:
    incident = make_incident()
    gateway.call(mail, "mail.send", message(), actor="system:telling", effect_key="tell-1", incident=incident.pk)
    result = Call.objects.get(direction="tell").answer["result"]
    post.deliver("Thank you.", in_reply_to=f"<{result['message_id']}>")

    assert judge(mail) == ["comment"]

    assert Comment.objects.get().incident == incident


def test_an_answer_in_nobodys_thread_is_about_what_the_mail_before_named(post: World, mail: Connection) -> None:
    ExceptionKind.objects.update(enabled=False)
    post.deliver("SO-000697 is stuck.", message_id="<a@partner.test>")
    judge(mail)
    ExceptionKind.objects.update(enabled=True)
    post.deliver("Any news?", message_id="<b@partner.test>", in_reply_to="<a@partner.test>")

    assert judge(mail) == ["signal"]

    assert Incident.objects.get().entity_key == "SO-000697"


def test_what_was_told_may_be_forgotten_and_answers_still_find_their_way(post: World, mail: Connection) -> None:
    incident = make_incident()
    gateway.call(mail, "mail.send", message(), actor="system:telling", effect_key="tell-1", incident=incident.pk)
    told = Call.objects.get(direction="tell").answer["result"]["message_id"]
    post.deliver("SO-000697 is stuck.", message_id="<a@partner.test>")
    post.deliver("Any news?", message_id="<b@partner.test>", in_reply_to="<a@partner.test>")
    judge(mail)
    Delivery.objects.update(payload={}, message="", forgotten_at=db_now())
    Call.objects.all().delete()
    post.deliver("None yet?", message_id="<c@partner.test>", references="<b@partner.test>")
    post.deliver("Thank you.", message_id="<d@partner.test>", in_reply_to=f"<{told}>")

    assert judge(mail) == ["comment", "comment"]

    assert [one.incident == incident for one in Comment.objects.order_by("pk")] == [False, False, True]


@pytest.mark.parametrize("header", ["auto_submitted", "precedence", "list_id"])
def test_what_a_machine_wrote_opens_nothing_and_stands_nowhere(post: World, mail: Connection, header: str) -> None:
    post.deliver("SO-000697 is stuck.", message_id="<a@partner.test>")
    judge(mail)
    value = {"auto_submitted": "auto-replied", "precedence": "bulk", "list_id": "<l.test>"}[header]
    post.deliver("I am away. SO-000698", message_id="<b@x.test>", in_reply_to="<a@partner.test>", **{header: value})

    assert judge(mail) == ["no_rule"]

    assert Delivery.objects.order_by("pk").last().event == "mail.automatic"
    assert (Incident.objects.count(), Comment.objects.count()) == (1, 0)


def test_nothing_is_ever_answered(post: World, mail: Connection) -> None:
    post.deliver("SO-000697 is stuck.")
    post.deliver("I am away.", message_id="<b@x.test>", auto_submitted="auto-replied")
    post.deliver("Please confirm.", message_id="<c@x.test>", disposition_notification_to="anna@partner.test")

    judge(mail)

    assert post.mailbox.sent == []


def test_nothing_in_a_mail_approves_anything(post: World, mail: Connection) -> None:
    asked = make_request()
    results = "mx.contoso.test; dmarc=pass header.from=partner.test"
    for number, text in enumerate(["Approved", f"approve {asked.pk}", f"approve {asked.digest}", "reject", "yes"]):
        post.deliver(text, message_id=f"<{number}@partner.test>", subject=text, authentication_results=results)

    judge(mail)

    asked.refresh_from_db()
    assert asked.state == ApprovalRequest.objects.get().state == "pending"
    assert not Decision.objects.exists()
    assert not Call.objects.exclude(direction="poll").exists()


def test_two_polls_at_once_keep_each_mail_once(post: World, mail: Connection) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from django.db import connection as database

    for number in range(6):
        post.deliver(f"text {number}", message_id=f"<{number}@partner.test>")

    def poll(_: int) -> int:
        try:
            return polling.poll_one(Connection.objects.get(pk=mail.pk)).accepted
        finally:
            database.close()

    with ThreadPoolExecutor(4) as workers:
        accepted = sum(workers.map(poll, range(4)))

    assert accepted == Delivery.objects.count() == 6
