"""The doors of the feed: the service document, the metadata, entity sets, single rows and counts. Reading only."""

import hashlib
import re
from typing import Any
from urllib.parse import quote

from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.utils.decorators import method_decorator
from django.views.decorators.gzip import gzip_page
from rest_framework import exceptions
from rest_framework.authentication import SessionAuthentication
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.views import APIView

from audit.errors import Refusal
from insights.feed import edm
from insights.feed.authentication import SCOPE, FeedAuthentication
from insights.feed.catalogue import SETS, find_set
from insights.feed.metadata import metadata, service_document
from insights.feed.options import Question, check_names, question
from insights.feed.problems import FeedError, error_response, not_offered
from insights.feed.reading import Page, count, find, read
from insights.feed.sets import EntitySet, Property, Row
from insights.feed.words import parse_literal

_RESOURCE = re.compile(r"(?P<set>[A-Za-z]\w{0,60})(?:\((?P<key>.{0,1000})\))?(?P<rest>(?:/.*)?)", re.DOTALL)
_KEY_PART = re.compile(r"\s*(?:(?P<name>[A-Za-z]\w*)\s*=)?\s*(?P<value>'(?:[^']|'')*'|[^',]+?)\s*(?:,|$)")
_LEVEL = re.compile(r"odata\.metadata=(minimal|none|full)")
_JSON = ("json", "application/json", "application/*", "*/*")


class _Anything(BaseContentNegotiation):
    """The feed reads ``Accept`` itself: it has parameters that only OData knows."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


@method_decorator(gzip_page, name="dispatch")
class FeedView(APIView):
    """What all doors share: who may ask, the version, errors in OData's form, and conditional answers."""

    authentication_classes = (FeedAuthentication, SessionAuthentication)
    content_negotiation_class = _Anything
    http_method_names = ["get", "head", "options"]
    token_scope = SCOPE
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        newest = request.headers.get("OData-MaxVersion", "4.0").strip()
        if not re.fullmatch(r"\d{1,3}\.\d{1,3}", newest) or float(newest) < 4:
            raise FeedError("This feed speaks OData 4.0; OData-MaxVersion must not be lower.")

    def get_exception_handler(self) -> Any:
        return _told

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response["OData-Version"] = "4.0"
        return response

    def answer(self, request: Request, body: str, content_type: str) -> HttpResponse:
        """Answer with ``body``, or 304 where the caller has the same already."""
        plain: HttpRequest = request._request  # noqa: SLF001 - conditional answers are made for plain requests
        tag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
        response = HttpResponse(body, content_type=content_type)
        response["ETag"] = tag
        # What one person may see is nobody else's.
        response["Cache-Control"] = "private, no-cache"
        patch_vary_headers(response, ("Authorization", "Cookie", "Accept", "Prefer"))
        conditional: HttpResponse | None = get_conditional_response(plain, etag=tag, response=response)
        return conditional or response


class ServiceDocument(FeedView):
    """The list of entity sets."""

    def get(self, request: Request) -> HttpResponseBase:
        check_names(request.query_params, {"$format"})
        form = _form(request)
        return self.answer(
            request, service_document(SETS, _root(request), context=form.level != "none"), form.content_type
        )


class Metadata(FeedView):
    """What the entity sets hold, as CSDL XML."""

    def get(self, request: Request) -> HttpResponseBase:
        check_names(request.query_params, {"$format"})
        if request.query_params.get("$format", "xml") not in ("xml", "application/xml"):
            raise FeedError("The metadata are given as XML.", status=406, target="$format")
        return self.answer(request, metadata(SETS), "application/xml; charset=utf-8")


class Resource(FeedView):
    """An entity set, its count, or one of its rows."""

    def get(self, request: Request, resource: str) -> HttpResponseBase:
        found = _RESOURCE.fullmatch(resource)
        if resource.startswith("$"):
            raise not_offered(resource[:40])
        if found is None:
            raise FeedError("There is no such resource in this feed.", status=404)
        entity_set, rest = find_set(found["set"]), found["rest"].rstrip("/")
        if found["key"] is not None:
            return self.one(request, entity_set, found["key"], rest)
        if rest == "/$count":
            check_names(request.query_params, {"$filter", "$format"})
            asked = question(entity_set, request.query_params)
            return self.answer(request, str(count(entity_set, asked, request.user)), "text/plain; charset=utf-8")
        if rest:
            raise FeedError("There is no such resource in this feed.", status=404)
        return self.collection(request, entity_set)

    def collection(self, request: Request, entity_set: EntitySet) -> HttpResponse:
        form, prefer = _form(request), request.headers.get("Prefer", "")
        asked = question(entity_set, request.query_params, prefer=prefer)
        page = read(entity_set, asked, request.user)
        response = self.answer(request, _written(request, entity_set, asked, page, form), form.content_type)
        if "maxpagesize" in prefer.lower():
            response["Preference-Applied"] = f"odata.maxpagesize={asked.size}"
        return response

    def one(self, request: Request, entity_set: EntitySet, key: str, rest: str) -> HttpResponse:
        if rest:
            raise not_offered("A path below a row")
        check_names(request.query_params, {"$select", "$format"})
        form, asked = _form(request), question(entity_set, request.query_params)
        row = find(entity_set, _key(entity_set, key), asked, request.user)
        if row is None:
            raise FeedError("There is nothing here that you may see.", status=404)
        parts = _values(row, asked.chosen, form)
        context = f'"@odata.context":{edm.STRING.json(_context(request, entity_set, asked) + "/$entity")},'
        return self.answer(request, "{" + (context if form.level != "none" else "") + parts + "}", form.content_type)


