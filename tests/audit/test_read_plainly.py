"""The reads of every call: fewer statements, and the same rows as the ORM's."""

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit import bearers
from audit.access import roles_of
from audit.models import ApiToken, Scope
from audit.plainrows import build, columns, names
from audit.prepared import fetch_all, fetch_one
from tests.factories import make_token, make_user, token_row

pytestmark = pytest.mark.django_db


def test_a_row_is_the_same_as_the_orms(auditor):
    row = token_row(make_token(auditor, scopes=["audit:read"], days=3))

    values = fetch_one(f"SELECT {columns(ApiToken, 't')} FROM audit_apitoken t WHERE t.id = %s", [row.pk])
    built = build(ApiToken, values or ())

    assert built is not None
    assert [getattr(built, name) for name in names(ApiToken)] == [getattr(row, name) for name in names(ApiToken)]
    assert built._state.adding is False


def test_a_row_that_an_outer_join_did_not_find_is_none():
    assert build(Scope, (None, None, None, None)) is None


def test_a_token_brings_user_scope_and_roles_in_one_statement(auditor):
    row = token_row(make_token(auditor))

    with CaptureQueriesContext(connection) as queries:
        found = bearers.find(row.digest)
        assert found is not None
        user = found[0].user
        assert (user.username, user.scope.regions, roles_of(user)) == ("auditor", ["*"], {"auditor"})

    assert len(queries) == 1
    assert abs((found[1] - row.created_at).total_seconds()) < 60


def test_a_person_without_a_scope_is_not_asked_for_again(db):
    user = make_user("plain")
    Scope.objects.filter(user=user).delete()
    row = token_row(make_token(user))

    found = bearers.find(row.digest)

    assert found is not None
    with CaptureQueriesContext(connection) as queries:
        assert getattr(found[0].user, "scope", None) is None
    assert len(queries) == 0


def test_a_group_with_a_comma_in_its_name_gives_no_role(viewer):
    viewer.groups.set([Group.objects.create(name="team,operator")])
    row = token_row(make_token(viewer))

    found = bearers.find(row.digest)

    assert found is not None
    assert roles_of(found[0].user) == frozenset()


def test_an_unknown_digest_is_nobody():
    assert bearers.find("0" * 64) is None


@pytest.mark.parametrize("age", [0, 60])
def test_statements_answer_alike_with_and_without_kept_connections(monkeypatch, age):
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", age)

    answers = [fetch_all("SELECT n, hash FROM audit_head WHERE id = %s", [number]) for number in (7, 7, 8)]

    assert answers == [[], [], []]
    assert fetch_one("SELECT COUNT(*) FROM audit_apitoken WHERE digest = %s", ["x"]) == (0,)


def test_nothing_else_is_planned_ahead():
    fetch_one("SELECT COUNT(*) FROM audit_apitoken WHERE digest = %s", ["x"])

    assert getattr(connection.connection, "prepare_threshold", None) is None
