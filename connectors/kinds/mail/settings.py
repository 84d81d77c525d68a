"""What a mailbox needs to be told: where it is, who signs in, what is read and to whom may be written."""

import re
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from connectors.base import Arguments
from connectors.kit.entra import AUTHORITY
from connectors.talk.mentions import Patterns, patterns
from connectors.wire import addresses
from connectors.wire.mail import Security, Server
from connectors.wire.roots import Root

# What may stand in an envelope as it is: no quotes, no blanks, no brackets, nothing that ends a line.
ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@([A-Za-z0-9.-]{1,253})")
DOMAIN = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_Line = Annotated[str, StringConstraints(max_length=300, pattern=r"^[^\x00-\x1f\x7f]*$")]


class SignIn(StrEnum):
    """How the account shows who it is."""

    PASSWORD = "password"  # noqa: S105 - the name of a way, not a password
    OAUTH = "oauth"  # XOAUTH2 with a token for client credentials, as Exchange Online wants it
    NONE = "none"  # a relay that knows us by our address


def address_domain(address: str) -> str:
    """Return the domain of an address in lower case; blank where it is none that can be written to."""
    found = ADDRESS.fullmatch(address) if len(address) <= 254 else None
    domain = found[1].lower() if found else ""
    return domain if DOMAIN.fullmatch(domain) else ""


def listed(text: str) -> list[str]:
    """Split a setting at commas and blanks."""
    return text.replace(",", " ").split()


class MailConfig(Arguments):
    """A mailbox to read, a server to send by, or both."""

    imap_host: _Line = Field(default="", title="IMAP host", description="Where mail is read; empty: it is not.")
    imap_port: int = Field(default=993, ge=1, le=65_535, title="IMAP port")
    imap_security: Security = Field(default=Security.TLS, title="IMAP security")
    smtp_host: _Line = Field(default="", title="SMTP host", description="Where mail is sent; empty: it is not.")
    smtp_port: int = Field(default=587, ge=1, le=65_535, title="SMTP port")
    smtp_security: Security = Field(default=Security.STARTTLS, title="SMTP security")
    sign_in: SignIn = Field(
        default=SignIn.PASSWORD, title="Sign-in", description="OAuth for Exchange Online; none for an internal relay."
    )
    user: _Line = Field(default="", title="User", description="Often the address of the mailbox.")
    authority: Root = Field(default=AUTHORITY, title="Sign-in address", description="For OAuth.")
    tenant: Annotated[str, StringConstraints(pattern=r"^[\w.-]*$")] = Field(
        default="", title="Tenant", description="For OAuth: the Microsoft Entra tenant's id or domain."
    )
    client_id: _Line = Field(default="", title="Client id", description="For OAuth: the app registration.")
    scope: _Line = Field(
        default="https://outlook.office365.com/.default", title="Scope", description="For OAuth: of both protocols."
    )
    folder: _Line = Field(default="INBOX", min_length=1, title="Folder that is read")
    done_folder: _Line = Field(
        default="", title="Folder for what was taken", description="Empty: mails stay where they are, unread."
    )
    mark_seen: bool = Field(default=False, title="Mark what was taken as read")
    lookback_days: int = Field(
        default=3,
        ge=0,
        le=365,
        title="Days to look back",
        description="At the first poll, and where UIDs have changed.",
    )
    most_mails: int = Field(default=50, ge=1, le=500, title="Mails in one poll")
    most_bytes: int = Field(
        default=4_000_000, ge=10_000, le=25_000_000, title="Largest mail in bytes",
        description="Of a larger one only the header is read. OUTBOUND_MAX_BYTES bounds it too.",
    )  # fmt: skip
    auth_server: _Line = Field(
        default="", title="Own authserv-id",
        description="Whose Authentication-Results are believed, such as mx.contoso.com; empty: nobody's.",
    )  # fmt: skip
    numbers: Patterns = patterns()
    address: _Line = Field(default="", title="Address that sends", description="Such as operations@contoso.com.")
    sender_name: _Line = Field(default="Goldseam", title="Name that sends")
    domain: _Line = Field(
        default="", title="Domain of message ids", description="Empty: that of the address. Never change it later."
    )
    recipients: Annotated[str, StringConstraints(max_length=4000)] = Field(
        default="", title="Recipients", description="Where a message names none; separated by commas."
    )
    recipient_domains: Annotated[str, StringConstraints(max_length=2000)] = Field(
        default="", title="Domains that may be written to",
        description="Separated by commas; empty: only that of the address.",
    )  # fmt: skip

    @field_validator("imap_host", "smtp_host")
    @classmethod
    def _spelled_plainly(cls, value: str) -> str:
        if value and not addresses.spelled_plainly(value.lower()):
            raise ValueError("is not a host name or address in its plain spelling")
        return value.lower()

    @field_validator("address")
    @classmethod
    def _an_address(cls, value: str) -> str:
        if value and not address_domain(value):
            raise ValueError("is not an address that can be written to")
        return value

    @field_validator("recipients")
    @classmethod
    def _addresses(cls, value: str) -> str:
        if wrong := [address for address in listed(value) if not address_domain(address)]:
            raise ValueError(f"{wrong[0][:80]} is not an address that can be written to")
        return value

    @field_validator("domain", "recipient_domains")
    @classmethod
    def _domains(cls, value: str) -> str:
        if wrong := [domain for domain in listed(value.lower()) if not DOMAIN.fullmatch(domain)]:
            raise ValueError(f"{wrong[0][:80]} is not a domain; write an international one as xn--…")
        return value.lower()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.smtp_host and not self.address:
            raise ValueError("an SMTP host needs the address that sends")
        if self.done_folder and self.done_folder == self.folder:
            raise ValueError("what was taken cannot be put into the folder that is read")
        return self

    @property
    def imap(self) -> Server:
        """Where mail is read."""
        return Server(self.imap_host, self.imap_port, self.imap_security)

    @property
    def smtp(self) -> Server:
        """Where mail is sent."""
        return Server(self.smtp_host, self.smtp_port, self.smtp_security)

    @property
    def own_domain(self) -> str:
        """The domain that our message ids end with."""
        return self.domain or address_domain(self.address)

    @property
    def open_domains(self) -> frozenset[str]:
        """The domains that may be written to, in lower case."""
        return frozenset(listed(self.recipient_domains) or [address_domain(self.address)]) - {""}
