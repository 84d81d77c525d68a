"""Patterns in a log: a variant, a missing step, a loop, something after the end, a slow step, a wrong start or end.

Every answer names the moment at which it could first be known, so that a look at any moment tells the same of the past.
"""

# ruff: noqa: S608 - the text is ours alone: columns, numbers and named queries; every value is a parameter

from collections.abc import Callable
from datetime import datetime

from insights.detectors.definitions import PatternRule
from insights.detectors.findings import MOST_FINDINGS, TOO_MANY, Finding, Looked
from insights.detectors.reading import LogReader, literal, moment, span
from insights.engines import Answer
from insights.mining.asking import number
from insights.mining.wording import duration

Question = tuple[str, dict[str, str]]


def look(rule: PatternRule, reader: LogReader, since: datetime) -> Looked:
    """Return the cases that went this way after ``since``. The newest are kept where there are too many."""
    sql, named = _QUESTIONS[rule.pattern](rule, reader)
    rows = reader.ask(
        f"SELECT f.case_no, f.found_at, f.measure FROM found f WHERE f.found_at > {literal(since)}"
        f" AND f.found_at <= {literal(reader.until)} ORDER BY f.found_at DESC, f.case_no LIMIT {MOST_FINDINGS + 1}",
        **named,
        found=sql,
    )
    cases = number(reader.ask("SELECT count(DISTINCT k.case_no) FROM known k")[0][0])
    found = tuple(_finding(rule, row) for row in reversed(rows[:MOST_FINDINGS]))
    notes = (TOO_MANY,) if len(rows) > MOST_FINDINGS else ()
    return Looked(reader.with_values(found), reader.until, judged=cases, notes=notes)


def _finding(rule: PatternRule, row: Answer | tuple[object, ...]) -> Finding:
    case_no, at, measure = row
    amount = float(measure) if measure is not None else 0.0  # type: ignore[arg-type] # a number in every question
    return Finding(
        key=rule.pattern,
        at=moment(at),  # type: ignore[arg-type] # as above, a time
        entity="",
        text=_WORDS[rule.pattern](rule, amount),
        score=amount or 1.0,
        case_no=int(str(case_no)),
        facts={"measure": amount, "pattern": rule.pattern},
    )


def _variant(rule: PatternRule, reader: LogReader) -> Question:
    steps = " OR ".join(
        f"(k.position = {at} AND k.activity = {reader.number(name)})" for at, name in enumerate(rule.path, 1)
    )
    return (
        "SELECT k.case_no AS case_no, max(k.at) AS found_at, NULL AS measure FROM known k"
        f" WHERE {steps} GROUP BY k.case_no HAVING count(*) = {len(rule.path)}"
    ), {}


def _missing(rule: PatternRule, reader: LogReader) -> Question:
    wanted = reader.number(rule.activity)
    if rule.before:
        # The step before which it must stand has come, and it has not.
        named = {"reached": _first(f"k.activity = {reader.number(rule.before)}")}
        return (
            "SELECT r.case_no AS case_no, r.first_at AS found_at, NULL AS measure FROM reached r WHERE NOT EXISTS"
            f" (SELECT 1 FROM known k WHERE k.case_no = r.case_no AND k.activity = {wanted} AND k.position < r.place)"
        ), named
    start = f"k.activity = {reader.number(rule.after)}" if rule.after else "k.position = 1"
    late = span((rule.hours or 0) * 3600)
    return (
        f"SELECT r.case_no AS case_no, r.first_at + {late} AS found_at, NULL AS measure FROM reached r WHERE NOT EXISTS"
        f" (SELECT 1 FROM known k WHERE k.case_no = r.case_no AND k.activity = {wanted} AND k.position > r.place"
        f" AND k.at <= r.first_at + {late})"
    ), {"reached": _first(start)}


def _first(condition: str) -> str:
    return (
        "SELECT k.case_no AS case_no, min(k.position) AS place, min(k.at) AS first_at FROM known k"
        f" WHERE {condition} GROUP BY k.case_no"
    )


