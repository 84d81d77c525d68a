"""The nouns of detectors: the rule with its versions, rehearsals, runs and what each run found."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from simple_history.models import HistoricalRecords

from insights.access import InsightQuerySet
from insights.detectors.states import Fate, Outcome


class Detector(models.Model):
    """A rule that watches a log or a connection and opens incidents; what it says stands in its versions."""

    slug = models.SlugField(max_length=60, unique=True)
    label = models.CharField(max_length=120)
    log = models.ForeignKey(
        "insights.EventLog", null=True, blank=True, on_delete=models.SET_NULL, related_name="detectors"
    )
    # By this name a detector from a file finds its log, and finds it again where the log was taken away and came back.
    log_name = models.CharField(max_length=120, blank=True)
    business_unit = models.CharField(max_length=40, blank=True)
    region = models.CharField(max_length=40, blank=True)
    enabled = models.BooleanField(default=False)
    enabled_reason = models.TextField(blank=True)
    # The runs' own columns: how far a saved query has read, when to look next, and who is looking.
    watermark = models.CharField(max_length=100, blank=True)
    next_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveIntegerField(default=0)
    row_version = models.PositiveIntegerField(default=1)  # rises with every change by a person; the API's ETag
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField()
    history = HistoricalRecords(excluded_fields=["watermark", "next_at", "lease_until", "fence"])

    objects: ClassVar = InsightQuerySet["Detector"].as_manager()

    class Meta:
        ordering: ClassVar = ["label", "id"]
        indexes: ClassVar = [models.Index(fields=["next_at"], name="detector_due", condition=Q(enabled=True))]

    def __str__(self) -> str:
        return self.label

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("detector", args=[self.pk])

    @property
    def active(self) -> "DetectorVersion | None":
        """The version that stands, or ``None``."""
        return self.versions.filter(active=True).first()

    @property
    def source(self) -> str:
        """What its signals call their sender."""
        return f"goldseam:detector:{self.slug}"


class DetectorVersion(models.Model):
    """One text of a rule (see insights.detectors.definitions). Never changed."""

    detector = models.ForeignKey(Detector, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    definition: Any = models.JSONField()
    digest = models.CharField(max_length=64)
    active = models.BooleanField(default=True)
    author = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["detector", "number"], name="one_detector_version_per_number"),
            models.UniqueConstraint(fields=["detector"], condition=Q(active=True), name="one_active_detector_version"),
        ]

    def __str__(self) -> str:
        return f"v{self.number}"


class Rehearsal(models.Model):
    """What a version would have raised in the past. Nothing was raised; never changed."""

    version = models.ForeignKey(DetectorVersion, on_delete=models.CASCADE, related_name="rehearsals")
    by = models.CharField(max_length=200)
    made_at = models.DateTimeField()
    since = models.DateTimeField()
    until = models.DateTimeField()
    found = models.PositiveIntegerField(default=0)
    raised = models.PositiveIntegerField(default=0)
    per_week = models.FloatField(default=0.0)
    # insights.detectors.rehearsing.Result as JSON: examples, weeks, false alarms, labels, doubts.
    result: Any = models.JSONField(default=dict)

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"rehearsal of {self.version}"


class DetectorRun(models.Model):
    """One look of a detector that is switched on: how far, and what came of it."""

    detector = models.ForeignKey(Detector, on_delete=models.CASCADE, related_name="runs")
    version = models.ForeignKey(DetectorVersion, on_delete=models.CASCADE, related_name="runs")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.RUNNING)
    message = models.TextField(blank=True)
    since = models.DateTimeField(null=True, blank=True)
    until = models.DateTimeField(null=True, blank=True)
    found = models.PositiveIntegerField(default=0)
    known = models.PositiveIntegerField(default=0)  # found before: nothing was added
    raised = models.PositiveIntegerField(default=0)
    cooled = models.PositiveIntegerField(default=0)
    held = models.PositiveIntegerField(default=0)

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"run {self.pk}"


class DetectorFinding(models.Model):
    """One thing that a detector found, once: what became of it, and the incident that it joined."""

    detector = models.ForeignKey(Detector, on_delete=models.CASCADE, related_name="findings")
    run = models.ForeignKey(DetectorRun, on_delete=models.CASCADE, related_name="findings")
    key = models.CharField(max_length=300)
    entity_key = models.CharField(max_length=200)
    at = models.DateTimeField()
    text = models.CharField(max_length=500)
    fate = models.CharField(max_length=10, choices=Fate)
    incident = models.ForeignKey("incidents.Incident", null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["detector", "key"], name="one_finding_per_key")]
        indexes: ClassVar = [models.Index(fields=["detector", "entity_key", "-at"], name="finding_by_entity")]

    def __str__(self) -> str:
        return self.text
