"""The SMTP side of the simulated mailbox: takes mails, turns recipients away, and falls silent where it is told to.

Facts of RFC 5321: 4xx is for now and 5xx for good, recipient by recipient; a line that breaks after the final dot
leaves open whether the mail was taken. What is to go wrong stands in ``Mailbox.answers`` (a reply in place of the usual
one, by command; ``BODY`` is the one after the final dot, ``CUT`` breaks the line) and in ``Mailbox.refused``.
"""

from __future__ import annotations

import ssl

from connectors.simulator.mail.mailbox import Mailbox, Sent
from connectors.simulator.mail.server import Cut, Heard, MailServer, Session, unwrapped

SIZE = 10_000_000
CUT = "CUT"
# What a fault on demand says, by its name; every other one is for now.
REFUSALS = {"401": "535 5.7.8 wrong user, password or token", "403": "550 5.7.1 not for you", "404": "550 5.1.1 nobody"}


class SmtpSession(Session):
    """One SMTP connection."""

    def speak(self) -> None:
        """Greet, then answer one command after the other."""
        self.mailbox: Mailbox = self.server.mailbox
        self.signed_in = False
        self.sender = ""
        self.recipients: list[str] = []
        self.met = Heard()
        self.changed = False
        self.reply("GREETING", "220 goldseam simulator")
        while (line := self.heard()) is not None:
            command, _, arguments = line.partition(" ")
            if not self.answer(command.upper(), arguments):
                return

    def reply(self, command: str, usual: str) -> bool:
        """Say the usual reply or the planted one; tell whether it was the usual one."""
        planted = self.mailbox.answers.get(command)
        if planted == CUT or (self.met.unheard and command == "BODY"):
            self.said = ""
            raise Cut
        self.say(planted or usual)
        return planted is None

    def answer(self, command: str, arguments: str) -> bool:
        """Answer one command; false ends the connection."""
        self.met = self.mailbox.heard("SMTP", command if command == "AUTH" else f"{command} {arguments}".strip())
        self.said, self.changed = "", False
        try:
            return self._answer(command, arguments)
        finally:
            self.mailbox.answered(self.met, self.said, committed=self.changed)

    def _answer(self, command: str, arguments: str) -> bool:
        self.endure(self.met)
        if self.met.refused:
            self.say(REFUSALS.get(self.met.fault, "451 4.3.0 not now"))
            return True
        act = getattr(self, f"do_{command.lower()}", None)
        if command == "QUIT":
            self.reply(command, "221 bye")
            return False
        if act is None:
            self.say("502 5.5.2 not known here")
        else:
            act(arguments)
        return True

    def do_ehlo(self, arguments: str) -> None:
        later = "250-STARTTLS\r\n" if self.server.later is not None else ""
        self.reply("EHLO", f"250-goldseam simulator\r\n{later}250-SIZE {SIZE}\r\n250 AUTH PLAIN XOAUTH2")

    def do_starttls(self, arguments: str) -> None:
        if self.server.later is None:
            self.say("502 5.5.1 not offered")
            return
        self.say("220 begin")
        self.make_private(self.server.later)

    def do_auth(self, arguments: str) -> None:
        if "AUTH" in self.mailbox.answers:
            self.reply("AUTH", "")
            return
        kind, _, shown = arguments.partition(" ")
        blob = unwrapped(shown)
        if kind.upper() == "PLAIN":
            _, user, secret = [*blob.split("\0"), "", "", ""][:3]
            self.signed_in = self.mailbox.accepts(user, secret)
        else:
            self.signed_in = self.mailbox.accepts_token(blob)
            if not self.signed_in:
                self.say("334 eyJzdGF0dXMiOiI0MDEifQ==")
                self.heard()
        self.say("235 2.7.0 welcome" if self.signed_in else "535 5.7.8 wrong user, password or token")

    def do_noop(self, arguments: str) -> None:
        self.reply("NOOP", "250 2.0.0 here")

    def do_rset(self, arguments: str) -> None:
        self.recipients = []
        self.say("250 2.0.0 forgotten")

    def do_mail(self, arguments: str) -> None:
        self.sender = arguments.partition("<")[2].partition(">")[0]
        self.recipients = []
        self.reply("MAIL", "250 2.1.0 go on")

    def do_rcpt(self, arguments: str) -> None:
        recipient = arguments.partition("<")[2].partition(">")[0]
        if said := self.mailbox.refused.get(recipient):
            self.say(said)
        elif self.reply("RCPT", "250 2.1.5 go on"):
            self.recipients.append(recipient)

    def do_data(self, arguments: str) -> None:
        if not self.reply("DATA", "354 go on"):
            return
        lines: list[bytes] = []
        while (line := self.rfile.readline(1_000_000)) != b".\r\n":
            if not line:
                raise Cut
            lines.append(line.removeprefix(b"."))
        planted = self.mailbox.answers.get("BODY", "")
        if not planted.startswith(("4", "5")):
            self.taken(b"".join(lines))
        self.reply("BODY", f"250 2.0.0 queued as {len(self.mailbox.sent)}")

    def taken(self, raw: bytes) -> None:
        """Keep a mail, and put it into the mailbox where it is for it."""
        self.mailbox.hand_over(Sent(self.sender, tuple(self.recipients), raw))
        self.changed = True


def smtp_server(
    mailbox: Mailbox, *, tls: ssl.SSLContext | None = None, later: ssl.SSLContext | None = None, port: int = 0
) -> MailServer:
    """Make a server that takes mails: in clear, under ``tls``, or with STARTTLS to ``later``.

    Raises ``OSError`` where the port is taken; 0 picks a free one.
    """
    return MailServer(mailbox, SmtpSession, tls=tls, later=later, port=port)
