"""How a list of incidents or signals is narrowed over HTTP; an unknown value is said to be one."""

from typing import Any, ClassVar

from django.db.models import Q, QuerySet
from django_filters import rest_framework as filters

from incidents.access import needing
from incidents.models import Incident, Signal
from incidents.states import Severity, Status


class _Choices(filters.BaseInFilter, filters.ChoiceFilter):
    """One value or several with commas between."""


class _Texts(filters.BaseInFilter, filters.CharFilter):
    """One text or several with commas between."""


class IncidentFilter(filters.FilterSet):
    """The filters of the contract; lists take several values with commas between."""

    status = _Choices(choices=Status.choices, lookup_expr="in")
    severity = _Choices(choices=Severity.choices, lookup_expr="in")
    domain = _Texts(lookup_expr="in")
    code = _Texts(lookup_expr="in")
    entity_key = filters.CharFilter()
    entity_type = filters.CharFilter()
    business_unit = _Texts(lookup_expr="in")
    region = _Texts(lookup_expr="in")
    queue = filters.CharFilter(field_name="queue__slug")
    assignee = filters.CharFilter(method="assigned", help_text="A username, me, or nobody.")
    sla = filters.ChoiceFilter(
        method="timely",
        choices=[(name, name) for name in ("breached", "warned", "running", "paused", "met", "none")],
        help_text="breached, warned (running late), running, paused, met (closed in time) or none.",
    )
    search = filters.CharFilter(method="saying", help_text="Words of the title, the entity's key, or the number.")
    needs = filters.ChoiceFilter(method="needed", choices=[("me", "me")], help_text="me: those that wait for you.")
    opened_after = filters.IsoDateTimeFilter(field_name="opened_at", lookup_expr="gte")
    opened_before = filters.IsoDateTimeFilter(field_name="opened_at", lookup_expr="lt")

    class Meta:
        model = Incident
        fields: ClassVar[list[str]] = []

    def assigned(self, rows: QuerySet[Incident], name: str, value: str) -> QuerySet[Incident]:
        """Keep the incidents of a person."""
        if value == "nobody":
            return rows.filter(assignee=None)
        return rows.filter(assignee=self.request.user) if value == "me" else rows.filter(assignee__username=value)

    def timely(self, rows: QuerySet[Incident], name: str, value: str) -> QuerySet[Incident]:
        """Keep the incidents whose clock stands so."""
        running = Q(sla__stopped_at=None, sla__paused_at=None, sla__isnull=False)
        conditions: dict[str, Q] = {
            "breached": Q(sla__breached_at__isnull=False),
            "warned": running & Q(sla__warned_at__isnull=False, sla__breached_at=None),
            "running": running,
            "paused": Q(sla__paused_at__isnull=False, sla__stopped_at=None),
            "met": Q(sla__stopped_at__isnull=False, sla__breached_at=None),
            "none": Q(sla__isnull=True),
        }
        return rows.filter(conditions[value])

    def saying(self, rows: QuerySet[Incident], name: str, value: str) -> QuerySet[Incident]:
        """Keep the incidents that hold every word."""
        for word in value[:200].split()[:6]:
            rows = rows.filter(_says(word))
        return rows

    def needed(self, rows: QuerySet[Incident], name: str, value: str) -> QuerySet[Incident]:
        """Keep the incidents that wait for the caller."""
        return rows.filter(needing(self.request.user))


def _says(word: str) -> Q:
    found = Q(title__icontains=word) | Q(entity_key__icontains=word)
    number = word.upper().removeprefix("INC-").removeprefix("#")
    return found | Q(pk=int(number)) if number.isascii() and number.isdigit() and len(number) < 16 else found


class SignalFilter(filters.FilterSet):
    """Which signals: of one incident, source, kind, entity or fingerprint."""

    incident = filters.NumberFilter(field_name="incident_id", min_value=1, max_value=2**63 - 1)
    source = filters.CharFilter()
    event_id = filters.CharFilter()
    code = filters.CharFilter()
    channel = filters.CharFilter()
    entity_key = filters.CharFilter()
    fingerprint = filters.CharFilter()

    class Meta:
        model = Signal
        fields: ClassVar[list[Any]] = []
