"""Where polls go on: kept without losing what another process has kept meanwhile."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from connectors.models import Connection

# A kind sets this bookmark where its poll ended before the news did: it is asked again at once.
LEFT_OFF = "left_off"
# Bookmarks that begin so ask for a poll even where the connection is not polled as a rule.
WANTED = "resync:"


def wanted(connection: Connection) -> bool:
    """Tell whether a connection is to be polled because something was missed, or not all of it was fetched yet."""
    return any(name == LEFT_OFF or name.startswith(WANTED) for name in connection.bookmarks)


@transaction.atomic
def remember(connection: Connection, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Keep what changed between the two; what somebody else has changed meanwhile stays theirs."""
    if before == after:
        return
    kept = dict(Connection.objects.select_for_update().values_list("bookmarks", flat=True).get(pk=connection.pk))
    for name in before.keys() | after.keys():
        if before.get(name) == after.get(name) or kept.get(name) != before.get(name):
            continue
        if name in after:
            kept[name] = after[name]
        else:
            kept.pop(name, None)
    Connection.objects.filter(pk=connection.pk).update(bookmarks=kept)
    connection.bookmarks = kept
