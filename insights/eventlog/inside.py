"""What a file that names its own parts holds, seen from its beginning: nothing is imported, and little is read."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from insights.eventlog.ocel_tables import Tables

ROWS = 20
# So many events are looked at; of a document, so many elements are read to find them.
MOST_EVENTS = 2_000
MOST_ELEMENTS = 50_000
_MOST_ATTRIBUTES = 100
_OFFSET = re.compile(r"(Z|[+-]\d{2}:?\d{2})$", re.IGNORECASE)


@dataclass(frozen=True)
class Attribute:
    """One attribute that was seen: of what it is (the event, the case, an object type), its kind and one value."""

    name: str
    of: str
    type: str
    example: str


@dataclass(frozen=True)
class ObjectType:
    """One object type among the events that were seen: how many of them touch it, and how many several at once."""

    name: str
    objects: int
    events: int
    several: int


@dataclass(frozen=True)
class Inside:
    """What the beginning of a file shows: ``columns`` and ``rows`` are its first events."""

    columns: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    events: int = 0
    attributes: list[Attribute] = field(default_factory=list)
    object_types: list[ObjectType] = field(default_factory=list)
    # Which of them would be the cases.
    case: str = ""
    time_zone: str = ""
    # What becomes of the file's structure, in sentences.
    flattened: list[str] = field(default_factory=list)


def zone_words(stamps: Iterable[str]) -> str:
    """Say whether times name their offset from UTC, and what is made of those that do not."""
    seen = [stamp.strip() for stamp in stamps if stamp and stamp.strip()]
    offsets = [found[1].upper() for stamp in seen if (found := _OFFSET.search(stamp)) and ":" in stamp]
    named = ", ".join(sorted({"UTC" if one == "Z" else one for one in offsets})[:5])
    if not seen:
        return "No time was seen."
    if len(offsets) == len(seen):
        return f"Every time that was seen names its offset: {named}."
    if not offsets:
        return "No time that was seen names its offset: they are meant in the time zone of the import."
    return (
        f"{len(offsets)} of {len(seen)} times name their offset ({named}); the others are meant in the time zone of "
        "the import."
    )


class Sample(Tables):
    """The first events of an object-centric log with their objects, in memory; what is beyond is let go."""

    def __init__(self) -> None:
        super().__init__({})
        self.events: list[tuple[str, str, dict[str, str]]] = []
        self.types: dict[str, str] = {}
        self.links: list[list[str]] = []
        self.attributes: dict[tuple[str, str], str] = {}
        self.changing = self.related = False
        self._numbers: dict[int, int] = {}

    @property
    def full(self) -> bool:
        """Tell whether enough events were seen."""
        return len(self.events) >= MOST_EVENTS

    def event(self, number: int, activity: Any, time: Any, values: Mapping[str, Any]) -> None:
        """Note one event, unless there are enough."""
        if self.full:
            return
        self._numbers[number] = len(self.events)
        told = {str(name): _short(value) for name, value in list(values.items())[:_MOST_ATTRIBUTES]}
        self.events.append((_short(activity), _short(time), told))
        self.links.append([])
        for name, value in told.items():
            self.noted(name, "event", value)

    def object(self, id: Any, type: Any, time: str, values: Mapping[str, Any]) -> None:
        """Note what an object is, and which attributes its type has."""
        self.types[str(id)] = _short(type)
        # The standard's own mark for a value that holds from the start.
        self.changing = self.changing or bool(time and values and not time.startswith("1970-01-01"))
        for name, value in values.items():
            self.noted(str(name), _short(type), _short(value))

    def link(self, number: int, id: Any) -> None:
        """Note that an event touches an object."""
        if number in self._numbers:
            self.links[self._numbers[number]].append(str(id))

    def noted(self, name: str, of: str, value: str) -> None:
        """Keep one value of an attribute as its example."""
        if value and len(self.attributes) < _MOST_ATTRIBUTES:
            self.attributes.setdefault((_short(name), of), value)

    def told(self, declared: Sequence[str], chosen: str) -> Inside:
        """Return what was seen; ``chosen`` is the object type that is to be the case, "" the most used."""
        touched = [[(self.types.get(one, ""), one) for one in dict.fromkeys(links)] for links in self.links]
        types = [self._type(name, touched) for name in dict.fromkeys([*declared, *self.types.values()]) if name]
        used = sorted(types, key=lambda one: (-one.events, one.name))
        case = next((one for one in types if one.name == chosen), used[0] if used else None)
        names = [one.name for one in types]
        columns = ["activity", "time", *names, *dict.fromkeys(name for (name, of) in self.attributes if of == "event")]
        rows = [
            [*event[:2], *(", ".join(one for type_, one in links if type_ == name) for name in names),
             *(event[2].get(name, "") for name in columns[2 + len(names) :])]
            for event, links in zip(self.events[:ROWS], touched, strict=False)
        ]  # fmt: skip
        return Inside(
            columns=columns,
            rows=rows,
            events=len(self.events),
            attributes=[Attribute(name, of, _kind(value), value) for (name, of), value in self.attributes.items()],
            object_types=types,
            case=case.name if case else "",
            time_zone=zone_words(event[1] for event in self.events),
            flattened=self._flattened(case, names) if case else [],
        )

    def _type(self, name: str, touched: list[list[tuple[str, str]]]) -> ObjectType:
        counts = [sum(type_ == name for type_, _ in links) for links in touched]
        objects = {one for links in touched for type_, one in links if type_ == name}
        return ObjectType(name, len(objects), sum(map(bool, counts)), sum(count > 1 for count in counts))

    def _flattened(self, case: ObjectType, names: list[str]) -> list[str]:
        others = [name for name in names if name != case.name]
        none = len(self.events) - case.events
        told = [f"Each {case.name} becomes a case."]
        if case.several:
            told.append(f"{case.several} of {len(self.events)} events touch several; they stand in each such case.")
        if none:
            told.append(f"{none} of {len(self.events)} events touch none; they are left out.")
        if others:
            shown = ", ".join(others[:5]) + (" …" if len(others) > 5 else "")
            told.append(f"Objects of other types stay with the event as names: {shown}.")
        if self.changing:
            told.append("Of an attribute of the case that changes, only the latest value stays.")
        if self.related:
            told.append("How objects are related to each other is left out.")
        return told


def _short(value: Any) -> str:
    return "" if value is None else str(value)[:200]


def _kind(value: str) -> str:
    if value.lower() in ("true", "false"):
        return "flag"
    if re.fullmatch(r"-?\d{1,15}(\.\d+)?", value):
        return "number"
    return "time" if re.match(r"\d{4}-\d{2}-\d{2}([T ]|$)", value) else "text"
