"""Each fault, on each kind of write of each system: what the client hears, and what the ledgers say was done."""

import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.simulator import stream
from connectors.simulator.faults import BEFORE, COMMITTING, FAULTS, STATUSES
from connectors.simulator.server import serve
from connectors.simulator.stream import CASE, CLOUD, EVENT, Signal, plan_signals
from tests.simulator.bench import Bench

ORDER = "SalesOrderHeadersV2(dataAreaId='demf',SalesOrderNumber='SO-1')"
RELEASE = f"{ORDER}/Microsoft.Dynamics.DataEntities.ReleaseCreditHold"
SILENT = {"commit_then_reset", "commit_then_timeout", "reset_before", "timeout_before"}
# How each write goes out: system, method, path, body.
WRITES: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "patch": ("fo", "PATCH", ORDER, {"DeliveryModeCode": "AIR"}),
    "action": ("fo", "POST", RELEASE, {"Reason": "Paid"}),
    "create": ("fo", "POST", "SalesOrderHeadersV2", {"dataAreaId": "demf"}),
    "upsert": ("sf", "PATCH", "sobjects/Case/Goldseam_Key__c/k-1", {"Subject": "x"}),
    "insert": ("sf", "POST", "sobjects/Case", {"Subject": "x"}),
    "composite": (
        "sf", "POST", "composite",
        {"allOrNone": True, "compositeRequest": [
            {"method": "POST", "url": "/services/data/v62.0/sobjects/Case", "referenceId": "a",
             "body": {"Subject": "x"}},
        ]},
    ),
}  # fmt: skip


@pytest.fixture
def world(sim: Bench) -> Bench:
    sim.order("SO-1", DeliveryModeCode="GROUND", CreditHold="Yes", SalesOrderProcessingStatus="OnHold")
    return sim


def send(world: Bench, name: str, fault: str = "") -> httpx.Response | None:
    """Send one write; None where the line went dead."""
    system, method, path, body = WRITES[name]
    headers = {"X-Effect-Key": f"key-{name}"} | ({"X-Sim-Fault": f"{fault}:0.01"} if fault else {})
    try:
        return (world.fo if system == "fo" else world.sf)(method, path, json=body, headers=headers)
    except httpx.ReadError:
        return None


@pytest.mark.parametrize("fault", sorted(FAULTS))
@pytest.mark.parametrize("name", WRITES)
def test_a_fault_commits_or_does_not_exactly_as_its_name_says(world: Bench, name: str, fault: str) -> None:
    answer = send(world, name, fault)

    effects = [row for row in world.effects() if row["effect_key"] == f"key-{name}" and row["kind"] != "side_effect"]
    row = world.requests()[-1]
    assert (row["fault"], row["effect_key"]) == (fault, f"key-{name}")
    assert len(effects) == (1 if fault in COMMITTING else 0)
    assert row["committed"] is (fault in COMMITTING)
    assert (answer is None) is (fault in SILENT)
    assert row["status"] == (answer.status_code if answer else None)
    if answer is not None and fault in STATUSES:
        expected = {403} if fault == "429" and WRITES[name][0] == "sf" else {int(fault)}
        assert answer.status_code in expected


def test_every_fault_belongs_to_one_family() -> None:
    assert FAULTS == COMMITTING | BEFORE | STATUSES
    assert len(FAULTS) == len(COMMITTING) + len(BEFORE) + len(STATUSES)


@pytest.mark.parametrize("name", WRITES)
def test_a_write_after_a_fault_goes_through_as_if_nothing_had_been(world: Bench, name: str) -> None:
    for fault in ("fail_before", "reset_before", "lock", "html"):
        send(world, name, fault)

    answer = send(world, name)

    assert answer is not None
    assert answer.status_code < 300
    assert len([row for row in world.effects() if row["kind"] != "side_effect"]) == 1


