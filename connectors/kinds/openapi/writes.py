"""A declared write made real: what it looks at, what it will change, how it is found again and how it is undone."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pydantic import ConfigDict, Field, ValidationError

from connectors.base import (
    Arguments,
    Change,
    Connector,
    NotFound,
    Observed,
    Record,
    Refused,
    Reversible,
    Undo,
    Write,
    Written,
)
from connectors.kinds.openapi.answers import Shape, rows_in
from connectors.kinds.openapi.declarations import NONE, Declaration, Given, given_by
from connectors.kinds.openapi.endpoints import Endpoint, plainly
from connectors.kinds.openapi.hiding import Hiding
from connectors.kit.comparison import same
from connectors.kit.confidential import sealed
from connectors.redaction import HIDDEN

if TYPE_CHECKING:
    from connectors.kinds.openapi.connector import OpenApi

COUNT = "Count"


class Marked(Arguments):
    """The key of the effect whose record is meant: the record carries it."""

    model_config = ConfigDict(title="Marked record")
    key: str = Field(min_length=1, max_length=64)


@dataclass(frozen=True)
class Reading:
    """One read, ready: the request and how its answers are understood."""

    endpoint: Endpoint
    shape: Shape
    declaration: Declaration
    hiding: Hiding

    def rows(self, body: Any, label: str) -> list[dict[str, Any]]:
        """Return the rows of an answer, without what is only ever sent. Raises ``Unanswered``."""
        return [self.hiding.row(row) for row in rows_in(self.hiding.body(body), self.shape, label)]

    def hides(self, field: str) -> bool:
        """Tell whether a field of its records is only ever sent, and so never shown."""
        return self.hiding.hides(field, self.shape.row)


@dataclass(frozen=True)
class Writing:
    """One write, ready: its request, its read-back, and what was declared of it."""

    endpoint: Endpoint
    declaration: Declaration
    back: Reading
    finder: Reading | None = None
    # The write that takes it back, where there is one, and its own request.
    inverse: Endpoint | None = None

    # --- looking ----------------------------------------------------------------------------------
    def observe(self, connector: Connector, arguments: Any) -> list[Record]:
        """Read the records that the write touches."""
        told = self.declaration
        given = values_of(arguments)
        asked = self._asked(self.back, told.given, given)
        rows = _api(connector).look(self.back, asked)
        rows = [
            row
            for row in rows
            if all(same(row.fields.get(field), given.get(name)) for name, field in told.match.items())
        ]
        if not (told.creates or told.removes):
            return rows
        return [self._counted(connector, asked, given, rows)]

    def _asked(
        self, read: Reading, mapping: Mapping[str, Given] | None, given: Mapping[str, Any], key: str = ""
    ) -> Any:
        """Return the arguments of a read, made of those of the write. Raises ``Refused`` where they do not fit."""
        model = read.endpoint.arguments
        if mapping is None:
            values = {name: given[name] for name in model.model_fields if given.get(name) is not None}
        else:
            values = {name: _given(source, given, {}, key) for name, source in mapping.items()}
        try:
            return model.model_validate({name: value for name, value in values.items() if value is not None})
        except ValidationError as invalid:
            raise Refused(
                f"{read.endpoint.name} cannot be asked what {self.endpoint.name} is about: {faults(invalid)}.",
                code="arguments",
            ) from None

    def _counted(self, connector: Connector, asked: Any, given: Mapping[str, Any], rows: list[Record]) -> Record:
        """Return what is to be made, or to go, as one record that can be compared before and after."""
        said = [self.back.shape.entity, values_of(asked), {name: given.get(name) for name in self.declaration.match}]
        mark = hashlib.sha256(repr(said).encode()).hexdigest()[:16]
        path = [str(v) for n, v in values_of(asked).items() if self._names(n)]
        key = "/".join(path)[:200] if path and self.back.shape.single else f"{self.back.shape.entity}:{mark}"
        fields = {**(rows[-1].fields if rows else {}), COUNT: len(rows)}
        return Record(connector.name, self.back.shape.entity, key, rows[-1].version if rows else "", fields)

    def _names(self, argument: str) -> bool:
        found = self.back.endpoint.parameters.get(argument)
        return found is not None and found.place == "path"

    def find(self, connector: Connector, arguments: Any, effect_key: str) -> Written | None:
        """Look for the mark of an effect; without marks, for a record that is gone or there as it was to be."""
        if self.finder is not None:
            rows = self.marked(connector, arguments, effect_key)
            return Written(rows[0].version, {"found_by": "marker", "key": rows[0].key}) if rows else None
        if self.declaration.removes:
            gone = not self.observe(connector, arguments)[0].fields[COUNT]
            return Written(result={"found_by": "absence"}) if gone else None
        if self.declaration.financial or (self.declaration.creates and self.endpoint.method != "PUT"):
            # Two equal ones look the same; its Idempotency-Key makes sending it again harmless.
            return None
        record = next(iter(self.observe(connector, arguments)), None)
        values = self.values(_sent(arguments))
        if record is None or not record.fields.get(COUNT, 1) or not values:
            return None
        there = all(same(record.fields.get(name), value) for name, value in values.items())
        return Written(record.version, {"found_by": "values"}) if there else None

    def marked(self, connector: Connector, arguments: Any, effect_key: str) -> list[Record]:
        """Return the records that carry an effect's mark; what a search lists beside them is not believed."""
        if self.finder is None or self.declaration.found_by is None:
            raise Refused(f"{self.endpoint.name} leaves no mark to look for.", code="marker")
        told = self.declaration.found_by
        asked = self._asked(self.finder, told.given, values_of(arguments) if arguments is not None else {}, effect_key)
        field = told.field or self.declaration.marker or ""
        return [row for row in _api(connector).look(self.finder, asked) if row.fields.get(field) == effect_key]

    # --- foreseeing -------------------------------------------------------------------------------
    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields that the write sets, and to what."""
        sets = self.declaration.sets
        sets = self.endpoint.body_names if sets is None else sets
        found = {field: given[name] for name, field in sets.items() if name in given and given[name] is not None}
        nulls = {slot.name for slot in self.endpoint.slots if slot.nullable}
        found |= {sets[name]: None for name in sets if name in nulls and name in given and given[name] is None}
        found = {field: value for field, value in found.items() if not self.back.hides(field)}
        return found | dict(self.declaration.becomes)

    def predict(self, arguments: Any, records: Observed) -> list[Change]:
        """Foresee what the read-back will show. Raises ``NotFound``."""
        record = self._first(records)
        values = self.values(_sent(arguments))
        if self.declaration.removes or (self.declaration.creates and record.fields[COUNT]):
            count = record.fields[COUNT]
            if self.declaration.creates and self.back.shape.single:
                raise Refused(f"{record.entity} {record.key} is there already.", code="exists")
            if self.declaration.removes and not count:
                raise NotFound(f"There is no {record.entity} {record.key} to remove.", status=404)
            return [Change(record.entity, record.key, COUNT, count, count + (-1 if self.declaration.removes else 1))]
        if self.declaration.creates:
            made = [Change(record.entity, record.key, name, None, value) for name, value in values.items()]
            return made or [Change(record.entity, record.key, COUNT, 0, 1)]
        return changes(record, values)

    def _first(self, records: Observed) -> Record:
        if not records:
            raise NotFound(f"The {self.back.shape.entity} that {self.endpoint.name} is about is not there.", status=404)
        return records[0]

    def undo(self, arguments: Any, records: Observed, effect_key: str) -> Undo | None:
        """Return what takes it back, made of the arguments and of the record as it was. Raises ``NotFound``."""
        told = self.declaration
        if told.undo in (None, NONE) or self.inverse is None:
            return None
        record = self._first(records)
        if by_found(told):
            return Undo(f"{told.undo}_marked", {"key": effect_key})
        given = _sent(arguments)
        before = record.fields if not told.creates else {**record.fields, **self.values(given)}
        names = self.inverse.arguments.model_fields
        sources = told.undo_with if told.undo_with is not None else self._usual(given, names)
        values = {name: _given(source, given, before, effect_key) for name, source in sources.items()}
        clearable = {slot.name for slot in self.inverse.slots if slot.nullable}
        if empty := sorted(name for name, value in values.items() if value is None and name not in clearable):
            raise Refused(
                f"{told.undo} could not put {', '.join(empty)} back: it is empty now, and null cannot be sent.",
                code="undo",
            )
        try:
            # What is to be put back must be what the other write takes, before anything is changed.
            self.inverse.arguments.model_validate(_unkeyed(values))
        except ValidationError as invalid:
            raise Refused(f"{told.undo} could not take it back: {faults(invalid)}.", code="undo") from None
        return Undo(str(told.undo), sealed(self.inverse.arguments, values))

    def _usual(self, given: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Given]:
        """Return where the inverse's arguments come from where nothing is said: what it changes from before."""
        sets = self.declaration.sets if self.declaration.sets is not None else self.endpoint.body_names
        body = self.inverse.body_names if self.inverse else {}
        found: dict[str, Given] = {}
        for name in names:
            if name in sets and name in given:
                found[name] = f"before.{sets[name]}"
            elif name in given and name not in body and not (self.inverse and name in self.inverse.secret):
                found[name] = f"argument.{name}"
        if self.declaration.removes:
            found |= {name: f"before.{wire}" for name, wire in body.items()}
        return found

    def amount(self, arguments: Any, records: Observed) -> tuple[str, str] | None:
        """Return what is at stake, where it can be told."""
        told, record = self.declaration, self._first(records)
        try:
            amount = given_by(told.amount, values_of(arguments), record.fields)
            currency = given_by(told.currency, values_of(arguments), record.fields)
        except KeyError:
            return None
        return (str(amount), str(currency)) if amount not in (None, "") and currency else None

    def operation(self) -> Write:
        """Return it as the gateway and the planner know it."""
        told = self.declaration
        looks = self.finder is not None or told.removes or told.creates or told.idempotency_key
        return Write(
            self.endpoint.name,
            self.endpoint.arguments,
            told.label or self.endpoint.label,
            observe=self.observe,
            predict=self.predict,
            undo=self.undo,
            risk=told.risk,
            financial=told.financial,
            reversible=Reversible.NO if told.undo == NONE else Reversible(told.reversible),
            find=self.find if looks else None,
            settle_seconds=told.settle_seconds,
            amount=self.amount if told.financial else None,
        )


