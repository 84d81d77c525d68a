"""Salesforce: objects, SOQL, external-id upsert, composite reads, polling by change stamp."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

from connectors.base import (
    Blocked,
    Health,
    HookAnswer,
    Inbound,
    NotFound,
    Read,
    Record,
    Refused,
    Sample,
    Tell,
    Unanswered,
    VersionConflict,
    Write,
    Written,
)
from connectors.kinds.salesforce import (
    asking,
    changes,
    composite,
    effects,
    finding,
    objects,
    outbound,
    polling,
    samples,
    soql,
    ticketing,
    told,
)
from connectors.kinds.salesforce.operations import KEY_FIELD, READS, TELLS, WRITES
from connectors.kinds.salesforce.pages import PAGES
from connectors.kinds.salesforce.settings import FIELDS, STAMPS, SalesforceConfig
from connectors.kit import credentials, discovering
from connectors.kit.answers import Explained
from connectors.kit.credentials import Token
from connectors.kit.queries import listed
from connectors.kit.rest import RestConnector, before_writing
from connectors.talk.tickets import MARK
from connectors.transport import Reply
from connectors.wire import addresses


class Salesforce(RestConnector):
    """Accounts and cases of Salesforce; external-id upserts make a repeated write harmless."""

    slug = "salesforce"
    label = "Salesforce"
    config = SalesforceConfig
    pages = PAGES
    tickets = ticketing.TICKETS
    secrets = frozenset({"client_secret"})
    operations = (*READS, finding.FIND, asking.ASK, *WRITES, *objects.WRITES, *TELLS)
    settings: SalesforceConfig
    MOST_PAGES: ClassVar = 25

    @classmethod
    def queryable(cls, settings: SalesforceConfig) -> frozenset[str]:
        """Return the objects and relationships that were named, or the objects that the declared reads know."""
        return listed(settings.query_entities) or frozenset(FIELDS)

    # --- the four verbs --------------------------------------------------------------------------
    def check(self) -> Health:
        """Sign in, then ask for the org's limits."""
        self.token()
        url = self.url("limits")
        self.send("GET", url)
        tried = (f"POST {self.settings.login_url}/services/oauth2/token", f"GET {url}")
        return Health(ok=True, tried=tried, message="Connected.")

    def entities(self) -> list[str]:
        """Ask for the org's objects."""
        told = self.content(self.send("GET", self.url("sobjects")))
        rows = told.get("sobjects") if isinstance(told, dict) else None
        return discovering.names([row.get("name") for row in rows if isinstance(row, dict)] if rows else rows)

    def receive(self, body: bytes, headers: Mapping[str, str]) -> list[Inbound]:
        """Cut an outbound message, or events relayed as JSON, into records; a gap asks for a poll."""
        if outbound.looks_like(body):
            return outbound.inbound(body, self.settings)
        found = changes.inbound(body, self.settings)
        self.bookmarks = {**self.bookmarks, **changes.asked_again(found)}
        return found

    def answer(self, body: bytes, headers: Mapping[str, str]) -> HookAnswer | None:
        """Acknowledge an outbound message as a whole."""
        return outbound.ACKNOWLEDGED if outbound.looks_like(body) else None

    @classmethod
    def lacks(cls, payload: Mapping[str, Any]) -> bool:
        """Tell whether the record that a message names was not read yet."""
        return told.due(payload)

    def complete(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Return the record that a message names as it stands now."""
        entity, key = told.named(payload)
        params = {"fields": ",".join(FIELDS[entity])} if entity in FIELDS else None
        try:
            row = self._row(self.send("GET", self.address(entity, key), params=params))
        except NotFound:
            return told.as_read(payload, None)
        if row["Id"] != key:
            raise Unanswered(f"{self.label} answered with another record than {entity} {key}.", code="shape")
        return told.as_read(payload, soql.record(self.name, self.address(entity), row, entity).fields)

    @classmethod
    def identity(cls, payload: Mapping[str, Any]) -> str:
        """Return record and version, by which a case is one thing whether it was polled or told."""
        return told.identity(payload)

    @classmethod
    def polled(cls, event: str, payload: Mapping[str, Any]) -> bool:
        """Tell records of polls from those that messages brought."""
        return super().polled(event, payload) and told.ABOUT not in payload

    @classmethod
    def sample(cls, settings: SalesforceConfig) -> Sample:
        """Return an outbound message about a case."""
        return samples.outbound_message(settings)

    def poll(self, since: datetime | None) -> list[Inbound]:
        """Give each case in each version it had, and each comment once where comments are asked for."""
        found = polling.changes(self, since)
        return [*found, *ticketing.comments(self)] if self.settings.case_comments else found

    def read(self, operation: Read, arguments: Any) -> list[Record]:
        """Fetch by id, by SOQL or several at once."""
        if isinstance(arguments, asking.SoqlQuery):
            rows = self._query(arguments.soql(), asking.parse(arguments.query).entity)
            return [soql.flat(row, arguments.columns()) for row in rows[: arguments.rows]]
        if isinstance(arguments, finding.FindArguments):
            return finding.find(self, arguments)
        if operation.name == "case.get":
            return self.case(arguments.id)
        if operation.name == "cases.by_order":
            return self.cases({"Order_Number__c": arguments.order})
        if operation.name == "cases.by_invoice":
            return self.cases({"Invoice_Number__c": arguments.invoice})
        if operation.name == "account.by_number":
            return self._where("Account", {"AccountNumber": arguments.number})
        if operation.name == "case_comments.list":
            return self.comments(arguments.case)
        return composite.read(self, arguments.requests)

    def write(self, operation: Write, arguments: Any, *, effect_key: str, version: str = "") -> Written:
        """Send one change in the way that its operation needs."""
        name = operation.name
        with before_writing():
            self.token()  # addresses are built from the instance that the token names
        if free := objects.SENDERS.get(name):
            return free(self, arguments, effect_key, version)
        if name == "case.comment":
            body = {"ParentId": arguments.case, "CommentBody": arguments.text + MARK.format(key=effect_key)}
            return self.make("CaseComment", body, effect_key)
        if name == "case.uncomment":
            return self._delete_comment(arguments, effect_key)
        if name == "case.open":
            return self.upsert("Case", KEY_FIELD, effect_key, effects.case_fields(arguments), effect_key)
        if name == "case.close_by_key":
            case = self._of_key(arguments.key)
            headers = self._since("Case", case.key, case.fields, version)
            return self._patch("Case", case.key, {"Status": effects.CLOSED}, effect_key, headers)
        status = arguments.status if name == "case.reopen" else effects.CLOSED
        return self.change("Case", arguments.case, {"Status": status}, effect_key, version)

    def tell(self, operation: Tell, arguments: Any, *, key: str) -> Written:
        """Comment on the cases that the message is addressed to."""
        with before_writing():
            self.token()
        return ticketing.tell(self, arguments, key)

    def make(self, entity: str, body: Mapping[str, Any], effect_key: str) -> Written:
        """Make a record; sent again, it would be made again."""
        return self._written(self.send("POST", self.address(entity), json=body, effect_key=effect_key))

    def change(self, entity: str, key: str, values: Mapping[str, Any], effect_key: str, version: str) -> Written:
        """Set fields of a record that is still as it was seen, and only those."""
        return self._patch(entity, key, values, effect_key, self._unchanged(entity, key, version))

    def delete(self, entity: str, key: str, effect_key: str) -> Written:
        """Delete a record; Salesforce keeps it in its recycle bin, and takes no condition."""
        return self._written(self.send("DELETE", self.address(entity, key), effect_key=effect_key))

    def _patch(
        self, entity: str, key: str, values: Mapping[str, Any], effect_key: str, headers: Mapping[str, str]
    ) -> Written:
        url = self.address(entity, key)
        return self._written(self.send("PATCH", url, json=dict(values), headers=headers, effect_key=effect_key))

    # --- reading, also for what writes look at ----------------------------------------------------
    def case(self, key: str) -> list[Record]:
        """Fetch one case; empty where there is none."""
        return self.record("Case", key, FIELDS["Case"])

    def record(self, entity: str, key: str, fields: Sequence[str]) -> list[Record]:
        """Fetch one record with these fields and its stamps; empty where there is none."""
        params = {"fields": ",".join(dict.fromkeys(("Id", *fields, *STAMPS)))}
        try:
            row = self._row(self.send("GET", self.address(entity, key), params=params))
        except NotFound:
            return []
        return [soql.record(self.name, self.address(entity), row, entity)]

    def matching(self, entity: str, fields: Sequence[str], where: Mapping[str, Any]) -> list[Record]:
        """Fetch the records that have all of ``where``, with these fields and their stamps."""
        return self._query(soql.select(entity, list(dict.fromkeys(("Id", *fields, *STAMPS))), where), entity)

    def _row(self, reply: Reply) -> dict[str, Any]:
        row = self.content(reply)
        if not isinstance(row, dict) or not row.get("Id"):
            raise Unanswered(f"{self.label} answered with something that is no record.", status=reply.status)
        return row

    def cases(self, where: Mapping[str, Any]) -> list[Record]:
        """Fetch the cases that have all of ``where``."""
        return self._where("Case", where)

    def comments(self, case: str) -> list[Record]:
        """Fetch a case's comments. Their text cannot be searched for, so all of them are read."""
        return self._where("CaseComment", {"ParentId": case})

    def _where(self, entity: str, where: Mapping[str, Any]) -> list[Record]:
        return self._query(soql.select(entity, FIELDS[entity], where), entity)

    def _query(self, query: str, entity: str) -> list[Record]:
        records, whole = self.part(query, entity)
        if not whole:
            raise Unanswered(f"{self.label} lists more than {self.MOST_PAGES} pages.", code="paging")
        return records

    def part(self, query: str, entity: str, pages: int = MOST_PAGES) -> tuple[list[Record], bool]:
        """Run SOQL for so many pages, and say whether that was all; ``nextRecordsUrl`` is a path."""
        headers = {"Sforce-Query-Options": f"batchSize={self.settings.batch_size}"}
        page = self._page(self.send("GET", self.url("query"), params={"q": query}, headers=headers))
        records: list[Record] = []
        for number in range(1, pages + 1):
            records += [soql.record(self.name, self.address(entity), row, entity) for row in page["records"]]
            if page.get("done", True):
                return records, True
            path = str(page.get("nextRecordsUrl") or "")
            if not path.startswith("/services/data/"):
                raise Unanswered(f"{self.label} does not say where its list continues.", code="paging")
            if number < pages:
                page = self._page(self.send("GET", self._base() + path, headers=headers))
        return records, False

    def _page(self, reply: Reply) -> dict[str, Any]:
        page = self.content(reply)
        rows = page.get("records") if isinstance(page, dict) else None
        if not isinstance(page, dict) or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise Unanswered(f"{self.label} answered with something that is no list.", status=reply.status)
        return page

    # --- writing ---------------------------------------------------------------------------------
    def _unchanged(self, entity: str, key: str, version: str) -> dict[str, str]:
        """Make sure that nobody changed it: its stamp to the millisecond now, and a header for the moment after.

        ``If-Unmodified-Since`` alone knows whole seconds; ``If-Match`` works for Accounts only.
        """
        if not version:
            return {}
        with before_writing():
            stamps = {"fields": "Id,SystemModstamp,LastModifiedDate"}
            found = self._row(self.send("GET", self.address(entity, key), params=stamps))
        return self._since(entity, key, found, version)

    def _since(self, entity: str, key: str, found: Mapping[str, Any], version: str) -> dict[str, str]:
        """Hold what was found against ``version``; return the header for the moment after."""
        if not version:
            return {}
        if found.get("SystemModstamp") != version:
            raise VersionConflict(f"{self.label}: {entity} {key} was changed after it was read.", status=412)
        date = soql.http_date(str(found.get("LastModifiedDate") or version))
        return {"If-Unmodified-Since": date} if date else {}

    def _of_key(self, key: str) -> Record:
        """Return the one case that carries our key: a change by the key itself would take no condition."""
        with before_writing():
            rows = self.cases({KEY_FIELD: key})
        if not rows:
            raise NotFound(f"{self.label}: no case carries the key {key}.", status=404)
        if len(rows) > 1:
            raise Refused(f"{self.label}: several cases carry the key {key}.", code="several")
        return rows[0]

    def upsert(self, entity: str, field: str, key: str, values: Mapping[str, Any], effect_key: str) -> Written:
        """Create or change by our own key; the key must not be in the body. 300: several records carry it."""
        url = f"{self.address(entity)}/{field}/{quote(key, safe='')}"
        reply = self.send("PATCH", url, json=dict(values), effect_key=effect_key, allow=(300,))
        if reply.status == 300:
            raise Refused(f"{self.label}: several records of {entity} carry the key {key}.", status=300, code="several")
        return self._written(reply)

    def _delete_comment(self, arguments: Any, effect_key: str) -> Written:
        with before_writing():
            rows = self.comments(arguments.case)
        mine = [row for row in rows if effects.carries(row, arguments.reference)]
        if len(mine) != 1:
            raise NotFound(f"{self.label}: {len(mine)} comments carry the mark {arguments.reference}.", status=404)
        return self.delete("CaseComment", mine[0].key, effect_key)

    def _written(self, reply: Reply) -> Written:
        """Say what came back. A 2xx with ``success: false`` is a refusal all the same."""
        body = self.content(reply) if reply.body else {}
        if isinstance(body, dict) and body.get("success") is False:
            told = composite.errors_of(body.get("errors"))
            raise Refused(f"{self.label}: {told.message}", status=reply.status, code=told.code)
        known = {name: body[name] for name in ("id", "created") if name in body} if isinstance(body, dict) else {}
        return Written(result=known, request_id=self.trace.request_id)

    def _attempt(
        self, method: str, url: str, content: Mapping[str, Any], headers: Mapping[str, str], *, wrote: bool
    ) -> Reply:
        # It comes back in the origin of the change event, by which our own changes are known.
        ours = {"Sforce-Call-Options": f"client={self.settings.client_name}"} if wrote else {}
        return super()._attempt(method, url, content, {**headers, **ours}, wrote=wrote)

    # --- addresses, tokens, errors ----------------------------------------------------------------
    def _base(self) -> str:
        return self.token().base or self.settings.login_url

    def url(self, resource: str) -> str:
        """Return where a resource of the API is."""
        return f"{self._base()}/services/data/{self.settings.api_version}/{resource}"

    def address(self, entity: str, key: str = "") -> str:
        """Return where an object, or one record of it, is."""
        return self.url(f"sobjects/{entity}/{quote(key, safe='')}" if key else f"sobjects/{entity}")

    def token_key(self) -> str:
        """The token depends on the org, the app and its secret."""
        config = self.settings
        return credentials.key_of(self.slug, config.login_url, config.client_id, self.secret("client_secret"))

    def fetch_token(self) -> Token:
        """Sign in with client credentials; the answer names the instance and no end."""
        form = {
            "grant_type": "client_credentials",
            "client_id": self.settings.client_id,
            "client_secret": self.secret("client_secret"),
        }
        answer = self.ask_for_token(f"{self.settings.login_url}/services/oauth2/token", form)
        base = str(answer.get("instance_url") or self.settings.login_url).rstrip("/")
        if not _of_the_org(base, self.settings.login_url):
            raise Blocked(
                f"{self.label} names the instance {base[:80]}, which is no Salesforce address.", code="address"
            )
        return self.token_of(answer, base)

    def explain(self, reply: Reply) -> Explained:
        """Read the array of errors; a reached limit comes as 403."""
        told = composite.errors_of(reply.json())
        limited = self.settings.limit_pause_seconds if told.code == "REQUEST_LIMIT_EXCEEDED" else None
        return Explained(told.message, told.code, told.locked, limited, told.missing)


def _of_the_org(instance: str, login: str) -> bool:
    """The token goes to this address: it must be where we signed in, or Salesforce itself."""
    there, here = urlsplit(instance), urlsplit(login)
    if (there.scheme, there.netloc) == (here.scheme, here.netloc):
        return True
    host = there.hostname or ""
    # A backslash would be part of the name here and could end it elsewhere: only plain names are compared by their end.
    return (
        there.scheme == "https"
        and addresses.spelled_plainly(host)
        and host.endswith((".salesforce.com", ".force.com", ".salesforce.mil"))
    )
