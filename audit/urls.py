"""Addresses of the ground floor."""

from django.urls import path

from audit import api, views

api_urlpatterns = [
    path("audit/entries/", api.EntryList.as_view(), name="api-audit-entries"),
    path("audit/entries/<int:n>/", api.EntryDetail.as_view(), name="api-audit-entry"),
]
urlpatterns = [
    path("audit/", views.entries, name="audit"),
    path("audit/verify/", views.verify, name="audit-verify"),
    path("audit/<int:n>/", views.entry, name="audit-entry"),
    path("login/", views.LoginView.as_view(), name="login"),
    path("logout/", views.LogoutView.as_view(), name="logout"),
    # Before the admin's own: there is one way in.
    path("admin/login/", views.admin_login),
]
