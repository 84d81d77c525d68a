"""Workers are killed with SIGKILL at random moments while plans run: nothing is lost and nothing is done twice.

The witness is the simulator's own ledger, never ours.
"""

import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.databases import postgres
from tests.chaos.processes import Nursery, Simulator, environment, nursery, simulator, until

PLANS, WORKERS, SEED = 60, 2, 20261122


def killed_now_and_then(raised: Nursery, rng: random.Random, kills: list[float]) -> None:
    """Let them work for a moment, kill one of them, raise another."""
    # Real time on purpose: what is tested is a real process in the middle of real work.
    time.sleep(rng.uniform(0.05, 0.6))
    raised.kill(rng.randrange(len(raised.workers)))
    raised.fork(rng.randrange(10_000))
    kills.append(time.monotonic())


def drained(raised: Nursery) -> bool:
    return bool(raised.ask("report")["busy"] == 0)


def lay_siege(folder: Path, database: str, faults: dict[str, float]) -> tuple[dict, list[dict], int]:
    """Run the plans under fire; return where everything stands, what was committed, and how often was killed."""
    rng, kills = random.Random(SEED), []
    with simulator(folder) as simulated, nursery(environment(folder, database, simulated), folder) as raised:
        raised.ask("prepare")
        raised.ask("plant", simulated.url, PLANS)
        for fault, probability in faults.items():
            simulated.trouble(fault, probability, SEED)
        for number in range(WORKERS):
            raised.fork(number)
        until(lambda: drained(raised), 10, lambda: killed_now_and_then(raised, rng, kills))
        # The siege is lifted: what is left is finished by the last two.
        until(lambda: drained(raised), 400, lambda: time.sleep(0.3))
        return raised.ask("report"), simulated.primary_effects(), len(kills)


def tell(record_property, kills: int, found: dict, effects: list[dict]) -> None:
    """Leave the dose in the report: a result without it says nothing."""
    record_property("kills", kills)
    shown = {name: found[name] for name in ("statuses", "resent", "lanes", "reasons")}
    print(f"{kills} kills, {PLANS} plans, {len(effects)} effects, {shown}")


def assert_nothing_lost_or_doubled(found: dict, effects: list[dict], least_verified: float) -> None:
    per_key = Counter(effect["effect_key"] for effect in effects)
    doubled = {key: count for key, count in per_key.items() if count > 1}
    assert doubled == {}
    assert set(found["keys"]) <= set(per_key), "something is called mended that the target never saw"
    assert found["busy"] == 0, found["statuses"]
    assert found["silent"] == 0
    assert sum(found["statuses"].values()) == PLANS
    assert found["statuses"].get("resolved", 0) >= least_verified * PLANS, found["reasons"]


@pytest.mark.chaos
def test_killed_workers_lose_nothing_and_double_nothing_on_the_embedded_database(tmp_path, record_property):
    found, effects, kills = lay_siege(tmp_path, f"sqlite:///{tmp_path}/chaos.sqlite3", {"commit_then_reset": 0.1})

    tell(record_property, kills, found, effects)
    assert_nothing_lost_or_doubled(found, effects, least_verified=0.9)
    assert kills >= 10
    assert found["lanes"] <= 2 * found["statuses"].get("needs_operator", 0)


@pytest.mark.chaos
@pytest.mark.services
def test_killed_workers_lose_nothing_and_double_nothing_on_postgresql(tmp_path, record_property):
    with postgres(f"goldseam_siege_{os.getpid()}") as database:
        found, effects, kills = lay_siege(tmp_path, database, {"commit_then_reset": 0.1, "fail_before": 0.1})

    tell(record_property, kills, found, effects)
    assert_nothing_lost_or_doubled(found, effects, least_verified=0.9)
    assert kills >= 10


def test_the_witness_would_notice_a_doubled_effect():
    twice = [{"effect_key": "k", "kind": "create"}, {"effect_key": "k", "kind": "create"}]

    with pytest.raises(AssertionError):
        assert_nothing_lost_or_doubled({"keys": [], "busy": 0, "silent": 0, "statuses": {}}, twice, 0)


def test_the_witness_would_notice_a_mend_that_never_was():
    claimed = {"keys": ["k"], "busy": 0, "silent": 0, "statuses": {"resolved": PLANS}, "reasons": []}

    with pytest.raises(AssertionError, match="never saw"):
        assert_nothing_lost_or_doubled(claimed, [], 0)


def test_the_simulator_pages_through_its_whole_ledger(tmp_path):
    with simulator(tmp_path) as simulated:
        assert isinstance(simulated, Simulator)
        assert simulated.primary_effects() == []
