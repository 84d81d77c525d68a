"""One small world for the access matrix: people of every role and unit, and one object of unit EU behind every id."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from audit.clock import db_now
from audit.models import Entry
from audit.roles import ROLES
from connectors.models import Connection
from incidents.actions import merge
from incidents.entity_models import Alias, AliasDecision, Entity, Mention
from incidents.models import Incident
from insights.models import Finding, Routine, TaskLog, Tracker, TrackerLine
from playbooks.models import Playbook, Policy
from playbooks.telling.models import Subscription
from tests.factories import make_token, make_user
from tests.insights.detecting import make_detector, orders
from tests.playbooks import scenes
from tests.telling.factories import make_events, make_outgoing, make_subscription

UNITS = ("EU", "US")
# What no refused answer and no list of another unit may show.
MARKS = ("INV-10482", "Northgate Retail", "Secret orders", "Secret loops", "Secret steps", "Secret list", "Secret find")
LOOP = {"rule": {"kind": "pattern", "pattern": "loop", "activity": "Pay", "times": 1}}
REASON = "because it has to be so"


@dataclass
class Person:
    """Somebody who asks: how they are called in messages, and with what they show who they are."""

    name: str
    role: str = ""
    unit: str = ""
    user: User | None = None
    token: str = ""
    client: Client = field(default_factory=Client)

    @property
    def headers(self) -> dict[str, str]:
        """What a program of this person sends along."""
        return {"authorization": f"Bearer {self.token}"} if self.token else {}


@dataclass
class World:
    """The people, the arguments that stand for the objects in addresses, and a body that most actions accept."""

    people: dict[str, Person]
    arguments: dict[str, dict[str, Any]]
    body: dict[str, Any]
    incident: Incident
    rows: dict[str, Any]

    def body_of(self, path: str, *, program: bool) -> dict[str, Any]:
        """Return what is posted: a form takes what it knows, the API refuses what it does not."""
        if not program:
            return self.body
        last = path.rstrip("/").rpartition("/")[2]
        names = ("definition",) if last.isdigit() else _FIELDS.get(last, ("reason",))
        given = {name: self.body[name] for name in names}
        if last == "revert-alias":
            given["alias"] = self.rows["settled"].pk
        return {**given, **_EXTRA.get(last, {})}


# What each verb of the API is told, by the end of its address.
_FIELDS: dict[str, tuple[str, ...]] = {
    "merge": ("into", "reason"), "comment": ("text",), "approve": ("digest", "comment"), "draft": ("kind",),
    "reject": ("digest", "comment"), "delegate": ("to", "digest", "comment"), "resolve": ("resolution",),
    "edit": (), "confirm-alias": ("alias", "reason"), "reject-alias": ("alias", "reason"), "links": (),
    "revert-alias": ("alias", "reason"), "detectors": ("label", "definition"), "rehearse": (), "check": (),
}  # fmt: skip
_EXTRA: dict[str, dict[str, Any]] = {
    "assign": {"assignee": None},
    "correct": {"severity": "low"},
    "edit": {"playbook": "no-such-playbook"},
    "links": {"application": "Secret steps", "connection": "fo"},
}


def make_world() -> World:
    """Build everything; costs about a second."""
    people = _people()
    by = people["automation_admin EU"].user
    incident, plan, approval = scenes.waiting_for_approval()
    failed, run, letter = scenes.stuck()
    _, _, done = scenes.resolved()
    scenes.make_signal(incident, business_unit="EU", region="DE")
    scenes.make_clock(incident)
    folded = scenes.make_incident(scenes.Status.NEEDS_OPERATOR)
    kept = scenes.make_incident(scenes.Status.NEEDS_OPERATOR)
    merged = merge(kept, folded, by=_user(people["operator EU"]), reason=REASON)
    rows: dict[str, Any] = {
        "plan": plan,
        "approval": approval,
        "run": run,
        "letter": letter,
        "done": done,
        "failed": failed,
        "folded": folded,
        "outgoing": make_outgoing(incident, _told(by), state="dead"),
    }
    rows["kept"] = kept
    rows |= _known(incident) | _insights(by, people)
    rows["signal"], rows["evidence"] = incident.signals.order_by("-pk").first(), incident.evidence.first()
    rows["entry"] = Entry.objects.filter(business_unit="EU").order_by("n").first()
    body = {**_body(approval.digest, failed.pk, rows), "merge": merged.pk}
    return World(people, _arguments(incident, rows), body, incident, rows)


def _told(by: User | None) -> Subscription:
    return make_subscription(by, connection=make_events(), operation="event.send")


def _people() -> dict[str, Person]:
    found = [Person("anonymous")]
    for unit in UNITS:
        found += [_person(f"{role} {unit}", role, unit) for role in ROLES]
    found += [_person("without role", "", "EU"), _person("inactive", "operator", "EU")]
    User.objects.filter(username="inactive").update(is_active=False)
    return {one.name: one for one in found}


def _person(name: str, role: str, unit: str) -> Person:
    user = make_user(name.replace(" ", "-").lower(), role=role, units=[unit])
    person = Person(name, role, unit, user, make_token(user, name=name))
    person.client.force_login(user)
    return person


def _user(one: Person) -> User:
    assert one.user is not None
    return one.user


def _known(incident: Incident) -> dict[str, Any]:
    entity = Entity.objects.create(
        type="invoice", key="inv-10482", label="INV-10482", business_unit="EU", first_seen_at=db_now()
    )
    Mention.objects.create(entity=entity, incident=incident)
    alias = Alias.objects.create(
        entity=entity, type="invoice", business_unit="EU", system="fo", record_type="SalesInvoiceHeadersV2",
        value="INV-10482", name="inv-10482", evidence=incident.evidence.all()[0], learned_at=db_now(), state="disputed",
    )  # fmt: skip
    settled = Alias.objects.create(
        entity=entity, type="invoice", business_unit="EU", system="crm", record_type="Invoice", value="INV-10482",
        name="inv-10482", evidence=incident.evidence.all()[0], learned_at=db_now(),
    )  # fmt: skip
    AliasDecision.objects.create(
        alias=settled, before={str(settled.pk): "disputed"}, actor="operator-eu", reason=REASON, decided_at=db_now()
    )
    return {"entity": entity, "alias": alias, "settled": settled}


def _insights(by: Any, people: dict[str, Person]) -> dict[str, Any]:
    now, place = db_now(), {"business_unit": "EU", "region": "DE"}
    log = orders(name="Secret orders", **place)
    tasks = TaskLog.objects.create(
        name="Secret steps", state="ready", created_at=now, ready_at=now, expires_at=now + timedelta(days=9), **place
    )
    routine = Routine.objects.create(
        log=tasks, number=1, kind="sequence", family=1, repeats=9, people=6, weeks=3, median_seconds=9.0, share=1.0,
        total_seconds=81.0, steps=[{"application": "Secret steps", "element": "Save", "action": "click", "value": ""}],
    )  # fmt: skip
    tracker = Tracker.objects.create(name="Secret list", created_at=now, lines_count=1, **place)
    line = TrackerLine.objects.create(tracker=tracker, line=1, person="p1", record="INV-10482", changed_at=now)
    finding = Finding.objects.create(
        kind="new_bottleneck",
        key="Secret find",
        title="Secret find",
        text="Secret find",
        log=log,
        found_at=now,
        **place,
    )
    detector = make_detector(by, log, label="Secret loops")
    found = {"log": log, "tasks": tasks, "routine": routine, "tracker": tracker, "line": line, "finding": finding}
    return {**found, "detector": detector}


def _arguments(incident: Incident, rows: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what to put for the parts of an address, by how the address begins; the longest beginning counts."""
    pk = {name: {"pk": row.pk} for name, row in rows.items()}
    found = {
        "incidents/": {
            "pk": incident.pk,
            "evidence": rows["evidence"].pk,
            "alias": rows["alias"].pk,
            "verb": "comment",
        },
        "incidents/<int:pk>/aliases/": {"pk": incident.pk, "alias": rows["alias"].pk, "verb": "confirm"},
        "incidents/<int:pk>/unmerge/": pk["folded"],
        "plans/": pk["plan"],
        "executions/": pk["run"],
        "executions/<int:pk>/rollback/": pk["done"],
        "dead-letters/": pk["letter"],
        "dead-letters/messages/": pk["outgoing"],
        "approvals/": pk["approval"],
        "signals/": pk["signal"],
        "entities/": pk["entity"],
        "detectors/": pk["detector"],
        "event-logs/": {**pk["log"], "case": "1"},
        "task-logs/": pk["tasks"],
        "backlog/": pk["routine"],
        "trackers/": {**pk["tracker"], "line": 1},
        "insights/detectors/": pk["detector"],
        "insights/incidents/": pk["log"],
        "insights/outcomes/": pk["log"],
        "insights/findings/": {**pk["finding"], "verb": "set-aside"},
        "insights/measures/": {"name": "mttr_seconds"},
        "insights/tasks/": pk["tasks"],
        "insights/tasks/routines/": pk["routine"],
        "insights/tasks/trackers/": pk["tracker"],
        "insights/tasks/trackers/lines/": pk["line"],
        "insights/logs/": pk["log"],
        "playbooks/": {"slug": Playbook.objects.values_list("slug", flat=True)[0]},
        "policies/": {"slug": Policy.objects.values_list("slug", flat=True)[0]},
        "connections/": {"slug": Connection.objects.values_list("slug", flat=True)[0]},
        "hooks/": {"slug": "fo", "secret": "wrong"},
        "audit/": {"n": rows["entry"].n},
    }
    return {f"{start}{key}": value for key, value in found.items() for start in ("", "api/v1/")}


def _body(digest: str, other: int, rows: dict[str, Any]) -> dict[str, Any]:
    """Return a body that says enough for the question of rights to be reached."""
    return {
        "reason": REASON, "comment": REASON, "text": REASON, "resolution": REASON, "digest": digest, "into": other,
        "alias": rows["alias"].pk, "to": "approver-eu", "kind": "duplicate_invoice", "verdict": "approve",
        "label": "Another", "definition": LOOP, "cause": rows["letter"].cause,
    }  # fmt: skip
