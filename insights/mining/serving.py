"""What the addresses of process mining share: the log, the filter, own parameters, pages, CSV."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from django.http import QueryDict
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.errors import Invalid
from incidents.paging import ListCursor
from insights.mining.asking import names, require_ready
from insights.mining.conformance import reference_for
from insights.mining.filters import TIMES, Filter, parse
from insights.mining.problems import TARGETS
from insights.mining.references import Reference
from insights.mining.telling import CsvRenderer, form_of, told
from insights.models import EventLog

FORMAT = "format"
PAGING = ("page_size", "cursor")
_MOST_CSV = 100_000


def told_as(name: str, text: str, kind: Any = str, **more: Any) -> OpenApiParameter:
    return OpenApiParameter(name, kind, description=text, **more)


FILTER = [
    told_as("attribute.NAME", "Cases with this value of the attribute NAME; again for others; empty: not filled in."),
    told_as("not.NAME", "Cases without this value."),
    told_as("min.NAME", "Cases whose number NAME is at least this; max.NAME: at most.", float),
    told_as("from", "A day or an ISO-8601 time; what it is of says `time`."),
    told_as("to", "The end, which is not included."),
    told_as("time", "Cases that started, ended, lay within, or touched the time.", enum=TIMES),
    told_as("variant", "The number of a variant; again for others.", int),
    told_as("with", "An activity that occurs; again for others that must too. without: that does not occur."),
    told_as("repeats", "An activity that occurs at least twice."),
    told_as("follows_from", "With follows_to: the one is some time later followed by the other."),
    told_as("edge_from", "With edge_to: the one is directly followed by the other."),
    told_as("start", "The first activity; again for others. end: the last."),
    told_as("min_seconds", "Cases that took at least so long; max_seconds: at most.", float),
]
MODEL = told_as("model", "The number of a reference model; without it the newest.", int)
MONEY = told_as("money", "The number attribute that is money; without it the one whose name speaks of money.")
PROBLEM = [
    told_as("target", "What is asked about.", enum=TARGETS),
    told_as("slow_seconds", "From how long a case is slow; without it what four fifths of the cases take.", float),
    MODEL,
]
SLIDERS = [
    told_as("activities", "Only so many of the most frequent activities.", int),
    told_as("paths", "Only so many of the most frequent edges, and what keeps every step on a way.", int),
]


def described(form: Any, *own: OpenApiParameter, operation_id: str | None = None) -> Callable[[Any], Any]:
    """Describe a question in the OpenAPI document."""
    return extend_schema(operation_id=operation_id, parameters=[*own, *FILTER], responses=form, filters=False)


class Given:
    """The parameters of a request that are a view's own, read strictly; collects what cannot be meant."""

    def __init__(self, values: QueryDict) -> None:
        self.values = values

    def choice(self, name: str, choices: Sequence[str], usual: str) -> str:
        """Return one of ``choices``. Raises ``Invalid``."""
        found = self.values.get(name) or usual
        if found not in choices:
            raise self._wrong(name, f"One of {', '.join(choices)}.")
        return found

    def count(self, name: str, least: int = 0) -> int | None:
        """Return a whole number, ``None`` where none is given. Raises ``Invalid``."""
        text = self.values.get(name) or ""
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least):
            raise self._wrong(name, f"A whole number from {least} up is needed here.")
        return int(text)

    def amount(self, name: str) -> float | None:
        """Return a number from 0 up, ``None`` where none is given. Raises ``Invalid``."""
        text = self.values.get(name) or ""
        try:
            found = float(text) if text else None
        except ValueError:
            found = -1.0
        if found is not None and not 0 <= found < 1e15:
            raise self._wrong(name, "A number from 0 up is needed here.")
        return found

    def _wrong(self, name: str, message: str) -> Invalid:
        return Invalid("Some parameters cannot be meant.", {name: [message]})


class Question(APIView):
    """A question about one log that the caller may see."""

    renderer_classes = [JSONRenderer, CsvRenderer]
    # The view's own parameters beside the filter, and which list of the answer is its CSV.
    own: ClassVar[tuple[str, ...]] = ()
    list_name: ClassVar[str] = "results"

    def log(self, pk: int) -> EventLog:
        """Return the log, or answer 404 where it is not the caller's to see, 409 while it holds nothing."""
        log = get_object_or_404(EventLog.objects.visible_to(self.request.user), pk=pk)
        require_ready(log)
        return log

    def filter(self, log: EventLog, values: QueryDict | Mapping[str, list[str]] | None = None) -> Filter:
        """Return the filter of the request. Raises ``Invalid`` for what cannot be meant."""
        given = self.request.query_params if values is None else values
        return parse(log, given, also=(*self.own, FORMAT), activities=names(log).numbers)

    @property
    def given(self) -> Given:
        """Return the view's own parameters."""
        return Given(self.request.query_params)

    @property
    def as_csv(self) -> bool:
        """Tell whether a file is asked for, which is not paged."""
        return isinstance(getattr(self.request, "accepted_renderer", None), CsvRenderer)

    def money(self, log: EventLog) -> str:
        """Return the number attribute that is money, if one is named. Raises ``Invalid`` for no such one."""
        name = self.request.query_params.get("money", "")
        if name and not any(one["name"] == name and one["type"] == "number" for one in log.attributes):
            raise Invalid("Some parameters cannot be meant.", {"money": ["This log has no number of that name."]})
        return name

    def reference(self, log: EventLog) -> Reference:
        """Return the reference model that is asked for, or the one that counts."""
        return reference_for(log, self.given.count("model", 1))

    def problem(self, log: EventLog) -> dict[str, Any]:
        """Return which problem is asked about, as arguments."""
        target = self.given.choice("target", TARGETS, "slow")
        return {
            "target": target,
            "slow_seconds": self.given.amount("slow_seconds"),
            "reference": self.reference(log) if target == "deviates" else None,
        }

    def table(self, data: Any) -> Sequence[Mapping[str, Any]]:
        """Return the rows of the CSV file."""
        found: Sequence[Mapping[str, Any]] = data if isinstance(data, list) else data[self.list_name]
        return found


class _Pages(Sequence[Any]):
    """A list that is asked for piece by piece; its length costs one question."""

    def __init__(self, fetch: Callable[[int, int], Any]) -> None:
        self.fetch = fetch
        self.first = fetch(0, 0)

    def __len__(self) -> int:
        return int(self.first.total)

    def __getitem__(self, at: Any) -> Any:
        return told(self.fetch(at.start, at.stop - at.start).results, getattr(self.first, "currency", ""))


class Paged(Question):
    """A question whose answer is a list in pages."""

    pagination_class = ListCursor

    def page(self, fetch: Callable[[int, int], Any]) -> Response:
        """Answer the page that is asked for; as CSV the whole list, up to a bound."""
        if self.as_csv:
            found = fetch(0, _MOST_CSV)
            return Response(told(found)["results"])
        cursor = ListCursor()
        return cursor.get_paginated_response(cursor.paginate_list(_Pages(fetch), self.request))


def paged(name: str, form: type) -> type[serializers.Serializer[Any]]:
    return type(
        f"{name}PageSerializer",
        (serializers.Serializer,),
        {
            "next": serializers.URLField(allow_null=True),
            "previous": serializers.URLField(allow_null=True),
            "results": form_of(form)(many=True),
        },
    )


CURSOR = [told_as("cursor", "From the links next and previous."), told_as("page_size", "Up to 200.", int)]
