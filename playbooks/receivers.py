"""News from the floor below: a decision was made, an incident is over, or what it stands on has changed."""

from typing import Any

from django.dispatch import receiver

from approvals.models import ApprovalRequest
from approvals.signals import approval_settled
from incidents.actions import ring
from incidents.models import Incident
from incidents.signals import incident_moved, incident_overtaken
from incidents.states import Status
from playbooks import endings


@receiver(approval_settled, sender=ApprovalRequest)
def decided(sender: type[ApprovalRequest], approval: ApprovalRequest, **_: Any) -> None:
    """Make the incident due in the transaction of the decision, so that the bell cannot be lost."""
    ring(approval.incident_id)


@receiver(incident_overtaken, sender=Incident)
def overtaken(sender: type[Incident], incident: Incident, actor: str, reason: str, **_: Any) -> None:
    """Take back what people are asked about it: they must not say yes to a plan for what is no more."""
    if incident.status == Status.AWAITING_APPROVAL:
        endings.withdraw(incident, actor=actor, reason=reason)


@receiver(incident_moved, sender=Incident)
def over(sender: type[Incident], incident_id: int, status: str, **_: Any) -> None:
    """Set aside what a dismissed incident had begun or asked; where this is lost, the sweep of letters does it."""
    if status == Status.DISMISSED:
        endings.tidy(incident_id)
