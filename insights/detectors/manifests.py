"""Detectors as documents of configuration. A file may switch one on; it then stands for the reason."""

from typing import Any, Literal

from django.db import transaction
from pydantic import Field

from audit.actions import record
from audit.clock import db_now
from audit.errors import Invalid
from audit.manifests import Difference, Document, DocumentType, differences
from insights.detectors import actions
from insights.detectors.checking import check
from insights.detectors.definitions import Definition, plain, read
from insights.detectors.models import Detector

REASON = "applied from a file"


class DetectorDocument(Document):
    """A rule that watches a log or a connection and opens incidents."""

    kind: Literal["detector"] = "detector"
    slug: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")
    label: str = Field(min_length=1, max_length=120)
    log: str = Field(default="", max_length=120, description="The name of an event log; it may come later.")
    business_unit: str = Field(default="", max_length=40)
    region: str = Field(default="", max_length=40)
    enabled: bool = False
    definition: Definition

    @property
    def header(self) -> dict[str, Any]:
        """Return what stands above the versions."""
        return {"label": self.label, "log_name": self.log, "business_unit": self.business_unit, "region": self.region,
                "enabled": self.enabled}  # fmt: skip


def plan_detector(document: DetectorDocument) -> list[Difference]:
    """Say what applying the document will change."""
    row = Detector.objects.filter(slug=document.slug).first()
    before = None
    if row is not None:
        before = {name: getattr(row, name) for name in document.header}
        active = row.active
        # Kept texts of an older release may lack what has a default today: they mean the same.
        before["definition"] = plain(read(active.definition)) if active else None
    return differences(
        f"detector {document.slug}", before, {**document.header, "definition": plain(document.definition)}
    )


@transaction.atomic
def apply_detector(document: DetectorDocument, actor: str) -> bool:
    """Install the detector and make its text the version that stands."""
    if not plan_detector(document):
        return False
    row = Detector.objects.select_for_update().filter(slug=document.slug).first()
    fresh = row is None
    row = row or Detector(slug=document.slug, created_at=db_now())
    before = {} if fresh else {name: getattr(row, name) for name in document.header}
    for name, value in document.header.items():
        setattr(row, name, value)
    if before.get("log_name") != document.log:
        row.log = None
    if against := {
        f"definition.{path}": texts for path, texts in check(document.definition, actions.log_of(row)).items()
    }:
        raise Invalid(f"The detector {document.slug} cannot work as it is.", against)
    row.enabled_reason = REASON if row.enabled else ""
    row.next_at = (row.next_at or db_now()) if row.enabled else None
    row.row_version = (row.row_version or 0) + (0 if fresh else 1)
    row.save()
    record(f"detector.{'added' if fresh else 'changed'}", actor=actor, target=row, reason=REASON, before=before,
           after=document.header)  # fmt: skip
    actions.publish(row, document.definition, author=actor)
    return True


# After exception kinds and calendars (30 to 50), before playbooks: nothing of those names a detector.
DOCUMENTS: dict[str, DocumentType] = {"detector": DocumentType(DetectorDocument, 85, plan_detector, apply_detector)}
