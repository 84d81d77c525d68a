"""A mailbox that is read by IMAP and filled by SMTP: the mail server of the enterprise, small enough to be understood.

Facts of RFC 3501, 4315 and 6851, as Dovecot 2.3 shows them: a message is known by mailbox, UIDVALIDITY and UID;
plain ``BODY[]`` sets ``\\Seen`` and ``BODY.PEEK[]`` does not; ``UID SEARCH UID n:*`` gives the last message even where
nothing is new; ``UID MOVE`` says with COPYUID which UID a message has where it went.
"""

from __future__ import annotations

import base64
import re
import ssl
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from connectors.simulator.mail.server import Cut, Heard, MailServer, Session, unwrapped

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
CAPABILITIES = "IMAP4rev1 UIDPLUS MOVE AUTH=PLAIN AUTH=XOAUTH2"
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|\(([^()]*(?:\[[^\]]*\][^()]*)?)\)|(\S+)')
_PART = re.compile(r"BODY(?:\.PEEK)?\[(HEADER)?\](?:<(\d+)\.(\d+)>)?", re.IGNORECASE)


@dataclass
class Letter:
    """One message in a folder."""

    uid: int
    raw: bytes
    arrived: datetime
    flags: set[str] = field(default_factory=set)


@dataclass
class Box:
    """One folder: its UIDVALIDITY, the next UID, and its messages by UID."""

    validity: int = 1
    next_uid: int = 1
    letters: dict[int, Letter] = field(default_factory=dict)

    def add(self, raw: bytes, arrived: datetime) -> int:
        """Put a message in and return its UID."""
        uid, self.next_uid = self.next_uid, self.next_uid + 1
        self.letters[uid] = Letter(uid, raw, arrived)
        return uid


@dataclass(frozen=True)
class Sent:
    """One mail as it was handed over: the envelope and the bytes."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes


class Mailbox:
    """The account: its folders, its secrets, what it was asked, and what is to go wrong."""

    def __init__(self, user: str = "goldseam", secret: str = "simulator") -> None:  # noqa: S107 - known to everybody
        self.user = user
        self.secret = secret
        self.tokens: set[str] = set()  # access tokens that XOAUTH2 takes
        self.boxes: dict[str, Box] = {"INBOX": Box(), "Done": Box()}
        self.capabilities = CAPABILITIES
        self.asked: list[str] = []  # commands without their secrets, IMAP and SMTP alike
        self.lock = threading.RLock()
        # {uid: fault}, for every fetch of that UID: cut, cut_whole (the header still comes), endless, no, gone,
        # unlisted, unsized, quoted.
        self.faults: dict[int, str] = {}
        # Lines that are said in place of the answer to a command, such as {"LOGIN": "NO [UNAVAILABLE] later"}.
        self.answers: dict[str, str] = {}
        self.size_said: dict[int, int] = {}  # sizes that are not the true ones
        self.sent: list[Sent] = []  # what was handed over by SMTP
        self.refused: dict[str, str] = {}  # {recipient: the reply that turns it away}
        self.address = "goldseam@contoso.test"  # mail to it comes into INBOX

    # --- for a mailbox that outlives its process and keeps a ledger, see ``KeptMailbox`` ---------------
    def heard(self, protocol: str, command: str) -> Heard:
        """Note a command, without its secret; the answer says what is to go wrong with it."""
        with self.lock:
            self.asked.append(command if protocol == "IMAP" else f"{protocol} {command}")
        return Heard()

    def answered(self, heard: Heard, said: str, *, committed: bool) -> None:
        """Note what a command was answered with, the last line of it; blank: with nothing."""

    def refresh(self) -> None:
        """Look at what others have put into the folders."""

    def keep(self) -> bool:
        """Keep what a command has changed, and tell whether it has changed anything."""
        return False

    def hand_over(self, mail: Sent) -> None:
        """Take a mail that was sent, and put it into INBOX where it is for this mailbox."""
        with self.lock:
            self.sent.append(mail)
            if self.address in mail.recipients:
                self.deliver(f"Return-Path: <{mail.sender}>\r\n".encode() + mail.raw)

    def leave(self) -> None:
        """Let go of what a connection's thread has opened."""

    def deliver(self, raw: bytes, folder: str = "INBOX", arrived: datetime | None = None) -> int:
        """Put a message into a folder as a mail server does, and return its UID."""
        with self.lock:
            return self.boxes[folder].add(raw, arrived or datetime.now(UTC))

    def renumber(self, folder: str = "INBOX") -> None:
        """Give every message another UID under another UIDVALIDITY, as a restored mail server does."""
        with self.lock:
            old = self.boxes[folder]
            new = self.boxes[folder] = Box(old.validity + 1, 1)
            for letter in old.letters.values():
                new.add(letter.raw, letter.arrived)

    def accepts(self, user: str, secret: str) -> bool:
        """Tell whether somebody may sign in with a password."""
        return (user, secret) == (self.user, self.secret)

    def accepts_token(self, blob: str) -> bool:
        """Tell whether what XOAUTH2 shows is a token of this account."""
        user, _, rest = blob.partition("\1")
        token = rest.removeprefix("auth=Bearer ").rstrip("\1")
        return user == f"user={self.user}" and token in self.tokens


