"""The ledger over HTTP: read, never written."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from rest_framework import generics
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from audit.access import has_role
from audit.filters import EntryFilter
from audit.models import Entry
from audit.serializers import EntrySerializer


class ReadsLedger(BasePermission):
    """Operators, compliance and auditors read the ledger."""

    message = "The ledger is for operators, compliance and auditors."

    def has_permission(self, request: Request, view: Any) -> bool:
        return may_read(request)


def may_read(request: Request | HttpRequest) -> bool:
    """Tell whether this person reads any of the ledger at all."""
    return has_role(request.user, "operator", "compliance", "auditor")


class _Entries(generics.GenericAPIView):  # type: ignore[type-arg]
    serializer_class = EntrySerializer
    permission_classes = (ReadsLedger,)
    token_scope = "audit:read"  # noqa: S105 - the name of a scope

    def get_queryset(self) -> QuerySet[Entry]:
        # The document about the API is made without anybody asking.
        if getattr(self, "swagger_fake_view", False):
            return Entry.objects.none()
        return Entry.objects.visible_to(self.request.user)


class EntryList(_Entries, generics.ListAPIView):  # type: ignore[type-arg]
    """The entries that you may see, newest first."""

    filterset_class = EntryFilter
    cursor_ordering = "-n"


class EntryDetail(_Entries, generics.RetrieveAPIView):  # type: ignore[type-arg]
    """One entry of the ledger by its number."""

    lookup_field = "n"
