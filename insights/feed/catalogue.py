"""The entity sets that stand in the database: what each column is, and which rows a person may see."""

from typing import Any, TypeVar

from django.db.models import Case, CharField, Count, Exists, F, Model, OuterRef, Q, QuerySet, Subquery, Value, When
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Coalesce, Greatest, TruncDate

from approvals.seats import visible_to as visible_approvals
from audit.access import has_role
from connectors.models import Call
from connectors.views import READERS
from incidents.models import Evidence, Incident, RootCause, Signal, SlaClock
from insights.feed.computed import PROCESS_EDGES, VARIANTS
from insights.feed.edm import BOOLEAN, DATE, DECIMAL, INT, STRING, TIME
from insights.feed.problems import FeedError
from insights.feed.scores import KPIS
from insights.feed.sets import EntitySet
from insights.feed.sets import Property as Column
from insights.models import EventLog
from playbooks import access
from playbooks.models import Step, Verification

Rows = TypeVar("Rows", bound=Model)
_ID = Column("id", INT)
_INCIDENT = Column("incident", INT, "The number of the incident.", "incident_id")
_MONEY = "In the currency of the column beside it."


def _of_visible(rows: "QuerySet[Rows]", user: Any, path: str = "incident") -> "QuerySet[Rows]":
    return rows.filter(Exists(Incident.objects.visible_to(user).filter(pk=OuterRef(path))))


def _signals(user: Any) -> "QuerySet[Any, Any]":
    days = Signal.objects.visible_to(user).annotate(day=TruncDate("received_at"))
    groups = days.values("day", "channel", "code", "business_unit", "region").order_by()
    return groups.annotate(signals=Count("pk"), joined=Count("pk", filter=Q(merged=True)))


def _calls(user: Any) -> "QuerySet[Call]":
    if not has_role(user, *READERS):
        return Call.objects.none()
    seen = Exists(Incident.objects.visible_to(user).filter(pk=OuterRef("incident_id")))
    return Call.objects.filter(Q(incident_id=None) | seen)


def _latest(rows: "QuerySet[Any]", order: str, column: str) -> Subquery:
    return Subquery(rows.order_by(order).values(column)[:1])


_CHANGED = Greatest(
    Coalesce(_latest(Incident.history.filter(id=OuterRef("pk")), "-history_id", "history_date"), F("opened_at")),
    Coalesce(_latest(Signal.objects.filter(incident=OuterRef("pk")), "-pk", "received_at"), F("opened_at")),
)
# Another call's arguments may have a member of that name: it is not told.
_MODEL = Case(
    When(direction="model", then=Coalesce(KeyTextTransform("model", "arguments"), Value(""))),
    default=Value(""),
    output_field=CharField(),
)

