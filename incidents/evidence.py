"""Read the records that an incident is about, keep them as they stood, and offer them to expressions."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from time import monotonic
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from audit.clock import db_now
from audit.proofs import digest, moment
from connectors import gateway, registry
from connectors.base import Blocked, ConnectorError, NotFound, Read, Record, Unreachable
from connectors.models import Connection
from incidents import entities, tickets
from incidents.briefs import brief, note
from incidents.expressions import MAX_LIST, ExpressionFailed, compile_expression
from incidents.kinds import KindDefinition, Query, definition_of
from incidents.leases import Lease
from incidents.models import Evidence, Incident
from incidents.normal import clean

MAX_SIGNALS = 100


@dataclass(frozen=True)
class Finding:
    """The answer to one query: the records, or why there are none."""

    query: Query
    arguments: dict[str, Any]
    records: list[Record] = field(default_factory=list)
    call_id: int | None = None
    outcome: str = "read"  # read, none, skipped (its condition does not hold), unreadable
    reason: str = ""

    @property
    def value(self) -> Any:
        """What expressions see of it."""
        listed = [plain(record.fields) for record in self.records]
        return (listed[0] if listed else None) if self.query.one else listed


@dataclass(frozen=True)
class Collected:
    """One round of evidence: what was read, what could not be, and whether the source is already right."""

    round: int
    found: dict[str, int]
    unreadable: dict[str, str]
    healed: str = ""  # why there is nothing to mend; blank: there is, or nobody can tell


def collect(incident: Incident, *, actor: str, lease: Lease | None = None) -> Collected:
    """Read everything that the kind asks for and store it as a new round of evidence.

    All of a round is stored or none of it; with a ``lease``, only while that is ours: it is renewed before each read.
    Raises ``ConnectorError`` where a record that is not optional cannot be read, and ``LeaseLost``; must not be
    called inside a transaction.
    """
    definition = definition_of(incident.kind) if incident.kind is not None else None
    findings: list[Finding] = []
    unit = incident.business_unit
    # Before anything is read: what joins meanwhile may have come too late to be asked by.
    last_signal = incident.signals.aggregate(last=Max("pk"))["last"] or 0
    if definition is not None:
        variables: dict[str, Any] = {"incident": brief(incident), "signals": _signals(incident)}
        findings = ask(definition.evidence, variables, actor=actor, incident=incident.pk, lease=lease)
        unit = unit or _unit(definition, variables)
    if lease is not None:
        lease.renew()
    round_ = _store(incident, findings, definition, unit, actor=actor, last_signal=last_signal)
    if definition is not None and definition.tickets:
        tickets.learn(incident, definition, facts(incident, round_))
    unreadable = {finding.query.name: finding.reason for finding in findings if finding.outcome == "unreadable"}
    found = {finding.query.name: len(finding.records) for finding in findings}
    return Collected(round_, found, unreadable, _healed(definition, incident) if definition else "")


def ask(
    queries: list[Query],
    variables: dict[str, Any],
    *,
    actor: str,
    incident: int | None = None,
    lease: Lease | None = None,
) -> list[Finding]:
    """Answer queries in order; each may use the answers before it. ``variables`` grows by what was readable.

    What has not been begun after ``EVIDENCE_SECONDS`` counts as unreadable, with that as its reason.
    """
    end = monotonic() + settings.EVIDENCE_SECONDS
    connections = {row.slug: row for row in Connection.objects.filter(slug__in={query.connection for query in queries})}
    findings = []
    for query in queries:
        if lease is not None:
            lease.renew()
        if monotonic() >= end:
            reason = f"the {settings.EVIDENCE_SECONDS} seconds for reading evidence were over"
            finding = Finding(query, {}, outcome="unreadable", reason=reason)
        else:
            finding = _ask(query, variables, connections.get(query.connection), actor, incident)
        findings.append(finding)
        if finding.outcome != "unreadable":
            variables[query.name] = finding.value
    return findings


def _ask(
    query: Query, variables: dict[str, Any], connection: Connection | None, actor: str, incident: int | None
) -> Finding:
    arguments: dict[str, Any] = {}
    try:
        if query.condition is not None and not compile_expression(query.condition).holds(variables):
            return Finding(query, {}, outcome="skipped", reason="its condition does not hold")
        for name, value in query.arguments.items():
            arguments[name] = compile_expression(value).evaluate(variables) if isinstance(value, str) else value
        if any(value is None for value in arguments.values()):
            raise ExpressionFailed("what it would be asked by is not there")
    except ExpressionFailed as failure:
        return Finding(query, arguments, outcome="unreadable", reason=str(failure))
    try:
        if connection is None:
            raise Unreachable(f"There is no connection {query.connection}.")
        _declared(query, connection)
        answer = gateway.call(connection, query.operation, arguments, actor=actor, incident=incident)
    except NotFound:
        return Finding(query, arguments, outcome="none")
    except ConnectorError as error:
        if not query.optional:
            raise
        return Finding(query, arguments, outcome="unreadable", reason=str(error))
    return _kept(query, arguments, answer, variables)


def _declared(query: Query, connection: Connection) -> None:
    """Refuse a question in the system's own language: its text could be changed by what an incident brings along."""
    asked = registry.operation_of(connection, query.operation)
    if isinstance(asked, Read) and asked.query_language is not None:
        said = f"Evidence is read by declared reads, and {query.operation} of {connection.slug} is a free question."
        raise Blocked(f"{said} Name another read in the kind; detectors may ask freely.", code="operation")


