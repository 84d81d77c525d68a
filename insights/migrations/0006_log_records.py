"""Whose records an event log tells of."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("insights", "0005_tasklog")]

    operations = [
        migrations.AddField(
            model_name="eventlog",
            name="records",
            field=models.JSONField(blank=True, default=dict),
        ),
    ]
