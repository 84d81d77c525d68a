"""Addresses of the mending engine."""

from django.urls import URLPattern, path

from playbooks import api
from playbooks.guardrails_api import GuardrailCheck
from playbooks.views import acts, inbox, incident, letters, library, messages

api_urlpatterns: list[URLPattern] = [
    path("plans/<int:pk>/", api.PlanDetail.as_view(), name="api-plan"),
    path("plans/<int:pk>/edit/", api.PlanEdit.as_view(), name="api-plan-edit"),
    path("incidents/<int:pk>/replan/", api.Replan.as_view(), name="api-incident-replan"),
    path("incidents/<int:pk>/leave-hold-out/", api.LeaveHoldOut.as_view(), name="api-incident-leave-hold-out"),
    path("executions/<int:pk>/", api.ExecutionDetail.as_view(), name="api-execution"),
    path("executions/<int:pk>/rollback/", api.Rollback.as_view(), name="api-execution-rollback"),
    path("executions/<int:pk>/cancel/", api.Cancel.as_view(), name="api-execution-cancel"),
    path("dead-letters/", api.DeadLetterList.as_view(), name="api-dead-letters"),
    path("dead-letters/<int:pk>/replay/", api.Replay.as_view(), name="api-dead-letter-replay"),
    path("dead-letters/<int:pk>/resolve/", api.Resolve.as_view(), name="api-dead-letter-resolve"),
    path("playbooks/", api.PlaybookList.as_view(), name="api-playbooks"),
    path("guardrails/check/", GuardrailCheck.as_view(), name="api-guardrail-check"),
]
urlpatterns: list[URLPattern] = [
    path("", inbox.inbox, name="inbox"),
    path("inbox/live/", inbox.inbox_live, name="inbox-live"),
    path("incidents/<int:pk>/", incident.incident_page, name="incident"),
    path("incidents/<int:pk>/live/", incident.incident_live, name="incident-live"),
    path("incidents/<int:pk>/signals/", incident.signals_page, name="incident-signals"),
    path("incidents/<int:pk>/history/", incident.history_page, name="incident-history"),
    path("incidents/<int:pk>/evidence/<int:evidence>/", incident.evidence_page, name="incident-evidence"),
    path("incidents/<int:pk>/do/<slug:verb>/", acts.act, name="incident-act"),
    path("plans/<int:pk>/edit/", acts.edit_plan, name="plan-edit"),
    path("executions/<int:pk>/rollback/", acts.roll_back, name="execution-rollback"),
    path("executions/<int:pk>/cancel/", acts.cancel, name="execution-cancel"),
    path("dead-letters/", letters.dead_letters, name="dead-letters"),
    path("dead-letters/group/", letters.group, name="dead-letter-group"),
    path("dead-letters/<int:pk>/replay/", letters.replay, name="dead-letter-replay"),
    path("dead-letters/<int:pk>/resolve/", letters.resolve, name="dead-letter-resolve"),
    path("dead-letters/messages/<int:pk>/send-again/", messages.send_again, name="outgoing-send-again"),
    path("dead-letters/messages/<int:pk>/set-aside/", messages.set_aside, name="outgoing-set-aside"),
    path("playbooks/", library.playbooks, name="playbooks"),
    path("playbooks/<slug:slug>/", library.playbook, name="playbook"),
    path("policies/<slug:slug>/", library.policy, name="policy"),
]
