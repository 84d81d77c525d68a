"""Kinds whose systems hold no records: they hear and they tell."""

from typing import Any

from connectors.base import Connector, Read, Record, Refused, Write, Written


class Teller(Connector):
    """A kind of system that is told things and tells things: nothing is read there and nothing is changed."""

    def read(self, operation: Read, arguments: Any) -> list[Record]:
        """Refuse: there are no records."""
        raise Refused(f"{self.label} holds no records.")

    def write(self, operation: Write, arguments: Any, *, effect_key: str, version: str = "") -> Written:
        """Refuse: there are no records."""
        raise Refused(f"{self.label} holds no records.")
