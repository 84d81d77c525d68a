"""The built-in analyst: tests every cause that a kind names against the evidence, and shows what ruled the others out.

No model, no chance, no clock: the same evidence gives the same words in any process and on any database.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from audit.clock import db_now
from audit.proofs import digest
from incidents import triage
from incidents.briefs import note
from incidents.evidence import current_round, facts, rows_of
from incidents.expressions import ExpressionFailed, compile_expression, render, shown
from incidents.kinds import Cause, Check, definition_of
from incidents.kinds import Statement as Claim
from incidents.models import Citation, Evidence, Incident, RootCause, Statement

ENGINE = "built-in"
MAX_CITED = 20  # records per check; a longer list is cited by its first ones
Verdict = Statement.Verdict
# What differs between two databases although the problem is the same.
_OURS = frozenset({"id", "status", "signals_count", "severity", "title", "opened_at"})


@dataclass
class _Basis:
    """The evidence of one round: as expressions see it, and row by row."""

    incident: Incident
    round: int
    variables: dict[str, Any]
    rows: dict[str, list[Evidence]]


@dataclass
class _Tested:
    """One statement and what became of its checks."""

    claim: Claim
    verdict: Verdict
    text: str
    refuted_by: str = ""
    citations: list[Citation] = field(default_factory=list)


@dataclass
class _Result:
    """One cause and what became of its statements."""

    cause: Cause
    statements: list[_Tested]

    @property
    def verdict(self) -> Verdict:
        """It holds when all statements do; one that is refuted rules it out."""
        verdicts = {tested.verdict for tested in self.statements}
        if Verdict.RULED_OUT in verdicts:
            return Verdict.RULED_OUT
        return Verdict.UNTESTED if Verdict.UNTESTED in verdicts else Verdict.HOLDS


def diagnose(incident: Incident, *, actor: str) -> RootCause:
    """Find the cause in the newest round of evidence and store it, with what was ruled out and what stayed untested.

    The first cause in the kind's order that holds is the one. Asked again over the same evidence, the
    stored answer is returned. Severity, amounts and queue are then judged anew with what is known now.
    """
    round_ = current_round(incident)
    basis = _Basis(incident, round_, facts(incident, round_), rows_of(incident, round_))
    inputs = _inputs(basis)
    before = incident.root_causes.filter(engine=ENGINE).order_by("-round").first()
    if before is None or before.inputs_digest != inputs or before.round < round_:
        definition = definition_of(incident.kind) if incident.kind is not None else None
        results = [_test(cause, basis) for cause in definition.causes] if definition else []
        before = _store(basis, results, inputs, actor)
    triage.triage(incident, actor=actor)
    return before


def verify(root_cause: RootCause) -> list[Citation]:
    """Evaluate every citation again and return those that no longer hold.

    A citation holds when its record is as it was captured (digest), says the cited value, and the check
    comes out as it did.
    """
    rounds: dict[int, _Basis] = {}
    broken = []
    rows = Citation.objects.filter(statement__root_cause=root_cause).select_related("evidence").order_by("pk")
    incident = root_cause.incident
    for citation in rows:
        round_ = citation.claim.get("round", 0)
        if round_ not in rounds:
            rounds[round_] = _Basis(incident, round_, facts(incident, round_), {})
        if not _still(citation, rounds[round_]):
            broken.append(citation)
    return broken


def _still(citation: Citation, basis: _Basis) -> bool:
    row = citation.evidence
    if row.incident_id != basis.incident.pk or digest(row.content) != row.digest:
        return False
    if citation.field and row.content.get(citation.field) != citation.value:
        return False
    result, _ = _outcome(citation.claim["check"], basis)
    return result is bool(citation.claim["result"])


def _test(cause: Cause, basis: _Basis) -> _Result:
    return _Result(cause, [_claim(claim, basis) for claim in cause.statements])


def _claim(claim: Claim, basis: _Basis) -> _Tested:
    tested = _Tested(claim, Verdict.HOLDS, render(claim.text, basis.variables))
    failed: list[str] = []
    for check in claim.checks:
        result, why = _outcome(check.check, basis)
        if result is None:
            failed.append(why)
            continue
        cited = _citations(check, result, basis)
        if not result:
            # The refuting record is what a reader needs; what spoke for the claim until then is beside the point.
            return _Tested(claim, Verdict.RULED_OUT, tested.text, _refutation(cited), cited)
        tested.citations += cited
    if failed:
        return _Tested(claim, Verdict.UNTESTED, tested.text, f"Could not be tested: {'; '.join(failed)}.")
    return tested


def _outcome(source: str, basis: _Basis) -> tuple[bool | None, str]:
    try:
        return compile_expression(source).holds(basis.variables), ""
    except ExpressionFailed as failure:
        return None, str(failure)


def _citations(check: Check, result: bool, basis: _Basis) -> list[Citation]:
    return [
        Citation(
            evidence=row,
            field=name,
            value=row.content.get(name) if name else None,
            claim={"check": check.check, "cites": cite, "result": result, "round": basis.round},
        )
        for cite in check.cites
        for row, name in _cited(cite, basis)
    ]


def _cited(cite: str, basis: _Basis) -> Iterable[tuple[Evidence, str]]:
    name, _, path = cite.partition(".")
    rows = basis.rows.get(name, [])
    if name == "signals":
        rows = list(
            basis.incident.evidence.filter(form=Evidence.Form.SIGNAL).order_by("system", "record_id")[:MAX_CITED]
        )
    return ((row, path if row.record_id else "") for row in rows[:MAX_CITED])


def _refutation(citations: list[Citation]) -> str:
    words = list(dict.fromkeys(_words(citation) for citation in citations))
    return "; ".join(words) + "." if words else "The evidence says otherwise."


def _words(citation: Citation) -> str:
    row = citation.evidence
    if not row.record_id:
        return f"{row.system} has no {row.name.replace('_', ' ')} here ({row.entity})"
    if not citation.field:
        return f"{row.entity} {row.record_id} is there"
    value = "nothing" if citation.value in (None, "") else shown(citation.value)
    return f"{row.entity} {row.record_id} says {citation.field} is {value}"


def _inputs(basis: _Basis) -> str:
    kind = basis.incident.kind
    about = {name: value for name, value in basis.variables["incident"].items() if name not in _OURS}
    records = [
        [row.name, row.system, row.record_id, row.version, row.digest] for rows in basis.rows.values() for row in rows
    ]
    return digest(
        {
            "kind": kind.definition if kind else None,
            "facts": {**basis.variables, "incident": about},
            "evidence": records,
        }
    )


def _store(basis: _Basis, results: list[_Result], inputs: str, actor: str) -> RootCause:
    incident = basis.incident
    held = [result for result in results if result.verdict is Verdict.HOLDS]
    summary = _summary(held[0]) if held else _nothing(basis, results)
    with transaction.atomic():
        taken = incident.root_causes.order_by("-round").values_list("round", flat=True).first() or 0
        found = RootCause.objects.create(
            incident=incident,
            round=max(basis.round, taken + 1),
            engine=ENGINE,
            cause=held[0].cause.id if held else "",
            summary=summary,
            kind_version=incident.kind.version if incident.kind else 1,
            created_at=db_now(),
            inputs_digest=inputs,
        )
        _store_statements(found, [*held, *(result for result in results if result not in held)])
        data = {"round": found.round, "cause": found.cause, "inputs": inputs}
        note(
            incident,
            "incident.cause_found" if held else "incident.cause_not_found",
            actor=actor,
            reason=summary,
            data=data,
        )
    return found


def _store_statements(found: RootCause, results: list[_Result]) -> None:
    statements: list[Statement] = []
    citations: list[Citation] = []
    for result in results:
        for tested in result.statements:
            # Of a cause that is out, what happened to be true explains nothing.
            if tested.verdict is Verdict.HOLDS and result.verdict is not Verdict.HOLDS:
                continue
            row = Statement(
                root_cause=found,
                number=len(statements) + 1,
                hypothesis=result.cause.id,
                text=tested.text,
                grade=tested.claim.grade,
                verdict=tested.verdict,
                author=ENGINE,
                refuted_by=tested.refuted_by,
            )
            statements.append(row)
            for citation in tested.citations:
                citation.statement = row
                citations.append(citation)
    Statement.objects.bulk_create(statements)
    Citation.objects.bulk_create(citations)


def _summary(result: _Result) -> str:
    return f"{result.cause.label.rstrip('.')}. " + " ".join(tested.text for tested in result.statements)


def _nothing(basis: _Basis, results: list[_Result]) -> str:
    """Say what was looked at, so that a person can go on from there."""
    out = [result.cause.label for result in results if result.verdict is Verdict.RULED_OUT]
    open_ = [result.cause.label for result in results if result.verdict is Verdict.UNTESTED]
    parts = ["No cause found."]
    if not results:
        parts.append("No causes are described for this kind of exception.")
    if out:
        parts.append(f"Ruled out: {', '.join(out)}.")
    if open_:
        parts.append(f"Could not be tested: {', '.join(open_)}.")
    return " ".join([*parts, _visible(basis.rows)])


def _visible(rows: Mapping[str, list[Evidence]]) -> str:
    seen = [f"{row.entity} {row.record_id}" for found in rows.values() for row in found[:3] if row.record_id]
    dark = [
        name
        for name, found in rows.items()
        if found[0].content.get("outcome") == "unreadable" and not found[0].record_id
    ]
    words = f"Looked at: {', '.join(seen)}." if seen else "Nothing but the signals could be looked at."
    return f"{words} Not readable: {', '.join(dark)}." if dark else words


def as_data(root_cause: RootCause) -> dict[str, Any]:
    """Return the whole answer without row numbers and times: what must be the same everywhere."""
    return {
        "engine": root_cause.engine,
        "cause": root_cause.cause,
        "summary": root_cause.summary,
        "inputs": root_cause.inputs_digest,
        "statements": [
            {
                "hypothesis": statement.hypothesis,
                "text": statement.text,
                "grade": statement.grade,
                "verdict": statement.verdict,
                "refuted_by": statement.refuted_by,
                "citations": [
                    [row.evidence.system, row.evidence.entity, row.evidence.record_id, row.field, row.value, row.claim]
                    for row in statement.citations.select_related("evidence")
                ],
            }
            for statement in root_cause.statements.all()
        ],
    }
