"""What the definition of an exception kind may say; every expression in it is compiled and its names are checked."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, ClassVar, Literal, Self

from django.db import connection
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from audit.prepared import fetch_all
from audit.proofs import canonical
from incidents.expressions import compile_expression, compiled, slots
from incidents.models import ExceptionKind
from incidents.states import Severity

RESERVED = frozenset({"incident", "event", "derived", "signals", "row", "slots"})
_DERIVED = re.compile(r"\bderived\.([A-Za-z_]\w*)")
Place = tuple[str | int, ...]


def _free(name: str) -> str:
    if name in RESERVED:
        raise PydanticCustomError("reserved", f"{name} has a meaning of its own; choose another name.")
    return name


Cel = Annotated[str, AfterValidator(compiled)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$"), AfterValidator(_free)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")]
Operation = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$")]
FieldName = Annotated[str, Field(min_length=1, max_length=100)]
Literal_ = bool | int | float | None


class Part(BaseModel):
    """A piece of a definition. Unknown words are refused: a misspelt one would silently mean nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Query(Part):
    """One read from a connected system, and the name that its answer goes by."""

    name: Name = Field(alias="as")
    connection: Slug
    operation: Operation
    # A text is an expression; anything else stands for itself.
    arguments: dict[str, Cel | Literal_] = {}
    one: bool = False  # the first record or null; else a list
    filter: Cel | None = None  # over `row`: which records count
    optional: bool = False  # where it cannot be read, what needs it is untested
    condition: Cel | None = Field(default=None, alias="if")

    def expressions(self) -> Iterator[tuple[Place, str, frozenset[str]]]:
        """Yield each expression with its place and the names that only it may use."""
        for argument, value in self.arguments.items():
            if isinstance(value, str):
                yield ("arguments", argument), value, frozenset()
        if self.condition is not None:
            yield ("if",), self.condition, frozenset()
        if self.filter is not None:
            yield ("filter",), self.filter, frozenset({"row"})


class Detection(Part):
    """How one event of one connection becomes a signal of this kind."""

    connection: Slug
    event: str
    where: Cel = "true"  # over `event` alone: cheap, before anything is read
    reads: list[Query] = []
    when: Cel = "true"
    entity_key: Cel
    attributes: dict[str, Cel] = {}
    amount: Cel | None = None
    currency: Cel | None = None
    business_unit: Cel | None = None
    region: Cel | None = None
    text: Cel | None = None
    otherwise: bool = False  # only for events that no other detection asks for


class Check(Part):
    """One thing that must be true, and the evidence that it looks at."""

    check: Cel
    cites: list[str] = Field(min_length=1)


class Statement(Part):
    """A sentence, how firmly it is meant, and the checks that carry it."""

    text: str
    grade: Literal["observed", "consistent", "hypothesis"] = "observed"
    checks: list[Check] = Field(min_length=1)


class Cause(Part):
    """One possible cause. It holds when every check of every statement is true."""

    id: Slug
    label: str
    statements: list[Statement] = Field(min_length=1)


class SeverityRule(Part):
    """A severity, the condition that calls for it, and the sentence that says why."""

    when: Cel
    severity: Severity
    because: str


class AtRisk(Part):
    """One field, of one record or of each record of a list, whose amount is at risk."""

    record: Name
    field: str


class Fingerprint(Part):
    """Which attributes, besides kind and entity, make a problem a different problem."""

    attributes: list[str] = []


