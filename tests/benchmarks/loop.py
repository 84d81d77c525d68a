"""What the loop itself costs: from the first signal to verified, less the time that other systems took to answer."""

import contextlib
import re
import sys
import time

from tests.benchmarks.client import percentile
from tests.benchmarks.report import Figure, Report
from tests.benchmarks.signals import WrongAnswer
from tests.benchmarks.system import DidNotStart, Installation, Process

READY = re.compile(r"^ready http\S+", re.MULTILINE)


def measure(installed: Installation, database: str, report: Report) -> None:
    """Let the demo's stream run, then read what each mend without a person took."""
    demo = installed.start("demo", sys.executable, "manage.py", "demo", CELERY_BROKER_URL="memory://", DEMO_LOGS="0")
    _await_ready(demo, 120)
    time.sleep(report.sizes.loop_seconds)
    demo.end()
    found = installed.inside("mends")
    mends = found["mends"]
    if not isinstance(mends, list) or not mends:
        raise WrongAnswer(f"nothing was mended within {report.sizes.loop_seconds} s:\n{demo.tail()}")
    totals = [mend["total"] for mend in mends]
    own = [max(0.0, mend["total"] - mend["calls"]) for mend in mends]
    note = f"{len(mends)} autonomous mends while the demo's stream runs; {found['calls']} calls to other systems"
    report.add(Figure(database, "signal to verified p50", "s", [percentile(totals, 0.5)], "", note))
    report.add(Figure(database, "of that the loop's own p50", "s", [percentile(own, 0.5)]))
    report.add(Figure(database, "of that the loop's own p95", "s", [percentile(own, 0.95)]))


def _await_ready(demo: Process, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and demo.popen.poll() is None:
        with contextlib.suppress(OSError):
            if READY.search(demo.log.read_text(errors="replace")):
                return
        time.sleep(0.2)
    raise DidNotStart(f"the demo did not get ready:\n{demo.tail()}")
