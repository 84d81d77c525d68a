"""Logs move between the data folder and the object store, whole or not at all, and answer all the while."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from insights import storage
from insights.eventlog import importing
from insights.eventlog.continuous import Happening, append, log_of
from insights.eventlog.importing import LeaseLost
from insights.eventlog.moving import move, to_move
from insights.mining.asking import of_tables
from insights.models import EventLog
from insights.objectstore.bucket import Bucket
from insights.objectstore.faults import StoreUnavailable
from tests.insights.factories import at
from tests.insights.storing import COUNT, copies, empty_cache, imported, key_of, waiting

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_bells(monkeypatch):
    monkeypatch.setattr("incidents.bells.ring", lambda task, **ids: True)


@pytest.fixture
def near(store, settings):
    """A log in the data folder, of an installation that has just got a store."""
    named, settings.INSIGHTS_STORE = settings.INSIGHTS_STORE, ""
    log = imported()
    settings.INSIGHTS_STORE = named
    return log


def said(*arguments):
    out = StringIO()
    call_command("move_event_logs", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def lying(log):
    return sorted(path.name for path in storage.generation(log).glob("*.parquet"))


def test_a_log_moves_there_and_back(near, store):
    growing = append(log_of("loop", "Life"), [Happening("A", "open", at(0))], cursor=1)
    assert to_move(to_store=True) == [near]

    assert "1 logs were moved" in said()
    near.refresh_from_db()
    assert (near.generation, near.lease_token, near.progress, lying(near)) == (1, "", 1.0, [])
    assert key_of(near) in store.keys()  # noqa: SIM118 - a method
    empty_cache()
    assert of_tables(near, COUNT) == [(near.events,)]
    assert "already" in said()

    assert "2 logs were moved" in said("--to-folder")
    near.refresh_from_db()
    growing.refresh_from_db()
    assert (near.tables, growing.tables, len(lying(near)), store.keys(), copies()) == ({}, {}, 4, [], [])
    assert of_tables(near, COUNT) == [(near.events,)]
    assert append(growing, [Happening("A", "close", at(1))], cursor=2).events == 2


def test_a_move_that_breaks_off_changes_nothing(near, store, monkeypatch):
    def away(self, key, path):
        raise StoreUnavailable("The object store cannot be reached just now.")

    monkeypatch.setattr(Bucket, "put", away)

    with pytest.raises(CommandError, match="1 of 1 logs were not moved"):
        said()
    near.refresh_from_db()
    assert (near.tables, near.lease_token, len(lying(near))) == ({}, "", 4)
    assert of_tables(near, COUNT) == [(near.events,)]


def test_a_log_that_somebody_imports_is_left_to_them(near):
    importing.claim(waiting().pk)
    EventLog.objects.filter(pk=near.pk).update(state="importing")

    with pytest.raises(LeaseLost):
        move(near, to_store=True)
    assert lying(near) == ["activities.parquet", "cases.parquet", "events.parquet", "variants.parquet"]


def test_a_move_that_was_taken_over_names_nothing(near, store, monkeypatch):
    send = storage.send

    def overtaken(log, told):
        send(log, told)
        EventLog.objects.filter(pk=log.pk).update(lease_token="another")

    monkeypatch.setattr(storage, "send", overtaken)

    with pytest.raises(LeaseLost):
        move(near, to_store=True)
    near.refresh_from_db()
    assert (near.tables, near.lease_token, len(lying(near))) == ({}, "another", 4)


def test_without_a_store_there_is_nowhere_to_go(settings):
    with pytest.raises(CommandError, match="INSIGHTS_STORE"):
        said()
