"""SAP S/4HANA and Gateway: OData in both versions, functions with RETURN table and commit, IDocs and events in."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from connectors.base import Blocked, Health, Inbound, NotFound, Read, Record, Sample, Unanswered, Write, Written
from connectors.kinds.sap import asking, events, finding, journal, odata, polling, reversals, rfc, samples, sending
from connectors.kinds.sap.client import SapClient
from connectors.kinds.sap.order_writes import ORDER_WRITES
from connectors.kinds.sap.pages import PAGES
from connectors.kinds.sap.reads import BY_REFERENCE, FUNCTION, JOURNAL, QUERIES, READS, REVERSAL, Query
from connectors.kinds.sap.settings import SapConfig, Service, listed, set_of
from connectors.kinds.sap.writes import WRITES
from connectors.kit import discovering
from connectors.kit.queries import listed as names_in

MOST_PAGES = 50


class Sap(SapClient):
    """Sales, billing, payables and journal entries of SAP; what was done is read back, for an answer proves little."""

    slug = "sap"
    label = "SAP"
    config = SapConfig
    pages = PAGES
    secrets = frozenset({"password"})
    operations = (*READS, finding.FIND, asking.ASK, *WRITES, *ORDER_WRITES)

    @classmethod
    def queryable(cls, settings: SapConfig) -> frozenset[str]:
        """Return the entity sets that were named, or those that the declared reads know."""
        known = {f"{query.service}/{query.entity}" for query in QUERIES.values()}
        return names_in(settings.query_entities) or frozenset({*known, settings.journal_set})

    # --- the four verbs --------------------------------------------------------------------------
    def check(self) -> Health:
        """Sign in and read one record of the first service's first set, or its service document."""
        service = next(iter(self.settings.known_services().values()))
        url = self.root_of(service) + "/"
        tried = [f"GET {url}"]
        self.send("GET", url)
        return Health(ok=True, tried=tuple(tried), message=f"Connected; the service {service.name} answers.")

    def entities(self) -> list[str]:
        """Ask each service that was named for its service document."""
        found: list[str] = []
        for service in self.settings.known_services().values():
            params = None if service.v4 else {"$format": "json"}
            reply = self.send("GET", self.root_of(service) + "/", params=params)
            found += [f"{service.name}/{name}" for name in discovering.sets_of(self.content(reply))]
        return discovering.names(found)

    def receive(self, body: bytes, headers: Mapping[str, str]) -> list[Inbound]:
        """Cut IDocs or CloudEvents into what they tell."""
        return events.inbound(body, headers, self.settings)

    @classmethod
    def sample(cls, settings: SapConfig) -> Sample:
        """Return an event of a changed order."""
        return samples.EVENT

    @classmethod
    def lacks(cls, payload: Mapping[str, Any]) -> bool:
        """Tell whether an event only names its record: SAP's notifications do."""
        return events.names_only(payload)

    def complete(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Read the record that an event names; of one that is gone there is nothing to add."""
        read, arguments = events.record_of(payload)
        rows = self.look(read, **arguments) if read else []
        return {**payload, events.RECORD: dict(rows[0].fields) if rows else {}, events.GONE: not rows}

    def poll(self, since: datetime | None) -> list[Inbound]:
        """Give what changed in the watched sets, by change date or by delta link."""
        return polling.changes(self, since)

    def read(self, operation: Read, arguments: Any) -> list[Record]:
        """Fetch by key, by filter, or by a function that changes nothing."""
        if isinstance(arguments, asking.ODataQuery):
            service, entity = self._set(arguments.entity)
            options = arguments.options(v4=service.v4)
            return self.paged(service, entity, options, most=arguments.rows)
        if isinstance(arguments, finding.FindArguments):
            return finding.find(self, arguments)
        if operation is JOURNAL:
            return journal.items(self, arguments)
        if operation is BY_REFERENCE:
            return journal.by_reference(self, arguments)
        if operation is REVERSAL:
            return [reversals.checked(self, arguments)]
        if operation is FUNCTION:
            return self._called(arguments)
        return self.look(operation.name, **arguments.model_dump())

    def write(self, operation: Write, arguments: Any, *, effect_key: str, version: str = "") -> Written:
        """Send one change in the way that its operation needs."""
        return sending.send(self, operation, arguments, effect_key=effect_key, version=version)

    # --- reading, also for what writes look at ----------------------------------------------------
    def look(self, name: str, **arguments: Any) -> list[Record]:
        """Fetch the records of a declared read."""
        query = QUERIES[name]
        fields = {field: arguments[argument] for argument, field in query.fields.items()}
        if query.single:
            return self._one(query, fields)
        return self.matching(query.service, query.entity, fields)

    def matching(self, service: str, entity: str, fields: Mapping[str, Any]) -> list[Record]:
        """Fetch the records that have all of ``fields``."""
        found = self.service(service)
        options = {"$filter": odata.equal(fields, v4=found.v4)} if fields else {}
        rows = self.paged(found, entity, options)
        if any(odata.differs(row.fields.get(name), value) for row in rows for name, value in fields.items()):
            raise Unanswered(f"{self.label} lists other records of {entity} than those asked for.", code="shape")
        return rows

    def _one(self, query: Query, key: Mapping[str, Any]) -> list[Record]:
        service, (navigation, other) = self.service(query.service), query.expand
        url = f"{self.root_of(service)}/{odata.address(query.entity, key, v4=service.v4)}"
        try:
            reply = self.send("GET", url, params={"$expand": navigation} if navigation else None)
        except NotFound:
            return []
        row = odata.row_in(self.content(reply), self.label, key, v4=service.v4)
        records = [self._record(service, query.entity, row)]
        if not navigation:
            return records
        inner = row.get(navigation)
        inner = inner.get("results") if isinstance(inner, dict) else inner
        if not isinstance(inner, list) or not all(isinstance(part, dict) for part in inner):
            raise Unanswered(f"{self.label} left {navigation} out of its answer.", code="shape")
        return [*records, *(self._record(service, other, part) for part in inner)]

    def _record(self, service: Service, entity: str, row: Mapping[str, Any]) -> Record:
        return odata.record(self.name, self.settings.base_url, service, entity, row)

    def paged(
        self, service: Service, entity: str, options: Mapping[str, str], *, most: int = 0, partly: bool = False
    ) -> list[Record]:
        """Fetch all that the options ask for, or the first ``most``, following the server's pages."""
        records: list[Record] = []
        params, seen = dict(options), set[str]()
        if most:
            params["$top"] = str(most)
        for _ in range(MOST_PAGES):
            body = self.page(service, entity, params)
            records += [self._record(service, entity, row) for row in odata.rows_in(body, self.label, v4=service.v4)]
            link = odata.link_in(body, v4=service.v4)
            if not link or 0 < most <= len(records):
                return records[: most or None]
            if link in seen:
                raise Unanswered(f"{self.label} continues its list with the same page again.", code="paging")
            seen.add(link)
            params = self.behind(link, entity)
        if partly:
            return records
        raise Unanswered(f"{self.label} lists more than {MOST_PAGES} pages of {entity}.", code="paging")

    def page(
        self, service: Service, entity: str, params: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> Any:
        """Fetch one page as it came."""
        wish = self.page_of(self.settings.page_size) if service.v4 else {}
        accept = {"Accept": odata.EXACT if service.v4 else odata.JSON}
        url = f"{self.root_of(service)}/{entity}"
        reply = self.send("GET", url, params=params, headers={**accept, **wish, **(headers or {})})
        return self.content(reply)

    def page_of(self, size: int) -> dict[str, str]:
        """Wish for a size of pages; version 2 decides itself."""
        return {"Prefer": f"odata.maxpagesize={size}"}

    def behind(self, link: str, entity: str) -> dict[str, str]:
        """Return the options of a link. Only these are used: the request goes where this connection leads."""
        try:
            parts = urlsplit(link)
            options = dict(parse_qsl(parts.query, keep_blank_values=True, max_num_fields=40))
        except ValueError:
            options, parts = {}, urlsplit("")
        if not options or unquote(parts.path).rstrip("/").rpartition("/")[2].partition("(")[0] != entity:
            raise Unanswered(f"{self.label} does not say where its list of {entity} continues.", code="paging")
        return {name: value for name, value in options.items() if name not in ("sap-client", "sap-language")}

    def _set(self, text: str) -> tuple[Service, str]:
        service, entity = set_of(text)
        return self.service(service), entity

    def _called(self, arguments: Any) -> list[Record]:
        """Call a function that an administrator named as one that changes nothing."""
        if arguments.function not in listed(self.settings.read_functions.upper()):
            raise Blocked(f"{self.name} may not call {arguments.function}: it is not named.", code="operation")
        answer = rfc.invoke(self, arguments.function, arguments.parameters)
        told = rfc.held(self, answer, arguments.function)
        fields = {**answer, "RETURN": [message.text for message in told]}
        return [Record(self.name, arguments.function, "", "", fields)]
