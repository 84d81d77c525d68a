"""A system to call: Dataverse's answers of known length over loopback, in a process of its own, as cheap as can be.

Run as ``python -m tests.benchmarks.target ROWS``; prints its port, and answers until its standard input ends.
"""

import asyncio
import json
import re
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

PAGE = 500
ROOT = "/api/data/v9.2"


class Environment:
    """Cases that changed one after the other, the last of them an hour ago."""

    def __init__(self, rows: int) -> None:
        self.rows, self.url = rows, ""
        self.begin = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1, milliseconds=rows * 100)

    def case(self, number: int) -> dict[str, object]:
        """Return one case as a row of an answer."""
        changed = (self.begin + timedelta(milliseconds=number * 100)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "@odata.etag": f'W/"{number + 1}"', "incidentid": f"00000000-0000-0000-0000-{number:012x}",
            "title": f"Delivery {number} is late", "ticketnumber": f"CAS-{number:06d}", "statecode": 0,
            "description": "The carrier has not called. " * 4, "prioritycode": 2, "modifiedon": changed,
            "_customerid_value": f"00000000-0000-0000-0001-{number % 997:012x}",
        }  # fmt: skip

    def answer(self, method: str, address: str) -> object:
        """Answer one request."""
        url = urlsplit(address)
        if method == "POST":
            return {"access_token": "token-of-the-target", "token_type": "Bearer", "expires_in": 3599}
        if "(" in url.path:
            return self.case(1)
        return self.page(int(parse_qs(url.query).get("$skiptoken", ["0"])[0]))

    def page(self, start: int) -> dict[str, object]:
        """Return one page of the changed cases, and where the next begins."""
        end = min(start + PAGE, self.rows)
        link = "@odata.deltaLink" if end >= self.rows else "@odata.nextLink"
        rows = [self.case(number) for number in range(start, end)]
        return {"value": rows, link: f"{self.url}{ROOT}/incidents?$skiptoken={end}"}


class Line(asyncio.Protocol):
    """One kept connection. Its requests come one after the other."""

    def __init__(self, environment: Environment) -> None:
        self.environment, self.buffer = environment, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if not found or len(rest) < int(length[1] if length else 0):
            return
        self.buffer = b""
        method, address, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
        body = json.dumps(self.environment.answer(method, address)).encode()
        lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(body)}", "", ""]
        self.transport.write("\r\n".join(lines).encode() + body)


async def serve(rows: int) -> None:
    """Answer until nobody is there any more."""
    loop = asyncio.get_running_loop()
    environment = Environment(rows)
    server = await loop.create_server(lambda: Line(environment), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    environment.url = f"http://127.0.0.1:{port}"
    print(port, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1])))
