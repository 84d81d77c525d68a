"""The broker forgets everything, again and again, and workers are killed: rows are the queue, so nothing is lost."""

import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.chaos.databases import broker, postgres
from tests.chaos.processes import environment, nursery, process, simulator, until

PLANS, SEED, FLUSHES = 60, 20261122, 20
WORKER = ("-m", "celery", "-A", "config", "worker", "-P", "threads", "-c", "2", "-Q", "loop,intake,sweeps")
QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "WARNING")
BEAT = ("-m", "celery", "-A", "config", "beat", "--max-interval", "1", "-l", "WARNING")


class Workers:
    """Celery workers and beats of this test."""

    def __init__(self, stack: ExitStack, env: dict[str, str], folder: Path) -> None:
        self.stack, self.env, self.folder = stack, env, folder
        self.alive: list[subprocess.Popen] = []

    def start(self) -> None:
        """Start one more worker."""
        name = f"eyes{len(self.alive)}-{time.monotonic_ns()}@chaos"
        log = self.folder / "celery.log"
        self.alive.append(self.stack.enter_context(process(*WORKER, "-n", name, *QUIET, env=self.env, log=log)))

    def kill_one(self, rng: random.Random) -> None:
        """Kill one with SIGKILL and start another in its place."""
        self.alive.pop(rng.randrange(len(self.alive))).kill()
        self.start()


@contextmanager
def celery(env: dict[str, str], folder: Path) -> Iterator[Workers]:
    """Two workers and two beats, as two careless administrators would start them."""
    with ExitStack() as stack:
        for number in range(2):
            schedule = ("--pidfile", str(folder / f"beat{number}.pid"))
            stack.enter_context(process(*BEAT, *schedule, env=env, log=folder / "beat.log"))
        workers = Workers(stack, env, folder)
        workers.start()
        workers.start()
        yield workers


@pytest.mark.chaos
@pytest.mark.services
def test_a_broker_that_forgets_everything_and_workers_that_die_lose_nothing(tmp_path, record_property):
    rng, kills, flushed = random.Random(SEED), 0, 0
    with ExitStack() as stack:
        database = stack.enter_context(postgres(f"goldseam_flush_{os.getpid()}"))
        address, redis = stack.enter_context(broker())
        simulated = stack.enter_context(simulator(tmp_path))
        env = environment(tmp_path, database, simulated, CELERY_BROKER_URL=address)
        raised = stack.enter_context(nursery(env, tmp_path))
        raised.ask("prepare")
        raised.ask("plant", simulated.url, PLANS)
        simulated.trouble("commit_then_reset", 0.1, SEED)
        workers = stack.enter_context(celery(env, tmp_path))
        while flushed < FLUSHES:
            time.sleep(rng.uniform(0.2, 0.6))
            redis.flushdb()
            flushed += 1
            if flushed in (8, 13, 18):
                workers.kill_one(rng)
                kills += 1
        until(lambda: raised.ask("report")["busy"] == 0, 400, lambda: time.sleep(0.5))
        found, effects = raised.ask("report"), simulated.primary_effects()

    record_property("flushes", flushed)
    print(f"{flushed} flushes, {kills} kills, {len(effects)} effects, {found['statuses']}, {found['reasons']}")
    per_key = Counter(effect["effect_key"] for effect in effects)
    assert [key for key, count in per_key.items() if count > 1] == []
    assert set(found["keys"]) <= set(per_key)
    assert (found["busy"], found["silent"]) == (0, 0), found["statuses"]
    assert found["statuses"].get("resolved", 0) >= 0.9 * PLANS, found["reasons"]
