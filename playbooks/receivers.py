"""News from the floor below: a decision was made, so its incident has something to do."""

from typing import Any

from django.dispatch import receiver

from approvals.models import ApprovalRequest
from approvals.signals import approval_settled
from incidents.actions import ring


@receiver(approval_settled, sender=ApprovalRequest)
def decided(sender: type[ApprovalRequest], approval: ApprovalRequest, **_: Any) -> None:
    """Make the incident due in the transaction of the decision, so that the bell cannot be lost."""
    ring(approval.incident_id)
