"""What hostile input costs: each is to be refused, or cut down, within two seconds and a hundred megabytes."""

import json
import sys
from typing import Any

from tests.benchmarks.report import Figure, Report
from tests.benchmarks.system import Installation

SECONDS, MEGABYTES = "2", "100"


def measure(installed: Installation, database: str, report: Report) -> None:
    """Throw everything at an installation of its own and report the worst of each family."""
    printed = installed.run(sys.executable, "-m", "tests.benchmarks.hostileside")
    found: dict[str, dict[str, Any]] = json.loads(printed.splitlines()[-1])
    for family, worst in found.items():
        note = f"worst of {worst['count']}: "
        report.add(Figure(database, family, "CPU s", [worst["seconds"]], SECONDS, note + worst["slowest"]))
        report.add(Figure(database, f"{family}, memory", "MB", [worst["memory"]], MEGABYTES, note + worst["largest"]))
