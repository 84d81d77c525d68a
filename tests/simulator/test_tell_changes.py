"""Dataverse and SAP tell what changes: in their own formats, once each, with a second try, and on after a restart."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from connectors.kinds.dataverse.events import inbound
from connectors.simulator import telling
from connectors.simulator.__main__ import arguments
from connectors.simulator.telling import Change, Teller, message_of
from connectors.simulator.traffic import Target
from tests.simulator.bench import Bench

BOTH = {"dv": "crm", "sap": "erp"}


class Console:
    """What a console would receive, and what it answers."""

    def __init__(self) -> None:
        self.received: list[tuple[str, dict[str, str], Any]] = []
        self.answers: list[int | Exception] = []

    def send(self, url: str, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, float]:
        self.received.append((path, headers, json.loads(body)))
        answer = self.answers.pop(0) if self.answers else 202
        if isinstance(answer, Exception):
            raise answer
        return answer, 0.0


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> Console:
    console = Console()
    monkeypatch.setattr(telling, "send", console.send)
    return console


@pytest.fixture
def account(sim: Bench) -> dict[str, Any]:
    return plant(sim, "dv", "account", name="Lamp House", accountnumber="DE-001", creditlimit=500.0)


@pytest.fixture
def teller(sim: Bench) -> Callable[..., Teller]:
    def made(hooks: dict[str, str] | None = None) -> Teller:
        target = Target("http://console.test", "hush", "")
        return Teller(sim.simulator.store, target, BOTH if hooks is None else hooks, pause=0)

    return made


def plant(sim: Bench, system: str, entity: str, **fields: Any) -> dict[str, Any]:
    body = {"system": system, "entity": entity, "fields": fields}
    return dict(sim.http.post("/control/records", json=body).raise_for_status().json()["fields"])


def edit(sim: Bench, system: str, entity: str, key: str, **changes: Any) -> None:
    body = {"system": system, "entity": entity, "key": key, "changes": changes}
    sim.http.post("/control/edit", json=body).raise_for_status()


def posts(sim: Bench) -> list[tuple[Any, ...]]:
    with sim.simulator.store.read() as session:
        return list(session.connection.execute("SELECT channel, attempts, status, error FROM posts ORDER BY n"))


def test_what_is_planted_is_told_to_nobody(account, teller, console):
    assert teller().turn() == 0
    assert console.received == []


def test_a_changed_row_is_told_as_an_execution_context_with_its_changed_columns(sim, account, teller, console):
    edit(sim, "dv", "account", account["accountid"], creditonhold=True, creditlimit=750.5)

    assert teller().turn() == 1

    (path, headers, body) = console.received[0]
    found = inbound(json.dumps(body).encode(), headers, telling.ORGANIZATION)
    assert path == "/api/v1/hooks/crm/"
    assert headers["X-Goldseam-Secret"] == "hush"
    assert headers["x-ms-dynamics-request-name"] == "Update"
    assert (found.event, found.payload["PrimaryEntityId"]) == ("account.Update", account["accountid"])
    changed = {
        name: value for name, value in found.payload["Target"].items() if name in ("creditonhold", "creditlimit")
    }
    assert changed == {"creditonhold": True, "creditlimit": 750.5}
    assert "accountnumber" not in found.payload["Target"]
    assert found.occurred_at is not None


def test_choices_lookups_and_dates_are_written_as_dataverse_writes_them(account):
    made = {"salesorderid": "b", "shippingmethodcode": 2, "_customerid_value": "c", "_customerid_value@": "account"}
    change = Change(1, "2026-01-01T00:00:00Z", "dv", "salesorder", None, {**made, "modifiedon": "2026-01-01T00:00:00Z"})
    message = message_of(change)

    assert message is not None
    target = json.loads(message.body)["InputParameters"][0]["value"]
    told = {part["key"]: part["value"] for part in target["Attributes"]}
    assert json.loads(message.body)["MessageName"] == "Create"
    assert told["shippingmethodcode"]["Value"] == 2
    assert (told["customerid"]["Id"], told["customerid"]["LogicalName"]) == ("c", "account")
    assert told["modifiedon"] == "/Date(1767225600000)/"


def test_a_changed_document_is_told_as_an_event_that_names_it(sim, teller, console):
    plant(sim, "sap", "A_SalesOrder", SalesOrder="4711")
    edit(sim, "sap", "A_SalesOrder", "4711", TotalCreditCheckStatus="B")

    assert teller().turn() == 1

    (path, headers, body) = console.received[0]
    assert path == "/api/v1/hooks/erp/"
    assert headers["Content-Type"] == "application/cloudevents+json"
    assert body["type"] == "sap.s4.beh.salesorder.v1.SalesOrder.Changed.v1"
    assert body["data"] == {"SalesOrder": "4711"}


def test_what_was_told_is_not_told_again_even_after_a_restart(sim, account, teller, console):
    edit(sim, "dv", "account", account["accountid"], name="One")
    first = teller().turn()
    edit(sim, "dv", "account", account["accountid"], name="Two")

    assert (first, teller().turn(), teller().turn()) == (1, 1, 0)
    ids = [body["OperationId"] for _, _, body in console.received]
    assert len(set(ids)) == 2


def test_told_twice_it_carries_the_same_id(sim, account, teller, console):
    edit(sim, "dv", "account", account["accountid"], name="One")
    teller().turn()
    with sim.simulator.store.write() as session:
        session.set_meta("told", "0")
    teller().turn()

    assert len({body["OperationId"] for _, _, body in console.received}) == 1


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_webhook_is_tried_once_more_and_then_given_up(sim, account, teller, console, status):
    console.answers = [status, status]
    edit(sim, "dv", "account", account["accountid"], name="One")

    teller().turn()
    teller().turn()

    assert len(console.received) == 2
    assert posts(sim) == [("dv_hook", 2, status, f"HTTP {status}")]


@pytest.mark.parametrize("failure", [401, 429, 500, ConnectionRefusedError("nobody there")])
def test_a_webhook_is_not_repeated_after_anything_else(sim, account, teller, console, failure):
    console.answers = [failure]
    edit(sim, "dv", "account", account["accountid"], name="One")

    teller().turn()

    assert len(console.received) == 1
    assert posts(sim)[0][:2] == ("dv_hook", 1)
    assert posts(sim)[0][3]


def test_an_event_is_sent_until_it_is_heard(sim, teller, console):
    console.answers = [500, 429, ConnectionRefusedError("nobody there")]
    plant(sim, "sap", "A_SalesOrder", SalesOrder="4711")
    edit(sim, "sap", "A_SalesOrder", "4711", TotalCreditCheckStatus="B")

    teller().turn()

    assert len({body["id"] for _, _, body in console.received}) == 1
    assert posts(sim) == [("sap_hook", 4, 202, None)]


def test_a_system_that_nobody_listens_to_is_silent(sim, account, teller, console):
    plant(sim, "sap", "A_SalesOrder", SalesOrder="4711")
    edit(sim, "dv", "account", account["accountid"], name="One")
    edit(sim, "sap", "A_SalesOrder", "4711", TotalCreditCheckStatus="B")

    assert teller({"sap": "erp"}).turn() == 1
    assert [path for path, _, _ in console.received] == ["/api/v1/hooks/erp/"]


def test_after_a_reset_it_begins_anew(sim, account, teller, console):
    edit(sim, "dv", "account", account["accountid"], name="One")
    teller().turn()
    sim.http.post("/control/reset", json={"business": "empty"}).raise_for_status()
    again = plant(sim, "dv", "account", name="Other", accountnumber="DE-009")
    edit(sim, "dv", "account", again["accountid"], name="New")

    assert teller().turn() == 1
    assert console.received[-1][2]["PrimaryEntityId"] == again["accountid"]


def test_a_running_teller_ends_when_it_is_asked_to(sim, account, teller, console):
    edit(sim, "dv", "account", account["accountid"], name="One")
    running = teller()
    running.start()
    running.stop()
    running.join(timeout=10)

    assert not running.is_alive()


def test_who_tells_is_said_on_the_command_line():
    assert arguments(["--data", "x"]).tell == []
    assert arguments(["--data", "x", "--tell", "dv", "sap"]).tell == ["dv", "sap"]
