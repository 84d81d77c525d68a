"""The simulated subscriber: checks signatures, keeps each event once, consents by the handshake, fails on demand."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import httpx
import pytest

from connectors.simulator.receiver import signing_secret
from tests.simulator.bench import Bench

KEY = base64.b64decode(signing_secret("simulator").removeprefix("whsec_"))
EVENT = {"specversion": "1.0", "id": "7", "source": "https://console.example", "type": "t", "data": {"n": 1}}


def post(sim: Bench, event: Any = None, *, key: bytes = KEY, at: float = 0, **headers: str) -> httpx.Response:
    body = json.dumps(EVENT if event is None else event).encode()
    stamp = str(int(time.time() + at))
    mac = base64.b64encode(hmac.new(key, f"m-1.{stamp}.".encode() + body, hashlib.sha256).digest()).decode()
    sent = {
        "webhook-id": "m-1", "webhook-timestamp": stamp, "webhook-signature": f"v1,AAAA v1,{mac}",
        "Content-Type": "application/cloudevents+json; charset=utf-8", **headers,
    }  # fmt: skip
    return sim.http.post("/receiver/any", content=body, headers=sent)


def effects(sim: Bench) -> list[Any]:
    rows = sim.http.get("/ledger/effects").json()
    return [row for row in rows if row["system"] == "receiver"]


def test_an_event_is_kept_once(sim: Bench) -> None:
    first, again = post(sim), post(sim)

    assert (first.status_code, again.status_code, again.json()) == (202, 200, {"repeated": True})
    assert [row["after"]["data"] for row in effects(sim)] == [{"n": 1}]


def test_the_same_id_of_another_source_is_another_event(sim: Bench) -> None:
    post(sim)
    post(sim, {**EVENT, "source": "elsewhere"})

    assert len(effects(sim)) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"key": b"another"}, {"at": -301}, {"at": 301}, {"webhook-id": ""}, {"webhook-timestamp": "²"},
        {"webhook-signature": ""},
    ],
)  # fmt: skip
def test_what_is_not_signed_rightly_is_refused(sim: Bench, wrong: dict[str, Any]) -> None:
    if "webhook-timestamp" in wrong:
        wrong = {"webhook-timestamp": "soon"}

    assert post(sim, **wrong).status_code == 401
    assert effects(sim) == []


def test_an_event_in_headers_is_read(sim: Bench) -> None:
    headers: dict[str, Any] = {
        "Content-Type": "application/json",
        "ce-id": "INV%201",
        "ce-source": "/x",
        "ce-type": "t",
        "ce-specversion": "1.0",
    }

    assert post(sim, {"n": 2}, **headers).status_code == 202
    assert effects(sim)[0]["after"]["id"] == "INV 1"


@pytest.mark.parametrize(
    ("event", "headers", "status"),
    [
        ({**EVENT, "id": ""}, {}, 400), ({**EVENT, "specversion": "0.3"}, {}, 400), ([1], {}, 400),
        (EVENT, {"Content-Type": "text/plain"}, 415),
    ],
)  # fmt: skip
def test_what_is_no_event_is_refused(sim: Bench, event: Any, headers: dict[str, Any], status: int) -> None:
    assert post(sim, event, **headers).status_code == status


def test_it_consents_to_who_asks_and_takes_no_other_method(sim: Bench) -> None:
    asked = sim.http.options("/receiver/any", headers={"WebHook-Request-Origin": "console.example"})

    assert asked.headers["WebHook-Allowed-Origin"] == "console.example"
    assert "WebHook-Allowed-Origin" not in sim.http.options("/receiver/any").headers
    assert sim.http.get("/receiver/any").status_code == 405


@pytest.mark.parametrize(("fault", "status"), [("429", 429), ("410", 410), ("415", 415), ("503", 503), ("lock", 503)])
def test_it_fails_on_demand_and_keeps_nothing(sim: Bench, fault: str, status: int) -> None:
    sim.fault(fault, system="receiver", count=1)

    assert post(sim).status_code == status
    assert effects(sim) == []
    assert post(sim).status_code == 202


def test_it_can_keep_an_event_and_fall_silent(sim: Bench) -> None:
    sim.fault("commit_then_reset", system="receiver", count=1)
    with pytest.raises(httpx.HTTPError):
        post(sim)

    assert post(sim).json() == {"repeated": True}
    assert len(effects(sim)) == 1
