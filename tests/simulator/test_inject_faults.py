"""Faults on demand: what the client sees, and what the ledger says really happened."""

import socket
import time

import httpx
import pytest

from tests.simulator.bench import Bench

ORDER = "SalesOrderHeadersV2(dataAreaId='demf',SalesOrderNumber='SO-1')"
CHANGE = {"DeliveryModeCode": "EXPRESS"}


@pytest.fixture
def world(sim: Bench) -> Bench:
    sim.order("SO-1", DeliveryModeCode="GROUND")
    return sim


def patch(world: Bench, *, fault: str = "", key: str = "key-1", **options: object) -> httpx.Response:
    headers = {"X-Effect-Key": key} | ({"X-Sim-Fault": fault} if fault else {})
    return world.fo("PATCH", ORDER, json=CHANGE, headers=headers, **options)


def mode(world: Bench) -> str:
    return str(world.truth("fo", "SalesOrderHeadersV2", "SO-1")["DeliveryModeCode"])


def test_fail_before_shows_an_error_and_has_no_effect(world: Bench):
    answer = patch(world, fault="fail_before")

    request = world.requests()[-1]
    assert answer.status_code == 500
    assert world.effects() == []
    assert (request["fault"], request["committed"], request["status"]) == ("fail_before", False, 500)


def test_commit_then_reset_has_its_effect_and_resets_the_connection(world: Bench):
    with pytest.raises(httpx.ReadError):
        patch(world, fault="commit_then_reset")

    (effect,) = world.effects()
    request = world.requests()[-1]
    assert (effect["kind"], effect["effect_key"]) == ("update", "key-1")
    assert (request["committed"], request["status"], request["effect_key"]) == (True, None, "key-1")
    assert mode(world) == "EXPRESS"


def test_a_reset_is_a_reset_and_not_a_goodbye(world: Bench):
    host, port = world.url.removeprefix("http://").split(":")
    head = "GET /fo/data/CustomersV3 HTTP/1.1\r\nHost: x\r\nX-Sim-Fault: reset_before\r\nContent-Length: 0\r\n\r\n"

    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(head.encode())

        with pytest.raises(ConnectionResetError):
            raw.recv(1000)


def test_reset_before_looks_the_same_but_has_no_effect(world: Bench):
    with pytest.raises(httpx.ReadError):
        patch(world, fault="reset_before")

    assert world.effects() == []
    assert world.requests()[-1]["committed"] is False


def test_commit_then_503_has_its_effect_under_an_error(world: Bench):
    answer = patch(world, fault="commit_then_503")

    assert answer.status_code == 503
    assert len(world.effects()) == 1


def test_commit_then_timeout_has_its_effect_and_says_nothing(world: Bench):
    with pytest.raises(httpx.ReadTimeout):
        patch(world, fault="commit_then_timeout:5", timeout=0.2)

    assert len(world.effects()) == 1


def test_a_silence_ends_with_a_reset(world: Bench):
    with pytest.raises(httpx.ReadError):
        patch(world, fault="timeout_before:0.05")

    assert world.effects() == []


def test_slow_answers_late_but_rightly(world: Bench):
    began = time.monotonic()

    answer = patch(world, fault="slow:0.2")

    assert answer.status_code == 204
    assert time.monotonic() - began >= 0.2
    assert len(world.effects()) == 1


def test_stale_reads_what_stood_before_the_last_change(world: Bench):
    old = world.fo("GET", ORDER).json()
    patch(world)

    stale = world.fo("GET", ORDER, headers={"X-Sim-Fault": "stale"}).json()
    listed = world.fo("GET", "SalesOrderHeadersV2", headers={"X-Sim-Fault": "stale"}).json()["value"]

    assert stale == old
    assert listed[0]["@odata.etag"] == old["@odata.etag"]
    assert world.fo("GET", ORDER).json()["DeliveryModeCode"] == "EXPRESS"


def test_stale_does_not_see_what_was_born_since_and_still_sees_what_died(world: Bench):
    world.fo("POST", "SalesOrderHeadersV2", json={"dataAreaId": "demf", "SalesOrderNumber": "SO-2"})
    world.fo("DELETE", ORDER)

    listed = world.fo("GET", "SalesOrderHeadersV2", headers={"X-Sim-Fault": "stale"}).json()["value"]

    assert [row["SalesOrderNumber"] for row in listed] == ["SO-1"]


def test_stale_queries_and_composites_see_the_past_too(world: Bench):
    case = world.plant("sf", "Case", Subject="x")["Id"]
    world.sf("PATCH", f"sobjects/Case/{case}", json={"Status": "Closed"})
    query = "SELECT Status FROM Case"
    part = {"method": "GET", "url": f"/services/data/v62.0/sobjects/Case/{case}", "referenceId": "one"}

    found = world.soql(query, headers={"X-Sim-Fault": "stale"}).json()["records"]
    parts = world.sf("POST", "composite", json={"compositeRequest": [part]}, headers={"X-Sim-Fault": "stale"}).json()

    assert found[0]["Status"] == "New"
    assert parts["compositeResponse"][0]["body"]["Status"] == "New"
    assert world.soql(query).json()["records"][0]["Status"] == "Closed"


