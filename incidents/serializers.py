"""How signals and incidents look to programs, and what may be posted to them."""

from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from incidents.judged import Judged
from incidents.models import Citation, Comment, Evidence, Incident, RootCause, Signal, SlaClock, Statement
from incidents.states import Severity

REASON_LIMIT = 2_000
MONEY = {
    "type": ["object", "null"],
    "properties": {"amount": {"type": "string"}, "currency": {"type": "string"}},
    "required": ["amount", "currency"],
}
ENTITY = {
    "type": "object",
    "properties": {"type": {"type": "string"}, "key": {"type": "string"}},
    "required": ["type", "key"],
}


def money(amount: Decimal | None, currency: str) -> dict[str, str] | None:
    """Return a sum as the API writes it, or ``None`` where it is not known."""
    return None if amount is None else {"amount": f"{amount:.2f}", "currency": currency}


@extend_schema_field(MONEY)
class MoneyField(serializers.DictField):
    """A sum with its currency."""


# --- Signals -------------------------------------------------------------------------------------


class EventDataSerializer(serializers.Serializer[Any]):
    """What an event says happened, to which business entity."""

    code = serializers.CharField(max_length=60, help_text="The kind of exception, such as duplicate_invoice.")
    entity_type = serializers.CharField(max_length=60)
    entity_key = serializers.CharField(max_length=200)
    attributes = serializers.DictField(required=False)
    amount = MoneyField(required=False, allow_null=True)
    business_unit = serializers.CharField(max_length=40, required=False)
    region = serializers.CharField(max_length=40, required=False)
    text = serializers.CharField(max_length=50_000, required=False)


class EventSerializer(serializers.Serializer[Any]):
    """A CloudEvent, or plain JSON with the same members. Extension attributes are kept as they come."""

    specversion = serializers.ChoiceField(choices=["1.0"], required=False, help_text="Needed in a CloudEvent.")
    id = serializers.CharField(max_length=300, help_text="With source: the same again adds nothing.")
    source = serializers.CharField(max_length=300)  # type: ignore[assignment] # the contract's name
    type = serializers.CharField(max_length=200, required=False)
    time = serializers.DateTimeField(required=False, help_text="RFC 3339; now where it is left out.")
    # A member of this name hides DRF's property only in this class, which is never given data.
    data = EventDataSerializer()  # type: ignore[assignment]


class AcceptedSerializer(serializers.Serializer[Any]):
    """What became of a signal."""

    signal = serializers.IntegerField()
    incident = serializers.IntegerField()
    merged = serializers.BooleanField(help_text="It joined an incident that was already there.")


class SignalSerializer(serializers.ModelSerializer[Signal]):
    """A signal in the list."""

    time = serializers.DateTimeField(source="occurred_at")
    entity = serializers.SerializerMethodField()
    amount = serializers.SerializerMethodField()
    incident = serializers.IntegerField(source="incident_id")

    class Meta:
        model = Signal
        fields: tuple[str, ...] = (
            *("id", "source", "event_id", "type", "channel", "time", "received_at", "code", "entity", "amount"),
            *("business_unit", "region", "incident", "merged"),
        )

    @extend_schema_field(ENTITY)
    def get_entity(self, signal: Signal) -> dict[str, str]:
        """The business entity that it is about."""
        return {"type": signal.entity_type, "key": signal.entity_key}

    @extend_schema_field(MONEY)
    def get_amount(self, signal: Signal) -> dict[str, str] | None:
        """What it says it is worth."""
        return money(signal.amount, signal.currency)


class NormalisedSerializer(serializers.Serializer[Any]):
    """A signal as it was understood."""

    code = serializers.CharField()
    entity_type = serializers.CharField()
    entity_key = serializers.CharField()
    attributes = serializers.DictField()
    amount = MoneyField(allow_null=True)
    business_unit = serializers.CharField()
    region = serializers.CharField()
    text = serializers.CharField()


class FingerprintSerializer(serializers.Serializer[Any]):
    """What made it join its incident: the digest, and the parts that it was made from."""

    value = serializers.CharField()
    explanation = serializers.DictField()


class SignalDetailSerializer(SignalSerializer):
    """A signal as it came and as it was understood."""

    raw = serializers.DictField(help_text="As it came.")
    normalised = serializers.SerializerMethodField()
    fingerprint = serializers.SerializerMethodField()
    joined = serializers.IntegerField(source="joined_id", help_text="The incident that it joined at first.")

    class Meta:
        model = Signal
        fields = (*SignalSerializer.Meta.fields, "joined", "normalised", "fingerprint", "raw")

    @extend_schema_field(NormalisedSerializer)
    def get_normalised(self, signal: Signal) -> dict[str, Any]:
        """As it was understood."""
        names = ("code", "entity_type", "entity_key", "attributes", "business_unit", "region", "text")
        return {name: getattr(signal, name) for name in names} | {"amount": money(signal.amount, signal.currency)}

    @extend_schema_field(FingerprintSerializer)
    def get_fingerprint(self, signal: Signal) -> dict[str, Any]:
        """Why it joined this incident."""
        return {"value": signal.fingerprint, "explanation": signal.fingerprint_explained}


