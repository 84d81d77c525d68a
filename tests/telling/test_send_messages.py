"""What is due is sent: in order, again under the same id where nobody knows, and never past a stop."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError

from audit.clock import db_now
from audit.models import Entry
from connectors import actions as connectors
from connectors.base import RateLimited, Refused, Unanswered, Unauthorized, Unreachable
from connectors.door.models import Budget
from connectors.models import Call, Connection, EmergencyStop
from incidents.models import Incident
from incidents.states import SEVERITY_ORDER, Severity, Status
from playbooks.telling import actions, reading, sending, tasks
from playbooks.telling.models import Outgoing, Subscription
from playbooks.telling.states import Event, OutState
from tests.playbooks import scenes
from tests.racing import together
from tests.telling.factories import (
    Herald,
    begun,
    due_now,
    happen,
    make_herald,
    make_outgoing,
    make_subscription,
    states,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def subscription(watcher: User) -> Subscription:
    return make_subscription(watcher)


@pytest.fixture
def row(subscription: Subscription) -> Outgoing:
    return make_outgoing(scenes.make_incident(Status.RESOLVED), subscription)


def again(row: Outgoing) -> Outgoing:
    row.refresh_from_db()
    return row


def test_a_message_is_sent_through_the_door_and_never_again(row: Outgoing) -> None:
    assert (sending.send(row.pk), sending.send(row.pk)) == ("sent", "")

    call = Call.objects.get()
    assert (call.direction, call.outcome, call.effect_key, call.actor) == ("tell", "ok", row.effect_key, reading.ACTOR)
    assert call.incident_id == row.incident_id
    assert again(row).call_id == call.pk
    assert row.sent_at is not None
    assert [message.id for _, message in Herald.told] == [row.event_id]


def test_a_worker_that_dies_between_sending_and_saving_leaves_the_same_message_under_the_same_id(
    row: Outgoing, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """What no handler catches."""

    def die() -> None:
        raise Killed

    Herald.answers[:] = [die]
    with pytest.raises(Killed):
        sending.send(row.pk)
    assert sending.send(row.pk) == ""  # its lease has not ended
    Incident.objects.update(title="Quite another title by now")
    due_now()

    assert sending.send(row.pk) == "sent"
    (first_key, first), (second_key, second) = Herald.told
    assert (first_key, first) == (second_key, second)


def test_a_worker_that_woke_after_its_lease_changes_nothing(row: Outgoing) -> None:
    def overtaken() -> dict[str, str]:
        due_now()
        assert sending.send(row.pk) == "sent"
        return {"thread": "late"}

    Herald.answers[:] = [overtaken, {"thread": "in time"}]

    assert sending.send(row.pk) == ""
    assert again(row).thread == "in time"
    assert row.attempts == 1


def test_of_many_workers_one_sends(row: Outgoing) -> None:
    said = together(*[lambda: sending.send(row.pk)] * 5)

    assert sorted(said) == ["", "", "", "", "sent"]
    assert len(Herald.told) == 1


def test_later_news_of_an_incident_waits_for_the_earlier(subscription: Subscription) -> None:
    incident, other = scenes.make_incident(Status.RESOLVED), scenes.make_incident(Status.RESOLVED)
    first, second = make_outgoing(incident, subscription), make_outgoing(incident, subscription, Event.ROLLED_BACK)
    beside = make_outgoing(other, subscription)
    Herald.answers[:] = [Unreachable("away")]

    assert sending.send(first.pk) == "pending"
    assert sending.send(second.pk) == ""
    assert sending.send(beside.pk) == "sent"
    due_now()
    assert sending.due() == [first.pk]
    assert [sending.send(first.pk), sending.following(first.pk), sending.send(second.pk)] == ["sent", second.pk, "sent"]
    assert Herald.titles() == [
        "incident.resolved", "incident.resolved", "incident.resolved", "incident.rolled_back",
    ]  # fmt: skip


def test_another_subscription_does_not_wait(subscription: Subscription, watcher: User) -> None:
    incident = scenes.make_incident(Status.RESOLVED)
    make_outgoing(incident, subscription)
    later = make_outgoing(incident, make_subscription(watcher, "other"), Event.ROLLED_BACK)

    assert sending.send(later.pk) == "sent"


def test_what_is_dead_holds_nothing_up(subscription: Subscription) -> None:
    incident = scenes.make_incident(Status.RESOLVED)
    first, second = make_outgoing(incident, subscription), make_outgoing(incident, subscription, Event.ROLLED_BACK)
    Herald.answers[:] = [Refused("No such channel.")]

    assert [sending.send(first.pk), sending.send(second.pk)] == ["dead", "sent"]


def test_the_thread_that_the_first_message_began_is_followed(subscription: Subscription) -> None:
    incident = scenes.make_incident(Status.RESOLVED)
    rows = [make_outgoing(incident, subscription) for _ in range(3)]
    elsewhere = make_outgoing(scenes.make_incident(Status.RESOLVED), subscription)
    Herald.answers[:] = [begun("1700.1"), {}, begun("1700.9")]

    for one in (*rows, elsewhere):
        sending.send(one.pk)

    assert [message.thread for _, message in Herald.told] == ["", "1700.1", "1700.1", ""]


def test_a_receiver_that_is_away_is_tried_again_ever_later_and_given_up_in_the_end(
    row: Outgoing, settings: Any
) -> None:
    settings.TELL_LATER_SECONDS = [300.0, 7200.0]
    waits = []
    for _ in range(settings.RETRY_LIMIT + 2):
        Herald.answers[:] = [Unanswered("No answer in time.")]
        due_now()
        before = db_now()
        sending.send(row.pk)
        waits.append((again(row).due_at - before).total_seconds())

    assert all(wait <= settings.RETRY_CAP_SECONDS + 5 for wait in waits[: settings.RETRY_LIMIT - 1])
    assert 300 <= waits[settings.RETRY_LIMIT - 1] < 310
    assert 7200 <= waits[settings.RETRY_LIMIT] < 7210
    assert row.state == "dead"
    assert row.attempts == settings.RETRY_LIMIT + 2
    assert "No answer in time." in row.state_reason
    assert row.guidance
    assert len({key for key, _ in Herald.told}) == 1


def test_a_wait_that_was_asked_for_is_never_shortened(row: Outgoing) -> None:
    Herald.answers[:] = [RateLimited("Slower.", status=429, retry_after=900)]
    before = db_now()

    assert sending.send(row.pk) == "pending"
    assert again(row).due_at - before >= timedelta(seconds=900)
    assert row.attempts == 1


@pytest.mark.parametrize("error", [Refused("Bad channel."), Unauthorized("Token is over.")])
def test_what_asking_again_does_not_help_is_dead_at_once_and_entered(row: Outgoing, error: Exception) -> None:
    Herald.answers[:] = [error]

    assert sending.send(row.pk) == "dead"
    entry = Entry.objects.get(verb="outgoing.dead_lettered")
    assert (entry.incident_id, entry.actor, entry.reason) == (row.incident_id, reading.ACTOR, str(error))
    assert entry.business_unit == "EU"


def test_an_emergency_stop_holds_it_up_and_it_goes_on_afterwards(row: Outgoing) -> None:
    stop = EmergencyStop.objects.create(actor="admin", reason="Everything stops")
    for _ in range(10):
        assert sending.send(row.pk) == "pending"
        due_now()
    assert (Herald.told, again(row).attempts) == ([], 0)
    EmergencyStop.objects.filter(pk=stop.pk).update(ended_at=db_now())

    assert sending.send(row.pk) == "sent"


def test_a_spent_budget_holds_it_up_and_it_goes_on_when_there_is_more(row: Outgoing) -> None:
    budget = Budget.objects.create(connection=row.subscription.connection, calls=1)
    beside = make_outgoing(scenes.make_incident(Status.RESOLVED), row.subscription)

    assert [sending.send(row.pk), sending.send(beside.pk)] == ["sent", "pending"]
    assert again(beside).due_at > db_now()
    assert beside.attempts == 0
    Budget.objects.filter(pk=budget.pk).update(calls=100)
    due_now()
    assert sending.send(beside.pk) == "sent"


def test_a_disabled_connection_holds_it_up(row: Outgoing) -> None:
    Connection.objects.update(enabled=False)
    assert sending.send(row.pk) == "pending"
    Connection.objects.update(enabled=True)
    due_now()

    assert sending.send(row.pk) == "sent"


def test_what_the_connection_may_not_do_is_dead_with_what_to_do(row: Outgoing) -> None:
    Connection.objects.update(operations=[])

    assert sending.send(row.pk) == "dead"
    assert "not among the operations" in again(row).state_reason
    assert "is the operation allowed" in row.guidance


def test_a_receiver_that_is_gone_pauses_the_subscription_and_loses_nothing(row: Outgoing) -> None:
    Herald.answers[:] = [Refused("The subscriber is gone.", status=410, code="gone")]

    assert sending.send(row.pk) == "pending"
    paused = Subscription.objects.get()
    assert paused.paused_at is not None
    assert "gone" in paused.paused_reason
    assert sending.send(row.pk) == ""
    assert sending.due() == []
    assert Entry.objects.get(verb="subscription.paused").actor == reading.ACTOR
    assert actions.resume(paused, actor="anna") == 0
    assert sending.send(row.pk) == "sent"


def test_what_grew_too_old_during_a_pause_is_skipped_and_no_flood_follows(
    subscription: Subscription,
) -> None:
    actions.pause(subscription, actor="anna", reason="Holidays")
    incident, long_ago = scenes.make_incident(Status.RESOLVED), db_now() - timedelta(hours=25)
    for _ in range(3):
        make_outgoing(incident, subscription, occurred_at=long_ago)
    fresh = make_outgoing(incident, subscription)

    assert actions.resume(subscription, actor="anna", reason="Back") == 3
    assert states() == ["skipped", "skipped", "skipped", "pending"]
    assert sending.due() == [fresh.pk]
    assert '"skipped":3' in Entry.objects.get(verb="subscription.resumed").body


def test_a_right_that_was_withdrawn_meanwhile_withholds_the_message(row: Outgoing, watcher: User) -> None:
    watcher.scope.business_units = ["US"]
    watcher.scope.save()

    assert sending.send(row.pk) == "skipped"
    assert Herald.told == []
    assert "may not see" in again(row).state_reason


def test_a_new_incident_is_told_of_once_it_is_sized_up(watcher: User) -> None:
    subscription = make_subscription(watcher, events=["incident.opened"], min_severity=Severity.HIGH)
    small, large = scenes.make_incident(Status.NEW), scenes.make_incident(Status.NEW)
    reading.keep_up()
    rows = list(subscription.outgoing.order_by("id"))

    assert [sending.send(one.pk) for one in rows] == ["pending", "pending"]
    for incident, severity in ((small, Severity.LOW), (large, Severity.CRITICAL)):
        columns = {"severity": severity, "severity_rank": SEVERITY_ORDER[severity], "status": Status.TRIAGED}
        Incident.objects.filter(pk=incident.pk).update(**columns)
    due_now()
    assert [sending.send(one.pk) for one in rows] == ["", "sent"]
    assert states() == ["sent"]
    assert dict(Herald.told[0][1].facts)["Severity"] == "Critical"


def test_an_incident_that_nobody_sizes_up_is_told_of_all_the_same(subscription: Subscription) -> None:
    incident = scenes.make_incident(Status.NEW)
    late = db_now() - timedelta(seconds=sending.SIZING_SECONDS + 1)
    row = make_outgoing(incident, subscription, Event.OPENED, occurred_at=late)

    assert sending.send(row.pk) == "sent"


def test_a_fault_of_ours_is_dead_and_says_so_and_a_sick_database_is_no_fault(
    row: Outgoing, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(error: Exception) -> Any:
        def compose(*_: Any, **__: Any) -> Any:
            raise error

        return compose

    with monkeypatch.context() as patch:
        patch.setattr(sending.content, "compose", broken(OperationalError("locked")))
        with pytest.raises(OperationalError):
            sending.send(row.pk)
    assert again(row).state == "pending"
    due_now()
    with monkeypatch.context() as patch:
        patch.setattr(sending.content, "compose", broken(KeyError("secret-value")))
        assert sending.send(row.pk) == "dead"

    assert again(row).state_reason == "Goldseam itself failed: KeyError. See the log."
    assert "could not be made" in caplog.text


@pytest.mark.usefixtures("one_turn")
def test_the_sweep_finds_what_lost_its_bell_and_the_next_of_an_incident_follows_at_once(
    subscription: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    incident = scenes.make_incident(Status.RESOLVED)
    happen(incident)
    happen(incident, Event.ROLLED_BACK)
    rung: list[int] = []
    monkeypatch.setattr(tasks, "ring_bell", rung.append)

    assert tasks.sweep() == 1
    assert tasks.sweep() == 0  # the turn is taken
    while rung:
        tasks.tell(outgoing_id=rung.pop())
    assert states() == ["sent", "sent", "sent"]
    assert Herald.titles() == ["incident.opened", "incident.resolved", "incident.rolled_back"]


def test_a_dead_message_is_sent_again_under_its_old_id(row: Outgoing, operator: User) -> None:
    Herald.answers[:] = [Refused("No such channel.")]
    sending.send(row.pk)

    actions.send_again(again(row), by=operator, reason="The channel is back.")

    assert sending.send(row.pk) == "sent"
    assert len({message.id for _, message in Herald.told}) == 1
    entry = Entry.objects.get(verb="outgoing.sent_again")
    assert (entry.actor, entry.reason, entry.incident_id) == ("operator", "The channel is back.", row.incident_id)


def test_a_connection_of_another_kind_of_team_speaks_for_itself(watcher: User) -> None:
    first = make_subscription(watcher, "first", make_herald("one"))
    second = make_subscription(watcher, "second", make_herald("two"))
    connectors.update_connection(first.connection, actor="system:test", operations=[])
    incident = scenes.make_incident(Status.RESOLVED)
    rows = [make_outgoing(incident, one) for one in (first, second)]

    assert [sending.send(one.pk) for one in rows] == [OutState.DEAD, OutState.SENT]


def test_of_what_turns_out_not_to_be_meant_no_row_stays(watcher: User) -> None:
    picky = make_subscription(watcher, events=["incident.opened"], min_severity="high")
    rank = SEVERITY_ORDER[Severity.LOW]
    dull = scenes.make_incident(Status.TRIAGED, severity=Severity.LOW, severity_rank=rank)
    row = make_outgoing(dull, picky, event=Event.OPENED)

    assert sending.send(row.pk) == ""
    assert (Herald.told, states()) == ([], [])


def test_what_may_have_been_sent_before_the_subscription_was_narrowed_leaves_its_row(watcher: User) -> None:
    picky = make_subscription(watcher, events=["incident.opened"], domains=["nowhere"])
    row = make_outgoing(scenes.make_incident(Status.TRIAGED), picky, event=Event.OPENED, message={"id": "1"})

    assert sending.send(row.pk) == "skipped"
    assert again(row).state_reason == "The subscription was narrowed to others."
