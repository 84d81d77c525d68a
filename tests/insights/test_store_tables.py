"""Tables in an object store: they answer as local ones do, and no crash shows a reader half of them.

The store is a server that nobody here wrote, on loopback. Both databases.
"""

from datetime import timedelta

import pytest
from django.db import connection

from audit.clock import db_now
from insights import actions, storage, tasks
from insights.eventlog import importing
from insights.eventlog.continuous import Happening, append, log_of
from insights.eventlog.importing import LeaseLost
from insights.mining.answers import kept
from insights.mining.asking import of_tables
from insights.mining.bottlenecks import bottlenecks
from insights.mining.filters import EVERYTHING, Filter
from insights.mining.process_map import process_map
from insights.mining.rework import rework
from insights.mining.variants import variants
from insights.models import EventLog
from insights.objectstore import cache, keeping
from insights.objectstore.bucket import Bucket
from insights.objectstore.faults import StoreUnavailable
from insights.states import LogState
from tests.insights.factories import at
from tests.insights.reading import asked
from tests.insights.storing import COUNT, again, copies, empty_cache, imported, key_of, waiting

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_bells(monkeypatch):
    monkeypatch.setattr("incidents.bells.ring", lambda task, **ids: True)


def answers(log):
    some = Filter(attributes=(("country", ("FR",)),))
    questions = (process_map, variants, bottlenecks, rework)
    return [question(log, chosen) for question in questions for chosen in (EVERYTHING, some)]


# --- There and back ------------------------------------------------------------------------------


def test_a_log_in_the_store_answers_as_one_in_the_data_folder_does(store, settings):
    kept_here = settings.INSIGHTS_STORE
    settings.INSIGHTS_STORE = ""
    near = imported()
    settings.INSIGHTS_STORE = kept_here
    far = imported()
    empty_cache()

    assert (near.tables, sorted(far.tables)) == ({}, sorted(storage.TABLES))
    assert answers(far) == answers(near)
    assert len(asked(far, "SELECT * FROM cases")) == 40
    assert not list(storage.generation(far).glob("*.parquet"))


def test_the_row_names_what_the_store_holds(store):
    log = imported()

    assert store.keys() == sorted(key_of(log, name) for name in storage.TABLES)
    for name in storage.TABLES:
        size, sha256 = cache.digest_of([store.body(key_of(log, name))])
        assert (log.tables[name]["size"], log.tables[name]["sha256"]) == (size, sha256)


def test_without_the_setting_nothing_is_sent_and_nothing_is_copied(store, settings):
    settings.INSIGHTS_STORE = ""

    log = imported()

    assert (log.state, log.tables, store.keys(), copies()) == (LogState.READY, {}, [], [])
    assert (storage.generation(log) / "events.parquet").exists()


def test_what_was_just_imported_is_read_without_asking_the_store(store, unreachable):
    log = imported()
    unreachable()

    assert of_tables(log, COUNT) == [(log.events,)]


def test_another_machine_fetches_once_and_keeps_its_answers(store, unreachable):
    log = imported()
    storage.forget_older(log, 1)
    empty_cache()
    storage.generation(log).rmdir()

    first = kept(process_map, log)
    unreachable()

    assert len(copies()) == 4
    assert list((storage.generation(log) / "answers").iterdir())
    assert kept(process_map, log) == first
    assert of_tables(log, COUNT) == [(log.events,)]


def test_a_growing_log_is_added_to_in_the_store(store):
    log = append(log_of("loop", "Life"), [Happening("A", "open", at(0))], cursor=1)
    for number in range(2, 5):
        empty_cache()
        log = append(log, [Happening("A", f"step {number}", at(number))], cursor=number)

    assert [name for (name,) in asked(log, "SELECT name FROM activities ORDER BY name")] == [
        "open", "step 2", "step 3", "step 4",
    ]  # fmt: skip
    assert log.mapping["cursor"] == 4
    # The last generation but one stays for pages that began before.
    assert len(store.keys()) == 8
    assert {key.split("/")[-2].partition("-")[0] for key in store.keys()} == {"g3", "g4"}  # noqa: SIM118 - a method


def test_logs_of_both_kinds_stand_side_by_side_and_move_with_their_next_import(store, settings):
    named = settings.INSIGHTS_STORE
    settings.INSIGHTS_STORE = ""
    log = imported()
    settings.INSIGHTS_STORE = named
    assert of_tables(log, COUNT) == [(log.events,)]

    log = again(log)
    assert (log.generation, bool(log.tables), len(store.keys())) == (2, True, 4)
    settings.INSIGHTS_STORE = ""
    empty_cache()
    with pytest.raises(StoreUnavailable, match="INSIGHTS_STORE"):
        storage.table(log, "events")
    log = again(log)

    assert (log.generation, log.tables) == (3, {})
    assert of_tables(log, COUNT) == [(log.events,)]


# --- Crashes and races ---------------------------------------------------------------------------


class Killed(BaseException):
    """What ends a process between two lines."""