def _loop(rule: PatternRule, reader: LogReader) -> Question:
    counted = (
        "SELECT k.case_no AS case_no, k.at AS happened_at,"
        " row_number() OVER (PARTITION BY k.case_no ORDER BY k.position) AS nth"
        f" FROM known k WHERE k.activity = {reader.number(rule.activity)}"
    )
    return (
        "SELECT n.case_no AS case_no, n.happened_at AS found_at, n.nth AS measure FROM counted n"
        f" WHERE n.nth = {rule.times + 1}"
    ), {"counted": counted}


def _after_end(rule: PatternRule, reader: LogReader) -> Question:
    return (
        "SELECT k.case_no AS case_no, min(k.at) AS found_at, NULL AS measure FROM known k JOIN reached r"
        " ON r.case_no = k.case_no WHERE k.position > r.place GROUP BY k.case_no"
    ), {"reached": _first(f"k.activity = {reader.number(rule.activity)}")}


def _slow(rule: PatternRule, reader: LogReader) -> Question:
    seconds = (rule.hours or 0) * 3600
    here = f"k.activity = {reader.number(rule.activity)}"
    if rule.then:
        # Only once the step has come is it known that it came directly.
        arrived = (
            "SELECT k.case_no AS case_no, m.at AS found_at, k.gap AS gap FROM known k JOIN known m"
            f" ON m.case_no = k.case_no AND m.position = k.position + 1 WHERE {here}"
            f" AND m.activity = {reader.number(rule.then)} AND k.gap > {seconds}"
        )
        return (
            "SELECT a.case_no AS case_no, min(a.found_at) AS found_at, arg_min(a.gap, a.found_at) AS measure"
            " FROM arrived a GROUP BY a.case_no"
        ), {"arrived": arrived}
    return (
        f"SELECT k.case_no AS case_no, min(k.at) + {span(seconds)} AS found_at, {seconds} AS measure FROM known k"
        f" WHERE {here} AND (k.gap > {seconds} OR k.gap IS NULL) GROUP BY k.case_no"
    ), {}


def _starts_with(rule: PatternRule, reader: LogReader) -> Question:
    return (
        "SELECT k.case_no AS case_no, k.at AS found_at, NULL AS measure FROM known k"
        f" WHERE k.position = 1 AND k.activity = {reader.number(rule.activity)}"
    ), {}


def _ends_with(rule: PatternRule, reader: LogReader) -> Question:
    """A case counts as ended once it was silent for so long; what comes later does not undo that it was so then."""
    return _slow(rule.model_copy(update={"then": ""}), reader)


def _missing_words(rule: PatternRule, _: float) -> str:
    if rule.before:
        return f"“{rule.before}” was reached without “{rule.activity}”."
    since = f"“{rule.after}”" if rule.after else "the start"
    return f"“{rule.activity}” did not follow within {duration((rule.hours or 0) * 3600)} of {since}."


def _slow_words(rule: PatternRule, seconds: float) -> str:
    if rule.then:
        return f"From “{rule.activity}” to “{rule.then}” it took {duration(seconds)}."
    return f"Nothing followed “{rule.activity}” for {duration(seconds)}."


def often(times: int) -> str:
    """Return how often, as a sentence says it."""
    return "once" if times == 1 else f"{times:,} times"


_QUESTIONS: dict[str, Callable[[PatternRule, LogReader], Question]] = {
    "variant": _variant,
    "missing": _missing,
    "loop": _loop,
    "after_end": _after_end,
    "slow": _slow,
    "starts_with": _starts_with,
    "ends_with": _ends_with,
}
_WORDS: dict[str, Callable[[PatternRule, float], str]] = {
    "variant": lambda rule, _: f"It went this way: {' → '.join(rule.path)}."[:500],
    "missing": _missing_words,
    "loop": lambda rule, _: f"“{rule.activity}” was done more than {often(rule.times)}.",
    "after_end": lambda rule, _: f"Something was done after “{rule.activity}”, which should end it.",
    "slow": _slow_words,
    "starts_with": lambda rule, _: f"It began with “{rule.activity}”.",
    "ends_with": lambda rule, seconds: f"It ended with “{rule.activity}”: nothing followed for {duration(seconds)}.",
}
