"""The ledger is read on from a mark: one message for each event and subscriber, none lost and none twice."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from audit.actions import Line, record_all
from audit.models import Head
from incidents.models import Incident
from incidents.states import Severity, Status
from playbooks.telling import reading
from playbooks.telling.models import LedgerMark, Outgoing, Subscription
from playbooks.telling.states import Event
from tests.factories import make_user
from tests.playbooks import scenes
from tests.racing import together
from tests.telling.factories import happen, make_subscription

pytestmark = pytest.mark.django_db


def made() -> list[str]:
    return list(Outgoing.objects.order_by("id").values_list("event", flat=True))


def test_a_new_subscription_hears_of_nothing_that_was_before(watcher: User) -> None:
    happen(scenes.make_incident())
    make_subscription(watcher)

    assert reading.keep_up() == 0
    assert made() == []


def test_what_happens_is_told_once_however_often_the_ledger_is_read(watcher: User) -> None:
    make_subscription(watcher)
    incident = scenes.make_incident(Status.RESOLVED)
    entry = happen(incident)

    assert [reading.keep_up() for _ in range(3)] == [2, 0, 0]
    assert made() == ["incident.opened", "incident.resolved"]
    row = Outgoing.objects.order_by("id").last()
    assert (row.entry, row.event_id, row.occurred_at) == (entry.n, f"{entry.n}-{entry.hash[:16]}", entry.at)


def test_of_two_subscriptions_each_hears_what_it_asked_for(watcher: User) -> None:
    first = make_subscription(watcher, "first", events=["incident.resolved", "incident.dismissed"])
    make_subscription(watcher, "second", events=["execution.failed"])
    incident = scenes.make_incident()
    for event in (Event.RESOLVED, Event.FAILED, Event.SLA_WARNED):
        happen(incident, event)

    reading.keep_up()

    assert made() == ["incident.resolved", "execution.failed"]
    assert Outgoing.objects.get(event="incident.resolved").subscription == first


def test_a_subscription_that_is_switched_off_hears_of_nothing_meanwhile(watcher: User) -> None:
    make_subscription(watcher, enabled=False)
    happen(scenes.make_incident())
    reading.keep_up()
    Subscription.objects.update(enabled=True)

    assert reading.keep_up() == 0


def test_a_subscription_that_is_held_up_misses_nothing(watcher: User) -> None:
    subscription = make_subscription(watcher, events=["incident.resolved"])
    subscription.paused_at = scenes.db_now()
    subscription.save()
    happen(scenes.make_incident())

    assert reading.keep_up() == 1


def test_with_nobodys_eyes_nothing_is_seen(watcher: User) -> None:
    make_subscription(None)
    happen(scenes.make_incident())

    assert reading.keep_up() == 0


def test_whoever_left_is_told_nothing(watcher: User) -> None:
    make_subscription(watcher)
    User.objects.filter(pk=watcher.pk).update(is_active=False)
    happen(scenes.make_incident())

    assert reading.keep_up() == 0


def test_a_viewer_of_one_unit_is_told_nothing_of_another(european: User) -> None:
    make_subscription(european, events=["incident.resolved"])
    happen(scenes.make_incident(business_unit="US", region="US-EAST"))
    mine = scenes.make_incident(business_unit="EU")
    happen(mine)

    reading.keep_up()

    assert list(Outgoing.objects.values_list("incident", flat=True)) == [mine.pk]


def test_whose_role_sees_no_approvals_is_not_told_of_them(watcher: User) -> None:
    sender = make_user("sender", role="integration")
    make_subscription(sender, "sender", events=["approval.asked", "execution.failed"])
    make_subscription(watcher, events=["approval.asked"])
    incident, _, approval = scenes.waiting_for_approval()
    happen(incident, Event.FAILED)

    reading.keep_up()

    assert set(Outgoing.objects.values_list("subscription__slug", "event")) == {("team", "approval.asked")}
    assert approval.incident_id == incident.pk


@pytest.mark.parametrize(
    ("narrowed", "told"),
    [
        ({"min_severity": Severity.CRITICAL}, False),
        ({"min_severity": Severity.HIGH}, True),
        ({"min_severity": Severity.LOW}, True),
        ({"domains": ["logistics"]}, False),
        ({"domains": ["logistics", "billing"]}, True),
        ({"business_units": ["US"]}, False),
        ({"regions": ["DE"], "business_units": ["EU"]}, True),
        ({"regions": ["FR"]}, False),
    ],
)
def test_a_subscription_is_narrowed(watcher: User, narrowed: dict[str, Any], told: bool) -> None:
    make_subscription(watcher, events=["incident.resolved"], **narrowed)
    happen(scenes.make_incident(severity=Severity.HIGH))

    assert reading.keep_up() == int(told)


def test_an_incident_that_is_not_sized_up_yet_is_judged_later(watcher: User) -> None:
    make_subscription(watcher, events=["incident.opened"], min_severity=Severity.CRITICAL)
    scenes.make_incident(Status.NEW)
    scenes.make_incident(Status.TRIAGED)

    assert reading.keep_up() == 1


def test_what_telling_brings_about_is_never_told(watcher: User) -> None:
    make_subscription(watcher, events=["incident.needs_operator"])
    happen(scenes.make_incident(), Event.NEEDS_OPERATOR, actor=reading.ACTOR)

    assert reading.keep_up() == 0


def test_a_reader_that_dies_leaves_the_mark_and_no_message(watcher: User, monkeypatch: pytest.MonkeyPatch) -> None:
    make_subscription(watcher, events=["incident.resolved"])
    happen(scenes.make_incident())
    before = LedgerMark.objects.get().read_to

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Outgoing.objects, "bulk_create", dies)
        with pytest.raises(KeyboardInterrupt):
            reading.keep_up()

    assert LedgerMark.objects.get().read_to == before
    assert reading.keep_up() == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_readers_at_once_each_event_is_taken_by_one(watcher: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE", 5)
    make_subscription(watcher, "first", events=["incident.resolved"])
    make_subscription(watcher, "second", events=["incident.resolved"])
    incident = scenes.make_incident()
    for _ in range(30):
        happen(incident)

    counts = together(*[reading.keep_up] * 4)
    counts.append(reading.keep_up())

    assert sum(counts) == 60
    assert Outgoing.objects.count() == 60
    assert Outgoing.objects.values("subscription", "entry").distinct().count() == 60
    assert LedgerMark.objects.get().read_to == reading.head()


def fill(incident: Incident, count: int, told: int) -> None:
    """Many entries of which so many tell of something."""
    every = count // told if told else count + 1
    for start in range(0, count, 5_000):
        numbers = range(start, min(start + 5_000, count))
        lines = (
            Line("incident.resolved" if n % every == 0 else "effect.done", "system:loop", incident=incident.pk)
            for n in numbers
        )
        with transaction.atomic():
            record_all(lines)


def test_a_hundred_thousand_entries_are_read_in_bounded_pages_with_as_many_queries_each(watcher: User) -> None:
    make_subscription(watcher, events=["incident.resolved"])
    make_subscription(watcher, "also", events=["incident.resolved"])
    incident = scenes.make_incident()
    fill(incident, 100_000, told=500)
    pages = -(-(Head.objects.get().n - LedgerMark.objects.get().read_to) // reading.PAGE)
    with CaptureQueriesContext(connections["default"]) as few:
        first = reading._page()
    with CaptureQueriesContext(connections["default"]) as many:
        rest = reading.keep_up()

    assert pages >= 100
    assert (first or 0) + rest == 1_000
    assert len(few) <= 16
    # Each page asks the same, however many entries and messages: and a last look finds nothing more.
    assert len(many) <= (pages - 1) * len(few) + 6


def test_with_nobody_to_tell_the_mark_moves_to_the_end_at_once(watcher: User) -> None:
    make_subscription(watcher, enabled=False)
    fill(scenes.make_incident(), 6_000, told=10)

    with CaptureQueriesContext(connections["default"]) as asked:
        assert reading.keep_up() == 0

    assert LedgerMark.objects.get().read_to == reading.head()
    assert len(asked) < 15
