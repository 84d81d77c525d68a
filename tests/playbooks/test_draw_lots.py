"""The lot: uniform, by the record and the key alone, drawn once, and never above the limits."""

import hashlib
import hmac
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError

from audit.clock import db_now
from audit.models import Entry
from incidents.states import Status
from playbooks import actions, holdout_actions, holdouts
from playbooks.holdout_models import HoldOutDraw
from playbooks.models import Plan
from tests.factories import make_user
from tests.playbooks.cases import make_freight, make_mend
from tests.playbooks.driving import Crash, die_and_come_back, drive, hurry
from tests.playbooks.trials import begin, draft, held, seed_for, trial_for
from tests.racing import together

SEED = "5e" * 32


@pytest.fixture
def operator(db):
    return make_user("operator", role="operator")


# --- the lot --------------------------------------------------------------------------------------


def record_named(number: int) -> str:
    return hashlib.sha256(f"order {number}".encode()).hexdigest()


@pytest.mark.parametrize("share", [1, 10, 50])
def test_the_lot_falls_for_the_share_that_was_asked(share):
    n = 20_000

    hits = sum(holdouts.falls_out(SEED, record_named(number), share) for number in range(n))

    # Five standard errors of the binomial: one seed in two million would fail.
    assert abs(hits / n - share / 100) < 5 * (share / 100 * (1 - share / 100) / n) ** 0.5


def test_the_lot_is_spread_evenly_and_a_larger_share_holds_the_smaller():
    counts = [0] * 10
    for number in range(10_000):
        drawn = hmac.new(bytes.fromhex(SEED), record_named(number).encode(), hashlib.sha256).digest()
        counts[int.from_bytes(drawn[:8], "big") * 10 // 2**64] += 1
        assert holdouts.falls_out(SEED, record_named(number), 20) <= holdouts.falls_out(SEED, record_named(number), 30)

    # Chi square of ten cells: 27.9 is passed by chance once in a thousand seeds.
    assert sum((one - 1000) ** 2 / 1000 for one in counts) < 27.9


def test_the_lot_hangs_on_the_seed_alone_and_nothing_falls_out_of_no_share():
    other = "6f" * 32
    records = [record_named(number) for number in range(1_000)]

    same = sum(holdouts.falls_out(SEED, one, 50) == holdouts.falls_out(other, one, 50) for one in records)

    assert 400 < same < 600
    assert not any(holdouts.falls_out(SEED, one, 0) for one in records)
    assert all(holdouts.falls_out(SEED, one, 100) for one in records)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "changes",
    [
        {"entity_key": " so-1 "},
        {"entity_key": "SO\N{EN DASH}1"},
        {"attributes": {"case": "7"}, "title": "Another", "amount": Decimal("3.00"), "fingerprint": "e" * 64},
        {"business_unit": "US", "region": "TX"},
    ],
)
def test_a_sender_cannot_vary_the_record_to_draw_again(changes):
    first, second = make_freight(), make_freight(**{"fingerprint": "d" * 64, **changes})

    assert holdouts.record_of(first) == holdouts.record_of(second)


@pytest.mark.django_db
def test_another_record_is_another_lot():
    first, second = make_freight(), make_freight(entity_key="SO-2")

    assert holdouts.record_of(first) != holdouts.record_of(second)


# --- it sticks ------------------------------------------------------------------------------------


def test_planning_again_keeps_it_with_people_and_draws_no_second_lot(world, operator):
    incident, drawn = held()

    actions.replan(incident, by=operator, reason="Look again.")
    drive(incident)

    assert incident.status == Status.NEEDS_OPERATOR
    assert HoldOutDraw.objects.get(incident=incident).pk == drawn.pk
    assert Entry.objects.filter(verb="hold_out.held").count() == 1
    assert world.effects() == []


def test_another_seed_does_not_draw_an_incident_anew(world, operator):
    incident, _ = held()
    playbook = incident.plans.first().playbook_version.playbook
    later = begin(playbook, share=50)
    later.secret_seed = seed_for(holdouts.record_of(incident), out=False, share=50)
    later.save()

    actions.replan(incident, by=operator)
    drive(incident)

    assert incident.status == Status.NEEDS_OPERATOR
    assert HoldOutDraw.objects.count() == 1


def test_the_end_of_a_hold_out_gives_nothing_back_to_the_machine(world, operator):
    incident, drawn = held()
    holdout_actions.end(drawn.hold_out, actor="automation")

    actions.replan(incident, by=operator)
    drive(incident)

    assert incident.status == Status.NEEDS_OPERATOR
    assert world.effects() == []


def test_a_later_incident_of_the_same_record_falls_the_same_way(world, operator):
    incident, _ = held()
    actions.incident_actions.dismiss(incident, by=operator, reason="Mended by hand.")
    again = make_freight(attributes={"case": "8"})

    drive(again)

    assert again.status == Status.NEEDS_OPERATOR
    assert list(HoldOutDraw.objects.values_list("held_out", flat=True)) == [True, True]
    assert HoldOutDraw.objects.values("record").distinct().count() == 1


