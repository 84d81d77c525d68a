"""The nouns of insights: event logs and the lines of them that were refused."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.urls import reverse

from insights.access import InsightQuerySet
from insights.states import LogState


class EventLog(models.Model):
    """One process as events: rows are here, the events themselves lie as Parquet under the data folder.

    ``generation`` counts the imports; the files of each lie in a folder of its own, so that a reader never sees a
    half-written one and answers can be kept by log and generation.
    """

    name = models.CharField(max_length=120)
    process = models.SlugField(max_length=40, blank=True, help_text="The template it follows, such as o2c or p2p.")
    object_type = models.CharField(max_length=120, blank=True, help_text="The object of an OCEL log that is a case.")
    business_unit = models.CharField(max_length=40, blank=True)
    region = models.CharField(max_length=40, blank=True)
    # Where it came from: upload, folder, connection:…, loop.
    origin = models.CharField(max_length=120, default="upload")
    file_name = models.CharField(max_length=200, blank=True)
    format = models.CharField(max_length=20, blank=True)
    size = models.BigIntegerField(default=0, help_text="Bytes of the file as it was given.")
    digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the file as it was given.")
    # {"case": …, "activity": …, "timestamp": …, "start": …, "resource": …} as column names, "time_zone", …
    mapping = models.JSONField(default=dict, blank=True)
    # Whose records it tells of, where somebody said so: {"connection": slug, "entity": …, "key": the attribute that
    # holds the key ("": the case itself), "prefix": what stands before it, such as a company and a slash}.
    records: Any = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=12, choices=LogState, default=LogState.MAPPING)
    progress = models.FloatField(default=0.0, help_text="Share of the file that is read, 0 to 1.")
    error = models.TextField(blank=True)
    generation = models.PositiveIntegerField(default=0)
    # Who imports, and until when they are believed to be alive; see insights.eventlog.
    lease_token = models.CharField(max_length=40, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    cases = models.BigIntegerField(default=0)
    events = models.BigIntegerField(default=0)
    activities = models.PositiveIntegerField(default=0)
    variants = models.PositiveIntegerField(default=0)
    first_at = models.DateTimeField(null=True, blank=True)
    last_at = models.DateTimeField(null=True, blank=True)
    # [{"name": …, "level": "case" | "event", "column": …, "type": "text" | "number" | "time" | "flag"}]
    attributes = models.JSONField(default=list, blank=True)
    # Where the tables of this generation lie in the object store, by name: {"key": …, "size": …, "sha256": …}; empty
    # where they lie in the data folder.
    tables: Any = models.JSONField(default=dict, blank=True, editable=False)
    rejected_count = models.BigIntegerField(default=0)
    failed_rejected_count = models.BigIntegerField(default=0, help_text="Refused lines of an import that failed.")
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField()
    ready_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar = InsightQuerySet["EventLog"].as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(state__in=LogState.values), name="log_state_is_known"),
            models.CheckConstraint(
                condition=models.Q(progress__gte=0.0, progress__lte=1.0), name="log_progress_is_a_share"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["state", "lease_until"], name="log_due")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the address of its process map."""
        return reverse("event_log", args=[self.pk])

    def refused_now(self) -> "models.QuerySet[Rejected]":
        """Return the refused lines of the import that readers see."""
        return Rejected.objects.filter(log=self, generation=self.generation)

    def refused_last(self) -> "models.QuerySet[Rejected]":
        """Return the refused lines of the import that failed; what came of the one before stays apart."""
        return Rejected.objects.filter(log=self, generation__gt=self.generation)


class Rejected(models.Model):
    """One line of a log that could not be an event, and why; only the first thousand are kept, all are counted.

    ``generation`` is that of its import; of one that failed, the one that it would have been.
    """

    log = models.ForeignKey(EventLog, on_delete=models.CASCADE, related_name="rejected")
    generation = models.PositiveIntegerField(default=1)
    line = models.BigIntegerField(help_text="Line of the file, or number of the event, counted from 1.")
    reason = models.CharField(max_length=200)
    text = models.CharField(max_length=200, blank=True, help_text="The beginning of the line.")

    class Meta:
        ordering: ClassVar = ["log", "line", "id"]
        verbose_name_plural = "rejected lines"

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


# Each part's nouns live in a module of that part; importing them here makes them tables of this app.
from insights.detectors.models import (  # noqa: E402, F401 - makes them tables of this app
    Detector,
    DetectorFinding,
    DetectorRun,
    DetectorVersion,
    Rehearsal,
)
from insights.kpis.models import Assumption, Finding, UsageDay, UsageMark  # noqa: E402, F401 - makes them tables of this app
from insights.mining.models import ReferenceModel  # noqa: E402, F401 - makes them tables of this app
from insights.tasklog.models import (  # noqa: E402, F401 - makes them tables of this app
    ActivityLink,
    RejectedStep,
    Routine,
    TaskLog,
    Tracker,
    TrackerLine,
)
