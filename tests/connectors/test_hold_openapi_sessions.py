"""What surrounds a call to a REST API: CSRF tokens with their cookies, the connection test, what is worked out once."""

from typing import Any

import httpx
import pytest

from connectors import gateway, texts
from connectors.base import Blocked, Refused, Unreachable
from connectors.kinds.openapi import compiling
from connectors.models import Call, KeptText
from tests.connectors.factories import SECRET, Played
from tests.connectors.openapi_world import HOST, Orders, document, make_api, operation, parameter

HOLD = {"id": "7", "status": "held"}


class Guarded:
    """Orders that take a change only with a CSRF token and the cookie that it was handed out with."""

    def __init__(self, played: Played, header: str = "X-CSRF-Token") -> None:
        self.orders, self.header, self.number = Orders(played), header, 0
        self.orders.put("7")
        played.on("GET", "/v1/csrf", self.handed).on("PATCH", "/v1/orders/7", self.changed)

    def handed(self, request: httpx.Request) -> httpx.Response:
        assert request.headers[self.header] == "Fetch"
        self.number += 1
        headers = {self.header: f"token-{self.number}", "Set-Cookie": f"sid=s{self.number}; Path=/; HttpOnly"}
        return httpx.Response(200, json={}, headers=headers)

    def changed(self, request: httpx.Request) -> Any:
        shown = (request.headers.get(self.header), request.headers.get("cookie"))
        if shown != (f"token-{self.number}", f"sid=s{self.number}"):
            return httpx.Response(403, json={"title": "CSRF"}, headers={"X-CSRF-Token": "Required"})
        answer = self.orders.changed(request)
        self.orders.played.on("PATCH", "/v1/orders/7", self.changed)  # the order put itself in its place
        return answer

    def expire(self) -> None:
        """Forget every session, as after an hour."""
        self.number += 10


def hold(connection: Any, status: str = "held", key: str = "k") -> None:
    gateway.call(connection, "order.update", {"id": "7", "status": status}, actor="test", effect_key=key)


# --- CSRF ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("header", ["X-CSRF-Token", "X-XSRF-Token"])
def test_a_token_is_fetched_once_and_sent_with_its_cookie(db: None, played: Played, header: str) -> None:
    system = Guarded(played, header)
    connection = make_api(config={"csrf_path": "/csrf", "csrf_header": header})

    hold(connection)
    hold(connection, "closed")

    assert [request.method for request in played.requests] == ["GET", "PATCH", "PATCH"]
    assert system.orders.rows["7"]["status"] == "closed"


def test_a_token_that_expired_is_renewed_once_and_the_change_is_made_once(db: None, played: Played) -> None:
    system = Guarded(played)
    connection = make_api(config={"csrf_path": "/csrf"})
    hold(connection)
    system.expire()

    hold(connection, "closed")

    assert [request.method for request in played.requests] == ["GET", "PATCH", "PATCH", "GET", "PATCH"]
    assert system.orders.versions["7"] == 3


def test_a_token_that_is_never_right_ends_in_a_refusal_and_no_loop(db: None, played: Played) -> None:
    Guarded(played)
    played.on("PATCH", "/v1/orders/7", httpx.Response(403, json={"title": "No"}, headers={"X-CSRF-Token": "Required"}))

    with pytest.raises(Refused, match="No"):
        hold(make_api(config={"csrf_path": "/csrf"}))

    assert [request.method for request in played.requests] == ["GET", "PATCH", "GET", "PATCH"]


def test_what_a_system_says_back_of_its_session_is_not_kept(db: None, played: Played) -> None:
    Guarded(played)
    said = httpx.Response(400, json={"title": "Bad session s1 with token-1"})
    played.on("PATCH", "/v1/orders/7", said)

    with pytest.raises(Refused) as refused:
        hold(make_api(config={"csrf_path": "/csrf"}))

    assert "token-1" not in f"{refused.value} {[vars(row) for row in Call.objects.all()]}"


