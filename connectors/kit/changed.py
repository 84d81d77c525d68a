"""What a system told of a record, in one form whichever way it told it: webhook, change feed or poll.

A kind that tells of records has a module ``changed`` in its folder with ``change``: a function of an event's name, its
complete payload and the connection's settings that returns ``Changed``, or ``None`` where no record is told of.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class How(StrEnum):
    """What became of the record."""

    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"
    SAVED = "saved"  # added or modified: the way by which it was told does not say which


@dataclass(frozen=True)
class Changed:
    """One change of one record.

    ``before`` and ``after`` hold the fields that are known; ``{}`` says that there was no such record before, or is
    none after, and ``None`` that nothing is known of it. ``fields`` are the names that changed, ``None`` where the
    source does not say. ``version`` names the state after, the same whichever way it was told; blank: not known.
    """

    how: How
    entity: str
    key: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    fields: tuple[str, ...] | None = None
    version: str = ""

    @property
    def identity(self) -> str:
        """Return what names this change however it was told; blank where its state has no name."""
        return f"{self.entity}/{self.key}:{self.version}"[:200] if self.version else ""

    def told(self) -> dict[str, Any]:
        """Return it as detections see it, as ``event.change``."""
        return {
            "how": self.how.value,
            "entity": self.entity,
            "key": self.key,
            "before": None if self.before is None else dict(self.before),
            "after": None if self.after is None else dict(self.after),
            "fields": self._differing() if self.fields is None else list(self.fields),
        }

    def _differing(self) -> list[str] | None:
        """Return the fields that differ, of those that stand on both sides; ``None`` where there are not two sides."""
        if not self.before or not self.after:
            return None
        both = {name for name in self.before if name in self.after}
        return sorted(name for name in both if self.before[name] != self.after[name])


def by_stamps(made: datetime | None, changed: datetime | None) -> How:
    """Tell a new record from a changed one by its stamps; where one is not known it was saved, one or the other."""
    if made is None or changed is None:
        return How.SAVED
    return How.ADDED if changed <= made else How.MODIFIED


def stamp(moment: datetime | None) -> str:
    """Name a state by the moment of its change; blank where that is not known."""
    return moment.isoformat() if moment else ""


def without(fields: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the fields but for what a message says of itself."""
    left_out = set(names)
    return {name: value for name, value in fields.items() if name not in left_out}
