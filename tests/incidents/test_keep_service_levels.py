"""Service levels: clocks, warnings, breaches and escalations, each told exactly once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection

from audit.clock import db_now
from audit.models import Entry
from incidents import sla, tasks
from incidents.actions import acknowledge, assign, dismiss, hold, release, reopen
from incidents.models import Escalation, Incident, SlaClock
from incidents.moves import move
from incidents.states import Status
from tests.incidents.factories import make_calendar, make_incident, make_kind, make_policy


def clock_of(incident: Incident) -> SlaClock:
    return SlaClock.objects.get(incident=incident)


def rewind(incident: Incident, minutes: float) -> None:
    """Let the clock have been started so much earlier: tests move rows' times, not the clock."""
    clock = clock_of(incident)
    for name in ("started_at", "acknowledge_due", "resolve_due", "warn_at", "paused_at", "next_escalation_at"):
        moment = getattr(clock, name)
        setattr(clock, name, moment and moment - timedelta(minutes=minutes))
    clock.save()


def left(clock: SlaClock) -> float:
    """Minutes until the incident must be resolved."""
    assert clock.resolve_due is not None
    return (clock.resolve_due - db_now()).total_seconds() / 60


@pytest.mark.django_db
def test_the_first_policy_that_fits_starts_the_clock():
    make_kind()
    everything = make_policy("everything", priority=90)
    make_policy("other-domain", calendar=everything.calendar, domains=["fulfilment"], priority=1)
    make_policy("off", calendar=everything.calendar, enabled=False, priority=2)
    billing = make_policy("billing", calendar=everything.calendar, domains=["billing"], priority=3)
    make_policy("kind", calendar=everything.calendar, kinds=["duplicate_invoice"], priority=4)

    clock = clock_of(make_incident())

    assert clock.policy == billing
    assert clock.acknowledge_due == clock.started_at + timedelta(minutes=60)
    assert clock.resolve_due == clock.started_at + timedelta(minutes=1440)
    assert clock.warn_at == clock.started_at + timedelta(minutes=1080)


@pytest.mark.django_db
def test_where_no_policy_fits_there_is_no_clock():
    make_policy(domains=["legal"])

    assert not SlaClock.objects.filter(incident=make_incident()).exists()


@pytest.mark.django_db
def test_a_severity_without_a_target_has_no_due_times():
    make_policy(targets={"critical": {"acknowledge": 1, "resolve": 2}})

    clock = clock_of(make_incident())

    assert (clock.acknowledge_due, clock.resolve_due, clock.warn_at) == (None, None, None)


@pytest.mark.django_db
def test_a_calendar_that_never_opens_does_not_keep_signals_out():
    make_policy(calendar=make_calendar(hours={}))

    assert clock_of(make_incident()).resolve_due is None


@pytest.mark.django_db
def test_the_loop_taking_an_incident_acknowledges_it():
    make_kind()
    make_policy()
    incident = make_incident()

    move(incident, Status.TRIAGED, actor="system:loop")

    assert clock_of(incident).acknowledged_at is not None


@pytest.mark.django_db
def test_a_person_taking_an_incident_acknowledges_it(operator):
    make_policy()
    incident = make_incident(code="unknown")

    assign(incident, by=operator, to=operator)

    assert clock_of(incident).acknowledged_at is not None


@pytest.mark.django_db
def test_on_hold_the_clock_stands_still(operator):
    make_kind()
    make_policy()
    incident = hold(make_incident(), by=operator, reason="Waiting for the customer.")
    rewind(incident, 0)
    SlaClock.objects.update(paused_at=clock_of(incident).paused_at - timedelta(minutes=300))
    SlaClock.objects.update(resolve_due=clock_of(incident).resolve_due - timedelta(minutes=300))

    incident = release(incident, by=operator)

    assert clock_of(incident).paused_at is None
    assert 1439 < left(clock_of(incident)) <= 1440.1


@pytest.mark.django_db
def test_what_was_missed_before_the_hold_stays_missed(operator):
    make_kind()
    make_policy()
    incident = make_incident()
    rewind(incident, 2000)
    missed = clock_of(incident).resolve_due
    incident = hold(incident, by=operator, reason="Too late anyway.")

    release(incident, by=operator)

    assert clock_of(incident).resolve_due == missed


@pytest.mark.django_db
def test_closing_stops_the_clock_and_reopening_goes_on(operator):
    make_kind()
    make_policy()
    incident = dismiss(make_incident(), by=operator, reason="Known.")
    SlaClock.objects.update(
        stopped_at=clock_of(incident).stopped_at - timedelta(minutes=100),
        resolve_due=clock_of(incident).resolve_due - timedelta(minutes=100),
    )

    reopen(incident, by=operator, reason="Not known after all.")

    assert clock_of(incident).stopped_at is None
    assert 1439 < left(clock_of(incident)) <= 1440.1


