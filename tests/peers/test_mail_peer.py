"""Mail against Dovecot and aiosmtpd, servers that nobody here wrote. Skipped where they are not installed."""

import email
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from connectors import actions, gateway
from connectors.base import NotFound, Refused, Unauthorized
from connectors.inbound import polling
from connectors.kinds.mail.connector import Mail
from connectors.models import Connection, Delivery
from connectors.registry import connector_for
from tests.connectors.mail_world import NUMBERS, OURS, PASSWORD, letter, message
from tests.ports import free_pair

DOVECOT = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = [pytest.mark.peers, pytest.mark.django_db(transaction=True)]
needs_dovecot = pytest.mark.skipif(DOVECOT is None, reason="dovecot is not installed")
needs_aiosmtpd = pytest.mark.skipif(find_spec("aiosmtpd") is None, reason="aiosmtpd is not installed")
NAMES = itertools.count(1)
STARTS_WITHIN = 15  # seconds
SETTINGS = """
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/dovecot.log
protocols = imap
ssl = no
disable_plaintext_auth = no
default_login_user = {user}
default_internal_user = {user}
default_internal_group = {group}
mail_location = maildir:{root}/mail
first_valid_uid = 0
mail_uid = {user}
mail_gid = {group}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={root}/home
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


def owner() -> tuple[str, str]:
    """Who the server runs as: itself must not be root, so root lends it to nobody's like."""
    import grp
    import pwd

    person = pwd.getpwnam("dovecot") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    return person.pw_name, grp.getgrgid(person.pw_gid).gr_name


@pytest.fixture(scope="module")
def dovecot() -> Iterator[tuple[int, Path]]:
    """A server of its own, with its own settings and mails, on a free port; and the folder of its mails."""
    user, group = owner()
    # Its sockets lie in the folder, and their names may have a hundred letters only.
    with tempfile.TemporaryDirectory(prefix="mail-peer-", dir="/tmp") as folder:
        root = Path(folder)
        for name in ("run", "state", "home", "mail/cur", "mail/new", "mail/tmp", "mail/.Done/cur", "mail/.Done/new"):
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / "mail/.Done/tmp").mkdir()
        port = free_pair()
        values = {"root": root, "user": user, "group": group, "password": PASSWORD, "port": port}
        (root / "dovecot.conf").write_text(SETTINGS.format(**values))
        for path in [root, *root.rglob("*")]:
            shutil.chown(path, user, group)
        assert DOVECOT is not None
        with subprocess.Popen([DOVECOT, "-F", "-c", str(root / "dovecot.conf")]) as process:
            try:
                answers(port, process, root / "dovecot.log")
                yield port, root / "mail"
            finally:
                process.terminate()
                process.wait(STARTS_WITHIN)


