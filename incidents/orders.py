"""What incidents can be put in order by, each by an index that ends in the number."""

from django.db.models import DecimalField, F, Func, Index, IntegerField, Q, TextField

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
# ``last_signal_at`` has none: every signal that joins would have to move its incident in all the indexes there are
# (PostgreSQL, at 100,000 incidents: 0.9 to 1.3 ms instead of 0.6 to 0.7 for each, and no update in place any more).
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
# How a clock stands, but for what only the time of day tells: 1 to 3 missed (running, paused, stopped), 4 kept,
# 5 and 6 paused (warned, not warned), 7 and 8 running (the same). Written out, and with bare names of columns, because
# no index fits an expression with a parameter, and SQLite lets none name a table.
MISSED, KEPT, PAUSED, RUNNING = (1, 2, 3), (4,), (5, 6), (7, 8)
STANDING = Func(
    template=(
        "CASE WHEN breached_at IS NOT NULL OR stopped_at > resolve_due OR paused_at > resolve_due THEN "
        "CASE WHEN stopped_at IS NOT NULL THEN 3 WHEN paused_at IS NOT NULL THEN 2 ELSE 1 END "
        "WHEN stopped_at IS NOT NULL THEN 4 WHEN paused_at IS NOT NULL THEN "
        "CASE WHEN warned_at IS NOT NULL THEN 5 ELSE 6 END WHEN warned_at IS NOT NULL THEN 7 ELSE 8 END"
    ),
    output_field=IntegerField(),
)
_UNNOTICED = Q(stopped_at__isnull=True, paused_at__isnull=True, breached_at__isnull=True)
# On the clocks: the next that is due, whosever it is; those that stand alike; and what no sweep has noticed yet.
CLOCKS = (
    Index(fields=["resolve_due"], name="sla_running", condition=Q(stopped_at__isnull=True)),
    Index(fields=["resolve_due", "incident"], name="sla_by_due"),
    Index(STANDING, "incident", name="sla_by_standing"),
    Index(STANDING, "resolve_due", "incident", name="sla_due_by_standing"),
    Index(
        fields=["acknowledge_due"], name="sla_to_acknowledge", condition=_UNNOTICED & Q(acknowledged_at__isnull=True)
    ),
    Index(fields=["warn_at"], name="sla_to_warn", condition=_UNNOTICED & Q(warned_at__isnull=True)),
)
# On signals and evidence: what came of a delivery, and what rests on a call.
BY_DELIVERY = Index(fields=["delivery_id"], name="signal_by_delivery", condition=Q(delivery_id__isnull=False))
BY_CALL = Index(fields=["call_id"], name="evidence_by_call", condition=Q(call_id__isnull=False))
# On the escalations: those that nobody of a role has seen, newest first.
UNSEEN = Index(fields=["role", "-created_at"], name="told_unseen", condition=Q(acknowledged_at__isnull=True))
