"""From a diagnosed incident to a plan: steps with parameters, predicted changes, source versions and an undo each.

1. code selects the playbooks that fit the kind and the established cause;
2. a chooser (the built-in one, or a model within enumerated slots) takes one;
3. each step's parameters are evaluated over the evidence, its records are read, its effect is predicted;
4. policies rule on each step; a block ends it, a correction is applied and asked again;
5. everything that an approval will bind goes into one digest.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Max

from audit.actions import record
from audit.clock import db_now
from audit.errors import LostRace, Refusal
from connectors import gateway, registry
from connectors.base import Change, Record, Reversible, Risk, Write
from connectors.kit import confidential
from connectors.models import Connection
from incidents import expressions
from incidents.evidence import facts
from incidents.kinds import definition_of
from incidents.leases import Lease
from incidents.models import Incident, RootCause
from playbooks import chooser, flows, plans, policies, seals
from playbooks.definitions import PlaybookDefinition, StepDefinition
from playbooks.effects import EFFECT_KEY
from playbooks.models import Plan, PlaybookVersion, Step
from playbooks.moves import hold
from playbooks.plans import LIVE, MIXED, RISK_ORDER
from playbooks.states import LIVE_EXECUTION


class CannotPlan(Refusal):
    """No plan can be made, for a reason that an operator can act on."""

    code = "cannot_plan"


@dataclass
class Drafted:
    """One step while it is being planned."""

    definition: StepDefinition
    title: str
    operation: Write
    parameters: dict[str, Any]
    records: list[Record]
    changes: list[Change]
    rulings: list[policies.Ruling] = field(default_factory=list)
    undo: dict[str, Any] | None = None
    amount: tuple[str, str] | None = None

    @property
    def lane(self) -> str:
        """The record that the step writes to: one running step at a time."""
        first = self.records[0] if self.records else None
        if first is None:
            return f"{self.definition.connection}:{self.operation.name}"
        return f"{first.system}:{first.entity}:{first.key}"[:200]

    @property
    def sources(self) -> list[dict[str, str]]:
        """The records as they were seen, the one written first."""
        return [{"system": r.system, "entity": r.entity, "key": r.key, "version": r.version} for r in self.records]


def candidates(incident: Incident, root_cause: RootCause | None) -> list[PlaybookVersion]:
    """Return the active playbooks that mend this kind and this established cause, in a fixed order."""
    active = PlaybookVersion.objects.filter(
        active=True, playbook__enabled=True, playbook__kind_code=incident.code
    ).select_related("playbook")
    cause = root_cause.cause if root_cause else ""
    fitting = []
    for version in active.order_by("playbook__slug"):
        causes = PlaybookDefinition.model_validate(version.definition).causes
        if cause and (not causes or cause in causes):
            fitting.append(version)
    return fitting


def propose(
    incident: Incident,
    *,
    actor: str,
    choice: chooser.Choice | None = None,
    editor: str = "",
    lease: Lease | None = None,
) -> Plan:
    """Make the plan for ``incident`` and store it as a draft, with a ``lease`` only while it is ours.

    Raises ``CannotPlan`` where no playbook fits, a policy blocks or a plan is being carried out, ``LostRace`` where
    the incident has moved on meanwhile, and ``connectors.base.ConnectorError`` where a record cannot be read.
    """
    try:
        return _propose(incident, actor, choice, editor, lease)
    except expressions.ExpressionFailed as failure:
        raise CannotPlan(f"The playbook asks for what the evidence does not give: {failure}.") from failure


def _propose(incident: Incident, actor: str, choice: chooser.Choice | None, editor: str, lease: Lease | None) -> Plan:
    _may_plan(incident)
    root_cause = incident.root_causes.order_by("-round").first()
    versions = candidates(incident, root_cause)
    if not versions:
        raise CannotPlan(_nothing_fits(incident, root_cause))
    variables = facts(incident)
    choice = choice or chooser.choose(incident, root_cause, versions, variables)
    version = next((version for version in versions if version.playbook.slug == choice.playbook), None)
    if version is None:
        raise CannotPlan(f"The playbook “{choice.playbook}” does not fit this incident any more.")
    definition = PlaybookDefinition.model_validate(version.definition)
    if incident.kind and (said := flows.forbids(definition, definition_of(incident.kind))):
        raise CannotPlan(f"{version} may not be carried out by the data classes of the connections: {said}")
    variables = {**variables, "slots": choice.slots}
    steps = [
        _draft(incident, step, variables, actor)
        for step in definition.steps
        if not step.when or expressions.compile_expression(step.when).evaluate(variables) is True
    ]
    if not steps:
        raise CannotPlan(f"{version} has no step that applies here: every step's condition is false.")
    rationale = expressions.render(definition.rationale, variables)
    return _store(incident, version, choice, steps, rationale=rationale, editor=editor, lease=lease)


def _may_plan(incident: Incident) -> None:
    live = incident.executions.filter(state__in=LIVE_EXECUTION).first()
    if live is not None:
        advice = "Replay or resolve its dead letter, or ask for a new plan, which sets it aside."
        raise CannotPlan(f"An earlier plan stands half-way: {live} is {live.get_state_display().lower()}. {advice}")


def situation(incident: Incident, drafted: Drafted, *, actor: str) -> policies.Situation:
    """Return what the policies are asked about for one step."""
    amount, currency = drafted.amount or ("", "")
    first = drafted.records[0] if drafted.records else None
    return policies.Situation(
        operation=f"{drafted.definition.connection}:{drafted.operation.name}",
        connection=drafted.definition.connection,
        parameters=drafted.parameters,
        record=dict(first.fields) if first else {},
        changes={change.field: change.after for change in drafted.changes if not change.side_effect},
        incident=plans.described(incident),
        risk=drafted.operation.risk,
        financial=drafted.operation.financial,
        amount=Decimal(amount) if amount else None,
        currency=currency,
        actor=actor,
        subject="plan",
    )


def _draft(incident: Incident, step: StepDefinition, variables: Mapping[str, Any], actor: str) -> Drafted:
    connection = Connection.objects.filter(slug=step.connection).first()
    if connection is None:
        raise CannotPlan(f"Step “{step.name}” needs the connection “{step.connection}”, which is not configured.")
    operation = registry.operation_of(connection, step.operation)
    if not isinstance(operation, Write):
        raise CannotPlan(f"Step “{step.name}”: {step.connection} has no write operation “{step.operation}”.")
    parameters = {name: _value(source, variables, step.name) for name, source in step.arguments.items()}
    title = expressions.render(step.title, variables)
    drafted = _foresee(connection, Drafted(step, title, operation, parameters, [], []), incident, actor)
    drafted.rulings = policies.judge(situation(incident, drafted, actor=actor))
    corrections = policies.corrections_of(drafted.rulings)
    if corrections:
        drafted.parameters = {**drafted.parameters, **corrections}
        spoken = drafted.rulings
        drafted = _foresee(connection, drafted, incident, actor)
        again = policies.judge(situation(incident, drafted, actor=actor))
        drafted.rulings = [*(r for r in spoken if r.verdict == "correct"), *(_settled(r) for r in again)]
    blocked = [ruling for ruling in drafted.rulings if ruling.verdict == "block"]
    if blocked:
        because = "; ".join(f"{r.reason} ({r.policy} v{r.version})" for r in blocked)
        raise CannotPlan(f"Policy does not allow “{title}”: {because}")
    return drafted


def _settled(ruling: policies.Ruling) -> policies.Ruling:
    """Return the ruling; a policy that wants its own correction corrected again asks for a person instead."""
    if ruling.verdict != "correct":
        return ruling
    reason = f"{ruling.reason} (its correction does not settle; a person has to decide)"
    return replace(ruling, verdict="needs_approval", reason=reason, corrections={})


def _foresee(connection: Connection, drafted: Drafted, incident: Incident, actor: str) -> Drafted:
    operation = drafted.operation
    # What is only ever sent stands sealed from here on: in the plan, its approval and its copies.
    drafted.parameters = confidential.sealed(operation.arguments, drafted.parameters)
    drafted.records = gateway.observe(connection, operation.name, drafted.parameters, actor=actor, incident=incident.pk)
    arguments = operation.arguments.model_validate(drafted.parameters)
    drafted.changes = operation.predict(arguments, drafted.records)
    if all(change.side_effect for change in drafted.changes):
        # Nothing could be read back afterwards, so it could never be called mended.
        raise CannotPlan(f"“{drafted.title}” would change nothing that can be seen: there is nothing to approve.")
    undo = operation.undo(arguments, drafted.records, EFFECT_KEY)
    drafted.undo = {"operation": undo.operation, "parameters": undo.arguments} if undo else None
    drafted.amount = operation.amount(arguments, drafted.records) if operation.amount else None
    return drafted


def _value(source: Any, variables: Mapping[str, Any], step: str) -> Any:
    if not isinstance(source, str):
        return source
    try:
        value = expressions.compile_expression(source).evaluate(variables)
    except expressions.ExpressionFailed as failure:
        raise CannotPlan(f"Step “{step}”: the evidence does not give “{source}” ({failure}).") from failure
    return str(expressions.number(value)) if isinstance(value, float) else value


def _nothing_fits(incident: Incident, root_cause: RootCause | None) -> str:
    if root_cause is None or not root_cause.cause:
        return "No cause was found that the evidence carries, so nothing is proposed. Look at the evidence and decide."
    known = PlaybookVersion.objects.filter(playbook__kind_code=incident.code, active=True).count()
    if not known:
        name = incident.kind.label if incident.kind else incident.code
        return f"No playbook is active for “{name}”. Mend it by hand, or activate a playbook for it."
    causes = definition_of(incident.kind).causes if incident.kind else []
    label = next((cause.label for cause in causes if cause.id == root_cause.cause), root_cause.cause)
    return f"{label}. No playbook mends that: nothing is changed without a person."


def _tier(steps: list[Drafted]) -> Risk:
    spoken = [Risk(ruling.risk) for step in steps for ruling in step.rulings if ruling.risk]
    return max([*(step.operation.risk for step in steps), *spoken], key=lambda risk: RISK_ORDER[risk])


def _total(steps: list[Drafted]) -> tuple[Decimal | None, str]:
    amounts = [step.amount for step in steps if step.amount]
    currencies = {currency for _, currency in amounts}
    if not amounts or len(currencies) > 1:
        return None, MIXED if amounts else ""
    return sum((Decimal(amount) for amount, _ in amounts), Decimal(0)), currencies.pop()


def _store(
    incident: Incident,
    version: PlaybookVersion,
    choice: chooser.Choice,
    steps: list[Drafted],
    *,
    rationale: str,
    editor: str = "",
    lease: Lease | None = None,
) -> Plan:
    with transaction.atomic():
        held = hold(incident.pk)
        if lease is not None:
            # The reads and a model may have taken longer than our lease: then another plan may be at work by now.
            lease.renew()
        if held.status != incident.status:
            raise LostRace(f"{incident} has moved on while it was planned: it is {held.get_status_display().lower()}.")
        _may_plan(incident)
        _void_live(incident, "replaced by a newer plan", editor or "system:loop")
        plan = _plan_row(incident, version, choice, steps, rationale)
        plan.edited_by = [editor] if editor else []
        plan.save()
        for number, drafted in enumerate(steps, start=1):
            _store_step(plan, number, drafted)
        record(
            "plan.proposed",
            actor=editor or "system:loop",
            target=plan,
            incident=incident.pk,
            business_unit=incident.business_unit,
            region=incident.region,
            reason=plan.rationale,
            data={"digest": plan.digest, "playbook": str(version), "author": choice.author},
        )
    return plan


def _plan_row(
    incident: Incident, version: PlaybookVersion, choice: chooser.Choice, steps: list[Drafted], rationale: str
) -> Plan:
    amount, currency = _total(steps)
    number = (incident.plans.aggregate(last=Max("number"))["last"] or 0) + 1
    return Plan(
        incident=incident,
        number=number,
        playbook_version=version,
        digest=_digest(incident, number, version, steps),
        risk_tier=_tier(steps),
        financial=any(step.operation.financial for step in steps),
        amount=amount,
        currency=currency,
        rationale=rationale,
        author=choice.author[:200],
        evidence_round=incident.root_causes.aggregate(last=Max("round"))["last"] or 0,
        slots=choice.slots,
        candidates=choice.candidates,
        proposal=choice.proposal,
        created_at=db_now(),
    )


def _void_live(incident: Incident, reason: str, actor: str) -> None:
    for plan in incident.plans.filter(state__in=LIVE):
        plans.void(plan, actor=actor, reason=reason)


def _digest(incident: Incident, number: int, version: PlaybookVersion, steps: list[Drafted]) -> str:
    told = [
        {
            "connection": step.definition.connection,
            "operation": step.operation.name,
            "parameters": step.parameters,
            "sources": step.sources,
            "predicted": [asdict(change) for change in step.changes],
            "undo": step.undo,
            "policies": [[ruling.policy, ruling.version, ruling.verdict] for ruling in step.rulings],
        }
        for step in steps
    ]
    return seals.plan_seal(incident.pk, number, version, told)


def _store_step(plan: Plan, number: int, drafted: Drafted) -> None:
    operation = drafted.operation
    step = Step.objects.create(
        plan=plan,
        number=number,
        name=drafted.definition.name,
        title=drafted.title[:200],
        connection=drafted.definition.connection,
        operation=operation.name,
        parameters=drafted.parameters,
        sources=drafted.sources,
        predicted=[asdict(change) for change in drafted.changes],
        undo=drafted.undo,
        reversible=operation.reversible if drafted.undo else Reversible.NO,
        risk=operation.risk,
        financial=operation.financial,
        lane=drafted.lane,
    )
    policies.keep(drafted.rulings, step, moment="plan")
