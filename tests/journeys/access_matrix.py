"""Who may do what at which address: every route and method of Goldseam, as one table.

A line says which roles are let through within their own unit. Everybody else is refused there (403 or 404), people of
another unit find nothing behind an id (404), and who is not signed in is asked to. What a role reads comes from
``audit.roles``; what it does is written out here, so that neither table can drift without the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from audit.roles import ROLES, VIEW


def readers(family: str) -> frozenset[str]:
    """Return the roles that may look at a family of models."""
    return frozenset(name for name, role in ROLES.items() if VIEW in role.rights.get(family, ()))


# Whoever can sign in, even without a role: the page itself, with nothing of any unit on it.
SIGNED_IN = frozenset({*ROLES, ""})
WORLD = frozenset({*SIGNED_IN, "anonymous"})
INCIDENTS, PLANS, APPROVALS, INSIGHTS = (readers(name) for name in ("incidents", "plans", "approvals", "insights"))
TRAFFIC, LEDGER = readers("traffic"), readers("ledger")
WORKING = frozenset({"operator", "automation_admin"})
TALKING = WORKING | {"approver", "compliance"}
SENDING = WORKING | {"integration"}
OBSERVING = WORKING | {"compliance", "auditor"}  # how people work at their screens is not for everybody
APPROVER = frozenset({"approver"})  # the role that the request of the world asks for
VERIFYING = frozenset({"compliance", "auditor"})
NOBODY: frozenset[str] = frozenset()


Lines = tuple[tuple[frozenset[str], str], ...]


@dataclass(frozen=True)
class Row:
    """One method of one route: who is let through, and whether an id in it belongs to a unit."""

    method: str
    route: str
    who: frozenset[str]
    bound: bool

    def __str__(self) -> str:
        return f"{self.method} {self.route}"


# Roles, and the lines that they are let through at: "GET,POST route".
_BOUND: Lines = (
    (
        INCIDENTS,
        """
        GET incidents/<int:pk>/
        GET incidents/<int:pk>/live/
        GET incidents/<int:pk>/signals/
        GET incidents/<int:pk>/history/
        GET incidents/<int:pk>/evidence/<int:evidence>/
        GET api/v1/signals/<int:pk>/
        GET api/v1/incidents/<int:pk>/
        GET api/v1/incidents/<int:pk>/evidence/
        GET api/v1/incidents/<int:pk>/timeline/
        GET api/v1/incidents/<int:pk>/history/
        GET api/v1/entities/<int:pk>/
    """,
    ),
    (
        TALKING,
        """
        POST incidents/<int:pk>/do/<slug:verb>/
        POST api/v1/incidents/<int:pk>/comment/
        POST api/v1/incidents/<int:pk>/acknowledge/
    """,
    ),
    (
        WORKING,
        """
        POST incidents/<int:pk>/aliases/<int:alias>/<slug:verb>/
        POST executions/<int:pk>/rollback/
        POST executions/<int:pk>/cancel/
        POST dead-letters/<int:pk>/replay/
        POST dead-letters/<int:pk>/resolve/
        POST dead-letters/messages/<int:pk>/send-again/
        POST dead-letters/messages/<int:pk>/set-aside/
        POST insights/detectors/<int:pk>/rehearse/
        POST insights/detectors/<int:pk>/enable/
        POST insights/detectors/<int:pk>/disable/
        POST insights/detectors/<int:pk>/preview/
        POST insights/findings/<int:pk>/<slug:verb>/
        POST insights/logs/<int:pk>/model/
        POST insights/logs/<int:pk>/delete/
        POST insights/logs/<int:pk>/records/
        POST insights/tasks/<int:pk>/delete/
        POST insights/tasks/<int:pk>/link/
        POST insights/tasks/routines/<int:pk>/draft/
        POST insights/tasks/trackers/<int:pk>/match/
        POST insights/tasks/trackers/lines/<int:pk>/raise/
        POST api/v1/incidents/<int:pk>/assign/
        POST api/v1/incidents/<int:pk>/hold/
        POST api/v1/incidents/<int:pk>/release/
        POST api/v1/incidents/<int:pk>/dismiss/
        POST api/v1/incidents/<int:pk>/reopen/
        POST api/v1/incidents/<int:pk>/correct/
        POST api/v1/incidents/<int:pk>/merge/
        POST api/v1/incidents/<int:pk>/unmerge/
        POST api/v1/incidents/<int:pk>/replan/
        POST api/v1/incidents/<int:pk>/leave-hold-out/
        POST api/v1/entities/<int:pk>/confirm-alias/
        POST api/v1/entities/<int:pk>/reject-alias/
        POST api/v1/entities/<int:pk>/revert-alias/
        POST api/v1/plans/<int:pk>/edit/
        POST api/v1/executions/<int:pk>/rollback/
        POST api/v1/executions/<int:pk>/cancel/
        POST api/v1/dead-letters/<int:pk>/replay/
        POST api/v1/dead-letters/<int:pk>/resolve/
        PUT api/v1/detectors/<int:pk>/
        POST api/v1/detectors/<int:pk>/rehearse/
        POST api/v1/detectors/<int:pk>/enable/
        POST api/v1/detectors/<int:pk>/disable/
        DELETE api/v1/event-logs/<int:pk>/
        POST api/v1/event-logs/<int:pk>/mapping/
        POST api/v1/event-logs/<int:pk>/reference-models/
        PUT api/v1/event-logs/<int:pk>/records/
        DELETE api/v1/task-logs/<int:pk>/
        POST api/v1/task-logs/<int:pk>/links/
        POST api/v1/backlog/<int:pk>/draft/
        POST api/v1/trackers/<int:pk>/match/
        POST api/v1/trackers/<int:pk>/lines/<int:line>/raise/
    """,
    ),
    (
        PLANS,
        """
        GET,POST plans/<int:pk>/edit/
        GET api/v1/plans/<int:pk>/
        GET api/v1/executions/<int:pk>/
        GET approvals/<int:pk>/
        GET api/v1/approvals/<int:pk>/
        GET insights/detectors/<int:pk>/
        GET,POST insights/detectors/<int:pk>/edit/
        GET,POST insights/incidents/new/
        GET insights/outcomes/<int:pk>/
        GET insights/logs/<int:pk>/
        GET insights/logs/<int:pk>/live/
        GET,POST insights/logs/<int:pk>/mapping/
        GET insights/logs/<int:pk>/variants/
        GET insights/logs/<int:pk>/times/
        GET insights/logs/<int:pk>/bottlenecks/
        GET insights/logs/<int:pk>/rework/
        GET insights/logs/<int:pk>/conformance/
        GET insights/logs/<int:pk>/duties/
        GET insights/logs/<int:pk>/causes/
        GET insights/logs/<int:pk>/hot-spots/
        GET insights/logs/<int:pk>/leakage/
        GET insights/logs/<int:pk>/cases/
        GET insights/logs/<int:pk>/case/
        GET insights/logs/<int:pk>/compare/
        GET insights/logs/<int:pk>/filter/
        GET insights/logs/<int:pk>/facts/
        GET insights/logs/<int:pk>/rejected.csv
        GET api/v1/detectors/<int:pk>/
        GET api/v1/event-logs/<int:pk>/
        GET api/v1/event-logs/<int:pk>/preview/
        GET api/v1/event-logs/<int:pk>/records/
        GET api/v1/event-logs/<int:pk>/process-map/
        GET api/v1/event-logs/<int:pk>/variants/
        GET api/v1/event-logs/<int:pk>/throughput/
        GET api/v1/event-logs/<int:pk>/bottlenecks/
        GET api/v1/event-logs/<int:pk>/rework/
        GET api/v1/event-logs/<int:pk>/leakage/
        GET api/v1/event-logs/<int:pk>/outcomes/
        GET api/v1/event-logs/<int:pk>/conformance/
        GET api/v1/event-logs/<int:pk>/reference-models/
        GET api/v1/event-logs/<int:pk>/causes/
        GET api/v1/event-logs/<int:pk>/hotspots/
        GET api/v1/event-logs/<int:pk>/duties/
        GET api/v1/event-logs/<int:pk>/compare/
        GET api/v1/event-logs/<int:pk>/cases/
        GET api/v1/event-logs/<int:pk>/cases/<path:case>/
    """,
    ),
    (
        APPROVER,
        """
        POST approvals/<int:pk>/decide/
        POST approvals/<int:pk>/approve/
        POST approvals/<int:pk>/reject/
        POST approvals/<int:pk>/delegate/
        POST api/v1/approvals/<int:pk>/approve/
        POST api/v1/approvals/<int:pk>/reject/
        POST api/v1/approvals/<int:pk>/delegate/
    """,
    ),
    (
        OBSERVING,
        """
        GET insights/tasks/<int:pk>/
        GET insights/tasks/<int:pk>/live/
        GET insights/tasks/trackers/<int:pk>/
        GET api/v1/task-logs/<int:pk>/
        GET api/v1/task-logs/<int:pk>/routines/
        GET api/v1/trackers/<int:pk>/
        GET api/v1/trackers/<int:pk>/lines/
    """,
    ),
    (
        LEDGER,
        """
        GET audit/<int:n>/
        GET api/v1/audit/entries/<int:n>/
    """,
    ),
)
# Addresses without an object of a unit. Lists are here: whoever asks gets their own rows, another unit's never.
_FREE: Lines = (
    (
        WORLD,
        """
        GET,POST,PUT login/
        GET api/schema/
        GET api/docs/
        GET health/live
        GET health/ready
        GET,POST logout/
    """,
    ),
    (
        SIGNED_IN,
        """
        GET /
        GET inbox/live/
        GET incidents/
        GET incidents/export.csv
        GET dead-letters/
        GET approvals/
        GET insights/
        GET insights/measures.csv
        GET insights/measures/<slug:name>/
        GET insights/checklist/
        GET insights/hold-outs/
        GET insights/detectors/
        GET,POST insights/detectors/new/
        GET insights/logs/
        GET insights/logs/live/
        GET insights/logs/example.csv
        GET odata/v4/
        GET odata/v4/$metadata
        GET ^odata/v4/(?P<resource>.{1,2000})$
        GET api/v1/signals/
        GET api/v1/incidents/
        GET api/v1/entities/
        GET api/v1/approvals/
        GET api/v1/dead-letters/
        GET api/v1/detectors/
        GET api/v1/kpis/
        GET api/v1/hold-outs/
        GET api/v1/event-logs/
        GET api/v1/task-logs/
        GET api/v1/trackers/
        GET api/v1/backlog/
        GET playbooks/
        GET api/v1/playbooks/
    """,
    ),
    # Playbooks and policies belong to no unit: whoever may look at plans may read what is done and why.
    (
        PLANS,
        """
        GET playbooks/<slug:slug>/
        GET policies/<slug:slug>/
    """,
    ),
    # A hook knows nobody: the secret of its connection decides, and the one shown here is wrong.
    (
        NOBODY,
        """
        POST api/v1/hooks/<slug:slug>/
        POST api/v1/hooks/<slug:slug>/<str:secret>/
    """,
    ),
    (SENDING, "POST api/v1/signals/"),
    (frozenset({"integration", "operator"}), "POST api/v1/guardrails/check/"),
    (
        WORKING,
        """
        POST connections/stop/
        POST connections/resume/
        POST connections/<slug:slug>/check/
        POST api/v1/connections/<slug:slug>/test/
        POST api/v1/connections/<slug:slug>/stop/
        POST api/v1/connections/<slug:slug>/resume/
        POST insights/spikes/raise/
        POST insights/logs/upload/
        POST insights/tasks/
        POST insights/tasks/trackers/
        POST api/v1/event-logs/
        POST api/v1/task-logs/
        POST api/v1/trackers/
        POST api/v1/detectors/
    """,
    ),
    (
        TRAFFIC,
        """
        GET connections/
        GET connections/<slug:slug>/
        GET connections/<slug:slug>/rights/
        GET connection-rights/
        GET api/v1/connections/
        GET api/v1/connections/<slug:slug>/
        GET api/v1/connections/<slug:slug>/operations/
        GET api/v1/connections/<slug:slug>/calls/
        GET api/v1/connections/<slug:slug>/rights/
        GET api/v1/connection-rights/
        GET api/v1/connection-kinds/
    """,
    ),
    (
        frozenset({"automation_admin"}),
        """
        POST api/v1/connections/
        PATCH api/v1/connections/<slug:slug>/
    """,
    ),
    (
        OBSERVING,
        """
        GET insights/tasks/
        GET insights/tasks/backlog/
        GET insights/tasks/trackers/
    """,
    ),
    (
        LEDGER,
        """
        GET audit/
        GET api/v1/audit/entries/
    """,
    ),
    (VERIFYING, "POST audit/verify/"),
    (VERIFYING | {"automation_admin"}, "GET metrics"),
)
# Handled letter by letter: everybody may ask, only those who mend are heard; a test of its own counts the letters.
_GROUP = "POST dead-letters/group/"


def _rows(table: Lines, *, bound: bool) -> Iterator[Row]:
    for who, lines in table:
        for line in filter(None, map(str.strip, lines.splitlines())):
            methods, _, route = line.partition(" ")
            yield from (Row(method, route.removeprefix("/"), who, bound) for method in methods.split(","))


ROWS = [*_rows(_BOUND, bound=True), *_rows(_FREE, bound=False), *_rows(((SIGNED_IN, _GROUP),), bound=False)]

# What is done with an incident from its page: the verb in its address, and who may.
VERBS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("acknowledge", "comment"), TALKING),
    **dict.fromkeys(("assign", "correct", "hold", "release", "dismiss", "reopen"), WORKING),
    **dict.fromkeys(("merge", "unmerge", "replan", "take-over", "leave-hold-out"), WORKING),
}
