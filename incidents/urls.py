"""Addresses of the backbone: the list of incidents; one incident's page stands above, where plans are known."""

from django.urls import URLPattern, path

from incidents import api, entities_api, entity_views, signals_api, views

api_urlpatterns: list[URLPattern] = [
    path("signals/", signals_api.Signals.as_view(), name="api-signals"),
    path("signals/<int:pk>/", signals_api.SignalDetail.as_view(), name="api-signal"),
    path("incidents/", api.IncidentList.as_view(), name="api-incidents"),
    path("incidents/<int:pk>/", api.IncidentDetail.as_view(), name="api-incident"),
    path("incidents/<int:pk>/evidence/", api.IncidentEvidence.as_view(), name="api-incident-evidence"),
    path("incidents/<int:pk>/timeline/", api.IncidentTimeline.as_view(), name="api-incident-timeline"),
    path("incidents/<int:pk>/history/", api.IncidentHistory.as_view(), name="api-incident-history"),
    path("incidents/<int:pk>/assign/", api.Assign.as_view(), name="api-incident-assign"),
    path("incidents/<int:pk>/acknowledge/", api.Acknowledge.as_view(), name="api-incident-acknowledge"),
    path("incidents/<int:pk>/hold/", api.Hold.as_view(), name="api-incident-hold"),
    path("incidents/<int:pk>/release/", api.Release.as_view(), name="api-incident-release"),
    path("incidents/<int:pk>/dismiss/", api.Dismiss.as_view(), name="api-incident-dismiss"),
    path("incidents/<int:pk>/reopen/", api.Reopen.as_view(), name="api-incident-reopen"),
    path("incidents/<int:pk>/correct/", api.Correct.as_view(), name="api-incident-correct"),
    path("incidents/<int:pk>/merge/", api.MergeInto.as_view(), name="api-incident-merge"),
    path("incidents/<int:pk>/unmerge/", api.Unmerge.as_view(), name="api-incident-unmerge"),
    path("incidents/<int:pk>/comment/", api.CommentOn.as_view(), name="api-incident-comment"),
    path("entities/", entities_api.EntityList.as_view(), name="api-entities"),
    path("entities/<int:pk>/", entities_api.EntityDetail.as_view(), name="api-entity"),
    path("entities/<int:pk>/confirm-alias/", entities_api.ConfirmAlias.as_view(), name="api-entity-confirm-alias"),
    path("entities/<int:pk>/reject-alias/", entities_api.RejectAlias.as_view(), name="api-entity-reject-alias"),
    path("entities/<int:pk>/revert-alias/", entities_api.RevertAlias.as_view(), name="api-entity-revert-alias"),
]
urlpatterns: list[URLPattern] = [
    path("incidents/", views.incidents, name="incidents"),
    path("incidents/export.csv", views.export, name="incidents-export"),
    path("incidents/<int:pk>/aliases/<int:alias>/<slug:verb>/", entity_views.act, name="alias-act"),
]
