"""How many signals are durably accepted per second: one by one, and in batches."""

from tests.benchmarks.client import Load, Request, drive
from tests.benchmarks.report import Figure, Report
from tests.benchmarks.sizes import Sizes
from tests.benchmarks.system import Installation
from tests.benchmarks.workload import batches, singles

PATH = "/api/v1/signals/"


class WrongAnswer(Exception):
    """The installation did not do what is measured, so the figure would mean nothing."""


def posts(token: str, bodies: list[bytes], kind: str) -> list[Request]:
    """Wrap bodies into requests of an integrator."""
    headers = (("Authorization", f"Bearer {token}"), ("Content-Type", kind), ("Accept", "application/json"))
    return [Request(PATH, headers, body, "POST") for body in bodies]


def measure(installed: Installation, token: str, database: str, report: Report) -> None:
    """Measure singles and batches; both start from what the runs before them left in the database."""
    sizes = report.sizes
    loads = [_singles(installed, token, sizes, run) for run in range(sizes.runs)]
    mixture = f"{sizes.signals:,} signals, {sizes.keys:,} keys, {sizes.clients} clients"
    rate = [sizes.signals / load.seconds for load in loads]
    report.add(Figure(database, "single signals", "per second", rate, "400, aim 800", mixture))
    for share, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99")):
        report.add(Figure(database, f"single signal {name}", "ms", [load.percentile(share) for load in loads]))
    loads = [_batches(installed, token, sizes, run) for run in range(sizes.runs)]
    rate = [sizes.signals / load.seconds for load in loads]
    report.add(Figure(database, f"signals in batches of {sizes.batch}", "per second", rate, "10,000", mixture))
    report.add(Figure(database, "batch p95", "ms", [load.percentile(0.95) for load in loads]))
    _incidents_are_as_many_as_keys(installed, 2 * sizes.runs * sizes.keys)


def _singles(installed: Installation, token: str, sizes: Sizes, run: int) -> Load:
    requests = posts(token, singles(f"single-{run}", sizes.signals, sizes.keys), "application/cloudevents+json")
    return _accepted(drive(installed.port, requests, sizes.clients))


def _batches(installed: Installation, token: str, sizes: Sizes, run: int) -> Load:
    bodies = batches(f"batch-{run}", sizes.signals, sizes.keys, sizes.batch)
    requests = posts(token, bodies, "application/cloudevents-batch+json")
    return _accepted(drive(installed.port, requests, sizes.clients))


def _accepted(load: Load) -> Load:
    if set(load.statuses) != {202} or load.failures:
        raise WrongAnswer(f"not every signal was accepted: {load.problems() or load.statuses}")
    return load


def _incidents_are_as_many_as_keys(installed: Installation, expected: int) -> None:
    """A fast answer counts only if duplicates were folded and nothing was lost."""
    found = int(str(installed.inside("count")["incidents"]))
    if found != expected:
        raise WrongAnswer(f"{found} incidents for {expected} distinct keys")
