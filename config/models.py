"""What the API remembers of the calls that it answered."""

from typing import ClassVar

from django.db import models


class IdempotencyKey(models.Model):
    """The first answer to a POST with this key, kept in the transaction that did what the answer tells of."""

    principal = models.CharField(max_length=100)  # whose key it is: two people may choose the same
    key = models.CharField(max_length=200)
    request_digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    content_type = models.CharField(max_length=100, blank=True)
    headers = models.JSONField(default=dict)
    body = models.BinaryField(default=bytes)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["principal", "key"], name="one_answer_per_key")]

    def __str__(self) -> str:
        return f"{self.key} of {self.principal}"
