"""Keys that change, are lost or half-way replaced, and sealed texts that somebody tampered with."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit.models import Entry
from connectors import actions, gateway, registry, vault
from connectors.base import Blocked
from connectors.models import Call, Connection
from tests.connectors.factories import SECRET, Played, make_crm, make_fo


def key(letter: str) -> str:
    return urlsafe_b64encode(letter.encode() * 32).decode()


OLD, NEW, OTHER = key("o"), key("n"), key("x")


@pytest.fixture(autouse=True)
def _old_key(settings: Any) -> None:
    settings.CREDENTIAL_KEY = OLD


def opened(connection: Connection) -> str:
    fresh = Connection.objects.get(pk=connection.pk)
    return vault.open_sealed(fresh, "client_secret", fresh.secrets["client_secret"])


def changed(sealed: str, part: int, at: int) -> str:
    parts = sealed.split(".")
    content = bytearray(urlsafe_b64decode(parts[part] + "=="))
    content[at % len(content)] ^= 1
    parts[part] = urlsafe_b64encode(bytes(content)).decode().rstrip("=")
    return ".".join(parts)


@pytest.mark.parametrize("part", [2, 3])
@pytest.mark.parametrize("at", [0, 11, 12, 20, -1])
def test_any_changed_bit_of_key_or_content_is_noticed(db: None, part: int, at: int) -> None:
    connection = make_fo()

    with pytest.raises(vault.CannotOpen, match="was changed"):
        vault.open_sealed(connection, "client_secret", changed(connection.secrets["client_secret"], part, at))


@pytest.mark.parametrize(
    "sealed",
    ["", ".", "...", "v1.a.b", "v1.a.b.c.d", "v2.{id}.{key}.{text}", "v1.{id}.{text}.{key}", "v1.{id}..",
     "v1.{id}.AAAA.AAAA",
     "V1.{id}.{key}.{text}", "v1.{id}.{key}.", "v1.{id}.\u00fc.{text}"],
)  # fmt: skip
def test_a_text_of_another_form_does_not_open_and_says_which_secret(db: None, sealed: str) -> None:
    connection = make_fo()
    _, number, wrapped, text = connection.secrets["client_secret"].split(".")

    with pytest.raises(vault.CannotOpen, match="client_secret"):
        vault.open_sealed(connection, "client_secret", sealed.format(id=number, key=wrapped, text=text))


def test_two_rows_whose_secrets_were_swapped_open_neither(db: None, played: Played) -> None:
    fo, crm = make_fo(), make_crm()
    swapped = fo.secrets, crm.secrets
    Connection.objects.filter(pk=crm.pk).update(secrets=swapped[0])
    Connection.objects.filter(pk=fo.pk).update(secrets=swapped[1])

    for connection, operation in ((fo, "order.find"), (crm, "cases.by_order")):
        with pytest.raises(Blocked) as blocked:
            gateway.call(connection, operation, {"order": "1"}, actor="test")
        assert blocked.value.code == "credentials"

    assert played.requests == []
    assert set(Call.objects.values_list("outcome", flat=True)) == {"blocked"}


def test_half_of_one_secret_and_half_of_another_is_no_secret(db: None) -> None:
    connection = make_fo()
    first = connection.secrets["client_secret"].split(".")
    second = vault.seal(connection, "client_secret", "another").split(".")

    with pytest.raises(vault.CannotOpen):
        vault.open_sealed(connection, "client_secret", ".".join([*first[:3], second[3]]))


@pytest.mark.parametrize("text", ["", "x", "ü\u4e2d\U0001f511", "a.b.c", "x" * 100_000, "line\nline"])
def test_every_text_comes_back_as_it_was(db: None, text: str) -> None:
    connection = make_fo()

    assert vault.open_sealed(connection, "s", vault.seal(connection, "s", text)) == text


def test_a_rotation_that_stops_half_way_leaves_everything_open_and_goes_on(
    db: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fo, crm = make_fo(), make_crm()
    settings.CREDENTIAL_KEY = f"{NEW},{OLD}"
    seal = vault.seal

    def die(row: Connection, *rest: Any) -> str:
        if row.pk == crm.pk:
            raise KeyboardInterrupt
        return seal(row, *rest)

    monkeypatch.setattr(vault, "seal", die)
    with pytest.raises(KeyboardInterrupt):
        actions.reseal_secrets(actor="test")
    monkeypatch.setattr(vault, "seal", seal)

    assert (opened(fo), opened(crm)) == (SECRET, SECRET)
    assert actions.reseal_secrets(actor="test") == 1
    settings.CREDENTIAL_KEY = NEW
    assert (opened(fo), opened(crm)) == (SECRET, SECRET)


def test_what_is_not_valid_any_more_does_not_keep_the_old_key_alive(db: None, settings: Any) -> None:
    fo, crm = make_fo(), make_crm()
    Connection.objects.filter(pk=fo.pk).update(config={"of": "an older version"})
    Connection.objects.filter(pk=crm.pk).update(kind="withdrawn")
    settings.CREDENTIAL_KEY = f"{NEW},{OLD}"

    assert actions.reseal_secrets(actor="test") == 2

    settings.CREDENTIAL_KEY = NEW
    assert (opened(fo), opened(crm)) == (SECRET, SECRET)


def test_one_secret_that_does_not_open_is_told_after_all_others_are_done(db: None, settings: Any) -> None:
    broken, fine = make_fo(), make_crm()
    Connection.objects.filter(pk=broken.pk).update(secrets={"client_secret": "v1.a.b.c"})
    settings.CREDENTIAL_KEY = f"{NEW},{OLD}"

    with pytest.raises(vault.CannotOpen, match="client_secret"):
        actions.reseal_secrets(actor="test")

    settings.CREDENTIAL_KEY = NEW
    assert opened(fine) == SECRET


def test_a_rotation_is_entered_without_the_secret_and_a_second_one_does_nothing(db: None, settings: Any) -> None:
    make_fo()
    settings.CREDENTIAL_KEY = f"{NEW},{OLD}"
    actions.reseal_secrets(actor="anna")
    entry = Entry.objects.latest("pk")
    entries = Entry.objects.count()

    assert actions.reseal_secrets(actor="anna") == 0

    assert Entry.objects.count() == entries
    assert "client_secret" in f"{vars(entry)}"
    assert SECRET not in f"{vars(entry)}"


@pytest.mark.parametrize("keys", ["", ",", OLD + ",", "short", "ü" * 43, f"{NEW};{OLD}", OLD[:-4], OLD + OLD])
def test_a_key_that_is_none_is_told_before_anything_is_sealed(db: None, settings: Any, keys: str) -> None:
    connection = make_fo()
    settings.CREDENTIAL_KEY = keys

    with pytest.raises(vault.CannotOpen, match="CREDENTIAL_KEY"):
        vault.seal(connection, "client_secret", "x")
    with pytest.raises(Blocked) as blocked:
        registry.opened_secrets(connection)

    assert blocked.value.code == "credentials"


def test_the_wrong_key_opens_nothing_and_its_own_order_does_not_matter(db: None, settings: Any) -> None:
    connection = make_fo()
    settings.CREDENTIAL_KEY = OTHER
    with pytest.raises(vault.CannotOpen, match="not in CREDENTIAL_KEY"):
        opened(connection)

    settings.CREDENTIAL_KEY = f" {OTHER} , {NEW}, {OLD} "

    assert opened(connection) == SECRET
    assert vault.needs_resealing(connection.secrets["client_secret"])


def test_of_two_people_who_renew_two_secrets_neither_undoes_the_other(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = make_fo()
    monkeypatch.setattr(registry.KINDS["dynamics_fo"], "secrets", frozenset({"client_secret", "second"}))
    older = Connection.objects.get(pk=connection.pk)
    actions.set_secret(connection, "client_secret", "renewed by anna", actor="anna")

    actions.set_secret(older, "second", "set by bo", actor="bo")

    assert opened(connection) == "renewed by anna"
    assert set(Connection.objects.get(pk=connection.pk).secrets) == {"client_secret", "second"}


def test_the_command_seals_under_the_first_key_and_says_how_many(
    db: None, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    fo, _ = make_fo(), make_crm()
    settings.CREDENTIAL_KEY = f"{NEW},{OLD}"

    for _ in range(2):
        call_command("reseal_secrets")

    said = capsys.readouterr().out.splitlines()
    settings.CREDENTIAL_KEY = NEW
    assert [line.split()[0] for line in said] == ["2", "0"]
    assert opened(fo) == SECRET
    assert Entry.objects.latest("pk").actor == "system:command"


def test_the_command_names_what_does_not_open_and_fails(db: None, settings: Any) -> None:
    broken, fine = make_fo(), make_crm()
    Connection.objects.filter(pk=broken.pk).update(secrets={"client_secret": "v1.a.b.c"})
    settings.CREDENTIAL_KEY = f"{NEW},{OLD}"

    with pytest.raises(CommandError, match="client_secret"):
        call_command("reseal_secrets")

    settings.CREDENTIAL_KEY = NEW
    assert opened(fine) == SECRET
