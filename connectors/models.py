"""Connections, the log of calls, what systems told us, and the emergency stop."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from simple_history.models import HistoricalRecords

from connectors.door.models import Budget, Gate, Governed, Notice, Spent  # noqa: F401 - makes them tables of this app
from connectors.door.uses import CredentialUse, OperationUse, UseMark  # noqa: F401 - makes them tables of this app


class Connection(Governed):
    """One configured system: address, credentials, and what it may be used for."""

    slug = models.SlugField(max_length=60, unique=True, help_text="The name that playbooks use, such as fo or crm.")
    kind = models.CharField(max_length=40)
    label = models.CharField(max_length=120)
    config = models.JSONField(default=dict, blank=True)
    # {"name": sealed text}: AES-256-GCM under a data key, bound to this row and name (connectors.vault).
    secrets = models.JSONField(default=dict, blank=True, editable=False)
    hook_secret_digest = models.CharField(max_length=64, blank=True, editable=False)
    enabled = models.BooleanField(default=True)
    operations = models.JSONField(default=list, blank=True, help_text="Operations that may be used; empty: reads only.")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    health = models.CharField(max_length=20, default="unknown", editable=False)
    health_message = models.TextField(blank=True, editable=False)
    checked_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Shared by all workers: nothing is sent before this time (Retry-After).
    not_before = models.DateTimeField(null=True, blank=True, editable=False)
    polled_until = models.DateTimeField(null=True, blank=True, editable=False)
    # Where its polls ended, in the system's own words: a change token for each table, say.
    bookmarks = models.JSONField(default=dict, blank=True, editable=False)
    poll = models.BooleanField(default=False, help_text="Ask the system for news on every poll.")
    history = HistoricalRecords(
        excluded_fields=["secrets", "health", "health_message", "checked_at", "not_before", "polled_until",
                         "bookmarks", "gate"]
    )  # fmt: skip

    class Meta:
        ordering: ClassVar = ["slug"]

    def __str__(self) -> str:
        return self.slug


class KeptText(models.Model):
    """A long text that a connection's settings only name by its digest, such as an API's document.

    The text never changes. What no connection names for long is forgotten (``connectors.texts.forget_unused``).
    """

    digest = models.CharField(max_length=64, primary_key=True)
    text = models.TextField()
    kept_at = models.DateTimeField()  # or seen in use, to the day

    def __str__(self) -> str:
        return f"text {self.digest[:12]}"


class EmergencyStop(models.Model):
    """While one is active, nothing is written to any other system (or to one connection).

    One that names an operation stops that alone, a read or a model call too.
    """

    connection = models.ForeignKey(Connection, null=True, blank=True, on_delete=models.CASCADE, related_name="stops")
    operation = models.CharField(max_length=100, blank=True, help_text="Only this one, such as invoice.credit.")
    reason = models.TextField()
    actor = models.CharField(max_length=200)
    started_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"stop {self.connection or 'all'}" + (f" {self.operation}" if self.operation else "")


class Call(models.Model):
    """One use of an operation: who asked for what, when, and what came of it. Secrets never stand here."""

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="calls")
    operation = models.CharField(max_length=100)
    direction = models.CharField(max_length=10)  # read, write, tell, find, check, poll, model
    actor = models.CharField(max_length=200)
    incident_id = models.BigIntegerField("incident", null=True, blank=True)
    effect_key = models.CharField(max_length=64, blank=True, db_index=True)
    arguments = models.JSONField(default=dict, blank=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=20, default="open")  # open, ok, or the error's name
    status = models.IntegerField(null=True, blank=True)
    requests = models.PositiveIntegerField(default=0)
    request_id = models.CharField(max_length=100, blank=True)
    message = models.TextField(blank=True)
    answer = models.JSONField(default=dict, blank=True)
    tokens = models.PositiveIntegerField(default=0)

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["incident_id", "id"], name="call_by_incident"),
            models.Index(fields=["connection", "id"], name="call_told", condition=models.Q(direction="tell")),
        ]

    def __str__(self) -> str:
        return f"{self.connection_id} {self.operation} {self.outcome}"


class Delivery(models.Model):
    """One thing that a system told us, kept as it came until the floor above has judged it, and long after.

    The row stays for ever, so that the same told again adds nothing; what was told is forgotten (``forgotten_at``).
    """

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="deliveries")
    external_id = models.CharField(max_length=200)
    event = models.CharField(max_length=200)
    payload = models.JSONField()
    occurred_at = models.DateTimeField(null=True, blank=True)
    received_at = models.DateTimeField()
    processed_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=40, blank=True)  # signal, nothing_wrong, no_rule, refused, failed
    message = models.TextField(blank=True)
    attempts = models.PositiveIntegerField(default=0)
    not_before = models.DateTimeField(null=True, blank=True)
    forgotten_at = models.DateTimeField(null=True, blank=True)  # since then payload and message are empty

    class Meta:
        ordering: ClassVar = ["id"]
        verbose_name_plural = "deliveries"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["connection", "external_id"], name="one_delivery_per_external_id")
        ]
        indexes: ClassVar = [
            models.Index(fields=["id"], name="delivery_waiting", condition=models.Q(processed_at__isnull=True))
        ]

    def __str__(self) -> str:
        return f"Delivery {self.pk}: {self.event}"


class BegunThread(models.Model):
    """A thread in another system that a message of ours began, and the incident that it told of."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="begun_threads")
    thread = models.CharField(max_length=500)  # as the system calls it
    incident_id = models.BigIntegerField("incident")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["connection", "thread"], name="one_row_per_thread")]

    def __str__(self) -> str:
        return f"{self.connection_id} {self.thread}"


class EarlierMail(models.Model):
    """What later mails need of one that a person wrote, by its Message-ID; kept for as long as anybody looks for it."""

    DAYS: ClassVar = 180  # longer ago nobody answers to the same matter any more

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="earlier_mails")
    identifier = models.CharField(max_length=160)  # the Message-ID, or its digest
    external_id = models.CharField(max_length=200)  # of its delivery
    received_at = models.DateTimeField()
    thread = models.TextField(blank=True)
    conversation = models.TextField(blank=True)
    references = models.JSONField(default=list)
    mentions = models.JSONField(default=dict)

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["connection", "external_id"], name="one_earlier_mail_per_external_id")
        ]
        indexes: ClassVar = [models.Index(fields=["connection", "identifier"], name="earlier_mail_by_identifier")]

    def __str__(self) -> str:
        return self.identifier


class SweepMark(models.Model):
    """Up to which row a sweep over a long table has looked; it begins anew at the end. Whoever sweeps holds the row."""

    name = models.CharField(max_length=20, primary_key=True)
    last_id = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name} {self.last_id}"
