"""Read the ledger on from where it was read to, and make one message for each event and each who wants to hear of it.

The mark and the messages are one transaction: whoever dies in between leaves both as they were, and of two readers
one finds the mark moved. The ledger numbers its entries in the order of their commits, without gaps, so that nothing
can turn up behind the mark later.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import transaction

from audit.clock import db_now
from audit.models import Entry, Head
from incidents.models import Incident
from incidents.states import Status
from playbooks.telling.audience import Sight, request_of, sight_of, wants
from playbooks.telling.models import LedgerMark, Outgoing, Subscription
from playbooks.telling.states import Event

ACTOR = "system:telling"
PAGE = 1_000  # numbers of the ledger in one transaction
PAGES = 500  # in one turn
_COLUMNS = ("n", "at", "verb", "incident_id", "target_type", "target_id", "hash")
_NARROWED = ("status", "severity_rank", "domain", "business_unit", "region")
_TOLD = [event.value for event in Event]


def head() -> int:
    """Return the number of the ledger's last entry."""
    return Head.objects.filter(pk=1).values_list("n", flat=True).first() or 0


def keep_up() -> int:
    """Make the messages for what was entered since the last turn; return how many are new."""
    made = 0
    for _ in range(PAGES):
        page = _page()
        if page is None:
            break
        made += page
    return made


@transaction.atomic
def _page() -> int | None:
    """Read one page and return how many messages it made; ``None`` where there is none, or another reader has it."""
    end = head()
    mark, fresh = LedgerMark.objects.get_or_create(pk=1, defaults={"read_to": end})
    if fresh or mark.read_to >= end:
        return None
    live = list(Subscription.objects.filter(enabled=True).select_related("as_user").order_by("pk"))
    upto = min(mark.read_to + PAGE, end) if live else end
    # Compare and swap: of two readers, the database lets one through.
    if not LedgerMark.objects.filter(pk=1, read_to=mark.read_to).update(read_to=upto):
        return None
    if not live:
        return 0
    entries = Entry.objects.filter(n__gt=mark.read_to, n__lte=upto, verb__in=_TOLD, incident_id__isnull=False)
    # What telling itself brings about is never told.
    found = list(entries.exclude(actor=ACTOR).order_by("n").only(*_COLUMNS))
    rows = list(_messages(live, found, db_now())) if found else []
    Outgoing.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)
    return len(rows)


def _messages(live: Sequence[Subscription], found: Sequence[Entry], now: datetime) -> Iterable[Outgoing]:
    numbers = {entry.incident_id for entry in found if entry.incident_id is not None}
    incidents = Incident.objects.only(*_NARROWED).in_bulk(numbers)
    requests = {number for entry in found if (number := request_of(entry)) is not None}
    sights: dict[int | None, Sight] = {}
    for one in live:
        if one.as_user_id not in sights:
            sights[one.as_user_id] = sight_of(one.as_user, incidents, requests)
    for entry in found:
        incident = incidents.get(entry.incident_id or 0)
        for one in live:
            if incident is not None and _goes_to(one, entry, incident, sights[one.as_user_id]):
                yield _message(one, entry, incident, now)


def _goes_to(subscription: Subscription, entry: Entry, incident: Incident, sight: Sight) -> bool:
    if entry.verb not in subscription.events or entry.n <= subscription.begins_after:
        return False
    event = Event(entry.verb)
    if sight.user is None:
        return False
    if event is Event.OPENED and incident.status == Status.NEW:
        # How severe it is and whose unit it belongs to is not known before it is sized up: judged before it is sent.
        return True
    return wants(subscription, incident) and sight.covers(event, incident.pk, request_of(entry))


def _message(subscription: Subscription, entry: Entry, incident: Incident, now: datetime) -> Outgoing:
    return Outgoing(
        subscription=subscription,
        incident=incident,
        event=entry.verb,
        event_id=f"{entry.n}-{entry.hash[:16]}",
        entry=entry.n,
        occurred_at=entry.at,
        created_at=now,
        due_at=now,
    )
