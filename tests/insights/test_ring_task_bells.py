"""Bells of task mining: one is rung for each log that comes in, the sweep finds what it misses, twice does no harm."""

import pytest

from audit.models import Slot
from incidents import bells
from insights.tasklog import entry, tasks
from insights.tasklog.models import TaskLog
from tests.insights.steps import make_task_log

pytestmark = pytest.mark.django_db


@pytest.fixture
def rung(monkeypatch):
    """What was rung for."""
    heard = []
    monkeypatch.setattr(bells, "ring", lambda task, **told: heard.append((task.name, told)))
    return heard


def test_a_bell_is_rung_once_the_log_is_committed(rung, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        log = make_task_log(mined=False)
        assert rung == []

    assert rung == [("insights.mine_task_log", {"log_id": log.pk})]


def test_a_bell_that_rings_twice_mines_once():
    log = make_task_log(mined=False)

    tasks.mine_task_log(log_id=log.pk)
    ready = TaskLog.objects.get(pk=log.pk).ready_at
    tasks.mine_task_log(log_id=log.pk)

    log.refresh_from_db()
    assert (log.state, log.ready_at, log.routines.count()) == ("ready", ready, 2)


@pytest.mark.usefixtures("one_turn")
def test_the_sweep_rings_for_what_waits_and_takes_its_turn_once(rung):
    log = make_task_log(mined=False)

    assert (tasks.sweep_task_logs(), tasks.sweep_task_logs()) == (1, 0)
    assert rung == [("insights.mine_task_log", {"log_id": log.pk})]


def test_the_sweep_removes_steps_whose_time_is_over(rung):
    log = make_task_log()
    TaskLog.objects.update(expires_at=log.created_at)
    Slot.objects.all().delete()

    tasks.sweep_task_logs()

    assert not entry.home(log).exists()