# --- Incidents -----------------------------------------------------------------------------------


class SlaSerializer(serializers.ModelSerializer[SlaClock]):
    """An incident's clock."""

    policy = serializers.CharField(source="policy.slug")
    calendar = serializers.CharField(
        source="calendar.slug", default=None, allow_null=True, help_text="Null: the policy's own."
    )
    state = serializers.CharField(source="incident.sla_state", help_text="ok, warning or breached")
    breached = serializers.SerializerMethodField()

    class Meta:
        model = SlaClock
        fields: ClassVar = [
            *("policy", "calendar", "because", "state", "breached", "acknowledge_due", "resolve_due"),
            *("acknowledged_at", "breached_at", "paused_at", "stopped_at", "escalation_level"),
        ]

    def get_breached(self, clock: SlaClock) -> bool:
        """Whether a target was missed."""
        return getattr(clock.incident, "sla_state", "") == "breached"


class IncidentSerializer(serializers.ModelSerializer[Incident]):
    """An incident in the list. Its rows come from ``incidents.filters.shown_to``."""

    entity = serializers.SerializerMethodField()
    amount = serializers.SerializerMethodField()
    revenue_at_risk = serializers.SerializerMethodField()
    queue = serializers.CharField(source="queue.slug", default=None, allow_null=True)
    assignee = serializers.CharField(source="assignee.username", default=None, allow_null=True)
    merged_into = serializers.IntegerField(source="merged_into_id", allow_null=True)
    version = serializers.IntegerField(source="row_version", help_text="The ETag's number.")
    sla = serializers.SerializerMethodField()

    class Meta:
        model = Incident
        fields: tuple[str, ...] = (
            *("id", "title", "code", "status", "status_reason", "severity", "severity_reason", "domain", "entity"),
            *("business_unit", "region", "amount", "revenue_at_risk", "queue", "queue_reason", "assignee"),
            *("signals_count", "first_signal_at", "last_signal_at", "opened_at", "resolved_at", "closed_at"),
            *("merged_into", "version", "sla"),
        )

    @extend_schema_field(ENTITY)
    def get_entity(self, incident: Incident) -> dict[str, str]:
        """The business entity that it is about."""
        return {"type": incident.entity_type, "key": incident.entity_key}

    @extend_schema_field(MONEY)
    def get_amount(self, incident: Incident) -> dict[str, str] | None:
        """What its signals say it is worth."""
        return money(incident.amount, incident.currency)

    @extend_schema_field(MONEY)
    def get_revenue_at_risk(self, incident: Incident) -> dict[str, str] | None:
        """What the linked records say is at risk."""
        return money(incident.revenue_at_risk, incident.currency)

    @extend_schema_field(SlaSerializer(allow_null=True))
    def get_sla(self, incident: Incident) -> dict[str, Any] | None:
        """Its clock; null where no policy covers it."""
        clock = getattr(incident, "sla", None)
        return None if clock is None else dict(self._clocks.to_representation(clock))

    @cached_property
    def _clocks(self) -> SlaSerializer:
        return SlaSerializer()  # one for a whole list: making one takes longer than what it writes


class CheckSerializer(serializers.ModelSerializer[Citation]):
    """The record, field and value that a statement rests on."""

    evidence = serializers.IntegerField(source="evidence_id")
    value = serializers.JSONField()

    class Meta:
        model = Citation
        fields: ClassVar = ["evidence", "field", "value", "held"]


class StatementSerializer(serializers.ModelSerializer[Statement]):
    """One claim about the cause, and the evidence that carries or refutes it."""

    citations = serializers.SerializerMethodField()
    checks = CheckSerializer(source="citations", many=True)

    class Meta:
        model = Statement
        fields: ClassVar = [
            *("text", "grade", "verdict", "hypothesis", "author", "citations", "checks", "refuted_by"),
        ]

    def get_citations(self, statement: Statement) -> list[int]:
        """Numbers of the evidence, see `evidence/`."""
        return list(dict.fromkeys(citation.evidence_id for citation in statement.citations.all()))


class RootCauseSerializer(serializers.ModelSerializer[RootCause]):
    """Why it happened: what holds first, then what could not be tested; what was ruled out apart."""

    statements = serializers.SerializerMethodField()
    ruled_out = serializers.SerializerMethodField()

    class Meta:
        model = RootCause
        fields: ClassVar = [
            *("engine", "cause", "summary", "round", "kind_version", "created_at", "statements", "ruled_out"),
        ]

    @extend_schema_field(StatementSerializer(many=True))
    def get_statements(self, cause: RootCause) -> list[dict[str, Any]]:
        """What holds, then what could not be tested."""
        kept = [one for one in cause.statements.all() if one.verdict != Statement.Verdict.RULED_OUT]
        kept.sort(key=lambda one: (one.verdict != Statement.Verdict.HOLDS, one.number))
        return [dict(StatementSerializer(one).data) for one in kept]

    @extend_schema_field(StatementSerializer(many=True))
    def get_ruled_out(self, cause: RootCause) -> list[dict[str, Any]]:
        """What was tested and does not hold, with the record that says so."""
        out = [one for one in cause.statements.all() if one.verdict == Statement.Verdict.RULED_OUT]
        return [dict(StatementSerializer(one).data) for one in out]


