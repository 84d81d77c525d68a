"""Indexes for what pages and lists look for, so that none of them reads every incident."""

import logging

from django.db import DatabaseError, migrations, models, transaction

# As in incidents.orders: a migration must say the same for ever.
AT_STAKE = models.Func(
    models.F("revenue_at_risk"),
    template="CAST(COALESCE(%(expressions)s, -1) AS NUMERIC)",
    output_field=models.TextField(),
)


logger = logging.getLogger(__name__)
TRIGRAMS = "CREATE INDEX {name} ON incidents_incident USING gin (UPPER({column}::text) gin_trgm_ops)"
SEARCHED = {"incident_title_trigrams": "title", "incident_key_trigrams": "entity_key"}


def forwards(apps, schema_editor):
    """Index words on PostgreSQL; where the extension is missing or not allowed, search reads titles through."""
    if schema_editor.connection.vendor != "postgresql":
        return
    try:
        with transaction.atomic(using=schema_editor.connection.alias), schema_editor.connection.cursor() as cursor:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            for name, column in SEARCHED.items():
                cursor.execute(TRIGRAMS.format(name=name, column=column))
    except DatabaseError as refused:
        logger.warning("incidents are searched without an index, pg_trgm is not to be had: %s", refused)


def backwards(apps, schema_editor):
    """Take the indexes away; the extension may be somebody else's too."""
    if schema_editor.connection.vendor == "postgresql":
        with schema_editor.connection.cursor() as cursor:
            for name in SEARCHED:
                cursor.execute(f"DROP INDEX IF EXISTS {name}")


class Migration(migrations.Migration):
    dependencies = [("incidents", "0003_entities")]

    operations = [
        migrations.AddIndex(
            model_name="incident",
            index=models.Index(fields=["opened_at", "id"], name="incident_by_opening"),
        ),
        migrations.AddIndex(
            model_name="incident",
            index=models.Index(fields=["severity_rank", "-id"], name="incident_by_severity"),
        ),
        migrations.AddIndex(model_name="incident", index=models.Index(AT_STAKE, "id", name="incident_by_stake")),
        migrations.AddIndex(
            model_name="incident",
            index=models.Index(
                fields=["severity_rank", "-id"],
                name="incident_for_anybody",
                condition=models.Q(status="needs_operator", assignee__isnull=True),
            ),
        ),
        migrations.AddIndex(
            model_name="slaclock",
            index=models.Index(fields=["resolve_due", "incident"], name="sla_by_due"),
        ),
        migrations.AddIndex(
            model_name="escalation",
            index=models.Index(
                fields=["role", "-created_at"], name="told_unseen", condition=models.Q(acknowledged_at__isnull=True)
            ),
        ),
        migrations.RunPython(forwards, backwards),
    ]
