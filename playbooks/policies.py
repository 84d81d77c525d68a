"""What the active policies say about one change. Code asks them; no model and no text from outside can answer for them.

A policy that cannot be evaluated asks for an approval: an error never allows. Where no policy speaks about a write,
it is allowed only if its connection permits the operation at all; a read is allowed unless a policy names it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from audit.clock import db_now
from connectors import registry
from connectors.base import Read
from connectors.kit.comparison import same
from connectors.models import Connection
from incidents.expressions import BadExpression, ExpressionFailed, compile_expression, number
from playbooks.models import Guardrail, Plan, PolicyVersion, Step

# The strictest first: of several rulings, the strictest counts.
STRICTNESS = ("block", "needs_approval", "correct", "allow")
RISKS = ("low", "medium", "high")
VARIABLES = frozenset({"operation", "connection", "parameters", "record", "changes", "incident", "risk", "financial"})
VARIABLES |= {"amount", "amount_minor", "currency", "actor", "subject", "now"}
# Currencies without cents, and with three places of them; all others have two.
_PLACES = {**dict.fromkeys(("JPY", "KRW", "CLP", "VND", "ISK", "XAF", "XOF"), 0), **dict.fromkeys(("KWD", "BHD"), 3)}


@dataclass(frozen=True)
class Situation:
    """One change that is about to be made, as policies see it.

    ``operation`` is ``fo:invoice.credit``; ``record`` the fields as they are now, ``changes`` those that will
    differ with their new values. ``amount`` is what is at stake in ``currency``; ``None``: nothing, or not known
    where the change is ``financial``. ``subject`` is ``plan``, ``rollback`` or ``check``.
    """

    operation: str
    connection: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)
    incident: Mapping[str, Any] = field(default_factory=dict)
    risk: str = "low"
    financial: bool = False
    amount: Decimal | None = None
    currency: str = ""
    actor: str = ""
    subject: str = "plan"


@dataclass(frozen=True)
class Ruling:
    """What one policy says. ``corrections``: the parameters that it sets otherwise; ``risk``: at least this tier."""

    policy: str
    version: int
    policy_version_id: int | None
    verdict: str
    reason: str
    corrections: dict[str, Any] = field(default_factory=dict)
    risk: str = ""


def judge(situation: Situation) -> list[Ruling]:
    """Ask every active policy that covers the operation; return what those say that speak, in the order of names.

    Where the connection does not permit the operation, a ruling of ``connection`` blocks it.
    """
    connection = Connection.objects.filter(slug=situation.connection).first()
    name = situation.operation.partition(":")[2]
    reading = _is_read(connection, name)
    forbidden = None if reading else _not_permitted(situation, connection, name)
    rulings, variables = [forbidden] if forbidden else [], variables_of(situation)
    for version in _covering(situation, reading=reading):
        ruling = rule_on(version, variables)
        if ruling is not None:
            rulings.append(ruling)
    return _agreed(rulings)


def keep(rulings: Iterable[Ruling], step: Step, *, moment: str) -> None:
    """Write down with the step what was said of it when it was planned (``plan``) or about to be sent (``run``)."""
    now = db_now()
    Guardrail.objects.bulk_create(
        Guardrail(
            step=step,
            policy_version_id=ruling.policy_version_id,
            policy=ruling.policy,
            version=ruling.version,
            verdict=ruling.verdict,
            reason=ruling.reason,
            moment=moment,
            at=now,
        )
        for ruling in rulings
    )


def verdict_of(rulings: Iterable[Ruling]) -> str:
    """Return the strictest verdict: block, needs_approval, correct, allow. No ruling at all allows."""
    return min((ruling.verdict for ruling in rulings), key=STRICTNESS.index, default="allow")


def corrections_of(rulings: Iterable[Ruling]) -> dict[str, Any]:
    """Return every correction by parameter. Two policies that contradict each other have asked for a person instead."""
    return {name: value for ruling in rulings for name, value in ruling.corrections.items()}


def risk_of(rulings: Iterable[Ruling], risk: str) -> str:
    """Return the tier: ``risk`` of the operation, lifted by what the policies demand; a policy cannot lower it."""
    return max((risk, *(ruling.risk for ruling in rulings if ruling.risk)), key=RISKS.index)


def people_behind(plan: Plan) -> set[str]:
    """Return who owns or wrote the policies that spoke: none of them may approve what their policy asked for."""
    spoken = PolicyVersion.objects.filter(guardrail__step__plan=plan)
    rows = spoken.values_list("policy__owner__username", "author").distinct()
    return {name for row in rows for name in row if name}


def _covering(situation: Situation, *, reading: bool) -> list[PolicyVersion]:
    """Return the active versions that name the operation, and for writes those that name none."""
    active = PolicyVersion.objects.filter(active=True, policy__enabled=True).select_related("policy")
    return [
        version
        for version in active.order_by("policy__slug")
        if situation.operation in version.operations or not (version.operations or reading)
    ]


def _is_read(connection: Connection | None, name: str) -> bool:
    """Tell whether the operation is known to change nothing; what is not known counts as a write."""
    return connection is not None and isinstance(registry.operation_of(connection, name), Read)


def _not_permitted(situation: Situation, connection: Connection | None, name: str) -> Ruling | None:
    """Return the ruling where the connection does not permit the write; ``None`` where it does."""
    said = Ruling("connection", 0, None, "block", "")
    if connection is None:
        reason = f"There is no connection “{situation.connection}”, so nothing is known about this change."
        return replace(said, verdict="needs_approval", reason=reason)
    if not connection.enabled:
        return replace(said, reason=f"The connection “{connection}” is switched off.")
    if name not in connection.operations:
        return replace(said, reason=f"The connection “{connection}” does not permit “{name}”.")
    return None


def variables_of(situation: Situation) -> dict[str, Any]:
    """Return the names that a condition may use, with their values."""
    amount = situation.amount
    if amount is None and not situation.financial:
        amount = Decimal(0)
    return {
        "operation": situation.operation,
        "connection": situation.connection,
        "parameters": situation.parameters,
        "record": situation.record,
        "changes": situation.changes,
        "incident": situation.incident,
        "risk": str(situation.risk),
        "financial": situation.financial,
        # Unknown stays null: comparing it is an error, and an error asks for a person.
        "amount": None if amount is None else float(amount),
        "amount_minor": None if amount is None else minor_units(amount, situation.currency),
        "currency": situation.currency,
        "actor": situation.actor,
        "subject": situation.subject,
        "now": db_now(),
    }


def minor_units(amount: Decimal, currency: str) -> int | None:
    """Return ``amount`` in the currency's smallest unit; ``None`` for what is no finite number."""
    if not amount.is_finite():
        return None
    return int(amount.scaleb(_PLACES.get(currency, 2)).to_integral_value())


