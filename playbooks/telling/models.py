"""Who wants to be told of what, the messages made for them, and how far the ledger has been read."""

from typing import ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords

from connectors.models import Connection
from incidents.models import Incident
from incidents.states import Severity
from playbooks.telling.states import Event, OutState


class Subscription(models.Model):
    """Which events go out through one connection, narrowed, and seen with the eyes of one user."""

    slug = models.SlugField(max_length=60, unique=True)
    label = models.CharField(max_length=120)
    enabled = models.BooleanField(default=True, help_text="Off: what happens meanwhile is never told.")
    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="subscriptions")
    operation = models.CharField(max_length=100, help_text="How the connection tells it, such as event.send.")
    events = models.JSONField(default=list)
    min_severity = models.CharField(
        max_length=10, choices=Severity, blank=True, help_text="This severity and above; empty: any."
    )
    domains = models.JSONField(default=list, blank=True, help_text="Empty: every domain.")
    business_units = models.JSONField(default=list, blank=True, help_text="Empty: every unit that the user sees.")
    regions = models.JSONField(default=list, blank=True, help_text="Empty: every region that the user sees.")
    as_user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+",
        help_text="Only what this user may see is told. Nobody: nothing is told.",
    )  # fmt: skip
    recipients = models.JSONField(
        default=list, blank=True, help_text="Mail addresses, where the connection sends mail."
    )
    ask_approvers = models.BooleanField(
        "write to the approvers asked", default=False, help_text="A request for approval goes to whoever may decide it."
    )
    with_values = models.BooleanField(
        "with values of records", default=False,
        help_text="Amounts and attributes for machines too, as far as the connection is cleared for their labels.",
    )  # fmt: skip
    skip_hours = models.PositiveSmallIntegerField(
        "skip after so many hours", default=24, validators=[MinValueValidator(1), MaxValueValidator(8760)],
        help_text="When it goes on after a pause, what is older is skipped.",
    )  # fmt: skip
    paused_at = models.DateTimeField(null=True, blank=True, editable=False)
    paused_reason = models.TextField(blank=True, editable=False)
    # What was entered in the ledger up to this number happened before anybody wanted to be told.
    begins_after = models.BigIntegerField(default=0, editable=False)
    history = HistoricalRecords()

    class Meta:
        ordering: ClassVar = ["slug"]

    def __str__(self) -> str:
        return self.label


class Outgoing(models.Model):
    """One message to one subscription about one event: made once, under one id for life."""

    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="outgoing")
    incident = models.ForeignKey(Incident, on_delete=models.PROTECT, related_name="outgoing")
    event = models.CharField(max_length=40, choices=Event)
    event_id = models.CharField(max_length=64)  # the ledger entry's number and the beginning of its hash
    entry = models.BigIntegerField("ledger entry")
    occurred_at = models.DateTimeField()
    created_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=OutState, default=OutState.PENDING)
    state_reason = models.TextField(blank=True)
    guidance = models.TextField(blank=True)
    message = models.JSONField(default=dict, blank=True)  # fixed before it is first sent; the same for ever after
    thread = models.CharField(max_length=500, blank=True)
    attempts = models.PositiveIntegerField(default=0)  # that failed or succeeded; what was held up does not count
    claims = models.PositiveIntegerField(default=0)  # rises with every claim: the fence of whoever sends it
    due_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    call_id = models.BigIntegerField("call", null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name = "outgoing message"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["subscription", "event_id"], name="one_message_per_event"),
            models.CheckConstraint(condition=Q(state__in=OutState.values), name="outgoing_state_is_known"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["due_at", "id"], name="outgoing_due", condition=Q(state="pending")),
            models.Index(fields=["subscription", "incident", "entry"], name="outgoing_in_order"),
            models.Index(fields=["state", "id"], name="outgoing_by_state"),
        ]

    def __str__(self) -> str:
        return f"{self.get_event_display()}: {self.subscription_id} {self.event_id}"

    @property
    def effect_key(self) -> str:
        """Return the key that the door and the target know it by: the same for life."""
        return f"tell-{self.subscription_id}-{self.event_id}"


class LedgerMark(models.Model):
    """Up to which entry the ledger has been read for the outbox. One row, moved with the messages that it made."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    read_to = models.BigIntegerField()

    def __str__(self) -> str:
        return f"read to {self.read_to}"
