"""What systems tell by themselves is made of this: one committed change, and one message about it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from connectors.simulator.store import Fields

NAMESPACE = uuid.UUID("6a2c0b5e-8f0d-4c55-9b1c-2d7f0f6f4711")


@dataclass(frozen=True)
class Change:
    """One committed change as the ledger of effects has it."""

    number: int
    time: str
    system: str
    entity: str
    before: Fields | None
    after: Fields | None

    @property
    def verb(self) -> str:
        """Whether something came, went or is another now."""
        return "Create" if self.before is None else "Delete" if self.after is None else "Update"

    @property
    def record(self) -> Fields:
        """The record as it stands, or as it stood before it went."""
        return self.after if self.after is not None else self.before or {}

    def id(self, of: str) -> str:
        """Make an id that the same change always has."""
        return str(self.uuid(of))

    def uuid(self, of: str) -> uuid.UUID:
        """Make a UUID that the same change always has."""
        return uuid.uuid5(NAMESPACE, f"{of}:{self.number}:{self.time}")


@dataclass(frozen=True)
class Message:
    """One message, ready to be sent to a hook."""

    id: str
    body: bytes
    headers: dict[str, str] = field(hash=False)
