"""What is needed to forget deliveries and calls: marks, and what has to outlast them."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("connectors", "0006_rights")]

    operations = [
        migrations.CreateModel(
            name="SweepMark",
            fields=[
                ("name", models.CharField(max_length=20, primary_key=True, serialize=False)),
                ("last_id", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.AddField(
            model_name="delivery",
            name="forgotten_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name="BegunThread",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("thread", models.CharField(max_length=500)),
                ("incident_id", models.BigIntegerField(verbose_name="incident")),
                (
                    "connection",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="begun_threads",
                        to="connectors.connection",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("connection", "thread"), name="one_row_per_thread")],
            },
        ),
        migrations.CreateModel(
            name="EarlierMail",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("identifier", models.CharField(max_length=160)),
                ("external_id", models.CharField(max_length=200)),
                ("received_at", models.DateTimeField()),
                ("thread", models.TextField(blank=True)),
                ("conversation", models.TextField(blank=True)),
                ("references", models.JSONField(default=list)),
                ("mentions", models.JSONField(default=dict)),
                (
                    "connection",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="earlier_mails",
                        to="connectors.connection",
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "indexes": [models.Index(fields=["connection", "identifier"], name="earlier_mail_by_identifier")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("connection", "external_id"), name="one_earlier_mail_per_external_id"
                    )
                ],
            },
        ),
    ]
