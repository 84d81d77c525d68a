"""Process mining beside other tools: the same files, each tool in a process of its own, medians and peak memory."""

import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

from tests.benchmarks.client import middle
from tests.benchmarks.mining_logs import write_log
from tests.benchmarks.report import Figure, Report
from tests.benchmarks.system import ROOT, DidNotStart

SIZES = tuple(int(one) for one in os.environ.get("BENCH_EVENTS", "100000,1000000").split(","))
# What the others are, in an environment that is thrown away; they are no requirement of ours.
RIVALS = ("pm4py", "polars", "r4pm", "pyarrow")
THEIRS = ("pm4py-pandas", "pm4py-polars", "r4pm", "polars")
LAPS = ("import", "map", "variants", "rework")
_GOALS = {"map again": "under 300 ms", "map": "under 2 s"}


def measure(report: Report) -> None:
    """Run every tool on every size and format, and hold the counts against each other."""
    with tempfile.TemporaryDirectory(prefix="goldseam-bench-") as name:
        folder = Path(name)
        python = _rivals(folder)
        environment = _installation(folder)
        for events in SIZES:
            for path in write_log(events, folder).values():
                _measure_file(path, events, python, environment, report)
                path.unlink()


def _measure_file(path: Path, events: int, python: Path | None, environment: dict[str, str], report: Report) -> None:
    what = f"{events:,} events {path.suffix[1:]}"
    script = str(ROOT / "tests" / "benchmarks" / "rivals.py")
    commands = {
        "goldseam": [sys.executable, "-m", "tests.benchmarks.mining_ours", str(path)],
        "duckdb by hand": [sys.executable, script, "duckdb", str(path)],
    }
    for tool in THEIRS if python else ():
        commands[f"{tool} by hand" if tool == "polars" else tool] = [str(python), script, tool, str(path)]
    ends: dict[str, dict[str, Any]] = {}
    for name, command in commands.items():
        runs = [found for _ in range(report.sizes.runs) if (found := _run(command, environment, name))]
        if runs:
            _tell(report, f"{what}, {name}", runs)
            ends[name] = runs[0]
    _hold(ends, what)


def _run(command: list[str], environment: dict[str, str], name: str) -> dict[str, Any] | None:
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        if name == "goldseam":
            raise DidNotStart(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
        print(f"  {name}: could not be measured ({(done.stderr.strip().splitlines() or ['no reason'])[-1][:200]})")
        return None
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _tell(report: Report, what: str, runs: list[dict[str, Any]]) -> None:
    shown = [lap for lap in LAPS if lap in runs[0]["laps"]]
    note = ", ".join(f"{lap} {middle([run['laps'][lap] for run in runs]):.2f}" for lap in shown)
    ends = [sum(run["laps"][lap] for lap in shown) for run in runs]
    report.add(Figure("", f"{what}: end to end", "s", ends, note=note))
    report.add(Figure("", f"{what}: peak memory", "MB", [run["peak_mb"] for run in runs]))
    for lap, goal in _GOALS.items():
        if "map again" in runs[0]["laps"]:
            report.add(Figure("", f"{what}: {lap}", "ms", [run["laps"][lap] * 1000 for run in runs], goal=goal))
    if "page_seconds" in runs[0]["counts"]:
        pages = [run["counts"]["page_seconds"] * 1000 for run in runs]
        report.add(Figure("", f"{what}: map over the API, kept", "ms", pages, goal="under 300 ms"))


def _hold(ends: dict[str, dict[str, Any]], what: str) -> None:
    """Refuse figures of tools that counted different things."""
    ours = ends["goldseam"]["counts"]
    for name, run in ends.items():
        theirs = run["counts"]
        if theirs["edges"] != ours["edges"]:
            raise DidNotStart(f"{what}: {name} counts other edges than ours")
        if len(theirs["variants"]) != ours["total"] and name != "goldseam":
            raise DidNotStart(f"{what}: {name} counts {len(theirs['variants'])} variants, ours {ours['total']}")
        if theirs["variants"][:50] != ours["variants"][:50]:
            raise DidNotStart(f"{what}: {name} counts other cases per variant than ours")
        if "rework" in theirs and theirs["rework"] != ours["rework"]:
            raise DidNotStart(f"{what}: {name} counts other rework than ours")
    print(f"  {what}: counts equal between {', '.join(ends)}", flush=True)


def _rivals(folder: Path) -> Path | None:
    """Return the Python of a fresh environment that holds the other tools, or nothing where it cannot be made.

    ``BENCH_RIVALS_PYTHON`` names one that stands already, for a second look.
    """
    if standing := os.environ.get("BENCH_RIVALS_PYTHON"):
        return Path(standing)
    home = folder / "rivals"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    done = subprocess.run(
        [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *RIVALS],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print("  the other tools cannot be installed here, so only ours and DuckDB by hand are measured")
        return None
    return python


def _installation(folder: Path) -> dict[str, str]:
    """Make an empty installation on SQLite and return its environment."""
    environment = {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{folder / 'goldseam.sqlite3'}",
        "CELERY_BROKER_URL": "memory://",
        "DATA_DIR": str(folder),
        "ENVIRONMENT": "test",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    command = [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity=0"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DidNotStart(done.stderr[-3000:])
    return environment
