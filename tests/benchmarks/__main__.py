"""``python -m tests.benchmarks``: measure every stage on every database, print one table, write bench.json."""

import re
import sys
from pathlib import Path

from tests.benchmarks import loop, pages, signals
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


def main() -> int:
    report = Report(Sizes())
    failed = ""
    for database in report.sizes.databases:
        print(f"{database} ...", flush=True)
        try:
            measure(database, report)
        except (DidNotStart, signals.WrongAnswer) as problem:
            failed += f"\n{database}: {problem}"
    print("\n" + report.table())
    report.write(Path("bench.json"))
    if failed:
        print(failed, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
