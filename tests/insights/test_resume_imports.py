"""Imports that break off: leases, fences, resumption after a kill, and nothing half-visible. Both databases."""

import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as configured
from django.db import connection

from audit.clock import db_now
from audit.models import Entry
from insights import actions, storage, tasks
from insights.eventlog import importing, staging
from insights.eventlog.importing import LeaseLost, claim, due
from insights.eventlog.shapes import ImportFailed
from insights.models import EventLog
from insights.states import LogState
from tests.insights.files import text_of, trace, xes
from tests.insights.reading import asked
from tests.racing import at_once

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parents[2]
ROWS = [("c1", "open", "2024-01-01T10:00:00Z"), ("c1", "close", "2024-01-01T11:00:00Z")]
XES = xes(trace("c1", ("open", "2024-01-01T10:00:00Z"), ("close", "2024-01-01T11:00:00Z")))
CSV_MAPPING = {"case": "case", "activity": "activity", "timestamp": "time"}


@pytest.fixture(autouse=True)
def _no_bells(monkeypatch):
    monkeypatch.setattr("incidents.bells.ring", lambda task, **ids: True)


def waiting(content=XES, **more):
    return actions.receive(iter([content.encode()]), name="Orders", actor="ann", **more)


def expire(log):
    EventLog.objects.filter(pk=log.pk).update(lease_until=db_now() - timedelta(seconds=1))


def files(log):
    return sorted(each.name for each in storage.home(log).iterdir())


def test_a_log_that_waits_is_found_imported_and_found_no_more():
    log = waiting()

    assert due() == [log.pk]
    assert importing.run(log.pk, aside=False).state == LogState.READY
    assert due() == []
    assert files(log) == ["g1", "given"]


def test_of_two_workers_one_gets_the_lease():
    log = waiting()
    claim(log.pk)

    with pytest.raises(LeaseLost):
        claim(log.pk)
    assert due() == []


def test_a_worker_that_is_not_heard_of_is_replaced():
    log = waiting()
    first = claim(log.pk)
    expire(log)

    assert due() == [log.pk]
    second = claim(log.pk)
    assert (second.attempts, second.lease_token != first.lease_token) == (2, True)


def test_a_worker_that_was_believed_dead_changes_nothing_any_more(monkeypatch):
    log = waiting()
    build = importing.build

    def overtaken(*args, **kwargs):
        built = build(*args, **kwargs)
        monkeypatch.setattr(importing, "build", build)
        expire(log)
        importing.run(log.pk, aside=False)
        return built

    monkeypatch.setattr(importing, "build", overtaken)
    with pytest.raises(LeaseLost):
        importing.run(log.pk, aside=False)

    log.refresh_from_db()
    assert (log.state, log.generation, log.events) == (LogState.READY, 1, 2)
    assert files(log) == ["g1", "given"]
    assert Entry.objects.filter(verb="event_log.imported").count() == 1


def test_a_worker_that_was_believed_dead_cannot_fail_the_log_either(monkeypatch):
    log = waiting()

    def overtaken(*args, **kwargs):
        monkeypatch.undo()
        monkeypatch.setattr("incidents.bells.ring", lambda task, **ids: True)
        expire(log)
        importing.run(log.pk, aside=False)
        raise ImportFailed("too late")

    monkeypatch.setattr(importing, "build", overtaken)
    with pytest.raises(LeaseLost):
        importing.run(log.pk, aside=False)

    log.refresh_from_db()
    assert (log.state, log.error) == (LogState.READY, "")


def test_a_folder_that_a_crash_left_under_the_next_number_is_replaced():
    log = waiting()
    left = storage.generation(log, 1)
    left.mkdir()
    (left / "events.parquet").write_text("half")

    importing.run(log.pk, aside=False)

    log.refresh_from_db()
    assert len(asked(log, "SELECT * FROM events")) == 2


