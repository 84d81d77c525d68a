"""Indexes for the lists by service level, and for what refers to a call or a delivery that may be forgotten."""

from django.db import migrations, models
from django.db.models import Q

# As in incidents.orders: a migration must say the same for ever.
STANDING = models.Func(
    template=(
        "CASE WHEN breached_at IS NOT NULL OR stopped_at > resolve_due OR paused_at > resolve_due THEN "
        "CASE WHEN stopped_at IS NOT NULL THEN 3 WHEN paused_at IS NOT NULL THEN 2 ELSE 1 END "
        "WHEN stopped_at IS NOT NULL THEN 4 WHEN paused_at IS NOT NULL THEN "
        "CASE WHEN warned_at IS NOT NULL THEN 5 ELSE 6 END WHEN warned_at IS NOT NULL THEN 7 ELSE 8 END"
    ),
    output_field=models.IntegerField(),
)
UNNOTICED = Q(stopped_at__isnull=True, paused_at__isnull=True, breached_at__isnull=True)
CLOCKS = (
    models.Index(STANDING, "incident", name="sla_by_standing"),
    models.Index(STANDING, "resolve_due", "incident", name="sla_due_by_standing"),
    models.Index(
        fields=["acknowledge_due"], name="sla_to_acknowledge", condition=UNNOTICED & Q(acknowledged_at__isnull=True)
    ),
    models.Index(fields=["warn_at"], name="sla_to_warn", condition=UNNOTICED & Q(warned_at__isnull=True)),
)


class Migration(migrations.Migration):
    dependencies = [("incidents", "0005_tickets")]

    operations = [
        *(migrations.AddIndex(model_name="slaclock", index=index) for index in CLOCKS),
        migrations.AddIndex(
            model_name="signal",
            index=models.Index(
                fields=["delivery_id"], name="signal_by_delivery", condition=Q(delivery_id__isnull=False)
            ),
        ),
        migrations.AddIndex(
            model_name="evidence",
            index=models.Index(fields=["call_id"], name="evidence_by_call", condition=Q(call_id__isnull=False)),
        ),
    ]
