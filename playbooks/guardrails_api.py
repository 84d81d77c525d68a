"""The synchronous control: another system asks before it commits, and is told allow, block, correct or ask a person."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.access import has_role
from audit.actions import record
from audit.asking import StrictBody
from audit.errors import NotAllowed
from audit.proofs import canonical, digest
from connectors import registry
from connectors.base import Risk, Write
from connectors.models import Connection, EmergencyStop
from playbooks.models import PolicyVersion
from playbooks.policies import Ruling, Situation, corrections_of, judge, verdict_of

KEPT = 4_000  # characters of the changes that the ledger keeps in full
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"


class MoneyBody(serializers.Serializer[Any]):
    """An amount with its currency."""

    amount = serializers.DecimalField(max_digits=18, decimal_places=2)
    currency = serializers.RegexField(r"^[A-Z]{3}$")


class CheckBody(StrictBody):
    """What somebody is about to do."""

    system = serializers.RegexField(NAME, max_length=60, help_text="A connection, such as fo.")
    operation = serializers.RegexField(NAME, max_length=100, help_text="Such as invoice.credit.")
    record = serializers.JSONField(default=dict, help_text="The record's fields as they are now, or its key.")
    changes = serializers.JSONField(default=dict, help_text="Field and new value; or a list of {field, before, after}.")
    actor = serializers.CharField(max_length=200, help_text="Who is about to do it.")
    parameters = serializers.DictField(required=False, help_text="The operation's own; default: the changes.")
    amount = MoneyBody(required=False, allow_null=True, help_text="What is at stake, if it is known.")

    def validate_record(self, record: Any) -> dict[str, Any]:
        """Return the record's fields; a key alone becomes the field ``key``."""
        if isinstance(record, dict):
            return record
        if isinstance(record, str):
            return {"key": record}
        raise serializers.ValidationError("Write the record's fields as they are now, or its key.")

    def validate_changes(self, changes: Any) -> dict[str, Any]:
        """Return the changes as field and new value, whichever way they were written."""
        if isinstance(changes, dict):
            return {name: _after(value) for name, value in changes.items()}
        if isinstance(changes, list) and all(
            isinstance(one, dict) and isinstance(one.get("field"), str) for one in changes
        ):
            return {one["field"]: one.get("after") for one in changes}
        raise serializers.ValidationError("Write {field: new value}, or a list of {field, before, after}.")


class ReasonBody(serializers.Serializer[Any]):
    """Which policy said something, and in which words."""

    policy = serializers.CharField()
    version = serializers.IntegerField()
    message = serializers.CharField()


class CorrectionBody(serializers.Serializer[Any]):
    """One parameter that has to be another."""

    field = serializers.CharField()
    before = serializers.JSONField(allow_null=True)
    after = serializers.JSONField(allow_null=True)


class VerdictBody(serializers.Serializer[Any]):
    """What may be done."""

    verdict = serializers.ChoiceField(choices=PolicyVersion.Verdict.values)
    reasons = ReasonBody(many=True)
    corrections = CorrectionBody(many=True)


class GuardrailCheck(APIView):
    """Ask whether a change may be made, before it is made. What cannot be decided is never allowed."""

    @extend_schema(request=CheckBody, responses=VerdictBody)
    def post(self, request: Request) -> Response:
        """Hold a change against the active policies."""
        if not has_role(request.user, "integration", "operator"):
            raise NotAllowed("Asking a guardrail takes the role integration or operator.")
        body = CheckBody(data=request.data)
        body.is_valid(raise_exception=True)
        situation = situation_of(body.validated_data)
        rulings = rulings_on(situation)
        answer = answered(situation, rulings)
        if answer["verdict"] != PolicyVersion.Verdict.ALLOW:
            _enter(request.user.get_username(), situation, answer)
        return Response(answer)


def situation_of(body: dict[str, Any]) -> Situation:
    """Return what the policies are asked about; what the catalogue does not know is financial and of high risk."""
    connection = _connection_named(body["system"])
    system = connection.slug if connection else body["system"]
    operation = registry.operation_of(connection, body["operation"]) if connection else None
    money = body.get("amount") or {}
    return Situation(
        operation=f"{system}:{body['operation']}",
        connection=system,
        parameters=body.get("parameters", body["changes"]),
        record=body["record"],
        changes=body["changes"],
        risk=operation.risk if isinstance(operation, Write) else Risk.HIGH,
        financial=operation.financial if isinstance(operation, Write) else True,
        amount=Decimal(money["amount"]) if money else None,
        currency=money.get("currency", ""),
        actor=body["actor"],
        subject="check",
    )


def _connection_named(system: str) -> Connection | None:
    """Return the connection of that name, or the only one to that kind of system."""
    found = list(Connection.objects.filter(Q(slug=system) | Q(kind=system)))
    named = [one for one in found if one.slug == system]
    return (named or found)[0] if named or len(found) == 1 else None


def rulings_on(situation: Situation) -> list[Ruling]:
    """Return what speaks about it: the emergency stop, the connection, the policies."""
    stopped = [Ruling("emergency-stop", 0, None, "block", stop.reason) for stop in _stops(situation)]
    return [*stopped, *judge(situation)]


def _stops(situation: Situation) -> QuerySet[EmergencyStop]:
    where = Q(connection__isnull=True) | Q(connection__slug=situation.connection)
    what = Q(operation="") | Q(operation=situation.operation.partition(":")[2])
    return EmergencyStop.objects.filter(where, what, ended_at__isnull=True)


def answered(situation: Situation, rulings: list[Ruling]) -> dict[str, Any]:
    """Return the verdict with its reasons; corrections only where correcting is all that is asked."""
    verdict = verdict_of(rulings)
    wanted = corrections_of(rulings) if verdict == PolicyVersion.Verdict.CORRECT else {}
    return {
        "verdict": verdict,
        "reasons": [{"policy": one.policy, "version": one.version, "message": one.reason} for one in rulings],
        "corrections": [
            {"field": name, "before": situation.parameters.get(name), "after": value} for name, value in wanted.items()
        ],
    }


def _after(value: Any) -> Any:
    return value["after"] if isinstance(value, dict) and "after" in value else value


def _enter(asker: str, situation: Situation, answer: dict[str, Any]) -> None:
    """Enter what was not simply allowed; the many that were are not worth the ledger's lock."""
    reason = "; ".join(f"{one['message']} ({one['policy']} v{one['version']})" for one in answer["reasons"])
    data = {
        "verdict": answer["verdict"],
        "actor": situation.actor,
        "corrections": answer["corrections"],
        "changes": _kept(situation.changes),
        # A record may hold what the ledger must never forget and should never have known: its digest is enough.
        "record_digest": digest(situation.record),
    }
    with transaction.atomic():
        record("guardrail.checked", actor=asker, target=situation.operation, reason=reason, data=data)


def _kept(changes: Mapping[str, Any]) -> Any:
    return dict(changes) if len(canonical(changes)) <= KEPT else {"digest": digest(changes), "fields": len(changes)}
