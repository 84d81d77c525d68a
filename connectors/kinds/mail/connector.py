"""Mail: read by IMAP as it lies there, told by SMTP. Nothing in a mail approves or changes anything."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from connectors.base import (
    Blocked,
    ConnectorError,
    Health,
    Inbound,
    Refused,
    Tell,
    Unauthorized,
    Written,
)
from connectors.kinds.mail import composing, conversations, sending
from connectors.kinds.mail.folder import Folder
from connectors.kinds.mail.intake import Intake
from connectors.kinds.mail.judging import message_id
from connectors.kinds.mail.settings import MailConfig, SignIn, address_domain, listed
from connectors.kit import credentials
from connectors.kit.answers import Explained
from connectors.kit.credentials import Token
from connectors.kit.entra import EntraConnector
from connectors.kit.rest import before_writing
from connectors.talk.messages import THREAD, Message
from connectors.talk.tellers import Teller
from connectors.transport import Reply
from connectors.wire import mail as mailwire
from connectors.wire.mail import Smtp

SEND = Tell("mail.send", Message, "Send a mail", addressed=True)


class Mail(Teller, EntraConnector):
    """A mailbox and a way to send: what people write becomes news, what happens is told to them."""

    slug = "mail"
    label = "Mail"
    config = MailConfig
    secrets = frozenset({"password", "client_secret"})
    operations = (SEND,)
    settings: MailConfig

    # --- the verbs -------------------------------------------------------------------------------
    def check(self) -> Health:
        """Sign in where mail is read and where it is sent, look at the folders, and change nothing."""
        config = self.settings
        tried: list[str] = []
        if not (config.imap_host or config.smtp_host):
            raise Blocked("Neither an IMAP nor an SMTP host is named: name one of them.", code="arguments")
        try:
            if config.imap_host:
                tried.append(f"IMAP {config.imap}: sign in, look into {config.folder}")
                self._try_imap()
            if config.smtp_host:
                tried.append(f"SMTP {config.smtp}: sign in, NOOP")
                self._try_smtp()
        except ConnectorError as error:
            # What was tried and went well must not be lost where the next thing fails.
            said = "; ".join([*(f"{step}: done" for step in tried[:-1]), f"{tried[-1]}: failed"])
            error.args = (f"{error} Tried: {said}.",)
            raise
        return Health(ok=True, tried=tuple(tried), message="Connected; nothing was changed.")

    def poll(self, since: datetime | None) -> list[Inbound]:
        """Give the mails that are new in the folder, as many as one poll may take."""
        return Intake(self).run() if self.settings.imap_host else []

    @classmethod
    def polled(cls, event: str, payload: Mapping[str, Any]) -> bool:
        """Tell that every mail was found by a poll."""
        return True

    @classmethod
    def lacks(cls, payload: Mapping[str, Any]) -> bool:
        """Tell whether a mail answers another and names no record itself."""
        return bool(payload.get("references")) and not payload.get("mentions") and not payload.get("automatic")

    def complete(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Add what the mails before it named: an answer is about the same."""
        return {**payload, "mentions": conversations.named_before(self.name, payload)}

    def tell(self, operation: Tell, arguments: Message, *, key: str) -> Written:
        """Send a mail. What it says of who was refused stands in the result; ``thread`` is what answers refer to."""
        config = self.settings
        if not config.smtp_host:
            raise Blocked(f"{self.name} has no SMTP host: it only reads mail.", code="arguments")
        allowed, denied = self._recipients(arguments)
        mail = composing.composed(arguments, key, config, allowed)
        with self._sending() as client:
            handed = sending.hand_over(client, config.smtp, config.address, allowed, mail)
        identifier = message_id(key, config.own_domain).strip("<>")
        result = {
            "message_id": identifier,
            THREAD: composing.thread_of(arguments) or identifier,
            "accepted": len(handed.accepted),
            "refused": {**denied, **handed.refused},
        }
        return Written(result=result, request_id=handed.said[:100])

    def logged(self, operation: Any, arguments: Any) -> dict[str, Any]:
        """Keep what a mail is about and how many get it; what it says stands with whoever told it."""
        if not isinstance(arguments, Message):
            return super().logged(operation, arguments)
        return {
            "id": arguments.id, "type": arguments.type, "subject": arguments.subject, "thread": arguments.thread,
            "recipients": len(arguments.recipients),
        }  # fmt: skip

    def credential(self) -> tuple[str, ...]:
        """Return who signs in where: hosts of mail are no web addresses."""
        config = self.settings
        return (self.slug, config.imap_host, config.smtp_host, config.user, "", *sorted(self._secrets.values()))

    # --- lines to the servers ---------------------------------------------------------------------
    def signed_in(self) -> Folder:
        """Open a line to the IMAP server and sign in. A token that is refused is renewed once."""
        config = self.settings
        if config.sign_in is SignIn.PASSWORD:
            return self._folder(self.secret("password"))
        if config.sign_in is SignIn.NONE:
            raise Blocked("Nobody reads a mailbox without signing in: choose password or oauth.", code="credentials")
        token = self.token()
        try:
            return self._folder(token.value, by_token=True)
        except Unauthorized:
            credentials.forget(self.token_key(), token)
            return self._folder(self.token().value, by_token=True)

    def _folder(self, secret: str, *, by_token: bool = False) -> Folder:
        self.trace.requests += 1
        client = mailwire.imap(self.settings.imap)
        folder = Folder(self.settings.imap, client)
        try:
            if by_token:
                folder.sign_in_with_token(self.settings.user, secret)
            else:
                folder.sign_in(self.settings.user, secret)
        except BaseException:
            mailwire.shut(client)
            raise
        return folder

    def _smtp(self) -> Smtp:
        """Open a line to the SMTP server and sign in. A token that is refused is renewed once."""
        config = self.settings
        if config.sign_in is SignIn.NONE:
            return self._greeted()
        if config.sign_in is SignIn.PASSWORD:
            return self._greeted(self.secret("password"))
        with before_writing():
            token = self.token()
        try:
            return self._greeted(token.value, by_token=True)
        except Unauthorized:
            credentials.forget(self.token_key(), token)
        with before_writing():
            token = self.token()
        return self._greeted(token.value, by_token=True)

    def _greeted(self, secret: str = "", *, by_token: bool = False) -> Smtp:
        self.trace.requests += 1
        server = self.settings.smtp
        client = mailwire.smtp(server, self.settings.own_domain)
        try:
            if by_token:
                sending.sign_in_with_token(client, server, self.settings.user, secret)
            elif secret:
                sending.sign_in(client, server, self.settings.user, secret)
        except BaseException:
            mailwire.shut(client)
            raise
        return client

    @contextmanager
    def _sending(self) -> Iterator[Smtp]:
        client = self._smtp()
        try:
            yield client
            # The mail is handed over: how the line ends says nothing about it.
            with suppress(OSError, ValueError):
                client.quit()
        finally:
            mailwire.shut(client)

    def _try_imap(self) -> None:
        config = self.settings
        folder = self.signed_in()
        try:
            folder.open(config.folder, changing=False)
            if config.done_folder and not folder.exists(config.done_folder):
                raise Refused(f"{config.imap} has no folder {config.done_folder} for what was taken.", code="folder")
            folder.noop()
        finally:
            folder.close()

    def _try_smtp(self) -> None:
        with self._sending() as client:
            with mailwire.answered(self.settings.smtp):
                code, text = client.noop()
            if code != 250:
                raise sending.failure(self.settings.smtp, code, text)

    # --- whom, and under which token --------------------------------------------------------------
    def _recipients(self, message: Message) -> tuple[list[str], dict[str, str]]:
        """Split the recipients into those who may be written to and those who may not, with the reason."""
        named = list(dict.fromkeys(message.recipients or listed(self.settings.recipients)))
        if not named:
            raise Blocked(
                f"{self.name}: the message names no recipient, and there is none by default.", code="arguments"
            )
        denied: dict[str, str] = {}
        for address in named:
            domain = address_domain(address)
            if not domain:
                denied[address] = "this is not an address that can be written to"
            elif domain not in self.settings.open_domains:
                denied[address] = f"{domain} is not among the domains that may be written to"
        allowed = [address for address in named if address not in denied]
        if not allowed:
            said = "; ".join(f"{address[:100]}: {why}" for address, why in list(denied.items())[:5])
            raise Blocked(f"{self.name} may write to none of the recipients. {said}.", code="address")
        return allowed, denied

    def scope(self) -> str:
        """Return the scope of both protocols."""
        return self.settings.scope

    def fetch_token(self) -> Token:
        """Sign in with client credentials."""
        if not (self.settings.tenant and self.settings.client_id):
            raise Blocked(f"{self.name} signs in by oauth: name its tenant and client id.", code="credentials")
        return super().fetch_token()

    def explain(self, reply: Reply) -> Explained:
        """Only the token server answers by HTTP; what it says of refusals is read where it is asked."""
        return Explained("")
