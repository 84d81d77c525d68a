"""OData of the simulated SAP system in both versions: filters, keys, pages, and records as each version draws them.

Facts (wire: sap, V2 and V4 wire format): amounts are texts and dates ``/Date(ms)/`` in V2, numbers and ISO dates in
V4; collections stand in ``d.results`` with ``__next``, or in ``value`` with ``@odata.nextLink``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeAlias

from connectors.simulator.messages import Request
from connectors.simulator.sap.tables import SETS, Kind, Set, get, refused, rows_of
from connectors.simulator.store import Fields, Record, Session

Predicate: TypeAlias = Callable[[Fields], bool]

PAGE = 100
TOKEN = re.compile(
    r"\s*(?:(?P<typed>(?:datetimeoffset|datetime|guid)'[^']*')|(?P<text>'(?:[^']|'')*')"
    r"|(?P<moment>\d{4}-\d\d-\d\d(?:T[\d:.]+Z)?)|(?P<number>-?\d+(?:\.\d+)?M?)|(?P<word>\w+)|(?P<mark>[(),=]))"
)
KEY_PART = re.compile(r"(?:(\w+)=)?(?:'((?:[^']|'')*)'|(\d+))(?:,|$)")
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
OPTIONS = {
    "$filter", "$select", "$expand", "$orderby", "$top", "$skip", "$skiptoken", "$format", "$inlinecount", "$count",
    "sap-client", "sap-language", "!deltatoken", "$deltatoken",
}  # fmt: skip


def invalid(text: str) -> Any:
    """Make the refusal of a query that cannot be read."""
    return refused(f"Invalid parametertype used at function: {text}", 400, "/IWCOR/CX_OD_EXPR_PARSER_ERROR")


class Filter:
    """Reads `or` over `and` over comparisons; literals must be those of the version."""

    def __init__(self, found: Set, expression: str, *, v4: bool) -> None:
        self.found, self.v4, self.at = found, v4, 0
        self.tokens: list[tuple[str, str]] = []
        position, expression = 0, expression.rstrip()
        while position < len(expression):
            match = TOKEN.match(expression, position)
            if match is None or match.lastgroup is None:
                raise invalid(expression)
            self.tokens.append((match.lastgroup, match[match.lastgroup]))
            position = match.end()

    def parse(self) -> Predicate:
        """Read the whole filter."""
        try:
            predicate = self.either()
        except RecursionError:
            raise invalid("nested too deeply") from None
        if self.at != len(self.tokens):
            raise invalid("left over")
        return predicate

    def take(self, text: str) -> bool:
        """Step over a word if it stands here."""
        there = self.at < len(self.tokens) and self.tokens[self.at][1] == text
        self.at += there
        return there

    def next(self) -> tuple[str, str]:
        """Step over the next word."""
        if self.at >= len(self.tokens):
            raise invalid("ends too early")
        self.at += 1
        return self.tokens[self.at - 1]

    def either(self) -> Predicate:
        """Read alternatives."""
        parts = [self.both()]
        while self.take("or"):
            parts.append(self.both())
        return lambda fields: any(part(fields) for part in parts)

    def both(self) -> Predicate:
        """Read what must hold together."""
        parts = [self.one()]
        while self.take("and"):
            parts.append(self.one())
        return lambda fields: all(part(fields) for part in parts)

    def one(self) -> Predicate:
        """Read one comparison, or what stands in parentheses."""
        if self.take("not"):
            inner = self.one()
            return lambda fields: not inner(fields)
        if self.take("("):
            inner = self.either()
            if not self.take(")"):
                raise invalid("a parenthesis is open")
            return inner
        name, verb = self.next()[1], self.next()[1]
        kind = self.found.properties.get(name)
        if kind is None:
            raise refused(f"Property '{name}' not found in type '{self.found.name}Type'", 400, "/IWBEP/CM_MGW_RT/022")
        if verb not in COMPARE:
            raise invalid(verb)
        compare, wanted = COMPARE[verb], self.value(kind)
        return lambda fields: _compared(compare, kind, fields[name], wanted)

    def value(self, kind: Kind) -> Any:
        """Read a literal; one of the other version is refused."""
        sort, text = self.next()
        if sort == "word" and text in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[text]
        if kind is Kind.TEXT and sort == "text":
            return text[1:-1].replace("''", "'")
        if kind is Kind.DECIMAL and sort == "number" and (not self.v4 or not text.endswith("M")):
            return Decimal(text.removesuffix("M"))
        if kind in (Kind.DATE, Kind.MOMENT) and sort == ("moment" if self.v4 else "typed"):
            return stamp(text if self.v4 else text.partition("'")[2][:-1])
        raise invalid(text)


def _compared(compare: Callable[[Any, Any], bool], kind: Kind, value: Any, wanted: Any) -> bool:
    if value is None or wanted is None:
        return compare is operator.eq and value is wanted
    if kind is Kind.DECIMAL:
        return compare(Decimal(value), wanted)
    return compare(stamp(value) if kind in (Kind.DATE, Kind.MOMENT) else value, wanted)


def stamp(text: str) -> datetime:
    """Read a day or a moment."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise invalid(text) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def key_of(found: Set, text: str) -> Fields:
    """Read a key predicate, such as `'1'` or `SupplierInvoice='51',FiscalYear='2026'`."""
    parts = KEY_PART.findall(text)
    if len(parts) != len(found.keys) or (len(parts) > 1 and not all(name for name, _, _ in parts)):
        raise refused("The key predicate does not fit the entity set.", 400, "/IWBEP/CM_MGW_RT/020")
    return {name or found.keys[0]: value.replace("''", "'") or number for name, value, number in parts}


