"""Tables in an object store that is damaged, robbed or out of reach: told in words, never half read. Both databases."""

import threading
from datetime import timedelta

import pytest
from django.urls import reverse

from audit.clock import db_now
from insights import storage
from insights.engines import TableGone
from insights.eventlog import importing
from insights.eventlog.continuous import Happening, append, log_of
from insights.mining.asking import of_tables
from insights.models import EventLog
from insights.objectstore import cache, keeping
from insights.objectstore.bucket import Bucket
from insights.objectstore.faults import StoreDamaged, StoreUnavailable
from insights.states import LogState
from insights.views.asked import TABS
from tests.insights.factories import at
from tests.insights.storing import COUNT, NOWHERE, copies, empty_cache, imported, key_of, orders, waiting

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_bells(monkeypatch):
    monkeypatch.setattr("incidents.bells.ring", lambda task, **ids: True)


# --- Damage and loss -----------------------------------------------------------------------------


def test_a_damaged_object_is_told_and_never_read(store):
    log = imported()
    body = store.body(key_of(log))
    store.put(key_of(log), bytes([body[0] ^ 1]) + body[1:])
    empty_cache()

    with pytest.raises(StoreDamaged, match="not what was put there"):
        of_tables(log, COUNT)
    assert not any(log.tables["events"]["sha256"] in name for name in copies())


def test_an_object_of_another_size_is_told(store):
    log = imported()
    store.put(key_of(log), store.body(key_of(log)) + b"more")
    empty_cache()

    with pytest.raises(StoreDamaged, match="Import the log again"):
        of_tables(log, COUNT)


def test_an_object_that_is_gone_is_a_table_that_is_gone(store):
    log = imported()
    store.remove(key_of(log))
    empty_cache()

    with pytest.raises(TableGone):
        of_tables(log, COUNT)


def test_a_damaged_copy_is_fetched_again(store):
    log = imported()
    path = storage.table(log, "events")
    path.write_bytes(b"x" * path.stat().st_size)

    assert of_tables(log, COUNT) == [(log.events,)]
    assert cache.digest_of(cache.chunks_of(path))[1] == log.tables["events"]["sha256"]


def test_a_copy_that_goes_while_it_is_asked_comes_again(store, monkeypatch):
    log = imported()
    engine = "insights.engines.duck.DuckEngine.ask"
    from insights.engines.duck import DuckEngine

    ask, seen = DuckEngine.ask, []

    def robbed(self, tables, sql, parameters=()):
        if not seen:
            tables["events"].unlink()
        seen.append(sql)
        return ask(self, tables, sql, parameters)

    monkeypatch.setattr(engine, robbed)

    assert of_tables(log, COUNT) == [(log.events,)]
    assert len(seen) == 2


def test_the_engine_reaches_the_copies_of_one_log_alone(store):
    mine, other = imported(), imported(content=orders(3))
    theirs = str(storage.table(other, "cases")).replace("'", "''")

    with pytest.raises(Exception, match=r"(?i)permission|disabled"):
        of_tables(mine, f"SELECT count(*) FROM read_parquet('{theirs}')")


