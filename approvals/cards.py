"""What the decision bar of a page needs to know of a request for approval."""

from typing import Any

from django.urls import reverse

from approvals.models import ApprovalRequest
from approvals.states import State


def card(approval: ApprovalRequest, refused: str) -> dict[str, Any]:
    """Return what is asked, how far it has got and where to post the answer; ``refused`` says why the reader may not.

    ``approvals.access.why_not`` tells whether they may.
    """
    return {
        "id": approval.pk,
        "digest": approval.digest,
        "asked_because": approval.asked_because,
        "required": approval.required,
        "given": approval.given,
        "expires_at": approval.expires_at,
        "can_decide": approval.state == State.PENDING and not refused,
        "why_not": refused,
        "approve_url": reverse("approval_approve", args=[approval.pk]),
        "reject_url": reverse("approval_reject", args=[approval.pk]),
        "delegate_url": reverse("approval_delegate", args=[approval.pk]),
    }
