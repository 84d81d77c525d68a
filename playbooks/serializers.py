"""How plans, executions and dead letters look to programs."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from connectors.kit.confidential import shown
from playbooks import lasting
from playbooks.holdout_models import HoldOut, HoldOutDraw
from playbooks.models import (
    Attempt,
    DeadLetter,
    Execution,
    Guardrail,
    Plan,
    PlaybookVersion,
    Step,
    StepRun,
    Verification,
)


class ChangeSerializer(serializers.Serializer[Any]):
    """One field of one record, before and after."""

    record = serializers.CharField()
    field = serializers.CharField()
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)
    side_effect = serializers.BooleanField()


class UndoSerializer(serializers.Serializer[Any]):
    """The operation that takes a step back."""

    operation = serializers.CharField()
    parameters = serializers.DictField()


class GuardrailSerializer(serializers.ModelSerializer[Guardrail]):
    """What one policy version said."""

    class Meta:
        model = Guardrail
        fields = ("policy", "version", "verdict", "reason", "moment", "at")


class StepSerializer(serializers.ModelSerializer[Step]):
    """One step of a plan."""

    connector = serializers.CharField(source="connection")
    expected = serializers.SerializerMethodField()
    predicted_changes = serializers.SerializerMethodField()
    undo = UndoSerializer(allow_null=True)
    reversible = serializers.SerializerMethodField()
    reversibility = serializers.CharField(source="reversible")
    undo_reason = serializers.SerializerMethodField()
    guardrails = GuardrailSerializer(many=True)

    class Meta:
        model = Step
        fields = (
            "number",
            "name",
            "title",
            "connector",
            "operation",
            "parameters",
            "sources",
            "expected",
            "predicted_changes",
            "undo",
            "reversible",
            "reversibility",
            "undo_reason",
            "risk",
            "financial",
            "guardrails",
        )

    def to_representation(self, instance: Step) -> dict[str, Any]:
        """Return it with a mark in the place of what is only ever sent."""
        return dict(shown(super().to_representation(instance)))

    @extend_schema_field(ChangeSerializer(many=True))
    def get_predicted_changes(self, step: Step) -> list[dict[str, Any]]:
        """Return each predicted change, the record named in full."""
        return [changed(row) for row in step.predicted]

    @extend_schema_field(serializers.DictField())
    def get_expected(self, step: Step) -> dict[str, Any]:
        """Return the values that the read-back must find, by field."""
        return {row["field"]: row["after"] for row in step.predicted if not row["side_effect"]}

    def get_reversible(self, step: Step) -> bool:
        """Tell whether the step can be taken back at all."""
        return step.undo is not None

    def get_undo_reason(self, step: Step) -> str:
        """Return why nothing takes the step back, as its connection states it; blank where something does."""
        return "" if step.undo is not None else lasting.reasons_of(step.plan).get(step.number, "")


def changed(row: dict[str, Any]) -> dict[str, Any]:
    """Return one predicted change as the API shows it."""
    return {
        "record": f"{row['entity']} {row['key']}",
        "field": row["field"],
        "before": row["before"],
        "after": row["after"],
        "side_effect": row["side_effect"],
    }


class MoneySerializer(serializers.Serializer[Any]):
    """An amount with its currency."""

    amount = serializers.CharField()
    currency = serializers.CharField()


class PlanSerializer(serializers.ModelSerializer[Plan]):
    """A plan with its steps."""

    incident = serializers.IntegerField(source="incident_id")
    playbook = serializers.CharField(source="playbook_version.playbook.slug")
    playbook_version = serializers.IntegerField(source="playbook_version.number")
    amount = serializers.SerializerMethodField()
    steps = StepSerializer(many=True)

    class Meta:
        model = Plan
        fields = (
            "id",
            "incident",
            "number",
            "state",
            "state_reason",
            "digest",
            "risk_tier",
            "financial",
            "amount",
            "rationale",
            "author",
            "autonomous",
            "asked_because",
            "playbook",
            "playbook_version",
            "slots",
            "candidates",
            "created_at",
            "steps",
        )

    @extend_schema_field(MoneySerializer(allow_null=True))
    def get_amount(self, plan: Plan) -> dict[str, str] | None:
        """Return the amount at stake, where it is known."""
        return None if plan.amount is None else {"amount": f"{plan.amount:.2f}", "currency": plan.currency}


class AttemptSerializer(serializers.ModelSerializer[Attempt]):
    """One time that an effect was sent or looked for."""

    class Meta:
        model = Attempt
        fields = ("number", "act", "started_at", "sent_at", "finished_at", "outcome", "status", "request_id", "message")


class VerificationSerializer(serializers.ModelSerializer[Verification]):
    """A fresh read of the source, held against what was predicted."""

    class Meta:
        model = Verification
        fields = ("matched", "fields", "records", "surprises", "read_at")


class StepRunSerializer(serializers.ModelSerializer[StepRun]):
    """One step at work."""

    connector = serializers.CharField(source="connection")
    title = serializers.CharField(source="step.title")
    undo = UndoSerializer(allow_null=True)
    attempts = AttemptSerializer(many=True)
    verifications = VerificationSerializer(many=True)

    class Meta:
        model = StepRun
        fields = (
            "number",
            "title",
            "state",
            "state_reason",
            "effect_key",
            "connector",
            "operation",
            "parameters",
            "undo",
            "expected",
            "result",
            "lane",
            "started_at",
            "finished_at",
            "attempts",
            "verifications",
        )

    def to_representation(self, instance: StepRun) -> dict[str, Any]:
        """Return it with a mark in the place of what is only ever sent."""
        return dict(shown(super().to_representation(instance)))


class ExecutionSerializer(serializers.ModelSerializer[Execution]):
    """One run of a plan, forward or backward."""

    incident = serializers.IntegerField(source="incident_id")
    plan = serializers.IntegerField(source="plan_id")
    undoes = serializers.IntegerField(source="undoes_id", allow_null=True)
    approval = serializers.IntegerField(source="approval_id", allow_null=True)
    steps = StepRunSerializer(source="step_runs", many=True)

    class Meta:
        model = Execution
        fields = (
            "id",
            "incident",
            "plan",
            "direction",
            "undoes",
            "state",
            "state_reason",
            "digest",
            "approval",
            "requested_by",
            "reason",
            "first_attempt_verified",
            "cancel_requested",
            "created_at",
            "finished_at",
            "steps",
        )


class DeadLetterSerializer(serializers.ModelSerializer[DeadLetter]):
    """What could not go on, and what to do next."""

    incident = serializers.IntegerField(source="incident_id")
    execution = serializers.IntegerField(source="step_run.execution_id", allow_null=True)
    step = serializers.IntegerField(source="step_run.number", allow_null=True)

    class Meta:
        model = DeadLetter
        fields = (
            "id",
            "incident",
            "execution",
            "step",
            "state",
            "cause",
            "error",
            "guidance",
            "payload",
            "replays",
            "created_at",
            "escalated_at",
            "closed_at",
            "closed_by",
            "resolution",
        )


class ReasonSerializer(serializers.Serializer[Any]):
    """Why something is done."""

    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=2000)


class ResolutionSerializer(serializers.Serializer[Any]):
    """How a dead letter was dealt with."""

    resolution = serializers.CharField(max_length=2000)


class EditSerializer(serializers.Serializer[Any]):
    """Another candidate playbook, or other slot values."""

    playbook = serializers.SlugField()
    slots = serializers.DictField(required=False, default=dict)


class HoldOutDrawSerializer(serializers.ModelSerializer[HoldOutDraw]):
    """The lot of one incident: left to people, or to the playbook."""

    playbook = serializers.CharField(source="hold_out.playbook.slug")
    playbook_version = serializers.IntegerField(source="playbook_version.number")
    hold_out = serializers.IntegerField(source="hold_out.number")
    share = serializers.IntegerField(source="hold_out.share")
    purpose = serializers.CharField(source="hold_out.purpose")
    stands = serializers.BooleanField(help_text="Whether it is left to people still.")

    class Meta:
        model = HoldOutDraw
        fields = (
            *("playbook", "playbook_version", "hold_out", "share", "purpose", "held_out", "stands"),
            *("drawn_at", "left_at", "left_by", "left_reason"),
        )


class HoldOutSerializer(serializers.ModelSerializer[HoldOut]):
    """A trial: the share of a playbook's mends that is left to people by lot."""

    class Meta:
        model = HoldOut
        fields = (
            *("number", "share", "purpose", "days", "max_severity", "max_amount", "currency"),
            *("begun_at", "ends_at", "ended_at"),
        )


class PlaybookSerializer(serializers.ModelSerializer[PlaybookVersion]):
    """The active version of a playbook."""

    slug = serializers.CharField(source="playbook.slug")
    label = serializers.CharField(source="playbook.label")  # type: ignore[assignment]
    exception = serializers.CharField(source="playbook.kind_code")
    enabled = serializers.BooleanField(source="playbook.enabled")
    version = serializers.IntegerField(source="number")
    hold_out = serializers.SerializerMethodField()

    class Meta:
        model = PlaybookVersion
        fields = (
            *("slug", "label", "exception", "enabled", "version", "digest", "definition", "author", "created_at"),
            "hold_out",
        )

    @extend_schema_field(HoldOutSerializer(allow_null=True))
    def get_hold_out(self, version: PlaybookVersion) -> dict[str, Any] | None:
        """Return the trial that runs."""
        trial = next((one for one in version.playbook.hold_outs.all() if one.ended_at is None), None)
        return None if trial is None else dict(HoldOutSerializer(trial).data)
