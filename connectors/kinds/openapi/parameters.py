"""An operation's parameters: which count, and how their values are written into path, query and headers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from connectors.kinds.openapi.documents import Document, Offered
from connectors.kinds.openapi.reading import Unusable

IGNORED_HEADERS = frozenset({"accept", "content-type", "authorization"})
# What the transport, the gateway or a declaration sets; a document must not reach for it.
OWN_HEADERS = frozenset({"host", "cookie", "content-length", "connection", "transfer-encoding", "x-effect-key"})
_DEFAULTS = {"path": "simple", "header": "simple", "query": "form"}
_STYLES = {("path", "simple"), ("header", "simple"), ("query", "form"), ("query", "deepObject")}
_STYLES |= {("query", "spaceDelimited"), ("query", "pipeDelimited")}
_BETWEEN = {"form": ",", "spaceDelimited": " ", "pipeDelimited": "|"}
LONGEST = 2000


@dataclass(frozen=True)
class Parameter:
    """One parameter: where it stands and how its value is written."""

    name: str
    place: str  # path, query or header
    required: bool
    schema: Any
    style: str
    explode: bool
    as_json: bool = False
    description: str = ""


def parameters_of(document: Document, one: Offered) -> list[Parameter]:
    """Return what an operation takes beside its body; the operation goes before its path. Raises ``Unusable``."""
    found: dict[tuple[str, str], Parameter | None] = {}
    for holder in (one.item, one.body):
        told = holder.get("parameters")
        for raw in told if isinstance(told, list) else []:
            part = document.mapping(raw)
            name, place = part.get("name"), part.get("in")
            if not isinstance(name, str) or place not in ("path", "query", "header", "cookie"):
                raise Unusable(f"{one.name}: a parameter has no name or no place: mend the document.")
            found[name, place] = _parameter(document, one, part, name, place)
    for name in missing(one.path, found):
        raise Unusable(f"{one.name}: the path holds {{{name}}}, which is declared nowhere: mend the document.")
    return [parameter for parameter in found.values() if parameter is not None]


def missing(path: str, found: Mapping[tuple[str, str], Any]) -> list[str]:
    """Return the places in a path that no parameter fills; a path may hold several in one part, and any punctuation."""
    return [part.partition("}")[0] for part in path.split("{")[1:] if (part.partition("}")[0], "path") not in found]


def _parameter(document: Document, one: Offered, part: Mapping[str, Any], name: str, place: str) -> Parameter | None:
    required = place == "path" or part.get("required") is True
    if place == "cookie":
        if required:
            raise Unusable(f"{one.name} needs the cookie {name[:60]}; cookies are not sent. Choose another operation.")
        return None
    if place == "header":
        if name.lower() in IGNORED_HEADERS:
            return None
        if name.lower() in OWN_HEADERS or not is_token(name):
            raise Unusable(f"{one.name}: the header {name[:60]} cannot be set from here.")
    content = part.get("content")
    described = " ".join(str(part.get("description") or "").split())[:300]
    if isinstance(content, dict) and content:
        kind, media = next(iter(content.items()))
        if not is_json(str(kind)):
            raise Unusable(f"{one.name}: the parameter {name[:60]} is written as {str(kind)[:60]}, not as JSON.")
        schema = document.mapping(media).get("schema", {})
        return Parameter(name, place, required, schema, "simple", False, as_json=True, description=described)
    style = str(part.get("style") or _DEFAULTS[place])
    if (place, style) not in _STYLES:
        raise Unusable(f"{one.name}: the style {style[:40]} of {name[:60]} is not supported; leave this operation out.")
    explode = part["explode"] if isinstance(part.get("explode"), bool) else style == "form"
    return Parameter(name, place, required, part.get("schema", {}), style, explode, description=described)


def is_token(text: str) -> bool:
    return 0 < len(text) <= 100 and all(letter.isascii() and (letter.isalnum() or letter in "-_.") for letter in text)


def is_json(kind: str) -> bool:
    """Tell whether a content type is JSON, whatever its parameters."""
    bare = kind.partition(";")[0].strip().lower()
    return bare == "application/json" or (bare.startswith("application/") and bare.endswith("+json"))


def plain(value: Any) -> str:
    """Write one value as a text. Raises ``ValueError`` for one that has parts."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, dict | list):
        raise ValueError("a value inside a value cannot be written there")  # noqa: TRY004 - pydantic hears ValueError
    return str(value)


def in_path(value: Any, explode: bool) -> str:
    """Write a value for a path: nothing in it can leave its place. Raises ``ValueError``."""
    if isinstance(value, dict):
        mark = "=" if explode else ","
        text = ",".join(f"{quote(str(name), safe='')}{mark}{_quoted(part)}" for name, part in value.items())
    elif isinstance(value, list):
        text = ",".join(map(_quoted, value))
    else:
        text = _quoted(value)
    # A client or a proxy may take dots for a way up, and an empty part for the place above.
    if not text or text.strip(".") == "" or len(text) > LONGEST:
        raise ValueError("cannot stand in a path: it is empty, only dots, or too long")
    return text


def _quoted(value: Any) -> str:
    return quote(plain(value), safe="")


def in_query(parameter: Parameter, value: Any) -> list[tuple[str, str]]:
    """Write a value as names and values of a query. Raises ``ValueError``."""
    name, style = parameter.name, parameter.style
    if isinstance(value, dict):
        if style == "deepObject":
            return [(f"{name}[{key}]", plain(part)) for key, part in value.items()]
        if parameter.explode:
            return [(str(key), plain(part)) for key, part in value.items()]
        return [(name, ",".join(text for key, part in value.items() for text in (str(key), plain(part))))]
    if isinstance(value, list):
        if parameter.explode and style == "form":
            return [(name, plain(part)) for part in value]
        return [(name, _BETWEEN.get(style, ",").join(map(plain, value)))]
    return [(name, plain(value))]


def in_header(value: Any) -> str:
    """Write a value for a header: one line of printable ASCII. Raises ``ValueError``."""
    text = ",".join(map(plain, value)) if isinstance(value, list) else plain(value)
    if len(text) > LONGEST or not text.isascii() or not text.isprintable():
        raise ValueError("cannot stand in a header: it holds other letters than plain ASCII, or is too long")
    return text
