"""The ledgers and the outsider's controls: what happened, a person's change, planting, reset, restart."""

import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.simulator.server import serve
from tests.simulator.bench import Bench

ORDER = "SalesOrderHeadersV2(dataAreaId='demf',SalesOrderNumber='SO-1')"
EFFECT = {"n", "time", "system", "entity", "kind", "before", "after", "effect_key"}


@pytest.fixture
def world(sim: Bench) -> Bench:
    sim.order("SO-1", DeliveryModeCode="GROUND")
    return sim


def edit(world: Bench, **body: Any) -> httpx.Response:
    return world.http.post("/control/edit", json={"system": "fo", "entity": "SalesOrderHeadersV2", **body})


def test_an_effect_tells_what_was_before_and_after(world: Bench):
    before = world.truth("fo", "SalesOrderHeadersV2", "SO-1")
    world.fo("PATCH", ORDER, json={"DeliveryModeCode": "EXPRESS"}, headers={"X-Effect-Key": "key-1"})

    (effect,) = world.effects()
    assert set(effect) == EFFECT
    assert (effect["n"], effect["system"], effect["entity"]) == (1, "fo", "SalesOrderHeadersV2")
    assert (effect["kind"], effect["effect_key"]) == ("update", "key-1")
    assert effect["before"] == before
    assert effect["after"] == {**before, "DeliveryModeCode": "EXPRESS"}
    assert effect["time"].endswith("Z")


def test_births_and_deaths_have_an_empty_side(world: Bench):
    world.fo("POST", "SalesOrderHeadersV2", json={"dataAreaId": "demf", "SalesOrderNumber": "SO-2"})
    world.fo("DELETE", ORDER)

    born, died = world.effects()
    assert (born["kind"], born["before"], born["after"]["SalesOrderNumber"]) == ("create", None, "SO-2")
    assert (died["kind"], died["before"]["SalesOrderNumber"], died["after"]) == ("delete", "SO-1", None)


def test_the_rows_of_one_act_share_their_time(world: Bench):
    world.invoice("INV-1")
    invoice = "SalesInvoiceHeadersV2(dataAreaId='demf',InvoiceNumber='INV-1')"

    world.fo("POST", f"{invoice}/Microsoft.Dynamics.DataEntities.CreditInvoice", json={"Reference": "key-1"})

    assert len(world.effects()) == 2
    assert len({row["time"] for row in world.effects()}) == 1


def test_a_header_key_wins_over_the_reference(world: Bench):
    path = f"{ORDER}/Microsoft.Dynamics.DataEntities.PlaceCreditHold"

    world.fo("POST", path, json={"Reference": "body"}, headers={"X-Effect-Key": "header"})

    assert world.effects()[0]["effect_key"] == "header"
    assert world.requests()[-1]["effect_key"] == "header"


def test_every_request_to_a_system_is_listed_with_its_outcome(world: Bench):
    world.fo("GET", ORDER)
    world.fo("PATCH", ORDER, json={"Nowhere": 1})
    world.fo("PATCH", ORDER, json={"DeliveryModeCode": "X"})

    rows = world.requests()
    names = {"n", "arrival", "system", "method", "path", "effect_key", "fault", "committed", "status", "retry_after"}
    assert set(rows[0]) == names
    assert [row["n"] for row in rows] == [1, 2, 3, 4, 5]
    assert [(row["method"], row["committed"], row["status"]) for row in rows[2:]] == [
        ("GET", False, 200),
        ("PATCH", False, 400),
        ("PATCH", True, 204),
    ]
    assert rows[2]["path"].startswith("/fo/data/SalesOrderHeadersV2(")
    assert "cross-company=true" in rows[2]["path"]


def test_a_ledger_can_be_read_on_from_where_one_stopped(world: Bench):
    for mode in ("A", "B", "C"):
        world.fo("PATCH", ORDER, json={"DeliveryModeCode": mode})

    rest = world.http.get("/ledger/effects", params={"since": "1"}).json()
    part = world.http.get("/ledger/effects", params={"since": "0", "limit": "2"}).json()

    assert [row["n"] for row in rest] == [2, 3]
    assert [row["n"] for row in part] == [1, 2]


@pytest.mark.parametrize("params", [{"since": "x"}, {"limit": "-1"}])
def test_a_ledger_page_that_makes_no_sense_is_a_400(sim: Bench, params: dict[str, str]):
    assert sim.http.get("/ledger/requests", params=params).status_code == 400


