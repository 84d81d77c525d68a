"""How the ledger is searched, by the API and on the page alike."""

from typing import Any

import django_filters
from django.db.models import Q, QuerySet

from audit.models import Entry


class EntryFilter(django_filters.FilterSet):
    """Filters of ``audit/entries/``."""

    verb = django_filters.CharFilter(method="by_verb", label="exact, or a family with a final dot: incident.")
    actor = django_filters.CharFilter(field_name="actor")
    incident = django_filters.NumberFilter(field_name="incident_id", label="number of an incident", decimal_places=0)
    target = django_filters.CharFilter(method="by_target", label="incidents.incident:7, incidents.incident, or 7")
    business_unit = django_filters.CharFilter(field_name="business_unit")
    channel = django_filters.CharFilter(field_name="channel")
    since = django_filters.IsoDateTimeFilter(field_name="at", lookup_expr="gte")
    until = django_filters.IsoDateTimeFilter(field_name="at", lookup_expr="lt")
    search = django_filters.CharFilter(method="by_text", label="words in verb, actor, target, reason or body")

    class Meta:
        model = Entry
        fields: tuple[str, ...] = ()

    def by_verb(self, rows: "QuerySet[Entry]", name: str, value: str) -> Any:
        return rows.filter(verb__startswith=value) if value.endswith(".") else rows.filter(verb=value)

    def by_target(self, rows: "QuerySet[Entry]", name: str, value: str) -> Any:
        kind, colon, key = value.rpartition(":")
        if colon:
            return rows.filter(target_type=kind, target_id=key)
        return rows.filter(target_type=value) if "." in value else rows.filter(target_id=value)

    def by_text(self, rows: "QuerySet[Entry]", name: str, value: str) -> Any:
        columns = ("verb", "actor", "target_id", "reason", "body")
        for word in value.split()[:8]:
            rows = rows.filter(_any(columns, word))
        return rows


def _any(columns: tuple[str, ...], word: str) -> Q:
    found = Q()
    for column in columns:
        found |= Q(**{f"{column}__icontains": word})
    return found
