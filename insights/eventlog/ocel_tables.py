"""The three files that every object-centric format becomes before it is flattened."""

import csv
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar


class Tables:
    """Events, objects and links as rows; columns are added as they appear."""

    FIXED: ClassVar = {"events": ("no", "activity", "time"), "objects": ("id", "type", "time"), "links": ("no", "id")}

    def __init__(self, writers: dict[str, Any]) -> None:
        self._writers = writers
        self.event_keys: dict[str, int] = {}
        self.object_keys: dict[str, int] = {}

    def event(self, number: int, activity: Any, time: Any, values: Mapping[str, Any]) -> None:
        """Add one event."""
        self._writers["events"].writerow([number, activity, time, *_spread(self.event_keys, values)])

    def object(self, id: Any, type: Any, time: str, values: Mapping[str, Any]) -> None:
        """Add one object, or what became of it at ``time``."""
        self._writers["objects"].writerow([id, type, time, *_spread(self.object_keys, values)])

    def link(self, number: int, id: Any) -> None:
        """Say that an event concerns an object."""
        self._writers["links"].writerow([number, id])


def _spread(keys: dict[str, int], values: Mapping[str, Any]) -> list[Any]:
    """Return the values in the order of ``keys``, which grows by those that are new."""
    for name in values:
        keys.setdefault(name, len(keys))
    row: list[Any] = [None] * len(keys)
    for name, value in values.items():
        row[keys[name]] = value
    return row


@contextmanager
def writing(into: Path) -> Iterator[Tables]:
    """Open the three files in the folder ``into``."""
    with ExitStack() as stack:
        files = {
            name: stack.enter_context((into / f"{name}.csv").open("w", encoding="utf-8", errors="replace", newline=""))
            for name in Tables.FIXED
        }
        yield Tables({name: csv.writer(file, lineterminator="\n") for name, file in files.items()})
