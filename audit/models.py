"""The ledger's rows, and the people, roles, scopes and tokens behind every actor."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from simple_history.models import HistoricalRecords

from audit.access import LedgerQuerySet


class Entry(models.Model):
    """One line of the ledger: who did what to what, why, and what changed. Never updated, never deleted."""

    n = models.BigIntegerField("number", primary_key=True)
    at = models.DateTimeField()
    actor = models.CharField(max_length=200)
    verb = models.CharField(max_length=100)
    target_type = models.CharField(max_length=100, blank=True)
    target_id = models.CharField(max_length=200, blank=True)
    # A number, not a relation: audit knows nobody.
    incident_id = models.BigIntegerField("incident", null=True, blank=True)
    business_unit = models.CharField(max_length=40, blank=True)
    region = models.CharField(max_length=40, blank=True)
    reason = models.TextField(blank=True)
    # Canonical JSON text {"before":…,"after":…,"data":…}: hashed byte for byte, so it is not a JSON column.
    body = models.TextField(default="{}")
    channel = models.CharField(max_length=40, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    address = models.CharField(max_length=64, blank=True)
    token = models.CharField(max_length=12, blank=True)  # the beginning of the API token that was shown
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    objects = LedgerQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["n"]
        verbose_name = "ledger entry"
        verbose_name_plural = "ledger entries"
        indexes: ClassVar = [
            models.Index(fields=["incident_id", "n"], name="entry_by_incident"),
            models.Index(fields=["verb", "n"], name="entry_by_verb"),
            models.Index(fields=["actor", "n"], name="entry_by_actor"),
            models.Index(fields=["target_type", "target_id"], name="entry_by_target"),
        ]

    def __str__(self) -> str:
        return f"{self.n} {self.actor} {self.verb}"


class Head(models.Model):
    """The end of the chain. One row; appending locks it, so entries are numbered without gaps."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    n = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"head {self.n}"


class Scope(models.Model):
    """Which business units and regions a person works for. ``["*"]`` means all, an empty list none."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="scope")
    business_units = models.JSONField(default=list, blank=True)
    regions = models.JSONField(default=list, blank=True)
    history = HistoricalRecords()

    def __str__(self) -> str:
        return f"scope of {self.user}"


class BusinessUnit(models.Model):
    """A part of the firm that rows belong to, with its regions and its own currency."""

    slug = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=120)
    regions = models.JSONField(default=list, blank=True)
    currency = models.CharField(max_length=3, default="EUR")
    history = HistoricalRecords()

    class Meta:
        ordering: ClassVar = ["slug"]

    def __str__(self) -> str:
        return self.slug


class ApiToken(models.Model):
    """A key for a program. Only its SHA-256 is kept, so it can be shown once and never again."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list, blank=True)  # empty: all that the user may do
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API token"
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.prefix}… {self.name}"


class Slot(models.Model):
    """One turn of one schedule. Two beats ring twice; only the process that inserts the slot acts."""

    schedule = models.CharField(max_length=100)
    slot = models.BigIntegerField()
    taken_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["schedule", "slot"], name="each_slot_once")]

    def __str__(self) -> str:
        return f"{self.schedule} {self.slot}"
