"""The addresses of the connectors: their page in the console, and hooks under ``/api/v1/``."""

from django.urls import URLPattern, path

from connectors import api as connections_api
from connectors import views
from connectors.inbound.api import api_urls
from connectors.rights import api as rights_api
from connectors.rights import views as rights_views

api_urlpatterns: list[URLPattern] = [*api_urls, *connections_api.api_urls, *rights_api.api_urls]
urlpatterns: list[URLPattern] = [
    path("connections/", views.connections, name="connections"),
    path("connections/stop/", views.stop, name="connections-stop"),
    path("connections/resume/", views.resume, name="connections-resume"),
    path("connections/<slug:slug>/", views.calls, name="calls"),
    path("connections/<slug:slug>/check/", views.check, name="connection-check"),
    path("connections/<slug:slug>/rights/", rights_views.connection_rights, name="connection-rights"),
    path("connection-rights/", rights_views.all_rights, name="all-rights"),
]
