"""What the text of a playbook may say; every expression is compiled here, so that a bad one never reaches a plan."""

import re
from collections.abc import Collection, Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from incidents.expressions import BadExpression, compile_expression, compiled, slots

MAX_STEPS = 20
# What every plan knows, whatever its kind: the incident, its signals, what was derived, and the chosen slots.
KNOWN = frozenset({"incident", "signals", "derived", "slots"})
_SLOT = re.compile(r"(?<![\w.\"'])slots\.([A-Za-z_]\w*)")


class BadPlaybook(ValueError):
    """The text is well formed and cannot be meant."""


def _argument(value: Any) -> Any:
    """Compile a text; numbers, yes and no, and nothing stand for themselves."""
    if isinstance(value, str):
        return compiled(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    raise BadPlaybook("An argument is an expression or a plain value; write lists and mappings as CEL.")


Cel = Annotated[str, Field(min_length=1), AfterValidator(compiled)]
Argument = Annotated[Any, AfterValidator(_argument)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,59}$")]
Words = Annotated[str, Field(min_length=1, max_length=2_000)]


class _Text(BaseModel):
    """No unknown names: a misspelt one would silently do nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, str_strip_whitespace=True)


class Slot(_Text):
    """A choice that a model may make: among listed ``values``, or those that ``from`` finds in the evidence."""

    values: list[str | int | float | bool] = []
    source: Annotated[Cel | None, Field(alias="from")] = None
    default: Cel

    @model_validator(mode="after")
    def _is_enumerated(self) -> Self:
        if bool(self.values) == bool(self.source):
            raise BadPlaybook("A slot lists its `values` or finds them with `from`: one of the two.")
        return self


class Autonomy(_Text):
    """How far the playbook may act where no rule and no policy asks for people. No amount: any."""

    max_risk: Literal["low", "medium"]
    max_amount: Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=2)] | None = None
    currency: Annotated[str, Field(pattern=r"^([A-Z]{3})?$")] = ""

    @model_validator(mode="after")
    def _amount_has_its_currency(self) -> Self:
        if (self.max_amount is None) != (not self.currency):
            raise BadPlaybook("`max_amount` and `currency` belong together.")
        return self

    def __str__(self) -> str:
        return f"{self.max_risk} risk" + (f" and {self.max_amount:,.2f} {self.currency}" if self.currency else "")


class StepDefinition(_Text):
    """One change to one system. ``when`` false leaves it out; each text among ``arguments`` is CEL."""

    name: Id
    title: Annotated[str, Field(min_length=1, max_length=200)]
    connection: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")]
    operation: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.]{0,99}$")]
    when: Annotated[str, AfterValidator(lambda source: compiled(source) if source else source)] = ""
    arguments: dict[Name, Argument] = {}


class PlaybookDefinition(_Text):
    """How a kind of exception with one of these causes is mended: at most 20 steps, in this order."""

    causes: list[Id] = []
    rationale: Words
    slots: dict[Name, Slot] = {}
    autonomy: Autonomy | None = None
    # Some systems take a change back by a job of their own: then the incident stays in verification and the
    # source is read once more after so many minutes (at most a week).
    read_again_after_minutes: Annotated[int, Field(ge=1, le=10_080)] | None = None
    steps: Annotated[list[StepDefinition], Field(min_length=1, max_length=MAX_STEPS)]

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        names = [step.name for step in self.steps]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise BadPlaybook(f"Two steps are called “{twice[0]}”.")
        for where, source in self.expressions():
            unknown = sorted(set(_SLOT.findall(source)) - set(self.slots))
            if unknown:
                raise BadPlaybook(f"{where} uses slots.{unknown[0]}, which is not among the slots.")
        for name, slot in self.slots.items():
            reads = {"slots"} & (compile_expression(slot.default).references() | _references(slot.source))
            if reads:
                raise BadPlaybook(f"slots.{name} cannot be made of slots: they are all filled at once.")
        return self

    def expressions(self) -> Iterator[tuple[str, str]]:
        """Yield every expression with its path, such as ``steps[0].arguments.amount``."""
        for name, slot in self.slots.items():
            yield f"slots.{name}.default", slot.default
            if slot.source:
                yield f"slots.{name}.from", slot.source
        for number, step in enumerate(self.steps):
            if step.when:
                yield f"steps[{number}].when", step.when
            for name, value in step.arguments.items():
                if isinstance(value, str):
                    yield f"steps[{number}].arguments.{name}", value

    def templates(self) -> Iterator[tuple[str, str]]:
        """Yield every text for people with its path."""
        yield "rationale", self.rationale
        for number, step in enumerate(self.steps):
            yield f"steps[{number}].title", step.title


def _references(source: str | None) -> frozenset[str]:
    return compile_expression(source).references() if source else frozenset()


def unknown_names(definition: PlaybookDefinition, evidence: Collection[str]) -> dict[str, list[str]]:
    """Say, per path, which names the kind's ``evidence`` does not give; empty: each is known.

    A definition alone cannot tell: what it may name is decided by the exception kind that it mends.
    """
    known, found = KNOWN | set(evidence), {}
    named = [(path, compile_expression(source).references()) for path, source in definition.expressions()]
    named += [(path, frozenset(slots(text))) for path, text in definition.templates()]
    for path, names in named:
        strange = sorted(names - known)
        if strange:
            found[path] = [
                f"“{name}” is no evidence of this kind; it has {', '.join(sorted(known))}." for name in strange
            ]
    return found


__all__ = ["Autonomy", "BadExpression", "BadPlaybook", "PlaybookDefinition", "Slot", "StepDefinition", "unknown_names"]
