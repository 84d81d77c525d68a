"""Read YAML documents and remember at which line and column each value stands.

A deliberately small YAML: no tags, no anchors, no duplicate keys, and of the plain words only ``true``,
``false`` and ``null`` mean something (YAML 1.2), so that Norway's ``NO`` stays a text.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_BYTES = 1_000_000
MAX_VALUES = 50_000
MAX_DEPTH = 32
MAX_DIGITS = 30
PARSER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
INTEGER = re.compile(r"[-+]?[0-9]+")
FRACTION = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)([eE][-+]?[0-9]+)?")
WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}
# Control characters that a database or a terminal would stumble over.
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

Path = tuple[str | int, ...]
# The stubs of PyYAML leave out most of what its events carry.
Event = Any


@dataclass(frozen=True)
class Place:
    """Where a value starts: line and column count from 1."""

    line: int
    column: int
    style: str = ""  # of a text: "" plain, ' or " quoted, | or > a block that starts on the next line


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a file, and where."""

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: "
        return where + (f"{self.path}: {self.message}" if self.path else self.message)


class Unreadable(Exception):
    """A file is not YAML of the kind that is allowed here."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass
class Document:
    """One YAML document: its plain value, and the place of every value and key in it."""

    file: str
    value: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)

    def problem(self, path: Path, message: str, *, at_key: bool = False) -> Problem:
        """Make a problem out of a path, placed at the nearest value that the file really has."""
        known = self.existing(path)
        place = self.keys.get(known) if at_key else None
        place = place or self.places.get(known) or Place(1, 1)
        return Problem(self.file, place.line, place.column, shown(path), message)

    def existing(self, path: Path) -> Path:
        """Walk ``path`` as far as the file has it; steps that only the schema knows are passed over."""
        here: Path = ()
        for step in path:
            if (*here, step) in self.places:
                here = (*here, step)
        return here


def shown(path: Path) -> str:
    """Write a path as people do: ``evidence[0].arguments.order``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def load(text: str, file: str) -> Iterator[Document]:
    """Yield the documents of one file in order; empty ones are left out. Raises ``Unreadable``."""
    if len(text.encode()) > MAX_BYTES:
        raise Unreadable(Problem(file, 1, 1, "", f"The file is larger than {MAX_BYTES:,} bytes."))
    if found := UNPRINTABLE.search(text):
        raise Unreadable(_at_offset(file, text, found.start(), "A control character is not allowed here."))
    builder = _Builder(file, yaml.parse(text, Loader=PARSER))
    try:
        yield from builder.documents()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise Unreadable(Problem(file, line, column, "", f"This is not YAML: {error.problem}.")) from error
    except yaml.YAMLError as error:
        raise Unreadable(Problem(file, 1, 1, "", f"This is not YAML: {error}.")) from error


def _at_offset(file: str, text: str, offset: int, message: str) -> Problem:
    before = text[:offset]
    return Problem(file, before.count("\n") + 1, offset - before.rfind("\n"), "", message)


class _Builder:
    """Turn the parser's events into documents, counting as it goes."""

    def __init__(self, file: str, events: Iterator[Event]) -> None:
        self.file = file
        self.events = events
        self.values = 0

    def documents(self) -> Iterator[Document]:
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                document = Document(self.file)
                document.value = self.node(document, (), next(self.events))
                if document.value is not None:
                    yield document

    def node(self, document: Document, path: Path, event: Event) -> Any:
        self.admit(event, path)
        document.places[path] = _place(event)
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(document, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(document, path)
        return self.scalar(event, path)

    def admit(self, event: Event, path: Path) -> None:
        """Refuse what this YAML does not have, before it can cost anything."""
        self.values += 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise self.unreadable(event, path, "Anchors and aliases are not allowed; write the value out.")
        if getattr(event, "tag", None):
            raise self.unreadable(event, path, f"The tag {event.tag} is not allowed.")
        if self.values > MAX_VALUES:
            raise self.unreadable(event, (), f"The file has more than {MAX_VALUES:,} values.")
        if len(path) > MAX_DEPTH:
            raise self.unreadable(event, (), f"Values are nested more than {MAX_DEPTH} deep.")

    def mapping(self, document: Document, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for event in self.events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            self.admit(event, path)
            if not isinstance(event, yaml.ScalarEvent):
                raise self.unreadable(event, path, "A key must be a plain word.")
            key = event.value
            if key in result:
                first = document.keys[(*path, key)]
                raise self.unreadable(event, (*path, key), f"This key was given before, in line {first.line}.")
            document.keys[(*path, key)] = _place(event)
            result[key] = self.node(document, (*path, key), next(self.events))
        return result

    def sequence(self, document: Document, path: Path) -> list[Any]:
        result: list[Any] = []
        for event in self.events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            result.append(self.node(document, (*path, len(result)), event))
        return result

    def scalar(self, event: Event, path: Path) -> Any:
        text = str(event.value)
        if not event.implicit[0]:
            return text  # quoted or in a block: a text, whatever it looks like
        if text in WORDS:
            return WORDS[text]
        if len(text) > MAX_DIGITS:
            return text
        if INTEGER.fullmatch(text):
            return int(text)
        if FRACTION.fullmatch(text):
            number = float(text)
            if not math.isfinite(number):
                raise self.unreadable(event, path, f"{text} is too large a number.")
            return number
        return text

    def unreadable(self, event: Event, path: Path, message: str) -> Unreadable:
        place = _place(event)
        return Unreadable(Problem(self.file, place.line, place.column, shown(path), message))


def _place(event: Event) -> Place:
    style = getattr(event, "style", None) or ""
    return Place(event.start_mark.line + 1, event.start_mark.column + 1, style)
