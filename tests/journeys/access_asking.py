"""How the access matrix finds the routes, asks them as somebody, and names what came back."""

import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.urls import URLPattern, URLResolver, get_resolver

from approvals import views as approving
from audit import pages
from audit.models import Entry
from tests.journeys.access_world import MARKS, Person, World

UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
OK, NO, ABSENT, SIGN_IN = "allowed", "forbidden", "absent", "sign in"
_MEANT = {400, 405, 409, 412, 415, 422}  # refused for what was sent, after the question of rights

_ASKING = ("insights/incidents/new/", "insights/logs/<int:pk>/case/")  # say in the query which case they are about


@dataclass(frozen=True)
class Answer:
    """What an answer means for who asked, and what it said."""

    verdict: str
    body: bytes
    status: int
    entered: int

    def shown(self) -> list[str]:
        """Return what stands in it of the objects of unit EU."""
        return [mark for mark in MARKS if mark.encode() in self.body]


@contextmanager
def savepoint() -> Iterator[None]:
    """Take back whatever is done inside; what must be outermost in earnest may be inside it, as in any test."""
    inner: Any = transaction.atomic()
    inner._from_testcase = True
    with inner:
        yield
        transaction.set_rollback(True)


def routes() -> Iterator[tuple[str, URLPattern]]:
    """Yield every address of ours and Django's admin, as it is written."""
    yield from _walk(get_resolver(), "")


def _walk(resolver: Any, start: str) -> Iterator[tuple[str, URLPattern]]:
    for one in resolver.url_patterns:
        if isinstance(one, URLResolver):
            yield from _walk(one, start + str(one.pattern))
        else:
            yield start + str(one.pattern), one


def methods_of(route: URLPattern) -> tuple[str, ...]:
    """Return the methods that change or read something; one that a view does not name counts as GET and POST."""
    view: Any = route.callback
    kind = getattr(view, "view_class", None) or getattr(view, "cls", None)
    if kind is not None:
        # A sign-in form takes PUT for POST: Django's own synonym.
        return tuple(name for name in ("GET", *UNSAFE) if hasattr(kind, name.lower()))
    while view is not None:
        found = inspect.getclosurevars(view).nonlocals.get("request_method_list")
        if found:
            return tuple(name for name in ("GET", *UNSAFE) if name in found)
        view = getattr(view, "__wrapped__", None)
    return ("GET", "POST")


def address(route: str, world: World) -> str:
    """Return an address in which the objects of the world stand for the parts."""
    if route.startswith("^"):
        return "/odata/v4/Incidents"
    begun = max((start for start in world.arguments if route.startswith(start)), key=len, default="")
    given = world.arguments.get(begun, {})
    query = f"?log={world.rows['log'].pk}&case=1" if route in _ASKING else ""
    path = re.sub(r"<(?:\w+:)?(\w+)>", lambda found: str(given[found.group(1)]), route)
    return f"/{path}{query}"


class Refused:
    """Remembers the status of the refusal that a page turned into a message."""

    def __init__(self, monkeypatch: Any) -> None:
        self.status = 0
        words = pages.words_of

        def remembered(refusal: Any) -> str:
            self.status = refusal.status
            return words(refusal)

        monkeypatch.setattr(pages, "words_of", remembered)
        monkeypatch.setattr(approving, "_words", remembered)


def ask(world: World, person: Person, method: str, path: str, refused: Refused) -> Answer:
    """Ask as ``person`` and take back whatever it did."""
    refused.status = 0
    program = path.startswith(("/api/", "/odata/", "/metrics"))
    client = person.client
    given: dict[str, Any] = {"headers": person.headers} if program else {}
    if method in UNSAFE:
        told = world.body_of(path, program=program)
        given |= {"data": told} | ({"content_type": "application/json"} if program else {})
    before = _acts()
    kept = copy(client.cookies)
    with savepoint():
        answer: Any = getattr(client, method.lower())(path, REMOTE_ADDR="192.0.2.7", **given)
        body = b"".join(answer.streaming_content) if answer.streaming else answer.content
        said = verdict(answer, refused.status, path)
        entered = _acts() - before
    client.cookies = kept
    # A refusal leaves no trace of an act: whatever changes something enters it in the ledger.
    assert said == OK or not entered, f"{person.name} was refused, yet {entered} entries were written"
    return Answer(said, body, answer.status_code, entered)


def _acts() -> int:
    """Count the entries of the ledger that tell of an act; some refusals are entered too."""
    return Entry.objects.exclude(verb__contains="refused").count()


def verdict(answer: Any, refusal: int, path: str) -> str:
    """Name what an answer means for who asked."""
    status = answer.status_code
    if status == 401 or (status == 302 and "/login/" in answer["Location"] and path != "/logout/"):
        return SIGN_IN
    if status == 403 or refusal == 403:
        return NO
    if status == 404:
        return ABSENT
    assert status < 400 or status in _MEANT, f"{status} is no answer: {answer.content[:300]!r}"
    return OK
