"""Many at once: one person counts once, a quorum is reached once, and one verdict settles."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock

import pytest
from django.contrib.auth.models import User
from django.db import connections

from approvals import actions
from approvals.models import ApprovalRequest, Decision
from approvals.signals import approval_settled
from audit.errors import Refusal
from audit.models import Entry
from tests.approvals.factories import DIGEST, demand, make_request, run_out
from tests.factories import make_user

pytestmark = pytest.mark.django_db(transaction=True)
AT_ONCE = 8


def storm(*acts: Callable[[], object]) -> Counter[str]:
    """Run all acts, as many at a time as there are threads, and count how each ended."""
    start = Barrier(min(AT_ONCE, len(acts)))
    begun = iter(range(len(acts)))
    lock = Lock()

    def run(act: Callable[[], object]) -> str:
        with lock:
            number = next(begun)
        if number < start.parties:
            start.wait(timeout=30)
        try:
            act()
        except Refusal as refusal:
            return refusal.code
        finally:
            connections.close_all()
        return "done"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return Counter(pool.map(run, acts))


def approving(approval: ApprovalRequest, by: User) -> Callable[[], object]:
    return lambda: actions.decide(approval, by=by, verdict="approve", digest=DIGEST)


def rejecting(approval: ApprovalRequest, by: User) -> Callable[[], object]:
    return lambda: actions.decide(approval, by=by, verdict="reject", digest=DIGEST, comment="No.")


@pytest.fixture
def settlements():
    """Every news of a settled request, as it was sent."""
    heard: list[str] = []

    def hear(approval: ApprovalRequest, **kwargs: object) -> None:
        heard.append(approval.state)

    approval_settled.connect(hear)
    yield heard
    approval_settled.disconnect(hear)


def test_200_yeses_of_one_person_at_once_count_once(approver):
    approval = make_request(demand(quorum=2))

    ended = storm(*[approving(approval, approver)] * 200)

    approval.refresh_from_db()
    assert ended == {"done": 1, "already_decided": 199}
    assert (approval.given, approval.state, Decision.objects.count()) == (1, "pending", 1)
    assert Entry.objects.filter(verb="refused.approve").count() == 199


def test_200_yeses_to_ones_own_request_at_once_count_never(approver):
    approval = make_request(requested_by="approver")

    ended = storm(*[approving(approval, approver)] * 200)

    assert ended == {"own_request": 200}
    assert not Decision.objects.exists()


def test_200_yeses_to_another_digest_at_once_count_never(approver):
    approval = make_request()

    def act() -> object:
        return actions.decide(approval, by=approver, verdict="approve", digest="stale")

    ended = storm(*[act] * 200)

    assert ended == {"stale_digest": 200}
    assert not Decision.objects.exists()


def test_of_many_people_at_once_exactly_the_quorum_is_counted_and_it_settles_once(settlements):
    people = [make_user(f"approver-{number}", role="approver") for number in range(12)]
    approval = make_request(demand(quorum=3))

    ended = storm(*[approving(approval, person) for person in people])

    approval.refresh_from_db()
    assert ended == {"done": 3, "settled": 9}
    assert (approval.given, approval.state, Decision.objects.count()) == (3, "approved", 3)
    assert settlements == ["approved"]


def test_a_yes_and_a_no_at_once_settle_once(approver, approver2, settlements):
    approvals = [make_request(subject_id=number) for number in range(20)]
    acts = [act for one in approvals for act in (approving(one, approver), rejecting(one, approver2))]

    ended = storm(*acts)

    states = Counter(ApprovalRequest.objects.values_list("state", flat=True))
    assert ended == {"done": 20, "settled": 20}
    assert states["approved"] + states["rejected"] == 20
    assert Counter(settlements) == states
    assert Decision.objects.count() == 20


def test_a_giver_and_a_taker_at_once_cast_one_vote(approver, operator):
    approval = make_request(demand(quorum=2))
    actions.delegate(approval, by=approver, to=operator, reason="On leave.")

    ended = storm(approving(approval, approver), approving(approval, operator))

    approval.refresh_from_db()
    assert ended["done"] == 1
    assert (approval.given, Decision.objects.count()) == (1, 1)


def test_asking_at_once_makes_one_request():
    ended = storm(*[make_request] * 20)

    assert ended == {"done": 20}
    assert ApprovalRequest.objects.count() == 1
    assert Entry.objects.filter(verb="approval.asked").count() == 1


def test_a_yes_and_a_withdrawal_at_once_leave_no_yes_standing(approver, settlements):
    approval = make_request()

    storm(
        approving(approval, approver),
        lambda: actions.void("plan", 1, reason="The record changed.", actor="system:loop"),
    )

    approval.refresh_from_db()
    assert approval.state == "void"
    assert settlements in (["void"], ["approved", "void"])


def test_two_sweeps_at_once_settle_each_question_once(settlements):
    for number in range(10):
        run_out(make_request(subject_id=number))

    storm(actions.expire_due, actions.expire_due)

    assert settlements == ["expired"] * 10
    assert Entry.objects.filter(verb="approval.expired").count() == 10
