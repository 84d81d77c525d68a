"""A listener on loopback that nobody may reach, and an eye on every socket that this process opens."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

PUBLIC = "93.184.216.34"
# What a hostile name server answers, one answer after the other; a host that is no name is read by the real library.
NAMES: dict[str, list[list[str]]] = {
    "loopback.test": [["127.0.0.1"]],
    "loopback6.test": [["::1"]],
    "private.test": [["10.0.0.5"]],
    "metadata.test": [["169.254.169.254"]],
    "mapped.test": [["::ffff:127.0.0.1"]],
    "translated.test": [["64:ff9b::7f00:1"]],
    "mixed.test": [["127.0.0.1", PUBLIC, "::1", "10.0.0.5"]],
    "rebinding.test": [[PUBLIC], ["127.0.0.1"], ["127.0.0.1"], [PUBLIC]],
    "nobody.test": [[PUBLIC]],
    "tunnel.test": [["2002:7f00:1::", "2001:0:1::1"]],
    "site.test": [["fec0::1", "fd00::1"]],
    "scoped.test": [["fe80::1%lo", "::1"]],
    "shared.test": [["100.64.0.1", "198.18.0.1", "240.0.0.1"]],
}


class Witness:
    """What was seen: connections that arrived, and addresses that a socket was told to connect to."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.arrived: list[Any] = []
        self.tried: list[str] = []
        self.asked: dict[str, int] = {}

    def resolve(self, host: Any, port: Any, *rest: Any, **more: Any) -> list[Any]:
        """Stand in for the name server."""
        name = str(host).lower()
        with suppress(OSError):
            # Digits in any writing are no names: the real library turns 2130706433 into 127.0.0.1.
            return list(_real(host, port, *rest, **{**more, "flags": socket.AI_NUMERICHOST}))
        answers = NAMES.get(name)
        if answers is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        self.asked[name] = turn = self.asked.get(name, 0) + 1
        found = answers[(turn - 1) % len(answers)]
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found
        ]

    def untouched(self) -> bool:
        """Tell whether nobody came, and no socket was sent anywhere but to the one public address."""
        return not self.arrived and set(self.tried) <= {PUBLIC}


_real: Any = socket.getaddrinfo


@contextmanager
def watching(monkeypatch: pytest.MonkeyPatch, open_port: int = 0) -> Iterator[Witness]:
    """Listen on both loopback addresses, answer names, and let no socket leave but to ``open_port`` on 127.0.0.1."""
    four = socket.create_server(("127.0.0.1", 0))
    port = four.getsockname()[1]
    listeners = [four]
    with suppress(OSError):
        listeners.append(socket.create_server(("::1", port), family=socket.AF_INET6))
    seen = Witness(port)
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        host, number = str(address[0]), int(address[1])
        if (host, number) == ("127.0.0.1", open_port):
            return real(self, address)
        seen.tried.append(host)
        if host == PUBLIC:
            raise ConnectionRefusedError("a test leaves this machine alone")
        return real(self, address)

    def accept(listener: socket.socket) -> None:
        while True:
            try:
                line, peer = listener.accept()
            except OSError:
                return
            seen.arrived.append(peer)
            line.close()

    threads = [threading.Thread(target=accept, args=(one,), daemon=True) for one in listeners]
    for thread in threads:
        thread.start()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", seen.resolve)
            patch.setattr(socket.socket, "connect", connect)
            yield seen
    finally:
        for listener in listeners:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for thread in threads:
            thread.join(5)
