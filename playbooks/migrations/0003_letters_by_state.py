"""The letters that wait, in the order in which they came, without sorting all of them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("playbooks", "0002_triggers")]

    operations = [
        migrations.AddIndex(
            model_name="deadletter", index=models.Index(fields=["state", "id"], name="dead_letter_by_state")
        ),
    ]
