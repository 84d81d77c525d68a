"""How a list of incidents or signals is narrowed over HTTP; an unknown value is said to be one."""

from typing import Any, ClassVar

from django.db.models import Case, CharField, F, Q, QuerySet, Value, When
from django.db.models.functions import Now
from django_filters import rest_framework as filters

from incidents.access import needing
from incidents.models import Incident, Signal
from incidents.search import saying
from incidents.states import Severity, Status

_RUNNING = Q(sla__stopped_at=None, sla__paused_at=None)
_BREACHED = (
    Q(sla__breached_at__isnull=False)
    | (_RUNNING & (Q(sla__resolve_due__lte=Now()) | Q(sla__acknowledge_due__lte=Now(), sla__acknowledged_at=None)))
    | Q(sla__stopped_at__gt=F("sla__resolve_due"))
    | Q(sla__paused_at__gt=F("sla__resolve_due"))
)
_WARNING = Q(sla__stopped_at=None) & (Q(sla__warned_at__isnull=False) | (_RUNNING & Q(sla__warn_at__lte=Now())))
# One meaning of a missed target for filter and answer; the sweep that notes it may be seconds behind.
SLA_STATE = Case(
    When(_BREACHED, then=Value("breached")),
    When(_WARNING, then=Value("warning")),
    When(sla__isnull=False, then=Value("ok")),
    default=Value("none"),
    output_field=CharField(),
)
_TIMELY: dict[str, Q] = {
    **{name: Q(sla_state=name) for name in ("breached", "warning", "ok")},
    "none": Q(sla__isnull=True),  # what the state says too, without working it out for each row
    "running": _RUNNING & Q(sla__isnull=False),
    "paused": Q(sla__paused_at__isnull=False, sla__stopped_at=None),
    "met": Q(sla__stopped_at__isnull=False) & ~Q(sla_state="breached"),
}


def shown_to(user: Any) -> QuerySet[Incident]:
    """Return the incidents that ``user`` may see, with all that the API shows of each row in one query."""
    rows = Incident.objects.visible_to(user).select_related("queue", "assignee", "sla__policy", "sla__calendar")
    return rows.annotate(sla_state=SLA_STATE)


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
    entity_key = _Texts(lookup_expr="in")
    entity_type = _Texts(lookup_expr="in")
    business_unit = _Texts(lookup_expr="in")
    region = _Texts(lookup_expr="in")
    queue = _Texts(field_name="queue__slug", lookup_expr="in")
    assignee = _Texts(method="assigned", help_text="Usernames, me, or nobody.")
    sla = _Choices(
        method="timely",
        choices=[(name, name) for name in _TIMELY],
        help_text="breached, warning or ok; also running, paused, met (closed in time) and none (no clock).",
    )
    search = filters.CharFilter(method="saying", help_text="Words of the title, the entity's key, or the number.")
    needs = filters.ChoiceFilter(method="needed", choices=[("me", "me")], help_text="me: those that wait for you.")
    opened_after = filters.IsoDateTimeFilter(field_name="opened_at", lookup_expr="gte")
    opened_before = filters.IsoDateTimeFilter(field_name="opened_at", lookup_expr="lt")

    class Meta:
        model = Incident
        fields: ClassVar[list[str]] = []

    def assigned(self, rows: QuerySet[Incident], name: str, values: list[str]) -> QuerySet[Incident]:
        """Keep the incidents of these people."""
        wanted = Q(assignee__username__in=[value for value in values if value not in ("me", "nobody")])
        if "me" in values:
            wanted |= Q(assignee=self.request.user)
        return rows.filter(wanted | Q(assignee=None) if "nobody" in values else wanted)

    def timely(self, rows: QuerySet[Incident], name: str, values: list[str]) -> QuerySet[Incident]:
        """Keep the incidents whose clock stands in one of these ways."""
        wanted = Q(pk__in=[])
        for value in values:
            wanted |= _TIMELY[value]
        return rows.filter(wanted)

    def saying(self, rows: QuerySet[Incident], name: str, value: str) -> QuerySet[Incident]:
        """Keep the incidents that hold every word."""
        return saying(rows, value, self.request.user)

    def needed(self, rows: QuerySet[Incident], name: str, value: str) -> QuerySet[Incident]:
        """Keep the incidents that wait for the caller."""
        return rows.filter(needing(self.request.user))


class SignalFilter(filters.FilterSet):
    """Which signals: of one incident, source, kind, entity or fingerprint."""

    incident = filters.NumberFilter(field_name="incident_id", min_value=1, max_value=2**63 - 1)
    source = filters.CharFilter()
    event_id = filters.CharFilter()
    code = _Texts(lookup_expr="in")
    channel = _Texts(lookup_expr="in")
    entity_key = _Texts(lookup_expr="in")
    business_unit = _Texts(lookup_expr="in")
    region = _Texts(lookup_expr="in")
    fingerprint = filters.CharFilter()

    class Meta:
        model = Signal
        fields: ClassVar[list[Any]] = []
