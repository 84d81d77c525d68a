"""Which operations detectors in use name: the reads that their saved queries send."""

from collections.abc import Iterator

from connectors.rights import naming
from connectors.rights.naming import Named
from insights.detectors.models import DetectorVersion


def by_detectors() -> Iterator[Named]:
    """Yield the saved query of every detector that is switched on."""
    active = DetectorVersion.objects.filter(active=True, detector__enabled=True).select_related("detector")
    for version in active.order_by("detector__slug"):
        saved, detector = version.definition["rule"].get("query"), version.detector
        if saved:
            url = detector.get_absolute_url()
            yield Named(saved["connection"], saved["operation"], "detector", detector.label, url)


def register() -> None:
    """Let pages about rights ask this floor."""
    naming.contribute("detectors", by_detectors)