def test_what_was_staged_before_the_break_is_not_read_again(monkeypatch):
    log = waiting()

    def crash(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(importing, "build", crash)
    with pytest.raises(MemoryError):
        importing.run(log.pk, aside=False)
    monkeypatch.undo()
    expire(log)
    monkeypatch.setattr("incidents.bells.ring", lambda task, **ids: True)
    monkeypatch.setattr(staging, "stage", lambda *args, **kwargs: pytest.fail("it was staged already"))

    log = importing.run(log.pk, aside=False)

    assert (log.state, log.events) == (LogState.READY, 2)
    assert files(log) == ["g1", "given"]


def test_a_file_that_ends_its_worker_each_time_is_given_up():
    log = waiting()
    EventLog.objects.filter(pk=log.pk).update(attempts=importing.ATTEMPTS)

    log = importing.run(log.pk, aside=False)

    assert (log.state, "broken off 5 times" in log.error) == (LogState.FAILED, True)
    assert due() == []


def test_a_log_that_is_imported_again_shows_the_old_until_the_new_is_whole(monkeypatch):
    log = actions.import_file(_csv(ROWS), mapping=CSV_MAPPING)
    seen = []
    build = importing.build

    def look(*args, **kwargs):
        built = build(*args, **kwargs)
        current = EventLog.objects.get(pk=log.pk)
        seen.append((current.generation, len(asked(current, "SELECT * FROM events"))))
        return built

    monkeypatch.setattr(importing, "build", look)
    actions.set_mapping(log, {**CSV_MAPPING, "case": "activity", "activity": "case"}, actor="ann")
    log = importing.run(log.pk, aside=False)

    assert seen == [(1, 2)]
    assert (log.generation, log.cases, log.activities) == (2, 2, 1)
    assert files(log) == ["g1", "g2", "given"]  # a page that began before still reads the first


def test_when_importing_again_fails_the_old_generation_stays(monkeypatch):
    log = actions.import_file(_csv(ROWS), mapping=CSV_MAPPING)
    actions.set_mapping(log, {**CSV_MAPPING, "timestamp": "activity", "activity": "time"}, actor="ann")

    log = importing.run(log.pk, aside=False)

    assert (log.state, log.generation, log.events) == (LogState.FAILED, 1, 2)
    assert "the time cannot be read" in log.error
    assert len(asked(log, "SELECT * FROM events")) == 2


def test_the_bell_is_harmless_when_it_rings_twice():
    log = waiting()

    tasks.import_log(log_id=log.pk)
    tasks.import_log(log_id=log.pk)
    tasks.import_log(log_id=log.pk + 1000)

    assert Entry.objects.filter(verb="event_log.imported").count() == 1


def test_the_sweep_rings_for_what_waits(monkeypatch):
    log, rung = waiting(), []
    monkeypatch.setattr("incidents.bells.ring", lambda task, **ids: rung.append((task.name, ids)))

    assert tasks.sweep_imports() == 1
    assert rung == [("insights.import_log", {"log_id": log.pk})]


def test_files_that_no_log_knows_are_taken_away_once_they_are_old(settings):
    log = waiting()
    nobodys = [Path(settings.INSIGHTS_DIR) / each for each in ("incoming/x", "logs/987654", f"logs/{log.pk}/work-dead")]
    for folder in nobodys:
        folder.mkdir(parents=True)
    importing.tidy()
    assert all(folder.exists() for folder in nobodys)
    for folder in nobodys:
        os.utime(folder, (1, 1))

    assert importing.tidy() == 3
    assert [folder.exists() for folder in nobodys] == [False] * 3
    assert storage.given(log).exists()


def test_deleting_a_log_while_it_is_imported_ends_the_import(monkeypatch, django_capture_on_commit_callbacks):
    log = waiting()
    build = importing.build

    def deleted(*args, **kwargs):
        with django_capture_on_commit_callbacks(execute=True):
            actions.delete(EventLog.objects.get(pk=log.pk), actor="ann")
        return build(*args, **kwargs)

    monkeypatch.setattr(importing, "build", deleted)
    with pytest.raises((LeaseLost, OSError)):
        importing.run(log.pk, aside=False)

    assert not EventLog.objects.filter(pk=log.pk).exists()
    assert Entry.objects.filter(verb="event_log.deleted").count() == 1


# --- With processes and threads of their own -----------------------------------------------------

KILLED = """
import os, signal, sys
import django
django.setup()
from insights.eventlog import importing
def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
importing.build = die
importing.run(int(sys.argv[1]))
"""


def _address():
    told = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{told['NAME']}"
    return f"postgres://{told['USER']}:{told['PASSWORD']}@{told['HOST']}:{told['PORT'] or 5432}/{told['NAME']}"


@pytest.mark.django_db(transaction=True)
def test_an_import_goes_on_after_its_worker_was_killed(settings):
    log = waiting()
    env = {**os.environ, "DATABASE_URL": _address(), "INSIGHTS_DIR": str(settings.INSIGHTS_DIR)}
    env |= {"DJANGO_SETTINGS_MODULE": "config.settings", "DATA_DIR": str(configured.DATA_DIR), "TEST_DB_SUFFIX": ""}

    died = subprocess.run(
        [sys.executable, "-c", KILLED, str(log.pk)], env=env, capture_output=True, check=False, cwd=ROOT
    )

    assert died.returncode == -signal.SIGKILL, died.stderr
    log.refresh_from_db()
    assert (log.state, log.generation, log.attempts) == (LogState.IMPORTING, 0, 1)
    assert due() == []  # its lease has not ended: it may be alive
    expire(log)
    assert due() == [log.pk]
    log = importing.run(log.pk)
    assert (log.state, log.generation, log.events) == (LogState.READY, 1, 2)


@pytest.mark.django_db(transaction=True)
def test_a_long_import_keeps_its_lease_and_tells_its_progress(monkeypatch):
    log, told = waiting(), threading.Event()
    monkeypatch.setattr(importing, "BEAT_SECONDS", 0.01)
    build, beat = importing.build, importing._Beat._beat

    def heard(self):
        beat(self)
        told.set()

    def slow(*args, **kwargs):
        built = build(*args, **kwargs)
        expire(log)
        told.clear()
        assert told.wait(20)
        current = EventLog.objects.get(pk=log.pk)
        assert current.lease_until > db_now()
        assert current.progress > 0.4
        return built

    monkeypatch.setattr(importing._Beat, "_beat", heard)
    monkeypatch.setattr(importing, "build", slow)

    assert importing.run(log.pk).state == LogState.READY


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_at_once_one_imports():
    log = waiting()

    came = at_once(*[lambda: importing.run(log.pk).state] * 4)

    assert came.count(LogState.READY) == 1
    assert sum(isinstance(one, LeaseLost) for one in came) == 3
    assert EventLog.objects.get(pk=log.pk).generation == 1


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _csv(rows):
    path = Path("orders.csv")
    path.write_text(text_of(rows))
    return path
