"""What a detector may say: one rule of six kinds, what it opens, its limits. Strict, so that no slip is a silence."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from audit.errors import Invalid
from incidents.expressions import BadExpression, compile_expression, slots

# What a condition and a text may name.
VARIABLES = frozenset({"case", "row", "finding"})
Name = Annotated[str, Field(min_length=1, max_length=300)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")]
Hours = Annotated[float, Field(gt=0, le=24 * 3660)]


def _condition(source: str) -> str:
    try:
        unknown = sorted(compile_expression(source).references() - VARIABLES)
    except BadExpression as wrong:
        raise ValueError(str(wrong)) from wrong
    if unknown:
        raise ValueError(f"“{unknown[0]}” is not known here; known are {', '.join(sorted(VARIABLES))}.")
    return source


def _template(text: str) -> str:
    unknown = sorted(set(slots(text)) - VARIABLES)
    if unknown:
        raise ValueError(f"{{{unknown[0]}}} is not known here; known are {', '.join(sorted(VARIABLES))}.")
    return text


Cel = Annotated[str, AfterValidator(_condition)]
Template = Annotated[str, Field(max_length=1000), AfterValidator(_template)]


class Part(BaseModel):
    """A piece of a definition. Unknown words are refused: a misspelt one would silently mean nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Series(Part):
    """Which numbers are watched, one for each hour, day or week."""

    measure: Literal["events", "cases", "throughput", "rework", "exceptions", "calls", "tokens"]
    per: Literal["hour", "day", "week"] = "day"
    activity: str = Field(default="", max_length=300, description="For events; blank: of every activity.")
    ends: list[Name] = Field(default=[], max_length=50, description="For throughput: activities that end a case.")
    code: str = Field(default="", max_length=60, description="For exceptions: of this kind; blank: of every kind.")
    connection: str = Field(default="", max_length=60, description="For calls and tokens; blank: of every connection.")

    @property
    def of_log(self) -> bool:
        """Tell whether the numbers come from an event log."""
        return self.measure in ("events", "cases", "throughput", "rework")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.measure == "throughput" and not self.ends:
            raise ValueError("ends: name the activities that end a case, or no time can be told.")
        return self


