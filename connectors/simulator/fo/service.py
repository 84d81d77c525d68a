"""Dynamics 365 F&O on the wire: token, data entities, etags, paging, bound actions, custom services."""

from __future__ import annotations

import base64
import hmac
import re
from typing import Any

from connectors.simulator import front, tokens
from connectors.simulator.fo import actions as fo_actions
from connectors.simulator.fo.entities import COMPANY, ENTITY_SETS, ENUMS, EntitySet, Kind
from connectors.simulator.fo.odata import ENUM_NAMESPACE, parse_filter, parse_key, parse_order
from connectors.simulator.messages import Answer, Exchange, Refusal, Request
from connectors.simulator.store import Fields, Record, Session, Store

DEFAULT_COMPANY = "usmf"
PAGE_SIZE = 100
LARGEST_PAGE = 10_000
OPTIONS = {"$filter", "$select", "$orderby", "$top", "$skip", "$count", "$skiptoken", "cross-company"}
ADDRESS = re.compile(r"(\$?\w+)(?:\((.*)\))?", re.DOTALL)
THROTTLED = "This request could not be processed at this time due to system experiencing high resource utilization."


def etag(record: Record) -> str:
    """Wrap the row version as F&O does: weak, Base64, opaque to callers."""
    text = f"'{record.version},{abs(hash_of(record.key))}'"
    return f'W/"{base64.b64encode(text.encode()).decode()}"'


def hash_of(key: str) -> int:
    """Give a record number that is the same in every process."""
    return int.from_bytes(key.encode()[-6:], "big")