class _Form:
    """How the answer is to be written: how much it says of itself, and whether wide numbers travel as text."""

    def __init__(self, level: str, compatible: bool) -> None:
        self.level = level
        self.compatible = compatible
        more = ";IEEE754Compatible=true" if compatible else ""
        self.content_type = f"application/json;odata.metadata={level};odata.streaming=true{more};charset=utf-8"


def _form(request: Request) -> _Form:
    wanted = request.query_params.get("$format") or request.headers.get("Accept", "*/*")
    if not any(part.split(";")[0].strip().lower() in _JSON for part in wanted.split(",")):
        raise FeedError("The feed answers in JSON: ask for application/json.", status=406, target="$format")
    found = _LEVEL.search(wanted)
    # "full" adds only what a client can work out from the metadata; it gets the minimum, and is told so.
    level = "none" if found and found[1] == "none" else "minimal"
    return _Form(level, "ieee754compatible=true" in wanted.lower().replace(" ", ""))


def _root(request: Request) -> str:
    return request.build_absolute_uri("/odata/v4/")


def _context(request: Request, entity_set: EntitySet, asked: Question) -> str:
    chosen = "" if asked.whole else f"({','.join(one.name for one in asked.chosen)})"
    return f"{_root(request)}$metadata#{entity_set.name}{chosen}"


def _written(request: Request, entity_set: EntitySet, asked: Question, page: Page, form: _Form) -> str:
    head = []
    if form.level != "none":
        head.append(f'"@odata.context":{edm.STRING.json(_context(request, entity_set, asked))}')
    if page.total is not None:
        head.append(f'"@odata.count":{page.total}')
    rows = ",\n".join("{" + _values(row, asked.chosen, form) + "}" for row in page.rows)
    tail = [f'"@odata.nextLink":{edm.STRING.json(_next(request, entity_set, page.next))}'] if page.next else []
    return "{" + ",".join([*head, f'"value":[{rows}]', *tail]) + "}"


def _values(row: Row, chosen: tuple[Property, ...], form: _Form) -> str:
    return ",".join(f'"{one.name}":{one.type.json(row[one.name], compatible=form.compatible)}' for one in chosen)


def _next(request: Request, entity_set: EntitySet, token: str) -> str:
    given = request.query_params
    kept = [(name, str(given[name])) for name in given if name not in ("$skiptoken", "$skip")]
    parts = [*kept, ("$skiptoken", token)]
    query = "&".join(f"{quote(name, safe='$')}={quote(value, safe='')}" for name, value in parts)
    return f"{_root(request)}{entity_set.name}?{query}"


def _key(entity_set: EntitySet, text: str) -> dict[str, Any]:
    """Return the values of a key predicate by name: ``(5)``, ``('a')`` or ``(log=1,number=2)``."""
    found: dict[str, Any] = {}
    at = 0
    while at < len(text):
        part = _KEY_PART.match(text, at)
        if part is None:
            break
        name = part["name"] or (entity_set.key[0] if len(entity_set.key) == 1 else "")
        literal = parse_literal(part["value"])
        if name not in entity_set.key or name in found or literal.type is not entity_set.by_name[name].type:
            break
        found[name] = literal.value
        at = part.end()
    if at < len(text) or set(found) != set(entity_set.key):
        raise FeedError(f"The key of {entity_set.name} is ({', '.join(entity_set.key)}).")
    return found


def _told(error: Exception, _context: dict[str, Any]) -> HttpResponse | None:
    """Turn whatever stopped an answer into OData's form; ``None`` lets a defect rise."""
    if isinstance(error, FeedError):
        return error_response(error.status, str(error), target=error.target)
    if isinstance(error, Refusal):
        return error_response(error.status, str(error))
    if isinstance(error, Http404):
        return error_response(404, "There is nothing here that you may see.")
    if isinstance(error, OperationalError):
        return error_response(503, "The database is busy. Try again.", headers={"Retry-After": "1"})
    if isinstance(error, exceptions.APIException):
        headers = {}
        if challenge := getattr(error, "auth_header", None):
            headers["WWW-Authenticate"] = challenge
        if wait := getattr(error, "wait", None):
            headers["Retry-After"] = str(max(1, round(wait)))
        return error_response(error.status_code, str(error.detail), headers=headers)
    return None
