"""The states of a request for approval, as data."""

from django.db.models import TextChoices


class State(TextChoices):
    """What has become of a request."""

    PENDING = "pending", "Pending"
    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"
    EXPIRED = "expired", "Expired"
    VOID = "void", "Void"


NEXT: dict[State, frozenset[State]] = {
    State.PENDING: frozenset({State.APPROVED, State.REJECTED, State.EXPIRED, State.VOID}),
    # Drift after a yes takes the yes back; an effect is only sent while the request stands approved.
    # What was approved and not used in time is expired, so that no list shows a yes that is none any more.
    State.APPROVED: frozenset({State.VOID, State.EXPIRED}),
    State.REJECTED: frozenset(),
    State.EXPIRED: frozenset(),
    State.VOID: frozenset(),
}
