"""What the door goes by beside the connection itself: classes and prices, budgets and what is spent of them, gates."""

from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords


class DataClass(models.TextChoices):
    """Which data a connection may take part in."""

    BUSINESS = "business", "Business"
    NON_BUSINESS = "non_business", "Non-business"
    BLOCKED = "blocked", "Blocked"


class Label(models.TextChoices):
    """What a field's values are, where not every system may be sent them."""

    PERSONAL = "personal", "Personal"
    FINANCIAL = "financial", "Financial"


class Governed(models.Model):
    """What a connection may be used for, beside its list of writes. The defaults forbid nothing."""

    data_class = models.CharField(
        max_length=20, choices=DataClass, default=DataClass.BUSINESS,
        help_text="No plan joins business and non-business systems; with a blocked one nothing is exchanged.",
    )  # fmt: skip
    reads = models.JSONField(default=list, blank=True, help_text="Reads that may be used; empty: every one.")
    # {"CustomerName": "personal"}: fields as the system writes them, and arguments of its operations.
    labels = models.JSONField(default=dict, blank=True, help_text="Fields that are personal or financial.")
    cleared = models.JSONField(default=list, blank=True, help_text="Labels that may be sent to it.")
    team = models.SlugField(max_length=60, blank=True, help_text="Whose budget it also draws on.")
    rate_calls = models.PositiveIntegerField(
        "calls at most", null=True, blank=True, help_text="In any so many seconds, by all who use the same credential."
    )
    rate_seconds = models.PositiveIntegerField("in so many seconds", null=True, blank=True)
    price_call = models.DecimalField("price of a call", max_digits=12, decimal_places=6, null=True, blank=True)
    price_tokens = models.DecimalField("price of 1,000 tokens", max_digits=12, decimal_places=6, null=True, blank=True)
    price_currency = models.CharField("currency of the prices", max_length=3, blank=True)
    # Shared with every connection of the same credential; made at the first call, void when the credential changes.
    gate = models.ForeignKey(
        "connectors.Gate", null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="connections"
    )

    class Meta:
        abstract = True


class Gate(models.Model):
    """What all workers know of one credential of one system: its failures, its breaker and its pace."""

    key = models.CharField(max_length=64, unique=True)  # a keyed digest of who signs in where
    failures = models.PositiveIntegerField(default=0)  # one after the other
    opened_at = models.DateTimeField(null=True, blank=True)  # the breaker is open since
    probed_at = models.DateTimeField(null=True, blank=True)  # the last call that was let through since
    free_at = models.BigIntegerField(default=0)  # microseconds since 1970: where the next call has its place

    def __str__(self) -> str:
        return f"gate {self.pk}"


class Budget(models.Model):
    """How much a connection, or all connections of a team, may use in a day. A limit that is empty holds nobody."""

    connection = models.OneToOneField(
        "connectors.Connection", null=True, blank=True, on_delete=models.CASCADE, related_name="budget"
    )
    team = models.SlugField(max_length=60, blank=True, help_text="Instead of a connection: all that name this team.")
    calls = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    tokens = models.PositiveIntegerField(null=True, blank=True, validators=[MinValueValidator(1)])
    money = models.DecimalField(
        max_digits=12, decimal_places=2, null=True, blank=True, validators=[MinValueValidator(0)],
        help_text="Counted by the prices that stand at each connection.",
    )  # fmt: skip
    currency = models.CharField(max_length=3, blank=True)
    time_zone = models.CharField(max_length=60, default="UTC", help_text="Where the day begins, such as Europe/Berlin.")
    spike = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(1.1), MaxValueValidator(1000)],
        help_text="Tell once a day when use passes so many times what is usual on that weekday; empty: never.",
    )  # fmt: skip
    history = HistoricalRecords()

    class Meta:
        ordering: ClassVar = ["team", "connection__slug"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(connection=None) & ~Q(team="") | Q(connection__isnull=False) & Q(team=""),
                name="budget_of_one",
                violation_error_message="A budget is that of a connection or that of a team: one of the two.",
            ),
            models.UniqueConstraint(
                fields=["team"], condition=~Q(team=""), name="one_budget_per_team",
                violation_error_message="This team has a budget already.",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"team {self.team}" if self.team else str(self.connection)


class Spent(models.Model):
    """What was used of one budget on one of its days. Money in millionths of the budget's currency."""

    budget = models.ForeignKey(Budget, on_delete=models.CASCADE, related_name="days")
    day = models.DateField()
    calls = models.BigIntegerField(default=0)
    tokens = models.BigIntegerField(default=0)
    money = models.BigIntegerField(default=0)
    # {"calls": 300}: from where it is a spike, worked out when the day began.
    unusual = models.JSONField(default=dict)
    warned_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-day", "budget"]
        verbose_name_plural = "spent"
        constraints: ClassVar = [models.UniqueConstraint(fields=["budget", "day"], name="one_sum_per_day")]

    def __str__(self) -> str:
        return f"{self.budget} {self.day}"


class NoticeCode(models.TextChoices):
    """What the door tells of."""

    BUDGET = "budget", "Budget spent"
    SPIKE = "spike", "Spike"
    CLASS = "class", "Data class"
    OPERATION = "operation", "Not allowed"
    STOPPED = "stopped", "Stopped"


class Notice(models.Model):
    """Something that the door did and people should know: the first of its sort on a day; the ledger has it too."""

    connection = models.ForeignKey("connectors.Connection", null=True, on_delete=models.CASCADE, related_name="notices")
    scope = models.CharField(max_length=80)  # the connection's slug, or "team x"
    day = models.DateField()
    code = models.CharField(max_length=20, choices=NoticeCode)
    about = models.CharField(max_length=100, blank=True)  # the operation, or the unit that is spent
    message = models.TextField()
    at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-at", "-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["scope", "day", "code", "about"], name="one_notice_per_day")
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.code}"
