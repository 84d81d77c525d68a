"""Tickets of other systems that incidents belong to."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("incidents", "0004_found_by_index"),
    ]

    operations = [
        migrations.CreateModel(
            name="Ticket",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("system", models.CharField(max_length=60)),
                ("entity", models.CharField(max_length=200)),
                ("key", models.CharField(max_length=200)),
                ("closed", models.BooleanField(default=False)),
                ("seen", models.JSONField(default=dict)),
                ("first_seen_at", models.DateTimeField()),
                ("incidents", models.ManyToManyField(related_name="tickets", to="incidents.incident")),
            ],
            options={
                "ordering": ["id"],
                "constraints": [models.UniqueConstraint(fields=("system", "entity", "key"), name="one_row_per_ticket")],
            },
        ),
    ]
