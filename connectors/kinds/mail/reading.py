"""From the bytes of a mail to what it says: every part bounded, nothing in it trusted, and no mail that cannot be read.

``email.policy.default`` reads it; what would take long (headers without end, parts within parts) is measured before.
"""

import email
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.errors import MessageError
from email.message import EmailMessage, Message
from email.policy import EmailPolicy, default
from functools import lru_cache
from typing import Any

from connectors.kinds.mail import judging
from connectors.kinds.mail.judging import Automatic, Headers
from connectors.kinds.mail.settings import MailConfig, address_domain
from connectors.talk.mentions import by_type, mentioned
from connectors.wire.plaintext import cleaned, decoded, line, shown

RECEIVED, AUTOMATIC, UNREADABLE = "mail.received", "mail.automatic", "mail.unreadable"
LONGEST_TEXT = 20_000
LONGEST_HTML = 400_000
LONGEST_HEADER = 8_000
MOST_HEADERS = 400
MOST_PARTS = 200
MOST_DEPTH = 20
MOST_COMPARISONS = 5_000_000
MOST_ATTACHMENTS = 50
MOST_PEOPLE = 50
# What the reader of MIME raises where a mail is broken in a way that nobody thought of.
BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    MessageError,
)
_CUT = re.compile(rb"\r?\n\r?\n")


@lru_cache(maxsize=16)
def _parsed(name: str, value: str) -> Any:
    """Read a header once: what reads a mail asks a dozen times for its content type, and reading one can take long."""
    return default.header_fetch_parse(name, value)