@pytest.mark.parametrize("answer", [httpx.Response(200, json={}), httpx.Response(404)])
def test_where_no_token_is_handed_out_nothing_is_changed(db: None, played: Played, answer: httpx.Response) -> None:
    system = Guarded(played)
    played.on("GET", "/v1/csrf", answer)

    with pytest.raises(Refused):
        hold(make_api(config={"csrf_path": "/csrf"}))

    assert system.orders.versions["7"] == 1


def test_a_token_server_that_does_not_answer_leaves_the_change_unsent(db: None, played: Played) -> None:
    system = Guarded(played)
    played.on("GET", "/v1/csrf", httpx.ReadTimeout("slow"))

    with pytest.raises(Unreachable, match="Nothing was written"):
        hold(make_api(config={"csrf_path": "/csrf"}))

    assert system.orders.versions["7"] == 1


def test_reads_need_no_token(db: None, played: Played) -> None:
    Guarded(played)

    gateway.call(make_api(config={"csrf_path": "/csrf"}), "order.get", {"id": "7"}, actor="test")

    assert len(played.requests) == 1


# --- the connection test ---------------------------------------------------------------------------
PLAIN = document({"/rows/{id}": {"get": operation(parameter("id", "path"), answer={}, operationId="getRow")}})


@pytest.mark.parametrize(
    ("answer", "ok"),
    [(httpx.Response(404), True), (httpx.Response(200, json={}), True), (httpx.Response(401), False),
     (httpx.Response(403), False), (httpx.Response(500), False), (httpx.Response(200, html="<html>hi</html>"), False)],
)  # fmt: skip
def test_without_a_free_read_the_address_itself_is_tried(
    db: None, played: Played, answer: httpx.Response, ok: bool
) -> None:
    played.on("GET", "/", answer)

    health = gateway.check(make_api(PLAIN, secrets={}), actor="test")

    assert health.ok is ok
    assert health.message
    assert [str(request.url) for request in played.requests] == [f"{HOST}/"]


def test_the_read_that_was_named_is_the_one_that_is_called(db: None, played: Played) -> None:
    Orders(played)

    health = gateway.check(make_api(config={"check_with": "orders.list"}), actor="test")

    assert (health.ok, health.tried) == (True, (f"GET {HOST}/v1/orders",))
    assert played.requests[0].headers["x-api-key"] == SECRET


# --- worked out once -------------------------------------------------------------------------------
def test_a_call_reads_no_document_again(db: None, played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    Orders(played).put("7")
    connections = [make_api(slug=f"api{number}", root=f"https://h{number}.contoso.test") for number in range(6)]
    for connection in connections:
        gateway.call(connection, "order.get", {"id": "7"}, actor="test")
    monkeypatch.setattr(compiling, "Document", None)
    compiling.document_of.cache_clear()
    KeptText.objects.all().delete()

    for connection in connections:
        gateway.call(connection, "order.get", {"id": "7"}, actor="test")

    assert set(Call.objects.values_list("outcome", flat=True)) == {"ok"}


def test_a_kept_text_is_found_by_its_name_and_a_strange_name_is_not(db: None) -> None:
    connection = make_api()

    assert texts.is_kept(connection.config["document"])
    for name in ("sha256:" + "2" * 64, "sha256:" + "3" * 64):
        assert texts.is_reference(name)
        with pytest.raises(texts.NotKept, match="enter it again"):
            texts.text_of(name)
        with pytest.raises(texts.NotKept):
            texts.is_kept(name)
    assert not texts.is_reference("sha256:zz")
    assert texts.text_of("openapi: 3.1.0") == "openapi: 3.1.0"


def test_an_argument_that_the_document_does_not_allow_reaches_nobody(db: None, played: Played) -> None:
    connection = make_api()

    for wrong in (
        {"id": "..", "status": "held"},
        {**HOLD, "status": "flying"},
        {**HOLD, "more": 1},
        {"status": "held"},
    ):
        with pytest.raises(Blocked) as refused:
            gateway.call(connection, "order.update", wrong, actor="test", effect_key="k")

        assert refused.value.code == "arguments"
    assert played.requests == []