def test_a_worker_that_dies_after_the_lot_changes_nothing_of_it(world, monkeypatch):
    make_mend()
    incident = make_freight()
    trial_for(incident)
    original = holdouts.leave_to_people

    def dies(*_: Any, **__: Any) -> None:
        raise Crash

    monkeypatch.setattr(holdouts, "leave_to_people", dies)
    hurry(incident)
    die_and_come_back(incident)
    monkeypatch.setattr(holdouts, "leave_to_people", original)
    first = HoldOutDraw.objects.get(incident=incident)

    drive(incident)

    assert incident.status == Status.NEEDS_OPERATOR
    assert HoldOutDraw.objects.get(incident=incident).pk == first.pk


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_draw_one_lot(world):
    make_mend()
    incident = make_freight(Status.DIAGNOSED)
    trial_for(incident)
    plan = draft(incident)
    mine = [Plan.objects.get(pk=plan.pk) for _ in range(2)]

    came = together(*(partial(holdouts.keeps, one) for one in mine))

    assert [one.pk for one in came] == [HoldOutDraw.objects.get().pk] * 2
    assert Entry.objects.filter(verb="hold_out.held").count() == 1


@pytest.mark.django_db
def test_the_database_keeps_one_lot_per_incident_and_one_trial_per_playbook():
    playbook = make_mend().playbook
    trial = begin(playbook)
    drawn = {"hold_out": trial, "incident": make_freight(), "record": "r", "drawn_at": db_now(), "held_out": False}
    HoldOutDraw.objects.create(playbook_version=playbook.versions.get(), **drawn)

    with pytest.raises(IntegrityError), holdouts.transaction.atomic():
        HoldOutDraw.objects.create(playbook_version=playbook.versions.get(), **drawn)
    trial.pk = None
    trial.number = 2
    with pytest.raises(IntegrityError), holdouts.transaction.atomic():
        trial.save()


# --- never above the limits -----------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("limits", "incident", "kept"),
    [
        ({}, {"severity": "medium"}, True),
        ({}, {"severity": "high"}, False),
        ({}, {"severity": "critical"}, False),
        ({"max_severity": "low"}, {"severity": "medium"}, False),
        ({"max_severity": "critical"}, {"severity": "critical"}, True),
        ({"max_amount": Decimal(100), "currency": "EUR"}, {"amount": Decimal(100), "currency": "EUR"}, True),
        ({"max_amount": Decimal(100), "currency": "EUR"}, {"amount": Decimal("100.01"), "currency": "EUR"}, False),
        ({"max_amount": Decimal(100), "currency": "EUR"}, {"amount": Decimal(-200), "currency": "EUR"}, False),
        ({"max_amount": Decimal(100), "currency": "EUR"}, {"amount": Decimal(5), "currency": "USD"}, False),
        ({"max_amount": Decimal(100), "currency": "EUR"}, {}, False),
        (
            {"max_amount": Decimal(100), "currency": "EUR"},
            {"amount": Decimal(5), "revenue_at_risk": Decimal(500), "currency": "EUR"},
            False,
        ),
    ],
)
def test_nothing_above_the_limits_is_held_out(limits, incident, kept):
    version = make_mend()
    row = make_freight(**incident)
    trial = begin(version.playbook, **limits)
    plan = Plan(incident=row, playbook_version=version, amount=None, currency="")

    assert (holdouts.beyond_limits(trial, plan, row) == "") is kept


@pytest.mark.django_db
def test_what_the_plan_would_change_counts_for_the_limit_too():
    version = make_mend()
    row = make_freight(amount=Decimal(5), currency="EUR")
    trial = begin(version.playbook, max_amount=Decimal(100), currency="EUR")

    said = holdouts.beyond_limits(trial, Plan(incident=row, amount=Decimal(101), currency="EUR"), row)

    assert said == "101 EUR is above 100 EUR; such incidents are not held out."


def test_an_incident_above_the_limit_is_mended_and_takes_no_part(world):
    make_mend()
    incident = make_freight()
    rule = {"when": "true", "severity": "high", "because": "always"}
    incident.kind.definition = {**incident.kind.definition, "severity": [rule]}
    incident.kind.save()
    trial_for(incident)

    drive(incident)

    assert (incident.status, incident.severity) == (Status.RESOLVED, "high")
    assert not HoldOutDraw.objects.exists()


def test_what_becomes_too_severe_is_let_go_and_still_counts_as_drawn(world, operator):
    incident, drawn = held()
    actions.incident_actions.correct(incident, by=operator, severity="critical", reason="A large customer.")
    incident.refresh_from_db()

    actions.replan(incident, by=operator)
    drive(incident)

    drawn.refresh_from_db()
    assert incident.status == Status.RESOLVED
    assert drawn.held_out
    assert drawn.left_by == "system:hold-out"
    assert "severity is critical" in drawn.left_reason
