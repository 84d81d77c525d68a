"""Tickets of other systems that incidents belong to."""

from typing import ClassVar

from django.db import models


class Ticket(models.Model):
    """One ticket of a connected system, the incidents that it belongs to, and what was last told of it.

    ``seen`` holds a digest for each column that an event brought: enough to tell whether another one says anything
    new, and nothing that could be read.
    """

    system = models.CharField(max_length=60)  # the connection's slug
    entity = models.CharField(max_length=200)  # the system's own name of the kind of record
    key = models.CharField(max_length=200)
    incidents = models.ManyToManyField("incidents.Incident", related_name="tickets")
    closed = models.BooleanField(default=False)
    seen = models.JSONField(default=dict)
    first_seen_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["system", "entity", "key"], name="one_row_per_ticket"),
        ]

    def __str__(self) -> str:
        return f"{self.entity} {self.key}"
