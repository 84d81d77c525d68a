"""What approvals tell the floor above."""

from django.dispatch import Signal

# Sent inside the transaction of the decision: sender=ApprovalRequest, approval=ApprovalRequest.
approval_settled = Signal()
