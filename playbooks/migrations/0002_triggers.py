"""Let the database itself refuse to rewrite a version of a playbook or a policy: only which one is active may change.

An approval signs versions by number, so what stands under a number must never become something else. On SQLite a
later migration that rebuilds one of these tables drops its trigger and has to install it again.
"""

from django.db import migrations

KEPT = {
    "playbooks_playbookversion": ("playbook_id", "number", "definition", "digest", "author", "created_at"),
    "playbooks_policyversion": (
        *("policy_id", "number", "condition", "verdict", "message"),
        *("operations", "corrections", "risk", "author", "created_at"),
    ),
}
REFUSED = "a version is immutable; make the next one"


def install(connection):
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                f"""
                CREATE OR REPLACE FUNCTION playbooks_version_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN RAISE EXCEPTION '{REFUSED}' USING ERRCODE = 'integrity_constraint_violation'; END $$
                """
            )
        for table, columns in KEPT.items():
            cursor.execute(trigger(connection.vendor, table, columns))


def trigger(vendor, table, columns):
    if vendor == "postgresql":
        differs = " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in columns)
        body = "FOR EACH ROW WHEN ({}) EXECUTE FUNCTION playbooks_version_refuse()"
    else:
        differs = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in columns)
        body = f"WHEN {{}} BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END"
    return f"CREATE TRIGGER {table}_stays BEFORE UPDATE ON {table} {body.format(differs)}"


def remove(connection):
    with connection.cursor() as cursor:
        for table in KEPT:
            on_table = f" ON {table}" if connection.vendor == "postgresql" else ""
            cursor.execute(f"DROP TRIGGER IF EXISTS {table}_stays{on_table}")
        if connection.vendor == "postgresql":
            cursor.execute("DROP FUNCTION IF EXISTS playbooks_version_refuse()")


def forwards(apps, schema_editor):
    install(schema_editor.connection)


def backwards(apps, schema_editor):
    remove(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("playbooks", "0001_initial")]

    operations = [migrations.RunPython(forwards, backwards)]
