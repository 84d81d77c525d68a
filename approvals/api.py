"""Requests for approval over HTTP: see them, say yes, say no, let somebody else decide."""

from typing import Any, ClassVar

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from approvals import actions
from approvals.access import pending_for, person_of, taker_named, why_not
from approvals.models import ApprovalRequest, ApprovalRule, Decision
from approvals.seats import visible_to
from approvals.serializers import ApprovalDetailSerializer, ApprovalSerializer, DecisionBody, DelegationBody
from approvals.states import State
from audit.preconditions import expected_version, with_etag


class ApprovalFilter(filters.FilterSet):
    """``state``, ``kind``, ``incident``, and ``needs=me``: what the caller may decide now."""

    state = filters.ChoiceFilter(choices=State.choices)
    kind = filters.ChoiceFilter(field_name="subject", choices=ApprovalRule.Subject.choices)
    incident = filters.NumberFilter(field_name="incident_id", min_value=1, max_value=2**63 - 1)
    needs = filters.ChoiceFilter(choices=[("me", "me")], method="needing")

    class Meta:
        model = ApprovalRequest
        fields: ClassVar = ["state", "kind", "incident", "needs"]

    def needing(self, rows: QuerySet[ApprovalRequest], name: str, value: str) -> QuerySet[ApprovalRequest]:
        return rows.filter(pk__in=pending_for(self.request.user).values("pk"))


class _Approvals(GenericAPIView[ApprovalRequest]):
    """The requests that the caller may see."""

    serializer_class: Any = ApprovalDetailSerializer
    queryset = ApprovalRequest.objects.none()  # tells the schema the type of the id

    def get_queryset(self) -> QuerySet[ApprovalRequest]:
        return visible_to(self.request.user)

    def found(self, pk: int) -> ApprovalRequest:
        """Return the request with that number, or answer 404 where it is not theirs to see."""
        return get_object_or_404(self.get_queryset(), pk=pk)

    def answer(self, approval: ApprovalRequest) -> Response:
        """Show the request as it stands now, with its version."""
        approval.refresh_from_db()
        return with_etag(Response(detail(approval, self.person)), approval.row_version)  # type: ignore[no-any-return]

    @property
    def person(self) -> User:
        """Return who is asking."""
        return person_of(self.request.user)


class ApprovalList(ListAPIView[ApprovalRequest], _Approvals):
    """Requests for approval, newest first."""

    serializer_class = ApprovalSerializer
    filterset_class = ApprovalFilter


class ApprovalDetail(_Approvals):
    """One request: exactly what is asked, why, of whom, and who has answered."""

    def get(self, request: Request, pk: int) -> Response:
        """Show one request for approval."""
        return self.answer(self.found(pk))


class _Decide(_Approvals):
    """Say yes or no to exactly the digest that was seen; another one is 409."""

    verdict: Decision.Verdict

    @extend_schema(request=DecisionBody, responses=ApprovalDetailSerializer)
    def post(self, request: Request, pk: int) -> Response:
        approval = self.found(pk)
        body = DecisionBody(data=request.data)
        body.is_valid(raise_exception=True)
        version = expected_version(request, approval.row_version)
        said = {"by": self.person, "verdict": self.verdict, "if_version": version, **body.validated_data}
        return self.answer(actions.decide(approval, **said))


class Approve(_Decide):
    """Say yes to exactly the digest that was seen; another one is 409."""

    verdict = Decision.Verdict.APPROVE


class Reject(_Decide):
    """Say no, and why. It settles the request at once."""

    verdict = Decision.Verdict.REJECT


class Delegate(_Approvals):
    """Let somebody else decide this one request on one's behalf."""

    @extend_schema(request=DelegationBody, responses=ApprovalDetailSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Lend one's voice in this request to another person."""
        approval = self.found(pk)
        body = DelegationBody(data=request.data)
        body.is_valid(raise_exception=True)
        actions.delegate(
            approval,
            by=self.person,
            to=taker_named(body.validated_data["to"]),
            reason=body.validated_data["comment"],
            digest=body.validated_data["digest"],
            if_version=expected_version(request, approval.row_version),
        )
        return self.answer(approval)


def detail(approval: ApprovalRequest, user: User) -> dict[str, Any]:
    """Return one request as the API shows it to ``user``."""
    return dict(ApprovalDetailSerializer(approval, context={"why_not": why_not(approval, user)}).data)


def part_for_incident(incident_id: int, user: User) -> dict[str, Any] | None:
    """Return the newest request about an incident as ``user`` may see it, for the incident's answer; else ``None``."""
    approval = visible_to(user).filter(incident_id=incident_id).order_by("-id").first()
    return detail(approval, user) if approval else None
