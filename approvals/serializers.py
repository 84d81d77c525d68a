"""How requests for approval look on the wire, and what may be posted to them."""

from typing import ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from approvals.actions import COMMENT_LIMIT
from approvals.models import ApprovalRequest, Decision
from approvals.states import State
from audit.asking import StrictBody

MONEY = {
    "type": ["object", "null"],
    "properties": {"amount": {"type": "string"}, "currency": {"type": "string"}},
    "required": ["amount", "currency"],
}


class DecisionSerializer(serializers.ModelSerializer[Decision]):
    """One person's yes or no."""

    person = serializers.CharField(source="person.username")
    on_behalf_of = serializers.CharField(source="on_behalf_of.username", allow_null=True, default=None)

    class Meta:
        model = Decision
        fields: ClassVar = ["person", "on_behalf_of", "role", "verdict", "comment", "digest", "decided_at"]


class ApprovalSerializer(serializers.ModelSerializer[ApprovalRequest]):
    """A request for approval, as the contract has it."""

    kind = serializers.ChoiceField(source="subject", choices=["plan", "rollback"])
    incident = serializers.IntegerField(source="incident_id")
    state = serializers.ChoiceField(choices=State.choices)
    amount = serializers.SerializerMethodField()

    class Meta:
        model = ApprovalRequest
        fields: ClassVar = [
            *("id", "kind", "subject_id", "incident", "digest", "state", "state_reason", "required", "given"),
            *("asked_because", "expires_at", "title", "risk_tier", "domain", "amount", "business_unit", "region"),
            *("requested_by", "created_at", "settled_at"),
        ]
        read_only_fields: ClassVar = fields

    @extend_schema_field(MONEY)
    def get_amount(self, approval: ApprovalRequest) -> dict[str, str] | None:
        if approval.amount is None:
            return None
        return {"amount": f"{approval.amount:.2f}", "currency": approval.currency}


class ApprovalDetailSerializer(ApprovalSerializer):
    """One request with what is asked by value, who was asked, and who has answered."""

    decisions = DecisionSerializer(many=True)
    requirements = serializers.ListField(child=serializers.DictField())
    summary = serializers.DictField()
    can_decide = serializers.SerializerMethodField(help_text="Whether you may decide it now.")
    why_not = serializers.SerializerMethodField(help_text="Why you may not; blank where you may.")

    class Meta(ApprovalSerializer.Meta):
        fields: ClassVar = [
            *ApprovalSerializer.Meta.fields,
            *("summary", "requirements", "decisions", "can_decide", "why_not"),
        ]
        read_only_fields: ClassVar = fields

    def get_can_decide(self, approval: ApprovalRequest) -> bool:
        return not self.get_why_not(approval)

    def get_why_not(self, approval: ApprovalRequest) -> str:
        return str(self.context.get("why_not", ""))


class DecisionBody(StrictBody):
    """The digest that the approver saw, and what they say to it."""

    digest = serializers.CharField(max_length=64)
    comment = serializers.CharField(max_length=COMMENT_LIMIT, allow_blank=True, default="")


class DelegationBody(StrictBody):
    """Who decides instead, and why."""

    to = serializers.CharField(max_length=150, help_text="Their username.")
    comment = serializers.CharField(max_length=COMMENT_LIMIT, allow_blank=True, default="")
    digest = serializers.CharField(max_length=64, default="", allow_blank=True)
