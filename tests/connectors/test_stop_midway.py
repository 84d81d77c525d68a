"""A write that is let in and needs other requests first is held against the rules once more before it goes out."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

import httpx
import pytest

from audit.clock import db_now
from connectors import actions, gateway, registry
from connectors.base import Arguments, Blocked, Connector, Health, Read, Record, Risk, Unreachable, Write, Written
from connectors.door import pacing
from connectors.models import Call, Connection, EmergencyStop
from tests.connectors.at_door import RELEASE, change, open_fo, release
from tests.connectors.factories import Played, make_fo

CHANGES: dict[str, tuple[str, Callable[[Connection], Any]]] = {
    "everything is stopped": ("stopped", lambda fo: actions.stop_everything(reason="Fraud", actor="anna")),
    "the connection is stopped": (
        "stopped", lambda fo: actions.stop_everything(reason="Fraud", actor="anna", connection=fo),
    ),
    "the operation is stopped": (
        "stopped", lambda fo: actions.stop_everything(reason="Fraud", actor="anna", operation="hold.release"),
    ),
    "the connection is disabled": ("disabled", lambda fo: change(fo, enabled=False)),
    "the operation is taken off the list": ("operation", lambda fo: change(fo, operations=["invoice.credit"])),
    "another worker is asked to wait": ("not_before", lambda fo: change(fo, not_before=db_now() + timedelta(hours=1))),
}  # fmt: skip


@pytest.fixture
def fo(db: None, played: Played) -> Connection:
    return open_fo(played)


def token_then(played: Played, what: Callable[[], Any]) -> None:
    """Let something happen while the token server takes its time."""

    def give(request: httpx.Request) -> httpx.Response:
        what()
        return httpx.Response(200, json={"access_token": "t", "token_type": "Bearer", "expires_in": 3599})

    played.on("POST", "token", give)


@pytest.mark.parametrize("happens", CHANGES)
def test_what_is_changed_while_a_token_is_fetched_keeps_a_write_back(
    fo: Connection, played: Played, happens: str
) -> None:
    code, act = CHANGES[happens]
    token_then(played, lambda: act(fo))

    with pytest.raises(Blocked) as blocked:
        release(fo)

    assert blocked.value.code == code
    assert not blocked.value.effect_possible
    assert [request.method for request in played.calls if request.method != "GET"] == []
    assert Call.objects.latest("id").outcome == "blocked"


def test_a_write_that_nothing_has_changed_for_goes_out(fo: Connection, played: Played) -> None:
    token_then(played, lambda: None)

    release(fo)

    assert [request.url.path for request in played.calls if request.method == "POST"] == [RELEASE]


def test_what_is_changed_while_a_refused_token_is_renewed_keeps_it_back_too(fo: Connection, played: Played) -> None:
    release(fo)
    answers = iter([httpx.Response(401), httpx.Response(200, json={"value": "No"})])
    played.on("POST", RELEASE, lambda request: next(answers))
    token_then(played, lambda: actions.stop_everything(reason="Fraud", actor="anna"))

    with pytest.raises(Blocked, match="Fraud"):
        release(fo)

    assert next(answers).status_code == 200, "the second request was never sent"


def test_reads_go_on_through_a_stop(fo: Connection, played: Played) -> None:
    token_then(played, lambda: actions.stop_everything(reason="Fraud", actor="anna"))

    found = gateway.observe(fo, "hold.release", {"company": "demf", "order": "SO-1", "reason": "x"}, actor="test")

    assert found[0].fields["SalesOrderNumber"] == "SO-1"
    assert EmergencyStop.objects.filter(ended_at=None).exists()


def test_a_write_of_several_requests_that_has_begun_is_carried_through(
    fo: Connection, played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    from connectors.kinds.dynamics_fo.connector import DynamicsFO

    def twice(self: Any, operation: Write, arguments: Any, *, effect_key: str, version: str = "") -> Written:
        root = self.settings.environment_url
        self.send("POST", root + RELEASE, json={}, effect_key=effect_key)
        actions.stop_everything(reason="Fraud", actor="anna")
        self.send("POST", root + RELEASE, json={}, effect_key=effect_key)
        return Written()

    monkeypatch.setattr(DynamicsFO, "write", twice)

    release(fo)

    assert len([request for request in played.calls if request.method == "POST"]) == 2


# --- an operation that became another -------------------------------------------------------------------
WROTE: list[str] = []


class Nothing(Arguments):
    """No arguments."""


class Lamp(Connector):
    """A toy whose one operation is a read or a write, as its settings say."""

    class Settings(Arguments):
        """What the operation is."""

        writes: bool = False

    slug = "lamp"
    label = "Lamp"
    config = Settings
    READ: ClassVar = Read("lamp.press", Nothing)
    WRITE: ClassVar = Write(
        "lamp.press", Nothing, "Press", observe=lambda *_: [], predict=lambda *_: [], undo=lambda *_: None,
        risk=Risk.HIGH,
    )  # fmt: skip

    @classmethod
    def operations_of(cls, settings: Any) -> tuple[Any, ...]:
        return (cls.WRITE if settings.writes else cls.READ,)

    def check(self) -> Health:
        return Health(True, (), "")

    def read(self, operation: Read, arguments: Any) -> list[Record]:
        return []

    def write(self, operation: Write, arguments: Any, *, effect_key: str, version: str = "") -> Written:
        WROTE.append(effect_key)
        return Written()


@pytest.mark.django_db
def test_what_was_a_read_when_it_was_asked_for_is_not_done_as_a_write(monkeypatch: pytest.MonkeyPatch) -> None:
    WROTE.clear()
    monkeypatch.setitem(registry.KINDS, "lamp", Lamp)
    lamp = actions.create_connection("lamp", "lamp", actor="test", config={"writes": False})
    stale = Connection.objects.get()
    assert gateway.call(stale, "lamp.press", {}, actor="test").records == []
    actions.update_connection(lamp, actor="test", config={"writes": True})
    actions.stop_everything(reason="Fraud", actor="anna")

    with pytest.raises(Blocked, match="changed") as blocked:
        gateway.call(stale, "lamp.press", {}, actor="test")

    assert blocked.value.code == "operation"
    assert WROTE == []


# --- pauses ------------------------------------------------------------------------------------------------
def test_a_token_server_that_asks_to_wait_with_an_error_is_waited_for_by_all(fo: Connection, played: Played) -> None:
    played.on("POST", "token", httpx.Response(500, headers={"Retry-After": "90"}, json={}))

    with pytest.raises(Unreachable, match="Nothing was written"):
        release(fo)

    asked = len(played.requests)
    with pytest.raises(Blocked) as waits:
        release(Connection.objects.get(pk=fo.pk))
    assert waits.value.code == "not_before"
    assert len(played.requests) == asked


def test_a_first_use_does_not_cut_a_longer_pause_that_another_worker_met(fo: Connection) -> None:
    release(fo)
    near, far = db_now() + timedelta(minutes=1), db_now() + timedelta(hours=1)
    change(fo, not_before=near)
    newer = make_fo(slug="fo2")
    stale = Connection.objects.get(pk=newer.pk)
    change(newer, not_before=far)

    pacing.gate_of(stale, registry.connector_for(stale))

    newer.refresh_from_db()
    assert newer.not_before == far
    assert newer.gate_id == Connection.objects.get(pk=fo.pk).gate_id
