"""Hostile addresses in every setting that holds one, of every kind: a listener on loopback sees nobody come."""

import json
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing, suppress
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest

from audit.errors import Invalid
from connectors import actions, gateway, registry, transport
from connectors.base import Connector, ConnectorError, Read
from connectors.inbound import polling
from connectors.kit import credentials
from connectors.models import Call, Connection
from connectors.wire import model as modelwire
from tests.connectors.witness import PUBLIC, Witness, watching
from tests.contracts.test_connector_kinds import EACH_KIND, KINDS, SECRET, connection_of, example_config
from tests.contracts.test_connector_nonsense import example_of

pytestmark = pytest.mark.any_database


def _leads(name: str) -> bool:
    """Tell whether a setting or secret of this name says where to call; a front end is only linked to."""
    return any(part in name for part in ("url", "authority", "host")) and not name.startswith("front_end")


# Where {p} is the listener's port. Each of the first group means loopback to some library or name server.
LOOPBACK = [
    "https://127.0.0.1:{p}", "https://127.1:{p}", "https://127.0.1:{p}", "https://127.255.255.254:{p}",
    "https://2130706433:{p}", "https://0x7f000001:{p}", "https://0x7f.0.0.1:{p}", "https://0X7F.1:{p}",
    "https://0177.0.0.1:{p}", "https://017700000001:{p}", "https://127.0.0.01:{p}", "https://0:{p}",
    "https://0.0.0.0:{p}", "https://00000000:{p}", "https://localhost:{p}", "https://LocalHost.:{p}",
    "https://localhost.localdomain:{p}", "https://[::1]:{p}", "https://[::]:{p}", "https://[0:0:0:0:0:0:0:1]:{p}",
    "https://[::ffff:127.0.0.1]:{p}", "https://[::ffff:7f00:1]:{p}", "https://[::127.0.0.1]:{p}",
    "https://[::7f00:1]:{p}", "https://[64:ff9b::7f00:1]:{p}", "https://[64:ff9b:1::7f00:1]:{p}",
    "https://[2002:7f00:1::]:{p}", "https://[::1%25lo]:{p}", "https://[fe80::1%25lo]:{p}", "https://127.0.0.1.:{p}",
    "https://１２７.0.0.1:{p}", "https://127。0。0。1:{p}", "https://①②⑦.⓪.⓪.①:{p}", "https://ｌｏｃａｌｈｏｓｔ:{p}",
    "https://127%2e0%2e0%2e1:{p}", "https://%6c%6f%63%61%6c%68%6f%73%74:{p}",
]  # fmt: skip
INNER = [
    "https://10.0.0.5:{p}", "https://172.16.0.1:{p}", "https://192.168.0.1:{p}", "https://100.64.0.1:{p}",
    "https://169.254.169.254:{p}/latest/meta-data", "https://2852039166:{p}", "https://[fd00:ec2::254]:{p}",
    "https://[fc00::1]:{p}", "https://[ff02::1]:{p}", "https://224.0.0.1:{p}", "https://255.255.255.255:{p}",
]  # fmt: skip
NAMED = [
    "https://loopback.test:{p}", "https://loopback6.test:{p}", "https://private.test:{p}", "https://metadata.test:{p}",
    "https://mapped.test:{p}", "https://translated.test:{p}", "https://mixed.test:{p}", "https://rebinding.test:{p}",
    "https://loopback.test.:{p}", "https://LOOPBACK.TEST:{p}", "https://tunnel.test:{p}", "https://site.test:{p}",
    "https://scoped.test:{p}", "https://shared.test:{p}", "https://xn--loopback.test:{p}", "https://xn--:{p}",
]  # fmt: skip
TRICKS = [
    "https://nobody.test@127.0.0.1:{p}", "https://user:word@127.0.0.1:{p}", "https://127.0.0.1:{p}@127.0.0.1:{p}",
    "https://nobody.test%40127.0.0.1:{p}", "https://nobody.test#@127.0.0.1:{p}", "https://nobody.test\\@127.0.0.1:{p}",
    "https://127.0.0.1:{p}\\.nobody.test", "https://127.0.0.1:{p}#.nobody.test", "https://127.0.0.1:{p}?.nobody.test",
    "https:\\\\127.0.0.1:{p}", "https:///127.0.0.1:{p}", "https://\t127.0.0.1:{p}", "https://127.0.0.1:{p}\r\nHost: x",
    "https://nobody.test\r\n@127.0.0.1:{p}", "https://127.0.0.1\x00.nobody.test:{p}", "https://127.0.0.1:+{p}",
    "https://127.0.0.1:0{p}", "http://127.0.0.1:{p}", "http://localhost:{p}", "http://[::1]:{p}", "HTTP://127.1:{p}",
    "ftp://127.0.0.1:{p}", "file://127.0.0.1:{p}/etc/passwd", "gopher://127.0.0.1:{p}/_GET", "ws://127.0.0.1:{p}",
    "unix://127.0.0.1:{p}", "//127.0.0.1:{p}", "127.0.0.1:{p}",
]  # fmt: skip
HOSTILE = [*LOOPBACK, *INNER, *NAMED, *TRICKS]
PLACES = [
    pytest.param(kind, name, id=f"{slug} {name}")
    for slug, kind in KINDS
    for name in (*kind.config.model_fields, *sorted(kind.secrets))
    if _leads(name)
]


