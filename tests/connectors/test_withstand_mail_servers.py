"""Mail servers on bad days: whatever they say or leave unsaid has its own error, and no secret stands in it."""

from typing import Any

import pytest

from connectors import gateway
from connectors.base import Blocked, ConnectorError, NotFound, RateLimited, Unauthorized, Unreachable
from connectors.kinds.mail import folder
from connectors.models import Call, Connection
from tests.connectors.mail_world import World

pytestmark = pytest.mark.django_db(transaction=True)


def ask(connection: Connection) -> Any:
    return gateway.poll(connection, None, actor="test")


def test_a_wrong_password_is_unauthorized_and_stands_nowhere(post: World) -> None:
    connection = post.connect(secrets={"password": "a-wrong-password"})

    with pytest.raises(Unauthorized) as refused:
        ask(connection)

    connection.refresh_from_db()
    assert connection.health == "failing"
    assert "a-wrong-password" not in f"{refused.value}{[vars(call) for call in Call.objects.all()]}"


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("NO [UNAVAILABLE] later", Unreachable),
        ("NO [LIMIT] too many", RateLimited),
        ("NO [AUTHENTICATIONFAILED] no", Unauthorized),
        ("BAD what", Unauthorized),
        ("* BYE going down", Unreachable),
        ("+ ???", Unreachable),
    ],
)
def test_a_sign_in_says_what_it_means(post: World, said: str, error: type[ConnectorError], settings: Any) -> None:
    settings.OUTBOUND_TIMEOUT_SECONDS = 0.3
    post.mailbox.capabilities = "IMAP4rev1"
    post.mailbox.answers["LOGIN"] = said

    with pytest.raises(error) as refused:
        ask(post.connect())

    assert "simulator" not in str(refused.value)


@pytest.mark.parametrize("password", ["plain", 'with "quotes" \\ and blanks', "mit Ümläuten"])
@pytest.mark.parametrize("capabilities", ["IMAP4rev1 AUTH=PLAIN", "IMAP4rev1"])
def test_any_password_that_the_protocol_carries_signs_in(post: World, password: str, capabilities: str) -> None:
    post.mailbox.secret = password
    post.mailbox.capabilities = capabilities
    connection = post.connect(secrets={"password": password})

    if password.isascii() or "PLAIN" in capabilities:
        assert ask(connection)[0] == []
    else:
        with pytest.raises(Blocked):
            ask(connection)


@pytest.mark.parametrize("greeting", ["* BYE not today", "hello", "* OK " + "x" * 200_000, "* NO"])
def test_a_server_that_does_not_greet_is_unreachable(post: World, greeting: str, settings: Any) -> None:
    settings.OUTBOUND_MAX_BYTES = 100_000
    post.mailbox.answers["GREETING"] = greeting

    with pytest.raises(Unreachable):
        ask(post.connect())


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("UID", "NO not now"),
        ("UID", "* SEARCH 1 2 x -5 99999999999999999999"),
        ("UID", "* BYE"),
        ("UID", "* 1 FETCH (UID {99999999999999999999999999999999}"),
        ("UID", "garbage"),
        ("EXAMINE", "BAD"),
        ("EXAMINE", "* BYE"),
        ("CAPABILITY", "NO"),
    ],
)
def test_nonsense_of_a_server_is_an_error_that_has_a_name(
    post: World, command: str, answer: str, settings: Any
) -> None:
    settings.OUTBOUND_TIMEOUT_SECONDS = 0.3
    post.mailbox.answers[command] = answer
    post.deliver()

    with pytest.raises(ConnectorError):
        ask(post.connect())

    assert set(Call.objects.values_list("outcome", flat=True)) != {"failed"}


def test_a_folder_that_is_not_there_is_named(post: World) -> None:
    with pytest.raises(NotFound, match="Rückläufer"):
        ask(post.connect(config={"folder": "Rückläufer"}))


def test_a_server_that_is_gone_is_unreachable_and_the_poll_goes_on_later(post: World) -> None:
    connection = post.connect(config={"imap_port": post.smtp})

    with pytest.raises(Unreachable):
        ask(connection)


def test_without_a_host_nothing_is_polled(post: World) -> None:
    assert ask(post.connect(config={"imap_host": ""}))[0] == []


def test_nobody_reads_a_mailbox_without_signing_in(post: World) -> None:
    with pytest.raises(Blocked):
        ask(post.connect(config={"sign_in": "none"}))


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("INBOX", '"INBOX"'),
        ('a "b" \\c', '"a \\"b\\" \\\\c"'),
        ("Entwürfe", '"Entw&APw-rfe"'),
        ("A&B", '"A&-B"'),
        ("台北", '"&U,BTFw-"'),
        ("a日b本", '"a&ZeU-b&Zyw-"'),
    ],
)
def test_a_folder_is_named_as_imap_writes_it(name: str, written: str) -> None:
    assert folder._folder(name) == written