def test_a_crash_between_sending_and_naming_shows_nothing_and_leaves_nothing(store, monkeypatch):
    log = imported()
    before = log.tables

    def crash(*_):
        raise Killed

    monkeypatch.setattr(importing, "publish", crash)
    with pytest.raises(Killed):
        again(log)
    monkeypatch.undo()
    log.refresh_from_db()

    assert (log.tables, log.generation, len(store.keys())) == (before, 1, 8)
    assert of_tables(log, COUNT) == [(log.events,)]
    # While the lease is held its objects are those of somebody at work.
    assert storage.sweep(db_now() + timedelta(hours=1)) == 0
    EventLog.objects.filter(pk=log.pk).update(lease_token="", lease_until=None)
    assert storage.sweep(db_now() - timedelta(hours=1)) == 0
    assert storage.sweep(db_now() + timedelta(hours=1)) == 4
    assert store.keys() == sorted(key_of(log, name) for name in storage.TABLES)


def test_a_crash_while_sending_names_nothing_and_the_next_worker_starts_afresh(store, monkeypatch):
    log, put = waiting(), Bucket.put

    def crash(self, key, path):
        if "cases" in key:
            raise Killed
        put(self, key, path)

    monkeypatch.setattr(Bucket, "put", crash)
    with pytest.raises(Killed):
        importing.run(log.pk, aside=False)
    monkeypatch.setattr(Bucket, "put", put)
    log.refresh_from_db()
    assert (log.state, log.generation, log.tables, len(store.keys())) == (LogState.IMPORTING, 0, {}, 1)
    left = store.keys()

    EventLog.objects.filter(pk=log.pk).update(lease_until=db_now() - timedelta(seconds=1))
    log = importing.run(log.pk, aside=False)

    assert (log.state, len(store.keys())) == (LogState.READY, 5)
    assert left[0] not in {key_of(log, name) for name in storage.TABLES}
    assert storage.sweep(db_now() + timedelta(hours=1)) == 1


def test_a_worker_that_lost_its_lease_while_sending_names_nothing(store, monkeypatch):
    log, send = waiting(), keeping.send

    def overtaken(*args):
        named = send(*args)
        monkeypatch.setattr(keeping, "send", send)
        EventLog.objects.filter(pk=log.pk).update(lease_until=db_now() - timedelta(seconds=1))
        importing.run(log.pk, aside=False)
        return named

    monkeypatch.setattr(keeping, "send", overtaken)
    with pytest.raises(LeaseLost):
        importing.run(log.pk, aside=False)

    log.refresh_from_db()
    assert (log.state, log.generation, len(store.keys())) == (LogState.READY, 1, 8)
    assert of_tables(log, COUNT) == [(log.events,)]
    assert storage.sweep(db_now() + timedelta(hours=1)) == 4


def test_what_does_not_come_back_as_it_was_sent_is_never_named(store, monkeypatch):
    log, put = waiting(), Bucket.put

    def half(self, key, path):
        put(self, key, path)
        name = f"goldseam/logs/{key}"
        store.put(name, store.body(name)[:-1] + b"?")

    monkeypatch.setattr(Bucket, "put", half)
    log = importing.run(log.pk, aside=False)

    assert (log.state, log.generation, log.tables) == (LogState.IMPORTING, 0, {})
    assert "does not hold what was just put there" in log.error
    assert store.keys() == []


def test_the_sweep_leaves_what_another_installation_has_in_the_same_bucket(store):
    log = imported()
    other = "goldseam/logs/feedfeedfeedfeed/logs/77/g1-abc/events.parquet"
    store.put(other, b"theirs")
    store.put("elsewhere/file", b"nobody's")

    assert storage.sweep(db_now() + timedelta(hours=1)) == 0
    assert {other, "elsewhere/file"} < set(store.keys())
    actions.delete(log, actor="ann")
    assert storage.sweep(db_now() + timedelta(hours=1)) == 0 or connection.in_atomic_block
    assert {other, "elsewhere/file"} <= set(store.keys())


@pytest.mark.django_db(transaction=True)
def test_a_deleted_log_takes_its_objects_and_copies_with_it(store):
    log, other = imported(), imported()

    actions.delete(log, actor="ann")

    assert store.keys() == sorted(key_of(other, name) for name in storage.TABLES)
    assert not (cache.root() / str(log.pk or 0)).exists()
    assert len(copies()) == 4


@pytest.mark.django_db(transaction=True)
def test_objects_of_a_log_that_was_deleted_while_the_store_was_away_go_later(store, unreachable, settings):
    log, endpoint = imported(), settings.INSIGHTS_S3_ENDPOINT
    unreachable()

    actions.delete(log, actor="ann")

    assert len(store.keys()) == 4
    settings.INSIGHTS_S3_ENDPOINT = endpoint
    assert storage.sweep(db_now() + timedelta(hours=1)) == 4
    assert store.keys() == []


def test_objects_are_looked_over_once_an_hour_and_a_store_that_is_away_stops_no_sweep(store, unreachable, monkeypatch):
    looked = []
    monkeypatch.setattr(importing, "tidy_objects", lambda: looked.append(1))
    monkeypatch.setattr("insights.tasks.take_slot", lambda name, seconds: seconds < 3600 or not looked)

    tasks.sweep_imports()
    tasks.sweep_imports()
    monkeypatch.undo()
    unreachable()

    assert looked == [1]
    assert importing.tidy_objects() == 0