class _Bounded(EmailPolicy):
    """The default policy; a header that goes on and on is cut before anything looks into it."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[:LONGEST_HEADER]

    def header_fetch_parse(self, name: str, value: str) -> Any:
        try:
            return _parsed(name, value)
        except BROKEN:
            # A header that cannot be read stays as it is: the rest of the mail says enough.
            return _unfolded(value)


_POLICY = _Bounded()


@dataclass
class Read:
    """What a mail says, and what could not be read of it."""

    event: str
    external_id: str
    payload: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def read(raw: bytes, config: MailConfig, *, whole: bool = True, note: str = "") -> Read:
    """Return what a mail says. Never raises; ``whole`` is false where ``raw`` is the header alone."""
    notes = [note] if note else []
    if whole and (much := _too_much(raw)):
        whole, raw = False, _head(raw)
        notes.append(f"Only the header was read: {much}.")
    try:
        return _read(raw, config, notes, whole=whole)
    except BROKEN:
        pass
    try:
        return _read(_head(raw), config, [*notes, "The mail is broken: only its header was read."], whole=False)
    except BROKEN:
        return unreadable(raw, "The mail is broken beyond its header.")


def unreadable(raw: bytes, reason: str, *, where: str = "") -> Read:
    """Return what is kept of a mail that nobody can read: that it came, and why it says nothing."""
    identity = "sha256:" + hashlib.sha256(raw or where.encode()).hexdigest()
    return Read(UNREADABLE, identity, {"automatic": "", "text": "", "subject": "", "mentions": {}, "notes": [reason]})


def _too_much(raw: bytes) -> str:
    small = raw.lower()
    boundaries = small.count(b"boundary")
    if boundaries > MOST_PARTS or (boundaries and small.count(b"\n--") > MOST_PARTS * 10):
        return "it has too many parts"
    if small.count(b"message/") > MOST_PARTS:
        return "it holds too many other mails"
    # Each line is held against each boundary that is open.
    return "its parts hold too many lines" if boundaries * small.count(b"\n") > MOST_COMPARISONS else ""


def _head(raw: bytes) -> bytes:
    found = _CUT.search(raw)
    return raw[: found.start() if found else len(raw)][: LONGEST_HEADER * 10] + b"\r\n\r\n"


def _read(raw: bytes, config: MailConfig, notes: list[str], *, whole: bool) -> Read:
    message = email.message_from_bytes(raw, _class=EmailMessage, policy=_POLICY)
    headers = _headers(message)
    sender = people(headers.every("from"))
    address = sender[0][1] if len(sender) == 1 else ""
    kind = message.get_content_type()
    why = judging.automatic(headers, kind, sender=address, domain=config.own_domain, address=config.address)
    leaves = list(_leaves(message)) if whole else []
    if len(leaves) >= MOST_PARTS:
        notes.append(f"Only the first {MOST_PARTS} parts were read.")
    text, source = _text(leaves, notes)
    payload = _envelope(headers, sender, config)
    right, said = judging.verified(headers, address, config.auth_server)
    payload |= {
        "text": text,
        "text_from": source,
        "attachments": _attachments(leaves, notes),
        "automatic": why.value,
        "verified": right and not payload["several_senders"],
        "authentication": said,
        "mentions": by_type(mentioned(f"{payload['subject']}\n{text}", config.numbers)),
        "notes": notes,
    }
    told = identity(headers, raw)
    payload["conversation"] = payload["conversation"] or told
    payload["author"] = address + ("" if payload["verified"] else " (not verified)")
    if why:
        # What a machine answers stands with no incident.
        payload["thread"] = ""
    if why is Automatic.BOUNCE:
        payload["bounce"] = judging.bounce(list(_inner(message)), config.own_domain)
    return Read(AUTOMATIC if why else RECEIVED, told, payload, notes)


def _headers(message: Message) -> Headers:
    return Headers(
        tuple(
            (line(name, 100).lower(), _unfolded(str(value))) for name, value in list(message.raw_items())[:MOST_HEADERS]
        )
    )


def _unfolded(value: str) -> str:
    """Join a folded header; letters beyond ASCII are taken for UTF-8, as mail servers of today send them."""
    raw = value[:LONGEST_HEADER].encode("utf-8", "surrogateescape")
    return " ".join(raw.decode("utf-8", "replace").split())


def _worded(name: str, value: str) -> Any:
    """Return a header with its encoded words read (RFC 2047), or as it stands where that fails."""
    try:
        return _POLICY.header_factory(name, value)
    except BROKEN:
        return value


def identity(headers: Headers, raw: bytes) -> str:
    """Return what tells a mail from every other: its Message-ID with a digest of who wrote what to whom and when.

    Some senders use one Message-ID again and again: their second mail is no repetition of the first. Without one it is
    a digest of the bytes.
    """
    found = judging.identifiers(headers.first("message-id"))
    if not found:
        return "sha256:" + hashlib.sha256(raw).hexdigest()
    told = "\x00".join(headers.first(name) for name in ("from", "to", "date", "subject"))
    return f"{short(found[0])}:{hashlib.sha256(told.encode()).hexdigest()[:16]}"


def short(identifier: str) -> str:
    """Return a Message-ID as the first part of an external id: itself, or its digest where it is long or odd."""
    plain = len(identifier) <= 150 and identifier.isascii() and identifier.isprintable()
    return identifier if plain else "sha256:" + hashlib.sha256(identifier.encode()).hexdigest()


def _envelope(headers: Headers, sender: list[tuple[str, str]], config: MailConfig) -> dict[str, Any]:
    own, answered = (judging.identifiers(headers.first(name)) for name in ("message-id", "in-reply-to"))
    references = judging.identifiers(headers.first("references"))
    chain = list(dict.fromkeys([*references, *answered]))
    thread = next((one for one in chain if judging.key_in(one, config.own_domain)), "")
    identifier = line(own[0], 500) if own else ""
    return {
        "message_id": identifier,
        "from": sender[0][1] if sender else "",
        "from_name": sender[0][0] if sender else "",
        "several_senders": len(sender) != 1,
        "to": [address for _, address in people(headers.every("to"))],
        "cc": [address for _, address in people(headers.every("cc"))],
        "subject": line(str(_worded("subject", headers.first("subject"))), 300),
        "date": line(headers.first("date"), 60),
        "references": [line(one, 500) for one in chain],
        "conversation": thread or next((short(one) for one in (*chain, identifier) if one), ""),
        "thread": thread,
    }


def people(values: list[str]) -> list[tuple[str, str]]:
    """Return names and addresses of address headers, at most ``MOST_PEOPLE``; what is no plain address is blank."""
    found: list[tuple[str, str]] = []
    for value in values[:10]:
        parsed = _worded("to", value)
        try:
            given = [(str(one.display_name), str(one.addr_spec)) for one in parsed.addresses[:MOST_PEOPLE]]
        except BROKEN:
            given = [(str(value), "")]
        found += [(line(name, 120), address if address_domain(address) else "") for name, address in given]
    return found[:MOST_PEOPLE]


def _leaves(message: Message) -> Iterator[Message]:
    """Yield the parts that hold something, a mail within the mail as one part; at most ``MOST_PARTS``."""
    waiting: list[tuple[Message, int]] = [(message, 0)]
    count = 0
    while waiting and count < MOST_PARTS:
        part, depth = waiting.pop()
        payload = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(payload, list) and depth < MOST_DEPTH:
            waiting += [(one, depth + 1) for one in reversed(payload[:MOST_PARTS]) if isinstance(one, Message)]
            continue
        count += 1
        yield part


def _inner(message: Message) -> Iterator[Message]:
    payload = message.get_payload()
    yield from (part for part in payload if isinstance(part, Message)) if isinstance(payload, list) else ()


def _attached(part: Message) -> bool:
    """Tell an attachment from what is to be read: by what it is meant as, and by what it is."""
    if part.get_content_disposition() == "attachment":
        return True
    if part.get_content_type() not in ("text/plain", "text/html"):
        return True
    return bool(part.get_filename()) and part.get_content_disposition() != "inline"


def _text(leaves: list[Message], notes: list[str]) -> tuple[str, str]:
    """Return the text and where it is from: the plain parts, else HTML as text, else the mails within the mail."""
    shown_ones = [part for part in leaves if not _attached(part)]
    for kind in ("plain", "html"):
        pieces = [_content(part, kind) for part in shown_ones if part.get_content_type() == f"text/{kind}"]
        text = "\n\n".join(piece for piece in pieces if piece.strip())
        if text:
            return _bounded(text, notes), kind
    nested = [
        _content(inner, "plain")
        for part in leaves
        if part.get_content_type() == "message/rfc822"
        for mail in _inner(part)
        for inner in _leaves(mail)
        if inner.get_content_type() == "text/plain"
    ]
    text = "\n\n".join(piece for piece in nested if piece.strip())
    return (_bounded(text, notes), "nested") if text else ("", "")


def _bounded(text: str, notes: list[str]) -> str:
    text = text.strip()
    if len(text) > LONGEST_TEXT:
        notes.append(f"The text is longer: the first {LONGEST_TEXT} letters are kept.")
    return text[:LONGEST_TEXT]


def _content(part: Message, kind: str) -> str:
    most = LONGEST_HTML if kind == "html" else LONGEST_TEXT * 4
    text = decoded(_bytes(part)[:most], _charset(part))
    if kind == "html":
        text = shown(text)
    return cleaned(text[: LONGEST_TEXT + 1])


def _bytes(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _charset(part: Message) -> str:
    try:
        return str(part.get_content_charset() or "utf-8")
    except BROKEN:
        return "utf-8"


def _attachments(leaves: list[Message], notes: list[str]) -> list[dict[str, Any]]:
    """Return names, types and sizes. Their content is not kept: it is nobody's evidence and may be anything."""
    attached = [part for part in leaves if _attached(part)]
    if len(attached) > MOST_ATTACHMENTS:
        notes.append(f"Of {len(attached)} attachments the first {MOST_ATTACHMENTS} are named.")
    return [
        {
            # A name, never a path.
            "name": re.split(r"[/\\]", line(str(part.get_filename() or ""), 200))[-1],
            "type": line(part.get_content_type(), 100),
            "size": _size(part),
        }
        for part in attached[:MOST_ATTACHMENTS]
    ]


def _size(part: Message) -> int:
    payload = part.get_payload()
    if isinstance(payload, list):
        return sum(_size(one) for one in payload[:MOST_PARTS] if isinstance(one, Message))
    return len(_bytes(part))
