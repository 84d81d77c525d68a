"""Bells: a broker that is away, or swallows connections, costs one wait and then silence; the sweep rings later."""

import runpy
import socket
from typing import Any

import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from incidents import bells
from incidents.models import Incident
from playbooks import tasks
from tests.playbooks.world import make_incident


class Hole:
    """A broker that takes a connection and never answers: each ring waits out its timeout."""

    def __init__(self) -> None:
        self.waited = 0

    def delay(self, **_: Any) -> None:
        self.waited += 1
        raise OperationalError("timed out")


class Bell:
    """A broker that hears."""

    def __init__(self) -> None:
        self.heard: list[dict[str, int]] = []

    def delay(self, **ids: int) -> None:
        self.heard.append(ids)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    now = {"at": 1000.0}
    monkeypatch.setattr(bells, "monotonic", lambda: now["at"])
    monkeypatch.setattr(bells._Silence, "until", 0.0)
    return now


def test_after_one_failure_nobody_waits_again_for_a_while(clock):
    hole = Hole()

    answers = [bells.ring(hole, incident_id=number) for number in range(50)]

    assert (hole.waited, set(answers)) == (1, {False})


def test_the_silence_is_for_every_bell_of_the_process(clock):
    bell = Bell()
    bells.ring(Hole(), delivery_id=1)

    assert not bells.ring(bell, incident_id=1)
    assert bell.heard == []


def test_after_the_silence_it_rings_again(clock):
    hole, bell = Hole(), Bell()
    bells.ring(hole, incident_id=1)
    clock["at"] += bells.SILENCE_SECONDS

    assert bells.ring(bell, incident_id=2)
    assert bell.heard == [{"incident_id": 2}]


def test_a_fault_of_ours_is_not_taken_for_a_broker_that_is_away(clock):
    class Faulty:
        def delay(self, **_: Any) -> None:
            raise TypeError("no such argument")

    with pytest.raises(TypeError):
        bells.ring(Faulty(), incident_id=1)

    assert bells._Silence.until == 0.0


@pytest.mark.django_db
def test_a_row_whose_bell_was_kept_silent_is_found_by_the_sweep(clock, monkeypatch):
    hole, bell = Hole(), Bell()
    incident: Incident = make_incident()
    monkeypatch.setattr(tasks, "advance", hole)
    tasks.ring_bell(incident.pk)
    tasks.ring_bell(incident.pk)
    clock["at"] += bells.SILENCE_SECONDS
    monkeypatch.setattr(tasks, "advance", bell)

    assert tasks.sweep() == 1
    assert (hole.waited, bell.heard) == (1, [{"incident_id": incident.pk}])


@pytest.mark.django_db
def test_signals_are_accepted_at_the_cost_of_one_wait(
    clock, monkeypatch, api, operator, django_capture_on_commit_callbacks
):
    hole = Hole()
    make_incident()  # and with it the kind that the signals are of
    monkeypatch.setattr(tasks, "advance", hole)
    client = api(operator)
    event = {"source": "s", "time": "2026-11-03T12:00:00Z"}
    data = {"code": "test_kind", "entity_type": "order"}

    with django_capture_on_commit_callbacks(execute=True):
        answers = [
            client.post("/api/v1/signals/", {**event, "id": str(n), "data": {**data, "entity_key": f"SO-{n}"}})
            for n in range(1, 6)
        ]

    assert {answer.status_code for answer in answers} == {202}, answers[0].content
    assert hole.waited == 1


def test_a_socket_that_accepts_and_never_answers_is_left_after_its_timeout(clock, monkeypatch):
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)  # Celery would ask this one instead
    with socket.create_server(("127.0.0.1", 0)) as listening:  # nobody ever calls accept()
        app = Celery("hole", broker=f"redis://127.0.0.1:{listening.getsockname()[1]}/0", set_as_current=False)
        app.conf.broker_transport_options = {"socket_connect_timeout": 0.05, "socket_timeout": 0.05}
        app.conf.task_publish_retry = False

        @app.task(name="hole.task")
        def look(**_: Any) -> None:
            """Never reached."""

        assert not bells.ring(look, incident_id=1)

    assert bells._Silence.until > 0.0


def test_the_settings_bound_every_wait_for_a_redis(monkeypatch):
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")

    options = runpy.run_path("config/settings.py")["CELERY_BROKER_TRANSPORT_OPTIONS"]

    assert (options["socket_connect_timeout"], options["socket_timeout"]) == (2, 5)
