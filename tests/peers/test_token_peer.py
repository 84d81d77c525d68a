"""Token endpoints against oauth2-mock-server, which nobody here wrote. Skipped where it is not installed.

Behind each endpoint stands the one page of its system that a connection test asks for: it lets in who shows a token
that the published keys of the peer have signed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from connectors import gateway, transport
from connectors.kit import credentials
from connectors.models import Call, Connection
from tests.connectors.factories import SECRET, TENANT, make_crm, make_dv, make_fo
from tests.peers.serving import HERE, needs_node, node, serving
from tests.racing import together

pytestmark = [pytest.mark.peers, needs_node]
MICROSOFT = f"/{TENANT}/oauth2/v2.0/token"


@dataclass(frozen=True)
class Kind:
    """A kind that signs in with client credentials: where, what its connection test reads, and how it is made."""

    tokens: str
    page: str
    make: Callable[..., Connection]
    scoped: bool = True  # it names the environment that the token is for


KINDS = {
    "dynamics_fo": Kind(MICROSOFT, "/data/CustomersV3", make_fo),
    "dataverse": Kind(MICROSOFT, "/api/data/v9.2/accounts", make_dv),
    "salesforce": Kind("/services/oauth2/token", "/services/data/v62.0/limits", make_crm, scoped=False),
}


class Peer:
    """One system with its token endpoint: connections to it, and what it was asked."""

    def __init__(self, address: str, kind: Kind) -> None:
        self.address, self.kind = address, kind

    def begin(self, **changes: int) -> None:
        httpx.post(f"{self.address}/test/begin", json=changes).raise_for_status()

    def withdraw(self, *, later_ones_too: bool = False) -> None:
        """Let nobody in any more with a token that was issued before."""
        httpx.post(f"{self.address}/test/withdraw", json={"later_ones_too": later_ones_too}).raise_for_status()

    @property
    def told(self) -> dict[str, Any]:
        return dict(httpx.get(f"{self.address}/test/told").raise_for_status().json())

    def counted(self) -> tuple[int, int, int]:
        """How often a token was asked for, and how often its system let in and turned away."""
        told = self.told
        return told["asked"], told["let_in"], told["turned_away"]

    def connection(self, **changes: Any) -> Connection:
        return self.kind.make(self.address, **changes)


@pytest.fixture(scope="module", params=KINDS, ids=str)
def running(request: pytest.FixtureRequest) -> Iterator[Peer]:
    """A kind's system, until the last test of that kind."""
    kind = KINDS[request.param]
    with serving(node(HERE / "token_server.mjs", kind.tokens, kind.page, "goldseam", SECRET)) as address:
        yield Peer(address, kind)


@pytest.fixture
def peer(running: Peer, settings: Any) -> Iterator[Peer]:
    settings.OUTBOUND_ALLOW = [running.address.removeprefix("http://")]
    credentials.forget_all()
    running.begin()
    yield running
    transport.close_all()


def test_a_token_is_fetched_once_and_opens_the_system(db: None, peer: Peer) -> None:
    connection = peer.connection()

    found = [gateway.check(connection, actor="test") for _ in range(3)]

    assert [health.ok for health in found] == [True] * 3
    assert peer.counted() == (1, 3, 0)
    scope = peer.told["issued"][0].get("scope")
    assert scope == (f"{peer.address}/.default" if peer.kind.scoped else None)


def test_a_token_about_to_end_is_fetched_anew_before_it_is_used(db: None, peer: Peer) -> None:
    peer.begin(lifetime=30)
    connection = peer.connection()

    gateway.check(connection, actor="test")
    first = peer.counted()
    gateway.check(connection, actor="test")

    assert first[0] >= 1
    assert peer.counted() == (2 * first[0], 2, 0)


def test_a_token_that_is_turned_away_is_fetched_anew_once(db: None, peer: Peer) -> None:
    connection = peer.connection()
    gateway.check(connection, actor="test")
    peer.withdraw()

    health = gateway.check(connection, actor="test")

    assert health.ok
    assert peer.counted() == (2, 2, 1)


def test_where_the_new_token_is_turned_away_too_the_call_ends(db: None, peer: Peer) -> None:
    connection = peer.connection()
    peer.withdraw(later_ones_too=True)

    health = gateway.check(connection, actor="test")

    assert not health.ok
    assert peer.counted() == (2, 0, 2)


@pytest.mark.parametrize("wrong", [{"secret": "not-the-secret"}, {"config": {"client_id": "somebody-else"}}])
def test_a_wrong_client_is_told_and_reaches_no_system(db: None, peer: Peer, wrong: dict[str, Any]) -> None:
    connection = peer.connection(**wrong)

    health = gateway.check(connection, actor="test")

    assert not health.ok
    assert "Client authentication failed" in health.message
    assert peer.counted() == (1, 0, 0)
    kept = str([vars(call) for call in Call.objects.all()])
    assert "not-the-secret" not in kept + health.message


@pytest.mark.django_db(transaction=True)
def test_of_many_threads_one_fetches_the_token(peer: Peer) -> None:
    connection = peer.connection()

    found = together(*[lambda: gateway.check(connection, actor="test").ok] * 8)

    assert found == [True] * 8
    assert peer.counted() == (1, 8, 0)


def test_no_token_is_kept_in_the_log(db: None, peer: Peer) -> None:
    gateway.check(peer.connection(), actor="test")

    kept = str([vars(call) for call in Call.objects.all()])
    assert Call.objects.exists()
    assert "eyJ" not in kept
    assert SECRET not in kept


def test_a_token_opens_the_system_only_for_the_secret_that_fetched_it(db: None, peer: Peer) -> None:
    gateway.check(peer.connection(), actor="test")

    health = gateway.check(peer.connection(slug="other", secret="not-the-secret"), actor="test")

    assert not health.ok
    assert peer.counted() == (2, 1, 0)
