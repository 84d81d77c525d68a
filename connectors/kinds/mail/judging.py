"""What a mail is by its headers: automatic or by a person, an answer to ours, from whom it says it is or not."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from enum import StrEnum

from connectors.wire.plaintext import line

# Every mail of ours carries it, whatever becomes of its Message-ID on the way.
OUR_HEADER = "X-Goldseam"
_OURS = "goldseam-"
_IDENTIFIER = re.compile(r"<([^<>\s]{1,500})>")
_SAFE_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
MOST_REFERENCES = 50


class Automatic(StrEnum):
    """Why nobody in person wrote a mail."""

    NO = ""
    OWN = "own"
    BOUNCE = "bounce"
    REPORT = "report"  # read receipts and the like
    REPLY = "auto_reply"
    LIST = "list"
    BULK = "bulk"
    NO_SENDER = "null_sender"


@dataclass(frozen=True)
class Headers:
    """The headers of a mail as plain text, each bounded; those of one name in their order."""

    all: tuple[tuple[str, str], ...]

    def every(self, name: str) -> list[str]:
        """Return all headers of that name."""
        return [value for key, value in self.all if key == name.lower()]

    def first(self, name: str) -> str:
        """Return the first header of that name, blank where there is none."""
        return next(iter(self.every(name)), "")

    def has(self, name: str) -> bool:
        """Tell whether there is a header of that name."""
        return any(key == name.lower() for key, _ in self.all)


def message_id(key: str, domain: str) -> str:
    """Return the Message-ID of what we tell under ``key``: for life, and the key can be read from it again."""
    local = key if _SAFE_KEY.fullmatch(key) else "=" + key.encode().hex()
    return f"<{_OURS}{local}@{domain}>"


def key_in(identifier: str, domain: str) -> str:
    """Return the key that one of our own message ids carries; blank where it is none of ours."""
    local, _, where = identifier.strip("<>").rpartition("@")
    if not domain or where.lower() != domain.lower() or not local.startswith(_OURS):
        return ""
    local = local.removeprefix(_OURS)
    if not local.startswith("="):
        return local if _SAFE_KEY.fullmatch(local) else ""
    try:
        return bytes.fromhex(local[1:]).decode()
    except ValueError:
        return ""


def identifiers(text: str) -> list[str]:
    """Return the message ids in a header, each once, without brackets, the first and the last where they are many."""
    found = list(dict.fromkeys(_IDENTIFIER.findall(text)))
    return found if len(found) <= MOST_REFERENCES else [found[0], *found[-MOST_REFERENCES + 1 :]]


def automatic(headers: Headers, kind: str, *, sender: str, domain: str, address: str) -> Automatic:
    """Tell why nobody in person wrote a mail (RFC 3834). ``domain`` and ``address`` are our own, ``kind`` its type.

    What is automatic is kept, and neither answered nor taken for news: two machines would write to each other for ever.
    """
    sent_by_us = any(key_in(found, domain) for found in identifiers(headers.first("message-id")))
    if headers.has(OUR_HEADER) or sent_by_us or (address and sender.lower() == address.lower()):
        return Automatic.OWN
    if kind == "multipart/report":
        report = re.search(r"report-type\s*=\s*[\"']?\s*([\w-]{1,60})", headers.first("content-type"), re.IGNORECASE)
        delivery = report is not None and report[1].lower() == "delivery-status"
        return Automatic.BOUNCE if delivery else Automatic.REPORT
    submitted = headers.first("auto-submitted").partition(";")[0].partition("(")[0].strip().lower()
    if submitted not in ("", "no"):
        return Automatic.REPLY
    if headers.has("list-id"):
        return Automatic.LIST
    if headers.first("precedence").strip().lower() in ("bulk", "list", "junk"):
        return Automatic.BULK
    path = headers.every("return-path")
    return Automatic.NO_SENDER if path and path[0].strip() == "<>" else Automatic.NO


def bounce(parts: Sequence[Message], domain: str) -> dict[str, object]:
    """Read a delivery report (RFC 3464): whom it did not reach, why, for good or for now, and which mail of ours."""
    told: dict[str, object] = {"status": "", "permanent": None, "recipients": [], "reason": "", "key": ""}
    recipients: list[str] = []
    for part in parts[:20]:
        kind = part.get_content_type()
        if kind == "message/delivery-status":
            for block in _blocks(part):
                _read_block(block, told, recipients)
        elif kind in ("message/rfc822", "text/rfc822-headers"):
            found = _IDENTIFIER.findall(_original(part))
            told["key"] = next((key for one in found if (key := key_in(one, domain))), told["key"])
    told["recipients"] = recipients[:20]
    return told


def _blocks(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [block for block in payload if isinstance(block, Message)][:50] if isinstance(payload, list) else []


def _read_block(block: Message, told: dict[str, object], recipients: list[str]) -> None:
    if not (who := str(block.get("Final-Recipient", ""))):
        return
    recipients.append(line(who.rpartition(";")[2], 254))
    status = _STATUS.search(str(block.get("Status", ""))[:100])
    # Of several recipients the worst counts.
    if status and (not told["status"] or status[1] == "5"):
        told["status"] = status[0]
        told["permanent"] = status[1] == "5"
        told["reason"] = line(str(block.get("Diagnostic-Code", "")).partition(";")[2], 300)


def _original(part: Message) -> str:
    """Return the Message-ID of the mail that came back, or of its headers alone."""
    payload = part.get_payload()
    if isinstance(payload, list):
        inner = payload[0] if payload else None
        return str(inner.get("Message-ID", ""))[:1000] if isinstance(inner, Message) else ""
    head = str(payload)[:20_000]
    found = re.search(r"(?im)^message-id:[ \t]*(\S{1,500})", head)
    return found[1] if found else ""


def verified(headers: Headers, sender: str, server: str) -> tuple[bool, dict[str, str]]:
    """Tell whether our own mail server vouches for the sender's domain, and what it says (RFC 8601).

    Only the topmost header of ``server`` counts: ours is put above what came with the mail.
    """
    if not server:
        return False, {}
    for value in headers.every("authentication-results"):
        found = _results(value)
        if found and found[0].split()[:1] == [server.lower()]:
            return _judged(found[1:], sender.rpartition("@")[2].lower())
    return False, {}


def _results(value: str) -> list[str]:
    """Split a header at semicolons, without its comments and with quoted words emptied: both may hold anything."""
    kept: list[str] = []
    depth, quoted, escaped = 0, False, False
    for letter in value:
        if escaped:
            escaped = False
        elif letter == "\\" and (quoted or depth):
            escaped = True
        elif letter == '"' and not depth:
            quoted = not quoted
            kept.append('"')
        elif quoted:
            continue
        elif letter == "(":
            depth += 1
        elif letter == ")":
            depth = max(0, depth - 1)
        elif not depth:
            kept.append(letter)
    return [part.strip().lower() for part in "".join(kept).split(";")]


def _judged(results: list[str], domain: str) -> tuple[bool, dict[str, str]]:
    said: dict[str, str] = {}
    right = False
    for result in results:
        words = result.split()
        method, _, verdict = (words[0] if words else "").partition("=")
        if method not in ("dmarc", "dkim", "spf") or not verdict.isalpha():
            continue
        properties = dict(word.partition("=")[::2] for word in words[1:])
        # Of several signatures one that is right is enough.
        if said.get(method) != "pass":
            said[method] = verdict[:20]
        named = {"dkim": "header.d", "spf": "smtp.mailfrom", "dmarc": "header.from"}[method]
        right = right or (verdict == "pass" and _aligned(properties.get(named, ""), domain))
    return right, said


def _aligned(named: str, domain: str) -> bool:
    """Tell whether what was proven is the sender's domain or one above it."""
    proven = named.rpartition("@")[2].strip(".")
    return "." in proven and (domain == proven or domain.endswith(f".{proven}"))