def test_stale_is_for_reads_only(world: Bench):
    world.fault("stale", count=1)

    answer = patch(world)

    assert answer.status_code == 204
    assert world.requests()[-1]["fault"] is None
    assert world.http.get("/control/faults").json()[0]["fired"] == 0


def test_a_lock_speaks_each_systems_own_words(world: Bench):
    world.fault("lock", count=2)
    case = world.plant("sf", "Case", Subject="x")["Id"]

    fo = patch(world)
    sf = world.sf("PATCH", f"sobjects/Case/{case}", json={"Status": "Closed"})

    assert "locked by user" in fo.json()["error"]["innererror"]["message"]
    assert sf.json()[0]["errorCode"] == "UNABLE_TO_LOCK_ROW"
    assert world.effects() == []


def test_throttling_is_429_with_retry_after_in_fo(world: Bench):
    answer = patch(world, fault="429:7")

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert "high resource utilization" in answer.json()["error"]["message"]
    assert world.requests()[-1]["retry_after"] == 7.0


def test_throttling_is_403_without_retry_after_in_salesforce(world: Bench):
    answer = world.sf("GET", "limits", headers={"X-Sim-Fault": "429"})

    assert answer.status_code == 403
    assert "Retry-After" not in answer.headers
    assert answer.json()[0]["errorCode"] == "REQUEST_LIMIT_EXCEEDED"


def test_html_comes_as_a_200_that_means_nothing(world: Bench):
    answer = patch(world, fault="html")

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert world.effects() == []


@pytest.mark.parametrize("status", [401, 403, 404, 409, 412, 422, 500, 502, 503, 504])
def test_a_status_fault_answers_that_status_in_the_systems_shape(world: Bench, status: int):
    fo = patch(world, fault=str(status))
    sf = world.sf("GET", "limits", headers={"X-Sim-Fault": str(status)})

    assert (fo.status_code, sf.status_code) == (status, status)
    assert "innererror" in fo.json()["error"]
    assert sf.json()[0]["errorCode"]
    assert world.effects() == []


def test_a_rule_strikes_as_often_as_its_count_says(world: Bench):
    world.fault("500", count=2, match="PATCH")

    statuses = [patch(world).status_code for _ in range(3)]

    assert statuses == [500, 500, 204]


def test_a_rule_meets_only_what_it_matches(world: Bench):
    world.fault("500", match=r"PATCH /fo/data/SalesOrderHeadersV2\(dataAreaId='demf',.*cross-company=true")

    assert world.fo("GET", ORDER).status_code == 200
    assert patch(world).status_code == 500


def test_a_rule_for_one_system_leaves_the_other_alone(world: Bench):
    world.fault("500", system="salesforce")

    assert patch(world).status_code == 204
    assert world.sf("GET", "limits").status_code == 500


def test_a_rule_without_a_match_leaves_tokens_alone(world: Bench):
    world.fault("500")

    world.login()

    assert patch(world).status_code == 500


def test_a_rule_may_aim_at_tokens(world: Bench):
    world.fault("503", match="oauth2")

    answer = world.http.post("/fo/contoso/oauth2/v2.0/token", data={})

    assert answer.status_code == 503


def test_an_earlier_ok_rule_shields_a_request(world: Bench):
    world.fault("ok", match="PATCH", count=1)
    world.fault("500", match="PATCH")

    assert [patch(world).status_code for _ in range(2)] == [204, 500]


def test_a_seeded_probability_repeats_itself(world: Bench):
    def run() -> list[int]:
        world.http.post("/control/reset", json={"seed": 1, "business": "empty"})
        world.login()
        world.order("SO-1")
        world.fault("500", probability=0.5, seed=42, match="PATCH")
        return [patch(world).status_code for _ in range(20)]

    first, second = run(), run()

    assert first == second
    assert {204, 500} == set(first)


def test_cleared_rules_strike_no_more(world: Bench):
    world.fault("500")

    assert world.http.delete("/control/faults").status_code == 204
    assert patch(world).status_code == 204


@pytest.mark.parametrize(
    "rule",
    [
        {"fault": "explode"},
        {},
        {"fault": "500", "match": "("},
        {"fault": "500", "system": "oracle"},
        {"fault": "500", "probability": "often"},
        {"fault": "500", "count": -1},
        {"fault": "500", "when": "now"},
    ],
)
def test_a_rule_that_makes_no_sense_is_a_400(sim: Bench, rule: dict[str, object]):
    answer = sim.http.post("/control/faults", json=rule)

    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize("header", ["explode", "slow:soon"])
def test_a_header_that_makes_no_sense_is_a_400(world: Bench, header: str):
    assert patch(world, fault=header).status_code == 400
    assert world.effects() == []


def test_the_next_request_after_a_reset_is_served(world: Bench):
    with pytest.raises(httpx.ReadError):
        patch(world, fault="commit_then_reset")

    assert world.fo("GET", ORDER).json()["DeliveryModeCode"] == "EXPRESS"
