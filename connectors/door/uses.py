"""What connections' rights were used for: calls summed up by operation and day, and when each secret was last taken."""

from typing import ClassVar

from django.db import models


class OperationUse(models.Model):
    """How often one operation of a connection was used on one day (UTC). What our own rules refused stands apart."""

    connection = models.ForeignKey("connectors.Connection", on_delete=models.CASCADE, related_name="uses")
    operation = models.CharField(max_length=100)
    direction = models.CharField(max_length=10)  # as in Call: write, tell, read, model, or observe for a look before
    day = models.DateField()
    calls = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    last_at = models.DateTimeField(null=True, blank=True)  # the last one that was let out

    class Meta:
        ordering: ClassVar = ["connection", "operation", "day"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["connection", "operation", "direction", "day"], name="one_use_per_day")
        ]

    def __str__(self) -> str:
        return f"{self.connection_id} {self.operation} {self.day}"


class UseMark(models.Model):
    """Up to which call the uses are counted, and since when secrets are watched. One row; whoever counts holds it."""

    name = models.CharField(max_length=20, primary_key=True)
    last_id = models.BigIntegerField(default=0)
    begun_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.name} {self.last_id}"


class CredentialUse(models.Model):
    """When a secret of a connection was set, and when it was last taken to sign in or to check a delivery."""

    connection = models.ForeignKey("connectors.Connection", on_delete=models.CASCADE, related_name="credentials")
    name = models.CharField(max_length=60)
    set_at = models.DateTimeField(null=True, blank=True)  # empty: before this was kept
    used_at = models.DateTimeField(null=True, blank=True)  # to the hour

    class Meta:
        ordering: ClassVar = ["connection", "name"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["connection", "name"], name="one_use_per_credential")]

    def __str__(self) -> str:
        return f"{self.connection_id} {self.name}"