@dataclass(frozen=True)
class MarkedWriting:
    """The inverse of a creation, aimed at the record that carries the creation's mark: its id is not known before."""

    made_by: Writing
    writing: Writing

    @property
    def name(self) -> str:
        """Return its name."""
        return f"{self.writing.endpoint.name}_marked"

    def aimed(self, connector: Connector, key: str) -> tuple[Record, Any]:
        """Return the marked record and the inverse's arguments. Raises ``NotFound``, ``Refused`` where several are."""
        rows = self.made_by.marked(connector, None, key)
        if len(rows) != 1:
            kind = NotFound if not rows else Refused
            raise kind(f"{len(rows)} records carry the mark {key}.", status=404 if not rows else 409)
        sources = self.made_by.declaration.undo_with or {}
        values = {name: _given(source, {}, {}, key, rows[0].fields) for name, source in sources.items()}
        return rows[0], self.writing.endpoint.arguments.model_validate(values)

    def observe(self, connector: Connector, arguments: Any) -> list[Record]:
        """Read the marked record; the key stands for its id."""
        rows = self.made_by.marked(connector, None, arguments.key)
        fields = {**(rows[0].fields if rows else {}), COUNT: len(rows)}
        version = rows[0].version if rows else ""
        return [Record(connector.name, self.made_by.back.shape.entity, arguments.key, version, fields)]

    def predict(self, arguments: Any, records: Observed) -> list[Change]:
        """Foresee that it is gone, or says what the inverse makes of it. Raises ``NotFound``."""
        if not records or not records[0].fields[COUNT]:
            raise NotFound("The record that carries the mark is not there.", status=404)
        record = records[0]
        if self.writing.declaration.removes:
            return [Change(record.entity, record.key, COUNT, record.fields[COUNT], record.fields[COUNT] - 1)]
        becomes = self.writing.declaration.becomes
        return changes(record, becomes)

    def find(self, connector: Connector, arguments: Any, effect_key: str) -> Written | None:
        """Tell whether it is taken back: gone, or as the inverse leaves it."""
        record = self.observe(connector, arguments)[0]
        if self.writing.declaration.removes:
            return None if record.fields[COUNT] else Written(result={"found_by": "absence"})
        becomes = self.writing.declaration.becomes
        done = record.fields[COUNT] and all(same(record.fields.get(name), value) for name, value in becomes.items())
        return Written(record.version, {"found_by": "values"}) if done else None

    def operation(self) -> Write:
        """Return it as the gateway and the planner know it; what it takes back is not undone again."""
        return Write(
            self.name,
            Marked,
            f"{self.writing.declaration.label or self.writing.endpoint.label} (found by its mark)"[:120],
            observe=self.observe,
            predict=self.predict,
            undo=lambda args, records, key: None,
            risk=self.writing.declaration.risk,
            financial=self.writing.declaration.financial,
            reversible=Reversible.NO,
            find=self.find,
            settle_seconds=self.writing.declaration.settle_seconds,
            amount=self.writing.amount if self.writing.declaration.financial else None,
        )


