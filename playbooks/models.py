"""Playbooks and policies, the plans made of them, and what came of each plan."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from simple_history.models import HistoricalRecords

from connectors.kit.confidential import shown
from incidents.models import Incident
from playbooks.holdout_models import HoldOut, HoldOutDraw  # noqa: F401 - makes them tables of this app
from playbooks.pack_models import Pack  # noqa: F401 - makes it a table of this app
from playbooks.states import ExecutionState, PlanState, StepState
from playbooks.telling.models import LedgerMark, Outgoing, Subscription  # noqa: F401 - makes them tables of this app


class Playbook(models.Model):
    """How one kind of exception is mended. What it does stands in its versions."""

    slug = models.SlugField(max_length=60, unique=True)
    label = models.CharField(max_length=120)
    kind_code = models.CharField(max_length=60)
    enabled = models.BooleanField(default=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    history = HistoricalRecords()

    class Meta:
        ordering: ClassVar = ["slug"]

    def __str__(self) -> str:
        return self.label

    def get_absolute_url(self) -> str:
        return reverse("playbook", args=[self.slug])


class PlaybookVersion(models.Model):
    """One immutable text of a playbook (see playbooks.definitions). At most one is active."""

    playbook = models.ForeignKey(Playbook, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    definition = models.JSONField()
    digest = models.CharField(max_length=64)
    active = models.BooleanField(default=False)
    author = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["playbook", "number"], name="one_playbook_version_per_number"),
            models.UniqueConstraint(fields=["playbook"], condition=Q(active=True), name="one_active_playbook_version"),
        ]

    def __str__(self) -> str:
        return f"{self.playbook} v{self.number}"


class Policy(models.Model):
    """A named rule over what is about to be done."""

    slug = models.SlugField(max_length=60, unique=True)
    label = models.CharField(max_length=120)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    enabled = models.BooleanField(default=True)
    history = HistoricalRecords()

    class Meta:
        ordering: ClassVar = ["slug"]
        verbose_name_plural = "policies"

    def __str__(self) -> str:
        return self.label


class PolicyVersion(models.Model):
    """One immutable text of a policy: when it speaks (CEL), and what it then says."""

    class Verdict(models.TextChoices):
        """What a policy says when its condition holds."""

        ALLOW = "allow"
        BLOCK = "block"
        CORRECT = "correct"
        NEEDS_APPROVAL = "needs_approval"

    policy = models.ForeignKey(Policy, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    condition = models.TextField()  # CEL, true: it speaks
    verdict = models.CharField(max_length=16, choices=Verdict)
    message = models.TextField()
    operations = models.JSONField(default=list, blank=True)  # names such as fo:invoice.credit; empty: every write
    corrections = models.JSONField(default=dict, blank=True)  # {parameter: CEL} for the verdict correct
    risk = models.CharField(max_length=10, blank=True)  # lifts the plan's tier to at least this
    active = models.BooleanField(default=False)
    author = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["policy", "number"], name="one_policy_version_per_number"),
            models.UniqueConstraint(fields=["policy"], condition=Q(active=True), name="one_active_policy_version"),
        ]

    def __str__(self) -> str:
        return f"{self.policy.slug} v{self.number}"


class Plan(models.Model):
    """A playbook made concrete for one incident. The digest covers everything that an approval binds."""

    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="plans")
    number = models.PositiveIntegerField()  # within the incident
    playbook_version = models.ForeignKey(PlaybookVersion, on_delete=models.PROTECT, related_name="plans")
    state = models.CharField(max_length=10, choices=PlanState, default=PlanState.DRAFT)
    state_reason = models.TextField(blank=True)
    digest = models.CharField(max_length=64)
    risk_tier = models.CharField(max_length=10)
    financial = models.BooleanField(default=False)
    amount = models.DecimalField(max_digits=18, decimal_places=2, null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    rationale = models.TextField()
    author = models.CharField(max_length=200)  # built-in, the model's name, or the person who edited it
    edited_by = models.JSONField(default=list, blank=True)
    evidence_round = models.PositiveIntegerField(default=1)
    autonomous = models.BooleanField(default=False)  # an autonomy grant stood in for people
    asked_because = models.TextField(blank=True)
    slots = models.JSONField(default=dict, blank=True)
    candidates = models.JSONField(default=list, blank=True)  # slugs that code had selected, the chosen one first
    proposal = models.JSONField(default=dict, blank=True)  # the model's raw proposal and what validation said of it
    created_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["incident", "number"], name="one_plan_per_number"),
            models.UniqueConstraint(
                fields=["incident"],
                condition=Q(state__in=["draft", "asked", "approved"]),
                name="one_live_plan_per_incident",
            ),
            models.CheckConstraint(condition=Q(state__in=PlanState.values), name="plan_state_is_known"),
        ]

    def __str__(self) -> str:
        return f"plan {self.pk}"

    def get_absolute_url(self) -> str:
        return f"{self.incident.get_absolute_url()}#plan"


class Step(models.Model):
    """One change to one system: what is called, what will differ, and how it is taken back."""

    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="steps")
    number = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=60)
    title = models.CharField(max_length=200)
    connection = models.CharField(max_length=60)  # the slug, by value: the plan must read the same for ever
    operation = models.CharField(max_length=100)
    parameters = models.JSONField()
    # [{"system","entity","key","version"}]: the records as the plan saw them; the first is the one written.
    sources = models.JSONField(default=list)
    predicted = models.JSONField(default=list)  # [{"record","entity","key","field","before","after","side_effect"}]
    undo = models.JSONField(null=True, blank=True)  # {"operation","parameters"}; null: irreversible
    reversible = models.CharField(max_length=20)
    risk = models.CharField(max_length=10)
    financial = models.BooleanField(default=False)
    lane = models.CharField(max_length=200)

    class Meta:
        ordering: ClassVar = ["number"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["plan", "number"], name="one_step_per_number")]

    def __str__(self) -> str:
        return self.title

    @property
    def by_value(self) -> dict[str, Any]:
        """Return what an approver reads of it, to be kept where it must still read the same in ten years."""
        names = ("number", "title", "connection", "operation", "parameters", "predicted", "undo", "reversible")
        return {name: shown(getattr(self, name)) for name in names}


class Guardrail(models.Model):
    """What one policy version said about one step, and when."""

    step = models.ForeignKey(Step, on_delete=models.CASCADE, related_name="guardrails")
    policy_version = models.ForeignKey(PolicyVersion, null=True, blank=True, on_delete=models.PROTECT)
    policy = models.CharField(max_length=60)
    version = models.PositiveIntegerField()
    verdict = models.CharField(max_length=16)
    reason = models.TextField(blank=True)
    moment = models.CharField(max_length=10, default="plan")  # plan, or run: policies are asked again before sending
    at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.policy} {self.verdict}"


class Execution(models.Model):
    """One run of a plan: forward to mend, backward to undo."""

    class Direction(models.TextChoices):
        """Which way it runs."""

        FORWARD = "forward"
        BACKWARD = "backward"

    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="executions")
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="executions")
    direction = models.CharField(max_length=10, choices=Direction, default=Direction.FORWARD)
    undoes = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="undone_by")
    state = models.CharField(max_length=10, choices=ExecutionState, default=ExecutionState.RUNNING)
    state_reason = models.TextField(blank=True)
    digest = models.CharField(max_length=64)  # forward: the plan's; backward: of the undo steps
    approval_id = models.BigIntegerField("approval", null=True, blank=True)
    requested_by = models.CharField(max_length=200)
    reason = models.TextField(blank=True)
    first_attempt_verified = models.BooleanField(null=True, blank=True)
    cancel_requested = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["incident"],
                condition=Q(state__in=["waiting", "running", "failed"]),
                name="one_live_execution_per_incident",
            ),
            models.UniqueConstraint(
                fields=["plan"], condition=Q(direction="forward"), name="one_forward_execution_per_plan"
            ),
            models.CheckConstraint(condition=Q(state__in=ExecutionState.values), name="execution_state_is_known"),
        ]

    def __str__(self) -> str:
        return f"execution {self.pk}"


class StepRun(models.Model):
    """One step of one execution, carried through the effect protocol."""

    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="step_runs")
    step = models.ForeignKey(Step, on_delete=models.PROTECT, related_name="runs")
    number = models.PositiveSmallIntegerField()  # the order of this execution; backward runs count from the last step
    state = models.CharField(max_length=10, choices=StepState, default=StepState.PLANNED)
    state_reason = models.TextField(blank=True)
    effect_key = models.CharField(max_length=64)
    connection = models.CharField(max_length=60)
    operation = models.CharField(max_length=100)
    parameters = models.JSONField()
    undo = models.JSONField(null=True, blank=True)
    expected = models.JSONField(default=list)  # the changes that verification must find
    result = models.JSONField(default=dict, blank=True)
    lane = models.CharField(max_length=200)
    attempts_count = models.PositiveSmallIntegerField(default=0)
    not_found_count = models.PositiveSmallIntegerField(default=0)  # empty looks after an unknown outcome
    not_before = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["execution", "number"], name="one_step_run_per_number"),
            models.UniqueConstraint(fields=["effect_key"], name="one_step_run_per_effect_key"),
            models.CheckConstraint(condition=Q(state__in=StepState.values), name="step_state_is_known"),
        ]

    def __str__(self) -> str:
        return f"step {self.number} of {self.execution}"


class Attempt(models.Model):
    """One time that a step's effect was sent, or looked for: written before the socket opens."""

    step_run = models.ForeignKey(StepRun, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    act = models.CharField(max_length=10, default="send")  # send, or find
    fence = models.PositiveIntegerField()
    started_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=20, blank=True)
    status = models.IntegerField(null=True, blank=True)
    request_id = models.CharField(max_length=100, blank=True)
    message = models.TextField(blank=True)
    call_id = models.BigIntegerField("call", null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["number"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["step_run", "number"], name="one_attempt_per_number")]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.step_run}"


