"""Dataverse and Dynamics 365 CE: tables over the Web API, FetchXML, webhooks and change tracking in."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from connectors.base import (
    Health,
    Inbound,
    NotFound,
    Read,
    Record,
    Refused,
    Sample,
    Tell,
    Unanswered,
    Write,
    Written,
)
from connectors.kinds.dataverse import events, finding, notes, samples, tracking, webapi, writing
from connectors.kinds.dataverse.fetchxml import FetchXmlQuery, Page, next_page
from connectors.kinds.dataverse.operations import READS, TELLS, WRITES
from connectors.kinds.dataverse.pages import PAGES
from connectors.kinds.dataverse.settings import DataverseAction, DataverseConfig
from connectors.kinds.dataverse.tables import Table, the_table
from connectors.kit import declaredactions, discovering
from connectors.kit.answers import Explained
from connectors.kit.entra import EntraConnector
from connectors.kit.queries import listed
from connectors.transport import Reply

MOST_PAGES = 50
ODATA = {"OData-MaxVersion": "4.0", "OData-Version": "4.0"}
# Without it a GET may be answered from a cache in between.
UNCACHED = {**ODATA, "If-None-Match": "null"}
_OPS = {"contains": "contains({column},{value})"}


class Dataverse(EntraConnector):
    """Any table of Dataverse; ids made from our own keys make a repeated creation harmless."""

    slug = "dataverse"
    label = "Dataverse"
    config = DataverseConfig
    pages = PAGES
    tickets = notes.TICKETS
    secrets = frozenset({"client_secret"})
    operations = (*READS, finding.FIND, *WRITES, *TELLS)
    settings: DataverseConfig

    @classmethod
    def queryable(cls, settings: DataverseConfig) -> frozenset[str]:
        """Return the tables that were named, or all that the connection may use."""
        return listed(settings.query_entities) or frozenset(settings.known_tables())

    # --- the four verbs --------------------------------------------------------------------------
    def check(self) -> Health:
        """Sign in, then read the id of one row of the first table."""
        tried = [f"POST {self.token_url()}"]
        self.token()
        table = next(iter(self.settings.known_tables().values()))
        url = f"{self.root}/{table.set}"
        tried.append(f"GET {url}?$top=1")
        reply = self.send("GET", url, params={"$select": table.id, "$top": "1"}, headers=UNCACHED)
        rows = webapi.rows_of(self.content(reply), self.label)
        seen = f"one {table.name} was read" if rows else f"signed in, but this user sees no {table.name}"
        return Health(ok=True, tried=tuple(tried), message=f"Connected; {seen}.")

    def entities(self) -> list[str]:
        """Ask for the environment's tables, by their logical names."""
        url = f"{self.root}/EntityDefinitions"
        reply = self.send("GET", url, params={"$select": "LogicalName"}, headers=UNCACHED)
        rows = webapi.rows_of(self.content(reply), self.label)
        return discovering.names([row.get("LogicalName") for row in rows])

    def receive(self, body: bytes, headers: Mapping[str, str]) -> list[Inbound]:
        """Cut a webhook's execution context into what it tells."""
        return [events.inbound(body, headers, self.settings.organization)]

    @classmethod
    def sample(cls, settings: DataverseConfig) -> Sample:
        """Return an execution context."""
        return samples.update(settings.organization)

    @classmethod
    def lacks(cls, payload: Mapping[str, Any]) -> bool:
        """Tell whether a webhook was too large for its columns, or tells of a note, which is read as it stands."""
        return payload.get("Shortened") is True or notes.unread(payload)

    def complete(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Read the row that a message only names; of a row that is gone there is nothing to add."""
        if notes.unread(payload):
            return notes.read(self, payload)
        rows = self.row(str(payload.get("PrimaryEntityName")), str(payload.get("PrimaryEntityId")))
        return {**payload, "Target": dict(rows[0].fields) if rows else {}, "Shortened": False, "Gone": not rows}

    def poll(self, since: datetime | None) -> list[Inbound]:
        """Give what changed in the watched tables, by the change token where the last poll ended."""
        return tracking.changes(self, since)

    def read(self, operation: Read, arguments: Any) -> list[Record]:
        """Fetch by id, by key, by conditions, by relationship or by FetchXML."""
        if isinstance(arguments, FetchXmlQuery):
            return self.fetched(arguments)
        reads: dict[str, Callable[[Any], list[Record]]] = {
            "record.get": lambda args: self.row(args.table, args.id, args.columns, args.expand),
            "record.by_key": self._by_key,
            "record.find": lambda args: finding.find(self, args),
            "records.list": self._listed,
            "records.related": lambda args: self.related(
                args.table, args.id, args.relationship, args.to, columns=args.columns
            ),
        }
        return reads[operation.name](arguments)

    def write(self, operation: Write, arguments: Any, *, effect_key: str, version: str = "") -> Written:
        """Send one change in the way that its operation needs."""
        return writing.SENDERS[operation.name](self, arguments, effect_key, version)

    def tell(self, operation: Tell, arguments: Any, *, key: str) -> Written:
        """Put a note on the cases that the message is addressed to."""
        return notes.tell(self, arguments, key)

    # --- reading, also for what writes look at ----------------------------------------------------
    def row(
        self, table: str, key: str, columns: list[str] | None = None, expand: Mapping[str, list[str]] | None = None
    ) -> list[Record]:
        """Fetch one record by its id; empty where there is none. Another record in its place is no answer."""
        known = self.table(table)
        return self._one(known, key, key, self._options(known, columns, expand))

    def _by_key(self, args: Any) -> list[Record]:
        known = self.table(args.table)
        if not args.key:
            raise Refused("An alternate key names at least one column.", code="arguments")
        return self._one(known, webapi.key_of(args.key), "", self._options(known, args.columns, None))

    def _one(self, table: Table, address: str, wanted: str, options: Mapping[str, str]) -> list[Record]:
        headers = {**UNCACHED, **webapi.prefer(self._labels())}
        try:
            reply = self.send("GET", f"{self.root}/{table.set}({address})", params=options or None, headers=headers)
        except NotFound:
            return []
        row = webapi.one_row(self.content(reply), table, wanted, self.label)
        return [webapi.record(self.name, self.root, table, row)]

    def matching(self, table: str, fields: Mapping[str, Any]) -> list[Record]:
        """Fetch the records that have all of ``fields``."""
        known = self.table(table)
        return self.paged(known, f"{self.root}/{known.set}", {"$filter": webapi.equal(fields)})

    def related(
        self, table: str, key: str, relationship: str, to: str, *, only: str = "", columns: list[str] | None = None
    ) -> list[Record]:
        """Fetch the records on the other side of a relationship, or ``only`` the one of that id."""
        known, other = self.table(table), self.table(to)
        options = self._options(other, [other.id] if only else columns, None)
        if only:
            options["$filter"] = webapi.equal({other.id: only})
        return self.paged(other, f"{self.root}/{known.set}({key})/{relationship}", options)

    def _listed(self, args: Any) -> list[Record]:
        known = self.table(args.table)
        options = self._options(known, args.columns, args.expand)
        conditions = [
            _OPS.get(one.op, "{column} {op} {value}").format(
                column=one.column, op=one.op, value=webapi.literal(one.value)
            )
            for one in args.where
        ]
        if conditions:
            options["$filter"] = " and ".join(conditions)
        if args.orderby:
            options["$orderby"] = f"{args.orderby} {'desc' if args.descending else 'asc'}"
        return self.paged(known, f"{self.root}/{known.set}", options, most=args.rows)

    def paged(self, table: Table, url: str, options: Mapping[str, str], *, most: int = 0) -> list[Record]:
        """Fetch all that the options ask for, or the first ``most``, following the server's pages."""
        records: list[Record] = []
        params: Mapping[str, str] | None = options
        for _ in range(MOST_PAGES):
            page = self.page(url, params, most=most)
            records += [webapi.record(self.name, self.root, table, row) for row in webapi.rows_of(page, self.label)]
            url, params = self.own(page.get("@odata.nextLink")), None
            if not url or 0 < most <= len(records):
                return records[: most or None]
        raise Unanswered(f"{self.label} lists more than {MOST_PAGES} pages of {table.name}.", code="paging")

    def page(self, url: str, params: Mapping[str, str] | None, *, most: int = 0, wish: str = "") -> dict[str, Any]:
        """Fetch one page as it came."""
        size = min(self.settings.page_size, most or self.settings.page_size)
        headers = {**UNCACHED, **webapi.prefer(wish, f"odata.maxpagesize={size}", self._labels())}
        page = self.content(self.send("GET", url, params=params or None, headers=headers))
        webapi.rows_of(page, self.label)
        return dict(page)

    def top(self, table: Table, options: Mapping[str, str]) -> dict[str, Any]:
        """Fetch the first rows that options with ``$top`` ask for; no page size goes together with it."""
        headers = {**UNCACHED, **webapi.prefer(self._labels())}
        page = self.content(self.send("GET", f"{self.root}/{table.set}", params=options, headers=headers))
        webapi.rows_of(page, self.label)
        return dict(page)

    def own(self, link: Any) -> str:
        """Return a link that the server named. The token goes with it: it must lead to this environment."""
        if not link:
            return ""
        if not isinstance(link, str) or not link.startswith(f"{self.root}/"):
            raise Unanswered(f"{self.label} continues its list at another address.", code="paging")
        return link

    def fetched(self, query: FetchXmlQuery) -> list[Record]:
        """Fetch what a FetchXML question finds, page by page, each with the mark of the one before."""
        table = self.table(query.entity())
        headers = {**UNCACHED, **webapi.prefer(webapi.annotations(webapi.PAGING, self._names()))}
        size, records = min(self.settings.page_size, query.rows), list[Record]()
        page = Page(1)
        for _ in range(MOST_PAGES):
            params = {"fetchXml": query.xml(page, size)}
            answer = self.content(self.send("GET", f"{self.root}/{table.set}", params=params, headers=headers))
            rows = webapi.rows_of(answer, self.label)
            records += [webapi.as_asked(webapi.record(self.name, self.root, table, row)) for row in rows]
            after = next_page(page, answer.get(webapi.COOKIE), more=answer.get(webapi.MORE)) if query.paged() else None
            if after is None or len(records) >= query.rows or not rows:
                return records[: query.rows]
            page = after
        raise Unanswered(f"{self.label} lists more than {MOST_PAGES} pages of {table.name}.", code="paging")

    # --- what may be used -------------------------------------------------------------------------
    def table(self, name: str) -> Table:
        """Return a table that this connection may use. Raises ``Blocked``."""
        return the_table(self.settings.known_tables(), name, self.name)

    def action(self, name: str, parameters: Mapping[str, Any]) -> DataverseAction:
        """Return a declared action if ``parameters`` fit it. Raises ``Blocked``."""
        return declaredactions.one_of(self.settings.declared_actions(), name, parameters, self.name)

    # --- addresses, tokens, errors ----------------------------------------------------------------
    @property
    def root(self) -> str:
        """Where the Web API begins."""
        return f"{self.settings.environment_url}/api/data/{self.settings.api_version}"

    def _options(
        self, table: Table, columns: list[str] | None, expand: Mapping[str, list[str]] | None
    ) -> dict[str, str]:
        options = {"$select": ",".join(dict.fromkeys([table.id, *columns]))} if columns else {}
        return options | ({"$expand": webapi.expand(expand)} if expand else {})

    def _labels(self) -> str:
        return webapi.annotations(self._names())

    def _names(self) -> str:
        return webapi.ANNOTATIONS if self.settings.labels else ""

    def scope(self) -> str:
        """Return the scope: the environment's root with one slash before ``.default``."""
        return f"{self.settings.environment_url}/.default"

    def explain(self, reply: Reply) -> Explained:
        """Read the error's code."""
        return webapi.explain(reply, self.settings)
