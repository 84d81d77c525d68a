"""A definition in words, as a page tells it."""

from insights.detectors import series
from insights.detectors.definitions import (
    AnomalyRule,
    Definition,
    DriftRule,
    DuplicateRule,
    ForecastRule,
    PatternRule,
    QueryRule,
    Saved,
)
from insights.detectors.pattern import often
from insights.mining.wording import duration

_METHODS = {
    "robust_z": "the median of the values before it",
    "ewma": "a slowly moving average",
    "weekday": "the same weekday before it",
}
_WAYS = {"up": "far above", "down": "far below", "both": "far from"}


def describe(definition: Definition) -> str:
    """Return what a detector watches, as one sentence without a full stop."""
    rule = definition.rule
    if isinstance(rule, AnomalyRule):
        name, way = series.words(rule.series), _WAYS[rule.direction]
        return f"{name}: a value {way} {_METHODS[rule.method]}, by {rule.threshold:g} usual deviations"
    if isinstance(rule, ForecastRule):
        hours = (
            f"{rule.target_hours:g} open hours ({rule.calendar})"
            if rule.calendar
            else duration(rule.target_hours * 3600)
        )
        return f"a running case that will not reach {' or '.join(rule.ends)} within {hours}"
    if isinstance(rule, DriftRule):
        return _drift(rule)
    if isinstance(rule, PatternRule):
        return _pattern(rule)
    if isinstance(rule, DuplicateRule):
        return f"an invoice that repeats another of the same {rule.fields.party} within {rule.days:g} days"
    if isinstance(rule, QueryRule):
        return _query(rule.query)
    raise AssertionError(rule)


def _query(saved: Saved) -> str:
    asked = saved.arguments
    # Read from the text alone: a list of detectors asks nothing for each of them.
    if saved.operation.endswith(".query") and asked.get("entity"):
        where = f" where {asked['filter']}" if asked.get("filter") else ""
        return f"each record of {asked['entity']} in {saved.connection}{where}"[:500]
    if saved.operation.endswith(".query") and asked.get("query"):
        return f"each row that {saved.connection} returns for {asked['query']}"[:500]
    return f"each row that {saved.operation} of {saved.connection} returns"


def _drift(rule: DriftRule) -> str:
    if rule.check == "required":
        return f"“{rule.field}” is empty" + (f" once “{rule.by}” is done" if rule.by else "")
    if rule.check == "blocked":
        return f"“{rule.field}” is one of {', '.join(rule.values[:5])}"
    if rule.first == rule.second:
        return f"one person did “{rule.first}” more than once"
    return f"one person did both “{rule.first}” and “{rule.second}”"


def _pattern(rule: PatternRule) -> str:
    long = duration((rule.hours or 0) * 3600)
    if rule.pattern == "variant":
        return f"a case that goes {' → '.join(rule.path)}"
    if rule.pattern == "missing":
        if rule.before:
            return f"“{rule.before}” is reached without “{rule.activity}”"
        since = f"“{rule.after}”" if rule.after else "the start"
        return f"“{rule.activity}” does not follow within {long} of {since}"
    if rule.pattern == "loop":
        return f"“{rule.activity}” is done more than {often(rule.times)}"
    if rule.pattern == "starts_with":
        return f"a case that begins with “{rule.activity}”"
    if rule.pattern == "ends_with":
        return f"a case that ends with “{rule.activity}” (nothing follows for {long})"
    if rule.pattern == "after_end":
        return f"something is done after “{rule.activity}”"
    return (
        f"from “{rule.activity}” to {f'“{rule.then}”' if rule.then else 'whatever follows'} it takes more than {long}"
    )
