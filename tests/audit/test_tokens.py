"""API tokens: issued once, recognised, narrowed by scopes, ended by time or by hand."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.clock import db_now
from audit.errors import Invalid
from audit.models import ApiToken, Entry
from audit.people import issue_token, revoke_token
from audit.tokens import covers, digest_of, is_scope, scope_needed
from tests.factories import make_token, token_row

pytestmark = pytest.mark.django_db
URL = "/api/v1/audit/entries/"


def ask(client: Any, token: str) -> Any:
    return client.get(URL, headers={"Authorization": f"Bearer {token}"})


def test_a_token_stands_for_its_user(client, auditor):
    assert ask(client, make_token(auditor)).status_code == 200


def test_only_the_digest_of_a_token_is_kept(auditor):
    text = make_token(auditor)

    row = token_row(text)

    assert text.startswith("gs_")
    assert len(text) > 40
    assert (row.digest, row.prefix) == (digest_of(text), text[:10])
    assert text not in str(ApiToken.objects.values())
    assert text not in "".join(Entry.objects.values_list("body", flat=True))


def test_issuing_and_revoking_are_entered(auditor):
    token, _ = issue_token(auditor, name="feed", actor="admin", scopes=["audit:read"], days=3)
    revoke_token(token, actor="admin", reason="no longer used")

    issued, revoked = Entry.objects.filter(verb__startswith="token.").order_by("n")

    assert (issued.verb, issued.actor, issued.target_id) == ("token.issued", "admin", str(token.pk))
    assert '"scopes":["audit:read"]' in issued.body
    assert (revoked.verb, revoked.reason) == ("token.revoked", "no longer used")


@pytest.mark.parametrize("header", ["Bearer gs_nonsense", "Bearer", "Bearer a b", "Bearer gs_\xfc", "bearer x"])
def test_what_is_no_token_is_401_with_a_challenge(client, header):
    response = client.get(URL, headers={"Authorization": header})

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Bearer realm="goldseam"'
    assert response["Content-Type"] == "application/problem+json"


def test_no_token_at_all_is_401(client):
    assert client.get(URL).status_code == 401


def test_a_revoked_token_ends_at_once(client, auditor):
    text = make_token(auditor)
    revoke_token(token_row(text), actor="admin")

    response = ask(client, text)

    assert (response.status_code, response.json()["detail"]) == (401, "This token was revoked.")


def test_revoking_twice_is_entered_once(auditor):
    token = token_row(make_token(auditor))

    assert [revoke_token(token, actor="admin"), revoke_token(token, actor="admin")] == [True, False]
    assert Entry.objects.filter(verb="token.revoked").count() == 1


def test_a_token_ends_with_its_time(client, auditor):
    text = make_token(auditor, days=1)
    assert ask(client, text).status_code == 200

    ApiToken.objects.update(expires_at=db_now() - timedelta(seconds=1))

    assert ask(client, text).json()["detail"] == "This token has expired."


def test_a_token_of_a_person_who_left_is_unknown(client, auditor):
    text = make_token(auditor)
    User.objects.filter(pk=auditor.pk).update(is_active=False)

    assert ask(client, text).status_code == 401


def test_a_token_is_found_with_one_query_that_brings_user_and_scope(auditor):
    from audit.tokens import TokenAuthentication

    text = make_token(auditor)

    with CaptureQueriesContext(connection) as queries:
        token = TokenAuthentication().find(text.encode())
        assert token.user.scope.business_units == ["*"]

    assert len(queries) == 1


def test_use_is_noted_at_most_once_a_minute(client, auditor):
    text = make_token(auditor)
    ask(client, text)
    first = token_row(text).last_used_at

    ask(client, text)
    assert token_row(text).last_used_at == first

    ApiToken.objects.update(last_used_at=db_now() - timedelta(seconds=61))
    ask(client, text)
    assert token_row(text).last_used_at >= first


# --- Scopes --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/api/v1/incidents/7/", "incidents:read"),
        ("HEAD", "/api/v1/incidents/", "incidents:read"),
        ("POST", "/api/v1/signals/", "signals:write"),
        ("POST", "/api/v1/incidents/7/hold/", "incidents:write"),
        ("GET", "/metrics", "metrics:read"),
        ("GET", "/odata/v4/Incidents", "odata:read"),
        ("DELETE", "/", "api:write"),
    ],
)
def test_the_scope_of_a_call_follows_from_method_and_path(method, path, scope):
    assert scope_needed(method, path) == scope


@pytest.mark.parametrize(
    ("scopes", "needed", "enough"),
    [
        ([], "incidents:write", True),
        (["read"], "incidents:read", True),
        (["read"], "incidents:write", False),
        (["write"], "incidents:write", True),
        (["write"], "incidents:read", True),
        (["signals:write"], "signals:write", True),
        (["signals:write"], "signals:read", True),
        (["signals:write"], "incidents:read", False),
        (["signals:read"], "signals:write", False),
        (["incidents:read", "signals:write"], "incidents:read", True),
    ],
)
def test_scopes_cover_what_they_name(scopes, needed, enough):
    assert covers(scopes, needed) is enough


@pytest.mark.parametrize("text", ["read", "write", "signals:write", "dead-letters:read"])
def test_a_scope_is_written_so(text):
    assert is_scope(text)


@pytest.mark.parametrize(
    "text", ["", "all", "Signals:write", "signals:", "signals:delete", "signals:write ", "a:b:read"]
)
def test_nothing_else_is_a_scope(text, auditor):
    assert not is_scope(text)
    with pytest.raises(Invalid):
        issue_token(auditor, name="x", actor="admin", scopes=[text])


def test_a_token_with_too_narrow_a_scope_is_403_and_says_which(client, auditor):
    response = ask(client, make_token(auditor, scopes=["signals:write"]))

    assert response.status_code == 403
    assert response.json()["detail"] == "This token lacks the scope audit:read."


def test_a_token_with_the_scope_that_the_view_names_may(client, auditor):
    assert ask(client, make_token(auditor, scopes=["audit:read"])).status_code == 200


def test_a_scope_gives_nothing_that_the_user_may_not(client, viewer):
    assert ask(client, make_token(viewer, scopes=["audit:read"])).status_code == 403


# --- The command ---------------------------------------------------------------------------------
def test_the_command_prints_a_working_token_and_nothing_else(client, auditor, capsys):
    call_command("issue_token", "auditor", name="pipeline", days=7, scope=["audit:read"])

    text = capsys.readouterr().out.strip()

    assert ask(client, text).status_code == 200
    row = token_row(text)
    assert (row.name, row.scopes) == ("pipeline", ["audit:read"])
    assert row.expires_at is not None
    assert Entry.objects.get(verb="token.issued").channel == "command"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ghost"], "There is no user 'ghost'"),
        (["auditor", "--days", "0"], "--days must be at least 1"),
        (["auditor", "--scope", "everything"], "No such scope: everything"),
    ],
)
def test_the_command_says_what_is_wrong(auditor, arguments, message):
    with pytest.raises(CommandError, match=message):
        call_command("issue_token", *arguments)
