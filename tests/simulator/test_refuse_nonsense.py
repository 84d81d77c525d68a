"""What no caller should send: always an answer, never a dead thread, and nothing changed by it."""

import json
import socket
from typing import Any

import httpx
import pytest

from tests.simulator.bench import Bench

ORDER = "SalesOrderHeadersV2(dataAreaId='demf',SalesOrderNumber='SO-1')"


@pytest.fixture
def world(sim: Bench) -> Bench:
    sim.order("SO-1", DeliveryModeCode="GROUND")
    return sim


def alive(world: Bench) -> bool:
    return world.http.get("/control/health").status_code == 200 and world.effects() == []


@pytest.mark.parametrize(
    "fault",
    ["slow:inf", "slow:nan", "slow:-1", "slow:1e300", "commit_then_timeout:inf", "429:-5", "429:nan", "slow:3601"],
)
def test_a_wait_that_nobody_can_wait_is_a_400_and_nothing_is_done(world: Bench, fault: str) -> None:
    answer = world.fo("PATCH", ORDER, json={"DeliveryModeCode": "AIR"}, headers={"X-Sim-Fault": fault})

    assert answer.status_code == 400
    assert alive(world)


@pytest.mark.parametrize(
    "rule",
    [
        {"fault": "slow", "seconds": 1e300}, {"fault": "slow", "seconds": 3601}, {"fault": "500", "probability": 1.5},
        {"fault": "500", "probability": -0.1}, {"fault": "500", "match": ["a"]}, {"fault": "500", "match": 7},
        {"fault": "500", "seed": True}, {"fault": ["500"]}, {"fault": None}, {"fault": "500", "system": {"a": 1}},
        {"fault": "500", "count": 1e300},
    ],
)  # fmt: skip
def test_a_rule_that_could_never_be_kept_is_refused(world: Bench, rule: dict[str, Any]) -> None:
    assert world.http.post("/control/faults", json=rule).status_code == 400
    assert world.http.get("/control/faults").json() == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/control/records", {"system": "sf", "entity": "Case", "fields": {"Subject": "\ud800"}}),
        ("POST", "/control/records", {"system": "fo", "entity": "CustomersV3", "fields": {"dataAreaId": 1}}),
        ("POST", "/control/records", {"system": "fo", "entity": ["x"], "fields": {}}),
        (
            "POST",
            "/control/edit",
            {"system": "fo", "entity": "FiscalPeriods", "key": [], "changes": {"Status": "Open"}},
        ),
        ("POST", "/control/edit", {"system": "sf", "entity": "Case", "key": {"a": 1}, "changes": {"Status": "New"}}),
        ("POST", "/control/period", {"company": ["x"], "period": "2026-01", "status": "Open"}),
        ("POST", "/control/period", {"period": {"a": 1}, "status": "Open"}),
        ("POST", "/control/reset", {"seed": 1.5}),
        ("POST", "/control/tokens/expire", {"system": ["fo"]}),
        ("GET", "/ledger/effects?since=\u00b2", None),
        ("GET", "/ledger/effects?limit=99999999999999999999999", None),
        ("GET", "/ledger/requests?since=-1", None),
        ("GET", "/control/records?system=fo&entity=CustomersV3&key={", None),
        ("GET", "/control/records?system=fo&entity=CustomersV3&key=[[[", None),
        ("GET", "/control/records", None),
    ],
)
def test_a_control_that_makes_no_sense_is_answered(world: Bench, method: str, path: str, body: Any) -> None:
    answer = world.http.request(method, path, content=_json(body), headers={"Content-Type": "application/json"})

    assert 400 <= answer.status_code <= 500
    assert answer.json()["error"]
    assert alive(world)