class IncidentDetailSerializer(Judged, IncidentSerializer):
    """One incident with its cause and what the floors above know of it, null where there is none."""

    fingerprint = serializers.CharField()
    attributes = serializers.DictField()
    risk_explained = serializers.ListField(child=serializers.DictField())
    root_cause = serializers.SerializerMethodField()
    plan = serializers.DictField(allow_null=True, default=None)
    approval = serializers.DictField(allow_null=True, default=None)
    execution = serializers.DictField(allow_null=True, default=None)
    outcome = serializers.DictField(allow_null=True, default=None)

    class Meta:
        model = Incident
        fields = (
            *IncidentSerializer.Meta.fields,
            *Judged.MEMBERS,
            *("fingerprint", "attributes", "risk_explained", "root_cause", "plan", "approval", "execution", "outcome"),
        )

    @extend_schema_field(RootCauseSerializer(allow_null=True))
    def get_root_cause(self, incident: Incident) -> dict[str, Any] | None:
        """The newest diagnosis."""
        rows = incident.root_causes.prefetch_related("statements__citations")
        cause = rows.order_by("-round").first()
        return None if cause is None else dict(RootCauseSerializer(cause).data)

    def to_representation(self, instance: Incident) -> dict[str, Any]:
        """Return the incident's own members and those that the floors above contribute."""
        return {**super().to_representation(instance), **self.context.get("parts", {})}


class EvidenceSerializer(serializers.ModelSerializer[Evidence]):
    """A signal or a record as it stood in its system, with the digest that proves it unchanged."""

    record_id = serializers.CharField()
    signal = serializers.IntegerField(source="signal_id", allow_null=True)
    content = serializers.JSONField()

    class Meta:
        model = Evidence
        fields: ClassVar = [
            *("id", "form", "name", "round", "system", "entity", "record_id", "version", "captured_at", "digest"),
            *("content", "url", "signal"),
        ]


class HappeningSerializer(serializers.Serializer[Any]):
    """One line of a timeline."""

    at = serializers.DateTimeField()
    what = serializers.CharField(help_text="signal, entry, comment, escalation, or a word of who tells it")
    actor = serializers.CharField()
    text = serializers.CharField()
    # See EventSerializer.
    data = serializers.DictField()  # type: ignore[assignment]


class FieldChangeSerializer(serializers.Serializer[Any]):
    """One field before and after."""

    # The members of a change are called what DRF calls its own.
    field = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


class HistoryLineSerializer(serializers.Serializer[Any]):
    """One change of an incident, field by field."""

    at = serializers.DateTimeField()
    who = serializers.CharField()
    reason = serializers.CharField()
    act = serializers.CharField()
    changes = FieldChangeSerializer(many=True)


class CommentSerializer(serializers.ModelSerializer[Comment]):
    """What a person wrote about an incident."""

    class Meta:
        model = Comment
        fields: ClassVar = ["id", "author", "text", "created_at"]


# --- What may be posted ----------------------------------------------------------------------------


class IncidentActBody(serializers.Serializer[Any]):
    """Why something is done."""

    reason = serializers.CharField(required=False, default="", allow_blank=True, max_length=REASON_LIMIT)

    def to_internal_value(self, data: Any) -> Any:
        """Refuse members that mean nothing here: a misspelt one would be lost in silence."""
        if isinstance(data, dict) and (unknown := data.keys() - self.fields.keys()):
            raise serializers.ValidationError({name: ["Unknown member."] for name in sorted(unknown)})
        return super().to_internal_value(data)


class AssignBody(IncidentActBody):
    """Who is to work on it; null takes it from whoever has it."""

    assignee = serializers.CharField(allow_null=True, max_length=150, help_text="A username, or null for nobody.")


class CorrectBody(IncidentActBody):
    """What the severity or the domain should be, and why."""

    severity = serializers.ChoiceField(choices=Severity.choices, required=False, default="")
    domain = serializers.CharField(max_length=40, required=False, default="")


class MergeBody(IncidentActBody):
    """The incident that is kept; its signals will hold those of this one."""

    into = serializers.IntegerField(min_value=1, max_value=2**63 - 1)


class CommentBody(IncidentActBody):
    """What to write."""

    reason = None  # type: ignore[assignment] # a comment is its own reason
    text = serializers.CharField(max_length=10_000)