def test_a_persons_edit_is_a_new_version_without_a_key(world: Bench):
    etag = world.fo("GET", ORDER).json()["@odata.etag"]

    answer = edit(world, key={"SalesOrderNumber": "SO-1"}, changes={"DeliveryModeCode": "ECONOMY"})
    late = world.fo("PATCH", ORDER, json={"DeliveryModeCode": "X"}, headers={"If-Match": etag})

    (effect,) = world.effects()
    assert answer.json()["version"] == 2
    assert (effect["kind"], effect["effect_key"]) == ("person", None)
    assert effect["after"]["DeliveryModeCode"] == "ECONOMY"
    assert late.status_code == 412


def test_a_person_may_edit_a_posted_invoice_and_a_case(world: Bench):
    world.invoice("INV-1")
    case = world.plant("sf", "Case", Subject="x")["Id"]
    body = {"system": "fo", "entity": "SalesInvoiceHeadersV2", "id": "INV-1", "changes": {"RemainingAmount": 0}}

    invoice = world.http.post("/control/edit", json=body)
    changed = world.http.post(
        "/control/edit", json={"system": "sf", "entity": "Case", "id": case, "changes": {"Status": "Closed"}}
    )

    assert invoice.json()["fields"]["RemainingAmount"] == 0
    assert changed.json()["fields"]["Status"] == "Closed"
    assert {row["kind"] for row in world.effects()} == {"person"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"id": "SO-1"}, 400),
        ({"id": "SO-1", "changes": {}}, 400),
        ({"id": "SO-1", "changes": {"Nowhere": 1}}, 400),
        ({"id": "SO-1", "changes": {"SalesOrderNumber": "SO-9"}}, 400),
        ({"id": "SO-9", "changes": {"DeliveryModeCode": "X"}}, 404),
        ({"id": "SO-1", "changes": {"DeliveryModeCode": "X"}, "entity": "Nothing"}, 404),
        ({"id": "SO-1", "changes": {"DeliveryModeCode": "X"}, "system": "oracle"}, 400),
    ],
)
def test_an_edit_that_makes_no_sense_is_refused(world: Bench, body: dict[str, Any], status: int):
    assert edit(world, **body).status_code == status
    assert world.effects() == []


def test_an_edit_that_could_mean_two_records_is_refused(world: Bench):
    world.order("SO-1", "usmf")

    vague = edit(world, id="SO-1", changes={"DeliveryModeCode": "X"})
    exact = edit(world, key={"dataAreaId": "usmf", "SalesOrderNumber": "SO-1"}, changes={"DeliveryModeCode": "X"})

    assert (vague.status_code, exact.status_code) == (409, 200)


def test_a_planted_record_leaves_no_effect_and_is_whole(sim: Bench):
    planted = sim.plant("fo", "CustomersV3", dataAreaId="demf", CustomerAccount="DE-001", CreditLimit=10.005)

    assert planted["CreditLimit"] == 10.01
    assert planted["OnHoldStatus"] == "No"
    assert sim.effects() == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"system": "fo", "entity": "CustomersV3"}, 400),
        ({"system": "fo", "entity": "CustomersV3", "fields": {"dataAreaId": "demf"}}, 400),
        ({"system": "fo", "entity": "Nothing", "fields": {}}, 404),
        ({"system": "sf", "entity": "Nothing", "fields": {}}, 404),
    ],
)
def test_a_record_that_cannot_be_planted_is_refused(sim: Bench, body: dict[str, Any], status: int):
    assert sim.http.post("/control/records", json=body).status_code == status


def test_the_raw_truth_can_be_looked_at_by_key(world: Bench):
    world.plant("fo", "FreeTextInvoiceHeaders", dataAreaId="demf", InvoiceIdentifier=12)

    by_object = world.truth("fo", "SalesOrderHeadersV2", '{"dataAreaId": "demf", "SalesOrderNumber": "SO-1"}')
    by_number = world.truth("fo", "FreeTextInvoiceHeaders", "12")
    nothing = world.http.get("/control/records?system=fo&entity=SalesOrderHeadersV2&key=SO-9")

    assert by_object["SalesOrderNumber"] == "SO-1"
    assert by_number["InvoiceIdentifier"] == 12
    assert nothing.status_code == 404


@pytest.mark.parametrize("body", [{"period": "2026-11"}, {"period": 11, "status": "Open"}, {"status": "Open"}])
def test_a_period_needs_its_name_and_status(sim: Bench, body: dict[str, Any]):
    assert sim.http.post("/control/period", json=body).status_code == 400


def test_a_closed_period_is_a_persons_change_that_fo_shows(sim: Bench):
    sim.http.post("/control/period", json={"period": "2026-03", "status": "Closed"})

    rows = sim.fo("GET", "FiscalPeriods", params={"$filter": "PeriodName eq '2026-03'"}).json()["value"]
    assert [(row["dataAreaId"], row["Status"]) for row in rows] == [("demf", "Closed"), ("usmf", "Closed")]
    assert {row["kind"] for row in sim.effects()} == {"person"}


