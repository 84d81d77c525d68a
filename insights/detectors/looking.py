"""Look at the world as it was known at a moment and say what a definition finds. It can change nothing, anywhere.

This is all that a rehearsal shares with a run in earnest; who opens incidents stands in ``insights.detectors.raising``.
"""

# ruff: noqa: S608 - the text is ours alone: columns, numbers and named queries; every value is a parameter

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from audit.errors import Invalid
from incidents.expressions import ExpressionFailed, compile_expression
from incidents.normal import clean
from insights.detectors import anomaly, drift, duplicates, forecast, pattern, queries, series
from insights.detectors.definitions import (
    AnomalyRule,
    Definition,
    DriftRule,
    DuplicateRule,
    ForecastRule,
    PatternRule,
)
from insights.detectors.findings import MOST_FINDINGS, Finding, Looked
from insights.detectors.reading import LogReader, known_until, moment
from insights.mining.asking import number
from insights.models import EventLog

MOST_INVOICES = 200_000
MOST_DOUBTS = 20
# A rehearsal of a forecast looks so often at most, however often runs would; at a large log less often, so that a
# person who waits for the page still has it within seconds.
MOST_LOOKS = 30
LEAST_LOOKS = 6
EVENTS_OF_ALL_LOOKS = 10_000_000


@dataclass(frozen=True)
class World:
    """What a definition may look at: a log or nothing, the moment, and how far a saved query has read."""

    log: EventLog | None
    now: datetime
    business_unit: str = ""
    watermark: str = ""
    actor: str = "system:detector"

    def reader(self, definition: Definition) -> LogReader:
        """Return the log as it was known. Raises ``Invalid`` where there is none."""
        if self.log is None:
            message = "There is no log to look at: import it, or choose another."
            raise Invalid(message, {"log": [message]})
        return LogReader(self.log, known_until(self.log, self.now), definition.filter)


def look(definition: Definition, world: World, since: datetime, *, replay: bool = False) -> Looked:
    """Return what became known after ``since`` and up to the world's moment, and holds under the condition.

    With ``replay`` a forecast is made at each moment of the span, not at its end alone. Raises ``Refusal`` where the
    log or the connection cannot be asked.
    """
    looked = _by_rule(definition, world, since, replay)
    kept, doubts = _judged(definition, tuple(_storable(one) for one in looked.findings))
    within = tuple(one for one in kept if since < one.at <= looked.until)
    return replace(looked, findings=_sorted(within)[-MOST_FINDINGS:], doubts=(*looked.doubts, *doubts))


def _storable(one: Finding) -> Finding:
    return replace(one, key=clean(one.key), entity=clean(one.entity), text=clean(one.text))


