"""Change tracking: what changed in a table since its token, and a whole read where there is none that counts."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from connectors.base import ConnectorError, Inbound, Refused, Unanswered
from connectors.kinds.dataverse import webapi
from connectors.kinds.dataverse.events import is_note, moment_of, note_id
from connectors.kinds.dataverse.settings import number_of
from connectors.kinds.dataverse.tables import GUID, Table, tracked_of

if TYPE_CHECKING:
    from connectors.kinds.dataverse.connector import Dataverse

logger = logging.getLogger(__name__)
# Of all tables together; what is left over comes with the next poll.
MOST_PAGES = 40
OVERLAP = timedelta(minutes=2)
STAMP = "modifiedon"
TRACK = "odata.track-changes"


def changes(dv: Dataverse, since: datetime | None) -> list[Inbound]:
    """Ask each watched table for what changed. ``dv.bookmarks`` says where to begin and afterwards where to go on.

    A whole read (the first one, or the token has expired) tells of the rows that changed since the last poll, with a
    little overlap; the first one of all looks back as far as the connection says.
    """
    told: list[Inbound] = []
    left = MOST_PAGES
    for name, columns in tracked_of(dv.settings.tracked).items():
        table = dv.table(name)
        watch = _Watch(dv, table, columns, left)
        told += watch.changes(since)
        dv.bookmarks[table.name] = watch.bookmark
        left = watch.left
        if not left:
            break
    return told


class _Watch:
    """One table being asked. Its bookmark is ``{"delta": link}``, or ``{"next": link, …}`` in the middle of a list."""

    def __init__(self, dv: Dataverse, table: Table, columns: tuple[str, ...], left: int) -> None:
        self.dv, self.table, self.columns, self.left = dv, table, columns, left
        kept = dv.bookmarks.get(table.name)
        self.bookmark: dict[str, str] = dict(kept) if isinstance(kept, Mapping) else {}

    def changes(self, since: datetime | None) -> list[Inbound]:
        """Go on from the bookmark; begin anew where there is none or the system does not know it any more."""
        if link := self.bookmark.get("next"):
            after, begun = self.bookmark.get("after", ""), self.bookmark.get("begun", "")
        elif link := self.bookmark.get("delta", ""):
            after, begun = "", link
        else:
            return self._anew(since)
        try:
            return self._list(self.dv.root + link, None, after, begun)
        except ConnectorError as error:
            if not self._expired(error):
                raise
            # Deletions of the time between cannot be told: of a row that is gone a whole read says nothing.
            logger.warning("%s: the change token of %s has expired; it is read anew.", self.dv.name, self.table.name)
            begin = moment_of(after)
            return self._anew(begin + OVERLAP if begin else since)

    def _anew(self, since: datetime | None) -> list[Inbound]:
        lookback = timedelta(days=self.dv.settings.lookback_days)
        start = since - OVERLAP if since else datetime.now(UTC) - lookback
        after = start.astimezone(UTC).isoformat().replace("+00:00", "Z")
        wanted = dict.fromkeys([self.table.id, STAMP, *self.columns])
        params = {"$select": ",".join(wanted)} if self.columns else {}
        return self._list(f"{self.dv.root}/{self.table.set}", params, after, "")

    def _list(self, url: str, params: Mapping[str, str] | None, after: str, begun: str) -> list[Inbound]:
        told: list[Inbound] = []
        while self.left:
            self.left -= 1
            page = self.dv.page(url, params, wish=TRACK if params is not None else "")
            rows = webapi.rows_of(page, self.dv.label)
            told += [one for one in (self._told(row, begun) for row in rows) if _young(one, after)]
            if delta := self.dv.own(page.get("@odata.deltaLink")):
                self.bookmark = {"delta": delta.removeprefix(self.dv.root)}
                return told
            url, params = self.dv.own(page.get("@odata.nextLink")), None
            if not url:
                raise Refused(
                    f"{self.dv.label} gives no change token for {self.table.name}: switch change tracking on for this"
                    " table.",
                    code="tracking",
                )
            self.bookmark = {"next": url.removeprefix(self.dv.root), "after": after, "begun": begun}
        return told

    def _told(self, row: Mapping[str, Any], begun: str) -> Inbound:
        """Make a delivery of a row as it is now, or of a deletion, which names nothing but the id."""
        named = {"PrimaryEntityName": self.table.name}
        if "$deletedEntity" in str(row.get("@odata.context") or "") or "reason" in row:
            key = self._id(row.get("id"))
            # A deletion has no version: of one token it tells once.
            mark = hashlib.sha256(begun.encode()).hexdigest()[:16]
            payload = {**named, "PrimaryEntityId": key, "Deleted": True, "Reason": str(row.get("reason") or "")[:100]}
            return Inbound(f"{self.table.name}:{key}:deleted:{mark}", f"record:{self.table.name}:deleted", payload)
        key = self._id(row.get(self.table.id))
        record = webapi.record(self.dv.name, self.dv.root, self.table, row)
        stamp = record.fields.get(STAMP)
        moment = moment_of(stamp) if isinstance(stamp, str) else None
        payload = {**record.fields, **named, "PrimaryEntityId": key, "Deleted": False}
        identity = note_id(key) if is_note(self.table.name) else f"{self.table.name}:{key}:{record.version}"[:200]
        return Inbound(identity, f"record:{self.table.name}", payload, moment)

    def _id(self, value: Any) -> str:
        text = value.strip("{}").lower() if isinstance(value, str) else ""
        if not GUID.match(text):
            raise Unanswered(f"{self.dv.label} told of a change of {self.table.name} without its id.", code="shape")
        return text

    def _expired(self, error: ConnectorError) -> bool:
        return error.status == 410 or number_of(error.code) in self.dv.settings.codes("expired_codes")


def _young(one: Inbound, after: str) -> bool:
    """Tell whether a row of a whole read changed since then; one without a stamp is told rather than lost."""
    start = moment_of(after) if after else None
    return start is None or one.occurred_at is None or one.occurred_at >= start