INCIDENTS = EntitySet(
    "Incidents",
    "Incident",
    "One problem each, with its state, its money and its times.",
    ("id",),
    (
        _ID,
        Column("code", STRING, "The code of the kind of exception."),
        Column("kind", STRING, "What that kind is called.", "kind__label", nullable=True),
        Column("title", STRING),
        Column("status", STRING),
        Column("severity", STRING),
        Column("domain", STRING),
        Column("entity_type", STRING),
        Column("entity_key", STRING, "The business record that it is about."),
        Column("business_unit", STRING),
        Column("region", STRING),
        Column("queue", STRING, "", "queue__slug", nullable=True),
        Column("assignee", STRING, "", "assignee__username", nullable=True),
        Column("amount", DECIMAL, _MONEY, nullable=True),
        Column("revenue_at_risk", DECIMAL, _MONEY, nullable=True),
        Column("currency", STRING),
        Column("signals_count", INT),
        Column(
            "root_cause",
            STRING,
            "The newest established cause; empty: none was found.",
            _latest(RootCause.objects.filter(incident=OuterRef("pk")), "-round", "cause"),
            nullable=True,
        ),
        Column("merged_into", INT, "", "merged_into_id", nullable=True),
        Column("first_signal_at", TIME),
        Column("last_signal_at", TIME),
        Column("opened_at", TIME),
        Column("resolved_at", TIME, nullable=True),
        Column("closed_at", TIME, nullable=True),
        Column("updated_at", TIME, "When a column or a signal of it changed last: for incremental refresh.", _CHANGED),
    ),
    rows=Incident.objects.visible_to,
)
SIGNALS = EntitySet(
    "Signals",
    "SignalCount",
    "How many signals came, by day (UTC), channel, code, unit and region.",
    ("day", "channel", "code", "business_unit", "region"),
    (
        Column("day", DATE),
        Column("channel", STRING),
        Column("code", STRING),
        Column("business_unit", STRING),
        Column("region", STRING),
        Column("signals", INT),
        Column("joined", INT, "Those that joined an incident that was there already."),
    ),
    rows=_signals,
    grouped=True,
)
EVIDENCE = EntitySet(
    "Evidence",
    "EvidenceItem",
    "Which record was read when, without what stands in it.",
    ("id",),
    (
        _ID,
        _INCIDENT,
        Column("form", STRING, "signal or record"),
        Column("name", STRING),
        Column("system", STRING),
        Column("entity", STRING),
        Column("record_id", STRING),
        Column("version", STRING),
        Column("captured_at", TIME),
        Column("digest", STRING, "SHA-256 of the record as it was read."),
        Column("round", INT),
    ),
    rows=lambda user: _of_visible(Evidence.objects.all(), user),
)
PLANS = EntitySet(
    "Plans",
    "Plan",
    "What was proposed for an incident, by which playbook.",
    ("id",),
    (
        _ID,
        _INCIDENT,
        Column("number", INT),
        Column("playbook", STRING, "", "playbook_version__playbook__slug"),
        Column("playbook_version", INT, "", "playbook_version__number"),
        Column("state", STRING),
        Column("risk_tier", STRING),
        Column("financial", BOOLEAN),
        Column("amount", DECIMAL, _MONEY, nullable=True),
        Column("currency", STRING),
        Column("author", STRING),
        Column("autonomous", BOOLEAN),
        Column("digest", STRING),
        Column("created_at", TIME),
    ),
    rows=access.plans,
)
STEPS = EntitySet(
    "Steps",
    "Step",
    "The changes of each plan, in order, without their values.",
    ("id",),
    (
        _ID,
        Column("plan", INT, "", "plan_id"),
        Column("incident", INT, "", "plan__incident_id"),
        Column("number", INT),
        Column("name", STRING),
        Column("title", STRING),
        Column("connection", STRING),
        Column("operation", STRING),
        Column("reversible", STRING),
        Column("risk", STRING),
        Column("financial", BOOLEAN),
    ),
    rows=lambda user: _of_visible(Step.objects.all(), user, "plan__incident"),
)
APPROVALS = EntitySet(
    "Approvals",
    "Approval",
    "What people were asked, and what became of it.",
    ("id",),
    (
        _ID,
        Column("incident", INT, "", "incident_id"),
        Column("subject", STRING, "plan or rollback"),
        Column("subject_id", INT),
        Column("state", STRING),
        Column("risk_tier", STRING),
        Column("domain", STRING),
        Column("amount", DECIMAL, _MONEY, nullable=True),
        Column("currency", STRING),
        Column("business_unit", STRING),
        Column("region", STRING),
        Column("required", INT),
        Column("given", INT),
        Column("requested_by", STRING),
        Column("created_at", TIME),
        Column("expires_at", TIME),
        Column("settled_at", TIME, nullable=True),
    ),
    rows=visible_approvals,
)
EXECUTIONS = EntitySet(
    "Executions",
    "Execution",
    "Each run of a plan, forward or backward.",
    ("id",),
    (
        _ID,
        _INCIDENT,
        Column("plan", INT, "", "plan_id"),
        Column("direction", STRING),
        Column("state", STRING),
        Column("requested_by", STRING),
        Column("first_attempt_verified", BOOLEAN, nullable=True),
        Column("created_at", TIME),
        Column("finished_at", TIME, nullable=True),
    ),
    rows=access.executions,
)
VERIFICATIONS = EntitySet(
    "Verifications",
    "Verification",
    "Each fresh read of the source after a step.",
    ("id",),
    (
        _ID,
        Column("execution", INT, "", "step_run__execution_id"),
        Column("incident", INT, "", "step_run__execution__incident_id"),
        Column("step", INT, "The number of the step in its execution.", "step_run__number"),
        Column("connection", STRING, "", "step_run__connection"),
        Column("operation", STRING, "", "step_run__operation"),
        Column("matched", BOOLEAN),
        Column("surprises", INT),
        Column("read_at", TIME),
    ),
    rows=lambda user: _of_visible(Verification.objects.all(), user, "step_run__execution__incident"),
)
DEAD_LETTERS = EntitySet(
    "DeadLetters",
    "DeadLetter",
    "What could not go on by itself.",
    ("id",),
    (
        _ID,
        _INCIDENT,
        Column("state", STRING),
        Column("cause", STRING),
        Column("replays", INT),
        Column("created_at", TIME),
        Column("escalated_at", TIME, nullable=True),
        Column("closed_at", TIME, nullable=True),
        Column("closed_by", STRING),
    ),
    rows=access.dead_letters,
)
CALLS = EntitySet(
    "Calls",
    "Call",
    "Each use of a connection: what, when, and what came of it, without what was said.",
    ("id",),
    (
        _ID,
        Column("connection", STRING, "", "connection__slug"),
        Column("incident", INT, "", "incident_id", nullable=True),
        Column("operation", STRING),
        Column("direction", STRING),
        Column("model", STRING, "The model that was asked; empty for other calls.", _MODEL),
        Column("actor", STRING),
        Column("outcome", STRING),
        Column("status", INT, nullable=True),
        Column("requests", INT),
        Column("tokens", INT),
        Column("started_at", TIME),
        Column("finished_at", TIME, nullable=True),
    ),
    rows=_calls,
)
CLOCKS = EntitySet(
    "Clocks",
    "Clock",
    "The service level of each incident: what was due when, and what was missed.",
    ("incident",),
    (
        Column("incident", INT, "", "incident_id"),
        Column("policy", STRING, "", "policy__slug"),
        Column("contractual", BOOLEAN, "", "policy__contractual"),
        Column("started_at", TIME),
        Column("acknowledge_due", TIME, nullable=True),
        Column("acknowledged_at", TIME, nullable=True),
        Column("resolve_due", TIME, nullable=True),
        Column("stopped_at", TIME, nullable=True),
        Column("paused_at", TIME, nullable=True),
        Column("breached_at", TIME, nullable=True),
        Column("escalation_level", INT),
    ),
    rows=lambda user: _of_visible(SlaClock.objects.all(), user),
)
EVENT_LOGS = EntitySet(
    "EventLogs",
    "EventLog",
    "The event logs that processes are mined from.",
    ("id",),
    (
        _ID,
        Column("name", STRING),
        Column("process", STRING),
        Column("object_type", STRING),
        Column("business_unit", STRING),
        Column("region", STRING),
        Column("origin", STRING),
        Column("format", STRING),
        Column("state", STRING),
        Column("cases", INT),
        Column("events", INT),
        Column("activities", INT),
        Column("variants", INT),
        Column("rejected", INT, "", "rejected_count"),
        Column("first_at", TIME, nullable=True),
        Column("last_at", TIME, nullable=True),
        Column("created_at", TIME),
        Column("ready_at", TIME, nullable=True),
    ),
    rows=EventLog.objects.visible_to,
)
SETS: tuple[EntitySet, ...] = (
    INCIDENTS,
    SIGNALS,
    EVIDENCE,
    PLANS,
    STEPS,
    APPROVALS,
    EXECUTIONS,
    VERIFICATIONS,
    DEAD_LETTERS,
    CALLS,
    CLOCKS,
    KPIS,
    EVENT_LOGS,
    PROCESS_EDGES,
    VARIANTS,
)
_BY_NAME = {one.name: one for one in SETS}


def find_set(name: str) -> EntitySet:
    """Return the entity set of that name. Raises ``FeedError`` where there is none."""
    found = _BY_NAME.get(name)
    if found is None:
        raise FeedError(f"There is no entity set “{name}”. See the service document for what there is.", status=404)
    return found