def _sorted(found: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return tuple(sorted(found, key=lambda one: (one.at, one.key)))


def _by_rule(definition: Definition, world: World, since: datetime, replay: bool) -> Looked:
    rule = definition.rule
    if isinstance(rule, AnomalyRule):
        return _anomaly(rule, definition, world, since)
    if isinstance(rule, ForecastRule):
        reader = world.reader(definition)
        return forecast.replay(rule, list(_moments(definition, reader, since)), since) if replay else forecast.look(
            rule, reader, since
        )  # fmt: skip
    if isinstance(rule, PatternRule):
        return pattern.look(rule, world.reader(definition), since)
    if isinstance(rule, DuplicateRule):
        return _duplicates(rule, definition, world, since)
    if isinstance(rule, DriftRule) and rule.query is None:
        return drift.look(rule, world.reader(definition), since)
    looked = _rows(definition, world, since)
    return replace(looked, findings=drift.of_rows(rule, looked.findings)) if isinstance(rule, DriftRule) else looked


def _anomaly(rule: AnomalyRule, definition: Definition, world: World, since: datetime) -> Looked:
    if rule.series.of_log:
        reader = world.reader(definition)
        return anomaly.look(rule, series.of_log(rule.series, reader), since, reader.until)
    begin = since - series.STEP[rule.series.per] * (rule.window + rule.min_history + 1)
    unit = world.business_unit
    return anomaly.look(
        rule, series.of_rows(rule.series, since=begin, until=world.now, business_unit=unit), since, world.now
    )


def _moments(definition: Definition, reader: LogReader, since: datetime) -> Iterator[LogReader]:
    """Yield the log as it was known at each look of the span, the last at its end."""
    whole = max(reader.until - since, timedelta(0))
    apart = max(timedelta(minutes=definition.limits.every_minutes), timedelta(days=1), whole / _most_looks(reader.log))
    looks = int(whole / apart)
    for back in range(looks - 1, -1, -1):
        yield replace(reader, until=reader.until - apart * back)
    if not looks:
        yield reader


def _most_looks(log: EventLog) -> int:
    return max(LEAST_LOOKS, min(MOST_LOOKS, EVENTS_OF_ALL_LOOKS // max(log.events, 1)))


def _rows(definition: Definition, world: World, since: datetime) -> Looked:
    saved = definition.saved
    if saved is None:
        raise AssertionError("a rule of rows has a saved query")
    rows = queries.ask(saved, watermark=world.watermark, now=world.now, actor=world.actor, since=since)
    if rows.stuck:
        raise queries.CannotRead(rows.stuck)
    rest = "the rest comes with the next run." if saved.watermark else (
        "the others are never looked at. Name a column that only grows, or ask for less."
    )  # fmt: skip
    notes = (f"More than {saved.max_rows:,} rows; {rest}",) if rows.cut else ()
    found = rows.findings
    return Looked(found, world.now, judged=len(found), notes=notes, watermark=rows.watermark)


def _duplicates(rule: DuplicateRule, definition: Definition, world: World, since: datetime) -> Looked:
    if rule.query is not None:
        looked = _rows(definition, world, since)
        given = [duplicates.invoice_of(rule, one.entity, one.values, one.at, None) for one in looked.findings]
        # Pairs lie across runs, so a saved query of invoices is read whole each time: it needs no watermark.
        pairs = duplicates.pairs([one for one in given if one is not None], rule)
        values = {one.entity: one for one in looked.findings}
        found = [
            replace(duplicates.finding(*pair), values=values[pair[1].key].values, evidence=(
                *values[pair[0].key].evidence, *values[pair[1].key].evidence
            )) for pair in pairs
        ]  # fmt: skip
        return replace(looked, findings=tuple(found))
    reader = world.reader(definition)
    invoices, cut = _invoices(rule, reader)
    pairs = [pair for pair in duplicates.pairs(invoices, rule) if pair[1].known > since]
    notes = (f"More than {MOST_INVOICES:,} invoices; only the newest were compared.",) if cut else ()
    found = [duplicates.finding(*pair) for pair in pairs[-MOST_FINDINGS:]]
    told = reader.values([one.case_no for one in found if one.case_no is not None])
    whole = tuple(replace(one, values=told.get(one.case_no or 0, {})) for one in found)
    return Looked(whole, reader.until, judged=len(invoices), notes=notes)


def _invoices(rule: DuplicateRule, reader: LogReader) -> tuple[list[duplicates.Invoice], bool]:
    """Return the cases that are invoices, from the attributes of the case or of its events."""
    fields = rule.fields
    wanted = [name for name in dict.fromkeys((fields.party, fields.amount, fields.reference, fields.date,
                                              fields.currency, *fields.apart)) if name]  # fmt: skip
    parts = []
    for name in wanted:
        where, level, _ = reader.column(name, "rule.fields")
        parts.append(f"max(c.{where})" if level == "case" else f"arg_min(k.{where}, k.position)")
    rows = reader.ask(
        f"SELECT k.case_no, max(c.case_id), min(k.at) AS begun, {', '.join(parts)} FROM known k"
        " JOIN chosen c ON c.case_no = k.case_no GROUP BY k.case_no"
        f" ORDER BY begun DESC, k.case_no LIMIT {MOST_INVOICES + 1}"
    )
    found = [
        duplicates.invoice_of(
            rule, str(row[1]), dict(zip(wanted, row[3:], strict=True)), moment(row[2]), number(row[0])
        )
        for row in rows[:MOST_INVOICES]
    ]
    return [one for one in found if one is not None], len(rows) > MOST_INVOICES


def variables(found: Finding) -> dict[str, object]:
    """Return what a condition and a text may name of a finding."""
    told = {
        "key": found.key,
        "entity": found.entity,
        "score": found.score,
        "text": found.text,
        "at": found.at.isoformat(),
    }
    return {"case": found.values, "row": found.values, "finding": {**told, **found.facts}}


def _judged(definition: Definition, found: tuple[Finding, ...]) -> tuple[tuple[Finding, ...], list[str]]:
    if definition.when == "true":
        return found, []
    condition = compile_expression(definition.when)
    kept, doubts = list[Finding](), list[str]()
    for one in found:
        try:
            if condition.holds(variables(one)):
                kept.append(one)
        except ExpressionFailed as failure:
            doubts.append(f"{one.entity}: {failure}")
    more = len(doubts) - MOST_DOUBTS
    return tuple(kept), [*doubts[:MOST_DOUBTS], *([f"… and {more} more"] if more > 0 else [])]


def events_before(definition: Definition, world: World, found: Finding) -> tuple[dict[str, object], ...]:
    """Return the evidence that a finding rests on, by value."""
    if found.evidence or found.case_no is None:
        return found.evidence
    reader = world.reader(definition)
    told = [one for case_no in found.others for one in reader.events(case_no, found.at)]
    return (*told, *reader.events(found.case_no, found.at))
