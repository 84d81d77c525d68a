"""Dynamics 365 Finance & Operations: OData entities, bound actions, business events in."""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, StringConstraints, ValidationInfo, field_validator, model_validator

from audit.clock import db_now
from connectors.base import (
    Arguments,
    Health,
    Inbound,
    NotFound,
    Read,
    Record,
    Sample,
    Unanswered,
    VersionConflict,
    Write,
    Written,
)
from connectors.kinds.dynamics_fo import (
    anything,
    asking,
    events,
    finding,
    freesending,
    odata,
    payments,
    reconciling,
    reissues,
    samples,
)
from connectors.kinds.dynamics_fo.anything import FOAction
from connectors.kinds.dynamics_fo.effects import ORDER
from connectors.kinds.dynamics_fo.odata import COMPANY, KEYS, NAMESPACE
from connectors.kinds.dynamics_fo.pages import PAGES
from connectors.kinds.dynamics_fo.reads import READS
from connectors.kinds.dynamics_fo.writes import SENDINGS, WRITES, Sending
from connectors.kit import discovering
from connectors.kit.answers import Explained
from connectors.kit.entra import AUTHORITY, EntraConnector, Tenant
from connectors.kit.finding import SETTING
from connectors.kit.openlists import Findable, Opened, findable_of, opened_of
from connectors.kit.pages import FrontEnd, front_end
from connectors.kit.queries import listed
from connectors.kit.rest import before_writing
from connectors.transport import Reply
from connectors.wire.roots import Root

MOST_PAGES = 50
NO_ETAG = "*"


# No release of a credit hold comes with F&O: an environment exposes an action of its own, or a custom service.
Service = Annotated[str, StringConstraints(pattern=r"^(\w+/\w+/\w+)?$", max_length=300)]
_SERVICE = "Group/Service/operation, such as CreditManagement/CreditHoldService/release; empty: the bound action."


