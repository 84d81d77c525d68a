"""The admin shows to each person the rows that every other page shows, also where a relation leads to them."""

from typing import Any

import pytest
from django.contrib import admin
from django.test import RequestFactory

from audit.admin import ReadOnlyAdmin, forget
from audit.clock import db_now
from incidents.models import Comment, Escalation, Incident
from tests.factories import make_user

pytestmark = pytest.mark.django_db


class Comments(ReadOnlyAdmin):
    """Comments have no unit of their own."""

    visible_through = "incident"


def make_comment(unit: str) -> Comment:
    now = db_now()
    incident = Incident.objects.create(
        code="late", fingerprint=unit, title="t", entity_type="order", entity_key="1", business_unit=unit, region="DE",
        first_signal_at=now, last_signal_at=now, opened_at=now,
    )  # fmt: skip
    return Comment.objects.create(incident=incident, author="ada", text=unit, created_at=now)


def shown(model_admin: Any, user: Any) -> list[Any]:
    request = RequestFactory().get("/")
    request.user = user
    return list(model_admin.get_queryset(request))


def test_rows_that_hang_on_an_incident_are_shown_with_it():
    mine, _ = make_comment("EU"), make_comment("US")

    assert shown(Comments(Comment, admin.site), make_user("ada", role="operator", units=["EU"])) == [mine]


def test_rows_with_a_unit_of_their_own_are_shown_by_it():
    mine, _ = make_comment("EU").incident, make_comment("US")

    assert shown(ReadOnlyAdmin(Incident, admin.site), make_user("ada", role="operator", units=["EU"])) == [mine]


def test_a_person_without_a_role_is_shown_nothing(nobody, admin):
    make_comment("EU")

    assert shown(Comments(Comment, None), nobody) == []  # type: ignore[arg-type]
    assert len(shown(Comments(Comment, None), admin)) == 1  # type: ignore[arg-type]


def test_rows_that_belong_to_nobody_in_particular_are_shown_to_all_who_may_open_the_page(auditor):
    comment = make_comment("EU")
    escalation = Escalation.objects.create(
        incident=comment.incident, level=1, role="x", justification="x", created_at=db_now()
    )

    assert shown(ReadOnlyAdmin(Escalation, admin.site), auditor) == [escalation]


def test_a_record_offers_neither_adding_nor_changing_nor_deleting(admin):
    request = RequestFactory().get("/")
    request.user = admin
    page = Comments(Comment, None)  # type: ignore[arg-type]

    allowed = [
        page.has_add_permission(request),
        page.has_change_permission(request),
        page.has_delete_permission(request),
    ]

    assert allowed == [False, False, False]


def test_forgetting_a_model_that_is_not_in_the_admin_does_nothing():
    forget(Comment)

    assert not admin.site.is_registered(Comment)
