"""What the door costs: a call through it, webhooks that come in by it, and a poll of very many changes."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

from tests.benchmarks import hooks
from tests.benchmarks.client import Load, drive
from tests.benchmarks.report import Figure, Report
from tests.benchmarks.signals import WrongAnswer
from tests.benchmarks.system import ROOT, DidNotStart, Installation, installation

_GOAL_MS = "3"


def measure(database: str, report: Report) -> None:
    """Measure the three of them, each on an installation of its own."""
    for part in (_calls, _hooks, _poll):
        # One web worker: what is counted is one worker's.
        with installation(database, replace(report.sizes, web_workers=1)) as installed:
            part(installed, database, report)


@contextlib.contextmanager
def target(rows: int) -> Iterator[int]:
    """Start a system to call, and give its port."""
    command = [sys.executable, "-m", "tests.benchmarks.target", str(rows)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        line = process.stdout.readline()
        if not line:
            raise DidNotStart("the system to call did not start")
        try:
            yield int(line)
        finally:
            process.stdin.close()


def _asked(installed: Installation, *arguments: str) -> dict[str, float]:
    printed = installed.run(sys.executable, "-m", "tests.benchmarks.doorside", *arguments)
    answer: dict[str, float] = json.loads(printed.splitlines()[-1])
    return answer


def _calls(installed: Installation, database: str, report: Report) -> None:
    sizes = report.sizes
    with target(1) as port:
        runs = [_asked(installed, "overhead", str(port), str(sizes.door_calls)) for _ in range(sizes.runs)]
    bare = sum(run["bare"] for run in runs) / len(runs)
    note = f"{sizes.door_calls} reads each, in turn; bare httpx takes {bare:.2f} ms"
    for name, what in (("plain", "nothing configured"), ("full", "budget, rate and breaker")):
        over = [run[name] - run["bare"] for run in runs]
        report.add(Figure(database, f"door on top of httpx, {what}", "ms", over, _GOAL_MS, note))


def _hooks(installed: Installation, database: str, report: Report) -> None:
    sizes = report.sizes
    _asked(installed, "hooks", "0", "0")
    installed.start_web()
    for name in hooks.WAYS:
        loads = [
            _accepted(drive(installed.port, hooks.requests(name, run, sizes.door_hooks), sizes.clients))
            for run in range(sizes.runs)
        ]
        note = f"{sizes.door_hooks:,} deliveries, {sizes.clients} clients, {sizes.web_threads} threads"
        rate = [sizes.door_hooks / load.seconds for load in loads]
        report.add(Figure(database, f"webhooks per worker, {name}", "per second", rate, "", note))
        report.add(Figure(database, f"webhook p95, {name}", "ms", [load.percentile(0.95) for load in loads]))
    wanted = len(hooks.WAYS) * sizes.runs * sizes.door_hooks
    if (kept := _asked(installed, "kept", "0", "0")["kept"]) != wanted:
        raise WrongAnswer(f"{kept} deliveries were kept of {wanted}")


def _accepted(load: Load) -> Load:
    if set(load.statuses) != {202} or load.failures:
        raise WrongAnswer(f"not every webhook was accepted: {load.problems() or load.statuses}")
    return load


def _poll(installed: Installation, database: str, report: Report) -> None:
    rows = report.sizes.door_rows
    with target(rows) as port:
        found = _asked(installed, "poll", str(port), str(rows))
    if found["kept"] != rows:
        raise WrongAnswer(f"{found['kept']} of {rows} changed records were kept")
    note = f"{rows:,} changed records in {found['polls']:.0f} polls, {found['requests']:.0f} requests"
    report.add(Figure(database, "changed records polled", "per second", [rows / found["seconds"]], "", note))
    bound = f"after the first poll {found['memory_first']:,.0f} MB"
    report.add(Figure(database, "memory of polling, at most", "MB", [found["memory"]], "bounded", bound))
