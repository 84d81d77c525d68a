"""Let the database itself refuse to change the ledger, and begin the chain."""

from django.db import migrations

from audit import triggers
from audit.proofs import GENESIS


def forwards(apps, schema_editor):
    apps.get_model("audit", "Head").objects.get_or_create(pk=1, defaults={"n": 0, "hash": GENESIS})
    triggers.install(schema_editor.connection)


def backwards(apps, schema_editor):
    triggers.remove(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [migrations.RunPython(forwards, backwards)]
