"""The database itself refuses to change or remove what stands in the ledger, whoever asks."""

import pytest
from django.db import DatabaseError, connection, transaction

from audit import triggers
from audit.models import Entry
from tests.audit.factories import make_entries

pytestmark = pytest.mark.django_db


def run(sql: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit_entry SET reason = 'another' WHERE n = 2",
        "UPDATE audit_entry SET n = 99 WHERE n = 3",
        "DELETE FROM audit_entry WHERE n = 2",
        "DELETE FROM audit_entry",
    ],
)
def test_a_statement_that_changes_the_past_is_refused(sql):
    make_entries(3)

    with pytest.raises(DatabaseError, match="append-only"):
        run(sql)

    assert list(Entry.objects.values_list("n", "reason")) == [(1, "because"), (2, "because"), (3, "because")]


def test_emptying_the_table_is_refused():
    make_entries(2)
    sql = "TRUNCATE audit_entry" if connection.vendor == "postgresql" else "DELETE FROM audit_entry"

    with pytest.raises(DatabaseError, match="append-only"):
        run(sql)

    assert Entry.objects.count() == 2


def test_replacing_an_entry_is_refused():
    first = make_entries(2)[0]
    columns = "n, at, actor, verb, target_type, target_id, business_unit, region, reason, body, channel, request_id,"
    values = f"SELECT {columns} address, token, previous_hash, '{'0' * 64}' FROM audit_entry WHERE n = 1"
    how = "REPLACE" if connection.vendor == "sqlite" else "INSERT"

    with pytest.raises(DatabaseError):
        run(f"{how} INTO audit_entry ({columns} address, token, previous_hash, hash) {values}")

    assert Entry.objects.get(n=1).hash == first.hash


def test_the_models_own_ways_are_refused_too():
    entry = make_entries(1)[0]
    entry.reason = "another"

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        entry.save()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        entry.delete()


def test_whether_the_triggers_stand_can_be_told():
    assert triggers.installed(connection)

    with triggers.lifted(connection):
        assert not triggers.installed(connection)

    assert triggers.installed(connection)
