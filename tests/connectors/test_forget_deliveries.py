"""What systems told long ago is forgotten in batches; that they told it is not, so that nothing is taken in twice."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from audit.clock import db_now
from audit.models import Entry
from connectors import forgetting, tasks
from connectors.base import Inbound
from connectors.inbound import replays, webhooks
from connectors.models import Connection, Delivery, EarlierMail
from incidents.models import Signal
from incidents.states import Status
from tests.connectors.factories import make_fo
from tests.incidents.factories import make_incident, put
from tests.racing import together

pytestmark = pytest.mark.django_db


@pytest.fixture
def fo() -> Connection:
    return make_fo()


def make_old(fo: Connection, *, days: float = 181, judged: float | None = 181, key: str = "") -> Delivery:
    """A delivery that came, and was judged, so many days ago."""
    now = db_now()
    return Delivery.objects.create(
        connection=fo, external_id=key or f"E-{Delivery.objects.count()}", event="Posted", payload={"order": "SO-1"},
        received_at=now - timedelta(days=days), outcome="no_rule" if judged else "", message="As it was.",
        processed_at=now - timedelta(days=judged) if judged else None,
    )  # fmt: skip


def whole() -> list[str]:
    return sorted(row.external_id for row in Delivery.objects.all() if row.payload)


def test_what_was_told_goes_and_that_it_was_told_stays(fo: Connection) -> None:
    old = make_old(fo)
    make_old(fo, days=179, judged=179, key="young")

    assert forgetting.forget_deliveries() == 1

    old.refresh_from_db()
    assert (old.payload, old.message, old.outcome, old.event) == ({}, "", "no_rule", "Posted")
    assert old.forgotten_at is not None
    assert whole() == ["young"]


def test_the_same_told_again_adds_nothing_after_it_was_forgotten(fo: Connection) -> None:
    make_old(fo, key="E-7")
    forgetting.forget_deliveries()

    received = webhooks.store(fo, [Inbound("E-7", "Posted", {"order": "SO-1"})])

    assert (received.accepted, received.repeated) == (0, 1)
    assert Delivery.objects.get().processed_at is not None


def test_what_waits_or_was_judged_again_lately_stays_whole(fo: Connection) -> None:
    make_old(fo, judged=None, key="waits")
    make_old(fo, judged=3, key="replayed")

    assert forgetting.forget_deliveries() == 0
    assert whole() == ["replayed", "waits"]


def test_what_became_a_signal_stays_whole_until_its_incident_is_over(fo: Connection) -> None:
    incident = make_incident()
    Signal.objects.update(delivery_id=make_old(fo).pk)
    before = forgetting.forget_deliveries()
    put(incident, Status.DISMISSED)

    assert (before, forgetting.forget_deliveries()) == (0, 1)


def test_they_go_batch_by_batch_and_the_ledger_counts_them(fo: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "BATCH", 2)
    for _ in range(5):
        make_old(fo)

    assert forgetting.forget_deliveries() == 5
    entries = Entry.objects.filter(verb="delivery.forgotten").order_by("n")
    assert [json.loads(entry.body)["data"]["deliveries"] for entry in entries] == [2, 2, 1]


def test_a_turn_that_was_cut_short_is_gone_on_with(fo: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "BATCH", 2)
    monkeypatch.setattr(forgetting, "BATCHES", 1)
    for _ in range(5):
        make_old(fo)

    assert [forgetting.forget_deliveries() for _ in range(4)] == [2, 2, 1, 0]


def test_what_was_needed_is_looked_at_again_once_all_were_seen(fo: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "BATCH", 1)
    needed = {make_old(fo).pk}
    make_old(fo)
    monkeypatch.setattr(forgetting, "_of_deliveries", {"test": lambda _: needed})
    first = forgetting.forget_deliveries()
    needed.clear()

    assert (first, forgetting.forget_deliveries()) == (1, 1)


def test_nothing_is_forgotten_where_the_setting_is_nought(fo: Connection, settings: Any) -> None:
    settings.DELIVERY_KEEP_DAYS = 0
    make_old(fo, days=10_000, judged=10_000)

    assert forgetting.forget_deliveries() == 0


def test_what_was_forgotten_cannot_be_replayed_and_that_is_said(fo: Connection) -> None:
    gone, there = make_old(fo), make_old(fo, days=9, judged=9)
    forgetting.forget_deliveries()

    assert replays.replay([gone.pk, there.pk], reason="A rule was mended.", actor="ada") == (there.pk,)
    with pytest.raises(replays.NothingToReplay, match="DELIVERY_KEEP_DAYS"):
        replays.replay([gone.pk], reason="A rule was mended.", actor="ada")


def test_the_page_of_a_forgotten_delivery_says_so_and_offers_no_replay(fo: Connection, admin: User) -> None:
    browser = Client()
    browser.force_login(admin)
    row = make_old(fo)
    page = reverse("admin:connectors_delivery_change", args=[row.pk])
    replay = reverse("admin:connectors_delivery_replay")
    before = browser.get(page).content.decode()
    forgetting.forget_deliveries()
    after = browser.get(page).content.decode()

    assert ("SO-1" in before, f"{replay}?ids={row.pk}" in before) == (True, True)
    assert ("SO-1" in after, f"{replay}?ids={row.pk}" in after) == (False, False)
    assert replays.FORGOTTEN in after
    sent = browser.post(replay, {"ids": str(row.pk), "reason": "Why not."}, follow=True).content.decode()
    assert "Nothing is left of it" in sent


def test_what_later_mails_need_goes_once_nobody_looks_for_it(fo: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "BATCH", 2)
    now = db_now()
    for number, days in enumerate((200, 190, 181, 179)):
        at = now - timedelta(days=days)
        EarlierMail.objects.create(
            connection=fo, identifier=f"{number}@x.test", external_id=str(number), received_at=at
        )

    assert forgetting.forget_mails() == 3
    assert EarlierMail.objects.get().identifier == "3@x.test"


@pytest.mark.usefixtures("one_turn")
def test_of_two_schedulers_one_forgets(fo: Connection) -> None:
    make_old(fo)
    first = tasks.forget_traffic()
    make_old(fo)

    assert (first, tasks.forget_traffic()) == (1, 0)


@pytest.mark.django_db(transaction=True)
def test_two_that_forget_at_once_forget_each_once(fo: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "BATCH", 5)
    for _ in range(40):
        make_old(fo)

    assert sum(together(*[forgetting.forget_deliveries] * 3)) == 40

    entries = Entry.objects.filter(verb="delivery.forgotten")
    assert sum(json.loads(entry.body)["data"]["deliveries"] for entry in entries) == 40
