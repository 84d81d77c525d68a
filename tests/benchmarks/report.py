"""One row per figure, printed as a table and written as JSON."""

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.client import middle
from tests.benchmarks.sizes import Sizes


@dataclass
class Figure:
    """One measured thing: its value in each run, and what it should reach."""

    database: str
    what: str
    unit: str
    runs: list[float]
    goal: str = ""
    note: str = ""

    @property
    def value(self) -> float:
        return middle(self.runs)

    def spread(self) -> str:
        return f"{min(self.runs):,.1f} to {max(self.runs):,.1f}" if len(self.runs) > 1 else ""


@dataclass
class Report:
    """All figures of one run of the benchmarks."""

    sizes: Sizes
    figures: list[Figure] = field(default_factory=list)

    def add(self, figure: Figure) -> None:
        """Keep a figure and say it at once: a long run should show that it lives."""
        self.figures.append(figure)
        print(f"  {figure.what}: {figure.value:,.1f} {figure.unit} {figure.note}".rstrip(), flush=True)

    def table(self) -> str:
        rows = [("database", "what", "median", "unit", "runs", "goal", "note")]
        rows += [(f.database, f.what, f"{f.value:,.1f}", f.unit, f.spread(), f.goal, f.note) for f in self.figures]
        widths = [max(len(row[column]) for row in rows) for column in range(7)]
        lines = []
        for row in rows:
            cells = [
                cell.rjust(width) if at == 2 else cell.ljust(width)
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(cells).rstrip())
        lines.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join(lines)

    def write(self, path: Path) -> None:
        document = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": {"cores": os.cpu_count(), "platform": platform.platform(), "python": platform.python_version()},
            "commit": _commit(),
            "sizes": asdict(self.sizes),
            "figures": [{**asdict(figure), "median": figure.value} for figure in self.figures],
        }
        path.write_text(json.dumps(document, indent=2) + "\n")


def _commit() -> str:
    try:
        done = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
