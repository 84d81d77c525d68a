"""Addresses of the OData feed."""

from django.urls import URLPattern, path, re_path

from insights.feed.views import Metadata, Resource, ServiceDocument

urlpatterns: list[URLPattern] = [
    path("odata/v4/", ServiceDocument.as_view(), name="odata"),
    path("odata/v4/$metadata", Metadata.as_view(), name="odata-metadata"),
    re_path(r"^odata/v4/(?P<resource>.{1,2000})$", Resource.as_view(), name="odata-resource"),
]
