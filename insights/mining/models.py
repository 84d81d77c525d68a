"""The reference models that a log is held against."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models


class ReferenceModel(models.Model):
    """What a log's process should be, as someone gave it: declared paths or a BPMN file, reduced to what is checked.

    The newest of a log is the one that counts; none is ever changed.
    """

    log = models.ForeignKey("insights.EventLog", on_delete=models.CASCADE, related_name="reference_models")
    name = models.CharField(max_length=120)
    source = models.CharField(max_length=12, choices=[("paths", "Declared paths"), ("bpmn", "BPMN 2.0")])
    # insights.mining.references.Reference as JSON.
    content: Any = models.JSONField()
    digest = models.CharField(max_length=64, help_text="SHA-256 of what was given.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return self.name
