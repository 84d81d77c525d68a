"""Finding a record by what stands in its fields: what may be asked, and what an answer comes to.

No record, one and several are three different answers. None is an empty list, and a fact: the system was asked by these
values. More than were wished for is ``ambiguous`` and never a choice of ours. The server's pages are not followed: one
more than wished for is asked for, and that one tells.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from connectors.base import Arguments, Blocked, Record, Refused, Unanswered
from connectors.kit.comparison import same
from connectors.kit.openlists import Findable
from connectors.kit.queries import DAY, MOMENT

MOST = 50
# With these no address grows beyond what the systems take.
MOST_CONDITIONS, LONGEST = 5, 255
SETTING = "Records it may find"
_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HOLDS = {
    "text": "a text", "number": "a number", "whole": "a whole number", "yes_no": "true or false", "id": "an id",
    "date": "a day such as 2026-01-31", "time": "a time such as 2026-01-31T08:00:00Z",
}  # fmt: skip


def _plain(text: str) -> str:
    """Hold that nothing in a text is a control character or half of one: nobody's number has any."""
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text):
        raise ValueError("holds a character that stands in no key")
    return text


FieldName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST), AfterValidator(_plain)]
# Nothing and an empty text find nobody: they would find whoever has no number.
Value = bool | int | Annotated[float, Field(allow_inf_nan=False)] | Text
Where = Annotated[dict[FieldName, Value], Field(min_length=1, max_length=MOST_CONDITIONS)]


class FindArguments(Arguments):
    """A record, by what stands in its fields. Entity and fields are those that the connection opens for finding."""

    entity: str
    where: Where = Field(description='All of these, such as {"OrderNumber": "SO-000697"}.')
    fields: list[FieldName] = Field(default=[], max_length=100, description="Blank: all that are open.")
    limit: int = Field(default=1, ge=1, le=MOST, description="So many at most; more are ambiguous.")


@dataclass(frozen=True)
class Symbol:
    """A value of an enum, by its name."""

    enum: str
    name: str


@dataclass(frozen=True)
class Asked:
    """What is looked for, as the connection opens it: names as they were declared there, values of their own types."""

    entity: str
    where: Mapping[str, Any]
    columns: tuple[str, ...]  # what is kept of a record
    limit: int
    key: tuple[str, ...]

    def wanted(self, *more: str) -> tuple[str, ...]:
        """Return the fields to ask for: those of the key and the version first, none twice."""
        found: dict[str, str] = {}
        for name in (*more, *self.columns):
            found.setdefault(name.casefold(), name)
        return tuple(found.values())


def guid(text: str) -> UUID:
    """Read an id of Microsoft's or SAP's. Raises ``ValueError``."""
    if not _GUID.fullmatch(text):
        raise ValueError("no id")
    return UUID(text)


def asked(
    opened: Mapping[str, Findable],
    args: FindArguments,
    connection: str,
    *,
    always: Sequence[str] = (),
    ids: Callable[[str], Any] = guid,
) -> Asked:
    """Hold a question against what the connection opens. Raises ``Blocked``, which says where more is opened.

    ``always`` names text fields that are open for every entity, such as the company.
    """
    one = opened.get(args.entity.casefold())
    if one is None:
        raise Blocked(_closed(connection, args.entity, (found.entity for found in opened.values())), code="entity")
    by = {**dict.fromkeys(always, "text"), **one.by}
    known = {name.casefold(): name for name in by}
    if strange := [name for name in args.where if name.casefold() not in known]:
        raise Blocked(_closed(connection, f"{one.entity} by {strange[0]}", by), code="entity")
    readable = {name.casefold(): name for name in (*by, *one.key, *one.fields)}
    if strange := [name for name in args.fields if name.casefold() not in readable]:
        raise Blocked(_closed(connection, f"{one.entity} with {strange[0]}", readable.values()), code="entity")
    where: dict[str, Any] = {}
    for given, value in args.where.items():
        name = known[given.casefold()]
        if name in where:
            raise Blocked(f"{name} of {one.entity} is asked for twice.", code="arguments")
        where[name] = _typed(value, by[name], f"{name} of {one.entity}", ids)
    chosen = [readable[name.casefold()] for name in args.fields] or [*one.by, *one.fields]
    # What it is found by is always read: by it the answer is held against the question.
    columns = tuple(dict.fromkeys((*where, *always, *chosen)))
    return Asked(one.entity, where, columns, args.limit, one.key)


