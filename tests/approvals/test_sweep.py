"""The sweep over what nobody answered."""

import pytest

from approvals import tasks
from tests.approvals.factories import make_request, run_out

pytestmark = pytest.mark.django_db


def test_the_sweep_settles_what_ran_out_and_says_how_many():
    approval = run_out(make_request())

    settled = tasks.expire_approvals()

    approval.refresh_from_db()
    assert (settled, approval.state) == (1, "expired")


@pytest.mark.usefixtures("one_turn")
def test_a_second_beat_in_the_same_turn_does_nothing():
    tasks.expire_approvals()
    approval = run_out(make_request())

    assert tasks.expire_approvals() == 0
    approval.refresh_from_db()
    assert approval.state == "pending"
