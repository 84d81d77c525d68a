"""The chats of the simulator: what they take, what they refuse and how, and that each message is counted once."""

from typing import Any

import httpx
import pytest

from tests.simulator.bench import Bench

BEARER = {"Authorization": "Bearer simulator"}
CARD = {
    "contentType": "application/vnd.microsoft.card.adaptive",
    "content": {"type": "AdaptiveCard", "version": "1.4", "body": [{"type": "TextBlock", "text": "x"}], "actions": []},
}
SECTION = {"type": "section", "text": {"type": "mrkdwn", "text": "x"}}


def api(sim: Bench, method: str = "chat.postMessage", headers: dict[str, str] | None = None, **body: Any) -> Any:
    return sim.http.post(f"/slack/api/{method}", json=body, headers=BEARER if headers is None else headers).json()


def card(sim: Bench, path: str = "workflows/1?sig=simulator", **body: Any) -> httpx.Response:
    return sim.http.post(f"/teams/{path}", json={"type": "message", "attachments": [CARD], **body})


def effects(sim: Bench) -> list[dict[str, Any]]:
    return list(sim.http.get("/ledger/effects").json())


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "not_authed"),
        ({"Authorization": "Bearer other"}, "invalid_auth"),
        ({"Authorization": "Basic simulator"}, "invalid_auth"),
    ],
)
def test_who_is_not_let_in_hears_it_in_a_200(sim: Bench, headers: dict[str, str], code: str) -> None:
    assert api(sim, headers=headers, channel="C1", text="x") == {"ok": False, "error": code}
    assert effects(sim) == []


def test_each_post_is_one_message_with_the_key_that_it_carries_and_a_repeat_is_another(sim: Bench) -> None:
    body: dict[str, Any] = {
        "channel": "C0000001", "text": "x", "metadata": {"event_payload": {"key": "k-1"}}, "client_msg_id": "same",
    }  # fmt: skip
    first, again = api(sim, **body), api(sim, **body)

    assert first["ok"]
    assert first["ts"] != again["ts"]
    assert [row["effect_key"] for row in effects(sim)] == ["k-1", "k-1"]


def test_a_reply_needs_the_message_that_it_answers(sim: Bench) -> None:
    root = api(sim, channel="C0000001", text="x")

    assert api(sim, channel="C0000001", text="y", thread_ts=root["ts"])["ok"]
    assert api(sim, channel="C0000002", text="y", thread_ts=root["ts"])["error"] == "thread_not_found"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"text": "x"}, "channel_not_found"),
        ({"channel": "CNONE0000", "text": "x"}, "channel_not_found"),
        ({"channel": "COLD00000", "text": "x"}, "is_archived"),
        ({"channel": "CALONE000", "text": "x"}, "not_in_channel"),
        ({"channel": "CBUSY0000", "text": "x"}, "ratelimited"),
        ({"channel": "C1"}, "no_text"),
        ({"channel": "C1", "text": "x" * 40_001}, "msg_too_long"),
        ({"channel": "C1", "blocks": [SECTION] * 51}, "invalid_blocks"),
        ({"channel": "C1", "blocks": [{**SECTION, "text": {"type": "mrkdwn", "text": "x" * 3001}}]}, "invalid_blocks"),
        ({"channel": "C1", "blocks": [{"type": "section", "fields": [{"text": "x"}] * 11}]}, "invalid_blocks"),
        ({"channel": "C1", "blocks": [{"type": "video"}]}, "invalid_blocks"),
    ],
)
def test_what_slack_would_not_take_is_refused_by_its_code(sim: Bench, body: dict[str, Any], code: str) -> None:
    assert api(sim, **body) == {"ok": False, "error": code}
    assert effects(sim) == []


def test_who_am_i_and_what_nobody_knows(sim: Bench) -> None:
    assert api(sim, "auth.test")["user"] == "goldseam"
    assert api(sim, "chat.delete")["error"] == "unknown_method"
    assert sim.http.get("/slack/api/auth.test").status_code == 404


@pytest.mark.parametrize(
    ("secret", "body", "status", "said"),
    [
        ("simulator", b'{"text": "x"}', 200, "ok"),
        ("other", b'{"text": "x"}', 403, "invalid_token"),
        ("simulator", b"{", 400, "invalid_payload"),
        ("simulator", b"{}", 400, "no_text"),
    ],
)
def test_an_incoming_webhook_speaks_in_plain_words(
    sim: Bench, secret: str, body: bytes, status: int, said: str
) -> None:
    answer = sim.http.post(f"/slack/services/T1/B1/{secret}", content=body)

    assert (answer.status_code, answer.text) == (status, said)
    assert len(effects(sim)) == (status == 200)


def test_a_workflow_takes_a_card_with_202_and_an_older_connector_with_200(sim: Bench) -> None:
    new, old = card(sim), card(sim, "webhookb2/simulator")

    assert (new.status_code, new.content) == (202, b"")
    assert (old.status_code, old.text) == (200, "1")
    assert [row["system"] for row in effects(sim)] == ["teams", "teams"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("workflows/1?sig=other", {}, 401),
        ("workflows/1", {}, 401),
        ("elsewhere/1?sig=simulator", {}, 404),
        ("workflows/1?sig=simulator", {"attachments": []}, 400),
        ("workflows/1?sig=simulator", {"text": "x" * 29_000}, 400),
        (
            "workflows/1?sig=simulator",
            {"attachments": [{**CARD, "content": {"body": [1], "actions": [{"type": "Action.Submit"}]}}]},
            400,
        ),
    ],
)
def test_what_a_workflow_would_not_take_is_refused(sim: Bench, path: str, body: dict[str, Any], status: int) -> None:
    assert card(sim, path, **body).status_code == status
    assert effects(sim) == []


def test_a_limit_can_be_told_by_status_or_in_the_text_of_a_200(sim: Bench) -> None:
    for seconds in (7, 0):
        sim.http.post("/control/faults", json={"system": "teams", "fault": "429", "seconds": seconds, "count": 1})
    sim.http.post("/control/faults", json={"system": "slack", "fault": "429", "seconds": 3, "count": 1})
    first, second = card(sim), card(sim)
    slack = sim.http.post("/slack/api/auth.test", headers=BEARER)

    assert (first.status_code, first.headers["Retry-After"]) == (429, "7")
    assert (second.status_code, "HTTP error 429" in second.text) == (200, True)
    assert (slack.status_code, slack.headers["Retry-After"]) == (429, "3")
    assert effects(sim) == []
