"""Hold-outs: a share of what a playbook would mend alone is left to people by lot, to learn what it brings."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from simple_history.models import HistoricalRecords

from incidents.models import Incident
from incidents.states import Severity

MOST_SHARE, LONGEST_DAYS = 50, 366


class HoldOut(models.Model):
    """One trial of one playbook: for so many days so many percent are left to people. At most one runs at a time.

    What decides who is drawn never changes while it runs; other terms are the next trial, with a seed of its own.
    """

    playbook = models.ForeignKey("playbooks.Playbook", on_delete=models.PROTECT, related_name="hold_outs")
    number = models.PositiveIntegerField()  # within the playbook
    share = models.PositiveSmallIntegerField(help_text="Percent that is left to people, 1 to 50.")
    purpose = models.CharField(
        max_length=300, help_text="What is to be learnt; whoever works on such an incident reads it."
    )
    days = models.PositiveSmallIntegerField(help_text="It ends by itself after so many days, at most 366.")
    max_severity = models.CharField(
        max_length=10, choices=Severity, default=Severity.MEDIUM, help_text="Severer ones are never left to people."
    )
    max_amount = models.DecimalField(
        max_digits=18, decimal_places=2, null=True, blank=True,
        help_text="Above it, in another currency, or where no amount is known, nothing is left to people. Empty: any.",
    )  # fmt: skip
    currency = models.CharField(max_length=3, blank=True, help_text="Of that amount, such as EUR.")
    secret_seed = models.CharField(max_length=64, editable=False)  # the key of the draw; told once the trial is over
    author = models.CharField(max_length=200, editable=False)
    begun_at = models.DateTimeField(editable=False)
    ends_at = models.DateTimeField(editable=False)
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)
    history = HistoricalRecords(excluded_fields=["secret_seed"])

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name = "hold-out"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["playbook", "number"], name="one_hold_out_per_number"),
            models.UniqueConstraint(
                fields=["playbook"],
                condition=Q(ended_at__isnull=True),
                name="one_running_hold_out_per_playbook",
            ),
            models.CheckConstraint(
                condition=Q(share__gte=1, share__lte=MOST_SHARE), name="hold_out_share_is_at_most_half"
            ),
            models.CheckConstraint(condition=Q(ends_at__gt=F("begun_at")), name="hold_out_has_an_end"),
        ]

    def __str__(self) -> str:
        return f"hold-out {self.number} of {self.playbook}"


class HoldOutDraw(models.Model):
    """The lot of one incident: left to people, or to the playbook. Drawn once, never drawn anew."""

    hold_out = models.ForeignKey(HoldOut, on_delete=models.PROTECT, related_name="draws")
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="hold_out_draws")
    playbook_version = models.ForeignKey("playbooks.PlaybookVersion", on_delete=models.PROTECT, related_name="draws")
    held_out = models.BooleanField()
    record = models.CharField(max_length=64)  # what was drawn for: the digest of the business record
    drawn_at = models.DateTimeField()
    # Taken out of the comparison group afterwards. It still counts as it was drawn.
    left_at = models.DateTimeField(null=True, blank=True)
    left_by = models.CharField(max_length=200, blank=True)
    left_reason = models.TextField(blank=True)

    class Meta:
        ordering: ClassVar = ["id"]
        verbose_name = "draw of a hold-out"
        verbose_name_plural = "draws of hold-outs"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["hold_out", "incident"], name="one_draw_per_incident"),
            models.CheckConstraint(
                condition=Q(left_at__isnull=True) | Q(held_out=True), name="only_who_is_held_out_leaves"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.incident} {'held out' if self.held_out else 'handled'}"

    @property
    def stands(self) -> bool:
        """Whether the incident is left to people still."""
        return self.held_out and self.left_at is None
