"""What the simulated IMAP and SMTP servers share: lines on a socket, TLS from the start or later, and a clean end.

Facts: STARTTLS as RFC 2595 and 3207 have it; XOAUTH2 shows one text in base64. Faults on demand break the line or
answer as the protocol refuses for now.
"""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Any

SECONDS = 30  # a client that says nothing for so long has gone
# Faults on demand (see ``faults``) that let a command be carried out, and those that break the line before it is.
CARRIED_OUT = {"ok", "stale", "slow", "commit_then_reset", "commit_then_timeout", "commit_then_503"}
BREAKING = {"reset_before", "timeout_before", "html"}


class Cut(Exception):
    """The line breaks off here."""


@dataclass(frozen=True)
class Heard:
    """One command as it was noted: its place in the ledger, and what is to go wrong with it."""

    number: int = 0
    fault: str = ""
    seconds: float = 0.0

    @property
    def refused(self) -> bool:
        """Whether the command is turned away instead of carried out."""
        return bool(self.fault) and self.fault not in CARRIED_OUT | BREAKING

    @property
    def unheard(self) -> bool:
        """Whether it is carried out and the answer never comes."""
        return self.fault.startswith("commit_then")


class Session(socketserver.StreamRequestHandler):
    """One connection: what it is told is lines, and so is what it says."""

    server: MailServer
    timeout = SECONDS
    disable_nagle_algorithm = True
    said = ""  # the last line

    def handle(self) -> None:
        """Speak until one side ends it."""
        try:
            if self.server.tls is not None:
                self.make_private(self.server.tls)
            self.speak()
        except (Cut, OSError):
            return

    def speak(self) -> None:
        """Greet, and answer what is asked."""
        raise NotImplementedError

    def finish(self) -> None:
        """Close what TLS was put around, too."""
        try:
            super().finish()
        except OSError:
            self.rfile.close()
        finally:
            self.connection.close()
            self.server.mailbox.leave()

    def say(self, text: str | bytes) -> None:
        """Say one line."""
        line = text.encode() if isinstance(text, str) else text
        self.said = line.decode("utf-8", "replace")
        self.wfile.write(line + b"\r\n")

    def endure(self, heard: Heard) -> None:
        """Let pass the time that a fault takes, and break the line where it does so before anything is done."""
        if heard.fault in ("slow", "timeout_before"):
            self.server.stopping.wait(heard.seconds)
        if heard.fault in BREAKING:
            raise Cut

    def heard(self) -> str | None:
        """Return the next line, ``None`` where the other side has gone."""
        line = self.rfile.readline(65_536)
        return line.decode("utf-8", "replace").rstrip("\r\n") if line else None

    def make_private(self, context: ssl.SSLContext) -> None:
        """Go on under TLS."""
        self.rfile.close()
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.connection.settimeout(SECONDS)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)


class MailServer(socketserver.ThreadingTCPServer):
    """Serves one mailbox on loopback; a context manager that stops with it."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(
        self,
        mailbox: Any,
        session: type[Session],
        *,
        tls: ssl.SSLContext | None,
        later: ssl.SSLContext | None,
        port: int = 0,
    ) -> None:
        super().__init__(("127.0.0.1", port), session)
        self.mailbox = mailbox
        self.tls = tls
        self.later = later  # what STARTTLS offers
        self.port = int(self.server_address[1])
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> MailServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self.shutdown()
        self.server_close()
        self._thread.join(timeout=5)


def unwrapped(line: str | None) -> str:
    """Return what stands in base64 in a sign-in, blank where nothing can be read."""
    try:
        return base64.b64decode((line or "").strip()).decode("utf-8", "replace")
    except ValueError:
        return ""