@pytest.mark.django_db
def test_a_stopped_clock_is_swept_no_more(operator):
    make_policy()
    incident = dismiss(make_incident(), by=operator, reason="Known.")
    rewind(incident, 5000)

    assert sla.sweep() == {"breached": 0, "warned": 0, "escalated": 0}


# --- the sweep -----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_before_anything_is_due_nothing_is_told():
    make_policy()
    make_incident()

    assert sla.sweep() == {"breached": 0, "warned": 0, "escalated": 0}
    assert not Entry.objects.filter(verb__startswith="sla.").exists()


@pytest.mark.django_db
def test_a_warning_is_told_once():
    make_policy()
    incident = make_incident()
    sla.acknowledge(incident, db_now())
    rewind(incident, 1100)

    first, second = sla.sweep(), sla.sweep()

    assert (first["warned"], second["warned"]) == (1, 0)
    entry = Entry.objects.get(verb="sla.warned")
    assert entry.reason == "75 % of the time to resolve has passed."
    assert entry.incident_id == incident.pk


@pytest.mark.django_db
def test_an_incident_that_nobody_took_is_a_breach_told_to_the_first_role():
    make_policy(contractual=True)
    incident = make_incident()
    rewind(incident, 70)

    done = sla.sweep()

    told = Escalation.objects.get()
    assert done == {"breached": 1, "warned": 0, "escalated": 1}
    assert (told.role, told.level) == ("approver", 1)
    assert "nobody acknowledged it by" in told.justification
    assert "part of a contract" in told.justification
    assert "(1 of 2)" in told.justification


@pytest.mark.django_db
def test_an_escalation_carries_the_evidence_of_that_moment():
    make_policy()
    incident = make_incident()
    rewind(incident, 2000)

    sla.sweep()

    shown = Escalation.objects.get().snapshot
    row = incident.evidence.get()
    assert shown["evidence"][0]["digest"] == row.digest
    assert shown["incident"]["entity_key"] == "CIV-000697"
    assert shown["sla"]["policy"] == "standard"


@pytest.mark.django_db
def test_the_next_role_hears_of_it_after_the_interval_and_the_last_is_the_end():
    make_policy()
    incident = make_incident()
    rewind(incident, 2000)
    sla.sweep()
    assert sla.sweep()["escalated"] == 0
    rewind(incident, 31)

    sla.sweep()
    rewind(incident, 500)
    sla.sweep()

    assert list(Escalation.objects.values_list("level", "role")) == [(1, "approver"), (2, "compliance")]
    assert clock_of(incident).next_escalation_at is None


@pytest.mark.django_db
def test_whoever_answers_an_escalation_gets_an_interval_before_the_next_role(approver):
    make_policy()
    incident = make_incident(code="unknown")
    rewind(incident, 2000)
    sla.sweep()
    rewind(incident, 29)

    acknowledge(incident, by=approver)

    told = Escalation.objects.get()
    clock = clock_of(incident)
    assert (told.acknowledged_by, told.acknowledged_at is not None) == ("approver", True)
    assert clock.next_escalation_at > db_now() + timedelta(minutes=28)
    assert clock.acknowledged_at is not None


@pytest.mark.django_db
def test_an_escalation_is_answered_by_its_role_only(operator):
    make_policy()
    incident = make_incident(code="unknown")
    rewind(incident, 2000)
    sla.sweep()

    acknowledge(incident, by=operator)

    assert Escalation.objects.get().acknowledged_at is None


@pytest.mark.django_db
def test_on_hold_nothing_is_escalated(operator):
    make_policy()
    incident = make_incident(code="unknown")
    rewind(incident, 2000)

    hold(incident, by=operator, reason="The system is down.")

    assert sla.sweep() == {"breached": 0, "warned": 0, "escalated": 0}


@pytest.mark.django_db
def test_a_policy_without_roles_only_notes_the_breach():
    make_policy(escalate_to=[])
    incident = make_incident()
    rewind(incident, 2000)

    assert sla.sweep() == {"breached": 1, "warned": 0, "escalated": 0}
    assert clock_of(incident).breached_at is not None


@pytest.mark.django_db(transaction=True)
def test_two_sweeps_at_once_tell_everything_once():
    make_policy()
    for number in range(20):
        rewind(make_incident(entity_key=f"CIV-{number + 1}"), 2000)

    def sweep(_: int) -> dict[str, int]:
        try:
            return sla.sweep()
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(sweep, range(3)))

    assert sum(one["breached"] for one in done) == 20
    assert sum(one["escalated"] for one in done) == 20
    assert Entry.objects.filter(verb="sla.breached").count() == 20
    assert Escalation.objects.count() == 20


@pytest.mark.django_db
@pytest.mark.usefixtures("one_turn")
def test_of_two_beats_one_sweeps():
    make_policy()
    rewind(make_incident(), 2000)

    first, second = tasks.sweep_sla(), tasks.sweep_sla()

    assert first["breached"] == 1
    assert second == {}
