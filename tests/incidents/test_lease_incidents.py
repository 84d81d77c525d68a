"""One worker at a time; a worker that overslept its lease changes nothing."""

from datetime import timedelta

import pytest

from audit.clock import db_now
from incidents import leases
from incidents.models import Incident
from tests.playbooks.world import make_incident
from tests.racing import together


def expire(incident: Incident) -> None:
    Incident.objects.filter(pk=incident.pk).update(lease_until=db_now() - timedelta(seconds=1))


@pytest.mark.django_db
def test_a_leased_incident_is_not_leased_again():
    incident = make_incident()

    assert leases.claim(incident.pk) is not None
    assert leases.claim(incident.pk) is None


@pytest.mark.django_db
def test_an_incident_that_is_not_due_is_left_alone():
    incident = make_incident(due_at=db_now() + timedelta(minutes=5))

    assert leases.claim(incident.pk) is None
    assert leases.claim(incident.pk, only_due=False) is not None


@pytest.mark.django_db
def test_a_released_incident_can_be_taken_at_once():
    incident = make_incident()

    leases.claim(incident.pk).release()

    assert leases.claim(incident.pk) is not None


@pytest.mark.django_db
def test_a_worker_that_overslept_can_neither_renew_nor_go_on():
    incident = make_incident()
    sleeper = leases.claim(incident.pk)
    expire(incident)

    for act in (sleeper.check, sleeper.renew):
        with pytest.raises(leases.LeaseLost):
            act()


@pytest.mark.django_db
def test_a_worker_that_was_replaced_cannot_release_its_successors_lease():
    incident = make_incident()
    sleeper = leases.claim(incident.pk)
    expire(incident)
    successor = leases.claim(incident.pk)

    sleeper.release()

    successor.check()
    assert successor.fence == sleeper.fence + 1


@pytest.mark.django_db
def test_the_due_ones_come_in_order_of_severity():
    low, critical = make_incident(severity_rank=3), make_incident(severity_rank=0)
    make_incident(due_at=None)
    leases.claim(make_incident().pk)

    assert leases.due() == [critical.pk, low.pk]


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_exactly_one_gets_the_lease():
    incident = make_incident()

    leased = together(*[lambda: leases.claim(incident.pk)] * 8)

    assert [lease.fence for lease in leased if lease is not None] == [1]
