"""Dynamics 365 Finance & Operations: OData entities, bound actions, business events in."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, StringConstraints, field_validator

from audit.clock import db_now
from connectors import credentials, discovering
from connectors.answers import Explained
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
from connectors.credentials import Token
from connectors.kinds.dynamics_fo import asking, events, odata, reconciling, samples
from connectors.kinds.dynamics_fo.effects import ORDER
from connectors.kinds.dynamics_fo.odata import COMPANY, KEYS, NAMESPACE
from connectors.kinds.dynamics_fo.pages import PAGES
from connectors.kinds.dynamics_fo.reads import QUERIES, READS
from connectors.kinds.dynamics_fo.writes import SENDINGS, WRITES, Sending
from connectors.pages import FrontEnd, front_end
from connectors.queries import listed
from connectors.rest import RestConnector, before_writing
from connectors.transport import Reply

MOST_PAGES = 50
NO_ETAG = "*"


# No release of a credit hold comes with F&O: an environment exposes an action of its own, or a custom service.
Service = Annotated[str, StringConstraints(pattern=r"^(\w+/\w+/\w+)?$", max_length=300)]
_SERVICE = "Group/Service/operation, such as CreditManagement/CreditHoldService/release; empty: the bound action."


class DynamicsFOConfig(Arguments):
    """Where the environment is and who signs in."""

    environment_url: Annotated[str, StringConstraints(pattern=r"^https?://\S+$")] = Field(
        title="Environment URL", description="The root, such as https://contoso.operations.dynamics.com"
    )
    tenant: Annotated[str, StringConstraints(pattern=r"^[\w.-]+$")] = Field(
        title="Tenant", description="The Microsoft Entra tenant's id or domain."
    )
    client_id: Annotated[str, StringConstraints(min_length=1)] = Field(
        title="Client id",
        description="The app registration; inside F&O it must be registered too, and mapped to a user.",
    )
    authority: Annotated[str, StringConstraints(pattern=r"^https?://\S+$")] = Field(
        default="https://login.microsoftonline.com", title="Sign-in address"
    )
    page_size: int = Field(default=500, ge=1, le=10_000, title="Page size")
    query_entities: Annotated[str, StringConstraints(max_length=4000)] = Field(
        default="",
        title="Entities for saved queries",
        description="Separated by commas; empty: those that its own reads know.",
    )
    front_end_url: FrontEnd = front_end()
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

    @field_validator("reconcile")
    @classmethod
    def readable(cls, value: str) -> str:
        """Say which line cannot be read."""
        reconciling.lines_of(value)
        return value

    @field_validator("environment_url", "authority", "front_end_url")
    @classmethod
    def without_slash(cls, value: str) -> str:
        """Cut the trailing slash: with it the token is for another audience, and F&O rejects it."""
        return value.rstrip("/")


class DynamicsFO(RestConnector):
    """Sales, invoices, credit and stock of Dynamics 365 F&O; marker fields make a lost answer findable."""

    slug = "dynamics_fo"
    label = "Dynamics 365 F&O"
    config = DynamicsFOConfig
    pages = PAGES
    secrets = frozenset({"client_secret"})
    operations = (*READS, asking.ASK, *WRITES)
    settings: DynamicsFOConfig

    @classmethod
    def queryable(cls, settings: DynamicsFOConfig) -> frozenset[str]:
        """Return the entities that were named, or those that the declared reads know."""
        return listed(settings.query_entities) or frozenset(KEYS)

    # --- the four verbs --------------------------------------------------------------------------
    def check(self) -> Health:
        """Sign in, then read one customer in any company."""
        tried = [f"POST {self._token_url()}"]
        self.token()
        url = self._url("CustomersV3")
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
        return self.look(operation.name, **arguments.model_dump())

    def write(self, operation: Write, arguments: Any, *, effect_key: str, version: str = "") -> Written:
        """Send a bound action or a PATCH, with the effect key in a header and, for actions, as Reference."""
        sending = SENDINGS[operation.name]
        if service := self._service(operation.name):
            return self._serve(service, arguments, effect_key, version)
        with before_writing():
            address = self._address(sending, arguments)
        headers = {"If-Match": version or NO_ETAG}
        if sending.action:
            url = f"{self._url(address)}/{NAMESPACE}.{sending.action}"
            body: dict[str, Any] = {"Reason": arguments.reason, "Reference": effect_key}
            method = "POST"
        else:
            url, method = self._url(address), "PATCH"
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
        return {"hold.release": config.release_hold_service, "hold.place": config.place_hold_service}.get(operation, "")

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
        query = QUERIES[name]
        fields = {field: arguments[argument] for argument, field in query.fields.items()}
        if query.single:
            found = self.one(query.entity, fields)
            return [found] if found else []
        return self._list(query.entity, odata.equal(fields))

    def one(self, entity: str, key: Mapping[str, Any]) -> Record | None:
        """Fetch one record by its key; ``None`` where there is none."""
        try:
            reply = self.send("GET", self._url(odata.address(entity, key)), params={"cross-company": "true"})
        except NotFound:
            return None
        row = self.content(reply)
        if not isinstance(row, dict) or COMPANY not in row:
            raise Unanswered(f"{self.label} answered with something that is no record.", status=reply.status)
        return odata.record(self.name, self.settings.environment_url, entity, row)

    def notes(self, company: str, reference: str) -> list[Record]:
        """Fetch the credit notes of one company that carry a reference."""
        fields = {COMPANY: company, "CustomerReference": reference}
        return self._list("FreeTextInvoiceHeaders", odata.equal(fields))

    def _list(self, entity: str, where: str) -> list[Record]:
        """Fetch all that a filter finds."""
        return self._pages(entity, {"$filter": where})

    def _pages(self, entity: str, options: Mapping[str, str]) -> list[Record]:
        """Fetch all that the options ask for, following the server's pages."""
        url, params = self._url(entity), {"cross-company": "true", **options}
        records: list[Record] = []
        for _ in range(MOST_PAGES):
            page = self._page(url, params)
            rows = page["value"]
            records += [odata.record(self.name, self.settings.environment_url, entity, row) for row in rows]
            url, params = str(page.get("@odata.nextLink") or ""), {}
            if not url:
                return records
            if not url.startswith(f"{self.settings.environment_url}/data/"):
                # The token goes with the request: it is not handed to whatever a page names.
                raise Unanswered(f"{self.label} continues its list at another address.", code="paging")
        raise Unanswered(f"{self.label} lists more than {MOST_PAGES} pages of {entity}.", code="paging")

    def _page(self, url: str, params: Mapping[str, str]) -> dict[str, Any]:
        headers = {"OData-Version": "4.0", "Prefer": f"odata.maxpagesize={self.settings.page_size}"}
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

    def _url(self, address: str) -> str:
        return f"{self.settings.environment_url}/data/{address}"

    def _token_url(self) -> str:
        return f"{self.settings.authority}/{self.settings.tenant}/oauth2/v2.0/token"

    def token_key(self) -> str:
        """The token depends on the environment, the app and its secret."""
        config = self.settings
        return credentials.key_of(
            self.slug, config.authority, config.tenant, config.environment_url, config.client_id,
            self.secret("client_secret"),
        )  # fmt: skip

    def fetch_token(self) -> Token:
        """Sign in with client credentials; the scope is the environment root with one slash before ``.default``."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.settings.client_id,
            "client_secret": self.secret("client_secret"),
            "scope": f"{self.settings.environment_url}/.default",
        }
        return self.token_of(self.ask_for_token(self._token_url(), form))

    def explain(self, reply: Reply) -> Explained:
        """Read the Infolog."""
        return odata.explain(reply)

    def _said(self, reply: Reply) -> dict[str, Any]:
        if reply.status == 204 or not reply.body:
            return {}
        value = self.content(reply)
        return {"value": value["value"]} if isinstance(value, dict) and "value" in value else {}
