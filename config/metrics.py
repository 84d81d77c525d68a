"""Prometheus metrics, read from the rows: true for all processes, with nothing to collect in any of them."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from django.conf import settings
from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from approvals.models import ApprovalRequest
from approvals.states import State
from audit.access import has_role
from audit.clock import db_now
from audit.models import Head, Slot
from audit.tokens import TokenAuthentication
from config.api.problems import respond
from connectors.door import budgets
from connectors.door.models import Notice
from connectors.models import Call, Connection, Delivery, EmergencyStop
from incidents.judgements import Pace
from incidents.models import Incident, SlaClock
from incidents.pace import BOUNDS
from incidents.states import Status
from playbooks.models import DeadLetter, StepRun
from playbooks.telling.models import Outgoing

# Enough to see a system fail, few enough to count on every scrape.
_RECENT_CALLS = 10_000


class Rows(Collector):
    """Reads the figures when it is asked."""

    def collect(self) -> Iterator[Metric]:
        """Yield each figure; a constant number of queries."""
        now = db_now()
        yield _by("incidents", "Incidents by status.", "status", _statuses())
        yield _by("approvals", "Requests for approval by state.", "state", _counts(ApprovalRequest, "state"))
        yield _by("dead_letters", "Dead letters by state.", "state", _counts(DeadLetter, "state"))
        yield _by("outgoing_messages", "Messages to subscribers by state.", "state", _counts(Outgoing, "state"))
        yield _by("step_runs", "Steps of executions by state.", "state", _counts(StepRun, "state"))
        yield _calls()
        yield from _waiting(now)
        yield _one("sla_breached", "Running service-level clocks past their time.", _breached())
        yield _one("emergency_stops", "Emergency stops in force.", EmergencyStop.objects.filter(ended_at=None).count())
        yield _one("ledger_entries", "Length of the audit ledger.", _ledger_length())
        last = Slot.objects.order_by("-id").values_list("taken_at", flat=True).first()
        yield _one("beat_age_seconds", "Seconds since a schedule was last taken.", _age(now, last))
        yield _connections()
        yield from _door(now)
        yield from _pace()


def _by(name: str, text: str, label: str, values: dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"goldseam_{name}", text, labels=[label])
    for value, count in sorted(values.items()):
        family.add_metric([value], count)
    return family


def _one(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"goldseam_{name}", text, value=value)


def _counts(model: Any, column: str) -> dict[str, int]:
    return dict(model.objects.order_by().values_list(column).annotate(count=Count("pk")))


def _statuses() -> dict[str, int]:
    # Every status is named even at zero, so that an alert on it has a series from the first scrape.
    return {status.value: 0 for status in Status} | _counts(Incident, "status")


def _calls() -> GaugeMetricFamily:
    text = f"Calls to other systems by outcome, among the latest {_RECENT_CALLS}."
    family = GaugeMetricFamily("goldseam_recent_calls", text, labels=["connection", "direction", "outcome"])
    latest = Call.objects.order_by("-id").values_list("id", flat=True)[_RECENT_CALLS : _RECENT_CALLS + 1].first()
    rows = Call.objects.filter(id__gt=latest or 0).order_by()
    for *labels, count in rows.values_list("connection__slug", "direction", "outcome").annotate(count=Count("id")):
        family.add_metric(labels, count)
    return family


def _waiting(now: datetime) -> Iterator[GaugeMetricFamily]:
    counts = GaugeMetricFamily("goldseam_waiting", "Rows that wait to be worked on.", labels=["queue"])
    ages = GaugeMetricFamily("goldseam_waiting_age_seconds", "Seconds that the oldest has waited.", labels=["queue"])
    queues: dict[str, tuple[Any, str]] = {
        "incidents": (Incident.objects.filter(due_at__lte=now), "due_at"),
        "deliveries": (Delivery.objects.filter(processed_at__isnull=True), "received_at"),
        "approvals": (ApprovalRequest.objects.filter(state=State.PENDING), "created_at"),
        "dead_letters": (DeadLetter.objects.filter(state=DeadLetter.State.WAITING), "created_at"),
    }
    for queue, (rows, column) in queues.items():
        found = rows.aggregate(count=Count("pk"), oldest=Min(column))
        counts.add_metric([queue], found["count"])
        ages.add_metric([queue], _age(now, found["oldest"]))
    yield counts
    yield ages


def _breached() -> int:
    return SlaClock.objects.filter(stopped_at__isnull=True, breached_at__isnull=False).count()


def _ledger_length() -> int:
    return Head.objects.filter(pk=1).values_list("n", flat=True).first() or 0


def _age(now: datetime, moment: datetime | None) -> float:
    return max((now - moment).total_seconds(), 0.0) if moment else 0.0


def _connections() -> GaugeMetricFamily:
    family = GaugeMetricFamily("goldseam_connection_healthy", "1: the last test passed.", labels=["connection", "kind"])
    for slug, kind, health in Connection.objects.filter(enabled=True).values_list("slug", "kind", "health"):
        family.add_metric([slug, kind], float(health == "ok"))
    return family


def _door(now: datetime) -> Iterator[Metric]:
    breaker = GaugeMetricFamily(
        "goldseam_breaker_open", "1: left in peace, tried twice a minute.", labels=["connection"]
    )
    classes = GaugeMetricFamily(
        "goldseam_connection_data_class", "Its data class.", labels=["connection", "data_class"]
    )
    rows = Connection.objects.filter(enabled=True).order_by("slug")
    for slug, data_class, opened in rows.values_list("slug", "data_class", "gate__opened_at"):
        breaker.add_metric([slug], float(opened is not None))
        classes.add_metric([slug, data_class], 1.0)
    yield breaker
    yield classes
    used = GaugeMetricFamily("goldseam_budget_used", "Used today; money in units.", labels=["budget", "unit"])
    limit = GaugeMetricFamily("goldseam_budget_limit", "The day's limit; money in units.", labels=["budget", "unit"])
    for use in budgets.today(now=now):
        share = budgets.MILLION if use.unit == "money" else 1
        used.add_metric([use.scope, use.unit], use.used / share)
        if use.limit is not None:
            limit.add_metric([use.scope, use.unit], use.limit / share)
    yield used
    yield limit
    told = GaugeMetricFamily("goldseam_door_notices", "Notices of the last 24 hours, by sort.", labels=["code"])
    recent = Notice.objects.filter(at__gte=now - timedelta(days=1)).order_by()
    for code, count in recent.values_list("code").annotate(count=Count("pk")):
        told.add_metric([code], count)
    yield told


def _pace() -> Iterator[Metric]:
    """Yield the running histograms that the sweep counts: one row each, however many signals there are."""
    text = "Seconds from an event to us (transport), from us to its sized-up incident (visible)."
    spans = HistogramMetricFamily("goldseam_event_to_incident_seconds", text, labels=["span"])
    early = CounterMetricFamily(
        "goldseam_event_clock_ahead", "Rows in no bucket: the clock of their beginning ran ahead.", labels=["span"]
    )
    for pace in Pace.objects.order_by("measure"):
        sums = list(accumulate(pace.counts or [0] * (len(BOUNDS) + 1)))
        bounds = [*map(str, BOUNDS), "+Inf"]
        spans.add_metric([pace.measure], list(zip(bounds, sums, strict=True)), pace.seconds)
        early.add_metric([pace.measure], pace.ahead)
    yield spans
    yield early


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer the Prometheus text to those who may see the whole; the counts cross every unit's border."""
    refused = None if _from_here(request) else _refused(request)
    if refused is not None:
        return refused
    registry = CollectorRegistry()
    registry.register(Rows())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _from_here(request: HttpRequest) -> bool:
    """Tell whether the scraper needs no token: by setting, or on this very machine with no proxy in between."""
    if settings.METRICS_PUBLIC:
        return True
    proxied = any(name in request.META for name in ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP"))
    return request.META.get("REMOTE_ADDR") in {"127.0.0.1", "::1"} and not proxied and not settings.BEHIND_PROXY


def _refused(request: HttpRequest) -> HttpResponse | None:
    asking = Request(request, authenticators=[TokenAuthentication(), SessionAuthentication()])
    try:
        user = asking.user
    except APIException as error:
        return _challenge(request, error.status_code, str(error.detail))
    if not user.is_authenticated:
        return _challenge(request, 401, "Metrics need a token of a person who may see the whole.")
    if has_role(user, "auditor", "automation_admin", "compliance"):
        return None
    return respond(request, 403, "Metrics are for auditors, compliance and automation owners.")


def _challenge(request: HttpRequest, status: int, detail: str) -> HttpResponse:
    answer = respond(request, status, detail)
    if status == 401:
        answer["WWW-Authenticate"] = TokenAuthentication().authenticate_header(Request(request))
    return answer
