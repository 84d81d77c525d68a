"""An OpenAPI 3.0 or 3.1 document: its operations by name, references resolved when needed, where it is served."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from connectors.kinds.openapi.reading import Unusable, read
from connectors.wire.payloads import storable_text

METHODS = ("get", "post", "put", "patch", "delete")  # HEAD says nothing that could be read
MOST_OPERATIONS = 3000
MOST_HOPS = 20
LONGEST_NAME = 100
_VARIABLE = re.compile(r"\{[^{}]*\}")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_PATH = re.compile(r"/[^\s?#\\]*")


@dataclass(frozen=True)
class Offered:
    """One operation of the document, before anybody has chosen it."""

    name: str  # ours: small letters with a dot
    method: str  # in capitals
    path: str
    label: str
    group: str
    body: Mapping[str, Any] = field(repr=False)  # the operation as the document has it
    item: Mapping[str, Any] = field(repr=False)  # its path item

    @property
    def reads(self) -> bool:
        """Tell whether it changes nothing by its method; a POST that only searches is declared by the admin."""
        return self.method == "GET"


class Document:
    """A document that was read. Nothing of it is trusted: what it says is resolved step by step, under limits."""

    def __init__(self, text: str) -> None:
        """Read a document. Raises ``Unusable``."""
        found = read(text)
        version = found.get("openapi") if isinstance(found, dict) else None
        if isinstance(found, dict) and "swagger" in found:
            raise Unusable("This is Swagger 2.0: convert it to OpenAPI 3 first; most API tools can.")
        if not isinstance(found, dict) or not re.fullmatch(r"3\.[01](\.\d{1,3})?", str(version)):
            raise Unusable("This is no OpenAPI 3.0 or 3.1 document: it has no “openapi: 3…” at its top.")
        self.whole: dict[str, Any] = found
        self.old = str(version).startswith("3.0")
        info = found.get("info")
        title = info.get("title") if isinstance(info, dict) else None
        self.title = storable_text(" ".join(str(title or "REST API").split()))[:120]
        # Whether anything in it may be sent and never shown: most documents need not be searched for it.
        self.has_secrets = "writeOnly" in text or "password" in text
        self.digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
        self.offered: dict[str, Offered] = {one.name: one for one in self._named()}

    # --- references -------------------------------------------------------------------------------
    def at(self, value: Any) -> Any:
        """Return ``value``, or what its ``$ref`` leads to. Raises ``Unusable`` where that is nowhere, or outside."""
        hops = 0
        while isinstance(value, dict) and isinstance(value.get("$ref"), str):
            hops += 1
            if hops > MOST_HOPS:
                raise Unusable(f"The reference {value['$ref'][:100]} leads in a circle.")
            more = {name: part for name, part in value.items() if name != "$ref"}
            value = self._target(value["$ref"])
            if more and not self.old and isinstance(value, dict):
                # Beside a reference 3.1 lets more be said; in 3.0 it is ignored.
                value = {**value, **more}
        return value

    def _target(self, reference: str) -> Any:
        if not reference.startswith("#/"):
            raise Unusable(
                f"The reference {reference[:100]} leads out of the document: bundle it into one file first; nothing is"
                " fetched."
            )
        found: Any = self.whole
        for part in reference[2:].split("/"):
            name = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list) and name.isdecimal() and int(name[:9]) < len(found):
                found = found[int(name[:9])]
            else:
                raise Unusable(f"The reference {reference[:100]} leads nowhere: mend the document.")
        return found

    def mapping(self, value: Any) -> dict[str, Any]:
        """Return what should be an object, as one: empty where it is none."""
        found = self.at(value)
        return found if isinstance(found, dict) else {}

    # --- operations -------------------------------------------------------------------------------
    def _found(self) -> Iterator[Offered]:
        paths = self.whole.get("paths") or {}
        if not isinstance(paths, dict):
            raise Unusable("“paths” is no object: mend the document.")
        count = 0
        for path, raw in paths.items():
            item = self.mapping(raw)
            if not path.startswith("/") or not _PATH.fullmatch(path.replace(" ", "x")):
                raise Unusable(f"“{path[:80]}” is no path: it begins with / and holds no ? and no #.")
            for method in METHODS:
                body = item.get(method)
                if isinstance(body, dict):
                    count += 1
                    yield _offered(method, path, body, item)
        if not count or count > MOST_OPERATIONS:
            raise Unusable(f"The document has {count or 'no'} operations; 1 to {MOST_OPERATIONS:,} can be used.")

    def _named(self) -> Iterator[Offered]:
        """Yield the operations; those that would share a name carry a mark made of method and path."""
        found = list(self._found())
        counts: dict[str, int] = {}
        for one in found:
            counts[one.name] = counts.get(one.name, 0) + 1
        for one in found:
            if counts[one.name] == 1:
                yield one
                continue
            mark = hashlib.sha256(f"{one.method} {one.path}".encode()).hexdigest()[:6]
            name = f"{one.name[: LONGEST_NAME - 7]}_{mark}"
            yield Offered(name, one.method, one.path, one.label, one.group, one.body, one.item)

    # --- where it is served -----------------------------------------------------------------------
    def base_path(self) -> str:
        """Return the path part of the first usable server address; blank where there is none."""
        servers = self.whole.get("servers")
        for server in servers if isinstance(servers, list) else []:
            url = self._server_url(server)
            if url is not None and (path := _path_of(url)) is not None:
                return path
        return ""

    def path_for(self, one: Offered, host: str) -> str | None:
        """Return the path part of an operation's own server, ``None`` where it has none. ``host``: the confirmed one.

        Raises ``Unusable`` where it is served at another host.
        """
        for holder in (one.body, one.item):
            servers = holder.get("servers")
            if not isinstance(servers, list) or not servers:
                continue
            for url in filter(None, map(self._server_url, servers)):
                named = _host_of(url)
                if (not named or named == host.lower() or "{" in named) and (path := _path_of(url)) is not None:
                    return path
            raise Unusable(f"{one.name} is served at another host than {host}: make a connection of its own for it.")
        return None

    def _server_url(self, server: Any) -> str | None:
        """Return a server's address with the defaults of its variables put in."""
        if not isinstance(server, dict) or not isinstance(server.get("url"), str):
            return None
        variables = self.mapping(server.get("variables"))

        def value(match: re.Match[str]) -> str:
            known = self.mapping(variables.get(match[0][1:-1])).get("default")
            return str(known) if isinstance(known, str | int) and str(known) else match[0]

        return _VARIABLE.sub(value, server["url"][:500]).strip()


