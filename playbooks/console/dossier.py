"""Everything that one incident's page shows, gathered in a constant number of queries.

Of each row only what a page shows is read: plans, steps and kinds carry JSON that is many times as wide.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Prefetch, QuerySet

from approvals.cards import card
from approvals.models import ApprovalRequest, Decision
from approvals.states import State
from audit.access import roles_of
from incidents import tickets
from incidents.costs import Cost, costs_of
from incidents.kinds import definition_of
from incidents.models import Citation, Comment, Escalation, Evidence, Incident, Merge, RootCause, SlaClock, Statement
from incidents.states import MACHINE
from playbooks import holdouts
from playbooks.console.careers import Career, lately
from playbooks.console.offers import Offers, offers_to
from playbooks.console.previews import StepPreview, labels_of, previews_of, value_of
from playbooks.console.seam import Course, Stage, stages
from playbooks.console.story import Event, story_of
from playbooks.holdout_models import HoldOutDraw
from playbooks.models import Attempt, DeadLetter, Execution, Guardrail, Plan, Step, StepRun, Verification
from playbooks.states import PlanState

MOST_EVIDENCE = 60
_OF_PLANS = (
    *("incident", "state", "state_reason", "risk_tier", "rationale", "author", "autonomous", "created_at"),
    *("playbook_version__number", "playbook_version__playbook__slug", "playbook_version__playbook__label"),
)
_OF_STEPS = (*("plan", "number", "title", "connection", "operation", "parameters", "predicted", "undo", "reversible"),)
_OF_RULINGS = ("step", "policy", "version", "verdict", "reason")
_OF_RUNS = (
    *("incident", "direction", "undoes", "state", "requested_by", "reason", "cancel_requested", "created_at"),
    "finished_at",
)
_OF_STEP_RUNS = (
    *("execution", "step__title", "number", "state", "state_reason", "effect_key", "undo", "attempts_count"),
    "finished_at",
)
_OF_ATTEMPTS = (*("step_run", "number", "act", "started_at", "sent_at", "outcome", "status", "request_id", "message"),)
_OF_CHECKS = ("step_run", "fields", "surprises", "read_at")
_OF_DECISIONS = ("request", "person__username", "on_behalf_of__username", "verdict", "comment", "decided_at")


@dataclass(frozen=True)
class Exhibit:
    """One piece of evidence with its number on the page and what was tested on it."""

    number: int
    row: Evidence
    tests: list[Citation] = field(default_factory=list)

    @property
    def cited(self) -> set[str]:
        """The names of the fields that a statement rests on."""
        return {test.field for test in self.tests if test.field}

    @property
    def absent(self) -> bool:
        """Whether it says that something was looked for and is not there."""
        return self.row.form == Evidence.Form.RECORD and not self.row.record_id

    @property
    def fields(self) -> list[tuple[str, Any, bool]]:
        """Each field with its value and whether it is cited, the cited ones first."""
        cited = self.cited
        named = [(name, value_of(name, value), name in cited) for name, value in self.row.content.items()]
        return sorted(named, key=lambda one: not one[2])


@dataclass(frozen=True)
class Claim:
    """One statement with the numbers of the evidence that it rests on."""

    statement: Statement
    label: str
    citations: list[int]

    @property
    def state(self) -> str:
        """The word that the page draws: the grade where it holds, else what became of it."""
        return self.statement.grade if self.statement.verdict == "holds" else self.statement.verdict


@dataclass
class Dossier:
    """One incident and everything about it that ``reader`` may see."""

    incident: Incident
    reader: User

    @cached_property
    def root_cause(self) -> RootCause | None:
        """The newest diagnosis with its statements and their citations."""
        rows = self.incident.root_causes.order_by("-round", "-id")
        return rows.prefetch_related("statements__citations").first()

    @cached_property
    def exhibits(self) -> list[Exhibit]:
        """The evidence of the newest diagnosis, numbered as the page cites it; what is cited comes first."""
        cause = self.root_cause
        tests: dict[int, list[Citation]] = {}
        for statement in cause.statements.all() if cause else []:
            for citation in statement.citations.all():
                tests.setdefault(citation.evidence_id, []).append(citation)
        rows = self.incident.evidence.filter(round=cause.round if cause else 0)
        found = {row.pk: row for row in rows.order_by("pk")[:MOST_EVIDENCE]}
        if further := tests.keys() - found.keys():
            found |= Evidence.objects.in_bulk(further)
        ordered = sorted(found.values(), key=lambda row: (row.pk not in tests, row.pk))
        return [Exhibit(number, row, tests.get(row.pk, [])) for number, row in enumerate(ordered, start=1)]

    @cached_property
    def _numbers(self) -> dict[int, int]:
        return {exhibit.row.pk: exhibit.number for exhibit in self.exhibits}

    @cached_property
    def _cause_labels(self) -> dict[str, str]:
        kind = self.incident.kind
        if kind is None or self.root_cause is None:
            return {}
        return {cause.id: cause.label for cause in definition_of(kind).causes}

    def _claims(self, keep: Iterable[Statement]) -> list[Claim]:
        return [
            Claim(
                statement,
                self._cause_labels.get(statement.hypothesis, statement.hypothesis),
                sorted({self._numbers[one.evidence_id] for one in statement.citations.all()}),
            )
            for statement in keep
        ]

    @cached_property
    def holding(self) -> list[Claim]:
        """The statements of the cause that holds."""
        cause = self.root_cause
        rows = cause.statements.all() if cause and cause.cause else []
        return self._claims(row for row in rows if row.hypothesis == cause.cause)  # type: ignore[union-attr]

    @cached_property
    def rivals(self) -> list[Claim]:
        """The other causes, each by the statement that ruled it out or could not be tested."""
        cause = self.root_cause
        others: dict[str, Statement] = {}
        for row in cause.statements.all() if cause else []:
            if row.verdict != "holds" and row.hypothesis != cause.cause:  # type: ignore[union-attr]
                kept = others.get(row.hypothesis)
                if kept is None or (kept.verdict == "untested" and row.verdict == "ruled_out"):
                    others[row.hypothesis] = row
        return self._claims(others.values())

    @cached_property
    def cause_label(self) -> str:
        """What people call the cause that holds."""
        cause = self.root_cause
        return self._cause_labels.get(cause.cause, cause.cause) if cause else ""

    @cached_property
    def held_out(self) -> HoldOutDraw | None:
        """The lot that leaves it to people; its plan was taken back then, so that other pages need not ask."""
        withdrawn = self.plan is not None and self.plan.state == PlanState.VOID
        return holdouts.standing(self.incident) if withdrawn else None

    @cached_property
    def plan(self) -> Plan | None:
        """The newest plan, whatever became of it."""
        spoken = Guardrail.objects.filter(moment="plan").only(*_OF_RULINGS)
        steps = Step.objects.only(*_OF_STEPS).prefetch_related(Prefetch("guardrails", spoken, to_attr="spoken"))
        rows = self.incident.plans.select_related("playbook_version__playbook").only(*_OF_PLANS)
        return rows.prefetch_related(Prefetch("steps", steps)).order_by("-id").first()

    @cached_property
    def labels(self) -> dict[str, str]:
        """What people call each connection that the plan or the evidence names."""
        named = [step.connection for step in self.plan.steps.all()] if self.plan else []
        return labels_of([*named, *(exhibit.row.system for exhibit in self.exhibits)])

    @cached_property
    def steps(self) -> list[StepPreview]:
        """The plan's steps with every predicted change."""
        return previews_of(self.plan, self.labels) if self.plan else []

    @cached_property
    def rulings(self) -> list[Guardrail]:
        """What the policies said when the plan was made, one line each, those that did not simply allow it first."""
        said: dict[tuple[str, int, str], Guardrail] = {}
        for step in self.plan.steps.all() if self.plan else []:
            for ruling in step.spoken:  # type: ignore[attr-defined] # prefetched above
                said.setdefault((ruling.policy, ruling.version, ruling.verdict), ruling)
        return sorted(said.values(), key=lambda ruling: ruling.verdict == "allow")

    @cached_property
    def career(self) -> Career | None:
        """How often the plan's playbook was right before."""
        return lately(self.plan.playbook_version.playbook) if self.plan else None

    @cached_property
    def _runs(self) -> list[Execution]:
        tries, checks = Attempt.objects.only(*_OF_ATTEMPTS), Verification.objects.only(*_OF_CHECKS)
        runs = StepRun.objects.select_related("step").only(*_OF_STEP_RUNS)
        runs = runs.prefetch_related(Prefetch("attempts", tries), Prefetch("verifications", checks))
        rows = self.incident.executions.order_by("-id").only(*_OF_RUNS)
        return list(rows.prefetch_related(Prefetch("step_runs", runs))[:4])

    @cached_property
    def forward(self) -> Execution | None:
        """The newest run that mends."""
        return next((run for run in self._runs if run.direction == Execution.Direction.FORWARD), None)

    @cached_property
    def back(self) -> Execution | None:
        """The newest undo of that run."""
        return next(iter(self._undos), None)

    @cached_property
    def _undos(self) -> list[Execution]:
        # All of them: whatever undoes a run is newer than it.
        forward = self.forward
        return [run for run in self._runs if forward is not None and run.undoes_id == forward.pk]

    @property
    def shown_runs(self) -> list[Execution]:
        """The runs to show, the undo before what it takes back."""
        return [run for run in (self.back, self.forward) if run is not None]

    @cached_property
    def approval(self) -> ApprovalRequest | None:
        """The newest question about what is shown: that of the undo where there is one, else that of the plan."""
        newest = ApprovalRequest.objects.filter(incident_id=self.incident.pk).order_by("-id").defer("summary").first()
        plan, back = self.plan, self.back
        if newest is None:
            return None
        about = (newest.subject, newest.subject_id)
        fits = about in {("plan", plan.pk if plan else 0), ("rollback", back.pk if back else 0)}
        return newest if fits else None

    @cached_property
    def decisions(self) -> list[Decision]:
        """What people said to that question, the first first."""
        asked = self.approval
        if asked is None or not (asked.given or asked.state == State.REJECTED):
            return []
        return list(asked.decisions.select_related("person", "on_behalf_of").only(*_OF_DECISIONS))

    @cached_property
    def letters(self) -> list[DeadLetter]:
        """The dead letters that wait, oldest first."""
        rows = self.incident.dead_letters.filter(state=DeadLetter.State.WAITING)
        letters = list(rows.order_by("id"))
        known = {step.pk: step for run in self._runs for step in run.step_runs.all()} if letters else {}
        for letter in letters:
            if letter.step_run_id in known:
                letter.step_run = known[letter.step_run_id]
        return letters

    @cached_property
    def clock(self) -> SlaClock | None:
        """The service level's clock."""
        return getattr(self.incident, "sla", None)

    @cached_property
    def escalations(self) -> list[Escalation]:
        """Who was told of a breach, and whether they have seen it."""
        if self.clock is None or not self.clock.escalation_level:
            return []
        return list(self.incident.escalations.order_by("-level").defer("snapshot"))

    @cached_property
    def comments(self) -> list[Comment]:
        """What people wrote."""
        return list(self.incident.comments.order_by("-id").only("incident", "author", "text", "created_at")[:50])

    @cached_property
    def tickets(self) -> list[tickets.Linked]:
        """The tickets of other systems that it belongs to. Where no kind declares any, nothing is asked."""
        declared = tickets.declared_by(self.incident.kind)
        return tickets.linked(self.incident) if declared or self.merges else []

    @cached_property
    def merges(self) -> list[Merge]:
        """The incidents that were folded into this one and can be taken apart again."""
        if self.incident.signals_count < 2:  # what is folded in brings a signal with it
            return []
        rows = self.incident.merges_in.filter(unmerged_at__isnull=True)
        return list(rows.only("kept", "folded", "actor", "merged_at"))

    @cached_property
    def events(self) -> list[Event]:
        """What happened, newest first."""
        return story_of(self.incident)

    @cached_property
    def course(self) -> Course:
        """What the seam and the offers are told from."""
        standing = self.approval if self.approval and self.approval.state == "pending" else None
        return Course(self.incident, self.root_cause, self.plan, standing, self.forward, self.back, self._undos)

    @cached_property
    def stages(self) -> list[Stage]:
        """Where it stands in the loop."""
        return stages(self.course)

    @cached_property
    def offers(self) -> Offers:
        """What the reader may do now."""
        held_out, seen = self.held_out is not None, not self._unanswered
        return offers_to(self.reader, self.course, letters=self.letters, acknowledged=seen, held_out=held_out)

    @property
    def _unanswered(self) -> bool:
        """Whether the clock, or an escalation to a role of the reader, waits for somebody to say that it was seen."""
        mine = roles_of(self.reader)
        alarmed = any(told.acknowledged_at is None and told.role in mine for told in self.escalations)
        return alarmed or (self.clock is not None and self.clock.acknowledged_at is None)

    @cached_property
    def card(self) -> dict[str, Any]:
        """What the decision bar needs."""
        approval = self.approval
        if approval is None:
            return {}
        return {**card(approval, self.offers.why_not), "next": self.incident.get_absolute_url()}

    @cached_property
    def costs(self) -> list[Cost]:
        """What it costs to leave it as it is; nothing once it is over."""
        return [] if self.incident.closed_at else costs_of(self.incident)

    @property
    def cost_total(self) -> Decimal:
        """The sum of the costs of waiting."""
        return sum((cost.amount for cost in self.costs), Decimal(0))

    @property
    def lasted(self) -> timedelta | None:
        """How long it took from the first signal until the source was right."""
        resolved = self.incident.resolved_at
        return resolved - self.incident.opened_at if resolved else None

    @property
    def moving(self) -> bool:
        """Whether the loop is at work on it, so that the page looks again by itself."""
        return self.incident.status in MACHINE


# What is shown of the rows beside an incident.
_BESIDE = (
    *("kind__definition", "queue__label", "assignee__username"),
    *("offer__assigned", "offer__reason", "offer__person__username"),
    *(f"sla__{name}" for name in ("acknowledge_due", "resolve_due", "acknowledged_at", "stopped_at", "paused_at")),
    *("sla__breached_at", "sla__escalation_level", "sla__because", "sla__policy__label"),
    *("sla__calendar__label", "sla__calendar__time_zone"),
    *("sla__policy__calendar__label", "sla__policy__calendar__time_zone"),
)
_JOINED = ("kind", "queue", "assignee", "offer__person", "sla__calendar", "sla__policy__calendar")
_OWN = tuple(column.name for column in Incident._meta.concrete_fields)


def dossier(rows: "QuerySet[Incident]", pk: int, reader: User) -> Dossier:
    """Return the dossier of one of ``rows``. Raises ``Incident.DoesNotExist`` where it is not among them."""
    return Dossier(rows.select_related(*_JOINED).only(*_OWN, *_BESIDE).get(pk=pk), reader)