class DynamicsFOConfig(Arguments):
    """Where the environment is and who signs in."""

    environment_url: Root = Field(
        title="Environment URL", description="The root, such as https://contoso.operations.dynamics.com"
    )
    tenant: Tenant = Field(title="Tenant", description="The Microsoft Entra tenant's id or domain.")
    client_id: Annotated[str, StringConstraints(min_length=1)] = Field(
        title="Client id",
        description="The app registration; inside F&O it must be registered too, and mapped to a user.",
    )
    authority: Root = Field(default=AUTHORITY, title="Sign-in address")
    page_size: int = Field(default=500, ge=1, le=10_000, title="Page size")
    query_entities: Annotated[str, StringConstraints(max_length=4000)] = Field(
        default="",
        title="Entities for saved queries",
        description="Separated by commas; empty: those that its own reads know.",
    )
    front_end_url: FrontEnd = front_end()
    entities: Annotated[str, StringConstraints(max_length=20_000)] = Field(
        default="",
        title="Entities it may change",
        description="One a line, such as “VendorInvoiceHeaders(InvoicePaymentReleaseDate) by HeaderReference”; “mark"
        " TextField:60” where records are made. The operations of their own need none.",
        json_schema_extra={"multiline": True},
    )
    findable: Annotated[str, StringConstraints(max_length=20_000)] = Field(
        default="",
        title=SETTING,
        description="One a line, such as “SalesOrderHeadersV2(CurrencyCode) by CustomersOrderReference,"
        " CreditHold:NoYes”: what is read, and what it is found by; what holds no text says what: number, whole, date,"
        " time, id or its enum. “key Field” where the key is not known here.",
        json_schema_extra={"multiline": True},
        examples=["SalesOrderHeadersV2(CurrencyCode) by SalesOrderNumber"],
    )
    actions: Annotated[str, StringConstraints(max_length=20_000)] = Field(
        default="",
        title="Actions it may call (JSON)",
        description="Bound actions and custom services by a name of yours, each with its parameters, effect and undo.",
        json_schema_extra={"multiline": True},
    )
    reconcile: Annotated[str, StringConstraints(max_length=4000)] = Field(
        default="",
        title="Events to read back",
        description="F&O gives events up after three tries. One a line, such as “SalesInvoicePostedBusinessEvent:"
        " SalesInvoiceHeadersV2 by InvoiceDate, InvoiceId=InvoiceNumber”; asked for on every poll.",
        json_schema_extra={"multiline": True},
    )
    release_hold_service: Service = Field(
        default="", title="Custom service that releases a credit hold", description=_SERVICE
    )
    place_hold_service: Service = Field(
        default="", title="Custom service that places a credit hold", description=_SERVICE
    )
    customer_payments: payments.Place = Field(
        default=payments.CUSTOMER_PAYMENTS,
        title="Where customers' payments are read",
        description="Entity(PaymentField, CustomerField), as the environment names them.",
    )
    vendor_payments: payments.Place = Field(
        default=payments.VENDOR_PAYMENTS,
        title="Where payments to vendors are read",
        description="Entity(PaymentField, VendorField), as the environment names them.",
    )
    reissue_service: Service = Field(
        default="", title="Custom service that issues an invoice anew", description=_SERVICE
    )
    reissue_reversal_service: Service = Field(
        default="", title="Custom service that credits such an invoice", description=_SERVICE
    )

    @field_validator("reconcile", "entities", "findable", "actions")
    @classmethod
    def readable(cls, value: str, info: ValidationInfo) -> str:
        """Say which line cannot be read."""
        read: dict[str, Callable[[str], object]] = {
            "reconcile": reconciling.lines_of,
            "entities": opened_of,
            "findable": findable_of,
            "actions": anything.actions_of,
        }
        read[str(info.field_name)](value)
        return value

    @model_validator(mode="after")
    def _can_be_found(self) -> "DynamicsFOConfig":
        for one in self.may_find().values():
            if "/" in one.entity:
                raise ValueError(f"findable: {one.entity} is no entity")
            if not (one.key or self.key_of(one.entity)):
                raise ValueError(f"findable: say the key of {one.entity}, such as “{one.entity} by Name key Number”")
        return self

    def may_find(self) -> Mapping[str, Findable]:
        """Return the entities whose records may be found, by their names in small letters. Raises ``ValueError``."""
        return findable_of(self.findable)

    def opened(self) -> Mapping[str, Opened]:
        """Return the entities that may be changed, by their names in small letters."""
        return opened_of(self.entities)

    def key_of(self, entity: str) -> tuple[str, ...]:
        """Return the fields of an entity's key behind the company; none where nobody said which they are."""
        opened = self.opened().get(entity.casefold())
        return KEYS.get(entity) or (opened.key if opened else payments.key_of(self, entity))

    def declared_actions(self) -> dict[str, FOAction]:
        """Return the actions that may be called, by their names."""
        return anything.actions_of(self.actions)


