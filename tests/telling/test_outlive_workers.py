"""Workers die anywhere, and several work at once: each event reaches the receiver, in order, and once by its id."""

from collections import defaultdict
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections

from audit.errors import LostRace
from connectors import gateway
from connectors.base import Unanswered, Unreachable
from incidents.states import Status
from playbooks.telling import actions, content, reading, sending, tasks
from playbooks.telling.models import LedgerMark, Outgoing
from playbooks.telling.states import Event, OutState
from tests.playbooks import scenes
from tests.racing import together
from tests.telling.factories import Herald, due_now, happen, make_outgoing, make_subscription, states

pytestmark = pytest.mark.django_db(transaction=True)


class Killed(BaseException):
    """What no handler catches: the process is gone."""


def dying(real: Any, *, before: bool) -> Any:
    """Return a function that dies once, before or after it has done its work."""
    deaths = iter([Killed()])

    def acting(*args: Any, **named: Any) -> Any:
        death = next(deaths, None)
        if before and death is not None:
            raise death
        result = real(*args, **named)
        if death is not None:
            raise death
        return result

    return acting


POINTS = [
    (sending, "_claim"), (content, "gather"), (content, "compose"), (sending, "_write"), (gateway, "call"),
]  # fmt: skip


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(("where", "name"), POINTS, ids=[name for _, name in POINTS])
def test_wherever_a_worker_dies_the_event_arrives_once_by_its_id(
    watcher: User, monkeypatch: pytest.MonkeyPatch, where: Any, name: str, before: bool
) -> None:
    make_subscription(watcher, events=["incident.resolved"])
    entry = happen(scenes.make_incident(Status.RESOLVED))
    reading.keep_up()
    (row,) = Outgoing.objects.all()
    monkeypatch.setattr(where, name, dying(getattr(where, name), before=before))

    with pytest.raises(Killed):
        sending.send(row.pk)
    due_now()
    for _ in range(2):
        sending.send(row.pk)
        due_now()

    assert states() == ["sent"]
    assert {message.id for _, message in Herald.told} == {f"{entry.n}-{entry.hash[:16]}"}
    assert len({message.model_dump_json() for _, message in Herald.told}) == 1


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_sweep_that_dies_loses_and_doubles_nothing(
    watcher: User, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    make_subscription(watcher, events=["incident.resolved"])
    incident = scenes.make_incident(Status.RESOLVED)
    for _ in range(7):
        happen(incident)
    monkeypatch.setattr(reading, "PAGE", 3)
    monkeypatch.setattr(reading, "_message", dying(reading._message, before=before))

    with pytest.raises(Killed):
        reading.keep_up()
    reading.keep_up()

    assert Outgoing.objects.count() == 7
    assert LedgerMark.objects.get().read_to == reading.head()


def test_many_workers_on_a_bad_line_tell_everything_in_order(watcher: User, settings: Any) -> None:
    settings.RETRY_LIMIT = 1_000
    make_subscription(watcher, events=["incident.resolved", "incident.rolled_back"])
    incidents = [scenes.make_incident(Status.ROLLED_BACK) for _ in range(4)]
    for turn in range(6):
        for incident in incidents:
            happen(incident, Event.RESOLVED if turn % 2 else Event.ROLLED_BACK)
    draw = Random(7)
    Herald.answers[:] = [draw.choice([{}, {}, Unreachable("away"), Unanswered("lost")]) for _ in range(60)]

    together(*[_work] * 4)

    assert set(states()) == {"sent"}
    assert len(states()) == 24
    first: dict[str, list[int]] = defaultdict(list)
    for _, message in Herald.told:
        number = int(message.id.partition("-")[0])
        if number not in first[message.subject]:
            first[message.subject].append(number)
    assert len(first) == 4
    assert all(numbers == sorted(numbers) and len(numbers) == 6 for numbers in first.values())


def _work() -> None:
    try:
        for _ in _turns():
            reading.keep_up()
            due_now_unclaimed()
            for number in sending.due():
                sending.send(number)
    finally:
        connections.close_all()


def _turns() -> Iterator[int]:
    for turn in range(200):
        yield turn
        if turn and not Outgoing.objects.filter(state=OutState.PENDING).exists():
            return


def due_now_unclaimed() -> None:
    """End the waits between tries, and leave alone what a worker holds at this moment."""
    waits = Outgoing.objects.filter(state=OutState.PENDING, due_at__lt=scenes.db_now() + scenes.timedelta(seconds=40))
    waits.exclude(state_reason="").update(due_at=scenes.db_now())


def test_what_was_moved_meanwhile_is_not_moved_again(watcher: User, operator: User) -> None:
    row = make_outgoing(scenes.make_incident(), make_subscription(watcher), state="dead")
    late = Outgoing.objects.get(pk=row.pk)
    actions.send_again(row, by=operator, reason="The channel is back.")

    with pytest.raises(LostRace):
        actions.set_aside(late, by=operator, reason="Nobody needs it.")


def test_a_bell_that_rings_twice_or_for_nothing_is_harmless(watcher: User) -> None:
    row = make_outgoing(scenes.make_incident(Status.RESOLVED), make_subscription(watcher))

    for _ in range(3):
        tasks.tell(outgoing_id=row.pk)
    tasks.tell(outgoing_id=row.pk + 1_000)

    assert len(Herald.told) == 1
