"""Links that stand in mails: whoever opens them, a mail scanner or the approver, nothing is decided by looking."""

from typing import Any

import pytest
from django.urls import reverse

from approvals.models import ApprovalRequest, Decision
from audit.models import Entry
from tests.approvals.factories import make_request

pytestmark = pytest.mark.django_db
DECIDING = ("approval_decide", "approval_approve", "approval_reject", "approval_delegate")


def as_it_was(asked: ApprovalRequest, entries: int) -> bool:
    fresh = ApprovalRequest.objects.get(pk=asked.pk)
    same = all(getattr(fresh, field.attname) == getattr(asked, field.attname) for field in asked._meta.concrete_fields)
    return same and not Decision.objects.exists() and Entry.objects.count() == entries


@pytest.mark.parametrize("method", ["get", "head"])
def test_a_scanner_that_opens_the_link_sees_the_sign_in_and_changes_nothing(client: Any, method: str) -> None:
    asked = ApprovalRequest.objects.get(pk=make_request().pk)
    entries = Entry.objects.count()

    answer = getattr(client, method)(reverse("approval", args=[asked.pk]))

    assert answer.status_code == 302
    assert reverse("approval", args=[asked.pk]) in answer.url
    assert as_it_was(asked, entries)


def test_an_approver_who_opens_the_link_has_decided_nothing(client: Any, approver: Any) -> None:
    asked = ApprovalRequest.objects.get(pk=make_request().pk)
    client.force_login(approver)
    entries = Entry.objects.count()

    for query in ({}, {"verdict": "approve"}, {"verdict": "approve", "digest": asked.digest, "decide": "1"}):
        assert client.get(reverse("approval", args=[asked.pk]), query).status_code == 200

    assert as_it_was(asked, entries)


@pytest.mark.parametrize("page", DECIDING)
@pytest.mark.parametrize("method", ["get", "head", "options"])
def test_no_address_that_decides_can_be_opened(client: Any, approver: Any, page: str, method: str) -> None:
    asked = ApprovalRequest.objects.get(pk=make_request().pk)
    client.force_login(approver)
    entries = Entry.objects.count()

    answer = getattr(client, method)(reverse(page, args=[asked.pk]) + f"?digest={asked.digest}&verdict=approve")

    assert answer.status_code == 405
    assert as_it_was(asked, entries)
