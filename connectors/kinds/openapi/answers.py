"""From what a REST API answers to records: where they stand, what names them, how a list goes on."""

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode, urljoin, urlsplit

from connectors.base import Record, Unanswered
from connectors.kinds.openapi.declarations import Declaration
from connectors.kinds.openapi.endpoints import Endpoint
from connectors.kinds.openapi.hiding import is_secret
from connectors.kinds.openapi.schemas import Types
from connectors.kit.answers import Explained
from connectors.transport import Reply

_LISTS = ("results", "value", "items", "data", "records", "entries", "elements", "content")
_NEXTS = (
    "@odata.nextLink",
    "d.__next",
    "next",
    "nextLink",
    "next_page",
    "nextRecordsUrl",
    "links.next",
    "_links.next.href",
)
_LINK = re.compile(r"<([^<>]{1,4000})>([^<]*)")
_REL = re.compile(r""";\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))""", re.IGNORECASE)
DEEPEST, MOST_FLAT = 3, 300


@dataclass(frozen=True)
class Shape:
    """How the answers of one read are understood."""

    entity: str
    record: str  # where the record or the list stands, in dots; blank: it is the whole answer
    key: Mapping[str, str]  # field: the argument that asked for it, blank where none did
    version: str
    single: bool  # the path names one record
    row: Any = field(default=None, repr=False, compare=False)  # the schema of one record, as the document has it

    def key_of(self, fields: Mapping[str, Any]) -> str:
        """Return a record's key; one that has no key fields is known by what it says."""
        values = [fields.get(name) for name in self.key]
        if values and all(isinstance(value, str | int) and value != "" for value in values):
            return "/".join(map(str, values))[:200]
        text = json.dumps(fields, sort_keys=True, default=str)
        return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]


def shape_of(types: Types, one: Endpoint, declaration: Declaration) -> Shape:
    """Work out how a read's answers look, from what is declared and what the document says."""
    single = is_single(one.path)
    place, row = place_of(types, one.answer, single=single)
    shown = types.properties(row, sent=False) if row else {}
    known = {name for name, (part, _) in shown.items() if not is_secret(types.document.mapping(part))}
    path_names = {parameter.name: name for name, parameter in one.parameters.items() if parameter.place == "path"}
    told = declaration.key
    if isinstance(told, dict):
        key = dict(told)
    elif told:
        key = {name: path_names.get(name, "") if single else "" for name in told}
    elif single and path_names and (not known or set(path_names) <= known):
        key = dict(path_names)
    elif single and len(path_names) == 1 and "id" in known:
        key = {"id": next(iter(path_names.values()))}
    else:
        key = {"id": ""} if "id" in known else {}
    literal = re.split(r"[({]", next((p for p in reversed(one.path.split("/")) if p and not p.startswith("{")), ""))[0]
    where = declaration.record if declaration.record is not None else place
    return Shape(declaration.entity or literal or one.name, where, key, declaration.version or "", single, row)


def is_single(path: str) -> bool:
    """Tell whether a path names one record."""
    return path.rstrip("/").endswith(("}", "}')", "})"))


def place_of(types: Types, schema: Any, *, single: bool) -> tuple[str, dict[str, Any]]:
    """Return where in an answer its records stand, and the schema of one."""
    place: list[str] = []
    found = types.merged(schema) if schema else {}
    for _ in range(DEEPEST):
        if found.get("type") == "array" or "items" in found:
            return ".".join(place), types.merged(found["items"]) if found.get("items") else {}
        known = types.properties(found, sent=False)
        inner = {name: types.merged(part) for name, (part, _) in known.items() if len(known) <= 30}
        lists = [name for name, part in inner.items() if part.get("type") == "array"]
        below = next((name for name in _LISTS if name in lists), lists[0] if len(lists) == 1 else "")
        if below and not single:
            place, found = [*place, below], inner[below]
        elif len(inner) == 1 and next(iter(inner.values())).get("properties"):
            name, found = next(iter(inner.items()))
            place.append(name)
        else:
            break
    return ".".join(place), found


def at(value: Any, place: str) -> Any:
    """Return what stands at a place written in dots, ``None`` where nothing does; a name may hold dots itself."""
    if not place:
        return value
    if isinstance(value, dict) and place in value:
        return value[place]
    for part in place.split("."):
        if isinstance(value, list) and part.isdecimal() and int(part[:6]) < len(value):
            value = value[int(part[:6])]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            return None
    return value


def rows_in(body: Any, shape: Shape, label: str) -> list[dict[str, Any]]:
    """Return the rows of an answer. Raises ``Unanswered`` where there are none to be found in it."""
    found = at(body, shape.record)
    if isinstance(found, dict) and not shape.single and not shape.key and not shape.record:
        found = next((found[name] for name in _LISTS if isinstance(found.get(name), list)), found)
    rows = found if isinstance(found, list) else [found]
    if not all(isinstance(row, dict) and row for row in rows) or (shape.single and len(rows) != 1):
        place = f" at “{shape.record}”" if shape.record else ""
        raise Unanswered(f"{label} answered with something that holds no records{place}.", code="shape")
    return rows


