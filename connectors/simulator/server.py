"""The simulator's HTTP server: one thread per connection, keep-alive, and faults down to a reset socket."""

from __future__ import annotations

import logging
import os
import socket
import struct
import sys
import threading
import weakref
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import urlsplit

from connectors.simulator import faults
from connectors.simulator.chat.service import Slack, Teams
from connectors.simulator.control import Control
from connectors.simulator.dataverse.service import Dataverse
from connectors.simulator.distributor.business import plant
from connectors.simulator.faults import Fault
from connectors.simulator.fo.service import DynamicsFO
from connectors.simulator.mail.desk import MailPair
from connectors.simulator.messages import Answer, Exchange, Refusal, Request, effect_key_of
from connectors.simulator.receiver import Receiver
from connectors.simulator.salesforce.service import Salesforce
from connectors.simulator.sap.service import Sap
from connectors.simulator.store import Store, now_text

logger = logging.getLogger(__name__)

LARGEST_BODY = 10 * 1024 * 1024
HTML = "<!DOCTYPE html><html><head><title>Maintenance</title></head><body><h1>We will be right back</h1></body></html>"


class System(Protocol):
    """One simulated system behind the server."""

    def handle(self, exchange: Exchange) -> Answer:
        """Answer a request or raise a refusal."""

    def refuse(self, refusal: Refusal) -> Answer:
        """Draw a refusal in the system's own shape."""

    def throttled(self, seconds: float) -> Answer:
        """Draw the system's own way of saying: not now."""

    def locked(self) -> Refusal:
        """Make the system's own way of saying: somebody holds the row."""


