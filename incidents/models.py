"""The nouns of the backbone: kinds, signals, incidents, evidence, root causes and service levels."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from simple_history.models import HistoricalRecords

from audit.access import ScopedQuerySet
from incidents import entity_models, ticket_models  # noqa: F401 - the nouns of the entity graph, and tickets
from incidents.judgements import Decision, Offer, Pace  # noqa: F401 - makes them tables of this app
from incidents.orders import BY_CALL, BY_DELIVERY, CLOCKS, INDEXES, UNSEEN
from incidents.states import Assign, Severity, Status


class ExceptionKind(models.Model):
    """What one kind of exception is: how it is detected, proved, judged and routed (see incidents.kinds)."""

    code = models.SlugField(max_length=60, unique=True)
    label = models.CharField(max_length=120)
    domain = models.CharField(max_length=40)
    entity_type = models.CharField(max_length=60)
    definition = models.JSONField(default=dict)
    version = models.PositiveIntegerField(default=1)
    enabled = models.BooleanField(default=True)
    history = HistoricalRecords()

    class Meta:
        ordering: ClassVar = ["code"]

    def __str__(self) -> str:
        return self.label


class Queue(models.Model):
    """A team's list of work: who takes what the loop cannot finish."""

    slug = models.SlugField(max_length=60, unique=True)
    label = models.CharField(max_length=120)
    domains = models.JSONField(default=list, blank=True)
    business_units = models.JSONField(default=list, blank=True)
    # [{"user": "anna", "skills": ["billing"], "capacity": 10}], see incidents.routing.
    members = models.JSONField(default=list, blank=True)
    assign = models.CharField(max_length=12, choices=Assign, default=Assign.OFF)
    calendar = models.ForeignKey("Calendar", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    history = HistoricalRecords()

    class Meta:
        ordering: ClassVar = ["slug"]

    def __str__(self) -> str:
        return self.label


class Calendar(models.Model):
    """Business hours, their time zone and the holidays on which the clock stands still."""

    slug = models.SlugField(max_length=60, unique=True)
    label = models.CharField(max_length=120)
    time_zone = models.CharField(max_length=60, default="UTC")
    # {"mon": [["08:00", "18:00"]], …}; a missing day is closed.
    hours = models.JSONField(default=dict)
    country = models.CharField(max_length=2, blank=True, help_text="Public holidays of this country are closed.")
    subdivision = models.CharField(max_length=10, blank=True)
    closed_days = models.JSONField(default=list, blank=True, help_text="Further closed days as YYYY-MM-DD.")
    history = HistoricalRecords()

    class Meta:
        ordering: ClassVar = ["slug"]

    def __str__(self) -> str:
        return self.label


class SlaPolicy(models.Model):
    """How fast an incident must be acknowledged and resolved, and who hears of it when it is not."""

    slug = models.SlugField(max_length=60, unique=True)
    label = models.CharField(max_length=120)
    calendar = models.ForeignKey(Calendar, on_delete=models.PROTECT)
    domains = models.JSONField(default=list, blank=True, help_text="Empty: every domain.")
    kinds = models.JSONField(default=list, blank=True, help_text="Codes of exception kinds; empty: every kind.")
    business_units = models.JSONField(default=list, blank=True, help_text="Named here, it goes before unbound ones.")
    regions = models.JSONField(default=list, blank=True, help_text="Goes before a unit alone; empty: every region.")
    # {"critical": {"acknowledge": 15, "resolve": 120}, …}, in business minutes.
    targets = models.JSONField(default=dict)
    warn_percent = models.PositiveSmallIntegerField(default=75)
    escalate_to = models.JSONField(default=list, help_text="Roles told in turn, such as approver, then compliance.")
    escalate_every_minutes = models.PositiveIntegerField(default=60)
    contractual = models.BooleanField(default=False)
    priority = models.PositiveSmallIntegerField(default=100, help_text="Among equally bound ones the lowest wins.")
    enabled = models.BooleanField(default=True)
    history = HistoricalRecords()

    class Meta:
        ordering: ClassVar = ["priority", "slug"]
        verbose_name = "SLA policy"
        verbose_name_plural = "SLA policies"

    def __str__(self) -> str:
        return self.label


class Incident(models.Model):
    """The one problem that all signals with the same fingerprint speak of."""

    kind = models.ForeignKey(ExceptionKind, null=True, blank=True, on_delete=models.PROTECT, related_name="incidents")
    code = models.CharField(max_length=60)
    fingerprint = models.CharField(max_length=64)
    fingerprint_version = models.PositiveSmallIntegerField(default=1)
    title = models.CharField(max_length=300)
    status = models.CharField(max_length=20, choices=Status, default=Status.NEW)
    status_reason = models.TextField(blank=True)
    severity = models.CharField(max_length=10, choices=Severity, default=Severity.MEDIUM)
    severity_rank = models.PositiveSmallIntegerField(default=2)  # 0 critical … 3 low, for ordering
    severity_reason = models.TextField(blank=True)
    domain = models.CharField(max_length=40, blank=True)
    entity_type = models.CharField(max_length=60)
    entity_key = models.CharField(max_length=200)
    attributes = models.JSONField(default=dict, blank=True)
    business_unit = models.CharField(max_length=40, blank=True)
    region = models.CharField(max_length=40, blank=True)
    amount = models.DecimalField(max_digits=18, decimal_places=2, null=True, blank=True)
    revenue_at_risk = models.DecimalField(max_digits=18, decimal_places=2, null=True, blank=True)
    risk_explained = models.JSONField(default=list, blank=True)  # [{"evidence", "record", "field", "amount"}]
    currency = models.CharField(max_length=3, blank=True)
    queue = models.ForeignKey(Queue, null=True, blank=True, on_delete=models.SET_NULL, related_name="incidents")
    queue_reason = models.TextField(blank=True)
    assignee = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="incidents"
    )
    signals_count = models.PositiveIntegerField(default=0)
    first_signal_at = models.DateTimeField()
    last_signal_at = models.DateTimeField()
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)  # null while it takes new signals
    resolved_at = models.DateTimeField(null=True, blank=True)
    merged_into = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="merged_from")
    # The loop's own columns: when to look next, and who is looking.
    due_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveIntegerField(default=0)
    row_version = models.PositiveIntegerField(default=1)  # rises with every move; the API's ETag
    history = HistoricalRecords(excluded_fields=["due_at", "lease_until", "fence", "signals_count", "last_signal_at"])

    objects = ScopedQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["fingerprint"], condition=Q(closed_at__isnull=True), name="one_open_incident_per_fingerprint"
            ),
            models.CheckConstraint(condition=Q(status__in=Status.values), name="incident_status_is_known"),
            models.CheckConstraint(condition=~Q(fingerprint=""), name="incident_has_a_fingerprint"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["fingerprint", "-id"], name="incident_by_fingerprint"),
            models.Index(fields=["status", "severity_rank", "-id"], name="incident_by_status"),
            models.Index(fields=["business_unit", "region", "-id"], name="incident_by_unit"),
            models.Index(fields=["entity_key"], name="incident_by_entity"),
            models.Index(fields=["due_at"], name="incident_due", condition=Q(due_at__isnull=False)),
            *INDEXES,
        ]

    def __str__(self) -> str:
        return f"INC-{self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("incident", args=[self.pk])


