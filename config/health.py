"""Liveness and readiness, with each dependency named."""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.db.models import Max, Min, Subquery
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from audit.clock import db_now
from audit.models import Entry, Head, Slot
from config.celery import app
from connectors.models import Delivery
from incidents.models import Incident
from insights import storage

OK, WARN, FAIL = "ok", "warn", "fail"
# Older than this, nobody is working on what is due; sweeps ring every few seconds.
_LATE = timedelta(minutes=2)
_BROKER_SECONDS = 5
_STORE_SECONDS = 30
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Check:
    """How one dependency does. Only ``fail`` takes this process out of service."""

    name: str
    status: str
    detail: str
    seconds: float | None = None


@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """Answer 200 while this process can answer at all."""
    return JsonResponse({"status": OK})


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Answer 200 while signals can be taken, 503 where not, with each dependency named.

    A broker that is away or work that is late is a warning: accepted signals are kept in the database,
    and taking the web process out of service would only lose more.
    """
    checks = [_guarded(name, check) for name, check in CHECKS.items()]
    failing = any(check.status == FAIL for check in checks)
    status = FAIL if failing else WARN if any(check.status == WARN for check in checks) else OK
    body = {"status": status, "checks": {check.name: asdict(check) for check in checks}}
    return JsonResponse(body, status=503 if failing else 200)


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except DatabaseError:
        logger.exception("Readiness: %s", name)
        return Check(name, FAIL, "the database does not answer")


def database() -> Check:
    """Check that the database answers and has all migrations' tables."""
    started = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return Check("database", OK, connection.vendor, round(time.monotonic() - started, 4))


def broker() -> Check:
    """Check that bells can be rung; asked at most every few seconds, because a dead broker answers slowly."""
    if settings.EMBEDDED:
        return Check("broker", OK, "embedded in this process")
    known: str | None = cache.get("health:broker")
    if known is None:
        known = _ask_broker()
        cache.set("health:broker", known, timeout=_BROKER_SECONDS)
    if known:
        return Check("broker", WARN, f"not reachable ({known}); sweeps find the work meanwhile")
    return Check("broker", OK, "reachable")


def _ask_broker() -> str:
    """Return the name of what went wrong, or nothing."""
    try:
        with app.connection_for_write(connect_timeout=2) as link:
            link.ensure_connection(max_retries=1, interval_start=0, timeout=2)
    except Exception as error:  # noqa: BLE001 - each transport raises its own family
        return type(error).__name__
    return ""


def ledger() -> Check:
    """Check that the chain's end and the last entry agree; ``verify_audit`` checks the rest."""
    last = Subquery(Entry.objects.order_by("-n").values("n")[:1])
    end = Head.objects.filter(pk=1).annotate(last=last).values("n", "last").first()
    if end is None:
        return Check("ledger", FAIL, "the end of the chain is missing")
    if end["n"] != (end["last"] or 0):
        return Check("ledger", FAIL, f"the chain ends at {end['n']}, its last entry is {end['last']}")
    return Check("ledger", OK, f"{end['n']} entries")


def work() -> Check:
    """Check how long the oldest due row has waited: incidents for the loop, deliveries for detection."""
    now = db_now()
    due = Incident.objects.filter(due_at__lte=now).aggregate(at=Min("due_at"))["at"]
    told = Delivery.objects.filter(processed_at__isnull=True).aggregate(at=Min("received_at"))["at"]
    oldest = min((moment for moment in (due, told) if moment), default=None)
    if oldest is None:
        return Check("work", OK, "nothing waits", 0.0)
    age = now - oldest
    detail = "due work is late: are workers running?" if age > _LATE else "in time"
    return Check("work", WARN if age > _LATE else OK, detail, round(age.total_seconds(), 1))


def beat() -> Check:
    """Check when a schedule was last taken: no turn for long means that no scheduler runs."""
    last: Any = Slot.objects.aggregate(at=Max("taken_at"))["at"]
    if last is None:
        return Check("beat", WARN, "no schedule has ticked yet")
    age = db_now() - last
    detail = "schedules stand still: is beat running?" if age > _LATE else "ticking"
    return Check("beat", WARN if age > _LATE else OK, detail, round(age.total_seconds(), 1))


def store() -> Check:
    """Check that the tables of event logs can be read and kept; asked twice a minute at most."""
    if not settings.INSIGHTS_STORE:
        return Check("store", OK, "event logs lie in the data folder")
    known: str | None = cache.get("health:store")
    if known is None:
        known = storage.away()
        cache.set("health:store", known, timeout=_STORE_SECONDS)
    if known:
        return Check(
            "store", WARN, f"the object store cannot be used ({known}); event logs there wait, the rest goes on"
        )
    return Check("store", OK, "reachable")


CHECKS: dict[str, Callable[[], Check]] = {
    "database": database,
    "broker": broker,
    "ledger": ledger,
    "work": work,
    "beat": beat,
    "store": store,
}