class Server(ThreadingHTTPServer):
    """Listens, and knows its connections so that it can let go of them."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], store: Store, secret: str) -> None:
        super().__init__(address, Handler)
        self.store = store
        self.stopping = threading.Event()
        self.control = Control(store, plant)
        self.systems: dict[str, System] = {
            "fo": DynamicsFO(store, secret),
            "sf": Salesforce(store, secret),
            "dv": Dataverse(store, secret),
            "sap": Sap(store, secret),
            "slack": Slack(store, secret),
            "teams": Teams(store, secret),
            "receiver": Receiver(store, secret),
        }
        self.connections: set[socket.socket] = set()
        self.workers: weakref.WeakSet[threading.Thread] = weakref.WeakSet()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection and remember it meanwhile."""
        self.connections.add(request)
        self.workers.add(threading.current_thread())
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.connections.discard(request)
            self.store.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error of ours; anything else is told."""
        logger.debug("connection from %s ended: %s", client_address, sys.exc_info()[1])

    def let_go(self) -> None:
        """Stop listening, end every connection and wait for its thread."""
        self.stopping.set()
        ending = threading.Thread(target=self.shutdown)
        ending.start()
        # The loop looks up when it is called, or else at its next interval: most of a short life would be that wait.
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        ending.join()
        self.server_close()
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for worker in list(self.workers):
            worker.join(timeout=5)


class Handler(BaseHTTPRequestHandler):
    """Reads a request, lets the fault and the system have their say, and answers in one write."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 300
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: the request ledger is the log."""

    def _serve(self) -> None:
        try:
            request = self._request()
        except Refusal as refusal:
            self.close_connection = True
            self._send(Answer(refusal.status, {"error": refusal.message}))
            return
        name = request.segments[0]
        if name in self.server.systems:
            self._serve_system(name, self.server.systems[name], request)
            return
        self._send(self._control(request))

    def _control(self, request: Request) -> Answer:
        try:
            return self.server.control.handle(request)
        except Refusal as refusal:
            return self.server.control.refuse(refusal)
        except Exception:
            logger.exception("the simulator failed on %s", request.readable)
            return Answer(500, {"error": "The simulator itself failed."})

    def do_GET(self) -> None:
        """Answer a read."""
        self._serve()

    def do_POST(self) -> None:
        """Answer a creation, an action, a control."""
        self._serve()

    def do_PATCH(self) -> None:
        """Answer a change or an upsert."""
        self._serve()

    def do_PUT(self) -> None:
        """Answer a change."""
        self._serve()

    def do_DELETE(self) -> None:
        """Answer a deletion."""
        self._serve()

    def do_OPTIONS(self) -> None:
        """Answer a question about what is allowed."""
        self._serve()

    def _request(self) -> Request:
        """Read the body and gather the request."""
        length = self.headers.get("Content-Length", "0")
        if self.headers.get("Transfer-Encoding"):
            raise Refusal(411, "Send a Content-Length.")
        if not (length.isascii() and length.isdecimal()):
            raise Refusal(400, "Bad Content-Length.")
        if int(length) > LARGEST_BODY:
            raise Refusal(413, "The body is too large.")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise Refusal(400, "The body is shorter than its Content-Length.")
        try:
            rooted = urlsplit(self.path).path.startswith("/")
        except ValueError:
            rooted = False
        if not rooted:
            raise Refusal(400, "Bad address.")
        host = self.headers.get("Host") or "{}:{}".format(*self.server.server_address[:2])
        headers: Mapping[str, str] = dict(self.headers.items())
        return Request(self.command, self.path, headers, body, host)

    def _serve_system(self, name: str, system: System, request: Request) -> None:
        """Log the arrival, meet the fault, answer; the outcome is in the ledger before the client hears of it."""
        key = effect_key_of(request)
        try:
            number, fault = self._arrive(name, request, key)
        except Refusal as refusal:
            self._send(system.refuse(refusal))
            return
        exchange = Exchange(request, self.server.store, key, stale=fault is not None and fault.name == "stale")
        answer = self._before(system, fault)
        if answer is None:
            answer = self._ask(system, exchange)
        silent = fault is not None and fault.name in SILENT
        if fault is not None and fault.name == "commit_then_503":
            answer = system.refuse(Refusal(503, "The service is unavailable.", code="SERVER_UNAVAILABLE"))
        self._outcome(number, exchange, None if silent else answer)
        if not silent:
            self._send(answer)
            return
        if fault is not None and fault.name in ("commit_then_timeout", "timeout_before"):
            self.server.stopping.wait(fault.seconds)
        self._reset()

    def _arrive(self, name: str, request: Request, key: str | None) -> tuple[int, Fault | None]:
        fault = faults.from_header(request)
        with self.server.store.write() as session:
            if fault is None:
                fault = faults.choose(session, name, request)
            cursor = session.connection.execute(
                "INSERT INTO requests(arrival, system, method, path, effect_key, fault) VALUES(?,?,?,?,?,?)",
                (now_text(), name, request.method, request.target, key, fault.name if fault else None),
            )
            return int(cursor.lastrowid or 0), fault

    def _before(self, system: System, fault: Fault | None) -> Answer | None:
        """Give the answer of a fault that strikes before anything is done; None lets the request through."""
        if fault is None or fault.name in faults.COMMITTING:
            if fault is not None and fault.name == "slow":
                self.server.stopping.wait(fault.seconds)
            return None
        if fault.name == "429":
            return system.throttled(fault.seconds)
        if fault.name == "lock":
            return system.refuse(system.locked())
        if fault.name == "html":
            return Answer(200, HTML, content_type="text/html; charset=utf-8")
        if fault.name in faults.STATUSES:
            return system.refuse(STATUS_REFUSALS.get(fault.name) or Refusal(int(fault.name), "Injected fault."))
        return system.refuse(Refusal(500, "An unexpected error occurred.", code="UNKNOWN_EXCEPTION"))

    def _ask(self, system: System, exchange: Exchange) -> Answer:
        try:
            return system.handle(exchange)
        except Refusal as refusal:
            return system.refuse(refusal)
        except Exception:
            logger.exception("the simulator failed on %s", exchange.request.readable)
            return system.refuse(Refusal(500, "The simulator itself failed.", code="UNKNOWN_EXCEPTION"))

    def _outcome(self, number: int, exchange: Exchange, answer: Answer | None) -> None:
        status = answer.status if answer else None
        after = float(answer.headers["Retry-After"]) if answer and "Retry-After" in answer.headers else None
        with self.server.store.write() as session:
            session.connection.execute(
                "UPDATE requests SET committed=?, status=?, retry_after=? WHERE n=?",
                (int(exchange.committed), status, after, number),
            )

    def _send(self, answer: Answer) -> None:
        """Write head and body in one piece."""
        payload = answer.payload()
        head = [
            f"HTTP/1.1 {answer.status} {self.responses.get(answer.status, ('',))[0]}",
            f"Date: {self.date_time_string()}",
        ]
        if answer.status != 204:
            head += [f"Content-Type: {answer.content_type}", f"Content-Length: {len(payload)}"]
        head += [f"{name}: {value}" for name, value in answer.headers.items()]
        if self.close_connection:
            head.append("Connection: close")
        text = "\r\n".join(head) + "\r\n\r\n"
        try:
            self.wfile.write(text.encode("latin-1", "replace") + (b"" if self.command == "HEAD" else payload))
        except OSError:
            # The client gave up waiting; what was committed stays committed.
            self.close_connection = True

    def _reset(self) -> None:
        """Drop the connection with a TCP reset: closing with unsent linger skips the polite goodbye."""
        self.close_connection = True
        self.server.connections.discard(self.connection)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())


SILENT = {"commit_then_reset", "commit_then_timeout", "reset_before", "timeout_before"}
STATUS_REFUSALS = {
    "401": Refusal(401, "Session expired or invalid", code="INVALID_SESSION_ID"),
    "412": Refusal(412, "The record was changed by another user after it was read.", code="PRECONDITION_FAILED"),
    "503": Refusal(503, "The service is unavailable.", code="SERVER_UNAVAILABLE"),
}


class RunningSimulator:
    """A simulator that serves until it is stopped; use it as a context manager."""

    def __init__(self, server: Server, mail: MailPair | None = None) -> None:
        self.server = server
        self.mail = mail
        self.store = server.store
        host, port = server.server_address[:2]
        self.url = f"http://{host if isinstance(host, str) else host.decode()}:{port}"
        self._thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="simulator", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop serving; what was committed is on the disk."""
        if self._thread.is_alive():
            self.server.let_go()
            self._thread.join()
            if self.mail is not None:
                self.mail.stop()
        self.store.close()

    def __enter__(self) -> RunningSimulator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def serve(
    data_dir: str | Path,
    port: int = 0,
    seed: int = 7,
    business: str = "demo",
    *,
    host: str = "127.0.0.1",
    secret: str = "simulator",  # noqa: S107
    synchronous: str = "NORMAL",
    mail: tuple[int, int] | None = None,
) -> RunningSimulator:
    """Start the simulator on a data folder; a folder that was planted before goes on from what it holds.

    ``mail`` names the ports of IMAP and SMTP, always on 127.0.0.1; without it no mail is served. A port 0 picks a free
    one. Raises OSError when a port is taken.
    """
    store = Store(Path(data_dir) / "simulator.sqlite3", synchronous=synchronous)
    with store.read() as session:
        planted = session.meta("business") != ""
    if not planted:
        store.reset(lambda session: plant(session, seed, business))
    server = Server((host, port), store, secret)
    if mail is None:
        return RunningSimulator(server)
    try:
        pair = MailPair(store, secret, mail)
    except OSError:
        server.server_close()
        store.close()
        raise
    server.control.mail = {"imap": f"127.0.0.1:{pair.imap}", "smtp": f"127.0.0.1:{pair.smtp}"}
    return RunningSimulator(server, pair)
