"""Signals over HTTP: systems tell what happened, one by one or in batches; what they told can be read again."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import generics
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from audit.access import has_role
from audit.actions import record
from audit.errors import Invalid, NotAllowed
from audit.strictjson import StrictJSONParser
from incidents.cloudevents import MANY, ONE, BatchParser, EventParser, from_headers, signal_of
from incidents.filters import SignalFilter
from incidents.fingerprints import NoFingerprint, fingerprint
from incidents.intake import Accepted, NormalSignal, accept, accept_many
from incidents.models import Signal
from incidents.serializers import AcceptedSerializer, EventSerializer, SignalDetailSerializer, SignalSerializer

MOST = 1_000
SENDERS = ("integration", "operator", "automation_admin")


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
            ONE: EventSerializer,
            MANY: EventSerializer(many=True),
            "application/json": EventSerializer,
        },
        responses={
            202: OpenApiResponse(AcceptedSerializer, "Kept, and joined to an incident. A list for a batch."),
            200: OpenApiResponse(AcceptedSerializer, "This source and id had been sent before: the first answer."),
        },
        examples=[
            OpenApiExample(
                "A CloudEvent",
                media_type=ONE,
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
        unit, region = _own_place(request.user)
        if kind == MANY:
            return _take_batch(request, unit, region)
        event, declared = request.data, kind == ONE
        if not declared:
            told = from_headers(request.META, event)
            event, declared = (event, False) if told is None else (told, True)
        signal = signal_of(event, declared=declared, unit=unit, region=region)
        _check_place(request.user, [signal])
        try:
            accepted = accept(signal, actor=request.user.get_username())
        except NoFingerprint as error:
            raise Invalid(str(error), {"data.entity_key": error.errors["entity_key"]}) from None
        return Response(_answer(accepted), status=200 if accepted.repeated else 202)


class SignalDetail(generics.RetrieveAPIView[Signal]):
    """One signal: as it came, as it was understood, its fingerprint explained, and the incident that it joined."""

    serializer_class = SignalDetailSerializer
    queryset = Signal.objects.none()

    def get_queryset(self) -> QuerySet[Signal]:
        return Signal.objects.visible_to(self.request.user)


def _take_batch(request: Request, unit: str, region: str) -> Response:
    events = request.data
    if not isinstance(events, list):
        raise Invalid("A batch is a JSON list of CloudEvents.", {"body": ["Send a JSON list."]})
    if len(events) > MOST:
        raise Invalid(f"A batch has at most {MOST} events; this one has {len(events)}.", {"body": ["Send fewer."]})
    signals, errors = [], {}
    for index, event in enumerate(events):
        try:
            signals.append(signal_of(event, declared=True, unit=unit, region=region))
        except Invalid as error:
            errors |= {f"{index}.{name}": messages for name, messages in error.errors.items()}
    if errors:
        raise Invalid("Some signals of the batch are not valid; none was taken in.", errors)
    _check_place(request.user, signals)
    try:
        accepted = accept_many(signals, actor=request.user.get_username())  # type: ignore[union-attr]
    except NoFingerprint as error:
        raise Invalid(f"None was taken in: {error}", _without_fingerprint(signals)) from None
    again = bool(accepted) and all(one.repeated for one in accepted)
    return Response([_answer(one) for one in accepted], status=200 if again else 202)


def _without_fingerprint(signals: Sequence[NormalSignal]) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    for index, signal in enumerate(signals):
        try:
            fingerprint(signal.code, signal.entity_type, signal.entity_key, {})
        except NoFingerprint as error:
            errors[f"{index}.data.entity_key"] = error.errors["entity_key"]
    return errors


def _answer(accepted: Accepted) -> dict[str, Any]:
    signal = accepted.signal
    # The same answer for ever: a merge by a person moves `incident`, never `joined`.
    return {"signal": signal.pk, "incident": signal.joined_id, "merged": signal.merged}


def _own_place(user: Any) -> tuple[str, str]:
    """Return the unit and region that a sender speaks for when it names none: its only one, else blank."""
    scope = getattr(user, "scope", None)
    if scope is None or user.is_superuser:
        return "", ""
    return _only(scope.business_units), _only(scope.regions)


def _only(values: list[str]) -> str:
    return values[0] if len(values) == 1 and values[0] != "*" else ""


def _check_place(user: Any, signals: Sequence[NormalSignal]) -> None:
    """Raise ``NotAllowed`` where a signal is about a unit or region that its sender does not work for.

    A signal that names none is taken in: its unit is found from the evidence.
    """
    if user.is_superuser:
        return
    scope = getattr(user, "scope", None)
    units, regions = (scope.business_units, scope.regions) if scope else ([], [])
    for signal in signals:
        if not (_within(signal.business_unit, units) and _within(signal.region, regions)):
            place = " · ".join(part for part in (signal.business_unit, signal.region) if part)
            reason = f"You do not send signals for {place or 'any unit'}."
            with transaction.atomic():
                record(
                    "refused.signal", actor=user.get_username(), target=f"{signal.source} {signal.id}", reason=reason
                )
            raise NotAllowed(reason)


def _within(value: str, allowed: list[str]) -> bool:
    return "*" in allowed or (value in allowed if value else bool(allowed))
