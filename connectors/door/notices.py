"""What the door tells people: once a day for each sort, in the ledger and on the page of the connections.

Every refusal has its row in the call log. The ledger gets the first of a day: a poll that is refused every ten
seconds would otherwise bury everything else.
"""

from datetime import date, datetime
from typing import Any

from django.db import transaction

from audit.actions import record
from audit.clock import db_now
from connectors.door.models import Notice
from connectors.wire.payloads import storable_text

# Refusals that somebody decided on, or that a limit brought about. The others are told by the call log alone.
TOLD = frozenset({"stopped", "operation", "class", "budget"})


def refused(connection: Any, code: str, about: str, message: str, *, actor: str, scope: str = "") -> None:
    """Tell of a refusal of ``about`` (an operation, or what is spent), unless it was told today."""
    if code in TOLD:
        tell(connection, code, about, message, actor=actor, scope=scope)


def tell(
    connection: Any, code: str, about: str, message: str, *,
    actor: str, scope: str = "", day: date | None = None, verb: str = "call.refused",
) -> bool:  # fmt: skip
    """Enter a notice and its ledger entry, unless there is one for that day (UTC where none is given)."""
    now: datetime = db_now()
    about = storable_text(about)[:100]
    known = {"scope": (scope or connection.slug)[:80], "day": day or now.date(), "code": code, "about": about}
    if Notice.objects.filter(**known).exists():
        return False
    with transaction.atomic():
        what = {"connection": connection, "message": message[:2000], "at": now}
        _, fresh = Notice.objects.get_or_create(**known, defaults=what)
        if fresh:
            data = {"name": known["scope"], "code": code, "about": known["about"]}
            record(verb, actor=actor, target=connection, reason=message[:2000], data=data)
    return fresh
