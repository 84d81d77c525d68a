"""Data classes, labels, prices and pace of connections; budgets and what is spent of them; gates; notices."""

import django.core.validators
import django.db.models.deletion
import simple_history.models
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("connectors", "0002_bookmarks"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Gate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=64, unique=True)),
                ("failures", models.PositiveIntegerField(default=0)),
                ("opened_at", models.DateTimeField(blank=True, null=True)),
                ("probed_at", models.DateTimeField(blank=True, null=True)),
                ("free_at", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.AddField(
            model_name="connection",
            name="cleared",
            field=models.JSONField(blank=True, default=list, help_text="Labels that may be sent to it."),
        ),
        migrations.AddField(
            model_name="connection",
            name="data_class",
            field=models.CharField(
                choices=[("business", "Business"), ("non_business", "Non-business"), ("blocked", "Blocked")],
                default="business",
                help_text="No plan joins business and non-business systems; with a blocked one nothing is exchanged.",
                max_length=20,
            ),
        ),
        migrations.AddField(
            model_name="connection",
            name="labels",
            field=models.JSONField(blank=True, default=dict, help_text="Fields that are personal or financial."),
        ),
        migrations.AddField(
            model_name="connection",
            name="price_call",
            field=models.DecimalField(
                blank=True, decimal_places=6, max_digits=12, null=True, verbose_name="price of a call"
            ),
        ),
        migrations.AddField(
            model_name="connection",
            name="price_currency",
            field=models.CharField(blank=True, max_length=3, verbose_name="currency of the prices"),
        ),
        migrations.AddField(
            model_name="connection",
            name="price_tokens",
            field=models.DecimalField(
                blank=True, decimal_places=6, max_digits=12, null=True, verbose_name="price of 1,000 tokens"
            ),
        ),
        migrations.AddField(
            model_name="connection",
            name="rate_calls",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="In any so many seconds, by all who use the same credential.",
                null=True,
                verbose_name="calls at most",
            ),
        ),
        migrations.AddField(
            model_name="connection",
            name="rate_seconds",
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name="in so many seconds"),
        ),
        migrations.AddField(
            model_name="connection",
            name="reads",
            field=models.JSONField(blank=True, default=list, help_text="Reads that may be used; empty: every one."),
        ),
        migrations.AddField(
            model_name="connection",
            name="team",
            field=models.SlugField(blank=True, help_text="Whose budget it also draws on.", max_length=60),
        ),
        migrations.AddField(
            model_name="emergencystop",
            name="operation",
            field=models.CharField(blank=True, help_text="Only this one, such as invoice.credit.", max_length=100),
        ),
        migrations.AddField(
            model_name="historicalconnection",
            name="cleared",
            field=models.JSONField(blank=True, default=list, help_text="Labels that may be sent to it."),
        ),
        migrations.AddField(
            model_name="historicalconnection",
            name="data_class",
            field=models.CharField(
                choices=[("business", "Business"), ("non_business", "Non-business"), ("blocked", "Blocked")],
                default="business",
                help_text="No plan joins business and non-business systems; with a blocked one nothing is exchanged.",
                max_length=20,
            ),
        ),
        migrations.AddField(
            model_name="historicalconnection",
            name="labels",
            field=models.JSONField(blank=True, default=dict, help_text="Fields that are personal or financial."),
        ),
        migrations.AddField(
            model_name="historicalconnection",
            name="price_call",
            field=models.DecimalField(
                blank=True, decimal_places=6, max_digits=12, null=True, verbose_name="price of a call"
            ),
        ),
        migrations.AddField(
            model_name="historicalconnection",
            name="price_currency",
            field=models.CharField(blank=True, max_length=3, verbose_name="currency of the prices"),
        ),
        migrations.AddField(
            model_name="historicalconnection",
            name="price_tokens",
            field=models.DecimalField(
                blank=True, decimal_places=6, max_digits=12, null=True, verbose_name="price of 1,000 tokens"
            ),
        ),
        migrations.AddField(
            model_name="historicalconnection",
            name="rate_calls",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="In any so many seconds, by all who use the same credential.",
                null=True,
                verbose_name="calls at most",
            ),
        ),
        migrations.AddField(
            model_name="historicalconnection",
            name="rate_seconds",
            field=models.PositiveIntegerField(blank=True, null=True, verbose_name="in so many seconds"),
        ),
        migrations.AddField(
            model_name="historicalconnection",
            name="reads",
            field=models.JSONField(blank=True, default=list, help_text="Reads that may be used; empty: every one."),
        ),
        migrations.AddField(
            model_name="historicalconnection",
            name="team",
            field=models.SlugField(blank=True, help_text="Whose budget it also draws on.", max_length=60),
        ),
        migrations.CreateModel(
            name="Budget",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "team",
                    models.SlugField(
                        blank=True, help_text="Instead of a connection: all that name this team.", max_length=60
                    ),
                ),
                (
                    "calls",
                    models.PositiveIntegerField(
                        blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)]
                    ),
                ),
                (
                    "tokens",
                    models.PositiveIntegerField(
                        blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)]
                    ),
                ),
                (
                    "money",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        help_text="Counted by the prices that stand at each connection.",
                        max_digits=12,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                    ),
                ),
                ("currency", models.CharField(blank=True, max_length=3)),
                (
                    "time_zone",
                    models.CharField(
                        default="UTC", help_text="Where the day begins, such as Europe/Berlin.", max_length=60
                    ),
                ),
                (
                    "spike",
                    models.FloatField(
                        blank=True,
                        help_text="Tell once a day when use passes so many times what is usual on that weekday; empty: never.",
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1.1),
                            django.core.validators.MaxValueValidator(1000),
                        ],
                    ),
                ),
                (
                    "connection",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="budget",
                        to="connectors.connection",
                    ),
                ),
            ],
            options={
                "ordering": ["team", "connection__slug"],
            },
        ),
        migrations.AddField(
            model_name="connection",
            name="gate",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="connections",
                to="connectors.gate",
            ),
        ),
        migrations.CreateModel(
            name="HistoricalBudget",
            fields=[
                ("id", models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID")),
                (
                    "team",
                    models.SlugField(
                        blank=True, help_text="Instead of a connection: all that name this team.", max_length=60
                    ),
                ),
                (
                    "calls",
                    models.PositiveIntegerField(
                        blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)]
                    ),
                ),
                (
                    "tokens",
                    models.PositiveIntegerField(
                        blank=True, null=True, validators=[django.core.validators.MinValueValidator(1)]
                    ),
                ),
                (
                    "money",
                    models.DecimalField(
                        blank=True,
                        decimal_places=2,
                        help_text="Counted by the prices that stand at each connection.",
                        max_digits=12,
                        null=True,
                        validators=[django.core.validators.MinValueValidator(0)],
                    ),
                ),
                ("currency", models.CharField(blank=True, max_length=3)),
                (
                    "time_zone",
                    models.CharField(
                        default="UTC", help_text="Where the day begins, such as Europe/Berlin.", max_length=60
                    ),
                ),
                (
                    "spike",
                    models.FloatField(
                        blank=True,
                        help_text="Tell once a day when use passes so many times what is usual on that weekday; empty: never.",
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1.1),
                            django.core.validators.MaxValueValidator(1000),
                        ],
                    ),
                ),
                ("history_id", models.AutoField(primary_key=True, serialize=False)),
                ("history_date", models.DateTimeField(db_index=True)),
                ("history_change_reason", models.CharField(max_length=100, null=True)),
                (
                    "history_type",
                    models.CharField(choices=[("+", "Created"), ("~", "Changed"), ("-", "Deleted")], max_length=1),
                ),
                (
                    "connection",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="connectors.connection",
                    ),
                ),
                (
                    "history_user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "historical budget",
                "verbose_name_plural": "historical budgets",
                "ordering": ("-history_date", "-history_id"),
                "get_latest_by": ("history_date", "history_id"),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name="Notice",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("scope", models.CharField(max_length=80)),
                ("day", models.DateField()),
                (
                    "code",
                    models.CharField(
                        choices=[
                            ("budget", "Budget spent"),
                            ("spike", "Spike"),
                            ("class", "Data class"),
                            ("operation", "Not allowed"),
                            ("stopped", "Stopped"),
                        ],
                        max_length=20,
                    ),
                ),
                ("about", models.CharField(blank=True, max_length=100)),
                ("message", models.TextField()),
                ("at", models.DateTimeField()),
                (
                    "connection",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="notices",
                        to="connectors.connection",
                    ),
                ),
            ],
            options={
                "ordering": ["-at", "-id"],
            },
        ),
        migrations.CreateModel(
            name="Spent",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("calls", models.BigIntegerField(default=0)),
                ("tokens", models.BigIntegerField(default=0)),
                ("money", models.BigIntegerField(default=0)),
                ("unusual", models.JSONField(default=dict)),
                ("warned_at", models.DateTimeField(blank=True, null=True)),
                (
                    "budget",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="days", to="connectors.budget"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "spent",
                "ordering": ["-day", "budget"],
            },
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("connection", None), models.Q(("team", ""), _negated=True)),
                    models.Q(("connection__isnull", False), ("team", "")),
                    _connector="OR",
                ),
                name="budget_of_one",
                violation_error_message="A budget is that of a connection or that of a team: one of the two.",
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.UniqueConstraint(
                condition=models.Q(("team", ""), _negated=True),
                fields=("team",),
                name="one_budget_per_team",
                violation_error_message="This team has a budget already.",
            ),
        ),
        migrations.AddConstraint(
            model_name="notice",
            constraint=models.UniqueConstraint(fields=("scope", "day", "code", "about"), name="one_notice_per_day"),
        ),
        migrations.AddConstraint(
            model_name="spent",
            constraint=models.UniqueConstraint(fields=("budget", "day"), name="one_sum_per_day"),
        ),
    ]
