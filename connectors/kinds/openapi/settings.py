"""What an admin enters for a REST API: its document, where it lies, who signs in, what may be used of it."""

import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, StringConstraints, ValidationInfo, field_validator

from connectors import texts
from connectors.base import Arguments
from connectors.kinds.openapi import example
from connectors.kinds.openapi.compiling import Asked, Compiled, compiled, document_of
from connectors.redaction import Redactor

Text = Annotated[str, StringConstraints(max_length=500)]
_ADDRESS = re.compile(r"https?://[^\s/?#@\\]{1,255}(/[^\s?#@\\]{0,300})?")
_LOCATION = re.compile(r"https?://[^\s/?#@\\]{1,255}(/[^\s?#@\\]{0,300})?(\?[^\s#\\]{0,200})?")
_HEADER = r"^[A-Za-z0-9-]{1,60}$"
_SIGNING: dict[str, JsonValue] = {"group": "Signing in"}
_EVENTS: dict[str, JsonValue] = {"group": "What it tells us"}
_PLACE = r"^[A-Za-z0-9_@$-]{1,60}(\.[A-Za-z0-9_@$-]{1,60}){0,5}$"


class OpenApiConfig(Arguments):
    """Where the API is, what it says of itself, and what of it may be used."""

    base_url: Annotated[str, StringConstraints(max_length=600)] = Field(
        title="Base address",
        description="Such as https://api.contoso.com. Without a path the document's own is added; end with / for none.",
        examples=["https://nobody.test"],
    )
    document: Annotated[str, StringConstraints(min_length=1, max_length=16_000_000, strip_whitespace=False)] = Field(
        title="OpenAPI document",
        description="OpenAPI 3.0 or 3.1, as JSON or YAML, in one file.",
        examples=[example.DOCUMENT],
        repr=False,
        json_schema_extra={"multiline": True, "kept": True},
    )
    document_url: Text = Field(
        default="",
        title="Or fetch it from",
        description="The document's address. It is fetched when you press the button, once, and no secret is sent.",
        json_schema_extra={"fetches": "document"},
    )
    sign_in: Text = Field(
        default="",
        title="Sign in with",
        description="Names of the document's security schemes, separated by commas; empty: the first that can be used.",
        json_schema_extra=_SIGNING,
    )
    user: Text = Field(
        default="", title="User", description="For HTTP Basic; the password is a secret.", json_schema_extra=_SIGNING
    )
    client_id: Text = Field(
        default="", title="Client id", description="For OAuth client credentials.", json_schema_extra=_SIGNING
    )
    token_url: Text = Field(
        default="",
        title="Token address",
        description="For OAuth: the client secret is sent here, and nowhere else. The document's own is never used.",
        json_schema_extra=_SIGNING,
    )
    scope: Text = Field(
        default="",
        title="Scope",
        description="For OAuth; empty: those that the document names.",
        json_schema_extra=_SIGNING,
    )
    chosen: tuple[str, ...] = Field(
        default=(),
        title="Operations",
        description="What this connection may be used for, at most 100.",
        examples=[example.CHOSEN],
        json_schema_extra={"offered": True},
    )
    declarations: Annotated[str, StringConstraints(max_length=200_000)] = Field(
        default="",
        title="Declarations",
        description="No document says how a change is read back and taken back: say so for each chosen write.",
        examples=[example.DECLARATIONS],
        validate_default=True,
        json_schema_extra={"sheets": True},
    )
    waiting: tuple[str, ...] = Field(
        default=(),
        title="Waiting",
        description="Writes that are chosen and not declared yet: no operations until they are.",
        json_schema_extra={"drawn": False},
    )
    csrf_path: Annotated[str, StringConstraints(pattern=r"^(/[^\s?#\\]{0,200})?$")] = Field(
        default="",
        title="Fetch a CSRF token at",
        description="Path below the base address; empty: none is needed.",
        json_schema_extra=_SIGNING,
    )
    csrf_header: Annotated[str, StringConstraints(pattern=_HEADER)] = Field(
        default="X-CSRF-Token", title="Header of the CSRF token", json_schema_extra=_SIGNING
    )
    check_with: Text = Field(
        default="",
        title="Connection test calls",
        description="A chosen read that needs no arguments; empty: the first such, else the base address.",
    )
    event_id: Annotated[str, StringConstraints(pattern=_PLACE)] = Field(
        default="id",
        title="Event: where its id stands",
        description="Used where the header webhook-id is not sent.",
        json_schema_extra=_EVENTS,
    )
    event_type: Annotated[str, StringConstraints(pattern=_PLACE)] = Field(
        default="type",
        title="Event: where its type stands",
        description="Such as type, or data.event.",
        json_schema_extra=_EVENTS,
    )
    event_time: Annotated[str, StringConstraints(pattern=_PLACE)] = Field(
        default="timestamp", title="Event: where its time stands", json_schema_extra=_EVENTS
    )

    @field_validator("base_url", "token_url")
    @classmethod
    def is_an_address(cls, value: str, info: ValidationInfo) -> str:
        """Hold that it is an address that says everything itself: scheme, host and path."""
        if not value and info.field_name == "token_url":
            return value
        try:
            parts = urlsplit(value)
            usable = bool(_ADDRESS.fullmatch(value)) and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            usable = False
        if not usable or ".." in value or "{" in value or "%" in value:
            raise ValueError("write it as https://host, with a port or path where needed; no user name, no ? and no #")
        return value

    @field_validator("document_url")
    @classmethod
    def is_an_open_address(cls, value: str) -> str:
        """Hold that a document's address can be stored and shown: it names a host, and no secret stands in it."""
        if value and not _LOCATION.fullmatch(value):
            raise ValueError("write it as https://host/path, with a query where needed; no user name and no #")
        if Redactor().text(value) != value:
            raise ValueError("a secret stands in it, and it is shown to everybody here: choose the file instead")
        return value

    @field_validator("document")
    @classmethod
    def is_a_document(cls, value: str) -> str:
        """Hold that it can be read; one that is kept could be when it was."""
        if not texts.is_reference(value):
            document_of(value)
            return value
        try:
            texts.is_kept(value)
        except texts.NotKept as lost:
            raise ValueError(str(lost)) from None
        return value

    @field_validator("chosen", "waiting", mode="before")
    @classmethod
    def is_a_list(cls, value: Any) -> Any:
        """Take names one a line or separated by commas, too."""
        return tuple(filter(None, re.split(r"[,\s]+", value))) if isinstance(value, str) else value

    @field_validator("chosen", "waiting")
    @classmethod
    def are_offered(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """Hold that the document has each."""
        if "document" in info.data and not texts.is_reference(info.data["document"]):
            known = document_of(info.data["document"]).offered
            if strange := [name for name in value if name not in known]:
                raise ValueError(f"the document has no {', '.join(strange)[:300]}")
        return tuple(dict.fromkeys(value))

    @field_validator("declarations")
    @classmethod
    def make_operations(cls, value: str, info: ValidationInfo) -> str:
        """Hold that everything chosen can be used as it is declared."""
        if {"document", "base_url", "chosen", "sign_in", "token_url"} <= set(info.data):
            compiled(asked({**info.data, "declarations": value}))
        return value

    @field_validator("check_with")
    @classmethod
    def is_a_read(cls, value: str, info: ValidationInfo) -> str:
        """Hold that the connection test calls a read without required arguments."""
        if value and "declarations" in info.data:
            found = compiled(asked(info.data)).reads.get(value)
            if found is None or any(part.is_required() for part in found.endpoint.arguments.model_fields.values()):
                raise ValueError("name a chosen read that needs no arguments")
        return value

    def compiled(self) -> Compiled:
        """Return the operations. Raises ``Unusable`` where the document is gone."""
        return compiled(asked(dict(self)))


def asked(values: Any) -> Asked:
    """Return what operations depend on."""
    names = tuple(filter(None, re.split(r"[,\s]+", values["sign_in"])))
    return Asked(
        values["document"], values["base_url"], names, tuple(values["chosen"]), values["declarations"],
        values["token_url"],
    )  # fmt: skip
