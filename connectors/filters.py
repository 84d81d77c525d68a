"""What lists of connections and calls can be narrowed by."""

from typing import ClassVar

from django.db.models import QuerySet
from django_filters import rest_framework as filters

from connectors.door import health
from connectors.models import Call, Connection


class ConnectionFilter(filters.FilterSet):
    """``kind``, ``enabled``, ``health``, ``data_class`` and ``team``."""

    class Meta:
        model = Connection
        fields: ClassVar = ["kind", "enabled", "health", "data_class", "team"]


class CallFilter(filters.FilterSet):
    """``operation``, ``direction``, ``outcome``, ``incident``, ``since``, ``until``, and ``failed=true``."""

    incident = filters.NumberFilter(field_name="incident_id", min_value=1, max_value=2**63 - 1)
    since = filters.IsoDateTimeFilter(field_name="started_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="started_at", lookup_expr="lt")
    failed = filters.BooleanFilter(method="having_failed")

    class Meta:
        model = Call
        fields: ClassVar = ["operation", "direction", "outcome", "incident", "since", "until", "failed"]

    def having_failed(self, rows: QuerySet[Call], name: str, value: bool) -> QuerySet[Call]:
        """Keep the calls that failed, or those that did not."""
        return rows.exclude(outcome__in=health.GOOD) if value else rows.filter(outcome__in=health.GOOD)