class Verification(models.Model):
    """A fresh read of the source after a step, held against what was predicted."""

    step_run = models.ForeignKey(StepRun, on_delete=models.CASCADE, related_name="verifications")
    matched = models.BooleanField()
    # [{"entity","key","field","expected","actual","matched","side_effect"}]
    fields = models.JSONField(default=list)
    records = models.JSONField(default=list)  # [{"system","entity","key","version"}] as read
    surprises = models.PositiveSmallIntegerField(default=0)  # side effects that came out otherwise
    read_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return "matched" if self.matched else "differs"


class LaneTicket(models.Model):
    """A place in the line before one record. Only the holder may write to it; places are given in approved order."""

    lane = models.CharField(max_length=200)
    execution = models.ForeignKey(Execution, on_delete=models.CASCADE, related_name="tickets")
    holding = models.BooleanField(default=False)
    taken_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["lane"], condition=Q(holding=True), name="one_holder_per_lane"),
            models.UniqueConstraint(fields=["lane", "execution"], name="one_ticket_per_execution"),
        ]

    def __str__(self) -> str:
        return self.lane


class DeadLetter(models.Model):
    """What cannot go on by itself: what was asked, why it failed, and what to do next."""

    class State(models.TextChoices):
        """What has become of it."""

        WAITING = "waiting", "Waiting"
        REPLAYED = "replayed", "Replayed"
        RESOLVED = "resolved", "Resolved"

    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="dead_letters")
    step_run = models.ForeignKey(StepRun, null=True, blank=True, on_delete=models.PROTECT, related_name="dead_letters")
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    cause = models.CharField(max_length=200)  # letters with the same cause are one group
    error = models.TextField()
    guidance = models.TextField()
    payload = models.JSONField(default=dict)
    replays = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    escalate_at = models.DateTimeField(null=True, blank=True)
    escalated_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=200, blank=True)
    resolution = models.TextField(blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["step_run"], condition=Q(state="waiting"), name="one_waiting_letter_per_step"
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["state", "cause"], name="dead_letter_by_cause"),
            models.Index(fields=["state", "id"], name="dead_letter_by_state"),
        ]

    def __str__(self) -> str:
        return self.cause


class Stumble(models.Model):
    """How often the loop has failed to carry an incident past its present status, and on what."""

    incident = models.OneToOneField(Incident, on_delete=models.CASCADE, related_name="stumble")
    status = models.CharField(max_length=20)
    count = models.PositiveSmallIntegerField(default=0)
    message = models.TextField(blank=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.count}× {self.message}"
