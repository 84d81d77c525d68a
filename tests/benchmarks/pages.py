"""How fast the first pages are when the inbox is full, and whether their number of queries stays the same."""

from tests.benchmarks.client import Load, Request, drive, percentile
from tests.benchmarks.inside import PAGES
from tests.benchmarks.report import Figure, Report
from tests.benchmarks.signals import WrongAnswer, posts
from tests.benchmarks.system import Installation
from tests.benchmarks.workload import distinct

CONCURRENT = 4


def fill(installed: Installation, token: str, wanted: int, batch: int) -> int:
    """Send signals, each a problem of its own, until there are ``wanted`` incidents; return how many there are."""
    missing = wanted - _count(installed)
    if missing > 0:
        bodies = list(distinct(f"fill-{wanted}", missing, batch))
        load = drive(installed.port, posts(token, bodies, "application/cloudevents-batch+json"), 4)
        if set(load.statuses) != {202} or load.failures:
            raise WrongAnswer(f"the inbox could not be filled: {load.problems()}")
    return _count(installed)


def measure(installed: Installation, token: str, session: str, database: str, report: Report) -> None:
    """Measure each page at a small and at the full inbox: one reader at a time, then a few at once."""
    sizes = report.sizes
    fill(installed, token, 1_000, sizes.batch)
    told = str(installed.inside("tell")["incident"])
    few = installed.inside("queries")
    count = fill(installed, token, sizes.incidents, sizes.batch)
    many = installed.inside("queries")
    for name, path in PAGES.items():
        headers = (("Cookie", f"sessionid={session}"), ("Accept", "application/json" if "api" in name else "text/html"))
        request = Request(path.format(id=told), headers)
        alone = [_read(installed, request, sizes.page_views, 1) for _ in range(sizes.runs)]
        together = _read(installed, request, sizes.page_views, CONCURRENT)
        note = f"{count:,} incidents, {many[name]} queries ({few[name]} at 1,000), {alone[0][1] / 1024:,.0f} KB"
        p95 = [percentile(load.latencies, 0.95) * 1000 for load, _ in alone]
        report.add(Figure(database, f"{name} page p95", "ms", p95, "50", note))
        report.add(Figure(database, f"{name} page p95, {CONCURRENT} readers", "ms", [together[0].percentile(0.95)]))


def _read(installed: Installation, request: Request, views: int, clients: int) -> tuple[Load, int]:
    load = drive(installed.port, [request] * views, clients)
    if set(load.statuses) != {200} or load.failures:
        raise WrongAnswer(f"{request.path} was not shown: {load.problems() or load.statuses}")
    return load, load.longest


def _count(installed: Installation) -> int:
    return int(str(installed.inside("count")["incidents"]))