class DynamicsFO:
    """The F&O environment under `/fo`."""

    name = "fo"

    def __init__(self, store: Store, secret: str) -> None:
        self.store = store
        self.secret = secret

    def handle(self, exchange: Exchange) -> Answer:
        """Answer one request below `/fo`."""
        request = exchange.request
        path = request.segments[1:]
        if path[1:] == ["oauth2", "v2.0", "token"]:
            return self.token(request)
        if page := front.fo_form(exchange, path):
            return page
        # The client must also be known inside F&O; the simulator's only one is (wire: authentication).
        if not tokens.accepts(self.store, self.name, request.header("Authorization")):
            raise Refusal(401, "Access is denied: the token is missing, expired or for another audience.")
        if path[:1] == ["data"]:
            return self.data(exchange, path[1:])
        if path[:2] == ["api", "services"] and len(path) == 5 and request.method == "POST":
            with exchange.writing() as session:
                return Answer(200, fo_actions.custom_service(session, "/".join(path[2:]), request.json()))
        raise Refusal(404, f"No HTTP resource was found that matches the request URI '{request.target}'.")

    def token(self, request: Request) -> Answer:
        """Issue a token by client credentials; a scope with a doubled slash yields one that F&O rejects."""
        form = request.form()
        if request.method != "POST" or form.get("grant_type") != "client_credentials":
            return Answer(
                400, {"error": "unsupported_grant_type", "error_description": "AADSTS70003: use client_credentials."}
            )
        known = form.get("client_id") == "goldseam"
        if not known or not hmac.compare_digest(form.get("client_secret", "").encode(), self.secret.encode()):
            return Answer(
                401, {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."}
            )
        scope = form.get("scope", "")
        usable = scope.endswith("/fo/.default")
        token = tokens.issue(self.store, self.name, prefix="eyJ0eXAi.", usable=usable)
        lifetime = int(tokens.LIFETIME) - 1
        return Answer(
            200, {"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token}
        )

    def data(self, exchange: Exchange, path: list[str]) -> Answer:
        """Answer `/data…`: service document, metadata, a set, one record, a bound action."""
        request = exchange.request
        if not path or path == [""]:
            names = [{"name": name, "kind": "EntitySet", "url": name} for name in ENTITY_SETS]
            return Answer(200, {"@odata.context": self.root(request) + "/$metadata", "value": names})
        if path == ["$metadata"]:
            return Answer(200, metadata(), content_type="application/xml")
        match = ADDRESS.fullmatch(path[0])
        entity = ENTITY_SETS.get(match[1]) if match else None
        if entity is None or match is None:
            raise Refusal(404, f"No HTTP resource was found that matches the request URI '{request.target}'.")
        unknown = {name for name in request.query if name.startswith("$")} - OPTIONS
        if unknown:
            raise Refusal(400, f"The query option '{min(unknown)}' is not supported.")
        for name in chosen_names(request):
            entity.property(name)
        if match[2] is None:
            return self.whole_set(exchange, entity, path[1:])
        key = parse_key(entity, match[2])
        if len(path) == 2 and request.method == "POST" and path[1].startswith(ENUM_NAMESPACE):
            return self.action(exchange, entity, key, path[1].removeprefix(ENUM_NAMESPACE))
        if len(path) != 1:
            raise Refusal(404, f"No HTTP resource was found that matches the request URI '{request.target}'.")
        return self.one(exchange, entity, key)

    def root(self, request: Request) -> str:
        """Give the address of `/data` as the caller reached it."""
        return f"http://{request.host}/fo/data"

    def whole_set(self, exchange: Exchange, entity: EntitySet, rest: list[str]) -> Answer:
        """Answer a request on an entity set: list, count, create."""
        request = exchange.request
        if request.method == "GET" and rest in ([], ["$count"]):
            with exchange.reading() as session:
                found = select(session, entity, request.query)
            if rest:
                return Answer(200, str(len(found)), content_type="text/plain")
            return Answer(200, self.page(request, entity, found))
        if request.method == "POST" and not rest:
            body = request.json()
            with exchange.writing() as session:
                record = fo_actions.create(session, entity, {COMPANY: DEFAULT_COMPANY, **body})
            return Answer(201, self.shown(request, entity, record, single=True))
        raise Refusal(405, f"The method {request.method} is not allowed on '{entity.name}'.")

    def page(self, request: Request, entity: EntitySet, found: list[Record]) -> Fields:
        """Cut one page out of the matching records; the next is behind `@odata.nextLink`."""
        query = request.query
        prefer = re.search(r"odata\.maxpagesize=(\d+)", request.header("Prefer") or "")
        size = max(1, min(int(prefer[1]), LARGEST_PAGE)) if prefer else PAGE_SIZE
        skip, token = _whole(query, "$skip", 0), _whole(query, "$skiptoken", 0)
        window = found[skip : skip + _whole(query, "$top", len(found))]
        rows = window[token : token + size]
        answer: Fields = {"@odata.context": f"{self.root(request)}/$metadata#{entity.name}"}
        if query.get("$count") == "true":
            answer["@odata.count"] = len(found)
        answer["value"] = [self.shown(request, entity, record) for record in rows]
        if token + size < len(window):
            base = re.sub(r"(?<=[?&])(?:\$|%24)skiptoken=\d+&?", "", request.target).rstrip("?&")
            mark = "&" if "?" in base else "?"
            answer["@odata.nextLink"] = f"http://{request.host}{base}{mark}$skiptoken={token + size}"
        return answer

    def shown(self, request: Request, entity: EntitySet, record: Record, *, single: bool = False) -> Fields:
        """Draw one record with its etag and the chosen properties."""
        answer: Fields = {}
        if single:
            answer["@odata.context"] = f"{self.root(request)}/$metadata#{entity.name}/$entity"
        answer["@odata.etag"] = etag(record)
        chosen = chosen_names(request)
        for name in chosen or entity.properties:
            answer[name] = record.fields[name]
        return answer

    def one(self, exchange: Exchange, entity: EntitySet, key: Fields) -> Answer:
        """Read, change or delete one record; If-Match is enforced with 412."""
        request = exchange.request
        if request.method == "GET":
            with exchange.reading() as session:
                record = find(session, entity, key, request)
            return Answer(200, self.shown(request, entity, record, single=True), {"ETag": etag(record)})
        if request.method not in ("PATCH", "PUT", "DELETE"):
            raise Refusal(405, f"The method {request.method} is not allowed on '{entity.name}'.")
        body = request.json() if request.method != "DELETE" else {}
        with exchange.writing() as session:
            record = find(session, entity, key, request)
            require_match(record, request)
            if request.method == "DELETE":
                fo_actions.delete(session, entity, record)
            else:
                fo_actions.patch(session, entity, record, body)
        return Answer(204)

    def action(self, exchange: Exchange, entity: EntitySet, key: Fields, name: str) -> Answer:
        """Carry out a bound action (an integrator's SysODataAction)."""
        request = exchange.request
        body = request.json()
        with exchange.writing() as session:
            record = find(session, entity, key, request)
            require_match(record, request)
            value = fo_actions.bound(session, entity, record, name, body)
        return Answer(200, {"@odata.context": f"{self.root(request)}/$metadata#Edm.String", "value": value})

    def refuse(self, refusal: Refusal) -> Answer:
        """Draw a refusal in F&O's shape: the useful text stands after `Infolog:` in innererror."""
        inner = {
            "message": refusal.message,
            "type": "System.InvalidOperationException",
            "stacktrace": "   at Microsoft.Dynamics.Ax.OData.Write()",
        }
        error = {
            "code": refusal.code if refusal.code.isdigit() else "",
            "message": "An error has occurred.",
            "innererror": inner,
        }
        return Answer(refusal.status, {"error": error})

    def throttled(self, seconds: float) -> Answer:
        """Say 429 with Retry-After, as resource-based throttling does."""
        whole = str(max(1, round(seconds)))
        return Answer(429, {"error": {"code": "429", "message": THROTTLED}}, {"Retry-After": whole})

    def locked(self) -> Refusal:
        """Say that somebody holds the row."""
        return Refusal(400, "Write failed for table row. Infolog: Error: The record is locked by user wh-clerk.")


def chosen_names(request: Request) -> list[str]:
    """Read `$select`; none means every property."""
    return [name.strip() for name in request.query.get("$select", "").split(",") if name.strip()]


def _whole(query: dict[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isdecimal():
        raise Refusal(400, f"Invalid value '{text}' for {name}.")
    return int(text)


def select(session: Session, entity: EntitySet, query: dict[str, str]) -> list[Record]:
    """Find and sort the records that a query asks for; without cross-company only the default company's."""
    keep = parse_filter(entity, query["$filter"]) if query.get("$filter") else None
    everywhere = query.get("cross-company", "").lower() == "true"
    found = [
        record
        for record in session.records("fo", entity.name)
        if (everywhere or record.fields[COMPANY] == DEFAULT_COMPANY) and (keep is None or keep(record.fields))
    ]
    for name, descending in reversed(parse_order(entity, query["$orderby"]) if query.get("$orderby") else []):
        found.sort(key=_sort_key(name), reverse=descending)
    return found


def _sort_key(name: str) -> Any:
    def key(record: Record) -> Any:
        value = record.fields[name]
        return value.casefold() if isinstance(value, str) else value

    return key


def find(session: Session, entity: EntitySet, key: Fields, request: Request) -> Record:
    """Find one record, or refuse with 404; another company's is not there without cross-company=true."""
    everywhere = request.query.get("cross-company", "").lower() == "true"
    record = session.get("fo", entity.name, entity.key_text(key))
    if record is None or not (everywhere or key[COMPANY] == DEFAULT_COMPANY):
        raise Refusal(404, f"No resources were found when selecting from '{entity.name}'.")
    return record


def require_match(record: Record, request: Request) -> None:
    """Hold If-Match against the row version."""
    wanted = request.header("If-Match")
    if wanted and wanted.strip() not in ("*", etag(record)):
        raise Refusal(412, "The record was changed by another user after it was read (etag mismatch).")


def metadata() -> str:
    """Draw the metadata document: entity types, keys and enums."""
    parts = ['<?xml version="1.0" encoding="utf-8"?>']
    parts.append('<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>')
    parts.append('<Schema Namespace="Microsoft.Dynamics.DataEntities" xmlns="http://docs.oasis-open.org/odata/ns/edm">')
    for name, symbols in ENUMS.items():
        members = "".join(f'<Member Name="{symbol}" Value="{value}"/>' for value, symbol in enumerate(symbols))
        parts.append(f'<EnumType Name="{name}">{members}</EnumType>')
    for entity in ENTITY_SETS.values():
        keys = "".join(f'<PropertyRef Name="{key}"/>' for key in entity.keys)
        parts.append(f'<EntityType Name="{entity.name}"><Key>{keys}</Key>')
        for prop in entity.properties.values():
            kind = f"{ENUM_NAMESPACE}{prop.enum}" if prop.kind is Kind.ENUM else prop.kind.value
            parts.append(f'<Property Name="{prop.name}" Type="{kind}"/>')
        parts.append("</EntityType>")
    sets = "".join(f'<EntitySet Name="{name}" EntityType="{ENUM_NAMESPACE}{name}"/>' for name in ENTITY_SETS)
    parts.append(f'<EntityContainer Name="Resources">{sets}</EntityContainer></Schema>')
    parts.append("</edmx:DataServices></edmx:Edmx>")
    return "".join(parts)
