"""The way to mail servers: checked addresses, TLS that is verified, time and size limits, exact failures.

No other module opens a line to a mail server. As in ``connectors.transport`` the host is resolved once, checked, and
the address that was checked is connected to; the host's name stays in TLS. Over it Python's own clients speak.
"""

import imaplib
import io
import smtplib
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

import certifi
from django.conf import settings

from connectors.base import Blocked, Refused, Unanswered, Unreachable
from connectors.wire import addresses, lines

CONNECT_SECONDS = 5.0
# What an SMTP server may say to one command; an IMAP server may send OUTBOUND_MAX_BYTES.
SMTP_BYTES = 256 * 1024
# What the clients raise beside their own errors where a server talks nonsense: numbers, letters, missing parts.
NONSENSE = (ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError)


class Security(StrEnum):
    """How a line is kept private."""

    TLS = "tls"  # from the first byte
    STARTTLS = "starttls"  # agreed upon before anything is told
    PLAIN = "plain"  # not at all: only to hosts in OUTBOUND_ALLOW


@dataclass(frozen=True)
class Server:
    """Where a mail server is."""

    host: str
    port: int
    security: Security

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class TooMuch(OSError):
    """The server sends more than was asked for."""


class Limit:
    """How much a server may still send in answer to one command, and until when."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.renew()

    def renew(self) -> None:
        """Begin anew, with the next command."""
        self.room = self.most
        self.until = time.monotonic() + settings.OUTBOUND_TIMEOUT_SECONDS


class _Bounded(io.RawIOBase):
    """What a socket receives, within a limit. A server that sends a byte now and then runs out of time all the same."""

    def __init__(self, sock: socket.socket, limit: Limit) -> None:
        self._sock = sock
        self._limit = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        left = self._limit.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long")
        self._sock.settimeout(left)
        count = self._sock.recv_into(buffer)
        self._limit.room -= count
        if self._limit.room < 0:
            raise TooMuch(f"more than {self._limit.most} bytes")
        return count


class Imap(imaplib.IMAP4):
    """Python's IMAP client over a line that was opened here, with every answer bounded."""

    def __init__(self, server: Server, line: socket.socket) -> None:
        self._line = line
        self._limit = Limit(settings.OUTBOUND_MAX_BYTES)
        self._buffer: tuple[socket.socket, io.BufferedReader] | None = None
        super().__init__(server.host, server.port)

    def _create_socket(self, timeout: float | None = None) -> socket.socket:
        return self._line

    def _reader(self) -> io.BufferedReader:
        # After STARTTLS it is another socket: what came before it, in clear, is thrown away.
        if self._buffer is None or self._buffer[0] is not self.sock:
            self._buffer = (self.sock, io.BufferedReader(_Bounded(self.sock, self._limit)))
        return self._buffer[1]

    def read(self, size: int) -> bytes:
        """Read a literal. Raises ``TooMuch`` before a byte of one that is too long."""
        if size > self._limit.room:
            raise TooMuch(f"a literal of {size} bytes")
        data = self._reader().read(size)
        if len(data) < size:
            raise self.abort("the line broke off within a literal")
        return data

    def readline(self) -> bytes:
        """Read one line of an answer."""
        return self._reader().readline()

    def send(self, data: bytes) -> None:  # type: ignore[override]
        """Send a command; its answer has a limit of its own."""
        self._limit.renew()
        self.sock.settimeout(settings.OUTBOUND_TIMEOUT_SECONDS)
        super().send(data)


class Smtp(smtplib.SMTP):
    """Python's SMTP client over a line that was opened here, with every answer bounded."""

    def __init__(self, server: Server, line: socket.socket, name: str) -> None:
        self._line = line
        self._limit = Limit(SMTP_BYTES)
        super().__init__(server.host, server.port, local_hostname=name, timeout=settings.OUTBOUND_TIMEOUT_SECONDS)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self._line

    def getreply(self) -> tuple[int, bytes]:
        """Read a reply within the limit."""
        if self.file is None and self.sock is not None:
            self.file = io.BufferedReader(_Bounded(self.sock, self._limit))
        return super().getreply()

    def send(self, s: bytes | str) -> None:  # type: ignore[override]
        """Send a command or a mail; what is answered has a limit of its own."""
        self._limit.renew()
        if self.sock is not None:
            self.sock.settimeout(settings.OUTBOUND_TIMEOUT_SECONDS)
        super().send(s)


@cache
def trust() -> ssl.SSLContext:
    """Return whose certificates are believed: what this machine trusts, and what HTTP calls trust."""
    context = lines.private(ssl.create_default_context())
    context.load_verify_locations(certifi.where())
    return context


