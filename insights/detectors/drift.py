"""Compliance drift: a field that must be filled, a value that must not occur, one person where two are needed."""

# ruff: noqa: S608 - the text is ours alone: columns, numbers and named queries; every value is a parameter

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from insights.detectors.definitions import DriftRule
from insights.detectors.findings import MOST_FINDINGS, TOO_MANY, Finding, Looked
from insights.detectors.reading import LogReader, literal, moment
from insights.engines import Value
from insights.mining.asking import number
from insights.mining.attributes import typed
from insights.mining.duties import resource_of

_FIRST = "SELECT k.case_no AS case_no, min(k.at) AS first_at FROM known k GROUP BY k.case_no"


def look(rule: DriftRule, reader: LogReader, since: datetime) -> Looked:
    """Return the cases that broke the rule after ``since``; the newest where there are too many."""
    sql, parameters, named = {"required": _required, "blocked": _blocked, "duty": _duty}[rule.check](rule, reader)
    rows = reader.ask(
        f"SELECT f.case_no, f.found_at, f.told FROM found f WHERE f.found_at > {literal(since)}"
        f" ORDER BY f.found_at DESC, f.case_no LIMIT {MOST_FINDINGS + 1}",
        parameters,
        **named,
        found=sql,
    )
    cases = number(reader.ask("SELECT count(DISTINCT k.case_no) FROM known k")[0][0])
    found = [
        Finding(
            key=f"drift:{rule.check}",
            at=moment(at),
            entity="",
            text=_words(rule, told),
            case_no=number(case_no),
            facts={"check": rule.check, "told": None if told is None else str(told)},
        )
        for case_no, at, told in reversed(rows[:MOST_FINDINGS])
    ]
    notes = (TOO_MANY,) if len(rows) > MOST_FINDINGS else ()
    return Looked(reader.with_values(found), reader.until, judged=cases, notes=notes)


Question = tuple[str, tuple[Value, ...], dict[str, str]]


def _empty(where: str, kind: str) -> str:
    return f"({where} IS NULL OR {where} = '')" if kind == "text" else f"{where} IS NULL"


def _required(rule: DriftRule, reader: LogReader) -> Question:
    where, level, kind = reader.column(rule.field, "rule.field")
    at_step = f"WHERE k.activity = {reader.number(rule.by)}" if rule.by else ""
    reached = (
        "SELECT k.case_no AS case_no, min(k.position) AS place, min(k.at) AS first_at FROM known k"
        f" {at_step} GROUP BY k.case_no"
    )
    if level == "case":
        return (
            (
                "SELECT r.case_no AS case_no, r.first_at AS found_at, NULL AS told FROM reached r JOIN chosen c"
                f" ON c.case_no = r.case_no WHERE {_empty(f'c.{where}', kind)}"
            ),
            (),
            {"reached": reached},
        )
    # An attribute of events: by that step, no event of the case has told it.
    return (
        (
            "SELECT r.case_no AS case_no, r.first_at AS found_at, NULL AS told FROM reached r WHERE NOT EXISTS"
            " (SELECT 1 FROM known k WHERE k.case_no = r.case_no AND k.position <= r.place"
            f" AND NOT {_empty(f'k.{where}', kind)})"
        ),
        (),
        {"reached": reached},
    )


def _blocked(rule: DriftRule, reader: LogReader) -> Question:
    where, level, kind = reader.column(rule.field, "rule.field")
    values = tuple(typed(kind, value) for value in rule.values)
    listed = ", ".join("?" for _ in values)
    if level == "case":
        return (
            (
                f"SELECT c.case_no AS case_no, r.first_at AS found_at, CAST(c.{where} AS VARCHAR) AS told FROM chosen c"
                f" JOIN reached r ON r.case_no = c.case_no WHERE c.{where} IN ({listed})"
            ),
            values,
            {"reached": _FIRST},
        )
    return (
        (
            "SELECT k.case_no AS case_no, min(k.at) AS found_at,"
            f" CAST(arg_min(k.{where}, k.position) AS VARCHAR) AS told"
            f" FROM known k WHERE k.{where} IN ({listed}) GROUP BY k.case_no"
        ),
        values,
        {},
    )


def _duty(rule: DriftRule, reader: LogReader) -> Question:
    where, level, _ = reader.column(rule.person or resource_of(reader.log), "rule.person")
    first, second = reader.number(rule.first), reader.number(rule.second)
    if level == "case":
        return "SELECT NULL AS case_no, NULL AS found_at, NULL AS told WHERE 1 = 0", (), {}
    done = (
        f"SELECT k.case_no AS case_no, k.activity AS activity, k.{where} AS person, k.at AS happened_at,"
        f" k.position AS place FROM known k WHERE k.{where} IS NOT NULL AND k.{where} <> ''"
        f" AND k.activity IN ({first}, {second})"
    )
    apart = "y.place > x.place" if first == second else f"x.activity = {first} AND y.activity = {second}"
    both = (
        "SELECT x.case_no AS case_no, x.person AS person, greatest(x.happened_at, y.happened_at) AS both_at"
        " FROM done x"
        f" JOIN done y ON y.case_no = x.case_no AND y.person = x.person WHERE {apart}"
    )
    return (
        (
            "SELECT b.case_no AS case_no, min(b.both_at) AS found_at, arg_min(b.person, b.both_at) AS told"
            " FROM both_done b GROUP BY b.case_no"
        ),
        (),
        {"done": done, "both_done": both},
    )


def _words(rule: DriftRule, told: object) -> str:
    if rule.check == "required":
        return f"“{rule.field}” is empty" + (f" although “{rule.by}” is done." if rule.by else ".")
    if rule.check == "blocked":
        return f"“{rule.field}” is {told}, which must not occur."
    if rule.first == rule.second:
        return f"{told} did “{rule.first}” more than once; two people are needed."
    return f"{told} did both “{rule.first}” and “{rule.second}”."


def of_rows(rule: DriftRule, rows: Iterable[Finding]) -> tuple[Finding, ...]:
    """Keep the rows that break the rule, each with what is wrong."""
    kept = []
    for row in rows:
        told = _broken(rule, row.values)
        if told is not None:
            kept.append(replace(row, key=f"drift:{rule.check}:{row.key}"[:300], text=_words(rule, told)))
    return tuple(kept)


def _broken(rule: DriftRule, values: dict[str, Any]) -> str | None:
    """Return what is wrong with a row, ``None`` where nothing is."""
    if rule.check == "required":
        return "" if values.get(rule.field) in (None, "") else None
    if rule.check == "blocked":
        found = values.get(rule.field)
        return str(found) if found is not None and str(found) in rule.values else None
    one, other = values.get(rule.first), values.get(rule.second)
    return str(one) if one not in (None, "") and one == other else None
