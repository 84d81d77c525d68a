"""Rules that say who must agree, requests that ask them, and what they decided."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.urls import reverse
from simple_history.models import HistoricalRecords

from approvals.states import State
from audit.access import ScopedQuerySet


class ApprovalRule(models.Model):
    """When an approval is needed, from which role, from how many people, and for how long the question stands."""

    class Subject(models.TextChoices):
        """What is to be approved."""

        PLAN = "plan", "Plan"
        ROLLBACK = "rollback", "Rollback"

    slug = models.SlugField(max_length=60, unique=True)
    label = models.CharField(max_length=120)
    subjects = models.JSONField(default=list, blank=True, help_text="plan, rollback; empty: both.")
    min_risk = models.CharField(max_length=10, default="low", help_text="low, medium or high: this tier and above.")
    domains = models.JSONField(default=list, blank=True, help_text="Empty: every domain.")
    business_units = models.JSONField(default=list, blank=True, help_text="Empty: every unit.")
    financial_only = models.BooleanField(default=False, help_text="Only where a step posts money.")
    min_amount = models.DecimalField(max_digits=18, decimal_places=2, null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True, help_text="Of the amount; other currencies always match.")
    role = models.CharField(max_length=40, default="approver")
    quorum = models.PositiveSmallIntegerField(default=1)
    expires_minutes = models.PositiveIntegerField(default=1440)
    enabled = models.BooleanField(default=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    version = models.PositiveIntegerField(default=1)
    history = HistoricalRecords()

    class Meta:
        ordering: ClassVar = ["slug"]
        constraints: ClassVar = [models.CheckConstraint(condition=Q(quorum__gte=1), name="rule_asks_somebody")]

    def __str__(self) -> str:
        return self.label


class ApprovalRequest(models.Model):
    """A question to people: may exactly this be done? Bound to the digest of what they saw."""

    subject = models.CharField(max_length=10, choices=ApprovalRule.Subject)
    subject_id = models.BigIntegerField()  # the plan's or the rollback execution's number; the floor above knows which
    incident_id = models.BigIntegerField("incident")
    digest = models.CharField(max_length=64)
    title = models.CharField(max_length=300)
    summary = models.JSONField(default=dict)  # what was asked, by value: it must read the same in ten years
    risk_tier = models.CharField(max_length=10)
    domain = models.CharField(max_length=40, blank=True)
    amount = models.DecimalField(max_digits=18, decimal_places=2, null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    business_unit = models.CharField(max_length=40, blank=True)
    region = models.CharField(max_length=40, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    state_reason = models.TextField(blank=True)
    # [{"rule","version","role","quorum","because"}]: each needs its own quorum of distinct people.
    requirements = models.JSONField(default=list)
    required = models.PositiveSmallIntegerField(default=1)
    given = models.PositiveSmallIntegerField(default=0)
    asked_because = models.TextField(blank=True)
    requested_by = models.CharField(max_length=200)
    # Usernames who must not decide: asked for it, edited it, own a policy that spoke.
    excluded = models.JSONField(default=list, blank=True)
    # The same, and the roles still missing, one a line and set off by line breaks: a list can be searched by them on
    # every database. The decision itself never asks these two.
    barred = models.TextField(default="\n", editable=False)
    open_roles = models.TextField(default="\n", editable=False)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)
    row_version = models.PositiveIntegerField(default=1)  # rises with every decision and move; the API's ETag

    objects = ScopedQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["subject", "subject_id"],
                condition=Q(state__in=["pending", "approved"]),
                name="one_standing_request_per_subject",
            ),
            models.CheckConstraint(condition=Q(state__in=State.values), name="approval_state_is_known"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["state", "expires_at"], name="approval_by_state"),
            models.Index(fields=["incident_id"], name="approval_by_incident"),
        ]

    def __str__(self) -> str:
        return f"approval {self.pk}"

    def get_absolute_url(self) -> str:
        return reverse("approval", args=[self.pk])


class Decision(models.Model):
    """One person's yes or no to exactly one digest."""

    class Verdict(models.TextChoices):
        """What was decided."""

        APPROVE = "approve"
        REJECT = "reject"

    request = models.ForeignKey(ApprovalRequest, on_delete=models.PROTECT, related_name="decisions")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="decisions")
    on_behalf_of = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    rule = models.CharField(max_length=60, blank=True)  # the requirement that it counts towards, and its role
    role = models.CharField(max_length=40)
    verdict = models.CharField(max_length=10, choices=Verdict)
    comment = models.TextField(blank=True)
    digest = models.CharField(max_length=64)
    decided_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["request", "person"], name="one_decision_per_person"),
            # Whoever lent their voice has spoken: of a giver and a taker, one vote comes and not two.
            models.UniqueConstraint("request", Coalesce("on_behalf_of", "person"), name="one_decision_per_voice"),
        ]

    def __str__(self) -> str:
        return f"{self.person} {self.verdict}"


class Delegation(models.Model):
    """One approver lets another decide one request, or all of theirs for a time."""

    giver = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="delegations_given")
    taker = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="delegations_taken")
    request = models.ForeignKey(
        ApprovalRequest, null=True, blank=True, on_delete=models.CASCADE, related_name="delegations"
    )
    reason = models.TextField(blank=True)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    history = HistoricalRecords()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=~Q(giver=models.F("taker")), name="delegate_is_another")
        ]

    def __str__(self) -> str:
        return f"{self.giver} to {self.taker}"
