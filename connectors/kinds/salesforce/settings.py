"""How one Salesforce org is configured, and which of its fields are read."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from connectors.base import Arguments
from connectors.kinds.salesforce.operations import KEY_FIELD
from connectors.kit.finding import SETTING
from connectors.kit.openlists import Findable, Opened, findable_of, opened_of
from connectors.kit.pages import FrontEnd, front_end
from connectors.kit.queries import listed
from connectors.wire.roots import Root

STAMPS = ["CreatedDate", "LastModifiedDate", "SystemModstamp"]
FIELDS: dict[str, list[str]] = {
    "Account": ["Id", "Name", "AccountNumber", "Region__c", *STAMPS],
    "Case": [
        "Id", "CaseNumber", "Subject", "Description", "Status", "Priority", "OwnerId", "AccountId", "Order_Number__c",
        "Invoice_Number__c", "Type", "Origin", "Business_Unit__c", "Region__c", KEY_FIELD, *STAMPS,
    ],
    "CaseComment": ["Id", "ParentId", "CommentBody", "IsPublished", "CreatedById", *STAMPS],
}  # fmt: skip


class SalesforceConfig(Arguments):
    """Where the org is and who signs in."""

    login_url: Root = Field(title="My Domain URL", description="Such as https://contoso.my.salesforce.com")
    client_id: Annotated[str, StringConstraints(min_length=1)] = Field(
        title="Client id", description="Of the external client app; it needs a run-as integration user."
    )
    api_version: Annotated[str, StringConstraints(pattern=r"^v\d{2,3}\.0$")] = Field(
        default="v62.0", title="API version"
    )
    batch_size: int = Field(default=2000, ge=200, le=2000, title="Rows per page")
    lookback_days: int = Field(default=30, ge=1, le=365, title="Days to look back at the first poll")
    limit_pause_seconds: float = Field(
        default=60, ge=1, le=3600, title="Pause at the request limit (s)",
        description="Salesforce does not say how long to wait when the limit is reached.",
    )  # fmt: skip
    query_entities: Annotated[str, StringConstraints(max_length=4000)] = Field(
        default="", title="Objects for saved queries",
        description="Separated by commas, relationships such as Owner too; empty: those that its own reads know.",
    )  # fmt: skip
    objects: Annotated[str, StringConstraints(max_length=20_000)] = Field(
        default="", title="Objects it may change",
        description="One a line, such as “Order(Status, ShipMethod__c)”; “mark Key__c” names the external id field of"
        f" records that are made, where it is not {KEY_FIELD}. The operations of their own need none.",
        json_schema_extra={"multiline": True},
    )  # fmt: skip
    findable: Annotated[str, StringConstraints(max_length=20_000)] = Field(
        default="", title=SETTING,
        description="One object a line, such as “Order(Status) by OrderReferenceNumber, AccountId:id”: what is read,"
        " and what it is found by; a field that holds no text says what: number, whole, yes_no, date, time or id.",
        json_schema_extra={"multiline": True}, examples=["Order(Status) by OrderReferenceNumber"],
    )  # fmt: skip
    organization_id: Annotated[str, StringConstraints(pattern=r"^(?:00D[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?)?$")] = Field(
        default="", title="Organization id",
        description="Of 15 or 18 letters; outbound messages of another organization are then turned away.",
    )  # fmt: skip
    client_name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,40}$")] = Field(
        default="Goldseam", title="Name of our changes",
        description="Sent with each change; change events that carry it are our own and are not taken.",
    )  # fmt: skip
    case_comments: bool = Field(
        default=False, title="Poll the comments of cases",
        description="What people write on a case then stands with the incidents that it belongs to.",
    )  # fmt: skip
    closed_statuses: Annotated[str, StringConstraints(max_length=1000)] = Field(
        default="Closed", title="Statuses of a closed case", description="Separated by commas, as the org names them."
    )
    front_end_url: FrontEnd = front_end()

    @field_validator("objects")
    @classmethod
    def can_be_read(cls, value: str) -> str:
        """Say which line cannot be read."""
        for opened in opened_of(value).values():
            if opened.key:
                raise ValueError(f"{opened.entity}: Salesforce finds records by their ids; leave “by” away")
        return value

    @field_validator("findable")
    @classmethod
    def can_be_found(cls, value: str) -> str:
        """Say which line cannot be read, or says what Salesforce has not."""
        for one in findable_of(value).values():
            if one.key:
                raise ValueError(f"{one.entity}: Salesforce knows records by their ids; leave “key” away")
            if "/" in one.entity:
                raise ValueError(f"{one.entity} is no object")
            if enums := [name for name, sort in one.by.items() if sort[0].isupper()]:
                raise ValueError(f"{one.entity}: {enums[0]} of a picklist holds a text; leave its sort away")
        return value

    def opened(self) -> Mapping[str, Opened]:
        """Return the objects that may be changed, by their names in small letters."""
        return opened_of(self.objects)

    def may_find(self) -> Mapping[str, Findable]:
        """Return the objects whose records may be found, by their names in small letters."""
        return findable_of(self.findable)

    def key_field(self, opened: Opened) -> str:
        """Return the external id field that takes the key of an effect."""
        return opened.mark or KEY_FIELD

    def readable(self, entity: str) -> bool:
        """Tell whether a record of this object may be read because a message names it."""
        return entity in FIELDS or entity in listed(self.query_entities)
