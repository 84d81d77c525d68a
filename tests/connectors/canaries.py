"""Secrets that are planted to be looked for, systems that say back whatever they are sent, and all places to look."""

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db import connection as database
from django.db.models import Model

from connectors.base import Connector
from tests.journeys.access_asking import routes

# How a system answers, and in which form it says back what it heard.
ANSWERS = [
    (200, "page"), (200, "odd"), (400, "odata"), (400, "rows"), (401, "oauth"), (403, "plain"), (409, "odata"),
    (412, "plain"), (422, "rows"), (429, "odata"), (500, "page"), (302, "plain"), (503, "oauth"),
]  # fmt: skip


def planted(kind: type[Connector], name: str) -> tuple[str, list[str]]:
    """Return a secret that fits its kind, and the texts that must be found nowhere."""
    word = f"canary{kind.slug.replace('_', '')}{name.replace('_', '')}{len(name):02d}song"
    if name == "signing_secret":
        key = b64encode(word.encode().ljust(32, b"k")).decode()
        return f"whsec_{key}", [word, key]
    if "url" in name:
        return f"https://hooks.canary.test/services/{word}", [word]
    # The signs at its end are written in another way in an address, a form, JSON and HTML: whoever hides only some of
    # those ways leaves the word before them standing.
    return f"{word}/+&='", [word, *packed(word)]


def packed(word: str) -> list[str]:
    """What base64 makes of a word wherever it stands, as behind a user's name for Basic; its ends are left out."""
    return [b64encode(b"." * before + word.encode()).decode()[4:-4] for before in range(3)]


class Echo:
    """Every system at once: each answer says back the request, its headers and its address."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.status, self.form = ANSWERS[0]
        self.signs_in = True
        self.heard: list[str] = []
        self.prompts: list[str] = []

    def of(self, library: Any) -> Any:
        """Return a transport of an HTTP library that ends here."""

        def respond(request: Any) -> Any:
            said = request.content.decode(errors="replace")
            heard = f"{request.url} {' '.join(request.headers.values())} {said}"
            self.heard.append(heard)
            if library.__name__ == "httpx2":
                self.prompts.append(said)
            if request.url.path.endswith("/token") and self.signs_in:
                body = json.dumps({"access_token": self.token, "expires_in": 3600})
                return library.Response(200, stream=library.ByteStream(body.encode()))
            # A header holds no line breaks, and no more than a server takes.
            short = "".join(letter for letter in heard if " " <= letter <= "~")[:2000]
            names = ("x-request-id", "etag", "location", "www-authenticate", "x-ms-request-id", "set-cookie")
            headers = {**dict.fromkeys(names, short), "content-type": _TYPES.get(self.form, "application/json")}
            body = _written(self.form, heard)
            return library.Response(self.status, headers=headers, stream=library.ByteStream(body.encode()))

        return library.MockTransport(respond)


_TYPES = {"page": "text/html", "plain": "text/plain"}


def _written(form: str, heard: str) -> str:
    if form == "page":
        return f"<!doctype html><title>{heard}</title>"
    if form == "plain":
        return heard
    forms: dict[str, Any] = {
        "odd": {"value": heard, "ok": heard, "records": heard, "d": heard, "user": heard, "team": heard},
        "odata": {"error": {"code": heard, "message": heard, "innererror": {"message": heard}}},
        "rows": [{"errorCode": heard, "message": heard}],
        "oauth": {"error": heard, "error_description": heard},
    }
    return json.dumps(forms[form])


def dump(except_for: tuple[str, str]) -> str:
    """Every column of every table as text, but for one column."""
    parts = []
    names = database.introspection.table_names(include_views=False)
    for table in names:
        with database.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {database.ops.quote_name(table)}")
            columns = [column[0] for column in cursor.description]
            for row in cursor.fetchall():
                told = zip(columns, row, strict=True)
                parts += [f"{table}.{name}: {_text(value)}" for name, value in told if (table, name) != except_for]
    assert len(names) > 50
    return "\n".join(parts)


def _text(value: Any) -> str:
    return bytes(value).decode(errors="replace") if isinstance(value, memoryview | bytes) else str(value)


def addresses(slugs: list[str]) -> Iterator[str]:
    """Every page and endpoint without a part to fill, those of each connection, and the admin's with their rows."""
    for route, _ in routes():
        if route.startswith("^") or "logout" in route:
            continue
        if "<" not in route:
            yield f"/{route}"
        elif route.startswith(("connections/", "api/v1/connections/")) and route.count("<") == 1:
            part = route[route.index("<") : route.index(">") + 1]
            yield from (f"/{route.replace(part, slug)}" for slug in slugs)
    for model in admin.site._registry:
        yield from _of_model(model)


def _of_model(model: type[Model]) -> Iterator[str]:
    start = f"/admin/{model._meta.app_label}/{model._meta.model_name}"
    yield f"{start}/"
    for key in model._default_manager.order_by("-pk").values_list("pk", flat=True)[:12]:
        yield f"{start}/{key}/change/"
        yield f"{start}/{key}/history/"
