"""What changing, making and deleting a record of an opened entity comes to, whatever the system: over records alone."""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from audit.proofs import canonical
from connectors.base import Arguments, Change, NotFound, Observed, Record, Undo

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,99}$")]


class Matched(Arguments):
    """Something to be made. ``match`` names the fields by which a record that says the same is recognised."""

    values: Mapping[str, Any]
    match: Annotated[list[Name], Field(min_length=1, max_length=10)]

    @model_validator(mode="after")
    def _match_is_among_the_values(self) -> "Matched":
        if strange := sorted(set(self.match) - set(self.values)):
            raise ValueError(f"match names {strange[0]}, which is not among the values")
        return self


def first(records: Observed) -> Record:
    """Return the record that is written. Raises ``NotFound``."""
    if not records:
        raise NotFound("There is no such record.", status=404)
    return records[0]


def to_be(system: str, entity: str, said: Any, rows: Observed, *, version: str = "") -> Record:
    """Name a record that has no key before it is made by what it will say; ``rows`` say the same already."""
    fields = dict(rows[0].fields) if rows else {}
    return Record(system, entity, named(said), version, {**fields, "Count": len(rows)})


def named(said: Any) -> str:
    """Return the name of a record that has no key yet."""
    return f"new:{hashlib.sha256(canonical(said).encode()).hexdigest()[:16]}"


def changed(records: Observed, values: Mapping[str, Any]) -> list[Change]:
    """Each named field of the record gets its value."""
    record = first(records)
    return [Change(record.entity, record.key, name, record.fields.get(name), value) for name, value in values.items()]


def predict(args: Any, records: Observed) -> list[Change]:
    """Each named field gets its value."""
    return changed(records, args.values)


def undo(args: Any, records: Observed, effect_key: str) -> Undo:
    """Put the old values back."""
    before = {name: first(records).fields.get(name) for name in args.values}
    return Undo("record.update", {**args.model_dump(mode="json"), "values": before})


def predict_making(args: Any, records: Observed) -> list[Change]:
    """There is one more record that says this."""
    return made(first(records), args.values)


def made(record: Record, said: Mapping[str, Any]) -> list[Change]:
    """There is one more record that says this; where some say it already, only their number tells."""
    count = record.fields["Count"]
    if count:
        return [Change(record.entity, record.key, "Count", count, count + 1)]
    return [Change(record.entity, record.key, name, None, value) for name, value in said.items()]


def undo_making(args: Any, records: Observed, effect_key: str) -> Undo:
    """Delete the record that carries the mark of our key."""
    return Undo("record.remove", {**args.model_dump(mode="json"), "reference": effect_key})


def predict_unmaking(args: Any, records: Observed) -> list[Change]:
    """The record is gone."""
    return unmade(first(records), args.values)


def unmade(record: Record, said: Mapping[str, Any]) -> list[Change]:
    """No record says this any more."""
    gone = [Change(record.entity, record.key, name, record.fields.get(name), None) for name in said]
    return [Change(record.entity, record.key, "Count", record.fields["Count"], 0), *gone]


def undo_unmaking(args: Any, records: Observed, effect_key: str) -> Undo:
    """Make it again, under a key of its own."""
    return Undo("record.create", args.model_dump(mode="json", exclude={"reference"}))
