"""Task mining over HTTP: send a step log, read what was found in it, and draft playbooks of the backlog."""

from typing import Any, cast

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework.generics import GenericAPIView, ListAPIView
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from audit.asking import body_as
from insights.models import EventLog
from insights.tasklog import actions, serializers
from insights.tasklog.access import task_logs
from insights.tasklog.backlog import backlog
from insights.tasklog.models import Routine, TaskLog
from insights.uploads import check_size, mapping_of


class _TaskLogs(GenericAPIView[TaskLog]):
    """The task logs that the caller may see."""

    serializer_class: Any = serializers.TaskLogDetailSerializer
    queryset = TaskLog.objects.none()  # tells the schema the type of the id

    def get_queryset(self) -> QuerySet[TaskLog]:
        return task_logs(self.request.user)

    def found(self, pk: int) -> TaskLog:
        """Return the log with that number, or answer 404 where it is not the caller's to see."""
        return get_object_or_404(self.get_queryset(), pk=pk)

    def person(self) -> User:
        """Return who is asking; a token always stands for somebody."""
        return cast(User, self.request.user)


class TaskLogList(ListAPIView[TaskLog], _TaskLogs):
    """Step logs, newest first; send a new one."""

    serializer_class = serializers.TaskLogSerializer
    parser_classes = (MultiPartParser,)
    # A large file is read for minutes: no transaction may be open while it arrives.
    reaches_out = True

    @extend_schema(
        request={"multipart/form-data": serializers.TaskLogBody}, responses={202: serializers.StateSerializer}
    )
    def post(self, request: Request) -> Response:
        """Take a step log in. Names and values are replaced as it is read; a worker mines it. Follow `state`."""
        by = self.person()
        actions.require(by)
        check_size(request)
        told = body_as(serializers.TaskLogBody, request)
        file = told["file"]
        log = actions.receive(
            file.chunks(1 << 20),
            by=by,
            name=told["name"],
            file_name=file.name or "",
            size=file.size or 0,
            mapping=mapping_of(told.get("mapping", ""), wanted="an object of column names"),
            time_zone=told.get("time_zone") or "UTC",
            business_unit=told.get("business_unit", ""),
            region=told.get("region", ""),
        )
        return Response(serializers.StateSerializer({"id": log.pk, "state": log.state}).data, status=202)


class TaskLogDetail(_TaskLogs):
    """One step log."""

    @extend_schema(responses=serializers.TaskLogDetailSerializer)
    def get(self, request: Request, pk: int) -> Response:
        """Show one step log: how far it is, and which lines were refused and why."""
        return Response(serializers.TaskLogDetailSerializer(self.found(pk)).data)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: int) -> Response:
        """Remove a step log with all that was found in it."""
        actions.delete(self.found(pk), by=self.person())
        return Response(status=204)


class Routines(ListAPIView[Routine]):
    """What people do again and again, what takes most time first."""

    serializer_class = serializers.RoutineSerializer
    queryset = Routine.objects.none()
    filterset_fields = ("kind", "family")
    cursor_ordering = ("number",)

    def get_queryset(self) -> QuerySet[Routine]:
        log = get_object_or_404(task_logs(self.request.user), pk=self.kwargs["pk"])
        return log.routines.select_related("playbook")


class Links(_TaskLogs):
    """Where the windows of a step log belong."""

    @extend_schema(request=serializers.LinkBody, responses={200: serializers.TaskLogDetailSerializer})
    def post(self, request: Request, pk: int) -> Response:
        """Declare what an application is: an activity of an event log, a connection, or both."""
        log, by = self.found(pk), self.person()
        told = body_as(serializers.LinkBody, request)
        if "connection" in told:
            log = actions.name_system(log, by=by, application=told["application"], connection=told["connection"])
        if "event_log" in told:
            process = get_object_or_404(EventLog.objects.visible_to(by), pk=told["event_log"])
            said = {name: told.get(name, "") for name in ("application", "element", "activity")}
            actions.link(log, by=by, event_log=process, **said)
        return Response(serializers.TaskLogDetailSerializer(log).data)


class Backlog(GenericAPIView[Routine]):
    """What to automate first."""

    serializer_class: Any = serializers.BacklogSerializer
    queryset = Routine.objects.none()
    pagination_class = None

    @extend_schema(responses=serializers.BacklogSerializer)
    def get(self, request: Request) -> Response:
        """Rank what could be automated: value × feasibility, each with its reasons."""
        return Response(serializers.BacklogSerializer({"results": backlog(request.user)}).data)


class Draft(GenericAPIView[Routine]):
    """A playbook of a routine."""

    serializer_class: Any = serializers.DraftedSerializer
    queryset = Routine.objects.none()

    @extend_schema(request=serializers.DraftBody, responses={201: serializers.DraftedSerializer})
    def post(self, request: Request, pk: int) -> Response:
        """Draft a playbook with the steps seen: off, not active. Doing it again returns the same."""
        routine = get_object_or_404(Routine.objects.filter(log__in=task_logs(request.user)), pk=pk)
        kind = body_as(serializers.DraftBody, request)["kind"]
        playbook = actions.draft(routine, by=cast(User, request.user), kind_code=kind)
        return Response(serializers.DraftedSerializer({"playbook": playbook.slug}).data, status=201)
