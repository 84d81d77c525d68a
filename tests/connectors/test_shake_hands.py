"""The question that senders of CloudEvents put by OPTIONS: consent is a header, given to named origins only."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from django.test import Client

from connectors import actions, registry
from connectors.base import Arguments, Connector, Health, Inbound, Read, Record, Refused, Write, Written
from connectors.inbound import handshakes
from connectors.models import Connection, Delivery
from tests.connectors.conftest import Played
from tests.connectors.factories import HOOK_SECRET, make_fo
from tests.connectors.sap_world import make_sap

pytestmark = pytest.mark.django_db
ORIGIN = "eventemitter.example.com"
CALLBACK = "https://eventemitter.example.com/confirm?id=12"


class Doorway(Connector):
    """A toy that names who may deliver, and how often."""

    class Settings(Arguments):
        """Who may deliver."""

        allowed_origins: str | list[str] = ""
        rate: int | None = None

    slug = "doorway"
    label = "Doorway"
    config = Settings
    operations: ClassVar = ()

    def check(self) -> Health:
        return Health(True, (), "open")

    def receive(self, body: bytes, headers: Mapping[str, str]) -> list[Inbound]:
        return [Inbound(body.decode(), "passed", {})]

    def read(self, operation: Read, arguments: Any) -> list[Record]:
        raise Refused("Nothing to read.")

    def write(self, operation: Write, arguments: Any, *, effect_key: str, version: str = "") -> Written:
        raise Refused("Nothing to write.")


@pytest.fixture(autouse=True)
def _doorway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.KINDS, "doorway", Doorway)


def make(**config: Any) -> Connection:
    return actions.create_connection("door", "doorway", actor="system:test", hook_secret=HOOK_SECRET, config=config)


def ask(path: str = "door/", **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Client().options(f"/api/v1/hooks/{path}", headers=named)


@pytest.mark.parametrize(
    "named", [ORIGIN, f"other.example.com, {ORIGIN}", f"a\n{ORIGIN.upper()}", [ORIGIN], ["x", f" {ORIGIN} "]]
)
def test_a_named_origin_is_let_in_at_the_rate_it_asks_for(named: Any) -> None:
    make(allowed_origins=named)
    answer = ask(WebHook_Request_Origin=ORIGIN, WebHook_Request_Rate="120", WebHook_Request_Callback=CALLBACK)

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer["WebHook-Allowed-Origin"] == ORIGIN
    assert answer["WebHook-Allowed-Rate"] == "120"
    assert answer["Allow"] == "POST"


@pytest.mark.parametrize(
    ("rate", "asked", "allowed"),
    [(100, "120", "100"), (100, "20", "20"), (100, "*", "100"), (100, "-1", "100"), (None, "x", None), (0, "7", "7")],
)
def test_the_rate_is_never_more_than_was_named(rate: int | None, asked: str, allowed: str | None) -> None:
    make(allowed_origins=ORIGIN, rate=rate)

    assert ask(WebHook_Request_Origin=ORIGIN, WebHook_Request_Rate=asked).get("WebHook-Allowed-Rate") == allowed


def test_no_rate_is_told_that_was_not_asked_for() -> None:
    make(allowed_origins=ORIGIN, rate=100)
    answer = ask(WebHook_Request_Origin=ORIGIN)

    assert answer["WebHook-Allowed-Origin"] == ORIGIN
    assert "WebHook-Allowed-Rate" not in answer


def test_any_origin_is_let_in_where_the_owner_says_so() -> None:
    make(allowed_origins="*")

    assert ask(WebHook_Request_Origin=ORIGIN)["WebHook-Allowed-Origin"] == "*"


@pytest.mark.parametrize("origin", ["example.com", f"{ORIGIN}.evil.test", "", "*", f"{ORIGIN},x", "a" * 300])
def test_whoever_was_not_named_gets_an_answer_and_no_consent(origin: str) -> None:
    make(allowed_origins=ORIGIN)
    answer = ask(WebHook_Request_Origin=origin, WebHook_Request_Rate="1")

    assert answer.status_code == 200
    assert answer["Allow"] == "POST"
    assert "WebHook-Allowed-Origin" not in answer
    assert "WebHook-Allowed-Rate" not in answer


def test_a_kind_without_such_a_setting_consents_to_nobody() -> None:
    make_fo()
    answer = ask("fo/", WebHook_Request_Origin=ORIGIN)

    assert answer.status_code == 200
    assert "WebHook-Allowed-Origin" not in answer


def test_sap_takes_events_from_the_origin_that_was_named() -> None:
    make_sap(config={"allowed_origins": ORIGIN, "rate": 60})
    answer = ask("sap/", WebHook_Request_Origin=ORIGIN, WebHook_Request_Rate="100")

    assert (answer["WebHook-Allowed-Origin"], answer["WebHook-Allowed-Rate"]) == (ORIGIN, "60")


def test_a_configuration_that_is_no_longer_valid_consents_to_nobody() -> None:
    make(allowed_origins=ORIGIN)
    Connection.objects.update(config={"allowed_origins": ORIGIN, "gone": 1})

    assert "WebHook-Allowed-Origin" not in ask(WebHook_Request_Origin=ORIGIN)
    Connection.objects.update(kind="never-installed")
    assert "WebHook-Allowed-Origin" not in ask(WebHook_Request_Origin=ORIGIN)


def test_nobody_is_called_back(played: Played) -> None:
    make(allowed_origins="*")
    ask(WebHook_Request_Origin=ORIGIN, WebHook_Request_Callback=CALLBACK)

    assert played.requests == []


def test_an_unknown_address_is_not_there_and_a_disabled_one_says_so() -> None:
    make(allowed_origins="*")

    assert ask("nowhere/", WebHook_Request_Origin=ORIGIN).status_code == 404
    assert ask("nowhere/").status_code == 404
    Connection.objects.update(enabled=False)
    assert ask(WebHook_Request_Origin=ORIGIN).status_code == 403


def test_with_the_secret_in_the_path_a_wrong_one_leads_nowhere() -> None:
    make(allowed_origins=ORIGIN)

    assert ask(f"door/{HOOK_SECRET}/", WebHook_Request_Origin=ORIGIN)["WebHook-Allowed-Origin"] == ORIGIN
    assert ask("door/another-secret-of-some-length/", WebHook_Request_Origin=ORIGIN).status_code == 404


def test_an_ordinary_question_is_answered_as_everywhere_else() -> None:
    make(allowed_origins=ORIGIN)
    answer = ask()

    assert answer.status_code == 200
    assert set(answer["Allow"].split(", ")) == {"POST", "OPTIONS"}
    assert "parses" in answer.json()
    assert "WebHook-Allowed-Origin" not in answer


def test_consent_lets_nothing_in_without_the_secret() -> None:
    make(allowed_origins="*")
    ask(WebHook_Request_Origin=ORIGIN)
    told = {"headers": {"WebHook-Request-Origin": ORIGIN}, "content_type": "text/plain"}

    assert Client().post("/api/v1/hooks/door/", b"1", **told).status_code == 401  # type: ignore[arg-type]
    assert not Delivery.objects.exists()


def test_headers_are_known_in_any_case() -> None:
    connection = make(allowed_origins=ORIGIN)
    asked = Client().options("/api/v1/hooks/door/", headers={"webhook-request-origin": ORIGIN})

    assert asked["webhook-allowed-origin"] == ORIGIN
    assert handshakes.consent(connection, {}) is None
