"""What the score rests on beside the loop's own rows: stated assumptions, daily use of systems, and findings."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords

from insights.access import InsightQuerySet


class Assumption(models.Model):
    """A figure that no row can tell, stated by a person, with its reason and its history; there is no hidden default.

    ``subject`` narrows it: the code of an exception kind, a business unit or a connection, by what it is about.
    """

    class Name(models.TextChoices):
        """What is assumed."""

        MINUTES_BY_HAND = "minutes_by_hand", "Minutes by hand (per exception kind)"
        MINUTES_TO_APPROVE = "minutes_to_approve", "Minutes to approve (per exception kind)"
        DAYS_BY_HAND = "days_by_hand", "Days until mended by hand (per exception kind)"
        HOURLY_RATE = "hourly_rate", "Cost of an hour of a person (per business unit)"
        TOKEN_PRICE = "token_price", "Price of a million tokens (per connection)"
        CALLS_PER_DAY = "calls_per_day", "Calls a day that are allowed (per connection)"

    name = models.CharField(max_length=24, choices=Name)
    subject = models.CharField(max_length=60, blank=True, help_text="Blank: wherever nothing closer is stated.")
    value = models.DecimalField(max_digits=18, decimal_places=4)
    currency = models.CharField(max_length=3, blank=True, help_text="Only of amounts, such as EUR.")
    because = models.CharField(max_length=300, help_text="Where the figure comes from.")
    history = HistoricalRecords()

    class Meta:
        ordering: ClassVar = ["name", "subject"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["name", "subject"], name="one_assumption_per_subject"),
            models.CheckConstraint(condition=Q(value__gte=0), name="assumption_is_not_negative"),
            models.CheckConstraint(
                condition=(Q(name__in=["hourly_rate", "token_price"]) & ~Q(currency=""))
                | (~Q(name__in=["hourly_rate", "token_price"]) & Q(currency="")),
                name="only_money_has_a_currency",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_name_display().partition(' (')[0]}{f' of {self.subject}' if self.subject else ''}"


class UsageDay(models.Model):
    """What one connection was used for on one day (UTC), for one unit, region and team: a sum of calls, raised only."""

    day = models.DateField()
    connection = models.ForeignKey("connectors.Connection", on_delete=models.PROTECT, related_name="+")
    direction = models.CharField(max_length=10)
    model = models.CharField(max_length=100, blank=True)
    team = models.CharField(max_length=60, blank=True, help_text="The queue of the incident when it was counted.")
    business_unit = models.CharField(max_length=40, blank=True)
    region = models.CharField(max_length=40, blank=True)
    calls = models.BigIntegerField(default=0)
    requests = models.BigIntegerField(default=0)
    failed = models.BigIntegerField(default=0)
    tokens = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0.0)
    first_call = models.BigIntegerField(help_text="The lowest number of its calls: where a look at the day begins.")
    last_call = models.BigIntegerField()

    objects: ClassVar = InsightQuerySet["UsageDay"].as_manager()

    class Meta:
        ordering: ClassVar = ["-day", "connection"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["day", "connection", "direction", "model", "team", "business_unit", "region"],
                name="one_sum_per_day_and_use",
            )
        ]

    def __str__(self) -> str:
        return f"{self.connection_id} {self.day:%Y-%m-%d}"


class UsageMark(models.Model):
    """Up to which call the days have been counted; held while counting, so that two sweeps count each call once."""

    name = models.CharField(max_length=20, unique=True)
    last_id = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name} up to {self.last_id}"


class Finding(models.Model):
    """Something that the figures show and somebody should look at; found once, however often it is looked for."""

    class Kind(models.TextChoices):
        """What was found."""

        NEW_BOTTLENECK = "new_bottleneck", "New bottleneck"

    kind = models.CharField(max_length=20, choices=Kind)
    key = models.CharField(max_length=200, unique=True)
    title = models.CharField(max_length=300)
    text = models.TextField()
    data = models.JSONField(default=dict)
    log = models.ForeignKey(
        "insights.EventLog", null=True, blank=True, on_delete=models.CASCADE, related_name="findings"
    )
    business_unit = models.CharField(max_length=40, blank=True)
    region = models.CharField(max_length=40, blank=True)
    found_at = models.DateTimeField()
    incident_id = models.BigIntegerField("incident", null=True, blank=True, help_text="What was made of it.")
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=200, blank=True)

    objects: ClassVar = InsightQuerySet["Finding"].as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [models.Index(fields=["closed_at", "-id"], name="finding_open")]

    def __str__(self) -> str:
        return self.title
