"""Actions that an administrator declares: what each takes, what it changes, what takes it back, how it is found again.

Somebody else's code runs behind them (a custom API, a bound action, a custom service), so nothing but the declaration
says what it does. A text ``=name`` in ``sets`` and ``undo_parameters`` stands for the parameter of that name, and
``before:column`` in ``undo_parameters`` for what stood in the record.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol, TypeVar, runtime_checkable

from pydantic import Field, StringConstraints, ValidationError, model_validator

from connectors.base import Arguments, Blocked, Change, NotFound, Observed, Record, Refused, Undo, Written
from connectors.kit.comparison import same

Scalar = bool | int | Annotated[float, Field(allow_inf_nan=False)] | str | None
Sort = Literal["text", "number", "whole", "yes_no", "id"]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,99}$")]
Column = Annotated[str, StringConstraints(pattern=r"^_?[A-Za-z][A-Za-z0-9_]{0,99}$")]
_BEFORE = "before:"
_FITS = {
    "text": lambda value: isinstance(value, str),
    "id": lambda value: isinstance(value, str) and bool(re.fullmatch(r"[0-9a-fA-F-]{36}", value)),
    "yes_no": lambda value: isinstance(value, bool),
    "whole": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}


class DeclaredAction(Arguments):
    """What is declared of one action; kinds add how it is addressed."""

    table: Name  # the record of this table shows the effect
    parameters: dict[Name, Sort] = {}
    sets: dict[Column, Scalar] = Field(min_length=1)
    undo: str = ""
    undo_parameters: dict[Name, Scalar] = {}
    undo_reason: Annotated[str, StringConstraints(max_length=300)] = ""  # why nothing takes it back
    # The parameter that takes the effect key, and the column in which it can be found again.
    mark_parameter: str = ""
    mark_column: str = ""
    # Columns of the record that hold the amount at stake and its currency.
    amount_column: str = ""
    currency_column: str = ""
    # It sets values rather than adding to them: where ``sets`` stands in the record, it was carried out.
    repeatable: bool = False

    @model_validator(mode="after")
    def _is_whole(self) -> "DeclaredAction":
        if bool(self.mark_parameter) != bool(self.mark_column):
            raise ValueError("mark_parameter and mark_column belong together")
        named = {str(value)[1:] for value in self.sets.values() if isinstance(value, str) and value.startswith("=")}
        if strange := named - set(self.parameters):
            raise ValueError(f"sets names the unknown parameter {min(strange)}")
        if self.undo and self.undo_reason:
            raise ValueError("undo_reason says why nothing takes it back: leave out one of undo and undo_reason")
        return self

    def faults(self, given: Mapping[str, Any]) -> list[str]:
        """Say what is wrong with the parameters of a call; empty: nothing."""
        found = [f"{name} is missing" for name in sorted(set(self.parameters) - set(given))]
        found += [f"{name} is unknown" for name in sorted(set(given) - set(self.parameters))]
        known = ((name, value) for name, value in given.items() if name in self.parameters)
        return found + [
            f"{name} must be {self.parameters[name].replace('_', ' or ')}"
            for name, value in known
            if not _FITS[self.parameters[name]](value)
        ]


@runtime_checkable
class HasActions(Protocol):
    """Settings in which actions are declared."""

    def declared_actions(self) -> Mapping[str, DeclaredAction]:
        """Return the declared actions by name."""


def lasting(settings: Any, operation: str, parameters: Mapping[str, Any]) -> str:
    """Return why nothing takes a declared action back, in the words of its declaration; blank where it says nothing."""
    if operation != "action.call" or not isinstance(settings, HasActions):
        return ""
    action = settings.declared_actions().get(str(parameters.get("action") or ""))
    return action.undo_reason if action is not None and not action.undo else ""


Declared = TypeVar("Declared", bound=DeclaredAction)


def declared(text: str, sort: type[Declared]) -> dict[str, Declared]:
    """Read the declared actions, a JSON object by their names. Raises ``ValueError`` with what is wrong with which."""
    if not text.strip():
        return {}
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("this is no JSON") from None
    if not isinstance(given, dict):
        # pydantic shows a ValueError beside the field, and lets a TypeError rise.
        raise ValueError("write an object: a name of yours for each action")  # noqa: TRY004
    found = {}
    for name, part in given.items():
        try:
            found[name] = sort.model_validate(part)
        except ValidationError as invalid:
            first = invalid.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "it"
            raise ValueError(f"{name[:60]}: {where}: {first['msg']}") from None
    for name, action in found.items():
        if action.undo and action.undo not in found:
            raise ValueError(f"{name[:60]}: its undo {action.undo[:60]} is not declared")
    return found


def one_of(actions: Mapping[str, Declared], name: str, parameters: Mapping[str, Any], connection: str) -> Declared:
    """Return a declared action if ``parameters`` fit it. Raises ``Blocked``."""
    action = actions.get(name)
    if action is None:
        known = ", ".join(sorted(actions)) or "none"
        raise Blocked(f"{connection} may not call {name}: its actions are {known}.", code="operation")
    if faults := action.faults(parameters):
        raise Blocked(f"{name}: {'; '.join(faults)}."[:1000], code="arguments")
    return action


# --- what it changes, and what takes it back ---------------------------------------------------
@dataclass(frozen=True)
class Acted(Record):
    """A record with the declaration of the action that is to be called for it."""

    action: DeclaredAction | None = field(default=None, repr=False)


def acted(record: Record, action: DeclaredAction) -> Acted:
    """Put the declaration beside the record."""
    return Acted(record.system, record.entity, record.key, record.version, record.fields, record.url, action)


def _declared_for(records: Observed) -> tuple[Record, DeclaredAction]:
    record = records[0] if records else None
    action = record.action if isinstance(record, Acted) else None
    if record is None or action is None:
        raise NotFound("There is no such record.", status=404)
    return record, action


def filled(value: Any, parameters: Mapping[str, Any]) -> Any:
    """Return a declared value, with the parameter in its place where it names one."""
    return parameters.get(value[1:]) if isinstance(value, str) and value.startswith("=") else value


def predict(args: Any, records: Observed) -> list[Change]:
    """The record says what the declaration promises."""
    record, action = _declared_for(records)
    wanted = {column: filled(value, args.parameters) for column, value in action.sets.items()}
    return [Change(record.entity, record.key, name, record.fields.get(name), value) for name, value in wanted.items()]


def undo(args: Any, records: Observed, effect_key: str) -> Undo | None:
    """Call the action that was declared to take it back; none where none was."""
    record, action = _declared_for(records)
    if not action.undo:
        return None
    given = {name: _taken_back(value, record, args.parameters) for name, value in action.undo_parameters.items()}
    back = {"action": action.undo, "parameters": given, "reason": f"Undo: {args.reason}"[:250]}
    return Undo("action.call", {**args.model_dump(mode="json"), **back})


def _taken_back(value: Any, record: Record, parameters: Mapping[str, Any]) -> Any:
    if isinstance(value, str) and value.startswith(_BEFORE):
        return record.fields.get(value.removeprefix(_BEFORE))
    return filled(value, parameters)


def amount(args: Any, records: Observed) -> tuple[str, str] | None:
    """Return what stands in the declared columns; ``None`` where none were declared: then a person is asked."""
    record, action = _declared_for(records)
    worth, currency = record.fields.get(action.amount_column), record.fields.get(action.currency_column)
    if isinstance(worth, bool) or not isinstance(worth, int | float) or not isinstance(currency, str):
        return None
    return str(worth), currency


def find(action: DeclaredAction, args: Any, record: Record, effect_key: str) -> Written | None:
    """Look for our mark, else for the values where the action only sets them. Raises ``Refused``: nobody can tell."""
    if action.mark_column:
        mine = record.fields.get(action.mark_column) == effect_key
        return Written(record.version, {"found_by": "mark"}) if mine else None
    if not action.repeatable:
        raise Refused(
            f"{args.action} leaves no mark: look into {action.table} {record.key} whether it was carried out.",
            code="no_mark",
        )
    wanted = {column: filled(value, args.parameters) for column, value in action.sets.items()}
    stands = all(same(record.fields.get(column), value) for column, value in wanted.items())
    return Written(record.version, {"found_by": "values"}) if stands else None
