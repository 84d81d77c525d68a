"""Who is written to: the named addresses, and whoever may decide what is asked; nobody beyond what they may see."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from approvals import actions as approvals
from approvals.models import ApprovalRequest, Delegation
from audit.clock import db_now
from connectors.talk.messages import as_event
from incidents.states import Status
from playbooks.telling import audience, reading, sending
from playbooks.telling.models import Outgoing
from playbooks.telling.states import Event
from tests.factories import make_user
from tests.playbooks import scenes
from tests.telling.factories import Herald, due_now, make_outgoing, make_subscription

pytestmark = pytest.mark.django_db
ASKED = ["approval.asked"]


def asked_of(approval: ApprovalRequest, user: User, **changes: Any) -> tuple[str, ...]:
    return audience.recipients_of(make_subscription(user, **changes), Event.ASKED, approval)


def test_the_named_addresses_are_written_to_once(watcher: User) -> None:
    found = audience.recipients_of(
        make_subscription(watcher, recipients=["a@goldseam.example", "b@goldseam.example", "a@goldseam.example"]),
        Event.RESOLVED,
        None,
    )

    assert found == ("a@goldseam.example", "b@goldseam.example")


def test_whoever_may_decide_is_asked_and_nobody_else(watcher: User, approver: User, viewer: User) -> None:
    _, _, approval = scenes.waiting_for_approval()
    make_user("abroad", role="approver", units=["US"])
    User.objects.filter(pk=make_user("left", role="approver").pk).update(is_active=False)
    User.objects.filter(pk=make_user("unreachable", role="approver").pk).update(email="")

    assert asked_of(approval, watcher, ask_approvers=True) == ("approver@goldseam.example",)


def test_whoever_asked_for_it_is_not_asked_to_decide_it(watcher: User, approver: User, approver2: User) -> None:
    _, _, approval = scenes.waiting_for_approval()
    ApprovalRequest.objects.filter(pk=approval.pk).update(excluded=["approver"])
    approval.refresh_from_db()

    assert asked_of(approval, watcher, ask_approvers=True) == ("approver2@goldseam.example",)


def test_whoever_was_lent_a_voice_is_asked_too(watcher: User, approver: User) -> None:
    stand_in = make_user("standin", role="compliance")
    now = db_now()
    Delegation.objects.create(
        giver=approver, taker=stand_in, starts_at=now - timedelta(days=1), ends_at=now + timedelta(days=1)
    )
    _, _, approval = scenes.waiting_for_approval()

    assert set(asked_of(approval, watcher, ask_approvers=True)) == {
        "approver@goldseam.example", "standin@goldseam.example",
    }  # fmt: skip


def test_what_is_settled_asks_nobody(watcher: User, approver: User) -> None:
    _, plan, approval = scenes.waiting_for_approval()
    approvals.void("plan", plan.pk, reason="Edited.", actor="system:test")
    approval.refresh_from_db()

    assert asked_of(approval, watcher, ask_approvers=True) == ()


@pytest.mark.django_db(transaction=True)
def test_a_request_reaches_its_approvers_with_a_link_and_no_way_to_decide(
    watcher: User, approver: User, settings: Any
) -> None:
    settings.PUBLIC_URL = "https://console.example"
    make_subscription(watcher, events=ASKED, ask_approvers=True)
    _, _, approval = scenes.waiting_for_approval()
    reading.keep_up()
    due_now()
    (row,) = Outgoing.objects.all()

    assert sending.send(row.pk) == "sent"
    ((_, message),) = Herald.told
    assert message.recipients == ("approver@goldseam.example",)
    assert message.link == f"https://console.example/approvals/{approval.pk}/"
    assert message.link_label == "Look and decide"
    assert as_event(message)["data"]["approval"]["state"] == "pending"
    assert "digest" not in f"{message.data}"
    assert "approves anything" in message.text


@pytest.mark.django_db(transaction=True)
def test_where_nobody_who_may_decide_can_be_written_to_it_says_so(watcher: User) -> None:
    make_subscription(watcher, events=ASKED, ask_approvers=True)
    scenes.waiting_for_approval()
    reading.keep_up()
    (row,) = Outgoing.objects.all()

    assert sending.send(row.pk) == "skipped"
    row.refresh_from_db()
    assert row.state_reason == "Nobody who may decide this has a mail address."
    assert Herald.told == []


@pytest.mark.django_db(transaction=True)
def test_other_news_needs_no_approver(watcher: User) -> None:
    subscription = make_subscription(watcher, ask_approvers=True)
    row = make_outgoing(scenes.make_incident(Status.RESOLVED), subscription)

    assert sending.send(row.pk) == "sent"
    assert Herald.told[0][1].recipients == ()


@pytest.mark.django_db(transaction=True)
def test_eyes_that_see_no_approvals_send_none(watcher: User) -> None:
    subscription = make_subscription(make_user("sender", role="integration"), events=ASKED)
    incident, _, approval = scenes.waiting_for_approval()
    row = make_outgoing(incident, subscription, Event.ASKED)

    assert approval.pk
    assert sending.send(row.pk) == "skipped"


@pytest.mark.parametrize(("unit", "told"), [("EU", True), ("US", False), ("", False)])
def test_sight_ends_where_the_users_units_end(european: User, unit: str, told: bool) -> None:
    incident = scenes.make_incident(Status.RESOLVED, business_unit=unit)
    sight = audience.sight_of(european, [incident.pk], [])

    assert sight.covers(Event.RESOLVED, incident.pk, None) is told
    assert sight.covers(Event.FAILED, incident.pk, None) is told
    assert not sight.covers(Event.ASKED, incident.pk, None)


def test_nobody_has_no_eyes() -> None:
    assert not audience.sight_of(None, [1], []).covers(Event.RESOLVED, 1, None)
