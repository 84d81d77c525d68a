"""What was installed as a pack."""

from typing import ClassVar

from django.db import models


class Pack(models.Model):
    """A folder of configuration that was installed, and what its files were."""

    slug = models.SlugField(max_length=60, unique=True)
    label = models.CharField(max_length=120)
    version = models.CharField(max_length=20)
    digest = models.CharField(max_length=64)
    installed_at = models.DateTimeField()
    installed_by = models.CharField(max_length=200)

    class Meta:
        ordering: ClassVar = ["slug"]

    def __str__(self) -> str:
        return f"{self.label} {self.version}"
