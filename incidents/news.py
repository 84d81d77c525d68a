"""What a signal says that none before it had said, and the look that follows where no cause had been found.

Intake rings for an incident that waits for a person; the loop hears it. What the last look knew is told by the ledger's
line about its evidence: a signal that joins while the loop is still looking is heard when it has come to its end.
"""

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import DecimalField, Exists, OuterRef, QuerySet, Value
from django.db.models.functions import Coalesce

from audit.clock import db_now
from audit.models import Entry
from audit.serializers import part_of
from incidents.judgements import Offer
from incidents.models import Incident, Signal
from incidents.moves import look_again, ring
from incidents.states import Status

ACTOR = "system:news"
# However many signals say something new: no more looks than these in so long a time. What came meanwhile is seen by
# the next one, all at once.
LOOKS = 3
WINDOW = timedelta(minutes=10)
# What a signal says. Its id and its time say nothing of what is wrong.
_SAID = ("source", "type", "attributes", "currency", "text", "business_unit", "region")
_PLAIN = {"source": "source", "type": "kind of event", "amount": "amount", "currency": "currency", "text": "text",
          "business_unit": "business unit", "region": "region"}  # fmt: skip
_NAME = re.compile(r"[A-Za-z_][\w.-]{0,39}", re.ASCII)
_COMPARED = 200  # earlier signals that are looked through for the words of a reason
_NAMED = 4
_NO_AMOUNT = Value(Decimal("-1e17"), DecimalField(max_digits=20, decimal_places=2))


def ring_for(first: int, last: int) -> None:
    """Ring for the incidents that wait for a person and that a signal of these keys tells something new.

    In the transaction that took the signals in. One bell is enough: whoever hears it finds all that came.
    """
    told = Signal.objects.filter(pk__gte=first, pk__lte=last, incident__status=Status.NEEDS_OPERATOR)
    new = saying_something_new(told.filter(incident__due_at=None))
    for incident_id in sorted(set(new.order_by().values_list("incident_id", flat=True))):
        ring(incident_id)


def saying_something_new(signals: QuerySet[Signal]) -> QuerySet[Signal]:
    """Return those of ``signals`` that say what no earlier signal of their incident said."""
    same = {name: OuterRef(name) for name in _SAID}
    earlier = Signal.objects.alias(_sum=Coalesce("amount", _NO_AMOUNT)).order_by()
    said = earlier.filter(incident=OuterRef("incident"), pk__lt=OuterRef("pk"), _sum=OuterRef("_sum"), **same)
    return signals.alias(_sum=Coalesce("amount", _NO_AMOUNT)).filter(~Exists(said))


def hear(incident_id: int) -> bool:
    """Have an incident without a cause looked into afresh where signals have said something new since the last look.

    ``False``: it goes on waiting for a person, and ``due_at`` says when to hear again. The row is held meanwhile: a
    signal that joins after this rings anew. Nobody is overrun: an incident that a person has is left to them.
    """
    with transaction.atomic():
        incident = Incident.objects.select_for_update(no_key=True).get(pk=incident_id)
        if incident.status != Status.NEEDS_OPERATOR:
            return True
        signal, due_at = _news(incident), None
        if signal is not None:
            now = db_now()
            due_at = _next_look(incident, now)
            if due_at <= now:
                look_again(incident, actor=ACTOR, reason=_because(incident, signal))
                return True
        Incident.objects.filter(pk=incident_id).update(due_at=due_at)
    return False


def _news(incident: Incident) -> Signal | None:
    """Return the latest signal that says something new, where a look at the incident may find more than the last."""
    cause = incident.root_causes.order_by("-round").first()
    if cause is None or cause.cause:
        # Nothing was looked into, or a cause is known: it waits for something else than facts.
        return None
    entries = Entry.objects.filter(incident_id=incident.pk)
    look = entries.filter(verb="evidence.collected").order_by("-n").first()
    if _somebody_has(incident, entries.filter(n__gt=look.n if look else 0)):
        return None
    known = part_of(look, "data").get("last_signal", 0) if look else 0
    return saying_something_new(incident.signals.filter(pk__gt=known)).order_by("-pk").first()


def _somebody_has(incident: Incident, since: QuerySet[Entry]) -> bool:
    """Tell whether a person has the incident: it is theirs, or they did something about it since the last look.

    Whom the queue's rule gave it to has not begun yet. Nobody in the console has a name with a colon.
    """
    by_rule = Offer.objects.filter(incident=incident, assigned=True, person=incident.assignee_id)
    if incident.assignee_id is not None and not by_rule.exists():
        return True
    return since.filter(verb__startswith="incident.").exclude(actor__contains=":").exclude(actor="built-in").exists()


def _next_look(incident: Incident, now: datetime) -> datetime:
    ours = Entry.objects.filter(incident_id=incident.pk, verb="incident.triaged", actor=ACTOR, at__gt=now - WINDOW)
    looks = list(ours.order_by("-n").values_list("at", flat=True)[:LOOKS])
    return looks[-1] + WINDOW if len(looks) == LOOKS else now


def _because(incident: Incident, signal: Signal) -> str:
    new = _new_in(incident, signal)
    what = f"something new: {', '.join(new)}" if new else "what no signal had said in this combination"
    return f"Looked at again: signal {signal.pk} of {signal.source[:60]} says {what}."


def _new_in(incident: Incident, signal: Signal) -> list[str]:
    """Name what a signal says that the ones before it did not."""
    rows = incident.signals.filter(pk__lt=signal.pk).order_by("-pk").values(*_PLAIN, "attributes")
    earlier: list[dict[str, Any]] = list(rows[:_COMPARED])
    new = [
        words
        for name, words in _PLAIN.items()
        if getattr(signal, name) not in ("", None, *(one[name] for one in earlier))
    ]
    for name, value in signal.attributes.items():
        if all(name not in one["attributes"] or one["attributes"][name] != value for one in earlier):
            new.append(name if _NAME.fullmatch(name) else "an attribute")
    return list(dict.fromkeys(new))[:_NAMED]