class Signal(models.Model):
    """One thing that a system told us, raw and normalised, and the incident it joined."""

    source = models.CharField(max_length=300)
    event_id = models.CharField(max_length=300)
    type = models.CharField(max_length=200, blank=True)
    channel = models.CharField(max_length=20, default="api")  # api, hook, poll, mail, chat, console
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    code = models.CharField(max_length=60)
    entity_type = models.CharField(max_length=60)
    entity_key = models.CharField(max_length=200)
    attributes = models.JSONField(default=dict, blank=True)
    amount = models.DecimalField(max_digits=18, decimal_places=2, null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    business_unit = models.CharField(max_length=40, blank=True)
    region = models.CharField(max_length=40, blank=True)
    text = models.TextField(blank=True)
    raw = models.JSONField(default=dict)
    fingerprint = models.CharField(max_length=64)
    fingerprint_explained = models.JSONField(default=dict)
    # Where it first joined; a merge moves `incident`, never this.
    joined = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="first_signals")
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="signals")
    merged = models.BooleanField(default=False)  # it joined an incident that was already there
    delivery_id = models.BigIntegerField("delivery", null=True, blank=True)

    objects = ScopedQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["source", "event_id"], name="one_signal_per_source_and_id")
        ]
        indexes: ClassVar = [BY_DELIVERY]

    def __str__(self) -> str:
        return f"{self.source} {self.event_id}"


class Evidence(models.Model):
    """A record as it stood in a source system: its id, version, time and digest. Never changed."""

    class Form(models.TextChoices):
        """What the evidence is: a signal that came, or a record that was read."""

        SIGNAL = "signal"
        RECORD = "record"

    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="evidence")
    form = models.CharField(max_length=10, choices=Form)
    name = models.CharField(max_length=60, blank=True)  # what the kind calls it: invoice, twin, confirmations
    signal = models.ForeignKey(Signal, null=True, blank=True, on_delete=models.PROTECT, related_name="evidence")
    system = models.CharField(max_length=300)
    entity = models.CharField(max_length=200)
    record_id = models.CharField(max_length=300)
    version = models.CharField(max_length=200, blank=True)
    captured_at = models.DateTimeField()
    digest = models.CharField(max_length=64)
    content = models.JSONField(default=dict)
    url = models.CharField(max_length=500, blank=True)
    call_id = models.BigIntegerField("call", null=True, blank=True)
    round = models.PositiveIntegerField(default=0)  # of the diagnosis that fetched it; the highest is the current one

    class Meta:
        ordering: ClassVar = ["id"]
        verbose_name_plural = "evidence"
        indexes: ClassVar = [
            models.Index(fields=["incident", "form", "round"], name="evidence_by_incident"),
            BY_CALL,
        ]

    def __str__(self) -> str:
        return f"{self.entity} {self.record_id}"


