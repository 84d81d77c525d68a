"""``python -m tests.benchmarks``: measure every stage on every database, print one table, write bench.json."""

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from tests.benchmarks import door, hostile, loop, mining, pages, signals
from tests.benchmarks.report import Report
from tests.benchmarks.sizes import Sizes
from tests.benchmarks.system import DidNotStart, Installation, installation


def token_for(installed: Installation, person: str) -> str:
    """Ask the installation for an API token, as an integrator would."""
    found = re.search(r"gs_\S+", installed.manage("issue_token", person))
    if not found:
        raise DidNotStart("issue_token printed no token")
    return found.group()


def measure(database: str, report: Report) -> None:
    """Run the stages on one database."""
    if {"signals", "pages"} & set(report.sizes.stages):
        with installation(database, report.sizes) as installed:
            session = str(installed.inside("prepare")["session"])
            token = token_for(installed, "bench-integration")
            installed.start_web()
            if "signals" in report.sizes.stages:
                signals.measure(installed, token, database, report)
            if "pages" in report.sizes.stages:
                pages.measure(installed, token, session, database, report)
    if "loop" in report.sizes.stages:
        with installation(database, report.sizes) as installed:
            loop.measure(installed, database, report)
    if "door" in report.sizes.stages:
        door.measure(database, report)
    if "hostile" in report.sizes.stages:
        with installation(database, report.sizes) as installed:
            hostile.measure(installed, database, report)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; the numbers of the dose come from the environment."""
    sizes = Sizes()
    dose = [f"BENCH_{one.name.upper()}={_shown(getattr(sizes, one.name))}" for one in fields(sizes)]
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measure an installation from outside over HTTP; print a table and write it as JSON.",
        epilog="The dose comes from the environment, now: " + " ".join(dose),
    )
    parser.add_argument("--databases", default=",".join(sizes.databases), help="of sqlite,postgresql (%(default)s)")
    parser.add_argument(
        "--stages", default=",".join(sizes.stages), help="of signals,pages,loop,door,hostile,insights (%(default)s)"
    )
    parser.add_argument("--output", type=Path, default=Path("bench.json"), help="where to write (%(default)s)")
    return parser.parse_args(given)


def _shown(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def main(given: Sequence[str] | None = None) -> int:
    wanted = arguments(given)
    sizes = replace(Sizes(), databases=tuple(wanted.databases.split(",")), stages=tuple(wanted.stages.split(",")))
    report = Report(sizes)
    failed = ""
    for database in report.sizes.databases:
        print(f"{database} ...", flush=True)
        try:
            measure(database, report)
        except (DidNotStart, signals.WrongAnswer) as problem:
            failed += f"\n{database}: {problem}"
    if "insights" in report.sizes.stages:
        print("insights ...", flush=True)
        try:
            mining.measure(report)
        except DidNotStart as problem:
            failed += f"\ninsights: {problem}"
    print("\n" + report.table())
    report.write(wanted.output)
    if failed:
        print(failed, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
