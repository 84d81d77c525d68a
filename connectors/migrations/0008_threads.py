"""Write down the threads that stand in the log of calls, and what mails that came said of others.

In batches that are each a transaction: nobody is locked out for long, and begun anew it adds nothing twice.
"""

from datetime import timedelta

from django.db import migrations, transaction
from django.utils import timezone

BATCH = 500
DAYS = 180  # of mails; longer ago nobody answers to the same matter any more
SAID = ("thread", "conversation", "references", "mentions")


def forwards(apps, schema_editor):
    """Fill both tables, oldest first: of a thread the first message counts."""
    alias = schema_editor.connection.alias
    call, delivery = (apps.get_model("connectors", name).objects.using(alias) for name in ("Call", "Delivery"))
    thread, mail = (apps.get_model("connectors", name) for name in ("BegunThread", "EarlierMail"))
    told = call.filter(direction="tell", outcome="ok", incident_id__isnull=False)
    for rows in in_batches(told.values("pk", "connection_id", "incident_id", "answer"), alias):
        found = [thread(connection_id=row["connection_id"], incident_id=row["incident_id"], thread=name[:500])
                 for row in rows if (name := thread_in(row["answer"]))]  # fmt: skip
        thread.objects.using(alias).bulk_create(found, ignore_conflicts=True)
    came = delivery.filter(event="mail.received", received_at__gte=timezone.now() - timedelta(days=DAYS))
    for rows in in_batches(came.values("pk", "connection_id", "external_id", "received_at", "payload"), alias):
        found = [earlier(mail, row) for row in rows if is_named(row["payload"])]
        mail.objects.using(alias).bulk_create(found, ignore_conflicts=True)


def in_batches(rows, alias):
    last = 0
    while True:
        with transaction.atomic(using=alias):
            found = list(rows.filter(pk__gt=last).order_by("pk")[:BATCH])
            if not found:
                return
            last = found[-1]["pk"]
            yield found


def thread_in(answer):
    result = answer.get("result") if isinstance(answer, dict) else None
    found = result.get("thread") if isinstance(result, dict) else None
    return found if isinstance(found, str) else ""


def is_named(payload):
    return isinstance(payload, dict) and bool(payload.get("message_id"))


def earlier(mail, row):
    said = {name: row["payload"][name] for name in SAID if row["payload"].get(name)}
    named = {name: row[name] for name in ("connection_id", "external_id", "received_at")}
    return mail(identifier=row["external_id"].rpartition(":")[0][:160], **named, **said)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("connectors", "0007_forgetting")]

    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