def answers(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until the server greets."""
    import time

    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as line:
                line.settimeout(5)
                if line.recv(100).startswith(b"* OK"):
                    return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(log.read_text() if log.exists() else "dovecot did not start")


class Peer:
    """The mailbox as the server has it on disk."""

    def __init__(self, port: int, root: Path) -> None:
        self.port = port
        self.root = root

    def deliver(self, raw: bytes) -> None:
        """Put a mail in as a mail server does: written aside, then moved."""
        # By its name the server knows what it has found out about a mail: no name is used twice.
        aside = self.root / "tmp" / f"{next(NAMES)}.test"
        aside.write_bytes(raw)
        shutil.chown(aside, *owner())
        aside.rename(self.root / "new" / aside.name)

    def connect(self, **config: Any) -> Connection:
        """The mailbox as a connection."""
        known = {
            "imap_host": "127.0.0.1", "imap_port": self.port, "imap_security": "plain", "user": "goldseam",
            "address": OURS, "numbers": NUMBERS, "lookback_days": 365,
        }  # fmt: skip
        return actions.create_connection(
            "mail", "mail", actor="system:test", secrets={"password": PASSWORD}, config={**known, **config}, poll=True
        )

    def flags(self) -> list[str]:
        """The flags of the mails in INBOX, as Maildir writes them into their names."""
        names = sorted(path.name for path in [*(self.root / "cur").iterdir(), *(self.root / "new").iterdir()])
        return [name.partition(":2,")[2] for name in names]


@pytest.fixture
def peer(dovecot: tuple[int, Path], settings: Any) -> Peer:
    port, root = dovecot
    settings.OUTBOUND_ALLOW = [f"127.0.0.1:{port}"]
    for folder in (root, root / ".Done"):
        for name in ("cur", "new"):
            for path in (folder / name).iterdir():
                path.unlink()
    return Peer(port, root)


def poll(connection: Connection) -> int:
    connection.refresh_from_db()
    return polling.poll_one(connection).accepted


@needs_dovecot
def test_mails_are_taken_once_and_stay_unread(peer: Peer) -> None:
    connection = peer.connect()
    for number in range(3):
        peer.deliver(letter(f"SO-00069{number}", message_id=f"<{number}@partner.test>"))

    counts = [poll(connection) for _ in range(3)]

    assert counts == [3, 0, 0]
    assert [row.payload["mentions"]["order"] for row in Delivery.objects.order_by("pk")] == [
        ["SO-000690"], ["SO-000691"], ["SO-000692"],
    ]  # fmt: skip
    assert all(row.occurred_at for row in Delivery.objects.all())
    assert all("S" not in flags for flags in peer.flags())


@needs_dovecot
def test_what_comes_later_is_taken_later_and_in_parts(peer: Peer) -> None:
    connection = peer.connect(most_mails=2)
    peer.deliver(letter("first", message_id="<first@partner.test>"))
    poll(connection)
    for number in range(5):
        peer.deliver(letter(f"text {number}", message_id=f"<{number}@partner.test>"))

    assert poll(connection) == 5
    assert Delivery.objects.count() == 6


@needs_dovecot
def test_mails_of_any_shape_arrive_as_they_were_sent(peer: Peer) -> None:
    connection = peer.connect(most_bytes=100_000)
    peer.deliver(letter("Grüße 日本", content_type="text/plain; charset=utf-8", content_transfer_encoding="8bit"))
    peer.deliver(letter("x" * 200_000, message_id="<large@partner.test>", subject="a large one"))
    peer.deliver(b"\xff\xfe not much of a mail\r\n")
    peer.deliver(
        letter("--b\n\nhalf a part", content_type="multipart/mixed; boundary=b", message_id="<b@partner.test>")
    )

    assert poll(connection) == 4

    payloads = {row.payload["subject"]: row.payload for row in Delivery.objects.all()}
    assert payloads["a large one"]["text"] == ""
    assert payloads["a large one"]["notes"]
    assert any(row.payload["text"] == "Grüße 日本" for row in Delivery.objects.all())


@needs_dovecot
def test_what_was_taken_is_moved_and_marked(peer: Peer) -> None:
    connection = peer.connect(done_folder="Done", mark_seen=True)
    peer.deliver(letter("one"))
    poll(connection)
    peer.deliver(letter("two", message_id="<2@partner.test>"))

    poll(connection)

    moved = [path for name in ("cur", "new") for path in (peer.root / ".Done" / name).iterdir()]
    assert len(moved) == 1
    assert "S" in moved[0].name.partition(":2,")[2]
    assert len(peer.flags()) == 1
    assert Delivery.objects.count() == 2


@needs_dovecot
def test_other_uids_bring_no_doubles(peer: Peer) -> None:
    connection = peer.connect()
    peer.deliver(letter("one"))
    poll(connection)
    # Without its list of UIDs the server makes a new one, under another UIDVALIDITY.
    for name in ("dovecot-uidlist", "dovecot-uidvalidity"):
        (peer.root / name).unlink(missing_ok=True)
    for path in [*peer.root.glob("dovecot.index*"), *peer.root.glob("dovecot-uidvalidity.*")]:
        path.unlink()
    before = connection_place(connection)["validity"]
    peer.deliver(letter("two", message_id="<2@partner.test>"))

    poll(connection)

    assert sorted(row.payload["text"] for row in Delivery.objects.all()) == ["one", "two"]
    assert before > 0


def connection_place(connection: Connection) -> dict[str, Any]:
    connection.refresh_from_db()
    return dict(connection.bookmarks["mailbox"])


@needs_dovecot
def test_what_is_not_right_is_said(peer: Peer) -> None:
    connection = peer.connect(done_folder="Nowhere")
    assert "no folder Nowhere" in gateway.check(connection, actor="test").message
    connector = connector_for(connection, {"password": "wrong"})
    assert isinstance(connector, Mail)

    with pytest.raises(Unauthorized):
        connector.poll(None)
    with pytest.raises(NotFound):
        connector_for(
            Connection(slug="other", kind="mail", config={**connection.config, "folder": "Äpfel"}),
            {"password": PASSWORD},
        ).poll(None)


@needs_dovecot
def test_the_connection_test_looks_and_changes_nothing(peer: Peer) -> None:
    peer.deliver(letter("one"))

    health = gateway.check(peer.connect(done_folder="Done"), actor="test")

    assert health.ok, health.message
    assert all("S" not in flags for flags in peer.flags())


# --- sending ---------------------------------------------------------------------------------------------


class Taken:
    """Takes what aiosmtpd is handed, but not for everybody."""

    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if address.startswith("gone"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 go on"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append(envelope)
        return "250 2.0.0 taken"


@pytest.fixture
def subscriber(settings: Any) -> Iterator[tuple[Taken, Connection]]:
    from aiosmtpd.controller import Controller

    taken = Taken()
    controller = Controller(taken, hostname="127.0.0.1", port=free_pair())
    controller.start()
    settings.OUTBOUND_ALLOW = [f"127.0.0.1:{controller.port}"]
    config = {
        "smtp_host": "127.0.0.1", "smtp_port": controller.port, "smtp_security": "plain", "sign_in": "none",
        "address": OURS,
    }  # fmt: skip
    yield taken, actions.create_connection("mail", "mail", actor="system:test", config=config, operations=["*"])
    controller.stop()


@needs_aiosmtpd
def test_a_message_arrives_and_who_was_refused_is_named(subscriber: tuple[Taken, Connection]) -> None:
    taken, connection = subscriber
    arguments = message(recipients=["gone@contoso.test", "bo@contoso.test"], text=".hidden\nGrüße 日本")

    answer = gateway.call(connection, "mail.send", arguments, actor="test", effect_key="tell-1")

    (envelope,) = taken.mails
    mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert (envelope.mail_from, envelope.rcpt_tos) == (OURS, ["bo@contoso.test"])
    assert mail["Message-ID"] == "<goldseam-tell-1@contoso.test>"
    assert ".hidden" in str(mail.get_body(("plain",)).get_content())
    assert answer.written is not None
    assert answer.written.result["refused"] == {"gone@contoso.test": "550 5.1.1 no such user"}


@needs_aiosmtpd
def test_nobody_left_is_refused(subscriber: tuple[Taken, Connection]) -> None:
    taken, connection = subscriber

    with pytest.raises(Refused):
        gateway.call(connection, "mail.send", message(recipients=["gone@contoso.test"]), actor="test", effect_key="k")

    assert taken.mails == []


@needs_aiosmtpd
def test_the_connection_test_greets(subscriber: tuple[Taken, Connection]) -> None:
    assert gateway.check(subscriber[1], actor="test").ok