@pytest.fixture(autouse=True)
def _bare(settings: Any) -> Iterator[None]:
    settings.OUTBOUND_ALLOW = ["erp.test:443"]
    # A breaker that has opened would hide what comes after it.
    settings.BREAKER_FAILURES = settings.BREAKER_SHARE = 0
    settings.OUTBOUND_TIMEOUT_SECONDS = 5
    yield
    credentials.forget_all()
    transport.close_all()
    modelwire.close_all()


@pytest.fixture
def witness(monkeypatch: pytest.MonkeyPatch) -> Iterator[Witness]:
    with watching(monkeypatch) as seen:
        yield seen


def choices(kind: type[Connector]) -> list[dict[str, Any]]:
    """The ways in which a kind can be set up that decide whom it calls: each value of each of its enumerations."""
    wide = {name: info.annotation for name, info in kind.config.model_fields.items() if _is_enum(info.annotation)}
    return [{}, *({name: one.value} for name, values in wide.items() for one in values)]


def _is_enum(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Enum)


def tried_with(kind: type[Connector], number: int) -> list[dict[str, Any]]:
    """All of the ways where they are few; else one after the other, so that each meets many addresses."""
    ways = choices(kind)
    return ways if len(ways) <= 4 else [ways[number % len(ways)]]


def proper(kind: type[Connector]) -> dict[str, str]:
    """All secrets, entered with each address; a key that Standard Webhooks takes, where a kind signs."""
    key = "whsec_" + b64encode(b"k" * 32).decode()
    return {name: key if name == "signing_secret" else SECRET for name in kind.secrets}


def configured(kind: type[Connector], name: str, url: str, port: int) -> tuple[dict[str, Any], dict[str, str]]:
    """Settings and secrets that lead to ``url`` by ``name``; what wants a host gets the host alone, with its port."""
    config, secrets = example_config(kind), proper(kind)
    place = (url.partition("://")[2] or url).partition("/")[0]
    stem = name.removesuffix("_url").removesuffix("_host")
    if f"{stem}_url" in kind.secrets:
        # A secret address is used only where it leads to the host that the settings name: both say the same.
        secrets[f"{stem}_url"] = f"{url}/a-long-secret-path-of-a-workflow"
        config[f"{stem}_host"] = place
    elif name.endswith("host"):
        config[name], config[f"{stem}_port"] = place.rpartition(":")[0].strip("[]") or place, port
        config |= {"address": "us@contoso.test", "user": "us", "recipients": "them@contoso.test"}
    else:
        config[name] = url
    return config, secrets


def use_all(connection: Connection) -> None:
    """Test, poll and use one operation of each sort. Nothing but exact errors may come of it."""
    gateway.check(connection, actor="test")
    polling.poll_one(connection)
    sorts = {type(one): one for one in registry.operations_of(connection)}
    for operation in sorts.values():
        key = "k" * 40 if not isinstance(operation, Read) else ""
        with suppress(ConnectorError):
            gateway.call(connection, operation.name, example_of(operation.arguments), actor="test", effect_key=key)
    Connection.objects.update(not_before=None)


def test_there_are_enough_of_them_and_every_kind_that_calls_anybody_is_tried() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) >= 45
    assert {param.values[0] for param in PLACES} == {kind for _, kind in KINDS}


@pytest.mark.parametrize(("kind", "name"), PLACES)
def test_no_hostile_address_in_a_setting_reaches_anybody(
    kind: type[Connector], name: str, db: None, witness: Witness
) -> None:
    connection = connection_of(kind)
    used = 0
    for number, hostile in enumerate(HOSTILE):
        url = hostile.replace("{p}", str(witness.port))
        config, secrets = configured(kind, name, url, witness.port)
        for choice in tried_with(kind, number):
            try:
                actions.update_connection(connection, actor="test", secrets=secrets, config={**config, **choice})
            except Invalid:
                connection = Connection.objects.get()
                continue
            use_all(connection)
            used += 1

            assert witness.untouched(), (url, witness.arrived, witness.tried)

    # Most of them look like addresses: it is where they lead that is refused, not their form alone.
    assert used >= 20
    assert not Call.objects.filter(outcome__in=("open", "failed")).exists()
    assert not Call.objects.filter(outcome="ok", requests__gt=0).exists()


