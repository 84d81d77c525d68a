"""What every test against a peer may lean on: a server's address once it answers, and no silent skip where all are due.

`make test-peers` installs every peer and sets ``PEERS=all``: a test that is skipped then has failed. Elsewhere a peer
that is not installed is skipped.
"""

import os
from collections.abc import Generator
from typing import Any

import pytest


def _all_are_due() -> bool:
    return os.environ.get("PEERS") == "all"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    return _due((yield), item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    return _due((yield), collector.nodeid)


def _due(report: Any, name: str) -> Any:
    # A test that is expected to fail is reported as skipped too, and is none that was left out.
    if report.skipped and not hasattr(report, "wasxfail") and _all_are_due():
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = "failed", f"{name} was skipped ({why}), and every peer should be installed."
    return report
