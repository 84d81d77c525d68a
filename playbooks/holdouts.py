"""The draw: of what a playbook would mend without a person, who is left to people so that there is a comparison.

1. only what the playbook may mend alone, and only within the trial's limits, takes part;
2. the lot is a keyed hash of the business record: it cannot be foreseen without the key, and it falls the same way
   for every incident of that record, on every worker, however often it is asked;
3. the lot of an incident is a row, drawn once: planning again, another trial or its end do not change it;
4. what is held out goes to a person. A person may take it out, for a reason; it counts as it was drawn all the same.
"""

import hashlib
import hmac
from collections.abc import Iterable
from decimal import Decimal

from django.db import transaction
from django.db.models import Count, Q
from django.db.models.functions import Now

from audit.actions import record
from audit.clock import db_now
from audit.proofs import digest
from incidents.actions import move
from incidents.fingerprints import normal
from incidents.models import Incident
from incidents.states import SEVERITY_ORDER, Severity, Status
from playbooks import plans
from playbooks.holdout_models import HoldOut, HoldOutDraw
from playbooks.models import Plan, Playbook
from playbooks.moves import hold

ACTOR = "system:hold-out"
SPAN = 2**64


def running(playbook: Playbook) -> HoldOut | None:
    """Return the trial of ``playbook`` that draws now; ``None`` where there is none, or its time is over."""
    return playbook.hold_outs.filter(ended_at=None, ends_at__gt=Now()).first()


def lots_of(trial: HoldOut) -> dict[str, int]:
    """Count the lots of a trial: ``all`` of them, and those that fell ``out``."""
    return trial.draws.aggregate(all=Count("id"), out=Count("id", filter=Q(held_out=True)))


def record_of(incident: Incident) -> str:
    """Return the digest of the business record that an incident is about: what the lot is drawn for.

    Not of its text, attributes, time or unit, which a sender could vary until the lot falls as it likes.
    """
    return digest(["goldseam hold-out", normal(incident.entity_type), normal(incident.entity_key)])


def falls_out(seed: str, record_digest: str, share: int) -> bool:
    """Tell whether the lot of a record says that it is left to people: true for ``share`` percent of all records."""
    drawn = hmac.new(bytes.fromhex(seed), record_digest.encode(), hashlib.sha256).digest()
    return int.from_bytes(drawn[:8], "big") * 100 < share * SPAN


def draw_of(incident: Incident, playbook: Playbook | None = None) -> HoldOutDraw | None:
    """Return the lot that was drawn for an incident (of ``playbook``, else the latest); ``None``: there was none."""
    rows = HoldOutDraw.objects.filter(incident=incident).select_related(
        "hold_out__playbook", "playbook_version__playbook"
    )
    if playbook is not None:
        rows = rows.filter(hold_out__playbook=playbook)
    return rows.order_by("-id").first()


def standing(incident: Incident) -> HoldOutDraw | None:
    """Return the lot that leaves an incident to people now; ``None``: none does."""
    rows = HoldOutDraw.objects.filter(incident=incident, held_out=True, left_at=None)
    return rows.select_related("hold_out__playbook", "playbook_version__playbook").order_by("-id").first()


def keeps(plan: Plan) -> HoldOutDraw | None:
    """Return the lot that leaves the incident of a drafted plan to people; ``None`` where the plan may go on.

    Draws it where the plan would be carried out without a person and a trial runs. An incident that has become
    too severe or too dear since is let go.
    """
    playbook = plan.playbook_version.playbook
    trial = running(playbook)
    if trial is None and draw_of(plan.incident, playbook) is None:
        return None
    with transaction.atomic():
        incident = hold(plan.incident_id)
        drawn = draw_of(incident, playbook)
        if drawn is None and trial is not None:
            drawn = _drawn(trial, plan, incident)
        if drawn is None or not drawn.stands:
            return None
        beyond = beyond_limits(drawn.hold_out, plan, incident)
        if beyond:
            take_out(drawn, actor=ACTOR, reason=beyond)
            return None
        return drawn


def _drawn(trial: HoldOut, plan: Plan, incident: Incident) -> HoldOutDraw | None:
    # Whoever edited the plan is a person at work: what they chose is no mend that nobody asked for.
    if plan.edited_by or beyond_limits(trial, plan, incident) or not plans.may_act_alone(plan):
        return None
    about = record_of(incident)
    drawn = HoldOutDraw.objects.create(
        hold_out=trial,
        incident=incident,
        playbook_version=plan.playbook_version,
        held_out=falls_out(trial.secret_seed, about, trial.share),
        record=about,
        drawn_at=db_now(),
    )
    record(
        "hold_out.held" if drawn.held_out else "hold_out.handled",
        actor=ACTOR,
        target=trial,
        incident=incident.pk,
        business_unit=incident.business_unit,
        region=incident.region,
        reason=trial.purpose,
        data={"playbook": str(plan.playbook_version), "share": trial.share, "record": about},
    )
    return drawn


def beyond_limits(trial: HoldOut, plan: Plan, incident: Incident) -> str:
    """Say why an incident is never left to people by this trial; "" where it may be.

    Every amount that is known counts: what the signals said, what is at risk, and what the plan would change.
    """
    if SEVERITY_ORDER[Severity(incident.severity)] < SEVERITY_ORDER[Severity(trial.max_severity)]:
        return f"Its severity is {incident.severity}; above {trial.max_severity} nothing is held out."
    if trial.max_amount is None:
        return ""
    amounts = [
        (incident.amount, incident.currency),
        (incident.revenue_at_risk, incident.currency),
        (plan.amount, plan.currency),
    ]
    return _too_dear(trial.max_amount, trial.currency, [one for one in amounts if one[0] is not None])


def _too_dear(most: Decimal, currency: str, amounts: Iterable[tuple[Decimal | None, str]]) -> str:
    known = list(amounts)
    if not known:
        return "What it is worth is not known; there is a limit to what is held out."
    for amount, unit in known:
        if unit != currency:
            return f"The limit to what is held out is in {currency}, and this is in {unit or 'an unknown currency'}."
        if abs(amount or Decimal(0)) > most:
            return f"{amount} {unit} is above {most} {currency}; such incidents are not held out."
    return ""


def take_out(drawn: HoldOutDraw, *, actor: str, reason: str) -> bool:
    """Take an incident out of the comparison group; ``False`` where somebody already has. Inside a transaction."""
    standing = HoldOutDraw.objects.filter(pk=drawn.pk, held_out=True, left_at=None)
    now = db_now()
    # Compare and swap: of two people, the database lets one through.
    if not standing.update(left_at=now, left_by=actor, left_reason=reason):
        return False
    record("hold_out.left", actor=actor, target=drawn.hold_out, incident=drawn.incident_id, reason=reason)
    drawn.left_at, drawn.left_by, drawn.left_reason = now, actor, reason
    return True


def leave_to_people(plan: Plan, drawn: HoldOutDraw, *, actor: str) -> None:
    """Take the plan of a held-out incident back and hand the incident to a person, together."""
    trial = drawn.hold_out
    reason = f"Held out: left to people by lot, to learn what “{trial.playbook}” brings ({trial.share} %)."
    with transaction.atomic():
        incident = hold(plan.incident_id)
        plans.void(plan, actor=actor, reason=reason)
        move(incident, Status.NEEDS_OPERATOR, actor=actor, reason=reason)
