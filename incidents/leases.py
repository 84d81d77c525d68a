"""Who is working on an incident: a lease with a fencing number, kept by the database's clock.

A worker that was stopped for a minute and woken must change nothing. Its fence is then lower than the
row's, and every check fails. ``select_for_update(skip_locked=True)`` is silently nothing on SQLite, so
work is claimed by one conditional UPDATE instead.
"""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from audit.clock import db_now
from incidents.models import Incident


class LeaseLost(Exception):
    """Somebody else works on this incident now; whatever we know of it may be old."""


@dataclass(frozen=True)
class Lease:
    """The right to carry one incident forward, until it runs out or is taken over."""

    incident_id: int
    fence: int

    def check(self) -> None:
        """Raise ``LeaseLost`` unless the lease is still ours and has not run out."""
        if not self._mine().filter(lease_until__gt=Now()).exists():
            raise LeaseLost(f"The lease {self.fence} on incident {self.incident_id} is over.")

    def renew(self) -> None:
        """Take ``LEASE_SECONDS`` from now. Raises ``LeaseLost`` where somebody else has it."""
        until = db_now() + timedelta(seconds=settings.LEASE_SECONDS)
        if not self._mine().filter(lease_until__gt=Now()).update(lease_until=until):
            raise LeaseLost(f"The lease {self.fence} on incident {self.incident_id} is over.")

    def release(self) -> None:
        """Let others look at once; harmless where the lease was lost."""
        self._mine().update(lease_until=None)

    def _mine(self) -> QuerySet[Incident]:
        return Incident.objects.filter(pk=self.incident_id, fence=self.fence)


def claim(incident_id: int, *, only_due: bool = True) -> Lease | None:
    """Take the incident if nobody has it and, with ``only_due``, if it is due; else ``None``."""
    free = Q(lease_until__isnull=True) | Q(lease_until__lte=Now())
    rows = Incident.objects.filter(free, pk=incident_id)
    if only_due:
        rows = rows.filter(due_at__lte=Now())
    until = db_now() + timedelta(seconds=settings.LEASE_SECONDS)
    if not rows.update(lease_until=until, fence=F("fence") + 1):
        return None
    fence, still = Incident.objects.values_list("fence", "lease_until").get(pk=incident_id)
    # Between the two statements another worker can only have come in if our lease had already run out.
    return Lease(incident_id, fence) if still == until else None


def due(limit: int = 200) -> list[int]:
    """Return incidents that somebody should look at now, the most urgent first."""
    free = Q(lease_until__isnull=True) | Q(lease_until__lte=Now())
    rows = Incident.objects.filter(free, due_at__lte=Now()).order_by("severity_rank", "due_at", "pk")
    return list(rows.values_list("pk", flat=True)[:limit])
