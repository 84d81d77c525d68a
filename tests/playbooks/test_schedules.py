"""Two and three beats ring everything twice and thrice: each turn is taken once, whatever the database."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.apps import apps
from django_celery_beat.models import PeriodicTask
from kombu.exceptions import OperationalError

from audit import slots
from audit.clock import db_now
from audit.models import Slot
from incidents import bells
from incidents.actions import ring
from incidents.models import Incident
from incidents.states import Status
from playbooks import actions, schedules, tasks
from tests.playbooks.world import make_incident
from tests.racing import together


@pytest.fixture
def rung(monkeypatch):
    """The numbers of the incidents for which a bell was rung."""
    numbers: list[int] = []
    monkeypatch.setattr(tasks.advance, "delay", lambda *, incident_id: numbers.append(incident_id))
    return numbers


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("beats", [2, 3])
@pytest.mark.usefixtures("one_turn")
def test_of_several_beats_one_takes_the_turn(beats):
    taken = together(*[lambda: slots.take_slot("a turn", 3600)] * beats)

    assert Counter(taken) == {True: 1, False: beats - 1}
    assert Slot.objects.filter(schedule="a turn").count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("beats", [2, 3])
def test_each_turn_of_many_is_taken_exactly_once(beats, monkeypatch):
    noon, taken = db_now(), Counter()
    for turn in range(5):
        moment = noon + timedelta(seconds=10 * turn)
        monkeypatch.setattr(slots, "db_now", lambda moment=moment: moment)
        taken.update(together(*[lambda: slots.take_slot("a turn", 10)] * beats))

    assert taken[True] == 5
    assert taken[False] == 5 * (beats - 1)


@pytest.mark.django_db
@pytest.mark.usefixtures("one_turn")
def test_another_schedule_has_turns_of_its_own():
    assert slots.take_slot("one", 3600)
    assert slots.take_slot("two", 3600)
    assert not slots.take_slot("one", 3600)


@pytest.mark.django_db
def test_old_turns_are_forgotten():
    old = Slot.objects.create(schedule="a turn", slot=1, taken_at=db_now())

    slots.take_slot("a turn", 60)

    assert not Slot.objects.filter(pk=old.pk).exists()


@pytest.mark.django_db
def test_the_sweep_rings_for_whoever_is_due_and_for_nobody_else(rung):
    now = db_now()
    due = make_incident(status=Status.TRIAGED, due_at=now - timedelta(minutes=1))
    make_incident(status=Status.TRIAGED, due_at=now + timedelta(hours=1))
    make_incident(status=Status.AWAITING_APPROVAL, due_at=None)
    held = make_incident(status=Status.EXECUTING, due_at=now, lease_until=now + timedelta(hours=1))
    orphan = make_incident(status=Status.EXECUTING, due_at=now, lease_until=now - timedelta(seconds=1))

    count = tasks.sweep()

    assert count == 2
    assert sorted(rung) == [due.pk, orphan.pk]
    assert held.pk not in rung


@pytest.mark.django_db
@pytest.mark.usefixtures("one_turn")
def test_a_second_beat_in_the_same_turn_rings_for_nobody(rung):
    make_incident(status=Status.TRIAGED, due_at=db_now())

    counts = [tasks.sweep(), tasks.sweep(), tasks.sweep()]

    assert counts == [1, 0, 0]
    assert len(rung) == 1


@pytest.mark.django_db
@pytest.mark.usefixtures("one_turn")
def test_letters_are_looked_at_once_a_turn(monkeypatch):
    looked: list[int] = []

    def look() -> int:
        looked.append(1)
        return 7

    monkeypatch.setattr(actions, "after_cooldown", look)

    counts = [tasks.sweep_dead_letters() for _ in range(3)]

    assert counts == [7, 0, 0]
    assert looked == [1]


@pytest.mark.django_db
@pytest.mark.parametrize("away", [OperationalError("no broker"), OSError("reset"), ConnectionRefusedError()])
def test_a_broker_that_is_away_is_no_failure_of_whoever_rings(monkeypatch, away, django_capture_on_commit_callbacks):
    def broken(**_: Any) -> None:
        raise away

    monkeypatch.setattr(tasks.advance, "delay", broken)
    monkeypatch.setattr(bells._Silence, "until", 0.0)
    incident = make_incident(status=Status.TRIAGED, due_at=None)
    with django_capture_on_commit_callbacks(execute=True):
        ring(incident.pk)

    incident.refresh_from_db()
    assert incident.due_at is not None
    assert tasks.sweep() == 1


@pytest.mark.django_db
def test_the_bell_is_rung_after_the_commit_and_not_before(rung, django_capture_on_commit_callbacks):
    incident = make_incident(status=Status.TRIAGED)
    with django_capture_on_commit_callbacks(execute=True):
        ring(incident.pk)
        before = list(rung)

    assert before == []
    assert rung == [incident.pk]


@pytest.mark.django_db
def test_a_bell_that_rings_for_nobody_or_twice_does_no_harm():
    incident = make_incident(status=Status.NEEDS_OPERATOR, due_at=db_now())

    tasks.advance(incident_id=incident.pk)
    tasks.advance(incident_id=incident.pk)
    tasks.advance(incident_id=999_999)

    assert Incident.objects.get(pk=incident.pk).status == Status.NEEDS_OPERATOR


@pytest.mark.django_db
def test_every_schedule_that_is_needed_is_there_and_names_a_task_that_exists():
    wanted = {task for task, _ in schedules.wanted().values()}

    current_app.loader.import_default_modules()
    assert wanted <= set(PeriodicTask.objects.values_list("task", flat=True))
    assert wanted <= set(current_app.tasks)


@pytest.mark.django_db
def test_a_schedule_that_somebody_changed_is_left_as_it_is():
    row = PeriodicTask.objects.get(task="playbooks.sweep")
    row.enabled = False
    row.save()
    PeriodicTask.objects.filter(task="approvals.expire_approvals").delete()

    schedules.ensure(sender=apps.get_app_config("django_celery_beat"))
    schedules.ensure(sender=apps.get_app_config("playbooks"))

    row.refresh_from_db()
    assert row.enabled is False
    assert PeriodicTask.objects.filter(task="playbooks.sweep").count() == 1
    assert PeriodicTask.objects.filter(task="approvals.expire_approvals").count() == 1
