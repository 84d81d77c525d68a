"""The roles and what each may do, as one table; Django's groups and permissions are made from it.

Permissions name models of every floor as text, so the table needs no import of them. What is not
named here is nobody's: a new model shows in the admin only after a line was added.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

VIEW, ADD, CHANGE, DELETE = "view", "add", "change", "delete"
EDIT = (VIEW, ADD, CHANGE, DELETE)

# Families of models that are always given together.
FAMILIES: dict[str, tuple[str, ...]] = {
    "incidents": (
        "incidents.incident",
        "incidents.signal",
        "incidents.evidence",
        "incidents.rootcause",
        "incidents.statement",
        "incidents.citation",
        "incidents.slaclock",
        "incidents.escalation",
        "incidents.comment",
        "incidents.merge",
        "incidents.decision",
        "incidents.offer",
        "incidents.entity",
        "incidents.alias",
        "incidents.link",
        "incidents.mention",
        "incidents.aliasdecision",
        "incidents.ticket",
    ),
    "approvals": ("approvals.approvalrequest", "approvals.decision", "approvals.delegation"),
    "plans": (
        "playbooks.plan",
        "playbooks.step",
        "playbooks.guardrail",
        "playbooks.execution",
        "playbooks.steprun",
        "playbooks.attempt",
        "playbooks.verification",
        "playbooks.laneticket",
        "playbooks.deadletter",
        "playbooks.stumble",
        "playbooks.holdoutdraw",
        "playbooks.outgoing",
    ),
    "traffic": (
        "connectors.call",
        "connectors.delivery",
        "connectors.emergencystop",
        "connectors.gate",
        "connectors.spent",
        "connectors.notice",
        "connectors.operationuse",
        "connectors.credentialuse",
        "connectors.usemark",
    ),
    "configuration": (
        "audit.businessunit",
        "connectors.connection",
        "connectors.budget",
        "incidents.exceptionkind",
        "incidents.queue",
        "incidents.calendar",
        "incidents.slapolicy",
        "approvals.approvalrule",
        "playbooks.playbook",
        "playbooks.playbookversion",
        "playbooks.policy",
        "playbooks.policyversion",
        "playbooks.holdout",
        "playbooks.subscription",
        "playbooks.pack",
        "insights.detector",
        "insights.detectorversion",
        "insights.assumption",
        "insights.activitylink",
        "insights.referencemodel",
        "django_celery_beat.periodictask",
        "django_celery_beat.intervalschedule",
        "django_celery_beat.crontabschedule",
    ),
    "insights": (
        "insights.eventlog",
        "insights.rejected",
        "insights.detectorrun",
        "insights.detectorfinding",
        "insights.rehearsal",
        "insights.finding",
        "insights.tasklog",
        "insights.rejectedstep",
        "insights.routine",
        "insights.tracker",
        "insights.trackerline",
    ),
    "ledger": ("audit.entry",),
    "people": ("auth.user", "auth.group", "audit.scope", "audit.apitoken", "guardian.userobjectpermission"),
}


@dataclass(frozen=True)
class Role:
    """One role: what it is called, what it is for, and which families it may view or edit."""

    label: str
    purpose: str
    rights: Mapping[str, tuple[str, ...]]
    staff: bool = False  # may open the Django admin


_LOOK: dict[str, tuple[str, ...]] = {
    "incidents": (VIEW,),
    "approvals": (VIEW,),
    "plans": (VIEW,),
    "insights": (VIEW,),
}

ROLES: dict[str, Role] = {
    "viewer": Role("Viewer", "Sees incidents, plans and approvals of the own units.", _LOOK),
    "operator": Role(
        "Operator",
        "Works on incidents: takes over, holds, dismisses, merges, replans, replays dead letters.",
        {**_LOOK, "incidents": (VIEW, ADD, CHANGE), "plans": (VIEW, CHANGE), "traffic": (VIEW,), "ledger": (VIEW,)},
    ),
    "approver": Role("Approver", "Says yes or no to plans and rollbacks.", {**_LOOK, "approvals": (VIEW, ADD, CHANGE)}),
    "compliance": Role(
        "Compliance",
        "Approves what touches the rules, and reads rules and ledger.",
        {
            **_LOOK,
            "approvals": (VIEW, ADD, CHANGE),
            "traffic": (VIEW,),
            "configuration": (VIEW,),
            "ledger": (VIEW,),
        },
        staff=True,
    ),
    "automation_admin": Role(
        "Automation owner",
        "Configures connections, playbooks, policies, approval rules, service levels and schedules.",
        {**_LOOK, "traffic": (VIEW,), "configuration": EDIT},
        staff=True,
    ),
    "auditor": Role(
        "Auditor",
        "Reads everything, changes nothing.",
        {**_LOOK, "traffic": (VIEW,), "configuration": (VIEW,), "ledger": (VIEW,), "people": (VIEW,)},
        staff=True,
    ),
    "integration": Role("Integration", "A program that sends signals and asks guardrails.", {"incidents": (VIEW, ADD)}),
}
# Their ledger has no units: they answer for the whole.
WHOLE_LEDGER = frozenset({"auditor", "compliance"})


def permissions_of(role: str) -> Iterator[tuple[str, str]]:
    """Yield (app label, codename) of each Django permission that ``role`` holds."""
    for family, acts in ROLES[role].rights.items():
        for model in FAMILIES[family]:
            app, _, name = model.partition(".")
            for act in acts:
                yield app, f"{act}_{name}"
