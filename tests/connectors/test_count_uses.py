"""Uses of operations are added up by day, each call once, and what is not counted yet is read from the log."""

import threading
from datetime import timedelta

import pytest
from django.db import connection as database
from django.db import connections
from django.test.utils import CaptureQueriesContext

from audit.clock import db_now
from connectors import tasks
from connectors.door.uses import OperationUse, UseMark
from connectors.models import Call, Connection
from connectors.rights import counting
from connectors.rights import report as rights
from tests.connectors.factories import make_fo
from tests.connectors.rights_world import NOW, aged, called, named  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db


@pytest.fixture
def fo() -> Connection:
    return make_fo()


def sums() -> list[tuple[str, str, str, int, int]]:
    rows = OperationUse.objects.order_by("operation", "direction", "day")
    return [(row.operation, row.direction, f"{row.day:%m-%d}", row.calls, row.refused) for row in rows]


def test_calls_are_summed_by_operation_direction_and_day(fo):
    called(fo, "invoice.credit", n=2)
    called(fo, "invoice.credit", outcome="refused")
    called(fo, "invoice.credit", "observe")
    called(fo, "order.get", "read", days=2)

    assert counting.count() == 5
    assert sums() == [
        ("invoice.credit", "observe", "03-09", 1, 0),
        ("invoice.credit", "write", "03-09", 3, 0),
        ("order.get", "read", "03-08", 1, 0),
    ]


def test_what_our_own_rules_refused_is_no_use(fo):
    called(fo, "invoice.credit", outcome="blocked", n=3)
    counting.count()

    assert sums() == [("invoice.credit", "write", "03-09", 0, 3)]
    assert OperationUse.objects.get().last_at is None


def test_each_call_is_counted_once_and_later_ones_are_added(fo):
    called(fo, "invoice.credit")
    assert (counting.count(), counting.count()) == (1, 0)
    called(fo, "invoice.credit", days=0.9)

    assert counting.count() == 1
    assert sums() == [("invoice.credit", "write", "03-09", 2, 0)]
    assert OperationUse.objects.get().last_at == NOW - timedelta(days=0.9)


def test_tests_and_polls_are_no_operations(fo):
    called(fo, "check", "check")
    called(fo, "poll", "poll")

    assert counting.count() == 2
    assert sums() == []


def test_what_may_still_be_on_its_way_into_the_log_waits(fo):
    called(fo, "invoice.credit")
    Call.objects.create(connection=fo, operation="order.get", direction="read", actor="x", started_at=db_now())

    assert counting.count() == 1
    assert [row[0] for row in sums()] == ["invoice.credit"]


def test_one_turn_of_the_schedule_counts_what_waits(fo, monkeypatch):
    monkeypatch.setattr(counting, "BATCH", 3)
    called(fo, "invoice.credit", n=8)

    assert tasks.count_uses() == 8
    assert sums() == [("invoice.credit", "write", "03-09", 8, 0)]


def test_what_is_not_counted_yet_shows_all_the_same(fo, named):  # noqa: F811
    called(fo, "invoice.credit", n=2)
    counting.count()
    called(fo, "invoice.credit", days=0.5)

    one = next(one for one in rights.report(fo, 90, NOW).rights if one.name == "invoice.credit")

    assert one.used.calls == 3
    assert one.used.last_at == NOW - timedelta(days=0.5)


def test_while_much_waits_to_be_counted_nothing_is_called_unused(fo, named, monkeypatch):  # noqa: F811
    monkeypatch.setattr(counting, "MOST_UNCOUNTED", 2)
    aged(fo)
    called(fo, "order.get", "read", n=5)

    before = rights.report(fo, 90, NOW)
    counting.count()
    after = rights.report(fo, 90, NOW)

    assert (before.whole, before.removable) == (False, ())
    assert after.whole
    assert "invoice.credit" in [one.name for one in after.removable]


def test_the_report_asks_as_much_of_ten_thousand_calls_as_of_one(fo, named):  # noqa: F811
    called(fo, "order.get", "read")
    counting.count()
    with CaptureQueriesContext(
        database,
    ) as few:
        rights.report(fo, 90, NOW)
    called(fo, "order.get", "read", n=3000)
    counting.count()
    with CaptureQueriesContext(database) as many:
        rights.report(fo, 90, NOW)

    assert len(few) == len(many)


def test_all_connections_are_looked_at_in_as_many_statements_as_one(named):  # noqa: F811
    first = make_fo(slug="a")
    with CaptureQueriesContext(database) as one:
        rights.reports([first], 90, NOW)
    more = [make_fo(slug=slug) for slug in ("b", "c", "d")]
    with CaptureQueriesContext(database) as four:
        rights.reports([first, *more], 90, NOW)

    assert len(one) == len(four)


@pytest.mark.django_db(transaction=True)
def test_two_beats_at_once_count_each_call_once():
    fo = make_fo()
    for back in range(1, 5):
        called(fo, "invoice.credit", days=back, n=10)
    start, counted = threading.Barrier(2), []

    def beat() -> None:
        start.wait()
        counted.append(counting.count())
        connections.close_all()

    beats = [threading.Thread(target=beat) for _ in range(2)]
    for one in beats:
        one.start()
    for one in beats:
        one.join()

    assert sum(counted) == 40
    assert sum(OperationUse.objects.values_list("calls", flat=True)) == 40
    assert UseMark.objects.count() == 1
