"""One folder of an IMAP server: what is in it, what is new, a mail's bytes. It is looked at and left as it was."""

import imaplib
import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone

from connectors.base import (
    Blocked,
    ConnectorError,
    NotFound,
    RateLimited,
    Refused,
    Unanswered,
    Unauthorized,
    Unreachable,
)
from connectors.wire import mail as mailwire
from connectors.wire.mail import Imap, Server

_UID = re.compile(rb"\bUID (\d{1,10})\b")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d{1,12})\b")
_WHEN = re.compile(rb'INTERNALDATE "([ \d]\d)-([A-Z][a-z]{2})-(\d{4}) (\d\d):(\d\d):(\d\d) ([-+])(\d\d)(\d\d)"')
_BODY = re.compile(rb'BODY\[(?:HEADER)?\](?:<\d+>)? (?:NIL|"((?:[^"\\]|\\.)*)")')
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
MOST_HEADER = 100_000  # bytes
# RFC 5530: what a refused sign-in may mean beside a wrong password.
_PASSING = ("[UNAVAILABLE]", "[INUSE]", "[SERVERBUG]")


@dataclass(frozen=True)
class Listed:
    """What a server says of a mail before it is read."""

    uid: int
    size: int  # bytes
    arrived: datetime | None


class Folder:
    """A folder that is open. Closed by ``close``; after a ``ConnectorError`` it is of no more use."""

    def __init__(self, server: Server, client: Imap) -> None:
        self.server = server
        self._client = client
        self._broken = False
        self.validity = 0
        self.next_uid = 0

    def sign_in(self, user: str, password: str) -> None:
        """Sign in with a password. Raises ``Unauthorized``; ``Unreachable`` where the server cannot say."""
        with self._signing_in():
            if "AUTH=PLAIN" in self._client.capabilities:
                self._client.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode())
            else:
                self._client.login(_quotable(user), _quotable(password))

    def sign_in_with_token(self, user: str, token: str) -> None:
        """Sign in by XOAUTH2. Raises ``Unauthorized``; ``Unreachable`` where the server cannot say."""
        words = [f"user={user}\1auth=Bearer {token}\1\1".encode()]
        with self._signing_in():
            # A refusal comes as another question, which wants an empty answer.
            self._client.authenticate("XOAUTH2", lambda _: words.pop() if words else b"")

    def _signing_in(self) -> "_SigningIn":
        return _SigningIn(self.server)

    def open(self, name: str, *, changing: bool) -> None:
        """Open a folder, to look only unless ``changing``. Raises ``NotFound``."""
        with self._spoken_to():
            try:
                kind, said = self._client.select(_folder(name), readonly=not changing)
            except imaplib.IMAP4.readonly:
                raise Refused(f"{self.server} lets {name} be read only.", code="readonly") from None
        if kind != "OK":
            raise NotFound(
                f"{self.server} has no folder {name}: {mailwire.words(said[0] or b'')[:200]}.", code="folder"
            )
        self.validity = self._number("UIDVALIDITY")
        self.next_uid = self._number("UIDNEXT")

    def _number(self, name: str) -> int:
        data = self._client.untagged_responses.get(name) or [b"0"]
        return int(data[-1]) if isinstance(data[-1], bytes) and data[-1].isdigit() and len(data[-1]) <= 10 else 0

    def exists(self, name: str) -> bool:
        """Tell whether there is a folder of that name."""
        with self._spoken_to():
            return self._client.status(_folder(name), "(UIDNEXT)")[0] == "OK"

    def above(self, last: int) -> list[int]:
        """Return the UIDs above ``last``, lowest first. A server names its highest one even where none is above."""
        return [uid for uid in self._search("UID", f"{last + 1}:*") if uid > last]

    def since(self, day: date) -> list[int]:
        """Return the UIDs of mails that arrived on ``day`` or later, lowest first."""
        return self._search("SINCE", f"{day.day}-{_MONTHS[day.month - 1]}-{day.year}")

    def _search(self, *criteria: str) -> list[int]:
        data = self._asked("SEARCH", *criteria)
        words = b" ".join(part for part in data if isinstance(part, bytes)).split()
        return sorted({int(word) for word in words if word.isdigit() and len(word) <= 10})

    def listed(self, uids: list[int]) -> list[Listed]:
        """Return size and time of arrival of mails that are still there, lowest UID first."""
        if not uids:
            return []
        data = self._asked("FETCH", ",".join(map(str, uids)), "(UID RFC822.SIZE INTERNALDATE)")
        found: dict[int, Listed] = {}
        for text in data:
            uid, size = (expression.search(text) if isinstance(text, bytes) else None for expression in (_UID, _SIZE))
            # News of a mail's flags may come in between; and where no size is said, the answer is bounded all the same.
            if uid and isinstance(text, bytes) and (size or int(uid[1]) not in found):
                found[int(uid[1])] = Listed(int(uid[1]), int(size[1]) if size else 0, _moment(text))
        return [found[uid] for uid in uids if uid in found]

    def fetch(self, uid: int, *, whole: bool) -> bytes | None:
        """Return a mail, or its header alone; ``None`` where it is gone. It stays unread: PEEK."""
        data = self._asked("FETCH", str(uid), "(BODY.PEEK[])" if whole else f"(BODY.PEEK[HEADER]<0.{MOST_HEADER}>)")
        for part in data:
            if isinstance(part, tuple) and b"BODY[" in part[0].upper():
                named = _UID.search(part[0])
                if named and int(named[1]) != uid:
                    raise Unanswered(f"{self.server} answered with another mail than asked for.", code="shape")
                return bytes(part[1])
            if isinstance(part, bytes) and (short := _BODY.search(part)):
                return re.sub(rb"\\(.)", rb"\1", short[1] or b"")
        return None

    def mark_seen(self, first: int, last: int) -> None:
        """Mark mails as read."""
        self._asked("STORE", f"{first}:{last}", "+FLAGS.SILENT", r"(\Seen)")

    def put_away(self, first: int, last: int, name: str) -> None:
        """Move mails to another folder, by MOVE or what stands for it. Raises ``Refused`` where neither is offered."""
        uids, target = f"{first}:{last}", _folder(name)
        offered = self._offered()
        if "MOVE" in offered:
            self._asked("MOVE", uids, target)
        elif "UIDPLUS" in offered:
            self._asked("COPY", uids, target)
            self._asked("STORE", uids, "+FLAGS.SILENT", r"(\Deleted)")
            # Only these: a plain EXPUNGE would take what other people have marked.
            self._asked("EXPUNGE", uids)
        else:
            raise Refused(f"{self.server} offers neither MOVE nor UIDPLUS: mails stay where they are.", code="move")

    def _offered(self) -> list[str]:
        """Return what the server can do. Dovecot says most of it only to those who have signed in."""
        with self._spoken_to():
            data = self._client.capability()[1]
        return (data[-1] or b"").decode("ascii", "replace").upper().split()

    def _asked(self, command: str, *arguments: str) -> list[bytes | tuple[bytes, bytes] | None]:
        # Answers that came unasked to an earlier command would pass for answers to this one.
        self._client.untagged_responses.pop(command, None)
        with self._spoken_to():
            kind, data = self._client.uid(command, *arguments)
        if kind != "OK":
            said = next((part for part in data if isinstance(part, bytes)), b"")
            raise Refused(f"{self.server} refuses {command}: {mailwire.words(said)[:200]}.", code="command")
        return list(data)

    @contextmanager
    def _spoken_to(self) -> Iterator[None]:
        try:
            with mailwire.answered(self.server):
                yield
        except Unanswered:
            # Nobody is there to take leave of, and waiting for it would take as long again.
            self._broken = True
            raise

    def noop(self) -> None:
        """Ask whether the line still stands."""
        with self._spoken_to():
            self._client.noop()

    def close(self) -> None:
        """Take leave; what goes wrong with that matters to nobody."""
        with suppress(imaplib.IMAP4.error, OSError, *mailwire.NONSENSE):
            if not self._broken:
                self._client.logout()
        mailwire.shut(self._client)