def _closed(connection: str, what: str, open_: Iterable[str]) -> str:
    known = ", ".join(sorted(open_))[:600] or "nothing"
    return f"{connection} may not find {what}: “{SETTING}” at the connection opens {known}."


def _typed(value: Any, sort: str, field: str, ids: Callable[[str], Any]) -> Any:
    """Return a value as what the field holds. Raises ``Blocked``: what is of another sort is never made to fit."""
    try:
        return _read(value, sort, ids)
    except (ValueError, OverflowError):
        pass
    wanted = _HOLDS.get(sort, f"a symbol of {sort}")
    raise Blocked(f"{field} is found by {wanted}; “{SETTING}” at the connection says what it holds.", code="arguments")


def _read(value: Any, sort: str, ids: Callable[[str], Any]) -> Any:
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    if sort == "yes_no" and isinstance(value, bool):
        return value
    if sort == "whole" and numeric and value == int(value):
        return int(value)
    if sort == "number" and numeric:
        return Decimal(repr(value))
    if not isinstance(value, str) or sort in ("yes_no", "whole", "number"):
        raise ValueError("another sort of value")
    if sort == "date" and DAY.match(value):
        return date.fromisoformat(value)
    if sort == "time" and MOMENT.match(value) and value >= "1000":
        return datetime.fromisoformat(value).astimezone(UTC)
    if sort == "id":
        return ids(value)
    if sort == "text":
        return value
    if sort[0].isupper() and re.fullmatch(r"\w{1,80}", value, re.ASCII):
        return Symbol(sort, value)
    raise ValueError("another sort of value")


def judged(
    asked: Asked,
    records: Sequence[Record],
    *,
    more: bool,
    label: str,
    beside: tuple[str, ...] = (),
    key: tuple[str, ...] = (),
    zeros: bool = False,
) -> list[Record]:
    """Return what was found, in the order of its keys, with the fields that are open and no others.

    ``more``: the server says that its list goes on. ``beside``: endings of names that stand beside an open field.
    ``key``: the fields that make a record's key. ``zeros``: leading zeros do not count. Raises ``Refused`` with the
    code ``ambiguous`` where there are more than were wished for, and ``Unanswered`` for records that were not asked for
    or have no key.
    """
    for record in records[: asked.limit + 1]:
        if not record.key.strip("/") or any(name not in record.fields for name in key):
            raise Unanswered(f"{label} answered with a record of {asked.entity} without its key.", code="shape")
        if not all(fits(record.fields.get(name), value, zeros=zeros) for name, value in asked.where.items()):
            raise Unanswered(f"{label} lists other records of {asked.entity} than those asked for.", code="shape")
    if len(records) > asked.limit:
        raise Refused(
            f"{label}: more than {asked.limit} of {asked.entity} have this {', '.join(asked.where)}; which is meant"
            " cannot be told.",
            code="ambiguous",
        )
    if more:
        raise Unanswered(f"{label} says that there are more of {asked.entity} and does not list them.", code="paging")
    names = set(asked.columns) | {f"{name}{ending}" for name in asked.columns for ending in beside}
    found = [replace(one, fields={n: value for n, value in one.fields.items() if n in names}) for one in records]
    return sorted(found, key=lambda one: one.key)


def fits(given: Any, wanted: Any, *, zeros: bool = False) -> bool:
    """Tell whether a field of an answer holds what was asked for, as loosely as databases compare texts."""
    if isinstance(wanted, Symbol):
        wanted = wanted.name
    if isinstance(wanted, bool | int | Decimal):
        return same(given, wanted)
    if not isinstance(given, str):
        return False
    if isinstance(wanted, datetime):
        try:
            moment = datetime.fromisoformat(given)
        except ValueError:
            return False
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) == wanted
    if isinstance(wanted, date):
        return given[:10] == wanted.isoformat()
    one, other = _loose(given), _loose(str(wanted))
    return one == other or (zeros and one.lstrip("0") == other.lstrip("0"))


def _loose(text: str) -> str:
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in parts if not unicodedata.combining(letter)).strip()


def rights(opened: Mapping[str, Findable], right: str, each: str) -> tuple[str, ...]:
    """Return what must be granted in the system to find: ``right`` on each opened entity, or on ``each`` to come."""
    return tuple(f"{name}: {right}" for name in sorted(one.entity for one in opened.values()) or [each])
