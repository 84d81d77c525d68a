"""Hold a definition against the log and the connection that it names, before it is kept."""

from collections.abc import Iterator

from audit.errors import Invalid
from incidents.models import Calendar
from insights.detectors import queries
from insights.detectors.definitions import (
    AnomalyRule,
    Definition,
    DriftRule,
    DuplicateRule,
    ForecastRule,
    PatternRule,
)
from insights.detectors.reading import check_filter
from insights.mining.asking import NotReady, names
from insights.mining.attributes import column, typed
from insights.mining.duties import NoResource, resource_of
from insights.models import EventLog

Fault = tuple[str, str]


def check(definition: Definition, log: EventLog | None) -> dict[str, list[str]]:
    """Say, by the path of each field, what cannot be watched; empty: all can. A log yet to come is not asked."""
    found: dict[str, list[str]] = {}
    for path, message in _faults(definition, log):
        found.setdefault(path, []).append(message)
    if definition.saved is not None:
        found |= queries.check(definition.saved)
    return found


def _faults(definition: Definition, log: EventLog | None) -> Iterator[Fault]:
    rule = definition.rule
    if isinstance(rule, ForecastRule) and rule.calendar and not Calendar.objects.filter(slug=rule.calendar).exists():
        yield "rule.calendar", f"There is no calendar “{rule.calendar}”."
    if not definition.of_log:
        if definition.filter:
            yield "filter", "Only the cases of a log can be filtered; use a condition."
        return
    if log is None:
        return
    try:
        known = set(names(log).numbers)
    except NotReady as waiting:
        yield "log", str(waiting)
        return
    yield from ((path, f"The log has no activity “{name[:100]}”.") for path, name in _activities(definition)
                if name and name not in known)  # fmt: skip
    yield from _attributes(definition, log)
    try:
        check_filter(log, definition.filter)
    except Invalid as wrong:
        yield "filter", " ".join(text for texts in wrong.errors.values() for text in texts) or str(wrong)


def _activities(definition: Definition) -> Iterator[Fault]:
    """Yield each activity that a rule names, with its place."""
    rule = definition.rule
    if isinstance(rule, PatternRule):
        yield from ((f"rule.{name}", getattr(rule, name)) for name in ("activity", "before", "after", "then"))
        yield from ((f"rule.path.{at}", name) for at, name in enumerate(rule.path))
    elif isinstance(rule, ForecastRule):
        yield from ((f"rule.ends.{at}", name) for at, name in enumerate(rule.ends))
    elif isinstance(rule, DriftRule):
        yield "rule.by", rule.by
        if rule.check == "duty":
            yield from (("rule.first", rule.first), ("rule.second", rule.second))
    elif isinstance(rule, AnomalyRule):
        yield "rule.series.activity", rule.series.activity
        yield from ((f"rule.series.ends.{at}", name) for at, name in enumerate(rule.series.ends))


def _attributes(definition: Definition, log: EventLog) -> Iterator[Fault]:
    held = {str(one["name"]): str(one["level"]) for one in log.attributes}
    rule, opens = definition.rule, definition.opens
    named: list[Fault] = []
    if isinstance(rule, DriftRule):
        named += [("rule.field", rule.field), ("rule.person", rule.person)]
        yield from _duty(rule, log)
        yield from _values(rule, log)
    elif isinstance(rule, DuplicateRule):
        fields = rule.fields
        named += [(f"rule.fields.{name}", getattr(fields, name)) for name in ("party", "amount", "reference", "date")]
    for path, name in named:
        if name and name not in held:
            yield path, f"The log has no attribute “{name[:100]}”."
    of_cases = [(f"opens.{part}", getattr(opens, part)) for part in ("entity", "amount", "business_unit", "region")]
    for path, name in [*of_cases, *((f"opens.attributes.{one}", name) for one, name in opens.attributes.items())]:
        if name and name != "case" and held.get(name) != "case":
            yield path, f"“{name[:100]}” is no attribute of this log's cases."


def _duty(rule: DriftRule, log: EventLog) -> Iterator[Fault]:
    if rule.check != "duty":
        return
    try:
        person = rule.person or resource_of(log)
        if column(log, person)[1] != "event":
            yield "rule.person", "Who did it must be told by the events, not by the case."
    except NoResource as unknown:
        yield "rule.person", str(unknown)
    except KeyError:
        return  # named as an unknown attribute elsewhere


def _values(rule: DriftRule, log: EventLog) -> Iterator[Fault]:
    if rule.check != "blocked":
        return
    try:
        kind = column(log, rule.field)[2]
    except KeyError:
        return
    for at, value in enumerate(rule.values):
        try:
            typed(kind, value)
        except ValueError:
            yield f"rule.values.{at}", f"“{rule.field}” is a {kind}, which “{value[:100]}” is not."