def changes(record: Record, values: Mapping[str, Any]) -> list[Change]:
    """Return what becomes of a record's fields."""
    return [Change(record.entity, record.key, name, record.fields.get(name), value) for name, value in values.items()]


def by_found(declaration: Declaration) -> bool:
    """Tell whether an undo needs something that only the made record says, such as the id it was given."""
    sources = (declaration.undo_with or {}).values()
    return any(isinstance(source, str) and source.startswith("found.") for source in sources)


def values_of(arguments: Any) -> dict[str, Any]:
    """Return the arguments as plain values."""
    return {name: plainly(getattr(arguments, name)) for name in type(arguments).model_fields}


def _sent(arguments: Any) -> dict[str, Any]:
    """Return the arguments that were given."""
    return {name: value for name, value in values_of(arguments).items() if name in arguments.model_fields_set}


def _given(source: Given, given: Mapping[str, Any], before: Mapping[str, Any], key: str = "", found: Any = None) -> Any:
    try:
        value = given_by(source, given, before, key, found)
    except (KeyError, TypeError):
        raise Refused(f"{source} is not known here: the record or the arguments do not have it.", code="undo") from None
    if value == HIDDEN:
        raise Refused(f"{source} is only ever sent, as a password is: what stands there is not known.", code="undo")
    return value


def _unkeyed(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def faults(invalid: ValidationError) -> str:
    """Return what is wrong with arguments, in one line."""
    told = [f"{'.'.join(map(str, error['loc'])) or 'arguments'}: {error['msg']}" for error in invalid.errors()]
    return "; ".join(told)[:600]


def _api(connector: Connector) -> "OpenApi":
    return cast("OpenApi", connector)
