"""Secrets at rest and on the way out: sealed, bound to their row, and in no log, row, error or repr."""

import secrets as random
from base64 import urlsafe_b64encode
from typing import Any

import pytest

from connectors import actions, registry, vault
from connectors.models import Connection
from connectors.redaction import HIDDEN, Redactor
from tests.connectors.factories import SECRET, make_crm, make_fo


def fresh_key() -> str:
    return urlsafe_b64encode(random.token_bytes(32)).decode()


def test_a_sealed_secret_opens_again_and_never_looks_the_same_twice(db: None) -> None:
    connection = make_fo()

    first, second = (vault.seal(connection, "client_secret", SECRET) for _ in range(2))

    assert first != second
    assert SECRET not in first
    assert vault.open_sealed(connection, "client_secret", first) == SECRET


def test_a_secret_moved_to_another_row_or_name_does_not_open(db: None) -> None:
    here, there = make_fo(), make_crm()
    sealed = here.secrets["client_secret"]

    for row, name in ((there, "client_secret"), (here, "api_key")):
        with pytest.raises(vault.CannotOpen, match="another row"):
            vault.open_sealed(row, name, sealed)


@pytest.mark.parametrize("place", [2, 3])
def test_a_changed_letter_is_noticed(db: None, place: int) -> None:
    connection = make_fo()
    parts = connection.secrets["client_secret"].split(".")
    parts[place] = ("A" if parts[place][5] != "A" else "B").join((parts[place][:5], parts[place][6:]))

    with pytest.raises(vault.CannotOpen):
        vault.open_sealed(connection, "client_secret", ".".join(parts))


@pytest.mark.parametrize("text", ["", "v1", "v1.a.b.c", "v2.a.b.c", "not sealed at all"])
def test_what_was_never_sealed_does_not_open(db: None, text: str) -> None:
    with pytest.raises(vault.CannotOpen):
        vault.open_sealed(make_fo(), "client_secret", text)


def test_a_new_key_seals_while_the_old_one_still_opens(db: None, settings: Any) -> None:
    connection = make_fo()
    old = connection.secrets["client_secret"]
    settings.CREDENTIAL_KEY = f"{fresh_key()},{settings.CREDENTIAL_KEY}"

    new = vault.seal(connection, "client_secret", SECRET)

    assert vault.open_sealed(connection, "client_secret", old) == SECRET
    assert (vault.needs_resealing(old), vault.needs_resealing(new)) == (True, False)


def test_after_resealing_the_old_key_is_not_needed_any_more(db: None, settings: Any) -> None:
    connection, new = make_fo(), fresh_key()
    settings.CREDENTIAL_KEY = f"{new},{settings.CREDENTIAL_KEY}"

    counts = [actions.reseal_secrets(actor="admin") for _ in range(2)]

    settings.CREDENTIAL_KEY = new
    connection.refresh_from_db()
    assert counts == [1, 0]
    assert vault.open_sealed(connection, "client_secret", connection.secrets["client_secret"]) == SECRET


def test_a_lost_key_is_said_so(db: None, settings: Any) -> None:
    connection = make_fo()
    settings.CREDENTIAL_KEY = fresh_key()

    with pytest.raises(vault.CannotOpen, match="not in CREDENTIAL_KEY"):
        vault.open_sealed(connection, "client_secret", connection.secrets["client_secret"])


@pytest.mark.parametrize("key", ["", "short", "!!!!", fresh_key()[:-4]], ids=["none", "short", "other", "cut"])
def test_a_key_of_the_wrong_size_is_refused(db: None, settings: Any, key: str) -> None:
    connection = make_fo()
    settings.CREDENTIAL_KEY = key

    with pytest.raises(vault.CannotOpen, match="32 bytes"):
        vault.seal(connection, "client_secret", SECRET)


def test_an_unsaved_row_holds_no_secret(db: None) -> None:
    with pytest.raises(vault.CannotOpen, match="saved"):
        vault.seal(Connection(slug="new"), "client_secret", SECRET)


def test_neither_the_row_nor_its_history_nor_a_connector_shows_a_secret(db: None) -> None:
    connection = make_fo()
    connector = registry.connector_for(connection)

    shown = f"{connection.__dict__} {list(connection.history.values())} {connector!r} {connector.redactor()!r}"

    assert SECRET not in shown
    assert connector.secret("client_secret") == SECRET


@pytest.mark.parametrize(
    "name",
    ["Authorization", "client_secret", "access_token", "api-key", "apikey", "Set-Cookie", "password", "MobilePhone"],
)
def test_fields_with_telling_names_are_hidden_wherever_they_stand(name: str) -> None:
    data = Redactor().data({"rows": [{"inner": {name: "value", "OrderNumber": "SO-1"}}]})

    assert data == {"rows": [{"inner": {name: HIDDEN, "OrderNumber": "SO-1"}}]}


def test_the_personal_fields_are_a_matter_of_settings(settings: Any) -> None:
    settings.REDACTED_FIELDS = ["Nickname"]

    assert Redactor().data({"nickname": "Bo", "email": "bo@goldseam.example"}) == {
        "nickname": HIDDEN,
        "email": "bo@goldseam.example",
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"the secret {SECRET} was refused", "the secret ••• was refused"),
        ("Authorization: Bearer eyJ0eXAiOiJKV1Qi.x.y", "Authorization: Bearer •••"),
        ("Basic dXNlcjpwYXNzd29yZA==", "Basic •••"),
        ("a basic truth", "a basic truth"),
        ("longer sesame-open-up-please-and-more", "longer •••-and-more"),
    ],
)
def test_texts_lose_their_secrets(text: str, shown: str) -> None:
    assert Redactor([SECRET, "abc"]).text(text) == shown


def test_ordinary_business_words_are_left_alone() -> None:
    data = {"token_count": 3, "Subject": "Secretary of state", "signature_date": "2026-11-01", "amount": 1.5}

    assert Redactor().data(data) == data
