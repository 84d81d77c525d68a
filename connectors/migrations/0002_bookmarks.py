"""Where each connection's polls ended, in its system's own words."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("connectors", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="connection",
            name="bookmarks",
            field=models.JSONField(blank=True, default=dict, editable=False),
        ),
    ]
