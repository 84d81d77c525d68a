"""Plans, executions and dead letters for programs."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit.asking import body_as
from audit.preconditions import expected_version
from incidents.models import Incident
from playbooks import access, actions, holdout_actions
from playbooks.models import DeadLetter, Execution, Plan, PlaybookVersion
from playbooks.serializers import (
    DeadLetterSerializer,
    EditSerializer,
    ExecutionSerializer,
    HoldOutDrawSerializer,
    PlanSerializer,
    PlaybookSerializer,
    ReasonSerializer,
    ResolutionSerializer,
)

PLAN_PARTS = ("steps__guardrails",)
EXECUTION_PARTS = ("step_runs__step", "step_runs__attempts", "step_runs__verifications")


class PlanDetail(generics.RetrieveAPIView[Plan]):
    """A plan with its steps, predicted changes, undos and what the policies said."""

    serializer_class = PlanSerializer
    queryset = Plan.objects.none()

    def get_queryset(self) -> Any:
        """Return the plans that the caller may see."""
        rows = access.plans(self.request.user).select_related("playbook_version__playbook")
        return rows.prefetch_related(*PLAN_PARTS)


class PlanEdit(APIView):
    """Replace a proposed plan by one with another candidate playbook or other slot values."""

    reaches_out = True  # the records are read anew

    @extend_schema(request=EditSerializer, responses=PlanSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Edit the plan; whoever edits it cannot approve it."""
        plan = get_object_or_404(access.plans(request.user), pk=pk)
        fresh = actions.edit_plan(plan, by=request.user, **body_as(EditSerializer, request))  # type: ignore[arg-type]
        return Response(PlanSerializer(fresh).data)


class Replan(APIView):
    """Read the evidence anew and plan again."""

    @extend_schema(request=ReasonSerializer, responses={202: None})
    def post(self, request: Request, pk: int) -> Response:
        """Plan again; what was proposed before is void. Honours ``If-Match``."""
        incident = get_object_or_404(Incident.objects.visible_to(request.user), pk=pk)
        body = {**body_as(ReasonSerializer, request), "if_version": expected_version(request, incident.row_version)}
        moved = actions.replan(incident, by=request.user, **body)  # type: ignore[arg-type]
        return Response({"id": moved.pk, "status": moved.status}, status=202)


class LeaveHoldOut(APIView):
    """Take an incident out of the comparison group of a hold-out."""

    @extend_schema(request=ReasonSerializer, responses={202: HoldOutDrawSerializer})
    def post(self, request: Request, pk: int) -> Response:
        """Let the playbook work on it, for a reason; it counts as held out all the same. Honours ``If-Match``."""
        incident = get_object_or_404(Incident.objects.visible_to(request.user), pk=pk)
        body = {**body_as(ReasonSerializer, request), "if_version": expected_version(request, incident.row_version)}
        drawn = holdout_actions.leave(incident, by=request.user, **body)  # type: ignore[arg-type]
        return Response(HoldOutDrawSerializer(drawn).data, status=202)


class ExecutionDetail(generics.RetrieveAPIView[Execution]):
    """An execution with each step's attempts and read-backs."""

    serializer_class = ExecutionSerializer
    queryset = Execution.objects.none()

    def get_queryset(self) -> Any:
        """Return the executions that the caller may see."""
        return access.executions(self.request.user).prefetch_related(*EXECUTION_PARTS)


class Rollback(APIView):
    """Take back what an execution did."""

    reaches_out = True  # what will be undone is read first

    @extend_schema(request=ReasonSerializer, responses={202: ExecutionSerializer})
    def post(self, request: Request, pk: int) -> Response:
        """Ask for the rollback; it runs once whoever must agree has agreed."""
        execution = get_object_or_404(access.executions(request.user).select_related("plan", "incident"), pk=pk)
        reason = body_as(ReasonSerializer, request)["reason"]
        back = actions.roll_back(execution, by=request.user, reason=reason or "Asked for through the API.")  # type: ignore[arg-type]
        return Response(ExecutionSerializer(back).data, status=202)


class Cancel(APIView):
    """Stop an execution before its next step."""

    @extend_schema(request=ReasonSerializer, responses={202: ExecutionSerializer})
    def post(self, request: Request, pk: int) -> Response:
        """Ask for the stop; a step on its way is followed to its end."""
        execution = get_object_or_404(access.executions(request.user), pk=pk)
        stopped = actions.cancel(execution, by=request.user, **body_as(ReasonSerializer, request))  # type: ignore[arg-type]
        return Response(ExecutionSerializer(stopped).data, status=202)


class DeadLetterList(generics.ListAPIView[DeadLetter]):
    """Dead letters, newest first."""

    serializer_class = DeadLetterSerializer
    queryset = DeadLetter.objects.none()
    filterset_fields = ("state", "cause", "incident")

    def get_queryset(self) -> Any:
        """Return the letters that the caller may see."""
        return access.dead_letters(self.request.user).select_related("step_run")


class Replay(APIView):
    """Take a dead letter up again."""

    @extend_schema(request=None, responses={202: DeadLetterSerializer})
    def post(self, request: Request, pk: int) -> Response:
        """Replay it under its old effect key."""
        letter = get_object_or_404(access.dead_letters(request.user), pk=pk)
        replayed = actions.replay_by(letter, by=request.user)  # type: ignore[arg-type]
        return Response(DeadLetterSerializer(replayed).data, status=202)


class Resolve(APIView):
    """Close a dead letter that a person has dealt with."""

    @extend_schema(request=ResolutionSerializer, responses=DeadLetterSerializer)
    def post(self, request: Request, pk: int) -> Response:
        """Close it, saying how it was dealt with."""
        letter = get_object_or_404(access.dead_letters(request.user), pk=pk)
        closed = actions.resolve(letter, by=request.user, **body_as(ResolutionSerializer, request))  # type: ignore[arg-type]
        return Response(DeadLetterSerializer(closed).data)


class PlaybookList(generics.ListAPIView[PlaybookVersion]):
    """Active playbooks."""

    serializer_class = PlaybookSerializer
    queryset = PlaybookVersion.objects.none()

    def get_queryset(self) -> Any:
        return access.readable(
            PlaybookVersion.objects.filter(active=True)
            .select_related("playbook")
            .prefetch_related("playbook__hold_outs"),
            self.request.user,
        )
