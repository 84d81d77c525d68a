"""To which earlier mail a mail answers, and what that one named: by the message ids that it refers to.

What that takes is kept apart from the deliveries: it is found by an index, and outlasts what was told.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from audit.clock import db_now
from connectors.base import Inbound
from connectors.kinds.mail.reading import RECEIVED, short
from connectors.models import Connection, EarlierMail

MOST_STEPS = 5
MOST_LOOKED_FOR = 10
Mail = tuple[str, dict[str, Any]]  # the id of its delivery, and what it says
_SAID = ("thread", "conversation", "references", "mentions")


def remember(connection: str, told: Iterable[Inbound]) -> None:
    """Keep what later mails may ask of these; the same mail again adds nothing."""
    mails = [one for one in told if one.event == RECEIVED and one.payload.get("message_id")]
    key = Connection.objects.filter(slug=connection).values_list("pk", flat=True).first() if mails else None
    if key is None:
        return
    now = db_now()
    rows = [
        EarlierMail(
            connection_id=key,
            # As ``reading.identity`` put it together.
            identifier=one.external_id.rpartition(":")[0],
            external_id=one.external_id,
            received_at=now,
            **{name: one.payload[name] for name in _SAID if one.payload.get(name)},
        )
        for one in mails
    ]
    EarlierMail.objects.bulk_create(rows, ignore_conflicts=True)


def joined(connection: str, payload: dict[str, Any], just_read: Iterable[Inbound]) -> dict[str, Any]:
    """Return a mail with the thread that it stands in: the delivery of the mail that began it, where that is known.

    ``just_read`` are mails of the same poll, which are not kept yet.
    """
    if payload.get("thread") or payload.get("automatic") or not payload.get("references"):
        return payload
    wanted = _wanted(payload)
    fresh = [(one.external_id, one.payload) for one in just_read if one.payload.get("message_id") in wanted]
    earlier = [one for one in [*_mails(connection, wanted), *fresh] if one[1].get("automatic") == ""]
    if not earlier:
        return payload
    began, said = earlier[0]
    return {**payload, "thread": said.get("thread") or began, "conversation": said.get("conversation") or began}


def named_before(connection: str, payload: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the records that the mails before this one named, those of the nearest mail that names any; else none."""
    looked: set[str] = set()
    wanted = _wanted(payload)
    for _ in range(MOST_STEPS):
        wanted = [one for one in wanted if one not in looked]
        if not wanted:
            break
        looked.update(wanted)
        earlier = _mails(connection, wanted)
        for _, said in reversed(earlier):
            if named := said.get("mentions"):
                return dict(named)
        wanted = [one for _, said in earlier for one in _wanted(said)][-MOST_LOOKED_FOR:]
    return {}


def _wanted(payload: Mapping[str, Any]) -> list[str]:
    """Return the message ids that a mail refers to: the first, which began it all, and the last ones."""
    found = [str(one) for one in payload.get("references") or []]
    return found if len(found) <= MOST_LOOKED_FOR else [found[0], *found[1 - MOST_LOOKED_FOR :]]


def _mails(connection: str, identifiers: list[str]) -> list[Mail]:
    """Return the mails of these message ids, oldest first."""
    since = db_now() - timedelta(days=EarlierMail.DAYS)
    found = EarlierMail.objects.filter(
        connection__slug=connection, identifier__in=[short(one) for one in identifiers], received_at__gte=since
    )
    rows = found.order_by("pk").values("external_id", *_SAID)[:50]
    return [(row.pop("external_id"), {**row, "automatic": ""}) for row in rows]