class _SigningIn:
    """Says exactly why a sign-in failed, and never with what."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, ConnectorError) or not isinstance(error, Exception):
            return
        if isinstance(error, UnicodeError):
            raise Blocked("The user or password holds letters that IMAP cannot carry.", code="credentials") from None
        if isinstance(error, OSError | imaplib.IMAP4.abort):
            raise Unreachable(f"{self._server} broke off at the sign-in.", code="reset") from None
        if not isinstance(error, imaplib.IMAP4.error):
            raise Unreachable(f"{self._server} answered the sign-in with something unusable.", code="shape") from None
        said = mailwire.said(error).upper()
        if "[LIMIT]" in said:
            raise RateLimited(f"{self._server} asks to wait before the next sign-in.", code="limit") from None
        if any(code in said for code in _PASSING):
            raise Unreachable(f"{self._server} cannot sign anybody in right now.", code="unavailable") from None
        raise Unauthorized(f"{self._server} does not accept the user and password or token.", code="login") from None


def _quotable(text: str) -> str:
    # Python's client quotes the password but not the user; a line end would begin another command.
    if any(letter in text for letter in "\r\n\0") or not text.isascii():
        raise UnicodeError
    return text


def _folder(name: str) -> str:
    r"""Return a folder's name as IMAP writes it: quoted, and in its own UTF-7 (RFC 3501, 5.1.3)."""
    written, wide = "", ""
    for letter in f"{name}\0":
        if letter.isascii():
            if wide:
                written += "&" + b64encode(wide.encode("utf-16-be")).decode().rstrip("=").replace("/", ",") + "-"
                wide = ""
            written += {"&": "&-", "\\": "\\\\", '"': '\\"', "\0": ""}.get(letter, letter)
        else:
            wide += letter
    return f'"{written}"'


def _moment(text: bytes) -> datetime | None:
    if not (found := _WHEN.search(text)):
        return None
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = (part.decode() for part in found.groups())
    try:
        offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes)) * (-1 if sign == "-" else 1)
        return datetime(
            int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second), tzinfo=timezone(offset)
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
