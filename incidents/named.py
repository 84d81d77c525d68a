"""Which operations exception kinds in use name: what they read when something arrives, and as evidence."""

from collections.abc import Iterator

from django.urls import reverse

from connectors.rights import naming
from connectors.rights.naming import Named
from incidents.kinds import definition_of
from incidents.models import ExceptionKind


def by_kinds() -> Iterator[Named]:
    """Yield the reads of every exception kind that is switched on."""
    for kind in ExceptionKind.objects.filter(enabled=True):
        definition = definition_of(kind)
        queries = [*definition.evidence, *(query for detection in definition.detect for query in detection.reads)]
        url = reverse("admin:incidents_exceptionkind_change", args=[kind.pk])
        for query in queries:
            yield Named(query.connection, query.operation, "exception kind", kind.label, url)


def register() -> None:
    """Let pages about rights ask this floor."""
    naming.contribute("exception kinds", by_kinds)
