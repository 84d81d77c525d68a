"""A message as a mail: plain text and simple HTML, the same bytes whenever it is made, and no header but ours."""

import hashlib
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape
from urllib.parse import urlsplit

from connectors.kinds.mail import judging
from connectors.kinds.mail.settings import MailConfig
from connectors.talk.messages import Message
from connectors.wire.plaintext import cleaned, line

# Longer lines are folded by some servers on the way, which breaks signatures.
_POLICY = SMTP.clone(cte_type="7bit")


def composed(message: Message, key: str, config: MailConfig, recipients: list[str]) -> bytes:
    """Return the mail that tells ``message`` under ``key``."""
    mail = EmailMessage(policy=_POLICY)
    identifier = judging.message_id(key, config.own_domain)
    mail["From"] = Address(line(config.sender_name, 100), addr_spec=config.address)
    mail["To"] = [Address(addr_spec=recipient) for recipient in recipients]
    mail["Subject"] = line(message.title, 300)
    mail["Date"] = format_datetime(message.occurred_at)
    mail["Message-ID"] = identifier
    if thread := thread_of(message):
        mail["In-Reply-To"] = mail["References"] = f"<{thread}>"
    # RFC 3834: nobody's absence note, and no other machine, shall answer it.
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail[judging.OUR_HEADER] = line(message.type, 100)
    mail.set_content(_plain(message), cte="quoted-printable")
    mail.add_alternative(_html(message), subtype="html", cte="quoted-printable")
    mail.set_boundary("goldseam-" + hashlib.sha256(identifier.encode()).hexdigest()[:32])
    return mail.as_bytes()


def thread_of(message: Message) -> str:
    """Return the message id that a message answers to, blank where it begins a thread."""
    return next(iter(judging.identifiers(f"<{message.thread.strip('<>')}>")), "") if message.thread.isascii() else ""


def safe_link(message: Message) -> str:
    """Return the message's link where it is a web address, else nothing: it changes nothing, whoever opens it."""
    try:
        parts = urlsplit(message.link)
    except ValueError:
        return ""
    plain = message.link.isprintable() and not any(letter in message.link for letter in " <>\"'")
    return message.link if parts.scheme in ("http", "https") and parts.netloc and plain else ""


def _facts(message: Message) -> list[tuple[str, str]]:
    return [(line(name, 100), line(value, 500)) for name, value in message.facts]


def _plain(message: Message) -> str:
    pieces = [line(message.title, 300), cleaned(message.text).strip()]
    pieces.append("\n".join(f"{name}: {value}" for name, value in _facts(message)))
    if link := safe_link(message):
        pieces.append(f"{line(message.link_label, 60)}: {link}")
    return "\n\n".join(piece for piece in pieces if piece) + "\n"


def _html(message: Message) -> str:
    paragraphs = [part for part in cleaned(message.text).strip().split("\n\n") if part.strip()]
    body = [f"<h3>{escape(line(message.title, 300))}</h3>"]
    body += ["<p>" + "<br>".join(escape(part.strip()) for part in text.split("\n")) + "</p>" for text in paragraphs]
    if facts := _facts(message):
        rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in facts)
        body.append(f"<table>{rows}</table>")
    if link := safe_link(message):
        body.append(f'<p><a href="{escape(link)}">{escape(line(message.link_label, 60))}</a></p>')
    return "<!DOCTYPE html>\n<html><body>\n" + "\n".join(body) + "\n</body></html>\n"
