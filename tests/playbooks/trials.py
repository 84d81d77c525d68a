"""Hold-outs for tests: the seed is chosen so that the lot of the small world's order falls as the test wants it."""

from itertools import count
from typing import Any

from incidents.models import Incident
from playbooks import holdout_actions, holdouts, planning
from playbooks.holdout_actions import Terms
from playbooks.holdout_models import HoldOut, HoldOutDraw
from playbooks.models import Plan, Playbook
from tests.playbooks.cases import make_cause, make_freight, make_mend
from tests.playbooks.driving import drive

PURPOSE = "Does correcting freight by itself save time?"


def seed_for(record: str, *, out: bool, share: int) -> str:
    """The first seed under which the lot of a record says so."""
    return next(seed for seed in (f"{n:064x}" for n in count()) if holdouts.falls_out(seed, record, share) is out)


def begin(playbook: Playbook, share: int = 20, **terms: Any) -> HoldOut:
    """A trial that runs."""
    given = Terms(share=share, **{"purpose": PURPOSE, **terms})
    trial = holdout_actions.configure(playbook, given, actor="automation")
    assert trial is not None
    return trial


def trial_for(incident: Incident, *, out: bool = True, share: int = 20, **terms: Any) -> HoldOut:
    """A trial of the playbook that mends the incident; its lot is left to people, or not."""
    trial = begin(Playbook.objects.get(kind_code=incident.code), share, **terms)
    trial.secret_seed = seed_for(holdouts.record_of(incident), out=out, share=share)
    trial.save()
    return trial


def held(**changes: Any) -> tuple[Incident, HoldOutDraw]:
    """An incident of the small world that was left to people by lot; it needs the ``world``."""
    make_mend()
    incident = make_freight(**changes)
    trial_for(incident)
    drive(incident)
    return incident, HoldOutDraw.objects.get(incident=incident)


def draft(incident: Incident) -> Plan:
    """The plan that the planner would propose for a diagnosed incident, before anybody is asked."""
    make_cause(incident)
    return planning.propose(incident, actor="system:loop")