def etag(record: Record) -> str:
    """Draw the version as SAP Gateway does."""
    return f"W/\"'{record.version:08d}'\""


def chosen(session: Session, found: Set, query: dict[str, str], *, v4: bool) -> list[Record]:
    """Find and sort the records that a query asks for."""
    unknown = {name for name in query if name.startswith("$")} - OPTIONS
    if unknown:
        raise refused(f"Unknown query option {min(unknown)}", 400, "/IWCOR/CX_DS_EP_PROPERTY_ERROR")
    keep = Filter(found, query["$filter"], v4=v4).parse() if query.get("$filter") else None
    token = query.get("$deltatoken") or query.get("!deltatoken", "").strip("'")
    if token and not re.fullmatch(r"D\d{20}", token):
        raise refused("The delta token is no longer valid.", 410, "/IWBEP/CM_MGW_RT/106")
    rows = [row for row in rows_of(session, found) if keep is None or keep(row.fields)]
    if token:
        rows = [row for row in rows if moment_token(str(row.fields["LastChangeDateTime"])) > token]
    for part in reversed([part.strip() for part in query.get("$orderby", "").split(",") if part.strip()]):
        name, _, way = part.partition(" ")
        if name not in found.properties:
            raise refused(f"Property '{name}' not found", 400, "/IWBEP/CM_MGW_RT/022")
        rows.sort(key=lambda row, name=name: str(row.fields[name] or ""), reverse=way == "desc")  # type: ignore[misc]
    return rows


def moment_token(text: str) -> str:
    """Write a moment as a delta token: later ones compare as greater."""
    return "D" + "".join(letter for letter in text if letter.isdigit()).ljust(20, "0")[:20]


def page(session: Session, request: Request, found: Set, root: str, *, v4: bool) -> Fields:
    """Answer a list: one page of it, and where the next is."""
    query = request.query
    rows = chosen(session, found, query, v4=v4)
    skip, token = whole(query, "$skip"), whole(query, "$skiptoken")
    window = rows[skip : skip + whole(query, "$top", len(rows))]
    wish = re.search(r"odata\.maxpagesize=(\d+)", request.header("Prefer") or "") if v4 else None
    size = max(1, int(wish[1])) if wish else PAGE
    listed = [drawn(session, found, row, request, root, v4=v4) for row in window[token : token + size]]
    link = ""
    if token + size < len(window):
        base = re.sub(r"(?<=[?&])(?:\$|%24)skiptoken=\d+&?", "", request.target).rstrip("?&")
        link = f"http://{request.host}{base}{'&' if '?' in base else '?'}$skiptoken={token + size}"
    tracked = "LastChangeDateTime" in found.properties and not link
    later = (
        max((moment_token(str(row.fields["LastChangeDateTime"])) for row in rows), default="D" + "0" * 20)
        if tracked
        else ""
    )
    name = found.v4 if v4 else found.name
    if v4:
        body: Fields = {"@odata.context": f"{root}/$metadata#{name}", "value": listed}
        body |= {"@odata.nextLink": link} if link else {}
        wants = "track-changes" in (request.header("Prefer") or "") or "$deltatoken" in query
        return body | ({"@odata.deltaLink": f"{root}/{name}?$deltatoken={later}"} if later and wants else {})
    inner: Fields = {"results": listed}
    inner |= {"__count": str(len(rows))} if query.get("$inlinecount") == "allpages" else {}
    inner |= {"__next": link} if link else {}
    return {"d": inner | ({"__delta": f"{root}/{name}?!deltatoken='{later}'"} if later else {})}