def _kept(query: Query, arguments: dict[str, Any], answer: gateway.Answer, variables: dict[str, Any]) -> Finding:
    records = answer.records
    try:
        if query.filter is not None:
            keep = compile_expression(query.filter)
            records = [row for row in records if keep.holds({**variables, "row": plain(row.fields)})]
    except ExpressionFailed as failure:
        return Finding(query, arguments, call_id=answer.call.pk, outcome="unreadable", reason=str(failure))
    if query.one:
        records = records[:1]
    if len(records) > MAX_LIST:
        # A part of them would make a false "all" or a false "none".
        reason = f"{len(records)} records are more than can be looked through"
        return Finding(query, arguments, call_id=answer.call.pk, outcome="unreadable", reason=reason)
    return Finding(query, arguments, records, answer.call.pk, "read" if records else "none")


def plain(value: Any) -> Any:
    """Return ``value`` as JSON that reads back the same from both databases."""
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        # A JSON column of PostgreSQL gives large doubles back as whole numbers, and has no minus zero.
        return int(value) if abs(value) >= 1e15 or (value == 0 and str(value) == "-0.0") else value
    if isinstance(value, Mapping):
        return {str(clean(name)): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, datetime):
        return moment(value) if value.tzinfo else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return clean(value) if value is None or isinstance(value, str | int) else str(value)


def _unit(definition: KindDefinition, variables: dict[str, Any]) -> str:
    """Return the business unit that the records speak of, where no signal has named one; "" where they do not say."""
    try:
        found = compile_expression(definition.business_unit).evaluate(variables) if definition.business_unit else ""
    except ExpressionFailed:
        return ""
    return found if isinstance(found, str) else ""


def _store(
    incident: Incident,
    findings: list[Finding],
    definition: KindDefinition | None,
    unit: str,
    *,
    actor: str,
    last_signal: int,
) -> int:
    with transaction.atomic():
        now = db_now()
        last = incident.evidence.aggregate(last=Max("round"))["last"] or 0
        round_ = last + 1
        rows = [row for finding in findings for row in _rows(incident, finding, round_, now)]
        Evidence.objects.bulk_create(rows)
        if definition is not None and definition.entities:
            entities.learn(incident, rows, definition, unit=unit)
        kept = [{"name": row.name, "record": row.record_id, "digest": row.digest} for row in rows]
        data = {"round": round_, "evidence": kept, "last_signal": last_signal}
        note(incident, "evidence.collected", actor=actor, data=data)
    return round_