def test_a_reset_forgets_everything_and_counts_from_one_again(world: Bench):
    world.fo("PATCH", ORDER, json={"DeliveryModeCode": "X"})
    world.fault("500")

    answer = world.http.post("/control/reset", json={"seed": 3, "business": "empty"})

    told = answer.json()
    assert isinstance(told.pop("process"), int)
    assert told == {"status": "ok", "records": 0, "seed": 3, "business": "empty"}
    assert world.effects() == []
    assert world.http.get("/control/faults").json() == []
    assert world.fo("GET", ORDER).status_code == 401
    assert [row["n"] for row in world.requests()] == [1]


def test_a_reset_may_plant_the_distributor(sim: Bench):
    answer = sim.http.post("/control/reset", json={"seed": 7, "business": "demo"})

    assert answer.json()["records"] > 2000


@pytest.mark.parametrize("body", [{"seed": "x"}, {"seed": True}, {"business": "huge"}])
def test_a_reset_that_makes_no_sense_is_refused_and_forgets_nothing(world: Bench, body: dict[str, Any]):
    assert world.http.post("/control/reset", json=body).status_code == 400
    assert world.truth("fo", "SalesOrderHeadersV2", "SO-1")


@pytest.mark.parametrize("path", ["/control/nothing", "/ledger/nothing", "/", "/elsewhere"])
def test_an_unknown_control_is_a_404(sim: Bench, path: str):
    assert sim.http.get(path).status_code == 404


def test_a_restart_keeps_records_ledgers_faults_and_tokens(tmp_path: Path):
    with serve(tmp_path, business="empty", synchronous="OFF") as simulator:
        first = Bench(simulator)
        first.order("SO-1")
        first.fo("PATCH", ORDER, json={"DeliveryModeCode": "EXPRESS"})
        first.fault("500", match="nothing")
        first.http.close()

    with serve(tmp_path, business="demo", synchronous="OFF") as simulator:
        second = httpx.Client(base_url=simulator.url)
        order = second.get(f"/fo/data/{ORDER}?cross-company=true", headers=first.fo_auth)
        effects, health = second.get("/ledger/effects").json(), second.get("/control/health").json()
        faults = second.get("/control/faults").json()
        second.close()

    assert order.json()["DeliveryModeCode"] == "EXPRESS"
    assert [row["kind"] for row in effects] == ["update"]
    assert health["business"] == "empty"
    assert len(faults) == 1


def test_a_stopped_simulator_does_not_answer(tmp_path: Path):
    simulator = serve(tmp_path, business="empty", synchronous="OFF")
    simulator.stop()
    simulator.stop()

    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{simulator.url}/control/health")


def test_many_writers_lose_nothing_and_number_without_gaps(world: Bench):
    def write(worker: int) -> None:
        with httpx.Client(base_url=world.url, headers=world.fo_auth, timeout=30) as client:
            for step in range(10):
                body = {"dataAreaId": "demf", "CustomerReference": f"{worker}-{step}"}
                assert client.post("/fo/data/FreeTextInvoiceHeaders", json=body).status_code == 201

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    notes = [row["after"] for row in world.effects()]
    assert [row["n"] for row in world.effects()] == list(range(1, 81))
    assert len({note["InvoiceIdentifier"] for note in notes}) == 80
    assert len({note["CustomerReference"] for note in notes}) == 80


def test_of_two_writers_with_one_etag_only_one_gets_through(world: Bench):
    etag = world.fo("GET", ORDER).json()["@odata.etag"]
    gate, statuses = threading.Barrier(8), []

    def write(number: int) -> None:
        with httpx.Client(base_url=world.url, headers={**world.fo_auth, "If-Match": etag}, timeout=30) as client:
            gate.wait()
            body = {"DeliveryModeCode": f"M{number}"}
            statuses.append(client.patch(f"/fo/data/{ORDER}?cross-company=true", json=body).status_code)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [204] + [412] * 7
    assert len(world.effects()) == 1


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"POST /fo/data HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", b"400"),
        (b"POST /fo/data HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
        (b"POST /fo/data HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"411"),
        (b"BREW /fo/data HTTP/1.1\r\nHost: x\r\n\r\n", b"501"),
    ],
)
def test_a_malformed_request_is_answered_and_hung_up_on(sim: Bench, raw: bytes, status: bytes):
    host, port = sim.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(raw)
        answer = b""
        while piece := connection.recv(4096):
            answer += piece

    assert answer.split()[1] == status
