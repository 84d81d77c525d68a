"""Messages that ended long ago are forgotten in batches; what is dead, waits or may still be needed stays."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from audit.clock import db_now
from audit.models import Entry
from incidents.states import Status
from playbooks.telling import forgetting, tasks
from playbooks.telling.models import Outgoing, Subscription
from playbooks.telling.states import Event, OutState
from tests.playbooks import scenes
from tests.telling.factories import make_outgoing, make_subscription, states

pytestmark = pytest.mark.django_db


@pytest.fixture
def team(watcher: User) -> Subscription:
    return make_subscription(watcher)


def make_old(team: Subscription, state: OutState, *, days: float = 366, incident: Any = None) -> Outgoing:
    about = incident or scenes.make_incident(Status.RESOLVED)
    return make_outgoing(about, team, state=state, created_at=db_now() - timedelta(days=days))


def test_what_ended_longer_ago_than_the_setting_says_is_forgotten(team: Subscription) -> None:
    for state in OutState:
        make_old(team, state)
    make_old(team, OutState.SENT, days=364)

    assert forgetting.forget_old() == 2
    assert sorted(states()) == ["dead", "pending", "sent"]


def test_messages_of_an_incident_that_is_not_over_stay(team: Subscription) -> None:
    make_old(team, OutState.SENT, incident=scenes.make_incident(Status.NEEDS_OPERATOR))

    assert forgetting.forget_old() == 0


@pytest.mark.parametrize("state", [OutState.PENDING, OutState.DEAD])
def test_a_thread_stays_while_a_message_may_go_on_with_it(team: Subscription, state: OutState) -> None:
    incident = scenes.make_incident(Status.RESOLVED)
    begun = make_old(team, OutState.SENT, incident=incident)
    unsettled = make_outgoing(incident, team, event=Event.DISMISSED, state=state)

    before = forgetting.forget_old()
    Outgoing.objects.filter(pk=unsettled.pk).update(state=OutState.SKIPPED)

    assert (before, forgetting.forget_old()) == (0, 1)
    assert not Outgoing.objects.filter(pk=begun.pk).exists()


def test_they_go_batch_by_batch_and_the_ledger_counts_them(team: Subscription, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "BATCH", 2)
    incident = scenes.make_incident(Status.RESOLVED)
    for _ in range(5):
        make_old(team, OutState.SENT, incident=incident)

    assert forgetting.forget_old() == 5
    entries = Entry.objects.filter(verb="outgoing.forgotten").order_by("n")
    assert [json.loads(entry.body)["data"]["messages"] for entry in entries] == [2, 2, 1]


def test_one_turn_takes_so_many_batches_and_the_next_goes_on(
    team: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "BATCH", 1)
    monkeypatch.setattr(forgetting, "BATCHES", 2)
    for _ in range(3):
        make_old(team, OutState.SENT)

    assert [forgetting.forget_old() for _ in range(3)] == [2, 1, 0]


def test_nothing_is_forgotten_where_the_setting_is_nought(team: Subscription, settings: Any) -> None:
    settings.TELL_KEEP_DAYS = 0
    make_old(team, OutState.SENT, days=10_000)

    assert forgetting.forget_old() == 0


@pytest.mark.usefixtures("one_turn")
def test_of_two_schedulers_one_forgets(team: Subscription) -> None:
    make_old(team, OutState.SENT)
    first = tasks.forget_messages()
    make_old(team, OutState.SENT)

    assert (first, tasks.forget_messages()) == (1, 0)
