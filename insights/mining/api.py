"""Process mining for programs: every question of a log by its own address, narrowed by one filter."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from audit.errors import Invalid
from insights.eventlog.sources import entities_of, incidents_about
from insights.mining.answers import kept
from insights.mining.bottlenecks import Bottlenecks, bottlenecks
from insights.mining.cases import ORDERS, Case, CaseDetail, cases, one_case
from insights.mining.causes import Causes, causes
from insights.mining.comparing import Comparison, compare
from insights.mining.conformance import Conformance, conformance
from insights.mining.duties import Duties, duties
from insights.mining.hotspots import RANKS, HotSpots, hotspots
from insights.mining.leakage import USUAL_RATE, Leakage, leakage
from insights.mining.process_map import COLOURS, ProcessMap, process_map
from insights.mining.rework import Repeated, rework
from insights.mining.serving import (
    CURSOR,
    FORMAT,
    MODEL,
    MONEY,
    PAGING,
    PROBLEM,
    SLIDERS,
    Paged,
    Question,
    described,
    paged,
    told_as,
)
from insights.mining.telling import form_of, told
from insights.mining.throughput import Throughput, throughput
from insights.mining.variants import Variant, Variants, variants


class ProcessMapQuestion(Question):
    """The directly-follows map."""

    own = ("activities", "paths", "colour")
    list_name = "edges"

    @described(form_of(ProcessMap), *SLIDERS, told_as("colour", "What `value` speaks of.", enum=COLOURS))
    def get(self, request: Request, pk: int) -> Response:
        """Tell activities, edges with counts and times, starts and ends: everything unless a filter says less."""
        log, given = self.log(pk), self.given
        answer = kept(
            process_map,
            log,
            self.filter(log),
            activities=given.count("activities"),
            paths=given.count("paths"),
            colour=given.choice("colour", COLOURS, "frequency"),
        )
        return Response(told(answer))


class VariantsQuestion(Paged):
    """The variants."""

    own = (*PAGING, "money")

    @described(paged("Variants", Variant), MONEY, *CURSOR)
    def get(self, request: Request, pk: int) -> Response:
        """List the variants with their cases, share, median and money, the largest first."""
        log = self.log(pk)
        chosen, money = self.filter(log), self.money(log)

        def fetch(start: int, most: int) -> Variants:
            return kept(variants, log, chosen, start=start, most=most, money=money)

        return self.page(fetch)


class ThroughputQuestion(Question):
    """How long cases take."""

    list_name = "histogram"

    @described(form_of(Throughput))
    def get(self, request: Request, pk: int) -> Response:
        """Tell median, mean, 90th percentile and maximum, a histogram, and working and waiting time where known."""
        log = self.log(pk)
        return Response(told(kept(throughput, log, self.filter(log))))


class BottlenecksQuestion(Question):
    """Where cases wait."""

    own = ("money", "most")

    @described(form_of(Bottlenecks), MONEY, told_as("most", "Only so many of the heaviest.", int))
    def get(self, request: Request, pk: int) -> Response:
        """Rank edges and steps by delay × volume × money, each with why."""
        log = self.log(pk)
        answer = kept(bottlenecks, log, self.filter(log), money=self.money(log), most=self.given.count("most"))
        return Response(told(answer))

    def table(self, data: Any) -> Sequence[Mapping[str, Any]]:
        return [*data["edges"], *data["steps"]]


class ReworkQuestion(Question):
    """What is done more than once."""

    @described(form_of(Repeated)(many=True))
    def get(self, request: Request, pk: int) -> Response:
        """List the activities that are done again: in how many cases, how often, and who sends back."""
        log = self.log(pk)
        answer = kept(rework, log, self.filter(log))
        return Response([{**told(one), "net_loop_gain": one.net_loop_gain} for one in answer.activities])


class LeakageQuestion(Question):
    """What cases over their target cost."""

    own = ("money", "target_seconds", "rate")
    list_name = "variants"

    @described(
        form_of(Leakage),
        MONEY,
        told_as("target_seconds", "What a case should take; without it the median.", float),
        told_as("rate", "What tied-up money costs a year, 0.08 without it.", float),
    )
    def get(self, request: Request, pk: int) -> Response:
        """Tell the KPI leakage: time and money lost over the target, per variant and step, with what that assumes."""
        log, given = self.log(pk), self.given
        rate = given.amount("rate")
        answer = kept(
            leakage,
            log,
            self.filter(log),
            target_seconds=given.amount("target_seconds"),
            rate=USUAL_RATE if rate is None else rate,
            money=self.money(log),
        )
        return Response(told(answer))


class ConformanceQuestion(Question):
    """How far cases keep to the reference model."""

    own = ("model",)
    list_name = "deviations"

    @described(form_of(Conformance), MODEL)
    def get(self, request: Request, pk: int) -> Response:
        """Tell fitness, and every deviation with its cases; variants that deviate, with most cases first."""
        log = self.log(pk)
        return Response(told(kept(conformance, log, self.filter(log), reference=self.reference(log))))


class CasesQuestion(Paged):
    """The cases."""

    own = (*PAGING, "ordering")

    @described(
        paged("Cases", Case),
        *CURSOR,
        told_as("ordering", "The order.", enum=tuple(ORDERS)),
        operation_id="event_logs_cases_list",
    )
    def get(self, request: Request, pk: int) -> Response:
        """List the cases, the longest first unless `ordering` says otherwise."""
        log = self.log(pk)
        chosen, order = self.filter(log), self.given.choice("ordering", tuple(ORDERS), "-seconds")
        return self.page(lambda start, most: cases(log, chosen, start=start, most=most, order=order))


class CaseQuestion(Question):
    """One case."""

    list_name = "events"

    @extend_schema(responses=form_of(CaseDetail))
    def get(self, request: Request, pk: int, case: str) -> Response:
        """Tell one case with its events, what the source told of each, its record there, and the incidents about it."""
        log = self.log(pk)
        found = one_case(log, case)
        if found is None:
            raise Http404
        incidents = incidents_about(request.user, log, case, entities_of(request.user, found.record))
        return Response({**told(found), "incidents": list(incidents.values_list("pk", flat=True)[:50])})


class CausesQuestion(Question):
    """What goes with a problem."""

    own = ("target", "slow_seconds", "model", "min_support")
    list_name = "causes"

    @described(form_of(Causes), *PROBLEM, told_as("min_support", "Cases on each branch at least.", int))
    def get(self, request: Request, pk: int) -> Response:
        """Tell which attributes of a case go with its being slow, reworked or off the model."""
        log = self.log(pk)
        support = self.given.count("min_support", 1)
        return Response(told(kept(causes, log, self.filter(log), min_support=support, **self.problem(log))))


class HotSpotsQuestion(Question):
    """Where a problem gathers."""

    own = ("target", "slow_seconds", "model", "by", "rank", "money")

    @described(
        form_of(HotSpots),
        *PROBLEM,
        MONEY,
        told_as("by", "activity, variant, or attribute.NAME."),
        told_as("rank", "By number of cases or by money.", enum=RANKS),
    )
    def get(self, request: Request, pk: int) -> Response:
        """Tell where a problem gathers, the largest first, with shares that add up."""
        log = self.log(pk)
        answer = kept(
            hotspots,
            log,
            self.filter(log),
            by=request.query_params.get("by", ""),
            rank=self.given.choice("rank", RANKS, "cases"),
            money=self.money(log),
            **self.problem(log),
        )
        return Response(told(answer))


class DutiesQuestion(Question):
    """Segregation of duties and four eyes."""

    own = ("first", "second", "model")

    @described(
        form_of(Duties),
        told_as("first", "With second: activities that one person must not both do; the same twice: four eyes."),
        told_as("second", "The other activity, in the same order."),
        MODEL,
    )
    def get(self, request: Request, pk: int) -> Response:
        """Tell the cases in which one person did what two should have done, per pair; without pairs the model's."""
        log = self.log(pk)
        ones, others = request.query_params.getlist("first"), request.query_params.getlist("second")
        if len(ones) != len(others) or len(ones) > 50:
            message = "Each first needs a second, in the same order, at most 50."
            raise Invalid(message, {"first": [message]})
        pairs = list(zip(ones, others, strict=True)) or list(self.reference(log).duties)
        return Response(told(kept(duties, log, self.filter(log), pairs=pairs)))


class CompareQuestion(Question):
    """Two filters side by side."""

    own = ("activities", "paths")
    list_name = "differences"

    @extend_schema(
        parameters=[
            *SLIDERS,
            told_as("a.…", "The parameters of the first filter, each with a. before it."),
            told_as("b.…", "The parameters of the second, each with b. before it."),
        ],
        responses=form_of(Comparison),
    )
    def get(self, request: Request, pk: int) -> Response:
        """Tell figures and map of two filters, and the edges on which they differ most."""
        log, given = self.log(pk), self.given
        answer = kept(
            compare,
            log,
            self.filter(log, self._side("a.")),
            self.filter(log, self._side("b.")),
            activities=given.count("activities"),
            paths=given.count("paths"),
        )
        return Response(told(answer))

    def _side(self, prefix: str) -> dict[str, list[str]]:
        given = dict(self.request.query_params.lists())
        strange = [key for key in given if not key.startswith(("a.", "b.")) and key not in (*self.own, FORMAT)]
        if strange:
            message = "Begin each part of a filter with a. or b."
            raise Invalid("Some parameters cannot be meant.", {key: [message] for key in strange})
        return {key[len(prefix) :]: value for key, value in given.items() if key.startswith(prefix)}
