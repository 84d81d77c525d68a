"""The simulator over real sockets, and systems that a test plays itself."""

from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import pytest

from connectors import transport
from connectors.kit import credentials
from connectors.models import Connection
from connectors.simulator import server
from connectors.wire import model as modelwire
from tests import loopback
from tests.connectors.business import DATAVERSE
from tests.connectors.factories import Played, make_crm, make_dv, make_fo
from tests.connectors.mail_world import World, mail_world
from tests.connectors.modelled import Model
from tests.connectors.sap_world import make_sap, plant_sap


@pytest.fixture(autouse=True)
def _no_leftovers() -> Iterator[None]:
    """Tokens and open lines belong to one test."""
    credentials.forget_all()
    transport.close_all()
    yield
    transport.close_all()
    modelwire.close_all()


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    """Carries every request of the transport to the test instead of the network."""
    system = Played()
    monkeypatch.setattr(transport, "wire", lambda: httpx.MockTransport(system))
    return system


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    played = Model()
    monkeypatch.setattr(modelwire, "wire", lambda: httpx2.MockTransport(played))
    # The names of these tests lead nowhere; which addresses are open is tested where the transport is.
    monkeypatch.setattr("connectors.wire.addresses.checked_url", lambda url: None)
    return played


class Simulated:
    """The running simulator and the outsider's side of it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = loopback.client(url)

    def fault(self, name: str, match: str, *, system: str = "fo", count: int = 1, **more: Any) -> None:
        """Let the next matching request meet a fault."""
        body = {"system": system, "match": match, "fault": name, "count": count, **more}
        self.client.post("/control/faults", json=body).raise_for_status()

    def calm(self) -> None:
        """Drop all faults."""
        self.client.delete("/control/faults").raise_for_status()

    def edit(self, system: str, entity: str, key: Any, **changes: Any) -> None:
        """Change a record as a person would in the system itself."""
        body = {"system": system, "entity": entity, "key": key, "changes": changes}
        self.client.post("/control/edit", json=body).raise_for_status()

    def plant(self, system: str, entity: str, **fields: Any) -> dict[str, Any]:
        """Let a record be there as if it always had been."""
        body = {"system": system, "entity": entity, "fields": fields}
        return dict(self.client.post("/control/records", json=body).raise_for_status().json()["fields"])

    def effects(self, key: str) -> list[dict[str, Any]]:
        """The committed primary effects of one effect key."""
        rows = self.client.get("/ledger/effects").raise_for_status().json()
        return [row for row in rows if row["effect_key"] == key and row["kind"] != "side_effect"]

    def requests(self) -> list[dict[str, Any]]:
        """Every request that arrived, token requests among them."""
        return list(self.client.get("/ledger/requests").raise_for_status().json())

    def period(self, period: str, status: str) -> None:
        """Open or close a fiscal period."""
        self.client.post("/control/period", json={"period": period, "status": status}).raise_for_status()


@pytest.fixture(scope="session")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    running = server.serve(tmp_path_factory.mktemp("simulator"), business="empty", synchronous="OFF")
    yield running
    running.stop()


@pytest.fixture
def simulated(_running: Any, settings: Any) -> Iterator[Simulated]:
    """A simulator with nothing in it but what the test plants, named in OUTBOUND_ALLOW."""
    settings.OUTBOUND_ALLOW = [_running.url.removeprefix("http://")]
    simulated = Simulated(_running.url)
    simulated.client.post("/control/reset", json={"business": "empty"}).raise_for_status()
    yield simulated
    simulated.client.close()


@pytest.fixture
def fo(db: None, simulated: Simulated) -> Connection:
    """The simulator's F&O as a connection."""
    root = f"{simulated.url}/fo"
    return make_fo(root, secret="simulator")


@pytest.fixture
def crm(db: None, simulated: Simulated) -> Connection:
    """The simulator's Salesforce as a connection."""
    return make_crm(f"{simulated.url}/sf", secret="simulator")


@pytest.fixture
def dv(db: None, simulated: Simulated) -> Connection:
    """The simulator's Dataverse as a connection, with everything switched on that it knows."""
    return make_dv(f"{simulated.url}/dv", secret="simulator", config=DATAVERSE)


@pytest.fixture
def sap(db: None, simulated: Simulated) -> Connection:
    """The simulator's SAP as a connection, with a small business in it."""
    plant_sap(simulated)
    return make_sap(simulated.url, secret="simulator")


@pytest.fixture
def post(settings: Any) -> Iterator[World]:
    """The simulator's mailbox, by IMAP and SMTP."""
    with mail_world(settings) as world:
        yield world
