"""A mailbox of the simulator as a connection, mails to put into it, and messages to send."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

from connectors import actions
from connectors.models import Connection
from connectors.simulator.mail.mailbox import Mailbox, imap_server
from connectors.simulator.mail.postoffice import smtp_server

OURS = "goldseam@contoso.test"
PASSWORD = "simulator"
NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
NUMBERS = "order: SO-######\ninvoice: INV-#####"


class World:
    """The running pair of servers and what is in them."""

    def __init__(self, mailbox: Mailbox, imap: int, smtp: int) -> None:
        self.mailbox = mailbox
        self.imap = imap
        self.smtp = smtp

    def deliver(self, text: str = "", **headers: str) -> int:
        """Put a mail into INBOX."""
        return self.mailbox.deliver(letter(text, **headers))

    def connect(self, **changes: Any) -> Connection:
        """The mailbox as a connection that reads and sends."""
        config = {
            "imap_host": "127.0.0.1", "imap_port": self.imap, "imap_security": "plain",
            "smtp_host": "127.0.0.1", "smtp_port": self.smtp, "smtp_security": "plain",
            "user": "goldseam", "address": OURS, "numbers": NUMBERS, "auth_server": "mx.contoso.test",
            "recipient_domains": "contoso.test, partner.test",
        }  # fmt: skip
        return actions.create_connection(
            changes.pop("slug", "mail"),
            "mail",
            actor="system:test",
            secrets=changes.pop("secrets", {"password": PASSWORD}),
            config={**config, **changes.pop("config", {})},
            operations=["*"],
            poll=True,
            **changes,
        )


@contextmanager
def mail_world(settings: Any, **tls: Any) -> Iterator[World]:
    """Serve a mailbox, named in OUTBOUND_ALLOW."""
    mailbox = Mailbox()
    with ExitStack() as running:
        imap = running.enter_context(imap_server(mailbox, **tls))
        smtp = running.enter_context(smtp_server(mailbox, **tls))
        settings.OUTBOUND_ALLOW = [f"127.0.0.1:{imap.port}", f"127.0.0.1:{smtp.port}"]
        yield World(mailbox, imap.port, smtp.port)


def letter(text: str = "", **headers: str) -> bytes:
    """A mail of a person, with headers changed or added: ``in_reply_to`` stands for In-Reply-To."""
    given = {
        "From": "Anna Berg <anna@partner.test>",
        "To": OURS,
        "Subject": "A question",
        "Date": "Sat, 31 Jan 2026 12:00:00 +0000",
        "Message-ID": "<1@partner.test>",
    }
    given |= {name.replace("_", "-").title().replace("-Id", "-ID"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in given.items() if value]
    return ("\r\n".join(lines) + "\r\n\r\n" + text.replace("\n", "\r\n") + "\r\n").encode("utf-8", "surrogateescape")


def message(**changes: Any) -> dict[str, Any]:
    """The arguments of a message about an incident."""
    given: dict[str, Any] = {
        "id": "event-1",
        "type": "io.goldseam.incident.resolved",
        "source": "https://goldseam.contoso.test",
        "subject": "incident/4711",
        "occurred_at": NOW.isoformat(),
        "title": "Order SO-000697 is released",
        "text": "The credit hold is gone.\nIt was read back.",
        "facts": [["Order", "SO-000697"], ["Amount", "1,200.00 EUR"]],
        "link": "https://goldseam.contoso.test/incidents/4711/",
        "recipients": ["bo@contoso.test"],
    }
    return {**given, **changes}