def _json(body: Any) -> bytes | None:
    return None if body is None else json.dumps(body).encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"GET nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /fo/data HTTP/1.1\r\nHost: x\r\nContent-Length: \xb2\r\n\r\n",
        b"POST /fo/data HTTP/1.1\r\nHost: x\r\nContent-Length: 1e1\r\n\r\n",
        b"POST /fo/data HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\n",
        b"GET ? HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_a_request_line_or_length_that_is_none_gets_a_400(world: Bench, raw: bytes) -> None:
    host, port = world.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(raw)
        answer = connection.recv(4096)

    assert answer.split()[1] == b"400"
    assert alive(world)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT Id FROM Case LIMIT -5", "SELECT Id FROM Case LIMIT 1.5", "SELECT Id FROM Case OFFSET -1",
        "SELECT Id FROM Case LIMIT", "SELECT Id FROM CaseComment WHERE IsPublished LIKE 'x%'",
        "SELECT Id FROM Case WHERE CreatedDate LIKE '2026%'", "SELECT Id FROM Case WHERE CreatedDate = 2026-13-45",
        "SELECT Id FROM Case WHERE CreatedDate > 2026-01-01T99:00:00Z", "SELECT Id FROM Case WHERE " + "(" * 3000,
    ],
)  # fmt: skip
def test_a_query_that_the_real_one_refuses_is_refused(world: Bench, query: str) -> None:
    answer = world.soql(query)

    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"]


def test_a_limit_of_nothing_gives_nothing(world: Bench) -> None:
    world.plant("sf", "Case", Subject="x")

    assert world.soql("SELECT Id FROM Case LIMIT 0").json()["records"] == []
    assert len(world.soql("SELECT Id FROM Case LIMIT 5").json()["records"]) == 1


@pytest.mark.parametrize("option", ["$top", "$skip", "$skiptoken"])
@pytest.mark.parametrize("value", ["\u00b2", "-1", "1.5", "x", ""])
def test_a_number_that_is_none_is_a_400_in_every_option(world: Bench, option: str, value: str) -> None:
    assert world.fo("GET", "SalesOrderHeadersV2", params={option: value}).status_code == 400


def test_a_page_may_be_asked_for_with_its_token_first(sim: Bench) -> None:
    for number in range(5):
        sim.order(f"SO-{number}")
    headers = {**sim.fo_auth, "Prefer": "odata.maxpagesize=2"}
    url = "/fo/data/SalesOrderHeadersV2?$skiptoken=1&cross-company=true"
    seen = []
    while url:
        page = sim.http.get(url, headers=headers)
        assert page.status_code == 200
        seen += [row["SalesOrderNumber"] for row in page.json()["value"]]
        url = page.json().get("@odata.nextLink", "")

    assert seen == ["SO-1", "SO-2", "SO-3", "SO-4"]


@pytest.mark.parametrize("body", [b"[]", b"null", b"{", b"\xff", b'{"a": NaN}', b"[" * 5000, b'"x"', b"7"])
@pytest.mark.parametrize("path", ["fo/data/SalesOrderHeadersV2", "sf/services/data/v62.0/sobjects/Case"])
def test_a_body_that_is_no_object_is_refused_in_each_systems_own_shape(world: Bench, path: str, body: bytes) -> None:
    answer = world.http.post(f"/{path}", content=body, headers=world.fo_auth if path[:2] == "fo" else world.sf_auth)

    assert answer.status_code == 400
    assert isinstance(answer.json(), dict if path[:2] == "fo" else list)
    assert alive(world)


@pytest.mark.parametrize("auth", ["", "Bearer", "Basic abc", "Bearer x", "Token {token}", "Bearer {token}x"])
def test_only_the_whole_token_of_the_right_system_opens(world: Bench, auth: str) -> None:
    token = world.fo_auth["Authorization"].removeprefix("Bearer ")
    given = {"Authorization": auth.format(token=token)}

    assert world.fo("GET", ORDER, headers=given).status_code == 401
    assert world.fo("GET", ORDER, headers=world.sf_auth).status_code == 401
    assert world.sf("GET", "limits", headers=world.fo_auth).status_code == 401


def test_a_client_that_hangs_up_at_once_harms_nobody(world: Bench) -> None:
    host, port = world.url.removeprefix("http://").split(":")
    for piece in (b"", b"GET", b"POST /fo/data HTTP/1.1\r\nContent-Length: 50\r\n\r\nhalf"):
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(piece)

    assert httpx.get(f"{world.url}/control/health", trust_env=False).status_code == 200
    assert alive(world)