class DynamicsFO(EntraConnector):
    """Sales, invoices, credit and stock of Dynamics 365 F&O; marker fields make a lost answer findable."""

    slug = "dynamics_fo"
    label = "Dynamics 365 F&O"
    config = DynamicsFOConfig
    pages = PAGES
    secrets = frozenset({"client_secret"})
    operations = (*READS, finding.FIND, asking.ASK, *WRITES, *anything.WRITES)
    settings: DynamicsFOConfig

    @classmethod
    def queryable(cls, settings: DynamicsFOConfig) -> frozenset[str]:
        """Return the entities that were named, or those that the declared reads know."""
        return listed(settings.query_entities) or frozenset(KEYS)

    # --- the four verbs --------------------------------------------------------------------------
    def check(self) -> Health:
        """Sign in, then read one customer in any company."""
        tried = [f"POST {self.token_url()}"]
        self.token()
        url = self.url("CustomersV3")
        tried.append(f"GET {url}?$top=1")
        rows = self._page(url, {"cross-company": "true", "$top": "1"})["value"]
        seen = "one customer was read" if rows else "signed in, but no customer is visible to this user"
        return Health(ok=True, tried=tuple(tried), message=f"Connected; {seen}.")

    def entities(self) -> list[str]:
        """Ask for the environment's service document."""
        return discovering.sets_of(self.content(self.send("GET", f"{self.settings.environment_url}/data")))

    def receive(self, body: bytes, headers: Mapping[str, str]) -> list[Inbound]:
        """Cut business events out of their envelopes."""
        return events.inbound(body)

    @classmethod
    def sample(cls, settings: DynamicsFOConfig) -> Sample:
        """Return a business event."""
        return samples.BUSINESS_EVENT

    def read(self, operation: Read, arguments: Any) -> list[Record]:
        """Fetch by key or by filter, always across companies."""
        if isinstance(arguments, asking.ODataQuery):
            return self._pages(arguments.entity, arguments.options())[: arguments.rows]
        if isinstance(arguments, finding.FindArguments):
            return finding.find(self, arguments)
        return self.look(operation.name, **arguments.model_dump())

    def write(self, operation: Write, arguments: Any, *, effect_key: str, version: str = "") -> Written:
        """Send a bound action or a PATCH, with the effect key in a header and, for actions, as Reference."""
        if free := freesending.SENDERS.get(operation.name):
            return free(self, arguments, effect_key, version)
        service = self._service(operation.name)
        if operation.name in reissues.ACTIONS:
            return reissues.send(self, operation, arguments, service=service, effect_key=effect_key, version=version)
        sending = SENDINGS[operation.name]
        if service:
            return self._serve(service, arguments, effect_key, version)
        with before_writing():
            address = self._address(sending, arguments)
        headers = {"If-Match": version or NO_ETAG}
        if sending.action:
            url = f"{self.url(address)}/{NAMESPACE}.{sending.action}"
            body: dict[str, Any] = {"Reason": arguments.reason, "Reference": effect_key}
            method = "POST"
        else:
            url, method = self.url(address), "PATCH"
            value = getattr(arguments, sending.argument)
            body = {sending.field: float(value) if isinstance(value, Decimal) else value}
        reply = self.send(
            method, url, params={"cross-company": "true"}, json=body, headers=headers, effect_key=effect_key
        )
        return Written(
            version=reply.headers.get("etag", ""), result=self._said(reply), request_id=self.trace.request_id
        )

    def poll(self, since: datetime | None) -> list[Inbound]:
        """Read back what events should have told; nothing where no event is named for it."""
        lines = reconciling.lines_of(self.settings.reconcile)
        return reconciling.told(lines, since, db_now(), self._pages) if lines else []

    def _service(self, operation: str) -> str:
        config = self.settings
        services = {
            "hold.release": config.release_hold_service,
            "hold.place": config.place_hold_service,
            "invoice.reissue": config.reissue_service,
            "reissue.reverse": config.reissue_reversal_service,
        }
        return services.get(operation, "")

    def _serve(self, service: str, arguments: Any, effect_key: str, version: str) -> Written:
        """Run a custom service. It knows no etag: the version is read and held against the expected one before."""
        with before_writing():
            found = self.one(ORDER, {COMPANY: arguments.company, "SalesOrderNumber": arguments.order})
        if found is None:
            raise NotFound(f"{self.label} has no order {arguments.order} in {arguments.company}.", status=404)
        if version not in ("", NO_ETAG, found.version):
            raise VersionConflict(f"{ORDER} {found.key} was changed by someone.", status=412)
        body = {"company": arguments.company, "salesOrderId": arguments.order}
        body |= {"Reason": arguments.reason, "Reference": effect_key}
        url = f"{self.settings.environment_url}/api/services/{service}"
        reply = self.send("POST", url, json=body, effect_key=effect_key)
        self.content(reply)
        return Written(result={"service": service}, request_id=self.trace.request_id)

    # --- reading, also for what writes look at ----------------------------------------------------
    def look(self, name: str, **arguments: Any) -> list[Record]:
        """Fetch the records of a declared read."""
        query = payments.query_of(self.settings, name)
        fields = {field: arguments[argument] for argument, field in query.fields.items()}
        if query.single:
            found = self.one(query.entity, fields)
            return [found] if found else []
        return self.listed(query.entity, odata.equal(fields))

    def one(self, entity: str, key: Mapping[str, Any]) -> Record | None:
        """Fetch one record by its key; ``None`` where there is none."""
        try:
            address = odata.address(entity, key, self.key_of(entity))
            reply = self.send("GET", self.url(address), params={"cross-company": "true"})
        except NotFound:
            return None
        row = self.content(reply)
        if not isinstance(row, dict) or COMPANY not in row:
            raise Unanswered(f"{self.label} answered with something that is no record.", status=reply.status)
        return odata.record(self.name, self.settings.environment_url, entity, row, self.key_of(entity))

    def key_of(self, entity: str) -> tuple[str, ...]:
        """Return the fields of an entity's key behind the company; none where nobody said which they are."""
        return self.settings.key_of(entity)

    def notes(self, company: str, reference: str) -> list[Record]:
        """Fetch the credit notes of one company that carry a reference."""
        fields = {COMPANY: company, "CustomerReference": reference}
        return self.listed("FreeTextInvoiceHeaders", odata.equal(fields))

    def listed(self, entity: str, where: str) -> list[Record]:
        """Fetch all that a filter finds."""
        return self._pages(entity, {"$filter": where})

    def _pages(self, entity: str, options: Mapping[str, str]) -> list[Record]:
        """Fetch all that the options ask for, following the server's pages."""
        url, params = self.url(entity), {"cross-company": "true", **options}
        records: list[Record] = []
        for _ in range(MOST_PAGES):
            page = self._page(url, params)
            rows = page["value"]
            names = self.key_of(entity)
            records += [odata.record(self.name, self.settings.environment_url, entity, row, names) for row in rows]
            url, params = str(page.get("@odata.nextLink") or ""), {}
            if not url:
                return records
            if not url.startswith(f"{self.settings.environment_url}/data/"):
                # The token goes with the request: it is not handed to whatever a page names.
                raise Unanswered(f"{self.label} continues its list at another address.", code="paging")
        raise Unanswered(f"{self.label} lists more than {MOST_PAGES} pages of {entity}.", code="paging")

    def first(
        self, entity: str, options: Mapping[str, str], names: tuple[str, ...], size: int
    ) -> tuple[list[Record], bool]:
        """Fetch one page of what the options ask for, and whether the server says that its list goes on."""
        page = self._page(self.url(entity), {"cross-company": "true", **options}, size)
        root = self.settings.environment_url
        rows = [odata.record(self.name, root, entity, row, names) for row in page["value"]]
        return rows, bool(page["@odata.nextLink"])

    def _page(self, url: str, params: Mapping[str, str], size: int = 0) -> dict[str, Any]:
        wish = f"odata.maxpagesize={size or self.settings.page_size}"
        headers = {"OData-Version": "4.0", "Prefer": wish}
        reply = self.send("GET", url, params=params or None, headers=headers)
        page = self.content(reply)
        rows = page.get("value") if isinstance(page, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise Unanswered(f"{self.label} answered with something that is no list.", status=reply.status)
        return {"value": rows, "@odata.nextLink": page.get("@odata.nextLink")}

    # --- addresses, tokens, errors ----------------------------------------------------------------
    def _address(self, sending: Sending, arguments: Any) -> str:
        if sending.key:
            return odata.address(sending.entity, {f: getattr(arguments, name) for f, name in sending.key.items()})
        notes = self.notes(arguments.company, arguments.reference)
        if len(notes) != 1:
            problem = "no credit note" if not notes else f"{len(notes)} credit notes"
            raise NotFound(f"{self.label} has {problem} with the reference {arguments.reference}.", status=404)
        return odata.address(sending.entity, notes[0].fields)

    def url(self, address: str) -> str:
        """Return where an entity, a record or an action of one is."""
        return f"{self.settings.environment_url}/data/{address}"

    def scope(self) -> str:
        """Return the scope: the environment's root with one slash before ``.default``."""
        return f"{self.settings.environment_url}/.default"

    def explain(self, reply: Reply) -> Explained:
        """Read the Infolog."""
        return odata.explain(reply)

    def _said(self, reply: Reply) -> dict[str, Any]:
        if reply.status == 204 or not reply.body:
            return {}
        value = self.content(reply)
        return {"value": value["value"]} if isinstance(value, dict) and "value" in value else {}