def record_of(system: str, shape: Shape, row: Mapping[str, Any], reply: Reply, *, alone: bool) -> Record:
    """Make a record of a row; the ETag belongs to it where it came alone."""
    version = str(at(row, shape.version) or "") if shape.version else (reply.headers.get("etag", "") if alone else "")
    return Record(system, shape.entity, shape.key_of(row), version[:200], flat(row))


def held(shape: Shape, arguments: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], label: str) -> None:
    """Hold that a record is the one that was asked for. Raises ``Unanswered``."""
    for row in rows:
        for name, argument in shape.key.items():
            if argument and str(at(row, name)) != str(arguments.get(argument)):
                raise Unanswered(
                    f"{label} answered with another record of {shape.entity} than asked for.", code="shape"
                )


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with what stands inside it under names with dots as well."""
    found = dict(row)

    def below(part: Mapping[str, Any], before: str, depth: int) -> None:
        for name, value in part.items():
            if depth and len(found) < MOST_FLAT:
                found.setdefault(f"{before}{name}", value)
            if isinstance(value, dict) and depth < DEEPEST:
                below(value, f"{before}{name}.", depth + 1)

    below(row, "", 0)
    return found


def next_address(reply: Reply, body: Any, declared: str | None) -> str:
    """Return where a list goes on, as the answer says: in its Link header, or in its body; blank where it ends."""
    for target, parameters in _LINK.findall(reply.headers.get("link", "")[:20_000]):
        if any("next" in (one or other).lower().split() for one, other in _REL.findall(parameters)):
            return str(target)
    for place in (declared,) if declared else _NEXTS:
        found = at(body, place) if isinstance(body, dict) else None
        if isinstance(found, str) and found.strip():
            # A bare word is a cursor; only an address can be followed by itself.
            return found.strip() if declared or "/" in found or "?" in found else ""
    return ""


def same_origin(root: str, current: str, link: str, label: str) -> str:
    """Return a link's whole address. Raises ``Unanswered`` where it leads to another host, or out of ``root``."""
    try:
        whole = urljoin(current, link)
        there, home = urlsplit(whole), urlsplit(root)
        # Compared as written: a port, a user name or another spelling makes another origin.
        same = (there.scheme, there.netloc.lower()) == (home.scheme, home.netloc.lower())
        inside = there.path == home.path or there.path.startswith(f"{home.path.rstrip('/')}/")
    except ValueError:
        same = inside = False
        whole = ""
    if not same or not inside or ".." in whole or "\\" in whole or not whole.isprintable() or len(whole) > 4000:
        raise Unanswered(f"{label} says that its list goes on at another place; that is not followed.", code="paging")
    return whole.partition("#")[0]


def explain(reply: Reply) -> Explained:
    """Read an error body: problem details, or the words that most APIs use. Section by section, never a whole page."""
    if reply.status == 425:
        return Explained("It is too early for this request.", limited=1.0)
    if reply.status == 501:
        return Explained("It does not do that.", refused=True)
    body = reply.json() if reply.body else {}
    error = body.get("error") if isinstance(body, dict) else None
    inner = error if isinstance(error, dict) else body
    if not isinstance(inner, dict):
        return Explained("")
    texts = [_text(inner.get(name)) for name in ("title", "detail", "message", "error_description", "description")]
    if isinstance(error, str):
        texts.insert(0, error)
    told = inner.get("errors") or inner.get("validation") or inner.get("details")
    texts += [_text(one) for one in told[:5]] if isinstance(told, list) else []
    code = next((str(inner[name]) for name in ("code", "type", "status") if isinstance(inner.get(name), str | int)), "")
    if reply.status == 428:
        texts.append("It wants to know which version is changed (If-Match): its read gives none; declare the version.")
    busy = reply.status == 409 and "idempot" in " ".join((*texts, code)).lower()
    return Explained("; ".join(dict.fromkeys(text for text in texts if text)), code, locked=reply.status == 423 or busy)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("value") or value.get("message") or value.get("detail") or ""
    return " ".join(value.split())[:400].rstrip(".") if isinstance(value, str) else ""


def with_query(url: str, name: str, value: str) -> str:
    """Return an address with one more query parameter, in the place of any of that name."""
    address, _, query = url.partition("?")
    kept = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != name]
    return f"{address}?{urlencode([*kept, (name, value)], safe='$')}"


def spellings(user: str, secrets: Mapping[str, str]) -> list[str]:
    """Return secrets in every spelling that HTTP gives them: as they are, in a query, in Basic."""
    found = [value for value in secrets.values() if value]
    encoded = [quote_plus(value) for value in found]
    basic = [b64encode(f"{user}:{value}".encode()).decode() for value in found]
    return list(dict.fromkeys([*found, *encoded, *basic]))
