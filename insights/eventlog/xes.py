"""XES, the standard of event logs (IEEE 1849), read as a stream: one row per event, the trace's attributes on each."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from insights.eventlog.inside import ROWS, Attribute, Inside, zone_words
from insights.eventlog.shapes import ImportFailed, Staged

_BATCH = 20_000
_CHUNK = 1 << 20
_DEPTH = 100
_LARGEST = 32 << 20
_ATTRIBUTES = frozenset({"string", "date", "int", "float", "boolean", "id"})
_KINDS = {"date": "time", "int": "number", "float": "number", "boolean": "flag"}
CASE = "case:"


class _Local(dict[str, str]):
    """The name of an element without its name space, remembered."""

    def __missing__(self, tag: str) -> str:
        local = self[tag] = tag.rpartition("}")[2]
        return local


class _Events:
    """The handlers of the parser; they run once for each of millions of elements, so they do next to nothing."""

    def __init__(self, write: Callable[[list[list[str | None]]], Any]) -> None:
        self.write = write
        # Every key that was seen, in order; rows written before a key was seen are shorter.
        self.order: dict[str, None] = {}
        self.rows: list[list[str | None]] = []
        self.padded = False
        self.events: list[dict[str, str]] = []
        self.trace: dict[str, str] = {}
        self.target: dict[str, str] | None = None
        self.prefix = ""
        self.depth = self.level = 0
        self.local = _Local()

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        name = self.local[tag]
        if name in _ATTRIBUTES:
            # Attributes of attributes say how a value came about, not what happened.
            if self.depth == self.level + 1 and self.target is not None:
                self.target[self.prefix + attributes.get("key", "")] = attributes.get("value", "")
        elif name == "event":
            self.target, self.prefix, self.level = {}, "", self.depth
        elif name == "trace":
            self.trace = self.target = {}
            self.prefix, self.level = CASE, self.depth
        elif self.depth > _DEPTH:
            raise ImportFailed(f"The XML is nested more than {_DEPTH} deep.")

    def end(self, tag: str) -> None:
        self.depth -= 1
        name = self.local[tag]
        if name == "event" and self.target is not None:
            self.events.append(self.target)
            self.target, self.prefix, self.level = self.trace, CASE, self.depth
            if len(self.events) >= _BATCH:
                self.flush()
        elif name == "trace":
            self.flush()
            self.target, self.level = None, 0

    def flush(self) -> None:
        """Write the events of the trace that were read so far."""
        trace, order = self.trace, self.order
        for event in self.events:
            event.update(trace)
            if not order.keys() >= event.keys():
                self.padded = self.padded or bool(order)
                order.update(dict.fromkeys(event))
            self.rows.append([*map(event.get, order)])
        self.events = []
        if len(self.rows) >= _BATCH:
            self.drain()

    def drain(self) -> None:
        self.write(self.rows)
        self.rows = []


def stage(given: Path, into: Path, told: Callable[[int], None]) -> Staged:
    """Write the events of ``given`` as rows beside it; ``told`` hears how many bytes are read.

    Raises ``ImportFailed`` for what is no XES, is cut off, or tries to make the parser fetch or expand something.
    """
    target = into / "staged.csv"
    with given.open("rb") as source, target.open("w", encoding="utf-8", newline="") as rows:
        events = _Events(csv.writer(rows, lineterminator="\n").writerows)
        _parse(source, events, told)
        events.drain()
    columns = list(events.order)
    if not columns:
        raise ImportFailed("The file has no events.")
    return Staged(target, "csv", columns, roles=_roles(columns), padded=events.padded)


class _Kinds(_Events):
    """The same for a first look: it notes of what kind attributes are, and what an import would leave out."""

    def __init__(self) -> None:
        self.found: list[list[str | None]] = []
        super().__init__(self.found.extend)
        self.kinds: dict[str, str] = {}
        self.nested = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        super().start(tag, attributes)
        name = self.local[tag]
        if self.target is None or name in {"event", "trace"}:
            return
        if name in _ATTRIBUTES and self.depth == self.level + 1:
            self.kinds.setdefault(self.prefix + attributes.get("key", ""), _KINDS.get(name, "text"))
        elif self.depth > self.level + 1 or name in {"list", "container"}:
            self.nested = True


def inside(head: bytes) -> Inside:
    """Return what the beginning of a file shows. Raises ``ImportFailed`` for what is no XES or harmful."""
    events = _Kinds()
    parser = _parser(events)
    with _in_words():
        parser.Parse(head, False)
    events.flush()
    events.drain()
    columns = list(events.order)
    if not columns:
        raise ImportFailed("No event was found at the beginning of the file.")
    first = ["case:concept:name", "concept:name", "time:timestamp"]
    shown = [name for name in first if name in columns] + [name for name in columns if name not in first]
    at = {name: number for number, name in enumerate(columns)}
    rows = [[row[at[name]] or "" if at[name] < len(row) else "" for name in shown] for row in events.found]
    stamps = [row[shown.index("time:timestamp")] for row in rows] if "time:timestamp" in columns else []
    told = ["Each trace becomes a case; what it says of itself stands with each of its events, with case: before it."]
    if events.nested:
        told.append("Lists, and attributes within attributes, are left out.")
    examples = {name: next((row[number] for row in rows if row[number]), "") for number, name in enumerate(shown)}
    return Inside(
        columns=shown,
        rows=[[value[:200] for value in row] for row in rows[:ROWS]],
        events=len(rows),
        attributes=[
            Attribute(name, "case" if name.startswith(CASE) else "event", events.kinds.get(name, "text"), value[:200])
            for name, value in examples.items()
        ],
        time_zone=zone_words(stamps),
        flattened=told,
    )


def _parser(events: _Events) -> Any:
    guarded = DefusedXMLParser(forbid_dtd=True)
    parser = guarded.parser
    # The guards stay; only what builds a tree gives way to our two handlers.
    parser.DefaultHandlerExpand = parser.CharacterDataHandler = parser.CommentHandler = None
    parser.ProcessingInstructionHandler = None
    parser.StartElementHandler, parser.EndElementHandler = events.start, events.end
    parser.ordered_attributes, parser.specified_attributes = False, False
    return parser


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except DefusedXmlException as error:
        raise ImportFailed("The XML has a document type or entities, which an event log does not need.") from error
    except ExpatError as error:
        raise ImportFailed(f"The XML cannot be read: {error}.") from error


def _parse(source: Any, events: _Events, told: Callable[[int], None]) -> None:
    parser, read = _parser(events), 0
    with _in_words():
        while chunk := source.read(_CHUNK):
            parser.Parse(chunk, False)
            read += len(chunk)
            # What lies behind the last whole element is held in memory.
            if read - parser.CurrentByteIndex > _LARGEST:
                raise ImportFailed("One element of the XML is larger than 32 MB.")
            told(read)
        parser.Parse(b"", True)


def _roles(columns: list[str]) -> dict[str, str]:
    known = {
        "case": "case:concept:name",
        "activity": "concept:name",
        "timestamp": "time:timestamp",
        "start": "start_timestamp",
        "resource": "org:resource",
    }
    return {role: name for role, name in known.items() if name in columns}
