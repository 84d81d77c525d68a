"""The nouns of task mining: step logs, what was refused of them, routines, where they belong, and trackers."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.urls import reverse

from insights.access import InsightQuerySet
from insights.tasklog.states import RoutineKind, TaskLogState


class TaskLog(models.Model):
    """What people did on their screens, as steps without names and values; the steps lie under the data folder."""

    name = models.CharField(max_length=120)
    business_unit = models.CharField(max_length=40, blank=True)
    region = models.CharField(max_length=40, blank=True)
    file_name = models.CharField(max_length=200, blank=True)
    size = models.BigIntegerField(
        default=0, help_text="Bytes of the file as it was given; the file itself is not kept."
    )
    # {"user": …, "application": …, "element": …, "action": …, "value": …, "time": …, "session": …} as column names
    mapping: Any = models.JSONField(default=dict, blank=True)
    # {"application": "connection slug"}: which system stands behind a window.
    systems: Any = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=12, choices=TaskLogState, default=TaskLogState.WAITING)
    progress = models.FloatField(default=0.0, help_text="Share of the mining that is done, 0 to 1.")
    error = models.TextField(blank=True)
    lease_token = models.CharField(max_length=40, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    steps = models.BigIntegerField(default=0)
    people = models.PositiveIntegerField(default=0)
    sessions = models.PositiveIntegerField(default=0)
    withheld = models.PositiveIntegerField(default=0, help_text="Routines of too few people to be shown.")
    rejected_count = models.BigIntegerField(default=0)
    first_at = models.DateTimeField(null=True, blank=True)
    last_at = models.DateTimeField(null=True, blank=True)
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField()
    ready_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(help_text="When the steps are removed; what was found in them stays.")
    expired_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar = InsightQuerySet["TaskLog"].as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(state__in=TaskLogState.values), name="task_log_state_is_known"),
        ]
        indexes: ClassVar = [models.Index(fields=["state", "lease_until"], name="task_log_due")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the address of what was found in it."""
        return reverse("task_log", args=[self.pk])


class RejectedStep(models.Model):
    """One line of a step log that could not be a step, and why. Never what stood in it."""

    log = models.ForeignKey(TaskLog, on_delete=models.CASCADE, related_name="rejected")
    line = models.BigIntegerField()
    reason = models.CharField(max_length=200)

    class Meta:
        ordering: ClassVar = ["log", "line", "id"]

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


class Routine(models.Model):
    """Something that at least so many people do again and again; fewer than that are never shown."""

    log = models.ForeignKey(TaskLog, on_delete=models.CASCADE, related_name="routines")
    number = models.PositiveIntegerField(help_text="1 takes most time.")
    kind = models.CharField(max_length=12, choices=RoutineKind)
    family = models.PositiveIntegerField(help_text="Routines of one family are ways of doing one task.")
    # [{"application", "element", "action", "value"}]: of a copy or a retyping, where from and where to.
    steps: Any = models.JSONField()
    repeats = models.PositiveIntegerField()
    people = models.PositiveIntegerField()
    weeks = models.PositiveIntegerField(help_text="In how many calendar weeks it was seen.")
    median_seconds = models.FloatField()
    total_seconds = models.FloatField()
    share = models.FloatField(help_text="Of its family's repeats, 0 to 1.")
    playbook = models.ForeignKey("playbooks.Playbook", null=True, blank=True, on_delete=models.SET_NULL)

    class Meta:
        ordering: ClassVar = ["log", "number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["log", "number"], name="one_routine_per_number"),
        ]

    def __str__(self) -> str:
        return f"routine {self.number} of {self.log}"


class ActivityLink(models.Model):
    """Somebody's word that steps in a window are an activity of a process: it joins how a task is done with where."""

    task_log = models.ForeignKey(TaskLog, on_delete=models.CASCADE, related_name="links")
    application = models.CharField(max_length=80)
    element = models.CharField(max_length=80, blank=True, help_text="Empty: every element of the application.")
    event_log = models.ForeignKey("insights.EventLog", on_delete=models.CASCADE, related_name="activitylinks")
    activity = models.CharField(max_length=200)
    declared_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["task_log", "application", "element"], name="one_activity_per_element"),
        ]

    def __str__(self) -> str:
        return f"{self.application} is {self.activity}"


class Tracker(models.Model):
    """A list that people keep beside the systems (Excel, SharePoint), to be held against recorded effects."""

    name = models.CharField(max_length=120)
    business_unit = models.CharField(max_length=40, blank=True)
    region = models.CharField(max_length=40, blank=True)
    entity_type = models.CharField(max_length=60, blank=True, help_text="What its records are, such as invoice.")
    tolerance_hours = models.PositiveIntegerField(
        default=24, help_text="How far a change and its effect may lie apart."
    )
    lines_count = models.PositiveIntegerField(default=0)
    rejected_count = models.PositiveIntegerField(default=0)
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField()

    objects: ClassVar = InsightQuerySet["Tracker"].as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the address of its orphans."""
        return reverse("tracker", args=[self.pk])


class TrackerLine(models.Model):
    """One change that the list tells of, and the recorded effect that it is; without one it is an orphan."""

    tracker = models.ForeignKey(Tracker, on_delete=models.CASCADE, related_name="lines")
    line = models.PositiveIntegerField()
    person = models.CharField(max_length=16, help_text="A pseudonym.")
    record = models.CharField(max_length=200)
    change = models.CharField(max_length=500, blank=True)
    changed_at = models.DateTimeField()
    effect_id = models.BigIntegerField("step run", null=True, blank=True)
    incident_id = models.BigIntegerField("incident", null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["tracker", "line"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tracker", "line"], name="one_tracker_line_per_number")
        ]
        indexes: ClassVar = [models.Index(fields=["record"], name="tracker_line_by_record")]

    def __str__(self) -> str:
        return f"{self.record} in {self.tracker}"
