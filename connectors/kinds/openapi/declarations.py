"""What the admin declares of chosen operations, because no document says it: read-back, key, undo, marks, risk."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from connectors.base import Reversible, Risk
from connectors.kinds.openapi.parameters import OWN_HEADERS, is_token
from connectors.kinds.openapi.reading import Unusable, read

LONGEST = 200_000
NONE = "none"
EFFECT_KEY = "effect_key"
# Inside a fixed text, for searches in a language of their own: =reference eq '{effect_key}'.
KEY_PLACE = "{effect_key}"

Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Given = str | int | float | bool | None
_SOURCES = ("argument.", "before.", "found.", "=")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Paging(_Part):
    """How a list goes on, where its answers do not say so themselves."""

    next: Text | None = None  # where in the body the next address or cursor stands
    cursor: Text | None = None  # the query parameter that takes what stands in ``next``
    page: Text | None = None  # the query parameter that counts pages
    first: int = Field(default=1, ge=0, le=1)
    offset: Text | None = None  # the query parameter that counts rows
    size: Text | None = None  # the query parameter that takes how many rows a page has
    rows: int = Field(default=100, ge=1, le=1000)

    @model_validator(mode="after")
    def _is_one_way(self) -> "Paging":
        if sum(part is not None for part in (self.cursor, self.page, self.offset)) > 1:
            raise ValueError("choose one: cursor, page or offset")
        if self.cursor and not self.next:
            raise ValueError("a cursor needs “next”: where in the answer it stands")
        return self


class Found(_Part):
    """How a record is found by the mark that an effect left on it."""

    read: Text
    given: dict[str, Given] = Field(default={}, alias="with")
    field: Text | None = None  # which must say the mark; default: the marker's own name

    @field_validator("given")
    @classmethod
    def _are_sources(cls, value: dict[str, Given]) -> dict[str, Given]:
        for name, source in value.items():
            source_of(name, source)
        return value


class Declaration(_Part):
    """Everything that can be said of one operation; which parts fit depends on whether it reads or writes."""

    reads: bool = False
    label: Annotated[str, StringConstraints(max_length=120)] = ""
    # Of a read.
    entity: Text | None = None
    key: tuple[Text, ...] | dict[str, Text] | None = None
    record: Annotated[str, StringConstraints(max_length=200)] | None = None
    version: Text | None = None
    paging: Paging | None = None
    # Of a write.
    read_back: Text | None = None
    given: dict[str, Given] | None = Field(default=None, alias="with")
    match: dict[str, Text] = {}
    sets: dict[str, Text] | None = None
    becomes: dict[str, Given] = {}
    fixed: dict[str, Given] = {}
    creates: bool = False
    removes: bool = False
    undo: Text | None = None
    undo_with: dict[str, Given] | None = None
    undo_reason: Annotated[str, StringConstraints(max_length=300)] = ""  # why nothing takes it back
    reversible: Literal["exact", "net_zero", "until_period_close"] = Reversible.EXACT.value
    risk: Risk = Risk.MEDIUM
    financial: bool = False
    amount: Text | None = None
    currency: Text | None = None
    idempotency_key: Text | None = None
    quoted: bool = False
    marker: Text | None = None
    found_by: Found | None = None
    if_match: bool = True
    settle_seconds: float = Field(default=2.0, gt=0, le=600)

    @field_validator("given", "undo_with")
    @classmethod
    def _are_sources(cls, value: dict[str, Given] | None) -> dict[str, Given] | None:
        for name, source in (value or {}).items():
            source_of(name, source)
        return value

    @model_validator(mode="after")
    def _has_no_key_yet(self) -> "Declaration":
        for name, source in (self.given or {}).items():
            if source == EFFECT_KEY or (isinstance(source, str) and KEY_PLACE in source):
                raise ValueError(f"with.{name}: the read-back knows no effect key; only found_by does")
        if any(isinstance(source, str) and KEY_PLACE in source for source in (self.undo_with or {}).values()):
            raise ValueError(f"undo_with: {KEY_PLACE} stands in found_by only; write effect_key alone")
        return self

    @field_validator("amount", "currency")
    @classmethod
    def _is_source(cls, value: str | None) -> str | None:
        if value is not None:
            source_of("value", value)
        return value

    @field_validator("idempotency_key")
    @classmethod
    def _is_header(cls, value: str | None) -> str | None:
        if value is not None and (not is_token(value) or value.lower() in (*OWN_HEADERS, "authorization")):
            raise ValueError("is no header that can be sent")
        return value

    @model_validator(mode="after")
    def _fits(self) -> "Declaration":
        if self.creates and self.removes:
            raise ValueError("a write creates or removes, not both")
        if self.financial and not (self.amount and self.currency):
            raise ValueError(
                "a financial write needs amount and currency, such as amount: argument.total, currency: =EUR"
            )
        if (self.marker is None) != (self.found_by is None):
            raise ValueError("marker and found_by belong together: what carries the mark, and which read finds it")
        return self


_ONLY_READS = ("entity", "key", "record", "version", "paging")
_ONLY_WRITES = tuple(
    name for name in Declaration.model_fields if name not in (*_ONLY_READS, "reads", "label")
)  # fmt: skip


def source_of(name: str, source: Given) -> None:
    """Hold that a value's source is one that is known. Raises ``ValueError``."""
    if not isinstance(source, str) or source == EFFECT_KEY:
        return
    if not source.startswith(_SOURCES) or source in _SOURCES[:3]:
        raise ValueError(
            f"{name}: write argument.NAME, before.FIELD, found.FIELD, effect_key, or =TEXT for a fixed text"
        )


