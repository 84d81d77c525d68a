"""When secrets were last taken is kept to the hour, whichever way they were used, and begins anew with a new one."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from audit.clock import db_now
from connectors import actions, gateway
from connectors.base import ConnectorError
from connectors.door import credential_uses
from connectors.door.uses import CredentialUse
from connectors.inbound import webhooks
from connectors.models import Connection
from tests.connectors.at_door import open_fo, read
from tests.connectors.factories import HOOK_SECRET, make_fo

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_noted() -> None:
    credential_uses.forget()


def used(connection: Connection, name: str = "client_secret") -> Any:
    return CredentialUse.objects.filter(connection=connection, name=name).values_list("used_at", flat=True).first()


def test_a_secret_that_is_set_has_not_been_used(played):
    fo = make_fo()
    row = CredentialUse.objects.get(connection=fo, name="client_secret")

    assert row.set_at is not None
    assert row.used_at is None


def test_a_call_that_signs_in_uses_its_secret(played):
    fo = open_fo(played)

    read(fo)

    assert used(fo) is not None
    assert used(fo, "hook_secret") is None


def test_a_refused_sign_in_is_a_use_too(played):
    fo = open_fo(played)
    played.on("POST", "token", httpx.Response(401, json={"error": "invalid_client"}))

    with pytest.raises(ConnectorError):
        read(fo)

    assert used(fo) is not None


def test_what_the_door_refuses_uses_no_secret(played):
    fo = open_fo(played)
    Connection.objects.update(enabled=False)

    with pytest.raises(ConnectorError):
        read(fo)

    assert used(fo) is None


def test_a_delivery_uses_the_hook_s_secret_and_no_other(client):
    fo = make_fo()
    webhooks.connection_of_hook("fo", HOOK_SECRET, in_path=False)

    assert used(fo, "hook_secret") is not None
    assert used(fo) is None


def test_a_wrong_secret_at_the_hook_is_no_use():
    fo = make_fo()

    with pytest.raises(webhooks.WrongSecret):
        webhooks.connection_of_hook("fo", "not-the-secret-at-all", in_path=False)

    assert used(fo, "hook_secret") is None


def test_within_an_hour_it_is_written_once(played):
    fo = open_fo(played)
    read(fo)
    with CaptureQueriesContext(database) as asked:
        read(fo)

    assert not [one for one in asked.captured_queries if "credentialuse" in one["sql"]]


def test_after_an_hour_it_is_written_again(played, monkeypatch):
    fo = open_fo(played)
    read(fo)
    long_ago = db_now() - timedelta(days=5)
    CredentialUse.objects.update(used_at=long_ago)
    later = credential_uses.time.monotonic() + 3601
    monkeypatch.setattr(credential_uses.time, "monotonic", lambda: later)

    read(fo)

    assert used(fo) > long_ago


def test_a_new_secret_begins_anew(played):
    fo = open_fo(played)
    read(fo)

    actions.set_secret(Connection.objects.get(pk=fo.pk), "client_secret", "another-secret-altogether", actor="x")
    assert used(fo) is None
    read(fo)

    assert used(fo) is not None


def test_a_model_s_key_counts_with_the_call(model):
    from tests.connectors.factories import make_model

    ai = make_model()
    gateway.check(ai, actor="x")

    assert used(ai, "api_key") is not None
