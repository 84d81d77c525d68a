"""Writing the ledger: what an entry holds, and that it commits or vanishes with what it tells of."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from audit import ledger
from audit.actions import LedgerUnavailable, Line, entry_hash, record, record_all
from audit.context import Source, coming_from, with_token
from audit.models import BusinessUnit, Entry, Head
from audit.proofs import GENESIS
from tests.audit.factories import make_entries, make_entry, make_unit
from tests.racing import numbered

pytestmark = pytest.mark.django_db


@transaction.atomic
def make_unit_with_entry() -> None:
    make_unit()
    record("businessunit.added", actor="admin")


def test_the_first_entry_continues_the_beginning_of_all_chains():
    entry = make_entry()

    assert (entry.n, entry.previous_hash) == (1, GENESIS)
    assert Head.objects.get().hash == entry.hash


def test_each_entry_carries_the_hash_of_the_one_before_it():
    first, second, third = make_entries(3)

    assert [first.n, second.n, third.n] == [1, 2, 3]
    assert (second.previous_hash, third.previous_hash) == (first.hash, second.hash)


def test_what_the_database_returns_hashes_to_what_was_written():
    make_entry(before={"amount": Decimal("12.50")}, after={"at": datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)})

    entry = Entry.objects.get()

    assert entry_hash(entry) == entry.hash
    assert entry.body == '{"after":{"at":"2026-01-02T03:04:05.000678+00:00"},"before":{"amount":"12.50"}}'


def test_an_entry_tells_where_the_action_came_from():
    with coming_from(Source("api", "r1", "10.0.0.7")):
        with_token("gs_abcdefg")
        entry = make_entry()

    assert (entry.channel, entry.request_id, entry.address, entry.token) == ("api", "r1", "10.0.0.7", "gs_abcdefg")


def test_a_row_as_target_lends_its_type_and_key():
    unit = make_unit()

    entry = make_entry("businessunit.added", target=unit)

    assert (entry.target_type, entry.target_id) == ("audit.businessunit", str(unit.pk))


def test_text_that_no_database_stores_is_made_storable():
    entry = make_entry(reason="a\x00b\ud800c", after={"text": "\ud800", "nul": "\x00"})

    stored = Entry.objects.get(n=entry.n)

    assert stored.reason == "a\ufffdb?c"
    assert entry_hash(stored) == stored.hash


def test_texts_longer_than_their_columns_are_cut():
    entry = make_entry("v" * 300, actor="a" * 300, target="t" * 300, business_unit="u" * 60, region="r" * 60)

    assert [len(part) for part in (entry.verb, entry.actor, entry.target_id, entry.business_unit)] == [
        100,
        200,
        200,
        40,
    ]


def test_many_lines_are_entered_in_order_with_a_fixed_number_of_statements():
    make_entry()
    lines = [Line(f"signal.{number}", "system:intake", reason='“quoted”, \\ and "so"') for number in range(50)]

    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        record_all(lines)

    entered = Entry.objects.order_by("n")[1:]
    assert [(entry.verb, entry.reason) for entry in entered] == [(line.verb, line.reason) for line in lines]
    assert len(queries) == (2 if connection.vendor == "postgresql" else 3)


def test_one_line_takes_one_statement_fewer_where_the_database_can():
    make_entry()

    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        record_all([Line("signal.1", "system:intake")])

    assert len(queries) == (2 if connection.vendor == "postgresql" else 3)


def test_no_lines_need_nothing():
    assert record_all([]) == []
    assert not Entry.objects.exists()


def test_an_entry_vanishes_with_the_transaction_that_it_tells_of():
    make_entry()

    with transaction.atomic():
        record("incident.opened", actor="operator")
        transaction.set_rollback(True)

    assert Entry.objects.count() == 1
    assert Head.objects.get().n == 1


@pytest.mark.django_db(transaction=True)
def test_outside_a_transaction_nothing_is_entered():
    with pytest.raises(LedgerUnavailable, match="inside the transaction"):
        record("incident.opened", actor="operator")

    assert not Entry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_where_the_end_of_the_chain_is_missing_nothing_happens():
    make_entry()
    Head.objects.all().delete()

    with pytest.raises(LedgerUnavailable):
        make_unit_with_entry()

    assert not BusinessUnit.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_where_the_ledger_cannot_be_written_nothing_happens():
    first = make_entry()
    Entry.objects.create(n=2, at=first.at, actor="intruder", verb="x", previous_hash=first.hash, hash="f" * 64)

    with pytest.raises(LedgerUnavailable):
        make_unit_with_entry()

    assert not BusinessUnit.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_parallel_writers_leave_one_chain_without_gaps():
    def write(number: int) -> None:
        for turn in range(10):
            make_entry(f"writer{number}.turn{turn}")

    results = numbered(6, write)

    assert results == [None] * 6
    assert list(Entry.objects.order_by("n").values_list("n", flat=True)) == list(range(1, 61))
    assert ledger.verify().broken is None


@pytest.mark.django_db(transaction=True)
def test_the_first_writers_of_an_empty_database_agree_on_one_beginning():
    Head.objects.all().delete()

    results = numbered(6, lambda number: make_entry(f"writer{number}.came").n)

    assert sorted(results) == [1, 2, 3, 4, 5, 6]
    assert ledger.verify().broken is None


@pytest.mark.django_db(transaction=True)
def test_a_writer_that_gives_up_leaves_no_gap_for_those_that_waited():
    def write(number: int) -> None:
        with transaction.atomic():
            record(f"writer{number}.came", actor="system:test")
            if number % 2:
                raise ValueError

    numbered(8, write)

    assert list(Entry.objects.order_by("n").values_list("n", flat=True)) == [1, 2, 3, 4]
    assert ledger.verify().broken is None