def rule_on(version: PolicyVersion, variables: Mapping[str, Any]) -> Ruling | None:
    """Return what one version says; ``None`` where it is silent. What cannot be evaluated asks for an approval."""
    said = Ruling(version.policy.slug, version.number, version.pk, version.verdict, version.message, {}, version.risk)
    try:
        if not compile_expression(version.condition).holds(variables):
            return None
        return _corrected(said, version, variables) if version.verdict == "correct" else said
    except (BadExpression, ExpressionFailed) as failure:
        reason = f"The policy “{version.policy.slug}” could not be evaluated: {failure}."
        return replace(said, verdict="needs_approval", reason=reason)


def _corrected(said: Ruling, version: PolicyVersion, variables: Mapping[str, Any]) -> Ruling:
    """Evaluate the corrections and keep those that change something; with none left, all is as the policy wants it."""
    parameters, corrections = variables["parameters"], {}
    for name, source in sorted(version.corrections.items()):
        value = compile_expression(source).evaluate(variables)
        wanted = number(value) if isinstance(value, float) else value
        if name not in parameters or not same(parameters[name], wanted):
            corrections[name] = str(wanted) if isinstance(wanted, Decimal) else wanted
    return replace(said, corrections=corrections) if corrections else replace(said, verdict="allow")


def _agreed(rulings: Sequence[Ruling]) -> list[Ruling]:
    """Turn corrections that contradict each other into questions to a person."""
    values: dict[str, list[Any]] = {}
    for ruling in rulings:
        for name, value in ruling.corrections.items():
            values.setdefault(name, []).append(value)
    disputed = {name for name, given in values.items() if any(not same(given[0], other) for other in given)}
    return [_disputed(ruling, disputed) if disputed & ruling.corrections.keys() else ruling for ruling in rulings]


def _disputed(ruling: Ruling, names: set[str]) -> Ruling:
    reason = f"{ruling.reason} (policies disagree about {', '.join(sorted(names))}; a person has to decide)"
    return replace(ruling, verdict="needs_approval", reason=reason, corrections={})