def test_ledgers_are_complete_under_many_writers_and_faults_at_once(world: Bench) -> None:
    for number in range(12):
        world.order(f"P-{number}")
    kinds = ["", "commit_then_503", "commit_then_reset", "fail_before", "reset_before", "429"]
    gate = threading.Barrier(12)

    def work(number: int) -> None:
        with httpx.Client(base_url=world.url, headers=world.fo_auth, timeout=30, trust_env=False) as client:
            gate.wait()
            for turn, fault in enumerate(kinds):
                path = (
                    f"/fo/data/SalesOrderHeadersV2(dataAreaId='demf',SalesOrderNumber='P-{number}')?cross-company=true"
                )
                headers = {"X-Effect-Key": f"{number}-{turn}"} | ({"X-Sim-Fault": fault} if fault else {})
                try:
                    client.patch(path, json={"DeliveryModeCode": f"M{turn}"}, headers=headers)
                except httpx.HTTPError:
                    continue

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    requests = [row for row in world.requests() if row["method"] == "PATCH"]
    effects = world.effects()
    assert len({row["effect_key"] for row in requests}) == len(requests) == 72
    assert {row["effect_key"] for row in effects} == {row["effect_key"] for row in requests if row["committed"]}
    assert len(effects) == 36
    assert [row["n"] for row in effects] == list(range(1, 37))


def test_a_restart_on_the_same_folder_goes_on_with_its_numbers_versions_and_rules(tmp_path: Path) -> None:
    with serve(tmp_path, business="empty", synchronous="OFF") as first:
        bench = Bench(first)
        bench.order("SO-1")
        bench.fo("PATCH", ORDER, json={"DeliveryModeCode": "AIR"})
        number = bench.fo("POST", "SalesOrderHeadersV2", json={"dataAreaId": "demf"}).json()["SalesOrderNumber"]
        etag = bench.fo("GET", ORDER).json()["@odata.etag"]
        bench.fault("500", match="CustomersV3", count=2)
        bench.fo("GET", "CustomersV3")
        bench.http.close()

    with serve(tmp_path, seed=99, business="demo", synchronous="OFF") as second:
        bench = Bench(second)
        again = bench.fo("POST", "SalesOrderHeadersV2", json={"dataAreaId": "demf"}).json()["SalesOrderNumber"]
        statuses = [bench.fo("GET", "CustomersV3").status_code for _ in range(2)]
        assert bench.fo("GET", ORDER).json()["@odata.etag"] == etag
        assert again > number
        assert statuses == [500, 200]
        assert [row["n"] for row in bench.effects()] == [1, 2, 3]
        bench.http.close()


# --- the stream, for any seed --------------------------------------------------------------------
SEEDS = [1, 7, 42]


@pytest.fixture(scope="module", params=SEEDS)
def planned(request: pytest.FixtureRequest) -> list[Signal]:
    return plan_signals(request.param, "2026-11-20")


def test_a_stream_of_any_seed_has_its_size_its_entities_and_its_doubles(planned: list[Signal]) -> None:
    fresh = [signal for signal in planned if not signal.repeats]

    assert len(fresh) >= 300
    assert len({signal.entity for signal in planned}) >= 60
    assert len({(signal.channel, signal.id) for signal in fresh}) == len(fresh)
    assert {signal.channel for signal in planned} == {EVENT, CASE, CLOUD}


def test_doubles_cross_channels_and_come_late_and_out_of_order_in_any_seed(planned: list[Signal]) -> None:
    channels: dict[str, set[str]] = {}
    for signal in planned:
        channels.setdefault(signal.entity, set()).add(signal.channel)
    happened = [signal.happened for signal in planned]

    assert sum(len(found) > 1 for found in channels.values()) >= 30
    assert happened != sorted(happened)
    assert any(signal.at - signal.happened >= 60 for signal in planned)
    assert any(signal.repeats for signal in planned)
    assert [signal.at for signal in planned] == sorted(signal.at for signal in planned)


def test_some_of_any_seed_is_nobodys_fault_and_one_is_hostile(planned: list[Signal]) -> None:
    texts = [str(signal.content.get("Description", "")) for signal in planned]

    assert texts.count(stream.HOSTILE) == 1
    assert any("delivery windows" in text for text in texts)
    assert any("BANK" in str(signal.content.get("RuleId", "")) for signal in planned)


def test_the_same_seed_and_day_give_the_same_stream_and_another_day_another_one() -> None:
    assert plan_signals(7, "2026-11-20") == plan_signals(7, "2026-11-20")
    assert plan_signals(7, "2026-11-20") != plan_signals(7, "2026-12-20")