class RootCause(models.Model):
    """Why it happened, as statements that code has checked. One per diagnosis; the newest counts."""

    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="root_causes")
    round = models.PositiveIntegerField()
    engine = models.CharField(max_length=60)  # built-in, or the model's name
    cause = models.CharField(max_length=60, blank=True)  # the hypothesis that holds; blank: no cause found
    summary = models.TextField(blank=True)
    kind_version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    inputs_digest = models.CharField(max_length=64)

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["incident", "round"], name="one_root_cause_per_round")]

    def __str__(self) -> str:
        return self.cause or "no cause found"


class Statement(models.Model):
    """One claim, its grade, and the citations that code evaluated."""

    class Grade(models.TextChoices):
        """How firmly the evidence carries a claim."""

        OBSERVED = "observed", "observed"
        CONSISTENT = "consistent", "consistent"
        HYPOTHESIS = "hypothesis", "hypothesis"

    class Verdict(models.TextChoices):
        """Whether the claim held against the evidence."""

        HOLDS = "holds"
        RULED_OUT = "ruled_out"
        UNTESTED = "untested"  # the record that it needs could not be read

    root_cause = models.ForeignKey(RootCause, on_delete=models.CASCADE, related_name="statements")
    number = models.PositiveSmallIntegerField()
    hypothesis = models.CharField(max_length=60)
    text = models.TextField()
    grade = models.CharField(max_length=12, choices=Grade)
    verdict = models.CharField(max_length=12, choices=Verdict)
    author = models.CharField(max_length=60, default="built-in")
    refuted_by = models.TextField(blank=True)  # which check failed, in words

    class Meta:
        ordering: ClassVar = ["number"]

    def __str__(self) -> str:
        return self.text


class Citation(models.Model):
    """The record, field and value that a statement rests on, as a check that can be run again."""

    statement = models.ForeignKey(Statement, on_delete=models.CASCADE, related_name="citations")
    evidence = models.ForeignKey(Evidence, on_delete=models.PROTECT, related_name="citations")
    field = models.CharField(max_length=100, blank=True)
    value = models.JSONField(null=True)
    claim = models.JSONField(default=dict)  # what was tested, as data: {"record","field","op",…}
    held = models.BooleanField(default=True)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.evidence} {self.field}"


class SlaClock(models.Model):
    """One incident's clock: when it must be acknowledged and resolved, and what was missed."""

    incident = models.OneToOneField(Incident, on_delete=models.CASCADE, related_name="sla")
    policy = models.ForeignKey(SlaPolicy, on_delete=models.PROTECT, related_name="clocks")
    calendar = models.ForeignKey(Calendar, null=True, on_delete=models.PROTECT, related_name="+")  # kept to its end
    because = models.TextField(blank=True)  # why this policy
    started_at = models.DateTimeField()
    acknowledge_due = models.DateTimeField(null=True, blank=True)
    resolve_due = models.DateTimeField(null=True, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    warn_at = models.DateTimeField(null=True, blank=True)
    warned_at = models.DateTimeField(null=True, blank=True)
    breached_at = models.DateTimeField(null=True, blank=True)
    next_escalation_at = models.DateTimeField(null=True, blank=True)
    escalation_level = models.PositiveSmallIntegerField(default=0)

    class Meta:
        indexes: ClassVar = [*CLOCKS]

    def __str__(self) -> str:
        return f"clock of {self.incident}"


class Escalation(models.Model):
    """A breach told to the next role, with what justified it and the evidence at that moment."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="escalations")
    level = models.PositiveSmallIntegerField()
    role = models.CharField(max_length=40)
    justification = models.TextField()
    snapshot = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    acknowledged_by = models.CharField(max_length=200, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["level"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["incident", "level"], name="one_escalation_per_level")]
        indexes: ClassVar = [UNSEEN]

    def __str__(self) -> str:
        return f"{self.incident} to {self.role}"


class Comment(models.Model):
    """What a person wrote about an incident."""

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="comments")
    author = models.CharField(max_length=200)
    text = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return self.text[:60]


class Merge(models.Model):
    """One incident folded into another by a person: enough to take it apart exactly, and to keep it apart."""

    kept = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="merges_in")
    folded = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="merges_out")
    signal_ids = models.JSONField(default=list)
    evidence_ids = models.JSONField(default=list)
    before = models.JSONField(default=dict)  # the columns of both that the merge changed
    actor = models.CharField(max_length=200)
    reason = models.TextField(blank=True)
    merged_at = models.DateTimeField()
    unmerged_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.folded} into {self.kept}"