def whole(query: dict[str, str], name: str, default: int = 0) -> int:
    """Read a whole number of the query."""
    text = query.get(name)
    if text is None:
        return default
    if not text.isdecimal():
        raise invalid(text)
    return int(text)


def drawn(session: Session, found: Set, record: Record, request: Request, root: str, *, v4: bool) -> Fields:
    """Draw one record as the version has it: its address and ETag, the chosen properties, what was expanded."""
    names = [name.strip() for name in request.query.get("$select", "").split(",") if name.strip()]
    for name in names:
        if name not in found.properties:
            raise refused(f"Property '{name}' not found", 400, "/IWBEP/CM_MGW_RT/022")
    fields = {
        name: value_of(
            kind, record.fields[name], v4=v4, exact="IEEE754Compatible=true" in (request.header("Accept") or "")
        )
        for name, kind in found.properties.items()
        if not names or name in names
    }
    answer: Fields = {"@odata.etag": etag(record)} if v4 and found.etag else {}
    if not v4:
        keys = [f"{name}='{record.fields[name]}'" for name in found.keys]
        place = keys[0].partition("=")[2] if len(keys) == 1 else ",".join(keys)
        uri = f"{root}/{found.name}({place})"
        answer["__metadata"] = {"id": uri, "uri": uri, "type": f"{found.service}.{found.name}Type"}
        answer["__metadata"] |= {"etag": etag(record)} if found.etag else {}
    wanted = [part.strip() for part in request.query.get("$expand", "").split(",") if part.strip()]
    if strange := set(wanted) - {name for name, _ in found.navigation}:
        raise refused(f"Navigation property '{min(strange)}' is invalid", 400, "/IWBEP/CM_MGW_RT/022")
    for name, other in found.navigation:
        if name in wanted:
            inner = [
                drawn(session, SETS[other], row, bare(request), root, v4=v4)
                for row in below(session, found, record, other)
            ]
            fields[name] = inner if v4 else {"results": inner}
        elif not v4:
            fields[name] = {"__deferred": {"uri": f"{answer['__metadata']['uri']}/{name}"}}
    return answer | fields


def bare(request: Request) -> Request:
    """Give the same request without its query, for what is drawn inside a record."""
    return Request(request.method, request.target.partition("?")[0], request.headers, b"", request.host)


def below(session: Session, found: Set, record: Record, other: str) -> list[Record]:
    """Find the records that belong to one."""
    return [row for row in rows_of(session, SETS[other]) if all(row.fields[k] == record.fields[k] for k in found.keys)]


def value_of(kind: Kind, value: Any, *, v4: bool, exact: bool) -> Any:
    """Draw one value: amounts as texts and dates as `/Date(ms)/` in version 2, numbers and ISO 8601 in version 4."""
    if value is None or kind in (Kind.TEXT, Kind.BOOL):
        return value
    if kind is Kind.DECIMAL:
        return float(value) if v4 and not exact else value
    if v4:
        return value
    milliseconds = int(stamp(value).timestamp() * 1000)
    return f"/Date({milliseconds}+0000)/" if kind is Kind.MOMENT else f"/Date({milliseconds})/"


def one(session: Session, request: Request, found: Set, text: str) -> Record:
    """Find the record that an address names."""
    return get(session, found, key_of(found, text))
