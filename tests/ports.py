"""Ports for processes that tests start."""

import os
import socket


def free_pair() -> int:
    """Return a port that is free and whose neighbour is free too: the simulator takes that one.

    Below the range that the system hands out to clients, one of which could take it before the process is up.
    """
    for port in range(20_000 + os.getpid() % 4_000 * 2, 32_000, 2):
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise AssertionError("No two neighbouring ports are free.")
