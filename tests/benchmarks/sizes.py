"""How much is measured; each number can be lowered by the environment for a quick look."""

import os
from dataclasses import dataclass, field

STAGES = "signals,pages,loop,door,hostile,insights"


def _number(name: str, default: int) -> int:
    return int(os.environ.get(f"BENCH_{name}", default))


@dataclass(frozen=True)
class Sizes:
    """The dose. ``BENCH_SIGNALS=2000 BENCH_RUNS=1 make bench`` is a quick look, not a result."""

    signals: int = field(default_factory=lambda: _number("SIGNALS", 20_000))
    keys: int = field(default_factory=lambda: _number("KEYS", 6_000))
    batch: int = field(default_factory=lambda: _number("BATCH", 500))
    clients: int = field(default_factory=lambda: _number("CLIENTS", 16))
    web_workers: int = field(default_factory=lambda: _number("WEB_WORKERS", 2))
    web_threads: int = field(default_factory=lambda: _number("WEB_THREADS", 4))
    incidents: int = field(default_factory=lambda: _number("INCIDENTS", 100_000))
    page_views: int = field(default_factory=lambda: _number("PAGE_VIEWS", 200))
    loop_seconds: int = field(default_factory=lambda: _number("LOOP_SECONDS", 150))
    door_calls: int = field(default_factory=lambda: _number("DOOR_CALLS", 1_000))
    door_hooks: int = field(default_factory=lambda: _number("DOOR_HOOKS", 5_000))
    door_rows: int = field(default_factory=lambda: _number("DOOR_ROWS", 100_000))
    runs: int = field(default_factory=lambda: _number("RUNS", 3))
    databases: tuple[str, ...] = field(
        default_factory=lambda: tuple(os.environ.get("BENCH_DATABASES", "sqlite,postgresql").split(","))
    )
    stages: tuple[str, ...] = field(
        default_factory=lambda: tuple(
            os.environ.get("BENCH_STAGES", "signals,pages,loop,door,hostile,insights").split(",")
        )
    )
