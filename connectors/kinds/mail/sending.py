"""Handing a mail to an SMTP server: who was refused, what can be tried again, and when nobody knows."""

import re
import smtplib
from dataclasses import dataclass, field
from typing import NoReturn

from connectors.base import Blocked, ConnectorError, Locked, RateLimited, Refused, Unanswered, Unauthorized, Unreachable
from connectors.wire import mail as mailwire
from connectors.wire.mail import Server, Smtp

_DOT = re.compile(rb"^\.", re.MULTILINE)


@dataclass
class Handed:
    """What became of a mail: who gets it, who was refused and why, and what the server said at the end."""

    accepted: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    said: str = ""


def sign_in(client: Smtp, server: Server, user: str, password: str) -> None:
    """Sign in with a password. Raises ``Unauthorized``, ``Unreachable`` or ``Blocked``: nothing was sent."""
    try:
        client.login(user, password)
    except UnicodeError:
        raise Blocked("The user or password holds letters that SMTP cannot carry.", code="credentials") from None
    except (smtplib.SMTPException, OSError, *mailwire.NONSENSE) as error:
        _not_signed_in(server, error)


def sign_in_with_token(client: Smtp, server: Server, user: str, token: str) -> None:
    """Sign in by XOAUTH2. Raises as ``sign_in`` does."""
    words = f"user={user}\1auth=Bearer {token}\1\1"
    try:
        # A refusal comes as another question, which wants an empty answer.
        client.auth("XOAUTH2", lambda question=None: words if question is None else "")
    except (smtplib.SMTPException, OSError, *mailwire.NONSENSE) as error:
        _not_signed_in(server, error)


def _not_signed_in(server: Server, error: Exception) -> NoReturn:
    if isinstance(error, smtplib.SMTPNotSupportedError):
        raise Unauthorized(f"{server} offers no sign-in here: check port and security.", code="login") from None
    if isinstance(error, smtplib.SMTPResponseException):
        if 400 <= error.smtp_code < 500:
            raise Unreachable(
                f"{server} cannot sign anybody in right now.", status=error.smtp_code, code="unavailable"
            ) from None
        # What it says is left out: some servers repeat what they were shown.
        raise Unauthorized(
            f"{server} does not accept the user and password or token.", status=error.smtp_code, code="login"
        ) from None
    raise Unreachable(f"{server} broke off at the sign-in.", code="reset") from None


def hand_over(client: Smtp, server: Server, sender: str, recipients: list[str], mail: bytes) -> Handed:
    """Send one mail to all recipients who are taken.

    Raises ``Refused``, ``Locked``, ``RateLimited`` or ``Unreachable`` where nobody gets it, ``Unanswered`` where the
    line broke after the mail had gone out: it may have been taken.
    """
    handed = Handed()
    worst = 0
    with _before_the_mail(server):
        code, text = client.mail(sender, [f"size={len(mail)}"] if client.has_extn("size") else [])
        if code != 250:
            raise failure(server, code, text)
        for recipient in recipients:
            code, text = client.rcpt(recipient)
            if code in (250, 251, 252):
                handed.accepted.append(recipient)
                continue
            handed.refused[recipient] = mailwire.reply(code, text)
            if code == 421:
                raise failure(server, code, text)
            # One that may be taken later is reason enough to come again.
            worst = code if not worst or code < 500 else worst
        if not handed.accepted:
            client.rset()
            raise _nobody(server, worst, handed.refused)
        code, text = client.docmd("DATA")
        if code != 354:
            raise failure(server, code, text)
    with mailwire.answered(server):
        body = _DOT.sub(b"..", mail)
        client.send(body + (b"" if body.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        code, text = client.getreply()
    if code != 250:
        raise failure(server, code, text)
    handed.said = mailwire.reply(code, text)
    return handed


class _before_the_mail:  # noqa: N801 - read as a phrase
    """Whatever breaks before the mail itself went out, nobody has got it."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, smtplib.SMTPException | OSError | ValueError):
            raise Unreachable(
                f"{self._server} broke off before the mail: {mailwire.said(error)}.", code="reset"
            ) from None


def failure(server: Server, code: int, text: bytes | str) -> ConnectorError:
    """Return what a reply means: 4xx is for now, 5xx for good (RFC 5321, 4.2.1)."""
    told = f"{server}: {mailwire.reply(code, text)}."
    if code == 421:
        return Unreachable(told, status=code, code="closing")
    if 400 <= code < 500:
        return RateLimited(told, status=code, code="later")
    if code in (530, 535, 538):
        return Unauthorized(told, status=code, code="login")
    if 500 <= code < 600:
        return Refused(told, status=code, code="smtp")
    return Unanswered(f"{server} answered {code}, which means nothing here.", status=code, code="shape")


def _nobody(server: Server, code: int, refused: dict[str, str]) -> ConnectorError:
    who = "; ".join(f"{address}: {said}" for address, said in list(refused.items())[:5])
    told = f"{server} takes the mail for nobody. {who}."
    if 400 <= code < 500:
        # A full or busy mailbox, or a server that wants to see us come again: a matter of that mailbox, not of all.
        return Locked(told, status=code, code="recipients")
    return Refused(told, status=code, code="recipients")
