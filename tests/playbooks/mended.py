"""A mend that was carried out and verified, for tests of what comes after it."""

from typing import Any

from incidents.models import Incident
from incidents.states import Status
from playbooks.models import Execution
from tests.playbooks.driving import begin, drive
from tests.playbooks.world import World, make_incident, make_plan


def mended(world: World, *writes: Any) -> tuple[Incident, Execution]:
    """An incident that is resolved, and the execution that mended it."""
    incident = make_incident()
    execution = begin(make_plan(world, incident, *writes))
    assert drive(incident).status == Status.RESOLVED
    execution.refresh_from_db()
    return incident, execution
