"""What people write on a ticket stands with its incident, once, and what becomes of the ticket is seen there."""

import threading

import httpx
import pytest
from django.db import connections
from django.test import Client

from audit.models import Entry
from connectors import gateway
from connectors.inbound import webhooks
from connectors.models import Connection, Delivery
from connectors.talk.tickets import is_ours
from incidents import detection, merging
from incidents.models import Comment, ExceptionKind, Incident
from incidents.states import Status
from incidents.timeline import timeline_of
from tests.factories import make_token, make_user
from tests.incidents.factories import make_incident, put
from tests.tickets.worlds import PEOPLE, Desk, hurry, judge, make_kind

pytestmark = pytest.mark.django_db(transaction=True)


def push(desk: Desk, note: str, number: int = 1) -> int:
    """Let the system itself tell of a note; return how many things were new."""
    body, headers = desk.pushed(note, number)
    return webhooks.receive(desk.connection, body, headers).accepted


def words() -> list[str]:
    return list(Comment.objects.order_by("pk").values_list("text", flat=True))


def test_what_a_person_writes_on_a_ticket_is_a_comment_on_its_incident(desk: Desk) -> None:
    incident = desk.incident()
    desk.write("It is <b>urgent</b>.\nPlease call.")

    assert desk.hear() == ["comment"]

    comment = Comment.objects.get()
    slug = desk.connection.slug
    assert (comment.incident, comment.text) == (incident, "It is <b>urgent</b>.\nPlease call.")
    assert comment.author == f"{slug}:{PEOPLE[desk.kind]}"
    entry = Entry.objects.get(verb="incident.commented")
    assert (entry.actor, entry.incident_id, entry.business_unit) == (comment.author, incident.pk, "EU")
    assert "Please call." in " ".join(line.text for line in timeline_of(incident, None))


@pytest.mark.parametrize("first", ["polled", "pushed"])
def test_a_comment_that_two_ways_bring_is_one(desk: Desk, first: str) -> None:
    desk.incident()
    note = desk.write("Any news?")
    if first == "polled":
        assert desk.hear() == ["comment"]
        assert push(desk, note) == 0
    else:
        assert push(desk, note) == 1
        assert push(desk, note, number=2) == 0
        assert judge() == ["comment"]

    assert desk.hear() == []
    assert words() == ["Any news?"]
    assert Comment.objects.get().author.endswith(PEOPLE[desk.kind])


def test_a_comment_that_is_delivered_again_and_again_is_written_down_once(desk: Desk) -> None:
    desk.incident()
    note = desk.write("Any news?")
    push(desk, note)
    delivery = Delivery.objects.latest("pk")
    start, said = threading.Barrier(5), []

    def work() -> None:
        start.wait()
        try:
            said.append(detection.process(delivery.pk))
        finally:
            connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert sorted(said) == ["", "", "", "", "comment"]
    assert words() == ["Any news?"]


def test_two_deliveries_at_the_same_moment_are_one_comment(desk: Desk) -> None:
    desk.incident()
    note = desk.write("Any news?")
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        try:
            push(desk, note)
            judge()
        finally:
            connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    hurry()
    judge()

    assert words() == ["Any news?"]


def test_our_own_comment_never_comes_back(desk: Desk) -> None:
    desk.incident()
    told = {
        "id": "1", "type": "x", "source": "y", "subject": "incident/1", "occurred_at": "2026-11-03T12:00:00Z",
        "title": "Resolved", "recipients": [desk.ticket],
    }  # fmt: skip
    gateway.call(desk.connection, "case.tell", told, actor="system:test", effect_key="tell-1-1")
    (note,) = desk.notes()
    push(desk, next(str(note[name]) for name in ("Id", "annotationid") if name in note))

    assert [*judge(), *desk.hear()] == ["nothing_wrong"]
    assert words() == []
    assert Delivery.objects.latest("pk").message == "We wrote this ourselves."


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("Resolved\n\n[goldseam tell-1-2]", True),
        ("[goldseam tell-1-2]", True),
        ("Resolved\n\n[goldseam tell-1-2]\r\n ", True),
        ("See [goldseam tell-1-2]", False),
        ("> Resolved\n>\n> [goldseam tell-1-2]", False),
        ("[goldseam tell-1-2]\nThat is wrong.", False),
        ("[goldseam two words]", False),
        ("", False),
    ],
)
def test_a_mark_is_ours_where_it_ends_the_text(text: str, ours: bool) -> None:
    assert is_ours(text) is ours


def test_a_comment_on_a_ticket_without_an_incident_is_nobodys(desk: Desk) -> None:
    desk.incident()
    stranger = desk.open()
    ExceptionKind.objects.update(enabled=False)
    desk.write("Something else", stranger)

    assert "no_rule" in desk.hear()
    assert words() == []


def test_a_kind_may_ask_for_comments_on_tickets_without_an_incident(desk: Desk) -> None:
    event = f"record:{desk.note}"
    text = {"salesforce": "event.CommentBody", "dataverse": "event.notetext"}[desk.kind]
    asked = {"connection": desk.connection.slug, "event": event, "entity_key": "'CAS-1'", "text": text}
    make_kind(desk, code="said", tickets=[], detect=[asked], evidence=[], healed="''")
    desk.write("Something is wrong")

    assert "signal" in desk.hear()
    assert words() == []
    assert Incident.objects.get().code == "said"


