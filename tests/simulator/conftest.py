"""Simulators on loopback: an empty one to build small worlds in, and the whole distributor."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.simulator.server import RunningSimulator, serve
from tests.simulator.bench import Bench


def opened(simulator: RunningSimulator) -> Iterator[Bench]:
    bench = Bench(simulator)
    yield bench
    bench.http.close()
    simulator.stop()


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Bench]:
    """An empty simulator."""
    yield from opened(serve(tmp_path, business="empty", synchronous="OFF"))


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Bench]:
    """The whole distributor, seed 7."""
    yield from opened(serve(tmp_path, synchronous="OFF"))