def _offered(method: str, path: str, body: Mapping[str, Any], item: Mapping[str, Any]) -> Offered:
    told = body.get("operationId")
    name = name_of(told if isinstance(told, str) else "", method, path)
    said = body.get("summary") or told or f"{method.upper()} {path}"
    label = storable_text(" ".join(str(said).split()))[:120].rstrip(".") or name
    tags = body.get("tags")
    group = storable_text(str(tags[0] if isinstance(tags, list) and tags else re.split(r"[/(]", path)[1] or "/"))[:80]
    return Offered(name, method.upper(), path, label, group, body, item)


def name_of(operation_id: str, method: str, path: str) -> str:
    """Return an operation's name here: of its id what it is about, a dot, and what it does; else of method and path."""
    if re.search(r"[./]", operation_id):
        parts = [words for part in re.split(r"[./]+", operation_id) if (words := words_of(part))]
        first, last = "_".join(parts[:-1]), parts[-1] if parts else ""
    else:
        every = words_of(operation_id).split("_") if operation_id else []
        first, last = "_".join(every[1:]), every[0] if every else ""
    if not last:
        first = words_of(_VARIABLE.sub(lambda variable: f"/by_{variable[0][1:-1]}", path)) or "root"
        last = method.lower()
    first = first if not first[:1].isdigit() else f"n_{first}"
    name = f"{first or words_of(re.split(r'[/({]', path)[1]) or 'api'}.{last}"
    if len(name) <= LONGEST_NAME:
        return name
    mark = hashlib.sha256(name.encode()).hexdigest()[:6]
    return f"{name[: LONGEST_NAME - 14].replace('.', '_').rstrip('_')}_{mark}.{last[:6]}"


def words_of(text: str) -> str:
    """Return the words of a name in small letters, joined by _."""
    return "_".join(word.lower() for word in _WORDS.findall(text[:300]))


def _host_of(url: str) -> str:
    """Return host and port of an address as it is written, variables and all; blank for a relative one."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return ""
    return re.split(r"[/?#]", rest, maxsplit=1)[0].lower() if scheme.lower() in ("http", "https") else "?"


def _path_of(url: str) -> str | None:
    """Return the path of a server's address, ``None`` where it is not one that can be served at."""
    if "://" in url:
        if _host_of(url) == "?":
            return None
        url = "/" + url.split("://", 1)[1].partition("/")[2]
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    path = "/" + parts.path.strip("/")
    usable = _PATH.fullmatch(path) and not parts.scheme and "{" not in path and ".." not in path and ":" not in path
    return path.rstrip("/") if usable else None
