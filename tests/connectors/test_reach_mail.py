"""How mail servers are reached: where it is allowed, under TLS that is verified, signed in by password or token."""

import ipaddress
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from connectors import gateway
from connectors.base import Blocked, Unauthorized, Unreachable
from connectors.kinds.mail.settings import MailConfig
from connectors.models import Call
from connectors.wire import mail as mailwire
from tests.connectors.factories import Played
from tests.connectors.mail_world import World, mail_world, message

pytestmark = pytest.mark.django_db(transaction=True)
OAUTH = {"sign_in": "oauth", "tenant": "contoso", "client_id": "goldseam", "authority": "https://login.test"}


def contexts(folder: Path, name: str = "127.0.0.1") -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's side with a certificate of its own making, and a client's side that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.contoso.test")])
    begins = datetime.now(UTC) - timedelta(hours=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "server.pem").write_bytes(
        pem
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem")
    return server, ssl.create_default_context(cadata=pem.decode())


@pytest.fixture(params=["tls", "starttls"])
def private(request: pytest.FixtureRequest, settings: Any, tmp_path: Path, monkeypatch: Any) -> Iterator[World]:
    """A mailbox under TLS, from the first byte or after STARTTLS, whose certificate is trusted."""
    server, client = contexts(tmp_path)
    monkeypatch.setattr(mailwire, "trust", lambda: client)
    with mail_world(settings, **{"tls" if request.param == "tls" else "later": server}) as world:
        world.security = {"imap_security": request.param, "smtp_security": request.param}
        yield world


def test_a_private_line_reads_and_sends(private: World) -> None:
    connection = private.connect(config=private.security)
    private.deliver("hello")

    told, _ = gateway.poll(connection, None, actor="test")
    gateway.call(connection, "mail.send", message(), actor="test", effect_key="k")

    assert [inbound.payload["text"] for inbound in told] == ["hello"]
    assert len(private.mailbox.sent) == 1


def test_a_certificate_that_nobody_trusts_ends_it_before_a_word_is_said(
    private: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailwire, "trust", ssl.create_default_context)
    connection = private.connect(config=private.security)

    for use in (lambda: gateway.poll(connection, None, actor="test"), lambda: send(connection)):
        with pytest.raises(Unreachable, match="not trusted"):
            use()

    assert not any("LOGIN" in asked or "AUTH" in asked for asked in private.mailbox.asked)


def send(connection: Any) -> Any:
    return gateway.call(connection, "mail.send", message(), actor="test", effect_key="k")


def test_a_certificate_for_another_host_is_not_trusted(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, client = contexts(tmp_path, "127.0.0.2")
    monkeypatch.setattr(mailwire, "trust", lambda: client)
    with mail_world(settings, tls=server) as world, pytest.raises(Unreachable, match="not trusted"):
        gateway.poll(world.connect(config={"imap_security": "tls"}), None, actor="test")


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_server_without_tls_is_told_nothing(post: World, security: str, settings: Any) -> None:
    settings.OUTBOUND_TIMEOUT_SECONDS = 1
    connection = post.connect(config={"imap_security": security, "smtp_security": security})

    for use in (lambda: gateway.poll(connection, None, actor="test"), lambda: send(connection)):
        with pytest.raises(Unreachable):
            use()

    assert not any("LOGIN" in asked or "AUTH" in asked for asked in post.mailbox.asked)


def test_a_line_in_clear_leads_only_where_it_is_allowed(post: World, settings: Any) -> None:
    settings.OUTBOUND_ALLOW = []
    connection = post.connect()

    for use in (lambda: gateway.poll(connection, None, actor="test"), lambda: send(connection)):
        with pytest.raises(Blocked, match="OUTBOUND_ALLOW"):
            use()

    assert post.mailbox.asked == []


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "localhost", "::1"])
def test_a_private_address_is_not_reached_under_tls_either(post: World, host: str, settings: Any) -> None:
    settings.OUTBOUND_ALLOW = []
    connection = post.connect(config={"imap_host": host, "imap_security": "tls"})

    with pytest.raises(Blocked):
        gateway.poll(connection, None, actor="test")

    assert post.mailbox.asked == []


