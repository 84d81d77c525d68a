"""What the parts of the import hand to each other."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from audit.errors import Invalid

Level = Literal["case", "event"]
ROLES = ("case", "activity", "timestamp", "start", "resource", "amount")
NEEDED = ("case", "activity", "timestamp")
_WORDS = {"duplicates": ("keep", "drop"), "future": ("reject", "keep")}


class ImportFailed(Exception):
    """The file cannot become an event log; the text says why, for the person who gave it.

    ``refused`` are the lines that were no events, as far as the import had got, and ``refused_count`` all of them.
    """

    def __init__(self, text: str, refused: "Sequence[Refused]" = (), refused_count: int = 0) -> None:
        super().__init__(text)
        self.refused = refused
        self.refused_count = refused_count


class BadMapping(Invalid):
    """The mapping does not fit; ``errors`` says which field and why."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__(
            "The columns cannot be used like this.", {f"mapping.{key}": told for key, told in errors.items()}
        )


@dataclass(frozen=True)
class Mapping:
    """Which column is what, and how times without a zone are meant. Column names are the file's own."""

    case: str = ""
    activity: str = ""
    timestamp: str = ""
    start: str = ""
    resource: str = ""
    amount: str = ""
    time_zone: str = "UTC"
    # "" is ISO 8601; else epoch_s, epoch_ms or a pattern of strptime.
    time_format: str = ""
    duplicates: str = "keep"
    future: str = "reject"

    @classmethod
    def of(cls, given: Any) -> "Mapping":
        """Return ``given`` (from JSON) as a mapping. Raises ``BadMapping`` with a reason for each field."""
        if not isinstance(given, dict):
            raise BadMapping({"body": ["Give an object with case, activity and timestamp."]})
        errors: dict[str, list[str]] = {}
        for key, value in given.items():
            if key not in cls.__dataclass_fields__:
                errors[str(key)[:40]] = [f"No such field; use {', '.join(cls.__dataclass_fields__)}."]
            elif not isinstance(value, str) or len(value) > 200:
                errors[key] = ["Give a text of at most 200 characters."]
            elif value and value not in _WORDS.get(key, (value,)):
                errors[key] = [f"Use one of {', '.join(_WORDS[key])}."]
        if not errors and not _is_zone(given.get("time_zone") or "UTC"):
            errors["time_zone"] = ["No such time zone; use a name such as Europe/Berlin."]
        if errors:
            raise BadMapping(errors)
        return cls(**{key: value for key, value in given.items() if value})

    def as_json(self) -> dict[str, str]:
        """Return what ``EventLog.mapping`` keeps."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__ if getattr(self, name)}

    def roles(self, columns: list[str]) -> dict[str, str]:
        """Return the roles that were told, where ``columns`` has what they name."""
        return {role: getattr(self, role) for role in ROLES if getattr(self, role) in columns}

    def missing(self) -> list[str]:
        """Return the needed roles that no column has."""
        return [role for role in NEEDED if not getattr(self, role)]

    def check(self, columns: list[str]) -> None:
        """Raise ``BadMapping`` unless the columns exist and the three needed ones are told and differ."""
        if missing := self.missing():
            raise BadMapping({role: ["Say which column it is."] for role in missing})
        self.check_told(columns)

    def check_told(self, columns: list[str]) -> None:
        """Raise ``BadMapping`` where what is told names no column, or one column twice."""
        errors: dict[str, list[str]] = {}
        for role in ROLES:
            name = getattr(self, role)
            if name and name not in columns:
                errors[role] = [f"The file has no column {name}."]
        told = [getattr(self, role) for role in NEEDED if getattr(self, role)]
        if not errors and len(set(told)) < len(told):
            errors["case"] = ["Case, activity and timestamp must be three columns."]
        if errors:
            raise BadMapping(errors)


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def storable(text: str) -> str:
    """Return a name from a file as every database can keep it: no NUL, no half characters."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class Refused:
    """One line that is no event, and why."""

    line: int
    reason: str
    text: str = ""


@dataclass(frozen=True)
class Staged:
    """A file that DuckDB reads in one go: what was given, or what a reader made of it."""

    path: Path
    kind: Literal["csv", "parquet"]
    columns: list[str]
    # Types of Parquet columns, as DuckDB names them; of CSV all are text.
    types: list[str] = field(default_factory=list)
    delimiter: str = ","
    quote: str = '"'
    escape: str = '"'
    # Rows may be shorter than the columns: these were found while the rows were written.
    padded: bool = False
    # How many lines stand before the first event.
    skip: int = 0
    # Roles that the format itself knows.
    roles: dict[str, str] = field(default_factory=dict)
    # Which object type the cases are, of an object-centric log.
    chosen: str = ""
    refused: list[Refused] = field(default_factory=list)
    refused_count: int = 0


@dataclass(frozen=True)
class Built:
    """What the four tables hold."""

    cases: int
    events: int
    activities: int
    variants: int
    first_at: Any
    last_at: Any
    attributes: list[dict[str, str]]
    refused: list[Refused]
    refused_count: int
    # The names of the most frequent activities.
    names: list[str]