def test_a_comment_that_overtakes_the_event_of_its_ticket_waits_for_it(desk: Desk) -> None:
    make_kind(desk)
    desk.write("Any news?")
    desk.hear_without_judging()
    by_event = {row.event: row.pk for row in Delivery.objects.all()}
    comment, ticket = by_event[f"record:{desk.note}"], min(by_event.values())

    assert detection.process(comment) == ""
    assert Delivery.objects.get(pk=comment).outcome == ""
    assert detection.process(ticket) == "signal"
    hurry()
    assert detection.process(comment) == "comment"
    assert words() == ["Any news?"]


def test_a_comment_before_the_loop_has_looked_at_the_incident_is_kept(desk: Desk) -> None:
    make_kind(desk)
    desk.write("Any news?")

    assert desk.hear() == ["signal", "comment"]
    assert Incident.objects.get().status == Status.NEW
    assert words() == ["Any news?"]


def test_a_comment_follows_a_merged_incident_to_where_it_went(desk: Desk) -> None:
    folded, kept = desk.incident(), make_incident()
    merging.merge(kept, folded, by=make_user("merger", role="operator"), reason="The same")
    desk.write("Any news?")

    assert desk.hear() == ["comment"]
    assert Comment.objects.get().incident == kept


def test_a_comment_on_a_closed_incident_stands_with_the_last_one(desk: Desk) -> None:
    incident = desk.incident()
    put(incident, Status.RESOLVED)
    desk.write("Thank you.")

    assert desk.hear() == ["comment"]
    assert Comment.objects.get().incident == incident
    assert Incident.objects.count() == 1


def test_of_several_open_incidents_of_one_ticket_each_hears_it(desk: Desk) -> None:
    make_kind(desk, code="also_late")
    incident = desk.incident()
    other = Incident.objects.exclude(pk=incident.pk).get()
    desk.write("Any news?")
    desk.hear()

    assert {comment.incident_id for comment in Comment.objects.all()} == {incident.pk, other.pk}


def test_a_comment_moves_nothing_whatever_it_says(desk: Desk) -> None:
    incident = desk.incident()
    before = Incident.objects.values().get(pk=incident.pk)
    desk.write("approved. APPROVE ALL. dismiss INC-1, severity critical <script>alert(1)</script>")
    desk.hear()

    assert Incident.objects.values().get(pk=incident.pk) == before


def test_an_empty_comment_leaves_nothing_and_a_long_one_is_cut(desk: Desk) -> None:
    desk.incident()
    desk.write("   ")
    desk.write("x" * 3999)
    desk.hear()

    assert [len(text) for text in words()] == [3999]


def test_a_comment_is_seen_by_those_who_see_its_incident_and_by_nobody_else(desk: Desk) -> None:
    incident = desk.incident()
    desk.write("Secret of EU")
    desk.hear()
    answers = {}
    for unit in ("EU", "US"):
        token = make_token(make_user(f"reader-{unit.lower()}", role="operator", units=[unit]))
        headers = {"Authorization": f"Bearer {token}"}
        answers[unit] = Client().get(f"/api/v1/incidents/{incident.pk}/timeline/", headers=headers)

    assert "Secret of EU" in answers["EU"].content.decode()
    assert answers["US"].status_code == 404


def test_a_note_on_something_else_than_a_case_is_no_comment_on_a_ticket(dataverse: Desk) -> None:
    dataverse.incident()
    account = dataverse.simulated.plant("dv", "account", name="Lamp House")
    dataverse.write("On the customer", account["accountid"])

    assert "comment" not in dataverse.hear()
    assert words() == []


def test_a_note_that_is_gone_before_it_is_read_leaves_nothing(desk: Desk) -> None:
    desk.incident()
    note = desk.write("Never mind")
    push(desk, note)
    remove(desk, note)

    assert "comment" not in judge()
    assert words() == []


def remove(desk: Desk, note: str) -> None:
    """Let somebody delete a note by the system's own API."""
    if desk.kind == "salesforce":
        form = {"grant_type": "client_credentials", "client_id": "goldseam", "client_secret": "simulator"}
        login, path = "/sf/services/oauth2/token", f"/sf/services/data/v62.0/sobjects/CaseComment/{note}"
    else:
        form = {
            "grant_type": "client_credentials", "client_id": "goldseam", "client_secret": "simulator",
            "scope": f"{desk.simulated.url}/dv/.default",
        }  # fmt: skip
        login, path = "/dv/contoso/oauth2/v2.0/token", f"/dv/api/data/v9.2/annotations({note})"
    token = desk.simulated.client.post(login, data=form).raise_for_status().json()["access_token"]
    answer: httpx.Response = desk.simulated.client.delete(path, headers={"Authorization": f"Bearer {token}"})
    answer.raise_for_status()


def test_a_connection_that_may_not_read_notes_keeps_what_it_was_told(dataverse: Desk) -> None:
    dataverse.incident()
    note = dataverse.write("Any news?")
    config = {**dataverse.connection.config, "tables": "incident", "tracked": "incident"}
    Connection.objects.update(config=config)
    dataverse.connection.refresh_from_db()
    push(dataverse, note)

    assert judge() == ["no_rule"]
    assert words() == []


@pytest.mark.parametrize(
    ("note", "text"),
    [
        ("<div>It is <b>late</b>.<br>Call &amp; ask.</div><script>alert(1)</script>", "It is late.\nCall & ask."),
        ("5 < 6 and 7 > 6", "5 < 6 and 7 > 6"),
        ("in\u202evisible\u200b", "invisible"),
    ],
)
def test_a_note_that_was_written_with_formatting_is_kept_as_its_text(dataverse: Desk, note: str, text: str) -> None:
    dataverse.incident()
    dataverse.write(note)
    dataverse.hear()

    assert words() == [text]
