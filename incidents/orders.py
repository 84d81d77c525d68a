"""What incidents can be put in order by, each by an index that ends in the number."""

from django.db.models import DecimalField, F, Func, Index, Q, TextField

# A missing amount counts as less than nothing at stake. Written out: no index fits an expression with a parameter.
AT_STAKE = Func(
    F("revenue_at_risk"),
    template="COALESCE(%(expressions)s, -1)",
    output_field=DecimalField(max_digits=18, decimal_places=2),
)
# The same as the databases see it: SQLite is told twice that a sum is a number, unless it hears of a text.
_INDEXED = Func(
    F("revenue_at_risk"), template="CAST(COALESCE(%(expressions)s, -1) AS NUMERIC)", output_field=TextField()
)
# ``last_signal_at`` has none: every signal that joins would have to move its incident in all the indexes there are.
INDEXES = (
    Index(fields=["opened_at", "id"], name="incident_by_opening"),
    Index(fields=["severity_rank", "-id"], name="incident_by_severity"),
    Index(_INDEXED, "id", name="incident_by_stake"),
    # What waits for whoever takes it: as many as there may be, the most urgent are at its beginning.
    Index(
        fields=["severity_rank", "-id"],
        name="incident_for_anybody",
        condition=Q(status="needs_operator", assignee__isnull=True),
    ),
)
# On the clocks: the next that is due, whosever it is.
BY_DUE = Index(fields=["resolve_due", "incident"], name="sla_by_due")
# On the escalations: those that nobody of a role has seen, newest first.
UNSEEN = Index(fields=["role", "-created_at"], name="told_unseen", condition=Q(acknowledged_at__isnull=True))