def given_by(
    source: Given, arguments: Mapping[str, Any], before: Mapping[str, Any], effect_key: str = "", found: Any = None
) -> Any:
    """Return what a source stands for. Raises ``KeyError`` where it is not there."""
    if not isinstance(source, str):
        return source
    if source == EFFECT_KEY:
        return effect_key
    kind, _, name = source.partition(".")
    if source.startswith("="):
        return source[1:].replace(KEY_PLACE, effect_key)
    if kind == "argument":
        return arguments[name]
    return (before if kind == "before" else found)[name]


def declared(text: str) -> dict[str, Declaration]:
    """Read the declarations. Raises ``Unusable`` naming the operation and the part that is wrong."""
    if not text.strip():
        return {}
    if len(text) > LONGEST:
        raise Unusable(f"The declarations have more than {LONGEST:,} letters.")
    told = read(text)
    if not isinstance(told, dict) or not all(isinstance(part, dict | None) for part in told.values()):
        raise Unusable("The declarations are names of operations, each with what is declared of it below.")
    found: dict[str, Declaration] = {}
    wrong: list[str] = []
    for name, part in told.items():
        try:
            found[name] = Declaration.model_validate(part or {})
        except ValidationError as invalid:
            wrong += [_said(name, error) for error in invalid.errors(include_url=False)]
    if wrong:
        raise Unusable(" ".join(wrong[:10]))
    return found


def _said(name: str, error: Any) -> str:
    where = ".".join((name, *(str(part) for part in error["loc"] if not str(part).startswith("function"))))
    return f"{where}: {str(error['msg']).removeprefix('Value error, ').rstrip('.')}."[:400]


def written(parts: Mapping[str, Mapping[str, Any]]) -> str:
    """Write declarations as the text that ``declared`` reads, with what differs from the defaults."""
    if not parts:
        return ""
    return str(yaml.dump(dict(parts), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=110))


class _Plain(yaml.SafeDumper):
    """Writes no anchors: each entry can be read by itself."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def misplaced(declaration: Declaration, *, reads: bool) -> Iterable[str]:
    """Return the parts that do not belong to such an operation."""
    return sorted(declaration.model_fields_set & set(_ONLY_WRITES if reads else _ONLY_READS))
