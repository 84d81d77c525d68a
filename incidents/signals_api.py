"""Signals over HTTP: systems tell what happened, one by one or in batches; what they told can be read again."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, PolymorphicProxySerializer, extend_schema
from rest_framework import generics
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from audit.access import has_role
from audit.actions import record
from audit.clock import db_now
from audit.errors import Invalid, NotAllowed
from audit.strictjson import StrictJSONParser
from incidents.access import SENDERS, check_sender, reach_of
from incidents.cloudevents import BATCH, STRUCTURED, read
from incidents.filters import SignalFilter
from incidents.fingerprints import NoFingerprint, fingerprint
from incidents.intake import Accepted, NormalSignal, accept, accept_many
from incidents.models import Signal
from incidents.serializers import AcceptedSerializer, EventSerializer, SignalDetailSerializer, SignalSerializer

_ANSWER = PolymorphicProxySerializer(
    component_name="AcceptedOneOrMany",
    serializers=[AcceptedSerializer, AcceptedSerializer(many=True)],
    resource_type_field_name=None,
    many=False,
)


class EventParser(StrictJSONParser):
    """Strict JSON that says it is one CloudEvent."""

    media_type = STRUCTURED


class BatchParser(StrictJSONParser):
    """Strict JSON that says it is a list of CloudEvents."""

    media_type = BATCH


class SendsSignals(BasePermission):
    """Integrations, operators and automation owners send signals; everybody with a role reads them."""

    message = "Only integrations, operators and automation owners send signals."

    def has_permission(self, request: Request, view: Any) -> bool:
        return request.method != "POST" or has_role(request.user, *SENDERS)


class Signals(generics.ListAPIView[Signal]):
    """Signals that you may see, newest first."""

    serializer_class = SignalSerializer
    filterset_class = SignalFilter
    queryset = Signal.objects.none()
    parser_classes = (EventParser, BatchParser, StrictJSONParser)
    permission_classes = (IsAuthenticated, SendsSignals)

    def get_queryset(self) -> QuerySet[Signal]:
        return Signal.objects.visible_to(self.request.user).defer("raw", "text", "attributes", "fingerprint_explained")

    @extend_schema(
        operation_id="signals_send",
        request={
            STRUCTURED: EventSerializer,
            BATCH: EventSerializer(many=True),
            "application/json": EventSerializer,
        },
        responses={
            202: OpenApiResponse(_ANSWER, "Kept, and joined to an incident. A list for a batch."),
            200: OpenApiResponse(_ANSWER, "This source and id had been sent before: the first answer."),
        },
        examples=[
            OpenApiExample(
                "A CloudEvent",
                media_type=STRUCTURED,
                request_only=True,
                value={
                    "specversion": "1.0",
                    "id": "8f1c",
                    "source": "/shop/billing",
                    "type": "com.example.invoice.twice",
                    "time": "2026-11-03T12:00:00Z",
                    "data": {
                        "code": "duplicate_invoice",
                        "entity_type": "invoice",
                        "entity_key": "CIV-000697",
                        "amount": {"amount": "1234.50", "currency": "EUR"},
                        "business_unit": "EU",
                        "region": "DE",
                    },
                },
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Take in one signal or a batch: all or none, committed when this answers.

        A CloudEvent in structured mode, in binary mode (`ce-*` headers, the body is the data), a batch of at
        most 1,000, or plain JSON with the same members.
        """
        kind = (request.content_type or "").partition(";")[0].strip().lower()
        signals, batch = read(kind, request.data, request.headers, cache(db_now))
        _settle_places(request.user, signals)
        sent: dict[str, Any] = {"actor": request.user.get_username(), "reach": reach_of(request.user)}
        try:
            accepted = accept_many(signals, **sent) if batch else [accept(signals[0], **sent)]
        except NoFingerprint as error:
            raise Invalid(str(error), _without_fingerprint(signals, batch=batch)) from None
        answers = [_answer(one) for one in accepted]
        again = bool(accepted) and all(one.repeated for one in accepted)
        return Response(answers if batch else answers[0], status=200 if again else 202)


class SignalDetail(generics.RetrieveAPIView[Signal]):
    """One signal: as it came, as it was understood, its fingerprint explained, and the incident that it joined."""

    serializer_class = SignalDetailSerializer
    queryset = Signal.objects.none()

    def get_queryset(self) -> QuerySet[Signal]:
        return Signal.objects.visible_to(self.request.user)


def _without_fingerprint(signals: Sequence[NormalSignal], *, batch: bool) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    for index, signal in enumerate(signals):
        try:
            fingerprint(signal.code, signal.entity_type, signal.entity_key, {})
        except NoFingerprint as error:
            errors[f"{index}.data.entity_key" if batch else "data.entity_key"] = error.errors["entity_key"]
    return errors


def _answer(accepted: Accepted) -> dict[str, Any]:
    return {"signal": accepted.key, "incident": accepted.joined, "merged": accepted.merged}


def _settle_places(user: Any, signals: list[NormalSignal]) -> None:
    """Let a sender that works for one unit or region leave it out; refuse a place that it does not work for.

    The refusal is entered in the ledger.
    """
    scope = None if user.is_superuser else getattr(user, "scope", None)
    for field in ("business_unit", "region") if scope else ():
        own = getattr(scope, f"{field}s")
        if len(own) == 1 and own[0] != "*":
            for signal in signals:
                setattr(signal, field, getattr(signal, field) or own[0])
    try:
        check_sender(user, signals)
    except NotAllowed as refusal:
        with transaction.atomic():
            record("refused.signal", actor=user.get_username(), target=_named(signals), reason=str(refusal))
        raise


def _named(signals: list[NormalSignal]) -> str:
    return ", ".join(sorted({signal.source for signal in signals}))[:200]
