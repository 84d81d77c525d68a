"""What is new in a mailbox: by UIDVALIDITY and UID, so many in a poll, and no mail that keeps the others waiting.

Where a poll ended stands in one bookmark: the folder, its UIDVALIDITY, the last UID that was taken (``last``) and the
last that was put away (``done``). It is kept once the mails are, so only what is kept is ever put away.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings

from connectors.base import ConnectorError, Inbound, Refused, Unanswered
from connectors.inbound.bookmarks import LEFT_OFF
from connectors.kinds.mail import conversations, reading
from connectors.kinds.mail.folder import Folder, Listed

if TYPE_CHECKING:
    from connectors.kinds.mail.connector import Mail

logger = logging.getLogger(__name__)
# Beside the mail itself an answer has some words around it.
_ROOM = 20_000
PLACE = "mailbox"


class Intake:
    """One poll of one mailbox."""

    def __init__(self, mail: Mail) -> None:
        self._mail = mail
        self._config = mail.settings
        self._folder: Folder | None = None
        self._mark: dict[str, Any] = {}
        self._told: list[Inbound] = []

    def run(self) -> list[Inbound]:
        """Return the next mails and move the bookmarks behind them. Raises ``ConnectorError`` where none was read."""
        try:
            folder = self._opened()
            uids = self._new(folder)
            self._put_away(folder)
            most = self._config.most_mails
            whole = self._take(folder.listed(uids[:most]))
            if whole and uids:
                # What was named and is not there any more is behind us too.
                self._mark["last"] = uids[:most][-1]
            places = {name: place for name, place in self._mail.bookmarks.items() if name != LEFT_OFF}
            self._mail.bookmarks = {**places, PLACE: self._mark, **({LEFT_OFF: True} if whole and uids[most:] else {})}
            # Before they are kept: whoever dies in between is told the same again.
            conversations.remember(self._mail.name, self._told)
            return self._told
        finally:
            if self._folder is not None:
                self._folder.close()

    def _opened(self) -> Folder:
        """Sign in and open the folder, anew where the line broke."""
        if self._folder is not None:
            self._folder.close()
            self._folder = None
        changing = bool(self._config.done_folder or self._config.mark_seen)
        self._folder = self._mail.signed_in()
        self._folder.open(self._config.folder, changing=changing)
        if self._mark and self._mark["validity"] != self._folder.validity:
            raise Unanswered(f"{self._config.imap} has given all mails other UIDs meanwhile.", code="uidvalidity")
        return self._folder

    def _new(self, folder: Folder) -> list[int]:
        """Return the UIDs to be taken. Where UIDs have changed their meaning it begins anew: doubles add nothing."""
        found = self._mail.bookmarks.get(PLACE)
        before = found if isinstance(found, dict) else {}
        same = before.get("folder") == self._config.folder and before.get("validity") == folder.validity
        if same and isinstance(before.get("last"), int):
            self._mark = {**before}
            return folder.above(before["last"])
        day = (datetime.now(UTC) - timedelta(days=self._config.lookback_days)).date()
        uids = folder.since(day)
        first = uids[0] - 1 if uids else max(folder.next_uid - 1, 0)
        self._mark = {"folder": self._config.folder, "validity": folder.validity, "last": first, "done": first}
        return uids

    def _put_away(self, folder: Folder) -> None:
        """Mark or move what earlier polls took and kept. Where that fails, mails go on being taken all the same."""
        done, last = self._mark.get("done", 0), self._mark["last"]
        config = self._config
        if not (config.done_folder or config.mark_seen) or done >= last:
            return
        try:
            if config.mark_seen:
                folder.mark_seen(done + 1, last)
            if config.done_folder:
                folder.put_away(done + 1, last, config.done_folder)
        except Refused as refused:
            logger.warning("%s: what was taken could not be put away: %s", self._mail.name, refused)
            return
        self._mark["done"] = last

    def _take(self, mails: list[Listed]) -> bool:
        """Read one mail after the other, and tell whether all were read.

        One that breaks the line twice is left behind, if the next one comes through.
        """
        doubted: tuple[Listed, ConnectorError] | None = None
        for mail in mails:
            try:
                found = self._read(mail)
            except ConnectorError as error:
                if doubted is None and isinstance(error, Unanswered):
                    doubted = (mail, error)
                    continue
                # Two in a row: it is the server, not the mail.
                return self._stop(doubted[1] if doubted else error)
            if doubted is not None:
                self._keep(doubted[0], self._unreadable(*doubted))
                doubted = None
            self._mark["last"] = mail.uid
            if found is not None:
                self._keep(mail, found)
        return self._stop(doubted[1]) if doubted else True

    def _stop(self, error: ConnectorError) -> bool:
        """End the poll here: what was read so far is kept, and the next poll goes on behind it."""
        if not self._told:
            raise error
        logger.warning("%s: the poll ended early: %s", self._mail.name, error)
        return False

    def _read(self, mail: Listed) -> reading.Read | None:
        """Read a mail, of one that is too large or breaks the line the header; ``None``: it is gone."""
        if mail.size > (most := self.most_bytes()):
            return self._header(mail, f"the mail has {mail.size} bytes, more than {most}.")
        try:
            raw = self._line().fetch(mail.uid, whole=True)
        except Refused as error:
            return self._header(mail, str(error))
        except Unanswered as error:
            self._opened()
            return self._header(mail, str(error))
        return None if raw is None else reading.read(raw, self._config)

    def _header(self, mail: Listed, why: str) -> reading.Read | None:
        try:
            raw = self._line().fetch(mail.uid, whole=False)
        except Refused as error:
            return self._unreadable(mail, error)
        except Unanswered:
            self._opened()
            raise
        note = f"Only the header was read: {why}"
        return None if raw is None else reading.read(raw, self._config, whole=False, note=note)

    def _unreadable(self, mail: Listed, error: ConnectorError) -> reading.Read:
        place = f"{self._config.folder}/{self._mark['validity']}/{mail.uid}"
        return reading.unreadable(b"", str(error), where=place)

    def _line(self) -> Folder:
        return self._folder if self._folder is not None else self._opened()

    def most_bytes(self) -> int:
        """Return how large a mail may be to be read whole, in bytes."""
        room: int = django_settings.OUTBOUND_MAX_BYTES
        return min(self._config.most_bytes, room - _ROOM)

    def _keep(self, mail: Listed, found: reading.Read) -> None:
        said = conversations.joined(self._mail.name, found.payload, self._told)
        payload = {**said, "uid": mail.uid, "folder": self._config.folder, "size": mail.size}
        self._told.append(Inbound(found.external_id, found.event, payload, mail.arrived))
