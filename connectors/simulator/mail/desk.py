"""The mailbox of the running simulator: it lies in the store, outlives the process, and its ledger is the simulator's.

IMAP and SMTP are spoken by ``mailbox`` and ``postoffice``, whose facts hold here. A command is a row of the ledger of
requests; what it changes are rows of the ledger of effects.
"""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from datetime import datetime
from urllib.parse import quote

from connectors.simulator import faults
from connectors.simulator.mail import letters
from connectors.simulator.mail.letters import FOLDERS, LETTER, SYSTEM
from connectors.simulator.mail.mailbox import Box, Letter, Mailbox, Sent, imap_server
from connectors.simulator.mail.postoffice import smtp_server
from connectors.simulator.mail.server import Heard
from connectors.simulator.messages import Request
from connectors.simulator.store import Store, now_text

# Below the range that the system hands out to clients, one of which could take a port before it is served.
PORTS = range(11_000, 20_000)
# What IMAP says of a command, as the ledger's status; SMTP has reply codes of its own.
STATUS = {"OK": 200, "BAD": 400, "NO": 409}


class KeptBox(Box):
    """One folder whose mails lie in the store."""

    def __init__(self, store: Store, name: str) -> None:
        super().__init__()
        self.store = store
        self.name = name
        self.seen: set[int] = set()  # what was there when it was looked at: only that can have been taken away

    def add(self, raw: bytes, arrived: datetime) -> int:
        """Put a message in and return its UID."""
        with self.store.write() as session:
            uid = letters.deliver(session, raw, folder=self.name, arrived=arrived, kind="create")
        self.letters[uid] = Letter(uid, raw, arrived)
        self.seen.add(uid)
        self.next_uid = uid + 1
        return uid


class KeptMailbox(Mailbox):
    """The account, kept in the store."""

    def __init__(self, store: Store, secret: str) -> None:
        super().__init__(secret=secret)
        self.store = store
        self.address = letters.ADDRESS
        self.kept: dict[str, KeptBox] = {name: KeptBox(store, name) for name in FOLDERS}
        self.boxes = {**self.kept}
        self._last = 0
        self.refresh()

    def refresh(self) -> None:
        """Look at what others have put into the folders, a reset included."""
        with self.lock:
            with self.store.read() as session:
                rows = session.records(SYSTEM, LETTER)
                known = session.meta("mail:validity")
                following = {name: int(session.meta(f"sequence:mail:{name}", "1")) for name in FOLDERS}
            if not known:
                with self.store.write() as session:
                    known = str(letters.validity(session, self._last))
            self._last = int(known)
            for name, box in self.kept.items():
                mine = [row.fields for row in rows if row.fields["folder"] == name]
                box.validity, box.next_uid = self._last, following[name]
                box.letters = {
                    one["uid"]: Letter(
                        one["uid"],
                        one["raw"].encode("latin-1"),
                        datetime.fromisoformat(one["arrived"]),
                        set(one["flags"]),
                    )
                    for one in mine
                }
                box.seen = set(box.letters)

    def keep(self) -> bool:
        """Keep flags and removals, in one transaction; what was added is kept already."""
        with self.lock, self.store.write() as session:
            for row in session.records(SYSTEM, LETTER):
                box, uid = self.kept[row.fields["folder"]], row.fields["uid"]
                letter = box.letters.get(uid)
                if letter is None and uid in box.seen:
                    session.remove(row, kind="delete")
                elif letter is not None and letter.flags != set(row.fields["flags"]):
                    fields = {**row.fields, "flags": sorted(letter.flags)}
                    session.put(SYSTEM, LETTER, row.key, fields, kind="update")
            return session.effects > 0

    def deliver(self, raw: bytes, folder: str = "INBOX", arrived: datetime | None = None) -> int:
        """Put a message into a folder as a mail server does, and return its UID."""
        with self.lock:
            with self.store.write() as session:
                uid = letters.deliver(session, raw, folder=folder, arrived=arrived)
            self.refresh()
            return uid

    def hand_over(self, mail: Sent) -> None:
        """Take a mail that was sent, and put it into INBOX where it is for this mailbox."""
        with self.lock, self.store.write() as session:
            letters.hand_over(session, mail.sender, mail.recipients, mail.raw)

    def heard(self, protocol: str, command: str) -> Heard:
        """Note a command in the ledger of requests; a rule for faults may meet it."""
        request = Request(protocol, f"/{SYSTEM}/{quote(command)}", {}, b"", "")
        with self.store.write() as session:
            fault = faults.choose(session, SYSTEM, request)
            cursor = session.connection.execute(
                "INSERT INTO requests(arrival, system, method, path, fault) VALUES(?,?,?,?,?)",
                (now_text(), SYSTEM, protocol, f"/{SYSTEM}/{command}", fault.name if fault else None),
            )
            number = int(cursor.lastrowid or 0)
        return Heard(number, fault.name, fault.seconds) if fault else Heard(number)

    def answered(self, heard: Heard, said: str, *, committed: bool) -> None:
        """Note in the ledger what a command was answered with."""
        with self.store.write() as session:
            session.connection.execute(
                "UPDATE requests SET committed=?, status=? WHERE n=?", (int(committed), status(said), heard.number)
            )

    def leave(self) -> None:
        """Close the store's connection of this thread."""
        self.store.close()


def status(said: str) -> int | None:
    """Return the status of an answer's last line: SMTP's reply code, or IMAP's word as a number; ``None`` for none."""
    if said[:3].isdecimal():
        return int(said[:3])
    words = said.split(" ")
    return STATUS.get(words[1]) if len(words) > 1 else None


def free_ports(known: list[int]) -> tuple[int, int]:
    """Return two ports that mail can be served on: the known ones where both are free, else others."""
    if len(known) == 2 and all(map(_is_free, known)):
        return known[0], known[1]
    start = random.choice(PORTS)  # noqa: S311 - so that two who look at once look in different places
    tried = [*range(start, PORTS.stop), *PORTS]
    imap = next(port for port in tried if _is_free(port))
    return imap, next(port for port in tried if port != imap and _is_free(port))


def _is_free(port: int) -> bool:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class MailPair:
    """IMAP and SMTP on loopback, both for the one mailbox of a store."""

    def __init__(self, store: Store, secret: str, ports: tuple[int, int]) -> None:
        self.mailbox = KeptMailbox(store, secret)
        self._running = ExitStack()
        try:
            self.imap = self._running.enter_context(imap_server(self.mailbox, port=ports[0])).port
            self.smtp = self._running.enter_context(smtp_server(self.mailbox, port=ports[1])).port
        except OSError:
            self._running.close()
            raise

    def stop(self) -> None:
        """Stop listening."""
        self._running.close()
