"""What a kind says of its operations beyond how they are sent: rights in the source system, and what takes them back.

A kind that tells has a module ``rights`` in its folder with ``needs``: a function of a connection's settings that
returns ``Told``. The words are those of the system's own administration, so that whoever grants rights there finds
them again.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Needs:
    """What one operation needs over there, and by which operations of the same connection it is taken back."""

    rights: tuple[str, ...] = ()
    undone_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Told:
    """What a kind says of a connection: ``always`` is needed for anything at all."""

    always: tuple[str, ...] = ()
    operations: Mapping[str, Needs] | None = None  # None: the kind says nothing of its operations
    # Secrets that go out with every request without being asked for by name.
    sent_always: frozenset[str] = frozenset()