def imap(server: Server) -> Imap:
    """Open a line to an IMAP server, ready to sign in. Raises ``Blocked`` or ``Unreachable``: nothing was told."""
    line = _connected(server)
    with _opening(server), ExitStack() as failing:
        failing.callback(line.close)
        client = Imap(server, line)
        failing.callback(shut, client)
        if server.security is Security.STARTTLS:
            client.starttls(trust())
        failing.pop_all()
        return client


def smtp(server: Server, name: str) -> Smtp:
    """Open a line to an SMTP server and greet it as ``name``. Raises ``Blocked``, ``Refused`` or ``Unreachable``."""
    line = _connected(server)
    with _opening(server), ExitStack() as failing:
        failing.callback(line.close)
        client = Smtp(server, line, name)
        failing.callback(shut, client)
        client.ehlo_or_helo_if_needed()
        if server.security is Security.STARTTLS:
            client.starttls(context=trust())
            client.ehlo_or_helo_if_needed()
        failing.pop_all()
        return client


def shut(line: Imap | Smtp | socket.socket) -> None:
    """Close a line without another word, whatever state it is in."""
    with suppress(OSError, imaplib.IMAP4.error, *NONSENSE):
        if isinstance(line, Imap):
            line.shutdown()
        else:
            line.close()


def _checked(server: Server) -> addresses.Target:
    if server.security is not Security.PLAIN:
        return addresses.checked("https", server.host, server.port)
    try:
        return addresses.checked("http", server.host, server.port)
    except Blocked:
        raise Blocked(
            f"{server} would be spoken to without TLS: choose TLS or STARTTLS, or add it to OUTBOUND_ALLOW.",
            code="address",
        ) from None


def _connected(server: Server) -> socket.socket:
    target = _checked(server)
    line: socket.socket | None = None
    why = ""
    for address in target.addresses:
        try:
            line = socket.create_connection((address, target.port), timeout=CONNECT_SECONDS)
            break
        except OSError as error:
            # Nothing was sent: the next of the host's addresses may answer.
            why = said(error)
    if line is None:
        raise Unreachable(f"{server} cannot be reached: {why}.", code="connect")
    if server.security is not Security.TLS:
        return line
    with _opening(server), ExitStack() as failing:
        failing.callback(line.close)
        private = trust().wrap_socket(line, server_hostname=target.host)
        failing.pop_all()
        return private


@contextmanager
def _opening(server: Server) -> Iterator[None]:
    """Say exactly why a line could not be opened."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        why = (error.verify_message or said(error)).rstrip(".")
        raise Unreachable(f"The certificate of {server} is not trusted: {why}.", code="tls") from None
    except ssl.SSLError as error:
        raise Unreachable(f"{server} does not speak TLS as it should: {said(error)}.", code="tls") from None
    except smtplib.SMTPNotSupportedError:
        raise Unreachable(f"{server} offers no STARTTLS; nothing is told in clear.", code="tls") from None
    except smtplib.SMTPResponseException as error:
        kind = Refused if 500 <= error.smtp_code < 600 else Unreachable
        raise kind(f"{server} turned us away: {reply(error.smtp_code, error.smtp_error)}.", code="connect") from None
    except (smtplib.SMTPException, imaplib.IMAP4.error, OSError, *NONSENSE) as error:
        raise Unreachable(f"{server} did not greet: {said(error)}.", code="connect") from None


@contextmanager
def answered(server: Server) -> Iterator[None]:
    """Turn what a client raises while it is spoken to into ``Unanswered``."""
    try:
        yield
    except TimeoutError:
        raise Unanswered(f"{server} did not answer in time.", code="timeout") from None
    except TooMuch as error:
        raise Unanswered(f"{server} sends {said(error)}: more than was asked for.", code="size") from None
    except (smtplib.SMTPException, imaplib.IMAP4.abort, OSError) as error:
        raise Unanswered(f"{server} broke off: {said(error)}.", code="reset") from None
    except (imaplib.IMAP4.error, *NONSENSE) as error:
        raise Unanswered(f"{server} answered with something unusable: {said(error)}.", code="shape") from None


def said(error: Exception) -> str:
    """Return an error in one line without marks of bytes."""
    text = error.args[0] if error.args and isinstance(error.args[0], bytes) else str(error)
    return words(text)[:200].rstrip(".") or type(error).__name__


def reply(code: int, text: bytes | str) -> str:
    """Return an SMTP reply in one line."""
    return f"{code} {words(text)[:300]}".strip().rstrip(".")


def words(text: bytes | str) -> str:
    """Return what a server says as one line of plain letters."""
    plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return " ".join("".join(letter if letter.isprintable() else " " for letter in plain).split())
