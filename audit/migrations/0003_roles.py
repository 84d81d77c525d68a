"""Make a group for each role; their permissions follow when ``migrate`` has made those (audit.grants)."""

from django.db import migrations

ROLES = ("viewer", "operator", "approver", "compliance", "automation_admin", "auditor", "integration")


def forwards(apps, schema_editor):
    group = apps.get_model("auth", "Group")
    for name in ROLES:
        group.objects.get_or_create(name=name)


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_append_only"), ("auth", "0012_alter_user_first_name_max_length")]

    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
