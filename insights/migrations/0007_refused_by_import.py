"""Which import a refused line belongs to, so that those of one that failed can be kept beside what readers see."""

from typing import Any

from django.db import migrations, models


def belong_to_what_is_seen(apps: Any, schema_editor: Any) -> None:
    """Until now only the refused lines of the generation that readers see were kept."""
    rejected, logs = apps.get_model("insights", "Rejected"), apps.get_model("insights", "EventLog")
    seen = logs.objects.filter(pk=models.OuterRef("log_id")).values("generation")[:1]
    rejected.objects.update(generation=models.Subquery(seen))


class Migration(migrations.Migration):
    dependencies = [("insights", "0006_log_records")]

    operations = [
        migrations.AddField(
            model_name="eventlog",
            name="failed_rejected_count",
            field=models.BigIntegerField(default=0, help_text="Refused lines of an import that failed."),
        ),
        migrations.AddField(
            model_name="rejected",
            name="generation",
            field=models.PositiveIntegerField(default=1),
        ),
        migrations.RunPython(belong_to_what_is_seen, migrations.RunPython.noop),
    ]