@pytest.mark.parametrize("url", HOSTILE)
def test_neither_library_that_opens_sockets_reaches_anybody(url: str, witness: Witness) -> None:
    url = url.replace("{p}", str(witness.port))
    http = transport.Http("hostile")
    for method in ("GET", "POST", "OPTIONS"):
        with pytest.raises(ConnectorError):
            http.send(method, url)
    refusals = (ConnectorError, httpx2.HTTPError, httpx2.InvalidURL)
    with closing(httpx2.Client(transport=modelwire.wire(), trust_env=False)) as model, pytest.raises(refusals):
        model.post(url, json={})

    assert witness.untouched(), (witness.arrived, witness.tried)


def test_of_mixed_addresses_only_the_public_one_is_tried(witness: Witness) -> None:
    with pytest.raises(ConnectorError):
        transport.Http("mixed").send("GET", f"https://mixed.test:{witness.port}/")

    assert witness.tried == [PUBLIC]


def test_a_name_that_turns_to_loopback_between_two_calls_is_refused_then(witness: Witness) -> None:
    http = transport.Http("rebinding")
    outcomes = []
    for _ in range(4):
        with pytest.raises(ConnectorError) as refused:
            http.send("GET", f"https://rebinding.test:{witness.port}/")
        outcomes.append(refused.value.code)

    assert outcomes == ["connect", "address", "address", "connect"]
    assert witness.asked["rebinding.test"] == 4, "each check asks once, and the socket goes by its answer"
    assert witness.untouched()


# --- what a system that may be called answers ---------------------------------------------------------
class Trap(ThreadingHTTPServer):
    """A system that we may call and that wants us to go elsewhere, with our token."""

    daemon_threads = True
    elsewhere = ""
    status = 200
    asked = 0


class Luring(BaseHTTPRequestHandler):
    server: Trap

    def _answer(self) -> None:
        self.server.asked += 1
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        there = self.server.elsewhere
        link = f"{there}/next"
        told = {
            "access_token": "t", "token_type": "Bearer", "expires_in": 3600, "instance_url": there, "done": False,
            "token_endpoint": there, "servers": [{"url": there}], "value": [], "records": [], "links": {"next": link},
            "@odata.nextLink": link, "@odata.deltaLink": link, "nextRecordsUrl": link, "next": link,
            "d": {"results": [], "__next": link, "__delta": link}, "ok": True, "response_metadata": {"url": link},
        }  # fmt: skip
        data = json.dumps(told).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Location", link)
        self.send_header("Link", f'<{link}>; rel="next"')
        self.send_header("Refresh", f"0; url={link}")
        self.send_header("OData-EntityId", link)
        self.send_header("Operation-Location", link)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


for _method in ("GET", "POST", "PATCH", "PUT", "DELETE", "OPTIONS", "HEAD", "MERGE"):
    setattr(Luring, f"do_{_method}", Luring._answer)


@pytest.fixture
def trap() -> Iterator[Trap]:
    with Trap(("127.0.0.1", 0), Luring) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.django_db
@pytest.mark.parametrize("status", [200, 201, 301, 302, 303, 307, 308, 401])
@EACH_KIND
def test_no_redirect_next_link_or_token_answer_leads_elsewhere(
    kind: type[Connector], status: int, trap: Trap, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    with watching(monkeypatch, open_port=trap.server_port) as witness:
        trap.status, trap.elsewhere = status, f"http://127.0.0.1:{witness.port}"
        own = f"127.0.0.1:{trap.server_port}"
        # Some other connection may call there: it is the kind that must not take our token along.
        settings.OUTBOUND_ALLOW = [own, f"127.0.0.1:{witness.port}"]
        config = example_config(kind)
        config |= {name: f"http://{own}" for name in kind.config.model_fields if _leads(name) and "host" not in name}
        connection = connection_of(kind)
        with suppress(Invalid):
            actions.update_connection(connection, actor="test", config=config, secrets=proper(kind))
        for operation in registry.operations_of(connection):
            key = "k" * 40 if not isinstance(operation, Read) else ""
            with suppress(ConnectorError):
                gateway.call(connection, operation.name, example_of(operation.arguments), actor="test", effect_key=key)
            Connection.objects.update(not_before=None)
        gateway.check(connection, actor="test")
        polling.poll_one(connection)

        assert witness.arrived == []
        assert not Call.objects.filter(outcome__in=("open", "failed")).exists()
        assert trap.asked or not any("url" in name for name in kind.config.model_fields)


def test_the_witness_sees_whoever_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    with watching(monkeypatch) as witness:
        socket.create_connection(("127.1", witness.port)).close()
        seen = threading.Event()
        for _ in range(1000):
            if witness.arrived or seen.wait(0.01):
                break

        assert witness.arrived
        assert not witness.untouched()
        assert witness.tried == ["127.0.0.1"]
