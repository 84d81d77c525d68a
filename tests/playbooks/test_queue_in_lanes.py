"""One plan at a time before each record, in the order in which they were begun."""

from functools import partial

import pytest

from audit.clock import db_now
from playbooks import lanes
from playbooks.models import Execution, LaneTicket, Plan
from tests.playbooks.world import make_incident, make_playbook
from tests.racing import together

LANE = "fo:SalesOrderHeadersV2:demf/SO-1"


def make_execution(*wanted: str) -> Execution:
    """An execution that stands in these lanes."""
    incident = make_incident()
    version = make_playbook(
        [{"name": "a", "title": "A", "connection": "fo", "operation": "x.y"}], slug=f"p{incident.pk}"
    )
    plan = Plan.objects.create(
        incident=incident, number=1, playbook_version=version, digest="d", risk_tier="low", created_at=db_now()
    )
    execution = Execution.objects.create(
        incident=incident, plan=plan, digest="d", requested_by="test", created_at=db_now()
    )
    lanes.queue_up(execution, wanted)
    return execution


@pytest.mark.django_db
def test_the_first_in_line_enters_and_the_second_waits():
    first, second = make_execution(LANE), make_execution(LANE)

    assert lanes.enter(first, LANE)
    assert not lanes.enter(second, LANE)
    assert lanes.before_us(second, LANE).execution == first


@pytest.mark.django_db
def test_nobody_overtakes_even_while_the_first_has_not_entered():
    make_execution(LANE)
    second = make_execution(LANE)

    assert not lanes.enter(second, LANE)


@pytest.mark.django_db
def test_who_is_inside_may_enter_again():
    first = make_execution(LANE)

    assert lanes.enter(first, LANE)
    assert lanes.enter(first, LANE)


@pytest.mark.django_db
def test_other_lanes_run_on():
    make_execution(LANE)
    other = make_execution("fo:SalesOrderHeadersV2:demf/SO-2")

    assert lanes.enter(other, "fo:SalesOrderHeadersV2:demf/SO-2")


@pytest.mark.django_db
def test_the_next_enters_when_the_first_has_left():
    first, second = make_execution(LANE), make_execution(LANE)
    lanes.enter(first, LANE)

    first.tickets.all().delete()

    assert lanes.enter(second, LANE)


@pytest.mark.django_db
def test_a_second_holder_is_refused_by_the_database_itself():
    first, second = make_execution(LANE), make_execution(LANE)
    lanes.enter(first, LANE)
    # As if the lower ticket had committed only after the higher one had looked.
    LaneTicket.objects.filter(execution=first).update(id=LaneTicket.objects.get(execution=second).pk + 100)

    assert not lanes.enter(second, LANE)


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_in_one_lane_exactly_one_is_inside():
    waiting = [make_execution(LANE) for _ in range(6)]

    inside = together(*(partial(lanes.enter, one, LANE) for one in waiting))

    assert inside == [True] + [False] * 5
    assert LaneTicket.objects.filter(lane=LANE, holding=True).count() == 1