class AnomalyRule(Part):
    """A number is far from what it usually is, by what was known before it."""

    kind: Literal["anomaly"] = "anomaly"
    series: Series
    method: Literal["robust_z", "ewma", "weekday"] = "robust_z"
    direction: Literal["up", "down", "both"] = "both"
    threshold: float = Field(default=4.0, ge=1.5, le=50, description="How many usual deviations are too many.")
    min_history: int = Field(default=28, ge=8, le=1000, description="Fewer values before it: it is not judged.")
    window: int = Field(default=90, ge=8, le=2000, description="How many values before it are looked at.")
    at_least: float = Field(default=0.0, ge=0, description="A smaller difference from the usual is never told.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.window < self.min_history:
            raise ValueError("window: must not be smaller than min_history.")
        if self.method == "weekday" and self.series.per != "day":
            raise ValueError("method: the same weekday can be compared for values per day only.")
        return self


class ForecastRule(Part):
    """A running case will miss its target time, by what cases that stood like it still took."""

    kind: Literal["forecast"] = "forecast"
    ends: list[Name] = Field(min_length=1, max_length=50, description="Activities that end a case.")
    target_hours: Hours
    calendar: str = Field(default="", max_length=60, description="Count only its open hours; blank: by the clock.")
    quantile: float = Field(default=0.5, ge=0.05, le=0.95, description="0.5: as likely late as not; lower: surer.")
    min_cases: int = Field(default=20, ge=5, le=10_000, description="Fewer cases to learn from: no forecast.")
    stale_days: float = Field(default=60, gt=0, le=3660, description="Silent for longer: the case is not running.")


class Saved(Part):
    """A read of a connection that is asked again and again; a text may hold {watermark}.

    A declared read fills its arguments in; a free one takes a question in the system's own language.
    """

    connection: Slug
    operation: str = Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$")
    arguments: dict[str, str | int | float | bool | list[Any] | None] = {}
    key: str = Field(default="", max_length=100, description="The column that names a row; blank: the record's id.")
    time: str = Field(default="", max_length=100, description="The column with a row's time; blank: when it was read.")
    watermark: str = Field(default="", max_length=100, description="Rows up to the last seen value are left out.")
    start: str = Field(default="", max_length=100, description="The first {watermark}; blank: as far as it looks back.")
    max_rows: int = Field(default=500, ge=1, le=5000, description="More rows are left for the next run, and said.")


class DriftRule(Part):
    """A record breaks a rule that it must keep."""

    kind: Literal["drift"] = "drift"
    check: Literal["required", "blocked", "duty"]
    field: str = Field(default="", max_length=300, description="The attribute, or the column of a row.")
    values: list[str] = Field(default=[], max_length=500, description="For blocked: the values that must not occur.")
    first: str = Field(default="", max_length=300, description="For duty: an activity, or the column of a person.")
    second: str = Field(default="", max_length=300, description="For duty: the other. The same twice means four eyes.")
    by: str = Field(default="", max_length=300, description="For required: filled once this activity is done.")
    person: str = Field(default="", max_length=300, description="For duty: who did it; blank: the log's own resource.")
    query: Saved | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.check in ("required", "blocked") and not self.field:
            raise ValueError("field: say which attribute or column is looked at.")
        if self.check == "blocked" and not self.values:
            raise ValueError("values: say which values must not occur.")
        if self.check == "duty" and not (self.first and self.second):
            raise ValueError("first, second: name both.")
        return self


class PatternRule(Part):
    """A case goes a way that it should not."""

    kind: Literal["pattern"] = "pattern"
    pattern: Literal["variant", "missing", "loop", "after_end", "slow", "starts_with", "ends_with"]
    path: list[Name] = Field(default=[], max_length=500, description="For variant: every step in its order.")
    activity: str = Field(default="", max_length=300, description="What is missing, repeated, slow, a start or an end.")
    before: str = Field(default="", max_length=300, description="For missing: must stand before this.")
    after: str = Field(default="", max_length=300, description="For missing: must follow this; blank: the start.")
    then: str = Field(default="", max_length=300, description="For slow: the step after it; blank: whatever follows.")
    hours: Hours | None = Field(
        default=None,
        description="For missing after, and slow: how long is too long. For ends_with: silent for so long.",
    )
    times: int = Field(default=1, ge=1, le=10_000, description="For loop: more often than this.")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.pattern == "variant":
            if not self.path:
                raise ValueError("path: name the steps of the variant.")
        elif not self.activity:
            raise ValueError("activity: name it.")
        if self.pattern == "missing" and bool(self.before) == (self.hours is not None):
            raise ValueError("before, hours: it is missing either before a step or after so many hours; give one.")
        if self.pattern == "slow" and self.hours is None:
            raise ValueError("hours: say how long is too long.")
        if self.pattern == "ends_with" and self.hours is None:
            raise ValueError("hours: say after how many hours of silence a case counts as ended.")
        return self


class QueryRule(Part):
    """Each row that a saved query returns is one finding."""

    kind: Literal["query"] = "query"
    query: Saved


class Invoices(Part):
    """Which attributes or columns of an invoice say what."""

    party: Name
    amount: Name
    reference: Name
    date: str = Field(default="", max_length=300, description="Blank: when its case began, or the row's time.")
    currency: str = Field(default="", max_length=300)
    apart: list[Name] = Field(default=[], max_length=5, description="Where both have one and they differ: no pair.")


class DuplicateRule(Part):
    """Two invoices that ask for the same money twice."""

    kind: Literal["duplicate"] = "duplicate"
    fields: Invoices
    days: float = Field(default=45, gt=0, le=3660, description="Further apart: two invoices.")
    score: float = Field(default=0.8, ge=0.5, le=1, description="At least so sure; 1: the same reference only.")
    query: Saved | None = None


Rule = Annotated[
    AnomalyRule | ForecastRule | DriftRule | PatternRule | QueryRule | DuplicateRule, Field(discriminator="kind")
]


class Opens(Part):
    """The incident that a finding opens; ``amount`` and the like name an attribute of the case or a row's column."""

    code: Slug = "process_deviation"
    entity_type: Slug = "case"
    entity: str = Field(default="", max_length=300, description="Blank: the case, the row or the series itself.")
    amount: str = Field(default="", max_length=300)
    currency: str = Field(default="", max_length=300, description="An attribute, or three capitals such as EUR.")
    business_unit: str = Field(default="", max_length=300)
    region: str = Field(default="", max_length=300)
    severity: Literal["", "low", "medium", "high", "critical"] = Field(default="", description="A hint for triage.")
    attributes: dict[Slug, Name] = Field(default={}, max_length=30, description="Name in the incident: attribute.")
    text: Template = ""


class Limits(Part):
    """How often it looks, how far back, and how much it may open at once."""

    every_minutes: int = Field(default=60, ge=1, le=60 * 24 * 7)
    look_back_days: float = Field(default=30, ge=1, le=3660, description="Older findings are history, not news.")
    cap: int = Field(default=25, ge=1, le=500, description="More in one run: one incident says how many more.")
    cool_down_hours: float = Field(default=24, ge=0, le=24 * 366, description="After one, the same record is quiet.")


class Definition(Part):
    """A detector's text."""

    rule: Rule
    filter: str = Field(default="", max_length=2000, description="Only cases with these attributes (a query string).")
    when: Cel = "true"
    opens: Opens = Opens()
    limits: Limits = Limits()

    @property
    def saved(self) -> Saved | None:
        """The saved query that it rests on, if it rests on one."""
        return getattr(self.rule, "query", None)

    @property
    def of_log(self) -> bool:
        """Tell whether it looks at an event log."""
        return self.rule.series.of_log if isinstance(self.rule, AnomalyRule) else self.saved is None


def read(value: Any) -> Definition:
    """Return the definition that ``value`` says. Raises ``Invalid`` with the path of each field at fault."""
    try:
        return Definition.model_validate(value)
    except ValidationError as wrong:
        raise Invalid("The detector cannot be meant as it is.", errors_of(wrong)) from wrong


def errors_of(wrong: ValidationError) -> dict[str, list[str]]:
    """Return what is wrong by the dotted path of the field."""
    found: dict[str, list[str]] = {}
    for error in wrong.errors(include_url=False, include_context=False):
        # The discriminator stands in the place; people never wrote it there.
        path = [str(step) for at, step in enumerate(error["loc"]) if not (at == 1 and error["loc"][0] == "rule")]
        message = str(error["msg"]).removeprefix("Value error, ")
        found.setdefault(".".join(path) or "definition", []).append(message)
    return found


def plain(definition: Definition) -> dict[str, Any]:
    """Return the definition as it is kept: what differs from the defaults, and each kind's name."""
    found = definition.model_dump(mode="json", exclude_defaults=True)
    found["rule"] = {"kind": definition.rule.kind, **found.get("rule", {})}
    return found
