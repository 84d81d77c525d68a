"""Where the tables of an event log lie in the object store."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("insights", "0007_refused_by_import")]

    operations = [
        migrations.AddField(
            model_name="eventlog",
            name="tables",
            field=models.JSONField(blank=True, default=dict, editable=False),
        ),
    ]