def test_several_threads_fetch_one_copy_once(store, monkeypatch):
    log, read, taken = imported(), Bucket.read, []
    empty_cache()
    named = log.tables["events"]

    def counted(self, key, size):
        taken.append(key)
        yield from read(self, key, size)

    monkeypatch.setattr(Bucket, "read", counted)
    threads = [threading.Thread(target=keeping.local, args=(log, named)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert taken == [named["key"]]
    assert copies() == [f"{named['sha256']}.parquet"]


# --- Out of reach --------------------------------------------------------------------------------


def test_an_import_waits_for_a_store_that_is_away_and_goes_on_by_itself(store, unreachable, settings):
    log, endpoint = waiting(), settings.INSIGHTS_S3_ENDPOINT
    unreachable()

    log = importing.run(log.pk, aside=False)

    assert (log.state, log.generation, log.attempts) == (LogState.IMPORTING, 0, 0)
    assert "cannot be reached just now" in log.error
    assert importing.due() == []
    EventLog.objects.filter(pk=log.pk).update(lease_until=db_now() - timedelta(seconds=1))
    assert importing.due() == [log.pk]
    settings.INSIGHTS_S3_ENDPOINT = endpoint
    log = importing.run(log.pk, aside=False)
    assert (log.state, log.error, len(store.keys())) == (LogState.READY, "", 4)


def test_a_growing_log_waits_too_and_loses_nothing(store, unreachable, settings):
    endpoint = settings.INSIGHTS_S3_ENDPOINT
    log = append(log_of("loop", "Life"), [Happening("A", "open", at(0))], cursor=1)
    unreachable()
    with pytest.raises(StoreUnavailable):
        append(log, [Happening("A", "close", at(1))], cursor=2)
    log.refresh_from_db()
    assert (log.state, log.mapping["cursor"], log.lease_token) == (LogState.READY, 1, "")

    settings.INSIGHTS_S3_ENDPOINT = endpoint
    assert append(log, [Happening("A", "close", at(1))], cursor=2).events == 2


@pytest.mark.parametrize("page", [name for name, _ in TABS])
def test_every_page_says_what_to_do_when_the_store_is_away(client, automation, store, unreachable, page):
    log = imported()
    empty_cache()
    unreachable()
    client.force_login(automation)

    answer = client.get(reverse(page, args=[log.pk]))

    if page == "event_log_facts":
        assert (answer.status_code, "Delete this log" in answer.text) == (200, True)
        return
    assert answer.status_code == 503
    assert "The object store cannot be reached just now" in answer.text
    assert "/health/ready" in answer.text


def test_a_page_that_nobody_prepared_for_it_is_answered_too(client, automation, store, unreachable, monkeypatch):
    log = imported()
    empty_cache()
    unreachable()
    client.force_login(automation)
    monkeypatch.setattr("insights.views.state.live_answer", lambda *_: storage.table(log, "events"))
    EventLog.objects.filter(pk=log.pk).update(state=LogState.IMPORTING)

    answer = client.get(reverse("event_log_live", args=[log.pk]))

    assert (answer.status_code, answer["Retry-After"]) == (503, "30")
    assert "Try again in half a minute" in answer.text


def test_the_api_answers_503_and_says_when_to_come_back(api, automation, store, unreachable):
    log = imported()
    empty_cache()
    unreachable()

    answer = api(automation).get(f"/api/v1/event-logs/{log.pk}/process-map/")

    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (503, "store_unavailable", "30")


def test_the_waiting_page_says_what_the_import_waits_for(client, automation, store, unreachable):
    log = waiting()
    unreachable()
    importing.run(log.pk, aside=False)
    client.force_login(automation)

    answer = client.get(reverse("event_log", args=[log.pk]))

    assert answer.status_code == 200
    assert "It waits. The object store cannot be reached just now" in answer.text


def test_health_tells_of_the_store_by_the_kind_of_failure(client, store, settings):
    def told():
        from django.core.cache import cache as django_cache

        django_cache.clear()
        answer = client.get("/health/ready")
        return answer.status_code, answer.json()["checks"]["store"]

    assert told() == (200, {"name": "store", "status": "ok", "detail": "reachable", "seconds": None})
    settings.INSIGHTS_STORE = "s3://no-such-bucket"
    assert "(bucket)" in told()[1]["detail"]
    settings.INSIGHTS_S3_ENDPOINT = NOWHERE
    status, check = told()
    assert (status, check["status"]) == (200, "warn")
    assert "(connect)" in check["detail"]
    assert "127.0.0.1" not in check["detail"]
    settings.INSIGHTS_STORE = ""
    assert told()[1]["detail"] == "event logs lie in the data folder"
