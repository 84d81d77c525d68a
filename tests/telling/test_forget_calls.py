"""Old calls go in batches; whatever still refers to one, on any floor, keeps it."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from audit.clock import db_now
from audit.models import Entry
from connectors import forgetting
from connectors.door import credential_uses
from connectors.door.uses import OperationUse, UseMark
from connectors.models import BegunThread, Call, Connection
from connectors.rights import counting
from incidents.models import Evidence, Incident
from incidents.states import Status
from insights.kpis import usage
from playbooks.models import DeadLetter, StepRun
from playbooks.states import ExecutionState
from playbooks.telling.states import OutState
from tests.playbooks import scenes
from tests.racing import together
from tests.telling.factories import make_outgoing, make_subscription

pytestmark = pytest.mark.django_db


@pytest.fixture
def fo() -> Connection:
    return Connection.objects.create(slug="fo", kind="dynamics_fo", label="F&O")


def make_old(connection: Connection, *, days: float = 366, count: bool = True, **columns: Any) -> Call:
    """A call of so many days ago, and unless told otherwise everything has been counted since."""
    began = db_now() - timedelta(days=days)
    given = {"operation": "order.get", "direction": "read", "actor": "system:loop", "outcome": "ok", **columns}
    call = Call.objects.create(connection=connection, started_at=began, finished_at=began, **given)
    if count:
        counting.count()
        usage.count()
    return call


def test_calls_older_than_the_setting_says_go_and_younger_ones_stay(fo: Connection) -> None:
    make_old(fo)
    young = make_old(fo, days=364)

    assert forgetting.forget_calls() == 1
    assert Call.objects.get() == young


def a_cited(call: Call) -> None:
    evidence = scenes.make_evidence(over(), "order", "SO-1")
    Evidence.objects.filter(pk=evidence.pk).update(call_id=call.pk)


def a_told(call: Call) -> None:
    told = scenes.make_incident(Status.RESOLVED)
    Call.objects.filter(pk=call.pk).update(direction="tell", incident_id=told.pk)
    make_outgoing(told, make_subscription(User.objects.get(username="watcher")), state=OutState.SENT, call_id=call.pk)


def a_still_to_tell(call: Call) -> None:
    told = scenes.make_incident(Status.RESOLVED)
    Call.objects.filter(pk=call.pk).update(direction="tell", incident_id=told.pk)
    make_outgoing(told, make_subscription(User.objects.get(username="watcher")), state=OutState.DEAD)


def a_step(call: Call) -> None:
    scenes.resolved()
    key = StepRun.objects.values_list("effect_key", flat=True)[0]
    Call.objects.filter(pk=call.pk).update(direction="tell", effect_key=key)


def a_write(call: Call) -> None:
    Call.objects.filter(pk=call.pk).update(direction="write", effect_key="k-1")


def a_look_for_an_effect(call: Call) -> None:
    Call.objects.filter(pk=call.pk).update(direction="find", effect_key="k-1")


def an_open_incident(call: Call) -> None:
    open_ = scenes.make_incident(Status.NEEDS_OPERATOR)
    Call.objects.filter(pk=call.pk).update(incident_id=open_.pk)


def a_dead_letter(call: Call) -> None:
    incident, run, _letter = scenes.stuck()
    Incident.objects.filter(pk=incident.pk).update(status=Status.DISMISSED, closed_at=db_now())
    type(run).objects.filter(pk=run.pk).update(state=ExecutionState.CANCELLED)
    assert DeadLetter.objects.get().state == "waiting"
    Call.objects.filter(pk=call.pk).update(incident_id=incident.pk)


def an_execution_under_way(call: Call) -> None:
    incident, _plan, run = scenes.resolved()
    type(run).objects.filter(pk=run.pk).update(state=ExecutionState.RUNNING)
    Call.objects.filter(pk=call.pk).update(incident_id=incident.pk)


def the_report_of_rights(_call: Call) -> None:
    UseMark.objects.update(last_id=0)


def the_sums_of_use(_call: Call) -> None:
    usage.UsageMark.objects.update(last_id=0)


def the_last_message_of_its_connection(call: Call) -> None:
    Call.objects.filter(pk=call.pk).update(direction="tell", requests=1)


def over() -> Incident:
    return scenes.make_incident(Status.RESOLVED)


@pytest.mark.parametrize(
    "refers",
    [
        a_cited, a_told, a_still_to_tell, a_step, a_write, a_look_for_an_effect, an_open_incident, a_dead_letter,
        an_execution_under_way, the_report_of_rights, the_sums_of_use, the_last_message_of_its_connection,
    ],
)  # fmt: skip
def test_a_call_stays_while_it_is_needed(fo: Connection, watcher: User, refers: Callable[[Call], None]) -> None:
    call = make_old(fo)
    refers(call)

    assert forgetting.forget_calls() == 0
    assert Call.objects.filter(pk=call.pk).exists()


def test_what_was_asked_for_an_incident_goes_once_that_is_over(fo: Connection) -> None:
    incident = scenes.make_incident(Status.NEEDS_OPERATOR)
    make_old(fo, incident_id=incident.pk)
    before = forgetting.forget_calls()
    Incident.objects.filter(pk=incident.pk).update(status=Status.DISMISSED, closed_at=db_now())

    assert (before, forgetting.forget_calls()) == (0, 1)


def test_of_the_messages_of_a_connection_the_last_one_that_went_out_stays(fo: Connection) -> None:
    told = [make_old(fo, direction="tell", requests=requests) for requests in (1, 1, 0)]

    assert forgetting.forget_calls() == 2
    assert Call.objects.get() == told[1]
    assert credential_uses._last_sent(fo) == told[1].started_at


def test_uses_are_reported_after_their_calls_were_forgotten(fo: Connection) -> None:
    make_old(fo)
    forgetting.forget_calls()

    assert OperationUse.objects.get().calls == 1


def test_a_thread_that_we_began_outlasts_the_call_that_began_it(fo: Connection) -> None:
    incident = over()
    make_old(fo, direction="tell", incident_id=incident.pk, answer={"result": {"thread": "T-1"}})
    BegunThread.objects.create(connection=fo, thread="T-1", incident_id=incident.pk)
    forgetting.forget_calls()

    from connectors.door import threads

    assert not Call.objects.exists()
    assert threads.incident_of(fo.pk, "T-1") == incident.pk


def test_they_go_batch_by_batch_and_the_ledger_counts_them(fo: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "BATCH", 2)
    for _ in range(5):
        make_old(fo)

    assert forgetting.forget_calls() == 5
    entries = Entry.objects.filter(verb="call.forgotten").order_by("n")
    assert [json.loads(entry.body)["data"]["calls"] for entry in entries] == [2, 2, 1]


def test_what_stays_keeps_no_later_call_from_going(fo: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "BATCH", 2)
    monkeypatch.setattr(forgetting, "BATCHES", 1)
    for _ in range(3):
        make_old(fo, direction="write", effect_key="k")
    make_old(fo)

    assert [forgetting.forget_calls() for _ in range(2)] == [0, 1]


def test_nothing_is_forgotten_where_the_setting_is_nought(fo: Connection, settings: Any) -> None:
    settings.CALL_KEEP_DAYS = 0
    make_old(fo, days=10_000)

    assert forgetting.forget_calls() == 0


@pytest.mark.django_db(transaction=True)
def test_two_that_forget_at_once_forget_each_once(fo: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "BATCH", 5)
    for _ in range(40):
        make_old(fo, count=False)
    counting.count()
    usage.count()

    assert sum(together(*[forgetting.forget_calls] * 3)) == 40

    entries = Entry.objects.filter(verb="call.forgotten")
    assert sum(json.loads(entry.body)["data"]["calls"] for entry in entries) == 40


def test_the_address_of_a_forgotten_call_is_answered(fo: Connection, admin: User) -> None:
    browser = Client()
    browser.force_login(admin)
    call = make_old(fo)
    forgetting.forget_calls()

    answer = browser.get(reverse("admin:connectors_call_change", args=[call.pk]), follow=True)

    assert answer.status_code == 200
    assert "doesn’t exist" in answer.content.decode()
