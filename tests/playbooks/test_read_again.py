"""Some systems take a change back by themselves: the source is read once more before it counts as mended."""

from datetime import timedelta

from audit.clock import db_now
from incidents.states import Status
from playbooks import loop
from playbooks.models import Verification
from tests.playbooks.driving import begin, drive
from tests.playbooks.world import CHARGED, make_incident, make_plan


def test_a_playbook_may_want_the_source_read_again_before_it_counts_as_mended(world):
    incident = make_incident()
    plan = make_plan(world, incident, CHARGED, definition={"read_again_after_minutes": 5})
    execution = begin(plan)

    loop.advance(incident.pk)
    incident.refresh_from_db()

    assert incident.status == Status.VERIFYING
    assert incident.due_at > db_now() + timedelta(minutes=4)
    Verification.objects.update(read_at=db_now() - timedelta(minutes=6))
    assert drive(incident).status == Status.RESOLVED
    assert execution.step_runs.get().verifications.count() == 2


def test_a_mend_that_does_not_last_goes_to_a_person(world):
    incident = make_incident()
    plan = make_plan(world, incident, CHARGED, definition={"read_again_after_minutes": 5})
    begin(plan)
    loop.advance(incident.pk)
    key = {"dataAreaId": "demf", "SalesOrderNumber": "SO-1", "ChargeLineNumber": 1}
    world.edit(system="fo", entity="SalesOrderCharges", key=key, changes={"FixedChargeAmount": 112.0})
    Verification.objects.update(read_at=db_now() - timedelta(minutes=6))

    drive(incident)

    assert incident.status == Status.NEEDS_OPERATOR
    assert "is not any more" in incident.status_reason
