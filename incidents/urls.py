"""Addresses of the backbone: the list of incidents; one incident's page stands above, where plans are known."""

from django.urls import URLPattern, path

from incidents import views

urlpatterns: list[URLPattern] = [
    path("incidents/", views.incidents, name="incidents"),
    path("incidents/export.csv", views.export, name="incidents-export"),
]