class ImapSession(Session):
    """One IMAP connection."""

    def speak(self) -> None:
        """Greet, then answer one command after the other."""
        self.mailbox: Mailbox = self.server.mailbox
        self.box: Box | None = None
        self.changing = False
        self.signed_in = False
        self.changed = False
        self.say(self.mailbox.answers.get("GREETING", "* OK goldseam simulator ready"))
        while (line := self.heard()) is not None:
            tag, _, rest = line.partition(" ")
            command, _, arguments = rest.partition(" ")
            if not self.answer(tag, command.upper(), arguments):
                return

    def answer(self, tag: str, command: str, arguments: str) -> bool:
        """Answer one command; false ends the connection."""
        secret = command in ("LOGIN", "AUTHENTICATE")
        heard = self.mailbox.heard("IMAP", command if secret else f"{command} {arguments}".strip())
        self.said, self.changed = "", False
        try:
            return self._answer(tag, command, arguments, heard)
        finally:
            self.mailbox.answered(heard, self.said, committed=self.changed)

    def _answer(self, tag: str, command: str, arguments: str, heard: Heard) -> bool:
        self.endure(heard)
        planted = self.mailbox.answers.get(command)
        if heard.refused:
            planted = "NO [AUTHENTICATIONFAILED] no" if heard.fault == "401" else "NO [UNAVAILABLE] not now"
        if planted is not None:
            self.say(planted if planted.startswith(("*", "+")) else f"{tag} {planted}")
            return True
        if command == "LOGOUT":
            self.say("* BYE see you")
            self.say(f"{tag} OK done")
            return False
        if command == "STARTTLS" and self.server.later is not None:
            self.say(f"{tag} OK begin")
            self.make_private(self.server.later)
            return True
        act = getattr(self, f"do_{command.lower()}", None)
        if act is None or not (self.signed_in or command in ("CAPABILITY", "NOOP", "LOGIN", "AUTHENTICATE")):
            self.say(f"{tag} BAD {command} is not known or not now")
            return True
        with self.mailbox.lock:
            self.mailbox.refresh()
            said = act(arguments, tag)
            self.changed = self.mailbox.keep()
            if heard.unheard:
                self.said = ""
                raise Cut
            self.say(f"{tag} {said}")
        return True

    # --- before anybody is known -------------------------------------------------------------------
    def do_capability(self, arguments: str, tag: str) -> str:
        more = " STARTTLS" if self.server.later is not None else ""
        # What can be done with mails is nobody's business before the sign-in: so does Dovecot.
        offered = self.mailbox.capabilities.split()
        known = [word for word in offered if self.signed_in or word not in ("MOVE", "UIDPLUS")]
        self.say(f"* CAPABILITY {' '.join(known)}{more}")
        return "OK done"

    def do_noop(self, arguments: str, tag: str) -> str:
        return "OK done"

    def do_login(self, arguments: str, tag: str) -> str:
        user, secret = [*words(arguments), "", ""][:2]
        self.signed_in = self.mailbox.accepts(user, secret)
        return "OK welcome" if self.signed_in else "NO [AUTHENTICATIONFAILED] wrong user or password"

    def do_authenticate(self, arguments: str, tag: str) -> str:
        self.say("+ ")
        blob = unwrapped(self.heard())
        if arguments.upper() == "PLAIN":
            _, user, secret = [*blob.split("\0"), "", "", ""][:3]
            self.signed_in = self.mailbox.accepts(user, secret)
        else:
            self.signed_in = self.mailbox.accepts_token(blob)
            if not self.signed_in:
                # The reason comes as another question, which wants an empty answer.
                self.say("+ " + base64.b64encode(b'{"status":"401","schemes":"bearer"}').decode())
                self.heard()
        return "OK welcome" if self.signed_in else "NO [AUTHENTICATIONFAILED] wrong user, password or token"

    # --- folders -----------------------------------------------------------------------------------
    def do_select(self, arguments: str, tag: str) -> str:
        name = next(iter(words(arguments)), "")
        box = self.mailbox.boxes.get(name)
        if box is None:
            return "NO [NONEXISTENT] no such folder"
        self.box, self.changing = box, True
        self.say(f"* {len(box.letters)} EXISTS")
        self.say(f"* OK [UIDVALIDITY {box.validity}] UIDs valid")
        self.say(f"* OK [UIDNEXT {box.next_uid}] next")
        return "OK [READ-WRITE] selected"

    def do_examine(self, arguments: str, tag: str) -> str:
        said = self.do_select(arguments, tag)
        self.changing = False
        return said.replace("READ-WRITE", "READ-ONLY")

    def do_status(self, arguments: str, tag: str) -> str:
        name = next(iter(words(arguments)), "")
        if name not in self.mailbox.boxes:
            return "NO [NONEXISTENT] no such folder"
        self.say(f'* STATUS "{name}" (UIDNEXT {self.mailbox.boxes[name].next_uid})')
        return "OK done"

    # --- messages ----------------------------------------------------------------------------------
    def do_uid(self, arguments: str, tag: str) -> str:
        command, _, rest = arguments.partition(" ")
        act = getattr(self, f"uid_{command.lower()}", None)
        if act is None or self.box is None:
            return f"BAD UID {command} is not known or not now"
        return str(act(rest, self.box))

    def uid_search(self, arguments: str, box: Box) -> str:
        key, value = [*words(arguments), "", ""][:2]
        if key.upper() == "UID":
            found = numbers(value, box)
        elif key.upper() == "SINCE":
            day, month, year = value.split("-")
            since = date(int(year), MONTHS.index(month) + 1, int(day))
            found = [uid for uid, letter in sorted(box.letters.items()) if letter.arrived.date() >= since]
        else:
            return f"BAD {key} is not known"
        self.say("* SEARCH " + " ".join(map(str, found)))
        return "OK done"

    def uid_fetch(self, arguments: str, box: Box) -> str:
        which, wanted = [*words(arguments), "", ""][:2]
        for place, uid in enumerate(numbers(which, box), start=1):
            if fault := self.mailbox.faults.get(uid):
                if fault == "no" and _PART.search(wanted):
                    return "NO [SERVERBUG] that message cannot be read"
                if fault == "gone" and _PART.search(wanted):
                    continue
                if fault == "unlisted":
                    continue
                if fault == "unsized" and not _PART.search(wanted):
                    self.say(f"* {place} FETCH (UID {uid} FLAGS ())")
                    continue
            self._fetched(place, box.letters[uid], wanted, fault or "")
        return "OK done"

    def _fetched(self, place: int, letter: Letter, wanted: str, fault: str) -> None:
        head = f"* {place} FETCH (UID {letter.uid}"
        if "RFC822.SIZE" in wanted:
            head += f" RFC822.SIZE {self.mailbox.size_said.get(letter.uid, len(letter.raw))}"
        if "INTERNALDATE" in wanted:
            at = letter.arrived
            head += f' INTERNALDATE "{at.day:2}-{MONTHS[at.month - 1]}-{at.year} {at:%H:%M:%S %z}"'
        if "FLAGS" in wanted:
            head += f" FLAGS ({' '.join(sorted(letter.flags))})"
        part = _PART.search(wanted)
        if part is None:
            self.say(f"{head})")
            return
        body = letter.raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if part[1] else letter.raw
        label = f"BODY[{part[1] or ''}]"
        if part[2]:
            body = body[int(part[2]) : int(part[2]) + int(part[3])]
            label += f"<{part[2]}>"
        if "PEEK" not in part[0].upper() and self.changing:
            letter.flags.add("\\Seen")
        self._body(f"{head} {label}", body, fault, whole=not part[1])

    def _body(self, head: str, body: bytes, fault: str, *, whole: bool) -> None:
        if fault == "endless":
            self.say(f"{head} {{{10**12}}}")
            self.wfile.write(b"x" * 10_000)
            return
        if fault == "quoted":
            self.say(f'{head} "{body.decode("ascii", "replace").splitlines()[0]}")')
            return
        self.wfile.write(f"{head} {{{len(body)}}}\r\n".encode())
        if fault == "cut" or (fault == "cut_whole" and whole):
            self.wfile.write(body[: len(body) // 2])
            raise Cut
        self.wfile.write(body)
        self.say(")")

    def uid_store(self, arguments: str, box: Box) -> str:
        which, how, flags = [*words(arguments), "", "", ""][:3]
        if not self.changing:
            return "NO [READ-ONLY] the folder is open to look only"
        for uid in numbers(which, box):
            held = box.letters[uid].flags
            held.difference_update(flags.split()) if how.startswith("-") else held.update(flags.split())
        return "OK done"

    def uid_copy(self, arguments: str, box: Box) -> str:
        which, name = [*words(arguments), "", ""][:2]
        target = self.mailbox.boxes.get(name)
        if target is None:
            return "NO [TRYCREATE] no such folder"
        old = numbers(which, box)
        new = [target.add(box.letters[uid].raw, box.letters[uid].arrived) for uid in old]
        if not old:
            return "OK nothing there"
        return f"OK [COPYUID {target.validity} {_listed(old)} {_listed(new)}] done"

    def uid_move(self, arguments: str, box: Box) -> str:
        if not self.changing:
            return "NO [READ-ONLY] the folder is open to look only"
        which = next(iter(words(arguments)), "")
        old = numbers(which, box)
        said = self.uid_copy(arguments, box)
        if said.startswith("OK"):
            for uid in old:
                del box.letters[uid]
        return said

    def uid_expunge(self, arguments: str, box: Box) -> str:
        for uid in numbers(next(iter(words(arguments)), ""), box):
            if "\\Deleted" in box.letters[uid].flags:
                del box.letters[uid]
        return "OK done"


def imap_server(
    mailbox: Mailbox, *, tls: ssl.SSLContext | None = None, later: ssl.SSLContext | None = None, port: int = 0
) -> MailServer:
    """Make a server that gives the mailbox out by IMAP: in clear, under ``tls``, or with STARTTLS to ``later``.

    Raises ``OSError`` where the port is taken; 0 picks a free one.
    """
    return MailServer(mailbox, ImapSession, tls=tls, later=later, port=port)


def words(text: str) -> list[str]:
    """Split arguments into atoms, quoted strings and lists in brackets."""
    return [re.sub(r"\\(.)", r"\1", quoted) if quoted else inner or atom for quoted, inner, atom in _WORD.findall(text)]


def numbers(which: str, box: Box) -> list[int]:
    """Return the UIDs of a set that are there; ``*`` is the highest, on whichever side of the colon it stands."""
    highest = max(box.letters, default=0)
    found: set[int] = set()
    for part in which.split(","):
        ends = [highest if end == "*" else int(end or 0) for end in part.split(":")]
        found |= {uid for uid in box.letters if min(ends) <= uid <= max(ends)}
    return sorted(found)


def _listed(uids: Iterable[int]) -> str:
    return ",".join(map(str, uids))