@pytest.mark.parametrize(
    "host", ["0x7f000001", "127.1", "2130706433", "a b", "a@b.test", "http://a.test", "１２７.0.0.1"]
)
def test_a_host_is_spelled_plainly(host: str) -> None:
    with pytest.raises(ValidationError):
        MailConfig(imap_host=host)


@pytest.mark.parametrize(
    "config",
    [
        {"smtp_host": "a.test"},
        {"address": "no address"},
        {"recipients": "a@b.test, nobody"},
        {"recipient_domains": "b_ad..test"},
        {"folder": "a\r\nLOGOUT"},
        {"folder": "x", "done_folder": "x"},
        {"numbers": "order SO"},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(config: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        MailConfig.model_validate(config)


# --- the connection test ---------------------------------------------------------------------------------


def test_the_test_signs_in_on_both_sides_and_changes_nothing(post: World) -> None:
    post.deliver("hello")

    health = gateway.check(post.connect(config={"done_folder": "Done"}), actor="test")

    assert health.ok
    assert [step.partition(" ")[0] for step in health.tried] == ["IMAP", "SMTP"]
    assert "SMTP NOOP" in post.mailbox.asked
    assert not any("FETCH" in asked or "MAIL FROM" in asked.upper() for asked in post.mailbox.asked)
    assert not post.mailbox.boxes["INBOX"].letters[1].flags


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"folder": "Nowhere"}, "no folder Nowhere"),
        ({"done_folder": "Nowhere"}, "no folder Nowhere"),
        ({"user": "somebody"}, "does not accept"),
        ({"imap_host": "", "smtp_host": ""}, "Neither"),
        ({"sign_in": "none"}, "Nobody reads"),
        ({"sign_in": "oauth", "tenant": ""}, "tenant"),
    ],
)
def test_the_test_says_what_failed(post: World, config: dict[str, Any], said: str) -> None:
    connection = post.connect(config=config, secrets={"password": "simulator", "client_secret": "a-client-secret"})

    health = gateway.check(connection, actor="test")

    assert not health.ok
    assert said in health.message


def test_the_test_says_how_far_it_came(post: World) -> None:
    post.mailbox.answers["AUTH"] = "535 5.7.8 no"

    health = gateway.check(post.connect(), actor="test")

    assert not health.ok
    assert "look into INBOX: done" in health.message
    assert "NOOP: failed" in health.message


# --- tokens ------------------------------------------------------------------------------------------------


def test_a_token_signs_in_on_both_sides_and_is_asked_for_once(post: World, played: Played) -> None:
    post.mailbox.tokens.add("token-1")
    connection = post.connect(config=OAUTH, secrets={"client_secret": "a-client-secret"})
    post.deliver("hello")

    told, _ = gateway.poll(connection, None, actor="test")
    send(connection)

    (asked,) = played.requests
    assert str(asked.url) == "https://login.test/contoso/oauth2/v2.0/token"
    assert b"scope=https%3A%2F%2Foutlook.office365.com%2F.default" in asked.content
    assert (len(told), len(post.mailbox.sent)) == (1, 1)


def test_a_token_that_is_refused_is_renewed_once(post: World, played: Played) -> None:
    post.mailbox.tokens.add("token-2")
    connection = post.connect(config=OAUTH, secrets={"client_secret": "a-client-secret"})

    gateway.poll(connection, None, actor="test")
    post.mailbox.tokens = {"token-3"}
    send(connection)

    assert played.tokens == 3


def test_a_token_that_is_refused_again_is_unauthorized_and_shown_nowhere(post: World, played: Played) -> None:
    connection = post.connect(config=OAUTH, secrets={"client_secret": "a-client-secret"})

    for use in (lambda: gateway.poll(connection, None, actor="test"), lambda: send(connection)):
        with pytest.raises(Unauthorized) as refused:
            use()
        assert "token-" not in str(refused.value)

    kept = f"{[vars(call) for call in Call.objects.all()]}"
    assert "token-" not in kept
    assert "a-client-secret" not in kept


def test_a_token_server_that_is_silent_leaves_the_mail_unsent(post: World, played: Played) -> None:
    played.on("POST", "token", httpx.ReadTimeout("silent"))

    with pytest.raises(Unreachable):
        send(post.connect(config=OAUTH, secrets={"client_secret": "a-client-secret"}))

    assert not post.mailbox.sent
