"""What happens to an incident is told on its tickets: once on each, and on nobody else's."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from audit.clock import db_now
from connectors import gateway
from connectors.base import Blocked, ConnectorError, Refused, Unanswered, Unreachable
from connectors.models import Call, Connection
from incidents import actions as incidents
from incidents import merging
from incidents.models import Incident
from incidents.states import Status
from playbooks.telling import reading, sending
from playbooks.telling.models import Outgoing, Subscription
from playbooks.telling.states import Event, OutState
from tests.connectors.factories import make_fo
from tests.factories import make_user
from tests.incidents.factories import make_incident, put
from tests.telling.factories import due_now, happen, make_outgoing, make_subscription
from tests.tickets.worlds import Desk, make_kind

pytestmark = pytest.mark.django_db(transaction=True)
KEY = "tell-1-1047-9f2c41d07be6a813"


@pytest.fixture
def subscription(watcher: User, desk: Desk) -> Subscription:
    return make_subscription(watcher, connection=desk.connection, operation="case.tell")


def message(*tickets: str, **changes: Any) -> dict[str, Any]:
    values = {
        "id": "1047", "type": "io.goldseam.incident.resolved", "source": "https://goldseam.test",
        "subject": "incident/7", "occurred_at": "2026-11-03T12:00:00Z", "title": "Resolved · INC-7",
        "text": "Read back.", "facts": [["Severity", "High"]], "link": "https://goldseam.test/incidents/7/",
        "recipients": list(tickets),
    }  # fmt: skip
    return {**values, **changes}


def tell(desk: Desk, *tickets: str, key: str = KEY, **changes: Any) -> dict[str, Any]:
    told = message(*(tickets or (desk.ticket,)), **changes)
    answer = gateway.call(desk.connection, "case.tell", told, actor="system:test", effect_key=key)
    assert answer.written is not None
    return answer.written.result


def sent() -> list[str]:
    reading.keep_up()
    due_now()
    return [sending.send(pk) for pk in Outgoing.objects.order_by("pk").values_list("pk", flat=True)]


# --- the operation -----------------------------------------------------------------------------
def test_a_message_is_a_comment_that_ends_with_its_mark(desk: Desk) -> None:
    tell(desk)

    (note,) = desk.notes()
    lines = desk.text_of(note).split("\n\n")
    assert lines == [
        "Resolved · INC-7", "Read back.", "Severity: High", "https://goldseam.test/incidents/7/", f"[goldseam {KEY}]",
    ]  # fmt: skip
    assert desk.commits() == [KEY]
    assert note.get("IsPublished", False) is False


def test_the_same_message_again_is_the_same_comment_and_another_one_is_another(desk: Desk) -> None:
    first = tell(desk)

    assert tell(desk) == first
    assert desk.commits() == [KEY]
    tell(desk, key="tell-1-1048-x")
    assert desk.commits() == [KEY, "tell-1-1048-x"]


@pytest.mark.parametrize("fault", ["commit_then_reset", "commit_then_503"])
def test_a_comment_whose_answer_was_lost_is_found_when_it_is_told_again(desk: Desk, fault: str) -> None:
    desk.simulated.fault(fault, desk.path, system=desk.system)
    with pytest.raises(Unanswered):
        tell(desk)

    tell(desk)

    assert desk.commits() == [KEY]


@pytest.mark.parametrize("fault", ["fail_before", "reset_before"])
def test_a_comment_that_was_not_written_is_written_when_it_is_told_again(desk: Desk, fault: str) -> None:
    desk.simulated.fault(fault, desk.path, system=desk.system)
    with pytest.raises(Unanswered):
        tell(desk)
    assert desk.commits() == []

    tell(desk)

    assert desk.commits() == [KEY]


def test_of_several_tickets_each_is_told_once_although_it_fell_silent_in_between(desk: Desk) -> None:
    other = desk.open()
    desk.simulated.fault("commit_then_reset", desk.path, system=desk.system)
    with pytest.raises(Unanswered):
        tell(desk, desk.ticket, other, desk.ticket)

    tell(desk, desk.ticket, other, desk.ticket)

    assert len(desk.notes()) == len(desk.commits()) == 2


@pytest.mark.parametrize("address", [(), ("",), ("../Account/001",), ("500' OR Name != '",), ("7",)])
def test_what_names_no_ticket_is_refused_and_nothing_is_sent(desk: Desk, address: tuple[str, ...]) -> None:
    told = message(*address)
    with pytest.raises(Refused):
        gateway.call(desk.connection, "case.tell", told, actor="system:test", effect_key=KEY)

    assert desk.commits() == []


def test_a_ticket_that_is_not_there_is_refused(desk: Desk) -> None:
    missing = {"salesforce": "500gs0000009999", "dataverse": "2f0c1c1e-0000-0000-0000-00000000dead"}[desk.kind]
    with pytest.raises(Refused):
        tell(desk, missing)

    assert desk.commits() == []


def test_a_long_text_is_cut_and_the_mark_stays(desk: Desk) -> None:
    tell(desk, text="ä" * 4000, title="t" * 300, facts=[["n" * 90, "v" * 190]] * 12)

    text = desk.text_of(desk.notes()[0])
    assert len(text) <= {"salesforce": 4000, "dataverse": 20_000}[desk.kind]
    assert text.endswith(f"\n\n[goldseam {KEY}]")


def test_what_the_connection_may_not_do_is_blocked(desk: Desk) -> None:
    Connection.objects.update(operations=[])
    desk.connection.refresh_from_db()

    with pytest.raises(Blocked):
        tell(desk)


def test_where_the_system_does_not_answer_before_anything_is_written_nothing_is_unknown(
    desk: Desk, settings: Any
) -> None:
    desk.simulated.fault("reset_before", "token|query", system=desk.system)
    with pytest.raises(ConnectorError) as lost:
        tell(desk)

    assert isinstance(lost.value, Unreachable)
    assert not lost.value.effect_possible


# --- the outbox --------------------------------------------------------------------------------
def test_what_happens_to_an_incident_is_told_on_the_ticket_that_it_came_from(
    desk: Desk, subscription: Subscription
) -> None:
    incident = desk.incident()

    states = sent()

    assert states == [OutState.SENT] * len(states)
    events = list(Outgoing.objects.order_by("pk").values_list("event", flat=True))
    assert events == [Event.OPENED, Event.NEEDS_OPERATOR]
    titles = sorted(desk.text_of(note).partition(" · ")[0] for note in desk.notes())
    assert titles == ["Incident opened", "Needs a person"]
    assert set(desk.commits()) == {row.effect_key for row in Outgoing.objects.all()}
    assert Outgoing.objects.first().message["recipients"] == [desk.ticket]
    assert Call.objects.filter(direction="tell", incident_id=incident.pk, outcome="ok").count() == 2


def test_an_incident_without_a_ticket_there_is_skipped_with_the_reason(desk: Desk, subscription: Subscription) -> None:
    desk.incident()
    lone = put(make_incident(), Status.RESOLVED)
    row = make_outgoing(lone, subscription)

    assert sending.send(row.pk) == "skipped"
    row.refresh_from_db()
    assert row.state_reason == f"{lone} belongs to no ticket of {desk.connection.slug}."
    assert desk.commits() == []


def test_a_ticket_of_another_connection_is_not_told_on(desk: Desk, watcher: User) -> None:
    incident = desk.incident()
    make_fo()  # knows of no tickets at all
    config = dict(desk.connection.config)
    other = Connection.objects.create(
        slug="other", kind=desk.kind, label="Other", config=config, operations=["case.tell"]
    )
    row = make_outgoing(incident, make_subscription(watcher, "other", other, operation="case.tell"))

    assert sending.send(row.pk) == "skipped"
    assert desk.commits() == []


def test_what_stands_in_records_that_are_not_read_yet_is_waited_for(desk: Desk, subscription: Subscription) -> None:
    make_kind(desk)
    fresh = make_incident(code="service_case", entity_type="case", entity_key="CAS-1", source="elsewhere")
    row = make_outgoing(put(fresh, Status.TRIAGED), subscription, Event.SLA_WARNED)

    assert sending.send(row.pk) == "pending"
    Outgoing.objects.update(occurred_at=db_now() - timedelta(minutes=5))
    due_now()
    assert sending.send(row.pk) == "skipped"


def test_a_told_comment_whose_answer_was_lost_is_told_once_all_the_same(desk: Desk, subscription: Subscription) -> None:
    incident = desk.incident()
    row = make_outgoing(incident, subscription)
    desk.simulated.fault("commit_then_reset", desk.path, system=desk.system)

    states = []
    for _ in range(3):
        due_now()
        states.append(sending.send(row.pk))

    assert states == ["pending", "sent", ""]
    assert desk.commits() == [row.effect_key]


def test_a_merged_incident_is_told_on_the_tickets_of_both(desk: Desk, subscription: Subscription) -> None:
    kept = desk.incident()
    second = desk.open()
    desk.hear()
    folded = Incident.objects.exclude(pk=kept.pk).get()
    merging.merge(kept, folded, by=make_user("merger", role="operator"), reason="The same")
    row = make_outgoing(kept, subscription)

    assert sending.send(row.pk) == "sent"
    row.refresh_from_db()
    assert row.message["recipients"] == [desk.ticket, second]
    assert len(desk.commits()) == 2


def test_only_what_the_subscriptions_user_may_see_is_told(desk: Desk) -> None:
    incident = desk.incident()
    stranger = make_user("stranger", role="operator", units=["US"])
    blind = make_subscription(stranger, "blind", desk.connection, operation="case.tell")
    happen(incident)

    reading.keep_up()
    row = make_outgoing(incident, blind)

    assert sending.send(row.pk) == "skipped"
    assert desk.commits() == []
    assert incident.business_unit == "EU"


# --- comments ----------------------------------------------------------------------------------
def test_what_a_person_writes_in_the_console_stands_on_the_ticket(
    desk: Desk, subscription: Subscription, watcher: User
) -> None:
    incident = desk.incident()
    sent()
    before = len(desk.notes())

    incidents.comment(incident, by=watcher, text="Carrier asked.\nThey answer tomorrow <b>.")

    assert sent()[-1] == "sent"
    (fresh,) = [note for note in desk.notes() if "Carrier asked" in desk.text_of(note)]
    assert len(desk.notes()) == before + 1
    assert "Carrier asked.\nThey answer tomorrow <b>." in desk.text_of(fresh)
    assert "Written by: watcher" in desk.text_of(fresh)


def test_what_was_written_on_the_ticket_is_not_told_back_to_it(desk: Desk, subscription: Subscription) -> None:
    desk.incident()
    sent()
    desk.write("Any news?")
    assert desk.hear()[-1] == "comment"
    before = len(desk.notes())

    assert sent()[-1] == "skipped"
    assert Outgoing.objects.latest("pk").state_reason == "It was written there."
    assert len(desk.notes()) == before


def test_however_long_both_sides_listen_nothing_is_said_twice(
    desk: Desk, subscription: Subscription, watcher: User
) -> None:
    incident = desk.incident()
    desk.write("Any news?")
    incidents.comment(incident, by=watcher, text="Not yet.")
    for _ in range(4):
        desk.hear()
        sent()
        desk.touch()  # as a system may do with a ticket that somebody has written on

    assert [comment.text for comment in incident.comments.all()] == ["Not yet.", "Any news?"]
    assert Incident.objects.count() == 1
    told = [key for key in desk.commits() if key]
    assert len(told) == len(set(told)) == Outgoing.objects.filter(state=OutState.SENT).count() == 3
