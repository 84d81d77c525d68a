"""The mails of the simulated mailbox as rows of the store: what lies in which folder, and what was handed over.

Facts: a message is known by folder, UIDVALIDITY and UID (RFC 3501); a mailbox that was made anew has another
UIDVALIDITY; a mail is known to its readers by ``Message-ID`` and answers by ``References`` (RFC 5322); a machine's mail
says so in ``Auto-Submitted`` (RFC 3834); who vouches for a sender writes ``Authentication-Results`` (RFC 8601).
"""

from __future__ import annotations

import email
import time
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP, compat32
from email.utils import format_datetime

from connectors.simulator.messages import Refusal
from connectors.simulator.store import PERSON, Fields, Session

SYSTEM = "mail"
LETTER, SENT = "Letter", "Sent"
FOLDERS = ("INBOX", "Done")
ADDRESS = "goldseam@contoso.test"
SERVER = "mx.contoso.test"  # the authserv-id of our own mail server
# What an outsider may say of a mail that somebody writes.
WRITTEN = ("from", "subject", "text", "id", "in_reply_to", "automatic", "verified")


def validity(session: Session, last: int = 0) -> int:
    """Return the UIDVALIDITY of all folders; a mailbox that has none yet draws one above ``last``."""
    known = session.meta("mail:validity")
    if not known:
        known = str(max(last + 1, int(time.time())))
        session.set_meta("mail:validity", known)
    return int(known)


def deliver(
    session: Session,
    raw: bytes,
    *,
    folder: str = "INBOX",
    arrived: datetime | None = None,
    flags: tuple[str, ...] = (),
    kind: str = PERSON,
) -> int:
    """Put a mail into a folder and return its UID."""
    uid = session.next_number(f"mail:{folder}", 1)
    fields = {
        "folder": folder,
        "uid": uid,
        "arrived": (arrived or datetime.now(UTC)).isoformat(),
        "flags": list(flags),
        **headed(raw),
        "raw": raw.decode("latin-1"),
    }
    session.put(SYSTEM, LETTER, place(folder, uid), fields, kind=kind)
    return uid


def hand_over(session: Session, sender: str, recipients: tuple[str, ...], raw: bytes) -> None:
    """Keep a mail that was sent. Its Message-ID is the effect's key: the same mail sent again carries the same."""
    head = headed(raw)
    session.effect_key = head["message_id"] or session.effect_key
    number = session.next_number("mail:sent", 1)
    fields = {"sender": sender, "recipients": list(recipients), **head, "raw": raw.decode("latin-1")}
    session.put(SYSTEM, SENT, f"{number:09d}", fields, kind="create")
    if ADDRESS in recipients:
        deliver(session, f"Return-Path: <{sender}>\r\n".encode() + raw, kind="side_effect")


def place(folder: str, uid: int) -> str:
    """Return the key of a mail in a folder."""
    return f"{folder}/{uid:09d}"


def headed(raw: bytes) -> dict[str, str]:
    """Return what the header of a mail says of it, as it is written there."""
    head = email.message_from_bytes(raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", policy=compat32)
    return {
        "message_id": str(head["Message-ID"] or "").strip().strip("<>"),
        "from": str(head["From"] or ""),
        "to": str(head["To"] or ""),
        "subject": str(head["Subject"] or ""),
    }


def written(wish: Fields, *, at: datetime) -> bytes:
    """Write the mail that somebody sends: ``from``, ``subject``, ``text``, ``id``, and ``in_reply_to`` for an answer.

    ``automatic`` is what ``Auto-Submitted`` says; with ``verified`` our mail server vouches for the sender's domain.
    Raises ``Refusal`` where something is missing or is no text.
    """
    unknown = set(wish) - set(WRITTEN)
    if unknown:
        raise Refusal(400, f"Unknown field '{min(unknown)}'.")
    for name in ("from", "subject", "text", "id"):
        if not isinstance(wish.get(name), str) or not wish[name]:
            raise Refusal(400, f"'{name}' must be a text.")
    mail = EmailMessage(policy=SMTP)
    try:
        if wish.get("verified"):
            domain = str(wish["from"]).rpartition("@")[2].rstrip("> ")
            mail["Authentication-Results"] = f"{SERVER}; dmarc=pass header.from={domain}"
        mail["From"], mail["To"], mail["Subject"] = wish["from"], ADDRESS, wish["subject"]
        mail["Date"], mail["Message-ID"] = format_datetime(at), f"<{wish['id']}>"
        if wish.get("in_reply_to"):
            mail["In-Reply-To"] = mail["References"] = f"<{wish['in_reply_to']}>"
        if wish.get("automatic"):
            mail["Auto-Submitted"] = str(wish["automatic"])
    except (ValueError, IndexError) as wrong:  # Python's reader of message ids knows both
        raise Refusal(400, f"That is no header of a mail: {wrong}") from None
    mail.set_content(wish["text"])
    return mail.as_bytes()
