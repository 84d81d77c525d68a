"""Nouns beside an incident: what was judged of it and by which rule, who was offered it, and how fast it came."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q


class Decision(models.Model):
    """The severity or domain that a rule gave one incident, and what a person made of it."""

    class Subject(models.TextChoices):
        """What was decided."""

        SEVERITY = "severity", "Severity"
        DOMAIN = "domain", "Domain"

    incident = models.ForeignKey("incidents.Incident", on_delete=models.CASCADE, related_name="decisions")
    subject = models.CharField(max_length=10, choices=Subject)
    basis = models.CharField(max_length=160)  # kind, what was said, and the rule; blank: nothing had been decided
    said = models.CharField(max_length=40)
    decided_at = models.DateTimeField()  # when it was first sized up
    # The label: a person's word, which triage leaves alone from then on.
    corrected_to = models.CharField(max_length=40, blank=True)
    corrected_by = models.CharField(max_length=200, blank=True)
    corrected_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["incident", "subject"], name="one_decision_per_incident_and_subject")
        ]
        indexes: ClassVar = [models.Index(fields=["basis", "-id"], name="decision_by_basis")]

    def __str__(self) -> str:
        return f"{self.subject} of {self.incident}: {self.corrected_to or self.said}"


class Offer(models.Model):
    """To whom an incident was given or proposed by skill and load, or why to nobody."""

    incident = models.OneToOneField("incidents.Incident", on_delete=models.CASCADE, related_name="offer")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="offers"
    )
    assigned = models.BooleanField(default=False)  # else it is a suggestion
    reason = models.TextField()
    made_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["person"], name="offer_suggested", condition=Q(assigned=False, person__isnull=False))
        ]

    def __str__(self) -> str:
        return f"{self.incident} to {self.person or 'nobody'}"


class Pace(models.Model):
    """A running histogram of seconds, counted from rows up to ``last_id`` by one writer."""

    measure = models.CharField(max_length=40, unique=True)
    last_id = models.BigIntegerField(default=0)
    counts = models.JSONField(default=list)  # one per bound of incidents.pace.BOUNDS, then those beyond the last
    seconds = models.FloatField(default=0)
    ahead = models.BigIntegerField(default=0)  # rows whose clock ran ahead of ours: in no bucket

    def __str__(self) -> str:
        return self.measure
