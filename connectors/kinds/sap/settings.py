"""How a connection to SAP is set up: where it is, who signs in, and what differs from system to system."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator, model_validator

from connectors.base import Arguments
from connectors.kit.finding import SETTING
from connectors.kit.openlists import Findable, findable_of
from connectors.kit.pages import FrontEnd, front_end
from connectors.wire.roots import Root

_PATH = re.compile(r"/[A-Za-z0-9_.~;=/-]{1,250}\Z")
_SERVICE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}(?:;v=\d{1,4})?\Z")
_SET = re.compile(r"(?P<service>[A-Za-z_]\w{0,99}(?:;v=\d{1,4})?)/(?P<entity>[A-Za-z_]\w{0,99})\Z", re.ASCII)
_WATCHED = re.compile(r"(?P<set>[^\s:,]{3,220}):(?P<field>[A-Za-z_]\w{0,99})\Z", re.ASCII)
_MESSAGE = re.compile(r"[A-Za-z0-9_/]{1,40}/\d{3}\Z")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,60}: [\x21-\x7e]{1,200}\Z")
V2_ROOT = "/sap/opu/odata/sap/"
V4_ROOT = "/sap/opu/odata4/"
SALES, ITEMS, BILLING = "API_SALES_ORDER_SRV", "A_SalesOrderItem", "API_BILLING_DOCUMENT_SRV"
CREDIT, SUPPLIER = "API_SLS_DOC_WITH_CREDIT_BLOCK", "API_SUPPLIERINVOICE_PROCESS_SRV"
CUBE = "API_OPLACCTGDOCITEMCUBE_SRV/A_OperationalAcctgDocItemCube"


class SignIn(StrEnum):
    """How the technical user signs in."""

    BASIC = "basic"
    CLIENT_CREDENTIALS = "client_credentials"


class Style(StrEnum):
    """How functions are called over HTTP."""

    SOAP = "soap"
    JSON = "json"


@dataclass(frozen=True)
class Service:
    """One OData service: its name here, its path, and whether it speaks version 4."""

    name: str
    path: str
    v4: bool


def service_of(text: str) -> Service:
    """Read ``NAME`` (version 2, in its usual place) or ``name=/path``. Raises ``ValueError``."""
    name, mark, path = text.partition("=/")
    if not mark:
        if not _SERVICE.match(text):
            raise ValueError(f"“{text[:60]}” is no service: write NAME, or name=/path")
        return Service(text, V2_ROOT + text, v4=False)
    path = "/" + path.rstrip("/")
    if not _SERVICE.match(name) or not _PATH.match(path) or "//" in path or ".." in path:
        raise ValueError(f"“{text[:60]}” is no service: write NAME, or name=/path")
    return Service(name, path, v4=path.startswith(V4_ROOT))


def set_of(text: str) -> tuple[str, str]:
    """Read ``SERVICE/EntitySet``. Raises ``ValueError``."""
    found = _SET.match(text)
    if found is None:
        raise ValueError(f"“{text[:60]}” is no entity set: write SERVICE/EntitySet")
    return found["service"], found["entity"]


def watched_of(text: str) -> list[tuple[str, str]]:
    """Read ``SERVICE/EntitySet:ChangeField``, several separated by commas. Raises ``ValueError``."""
    watched = []
    for part in listed(text):
        found = _WATCHED.match(part)
        if found is None:
            raise ValueError(f"“{part[:60]}” cannot be watched: write SERVICE/EntitySet:ChangeField")
        set_of(found["set"])
        watched.append((found["set"], found["field"]))
    return watched


def listed(text: str) -> list[str]:
    """Cut a setting at commas and spaces."""
    return [part for part in re.split(r"[,\s]+", text) if part]


Text = Annotated[str, StringConstraints(max_length=4000)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]
Path = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9_.~/{}-]{1,250}$")]


class SapConfig(Arguments):
    """Where the system is and who signs in."""

    base_url: Root = Field(
        title="System URL", description="The root, such as https://s4.contoso.com or https://s4.contoso.com:44300"
    )
    user: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^:]+$")] = Field(
        title="User or client id", description="The communication user, or the client id for OAuth."
    )
    sign_in: SignIn = Field(default=SignIn.BASIC, title="Sign-in", description="OAuth takes client credentials.")
    token_url: Annotated[str, StringConstraints(pattern=r"^(https?://\S+)?$")] = Field(
        default="", title="Token address", description="For OAuth: the whole address of the token endpoint."
    )
    token_scope: Text = Field(default="", title="Token scope", description="For OAuth, where the server wants one.")
    client: Annotated[str, StringConstraints(pattern=r"^(\d{3})?$")] = Field(
        default="", title="Client", description="sap-client, such as 100; empty: the system's own default."
    )
    language: Annotated[str, StringConstraints(pattern=r"^([A-Z]{2})?$")] = Field(
        default="", title="Language", description="sap-language of its messages, such as EN."
    )
    services: Text = Field(
        default=f"{SALES}, {CREDIT}, {BILLING}, {SUPPLIER}, API_OPLACCTGDOCITEMCUBE_SRV",
        title="OData services",
        description="By name where version 2 lies at /sap/opu/odata/sap/NAME; any other as name=/path.",
    )
    page_size: int = Field(
        default=500, ge=1, le=5000, title="Page size", description="Wished for in version 4; version 2 decides itself."
    )
    allowed_origins: Text = Field(
        default="",
        title="Allowed origins",
        description="Senders of events that the OPTIONS handshake consents to, separated by commas; empty: none.",
    )
    rate: int = Field(
        default=600, ge=1, le=100_000, title="Events a minute", description="What the handshake allows a sender."
    )
    query_entities: Text = Field(
        default="", title="Entity sets for saved queries", description="SERVICE/EntitySet; empty: those it knows."
    )
    findable: Annotated[str, StringConstraints(max_length=20_000)] = Field(
        default="",
        title=SETTING,
        description="One a line, such as “API_SALES_ORDER_SRV/A_SalesOrder(SoldToParty) by PurchaseOrderByCustomer,"
        " CreationDate:date”: what is read, and what it is found by; what holds no text says what: number, whole,"
        " yes_no, date, time or id. “key Field” where the key is not known here.",
        json_schema_extra={"multiline": True},
        examples=["API_SALES_ORDER_SRV/A_SalesOrder(SoldToParty) by PurchaseOrderByCustomer"],
    )
    watched: Text = Field(
        default=f"{SALES}/A_SalesOrder:LastChangeDateTime",
        title="What to poll",
        description="SERVICE/EntitySet:ChangeField by change date; ChangeField “delta” follows delta links.",
    )
    lookback_days: int = Field(default=30, ge=1, le=365, title="Days to look back at the first poll")
    repeatability: bool = Field(
        default=True,
        title="Send RequestID",
        description="Works only where the administrator set idempotent services up; harmless elsewhere.",
    )
    csrf: bool = Field(default=True, title="Fetch CSRF tokens", description="For all that changes something.")
    locked_texts: Text = Field(
        default="is currently being processed by; is locked by user; is currently locked by",
        title="Texts that mean locked",
        description="Parts of a message, separated by semicolons, in the language above.",
    )
    locked_codes: Text = Field(
        default="", title="Messages that mean locked", description="As CLASS/NUMBER; they differ between releases."
    )
    rfc_style: Style = Field(
        default=Style.SOAP, title="Functions are called by", description="SOAP, or a JSON gateway."
    )
    rfc_path: Path = Field(
        default="/sap/bc/soap/rfc", title="Path of functions", description="{function} stands for the name in capitals."
    )
    rfc_root: Path = Field(
        default="/sap/bc/soap/rfc", title="Path where functions' CSRF token is fetched", description="If one is needed."
    )
    rfc_csrf: bool = Field(default=False, title="Functions need a CSRF token")
    rfc_namespace: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9:./_-]{3,200}$")] = Field(
        default="urn:sap-com:document:sap:rfc:functions", title="XML namespace of functions"
    )
    rfc_session_header: Annotated[str, StringConstraints(max_length=260)] = Field(
        default="", title="Header that opens a session", description="As Name: value, if cookies alone are not enough."
    )
    read_functions: Text = Field(
        default="", title="Functions that may be read", description="Names of functions that change nothing."
    )
    logical_system: Annotated[str, StringConstraints(pattern=r"^([A-Z0-9_]{1,10})?$")] = Field(
        default="", title="Logical system", description="OBJ_SYS of reversals and sender of IDocs, such as S4DCLNT100."
    )
    journal_set: Text = Field(
        default=CUBE, title="Where journal items are read", description="SERVICE/EntitySet of accounting line items."
    )
    journal_reversed_field: Name = Field(default="IsReversed", title="Field that says a journal entry is reversed")
    journal_account_field: Name = Field(default="GLAccount", title="Field that names a journal item's account")
    journal_reversal_fields: Text = Field(
        default="ReverseDocument, ReverseDocumentFiscalYear",
        title="Fields that name the reversal of a journal entry",
        description="Number and fiscal year; by them a reversal is read back and proved to come to zero.",
    )
    journal_reference_field: Name = Field(
        default="DocumentReferenceID", title="Field that holds a journal entry's reference"
    )
    reversal_check: Annotated[str, StringConstraints(pattern=r"^([A-Z][A-Z0-9_]{1,59})?$")] = Field(
        default="",
        title="Function that checks a reversal",
        description="Takes what the reversal takes and posts nothing, such as BAPI_ACC_DOCUMENT_REV_CHECK; with it a"
        " closed period is seen before anybody approves. Empty: SAP says so only when it is told to post.",
    )
    closed_period_codes: Text = Field(
        default="F5/201", title="Messages that mean a closed period", description="As CLASS/NUMBER."
    )
    journal_change_path: Path = Field(
        default="/sap/bc/srt/scs_ext/sap/journalentrybulkchangerequest_", title="Path of the journal entry change"
    )
    order_mark_field: Name = Field(
        default="PurchaseOrderByShipToParty",
        title="Field that marks orders we enter",
        description="Of A_SalesOrder, for 27 characters: the order that is replaced, and a mark to find ours by.",
    )
    credit_set: Text = Field(
        default="",
        title="Where credit exposure is read",
        description="SERVICE/EntitySet of your own. Without it no exposure is foreseen or compared.",
    )
    credit_fields: Text = Field(
        default="BusinessPartner, CreditExposure, CreditLimit, Currency",
        title="Its fields for exposure",
        description="The customer, the exposure, the limit and the currency of both.",
    )
    idoc_path: Path = Field(default="/sap/bc/idoc_xml", title="Path that takes IDocs")
    idoc_status_set: Text = Field(
        default="",
        title="Where IDoc states are read",
        description="SERVICE/EntitySet of your own; SAP has none. Without it no IDoc is sent.",
    )
    idoc_status_fields: Text = Field(
        default="DocumentNumber, Status, StatusText, ArchiveKey, SenderAddress",
        title="Its fields",
        description="The IDoc's number, status and status text, and its control fields ARCKEY and SNDLAD.",
    )
    idoc_sender: Annotated[str, StringConstraints(max_length=10)] = Field(
        default="", title="Partner whose IDocs are taken", description="SNDPRN; empty: any that knows the secret."
    )
    idoc_partner: Annotated[str, StringConstraints(max_length=10)] = Field(
        default="GOLDSEAM", title="Our partner number in IDocs we send"
    )
    idoc_sender_port: Annotated[str, StringConstraints(max_length=10)] = Field(
        default="GOLDSEAM", title="Our port in IDocs we send", description="SNDPOR, as its partner profile has it."
    )
    idoc_waiting: Text = Field(
        default="50, 62, 64, 66, 75",
        title="IDoc states that mean on its way",
        description="53 is posted; all else not.",
    )
    front_end_url: FrontEnd = front_end()

    @field_validator("services")
    @classmethod
    def are_services(cls, value: str) -> str:
        """Hold that each is one."""
        for part in listed(value):
            service_of(part)
        return value

    @field_validator("query_entities", "journal_set", "idoc_status_set", "credit_set")
    @classmethod
    def are_sets(cls, value: str) -> str:
        """Hold that each is one."""
        for part in listed(value):
            set_of(part)
        return value

    @field_validator("findable")
    @classmethod
    def can_be_found(cls, value: str) -> str:
        """Say which line cannot be read, or says what SAP has not."""
        for one in findable_of(value).values():
            set_of(one.entity)
            if enums := [name for name, sort in one.by.items() if sort[0].isupper()]:
                raise ValueError(f"{one.entity}: {enums[0]} holds a text; leave its sort away")
        return value

    @field_validator("watched")
    @classmethod
    def are_watched(cls, value: str) -> str:
        """Hold that each can be."""
        watched_of(value)
        return value

    @field_validator("locked_codes", "closed_period_codes")
    @classmethod
    def are_messages(cls, value: str) -> str:
        """Hold that each is a class and a number."""
        for part in listed(value):
            if not _MESSAGE.match(part):
                raise ValueError(f"“{part[:60]}” is no message: write CLASS/NUMBER such as MC/601")
        return value

    @field_validator("rfc_session_header")
    @classmethod
    def is_a_header(cls, value: str) -> str:
        """Hold that it is one."""
        if value and not _HEADER.match(value):
            raise ValueError("write the header as Name: value")
        return value

    @field_validator("journal_reversal_fields")
    @classmethod
    def are_two(cls, value: str) -> str:
        """Hold that both are named."""
        if len(listed(value)) != 2:
            raise ValueError("name two fields: the reversal's number and its fiscal year")
        return value

    @field_validator("idoc_status_fields")
    @classmethod
    def are_five(cls, value: str) -> str:
        """Hold that all are named."""
        if len(listed(value)) != 5:
            raise ValueError("name five fields: number, status, text, ARCKEY and SNDLAD")
        return value

    @field_validator("credit_fields")
    @classmethod
    def are_four(cls, value: str) -> str:
        """Hold that all are named."""
        if len(listed(value)) != 4:
            raise ValueError("name four fields: customer, exposure, limit and currency")
        return value

    @model_validator(mode="after")
    def _holds_together(self) -> "SapConfig":
        if self.sign_in is SignIn.CLIENT_CREDENTIALS and not self.token_url:
            raise ValueError("OAuth needs the token address")
        known = self.known_services()
        sets = [*listed(self.query_entities), *(one for one, _ in watched_of(self.watched))]
        sets += [one.entity for one in self.may_find().values()]
        for one in (*sets, *listed(self.idoc_status_set), *listed(self.credit_set)):
            if set_of(one)[0] not in known:
                raise ValueError(f"{one[:60]} is of no service that is named")
        return self

    def may_find(self) -> Mapping[str, Findable]:
        """Return the entity sets whose records may be found, by their names in small letters."""
        return findable_of(self.findable)

    def known_services(self) -> dict[str, Service]:
        """Return the services by name."""
        return {service.name: service for service in map(service_of, listed(self.services))}

    def locks(self) -> tuple[frozenset[str], tuple[str, ...]]:
        """Return the messages, and the parts of texts in small letters, that mean a lock."""
        texts = tuple(part.strip().lower() for part in self.locked_texts.split(";") if part.strip())
        return frozenset(code.upper() for code in listed(self.locked_codes)), texts
