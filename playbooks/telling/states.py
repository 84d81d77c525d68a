"""What may be told, and what becomes of each message, as data."""

from django.db.models import TextChoices


class Event(TextChoices):
    """What a subscription can ask for. Each is a verb of the ledger, so that nothing is told that is not entered."""

    OPENED = "incident.opened", "Incident opened"
    NEEDS_OPERATOR = "incident.needs_operator", "Needs a person"
    RESOLVED = "incident.resolved", "Resolved"
    ROLLED_BACK = "incident.rolled_back", "Rolled back"
    DISMISSED = "incident.dismissed", "Dismissed"
    COMMENTED = "incident.commented", "Comment written"
    SLA_WARNED = "sla.warned", "Service level at risk"
    SLA_BREACHED = "sla.breached", "Service level missed"
    SLA_ESCALATED = "sla.escalated", "Escalated"
    ASKED = "approval.asked", "Approval asked"
    DECIDED = "approval.decided", "A decision was given"
    APPROVED = "approval.approved", "Approved"
    REJECTED = "approval.rejected", "Rejected"
    EXPIRED = "approval.expired", "Approval ran out"
    VERIFIED = "execution.verified", "Carried out and read back"
    FAILED = "execution.failed", "Execution failed"
    CANCELLED = "execution.cancelled", "Execution cancelled"
    DEAD_LETTER = "dead_letter.put", "Set aside as a dead letter"

    @property
    def subject(self) -> str:
        """Return what it is about: incident, sla, approval, execution or dead_letter."""
        return self.value.partition(".")[0]


class OutState(TextChoices):
    """What has become of one message to one subscription."""

    PENDING = "pending", "Waiting"  # also while it is being sent, or held up
    SENT = "sent", "Sent"
    DEAD = "dead", "Dead"  # given up: a person sends it again or sets it aside
    SKIPPED = "skipped", "Skipped"  # never to be sent, with the reason


O = OutState  # noqa: E741 - as short as in the other tables of states
NEXT: dict[OutState, frozenset[OutState]] = {
    O.PENDING: frozenset({O.SENT, O.DEAD, O.SKIPPED}),
    O.DEAD: frozenset({O.PENDING, O.SKIPPED}),
    O.SENT: frozenset(),
    O.SKIPPED: frozenset(),
}
