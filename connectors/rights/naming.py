"""What the floors above say of operations: which playbook, kind, detector or subscription in use names which."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Named:
    """Something in use that names an operation of a connection, and where it is configured."""

    connection: str  # its slug
    operation: str
    by: str  # what sort of thing: playbook, exception kind, detector …
    name: str
    url: str = ""

    @property
    def text(self) -> str:
        """Such as “playbook Credit the duplicate”."""
        return f"{self.by} {self.name}"


Teller = Callable[[], Iterable[Named]]
_tellers: dict[str, Teller] = {}


def contribute(name: str, teller: Teller) -> None:
    """Let a floor say which operations it names: ``teller()`` yields them as they are configured now."""
    _tellers[name] = teller


def names() -> Mapping[tuple[str, str], tuple[Named, ...]]:
    """Return what names each operation, by connection and operation."""
    found: dict[tuple[str, str], list[Named]] = defaultdict(list)
    for teller in _tellers.values():
        for one in teller():
            found[(one.connection, one.operation)].append(one)
    return {key: tuple(dict.fromkeys(several)) for key, several in found.items()}
