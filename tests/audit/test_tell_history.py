"""Field-level history: readable, newest first, without secrets, in a constant number of queries."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.history import Change, changes_of, difference, snapshot, told_of, without_secrets
from audit.models import BusinessUnit
from audit.people import Profile, put_user
from connectors.models import Connection
from tests.audit.factories import make_unit
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def change(row: Any, *, who: Any = None, why: str = "", **columns: Any) -> None:
    for name, value in columns.items():
        setattr(row, name, value)
    row._history_user, row._change_reason = who, why
    row.save()


def test_a_change_tells_when_who_why_and_what(operator):
    unit = make_unit()
    change(unit, who=operator, why="renamed by the board", name="Europe and Africa")

    newest, first = changes_of(unit)

    assert (newest.act, newest.who, newest.reason) == ("changed", "operator", "renamed by the board")
    assert newest.changes == [Change("name", "Name", "Europe", "Europe and Africa")]
    assert (first.act, first.who) == ("added", "system")
    assert newest.at >= first.at


def test_the_first_version_tells_what_it_began_with():
    line = changes_of(make_unit(currency="CHF"))[0]

    assert {change.field: change.after for change in line.changes} == {
        "slug": "EU",
        "name": "Europe",
        "regions": ["DE", "NL", "FR"],
        "currency": "CHF",
    }
    assert {change.before for change in line.changes} == {None}


def test_saving_without_a_change_tells_nothing():
    unit = make_unit()
    unit.save()
    unit.save()

    assert [line.act for line in changes_of(unit)] == ["added"]


def test_inside_structured_values_only_the_parts_that_differ_are_told():
    row = Connection.objects.create(slug="fo", kind="dynamics_fo", label="F&O", config={"a": {"x": 1, "y": 2}, "b": 3})
    change(row, config={"a": {"x": 1, "y": 5}, "c": 4})

    told = changes_of(row)[0].changes

    assert [(part.field, part.before, part.after) for part in told] == [
        ("config.a.y", 2, 5),
        ("config.b", 3, None),
        ("config.c", None, 4),
    ]
    assert told[0].label == "Config · a · y"


def test_secrets_are_told_as_set_or_changed_only():
    row = Connection.objects.create(
        slug="fo", kind="x", label="x", hook_secret_digest="a" * 64, config={"password": "p1"}
    )
    change(row, hook_secret_digest="b" * 64, config={"password": "p2", "deep": {"client_secret": "s"}})

    told = changes_of(row)[0].changes

    assert [(part.field, part.before, part.after) for part in told] == [
        ("config.password", "set", "changed"),
        ("config.deep", None, {"client_secret": "set"}),
        ("hook_secret_digest", "set", "changed"),
    ]


def test_related_rows_are_told_by_name_even_when_they_are_gone():
    ada, bob = make_user("ada"), make_user("bob")
    row = Connection.objects.create(slug="fo", kind="x", label="x", owner=ada)
    change(row, owner=bob)
    change(row, owner=None)
    ada_was = ada.pk
    ada.delete()

    last, middle = changes_of(row)[:2]

    assert [(part.before, part.after) for part in last.changes] == [("bob", None)]
    assert [(part.before, part.after) for part in middle.changes] == [(f"#{ada_was}", "bob")]


def test_a_deleted_row_still_tells_its_end():
    unit = make_unit()
    key = unit.pk
    unit.delete()
    unit.pk = key

    assert [line.act for line in changes_of(BusinessUnit(pk=key))] == ["deleted", "added"]


def test_a_long_history_is_cut_to_the_latest_and_costs_the_same():
    unit = make_unit()
    for number in range(12):
        change(unit, name=f"name {number}")

    with CaptureQueriesContext(connection) as queries:
        lines = changes_of(unit, limit=5)

    assert [line.changes[0].after for line in lines] == [f"name {number}" for number in (11, 10, 9, 8, 7)]
    assert len(queries) == 1


def test_a_person_has_the_history_that_the_ledger_tells():
    make_user("ada", role="viewer")
    user, _ = put_user(Profile("ada", roles=["operator"]), actor="admin", reason="promoted")

    newest, first = told_of(user)

    assert (newest.act, newest.who, newest.reason) == ("user.changed", "admin", "promoted")
    assert newest.changes == [Change("roles", "Roles", ["viewer"], ["operator"])]
    assert first.act == "user.added"


def test_a_snapshot_holds_columns_and_names_of_many_to_many():
    user = make_user("ada", role=["viewer", "operator"])

    told = snapshot(user)

    assert (told["username"], told["groups"]) == ("ada", ["operator", "viewer"])


def test_a_difference_is_fit_for_the_ledger():
    before = {"name": "a", "secrets": {"x": "1"}, "config": {"token_url": "u", "api_key": "k"}, "same": 1}
    after = {"name": "b", "secrets": {}, "config": {"token_url": "v", "api_key": "k"}, "same": 1}

    assert difference(before, after) == (
        {"name": "a", "secrets": "set", "config": {"token_url": "u", "api_key": "set"}},
        {"name": "b", "secrets": "not set", "config": {"token_url": "v", "api_key": "set"}},
    )


def test_secrets_are_veiled_at_any_depth():
    assert without_secrets({"a": [{"client_secret": "x"}], "Password": "", "b": 1}) == {
        "a": [{"client_secret": "set"}],
        "Password": "not set",
        "b": 1,
    }