class Naming(Part):
    """Which business entity each record of one query is, and which others its fields name. Only fields, never texts."""

    record: Name
    type: Slug = Field(alias="is")
    key: FieldName  # the field with the number that every system is to be known by
    also: list[FieldName] = []  # further fields by which the same system knows it
    names: dict[Slug, FieldName] = {}  # the type of another entity and the field that holds its key

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the fields whose values are names of the entity itself."""
        return (self.key, *self.also)


class TicketOf(Part):
    """Which tickets of one connection an incident belongs to: one id, or a list of them; null and blanks are none.

    ``closes``: the incident is the ticket. Once it is closed in its own system, the incident is looked into afresh.
    """

    connection: Slug
    id: Cel
    closes: bool = False


class KindDefinition(Part):
    """Everything that one kind of exception is; the content of ``ExceptionKind.definition``."""

    TEXTS: ClassVar = ("business_unit", "region", "amount", "currency", "healed")

    title: str
    fingerprint: Fingerprint = Fingerprint()
    detect: list[Detection] = []
    evidence: list[Query] = []
    entities: list[Naming] = []
    tickets: list[TicketOf] = []
    process: Slug | None = None  # the business process that it belongs to, such as order-to-cash
    derived: dict[Name, Cel] = {}
    causes: list[Cause] = []
    severity: list[SeverityRule] = []
    revenue_at_risk: list[AtRisk] = []
    currency: Cel | None = None
    business_unit: Cel | None = None
    region: Cel | None = None
    amount: Cel | None = None
    queue: Slug | None = None
    costs: dict[str, float] = {}
    healed: Cel | None = None

    @model_validator(mode="after")
    def names_are_known(self) -> Self:
        """Refuse an expression that uses a name which nobody gives it, naming the place."""
        found = [f"{'.'.join(map(str, place))}: {message}" for place, message in problems(self)]
        if found:
            raise PydanticCustomError("names", "{found}", {"found": "; ".join(found)})
        return self


@dataclass(frozen=True)
class _Names:
    """Collects what is wrong while walking a definition."""

    found: list[tuple[Place, str]]

    def check(self, place: Place, source: str, known: Iterable[str], derived: Iterable[str] | None = None) -> None:
        expression = compile_expression(source)
        self.unknown(place, expression.references(), frozenset(known))
        if derived is not None:
            for name in sorted(set(_DERIVED.findall(source)) - set(derived)):
                self.found.append((place, f"derived.{name} is not worked out before this"))

    def template(self, place: Place, text: str, known: Iterable[str]) -> None:
        self.unknown(place, frozenset(slots(text)), frozenset(known))

    def queries(self, place: Place, queries: list[Query], known: set[str]) -> set[str]:
        for number, query in enumerate(queries):
            here = (*place, number)
            if query.name in known:
                self.found.append(((*here, "as"), f"{query.name} is used twice"))
            for where, source, own in query.expressions():
                self.check((*here, *where), source, known | own)
            known = known | {query.name}
        return known

    def unknown(self, place: Place, used: frozenset[str], known: frozenset[str]) -> None:
        for name in sorted(used - known):
            self.found.append((place, f"{name} is not known here (known: {', '.join(sorted(known))})"))


def problems(definition: KindDefinition) -> list[tuple[Place, str]]:
    """List the names that nothing defines, each with its place in the definition."""
    names = _Names([])
    for number, detection in enumerate(definition.detect):
        _detection(names, ("detect", number), detection)
    records = names.queries(("evidence",), definition.evidence, {"incident", "signals"})
    known = records | {"derived"}
    worked_out: list[str] = []
    for name, source in definition.derived.items():
        names.check(("derived", name), source, known, worked_out)
        worked_out.append(name)
    for number, cause in enumerate(definition.causes):
        _cause(names, ("causes", number), cause, records, worked_out)
    for number, rule in enumerate(definition.severity):
        names.check(("severity", number, "when"), rule.when, known, worked_out)
        names.template(("severity", number, "because"), rule.because, known)
    for number, risk in enumerate(definition.revenue_at_risk):
        names.unknown(("revenue_at_risk", number, "record"), frozenset({risk.record}), frozenset(records))
    for field in KindDefinition.TEXTS:
        source = getattr(definition, field)
        if source is not None:
            names.check((field,), source, known, worked_out)
    queries = [query.name for query in definition.evidence]
    for number, naming in enumerate(definition.entities):
        names.unknown(("entities", number, "record"), frozenset({naming.record}), frozenset(queries))
    for number, ticket in enumerate(definition.tickets):
        names.check(("tickets", number, "id"), ticket.id, records)
    names.template(("title",), definition.title, known)
    return names.found + _repeated("causes", [cause.id for cause in definition.causes])


def _detection(names: _Names, place: Place, detection: Detection) -> None:
    names.check((*place, "where"), detection.where, {"event"})
    known = names.queries((*place, "reads"), detection.reads, {"event"})
    for name, source in detection.attributes.items():
        names.check((*place, "attributes", name), source, known)
    for field in ("when", "entity_key", "amount", "currency", "business_unit", "region", "text"):
        source = getattr(detection, field)
        if source is not None:
            names.check((*place, field), source, known)


def _cause(names: _Names, place: Place, cause: Cause, records: set[str], derived: list[str]) -> None:
    known = records | {"derived"}
    for number, statement in enumerate(cause.statements):
        here = (*place, "statements", number)
        names.template((*here, "text"), statement.text, known)
        for index, check in enumerate(statement.checks):
            names.check((*here, "checks", index, "check"), check.check, known, derived)
            cited = frozenset(cite.split(".")[0] for cite in check.cites)
            # Only evidence can be cited: a worked-out figure rests on the records it was worked out from.
            names.unknown((*here, "checks", index, "cites"), cited, frozenset(records - {"incident"}))


def _repeated(place: str, ids: list[str]) -> list[tuple[Place, str]]:
    return [((place, number, "id"), f"{name} is used twice") for number, name in enumerate(ids) if name in ids[:number]]


@lru_cache(maxsize=512)
def _parsed(text: str) -> KindDefinition:
    return KindDefinition.model_validate_json(text)


def definition_of(kind: ExceptionKind) -> KindDefinition:
    """Return the checked definition of ``kind``. Raises ``pydantic.ValidationError`` where it holds an error."""
    return _parsed(canonical(kind.definition))


@dataclass(frozen=True)
class KindInBrief:
    """What intake needs of a kind, without its whole definition."""

    pk: int
    code: str
    label: str
    domain: str
    enabled: bool
    fingerprint: tuple[str, ...]
    title: str
    source: str = ""  # the piece of JSON, as the database wrote it, that says what the fingerprint is made of


# What was last read of each kind, by its code. It may be out of date: whoever uses it must check that it still holds.
_REMEMBERED: dict[str, KindInBrief] = {}
_AT_MOST = 2_000


def remembered(code: str) -> KindInBrief | None:
    """Return what was last read of the kind of this code, without asking the database."""
    return _REMEMBERED.get(code.casefold())


def in_brief(codes: Iterable[str]) -> dict[str, KindInBrief]:
    """Return the kinds of these codes, by their code without case."""
    wanted = sorted({code.casefold() for code in codes})
    if not wanted:
        return {}
    # Both databases cut the two small pieces out of the definition, so that the rest is not read for every signal.
    statement = (
        "SELECT id, code, label, domain, enabled, definition -> 'fingerprint', definition ->> 'title' "  # noqa: S608
        f"FROM incidents_exceptionkind WHERE code IN ({', '.join(['%s'] * len(wanted))})"
    )
    if len(wanted) == 1:
        found = fetch_all(statement, wanted)
    else:
        with connection.cursor() as cursor:
            cursor.execute(statement, wanted)
            found = cursor.fetchall()
    kinds = {
        code: KindInBrief(pk, code, label, domain, bool(enabled), _chosen(chosen), title or "", chosen or "")
        for pk, code, label, domain, enabled, chosen, title in found
    }
    for code in wanted:
        _REMEMBERED.pop(code, None)
    if len(_REMEMBERED) < _AT_MOST:
        _REMEMBERED.update(kinds)
    return kinds


def _chosen(text: str | None) -> tuple[str, ...]:
    return tuple((json.loads(text) if text else {}).get("attributes", ()))