def _rows(incident: Incident, finding: Finding, round_: int, now: datetime) -> list[Evidence]:
    shared = {"incident": incident, "form": Evidence.Form.RECORD, "name": finding.query.name, "round": round_}
    if not finding.records:
        # That something was looked for and is not there is evidence too; it has no record id.
        content = plain(
            {
                "outcome": finding.outcome,
                "operation": finding.query.operation,
                "arguments": finding.arguments,
                "reason": finding.reason,
            }
        )
        return [
            Evidence(
                **shared,
                system=finding.query.connection,
                entity=finding.query.operation,
                record_id="",
                captured_at=now,
                digest=digest(content),
                content=content,
                call_id=finding.call_id,
            )
        ]
    return [
        Evidence(
            **shared,
            system=record.system,
            entity=record.entity,
            record_id=record.key,
            version=record.version,
            captured_at=now,
            digest=digest(content),
            content=content,
            url=record.url[:500],
            call_id=finding.call_id,
        )
        for record in finding.records
        if (content := plain(record.fields)) is not None
    ]


def is_dark(row: Evidence) -> bool:
    """Tell whether this says that something could not be read (and not that it is not there)."""
    return not row.record_id and row.content.get("outcome") == "unreadable"


def current_round(incident: Incident) -> int:
    """Return the number of the newest round of evidence; 0 before the first."""
    return incident.evidence.aggregate(last=Max("round"))["last"] or 0


def rows_of(incident: Incident, round_: int) -> dict[str, list[Evidence]]:
    """Return the records of a round by the name that the kind gives them, in the order in which they were read."""
    rows: dict[str, list[Evidence]] = {}
    for row in incident.evidence.filter(form=Evidence.Form.RECORD, round=round_).order_by("pk"):
        rows.setdefault(row.name, []).append(row)
    return rows


def facts(incident: Incident, round: int | None = None) -> dict[str, Any]:
    """Return what expressions may use: ``incident``, ``signals``, each piece of evidence by name, and ``derived``.

    A record that is not there is null (or an empty list). What could not be read is missing, so that an
    expression which needs it fails instead of guessing; so is a derived value that cannot be worked out.
    """
    variables: dict[str, Any] = {"incident": brief(incident), "signals": _signals(incident), "derived": {}}
    if incident.kind is None:
        return variables
    definition = definition_of(incident.kind)
    rows = rows_of(incident, current_round(incident) if round is None else round)
    for query in definition.evidence:
        found = rows.get(query.name, [])
        if not found or is_dark(found[0]):
            continue
        contents = [row.content for row in found if row.record_id]
        variables[query.name] = (contents[0] if contents else None) if query.one else contents
    return _with_derived(definition, variables)


def _with_derived(definition: KindDefinition, variables: dict[str, Any]) -> dict[str, Any]:
    for name, source in definition.derived.items():
        try:
            variables["derived"][name] = plain(compile_expression(source).evaluate(variables))
        except ExpressionFailed:
            continue
    return variables


def _signals(incident: Incident) -> list[dict[str, Any]]:
    # By what they say, not by when they came in: another database may have taken them in in another order.
    rows = incident.evidence.filter(form=Evidence.Form.SIGNAL)
    ordered = rows.order_by("signal__occurred_at", "system", "record_id")
    return list(ordered.values_list("content", flat=True)[:MAX_SIGNALS])


def _healed(definition: KindDefinition, incident: Incident) -> str:
    if definition.healed is None:
        return ""
    try:
        result = compile_expression(definition.healed).evaluate(facts(incident))
    except ExpressionFailed:
        return ""
    if isinstance(result, str):
        return result
    return "the source already says what it should." if result is True else ""
