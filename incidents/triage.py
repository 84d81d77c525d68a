"""Say how urgent an incident is, what is at stake, whose it is, and why: by rules, the same every time."""

from decimal import Decimal
from typing import Any

from django.db import transaction

from incidents import confidence, sla
from incidents.evidence import current_round, facts, rows_of
from incidents.expressions import ExpressionFailed, compile_expression, number, render
from incidents.judgements import Decision
from incidents.kinds import KindDefinition, SeverityRule, definition_of
from incidents.models import Evidence, Incident, Queue
from incidents.moves import change
from incidents.states import SEVERITY_ORDER, Severity

FIRST_LOOK = "Sized up from its signals; the records are not read yet."


def triage(incident: Incident, *, actor: str) -> None:
    """Set severity, title, domain, amounts, revenue at risk and queue, each with its reason.

    Works with what is known: at first the signals, later the evidence too. Fills what the signals left
    blank and never overwrites what they said, nor what a person has said since.
    """
    definition = definition_of(incident.kind) if incident.kind is not None else None
    columns: dict[str, Any] = {}
    if definition is None:
        severity, because, rule = Severity.MEDIUM, "No exception kind says how urgent this is.", ""
    else:
        variables = facts(incident)
        columns |= _blanks(incident, definition, variables)
        columns |= _at_risk(incident, definition, columns)
        columns["title"] = _title(incident, definition, variables)
        seen = {**variables["incident"], **_seen(columns)}
        severity, because, rule = _severity(definition.severity, {**variables, "incident": seen})
    if incident.kind is not None and not incident.domain:
        columns["domain"] = incident.kind.domain
    domain = columns.get("domain", incident.domain)
    queue, why = route(
        domain,
        columns.get("business_unit", incident.business_unit),
        definition.queue if definition else None,
    )
    columns |= {"queue": queue, "queue_reason": why}
    settled = {row.subject: row for row in Decision.objects.filter(incident=incident)}
    if not _by_a_person(settled.get(Decision.Subject.SEVERITY)):
        columns |= {"severity": severity, "severity_rank": SEVERITY_ORDER[severity], "severity_reason": because}
    said = {
        str(Decision.Subject.SEVERITY): (str(severity), confidence.basis_of(incident.code, severity, rule)),
        str(Decision.Subject.DOMAIN): (domain, confidence.basis_of(incident.code, domain, "")),
    }
    news = {name: one for name, one in said.items() if _news(settled.get(name), one)}
    _write(incident, columns, because, actor, news)


def _write(
    incident: Incident, columns: dict[str, Any], because: str, actor: str, said: dict[str, tuple[str, str]]
) -> None:
    before, placed = incident.severity, (incident.business_unit, incident.region)
    with transaction.atomic():
        change(incident, "incident.assessed", actor=actor, reason=because, **columns)
        if said:
            confidence.decided(incident, said)
        if (incident.business_unit, incident.region) != placed:
            sla.choose_again(incident, before)
        elif incident.severity != before:
            sla.retime(incident, before)


def _by_a_person(made: Decision | None) -> bool:
    return made is not None and made.corrected_at is not None


def _news(made: Decision | None, said: tuple[str, str]) -> bool:
    return made is None or (made.corrected_at is None and (made.said, made.basis) != said)


def _severity(rules: list[SeverityRule], variables: dict[str, Any]) -> tuple[Severity, str, str]:
    for rule in rules:
        try:
            if compile_expression(rule.when).holds(variables):
                because = render(rule.because, variables)
                # What the sentence speaks of is only known once the records have been read.
                told = because if because.count("?") == rule.because.count("?") else FIRST_LOOK
                return rule.severity, told, rule.when
        except ExpressionFailed:
            continue  # what the rule needs is not known (yet)
    return Severity.MEDIUM, "No rule calls for more or less than medium.", "none"


def _blanks(incident: Incident, definition: KindDefinition, variables: dict[str, Any]) -> dict[str, Any]:
    filled: dict[str, Any] = {}
    for name in ("business_unit", "region", "currency", "amount"):
        source = getattr(definition, name)
        if source is None or getattr(incident, name) not in ("", None):
            continue
        try:
            value = compile_expression(source).evaluate(variables)
            if name == "amount":
                filled[name] = None if value is None else number(value)
            elif isinstance(value, str) and value:
                filled[name] = value[: 3 if name == "currency" else 40]
        except ExpressionFailed:
            continue
    return filled


def _seen(columns: dict[str, Any]) -> dict[str, Any]:
    names = ("business_unit", "region", "currency", "amount", "revenue_at_risk")
    return {name: columns[name] for name in names if name in columns}


def _title(incident: Incident, definition: KindDefinition, variables: dict[str, Any]) -> str:
    filled = render(definition.title, variables)
    # A title with a hole says less than the plain one that it was opened with.
    return incident.title if "?" in filled else filled[:300]


def _at_risk(incident: Incident, definition: KindDefinition, columns: dict[str, Any]) -> dict[str, Any]:
    """Sum what the linked records say is at stake; another currency is shown and not added."""
    currency = columns.get("currency") or incident.currency
    rows = rows_of(incident, current_round(incident))
    lines = [
        line
        for risk in definition.revenue_at_risk
        for row in rows.get(risk.record, [])
        if row.record_id and (line := _line(row, risk.field, currency)) is not None
    ]
    added = [Decimal(line["amount"]) for line in lines if "not_added" not in line]
    if added:
        return {"revenue_at_risk": sum(added, Decimal()), "risk_explained": lines}
    amount = columns.get("amount", incident.amount)
    if amount is None:
        return {"risk_explained": lines} if lines else {}
    line = {"evidence": None, "record": "signal", "field": "amount", "amount": str(amount), "currency": currency}
    return {"revenue_at_risk": amount, "risk_explained": [*lines, line]}


def _line(row: Evidence, field: str, currency: str) -> dict[str, Any] | None:
    try:
        amount = number(row.content.get(field))
    except ExpressionFailed:
        return None
    own = _currency(row.content)
    line: dict[str, Any] = {
        "evidence": row.pk,
        "record": f"{row.entity} {row.record_id}",
        "field": field,
        "amount": str(amount),
        "currency": own or currency,
    }
    if own and currency and own != currency:
        line["not_added"] = f"It is in {own}, the incident in {currency}."
    return line


def _currency(content: dict[str, Any]) -> str:
    """Return the currency that a record names, by the field names that the systems use for it."""
    for name, value in sorted(content.items()):
        if name.casefold().endswith(("currencycode", "currency")) and isinstance(value, str):
            return value
    return ""


def route(domain: str, business_unit: str, named: str | None = None) -> tuple[Queue | None, str]:
    """Return the queue for a domain and unit, and why: the kind's own, else the most particular that fits."""
    queues = list(Queue.objects.order_by("slug"))
    for queue in queues:
        if queue.slug == named:
            return queue, f"The kind names the queue {queue.label}."
    best: tuple[int, Queue | None, str] = (-1, None, "No queue takes this domain and unit.")
    for queue in queues:
        if queue.domains and domain not in queue.domains:
            continue
        if queue.business_units and business_unit not in queue.business_units:
            continue
        score = 2 * bool(queue.domains) + bool(queue.business_units)
        if score > best[0]:
            best = score, queue, _why(queue, domain, business_unit)
    return best[1], best[2]


def _why(queue: Queue, domain: str, business_unit: str) -> str:
    reasons = [f"domain {domain}"] * bool(queue.domains) + [f"unit {business_unit}"] * bool(queue.business_units)
    return f"{queue.label} takes {' and '.join(reasons) or 'what no other queue takes'}."
