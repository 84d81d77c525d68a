"""Messages to Slack over real HTTP: escaped, bounded, into threads; each failure as what it is; secrets unseen."""

import json
import logging
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import gateway
from connectors.base import Blocked, ConnectorError, RateLimited, Refused, Unanswered, Unauthorized
from connectors.kinds.slack import posting
from connectors.models import Call, Connection
from connectors.talk.messages import THREAD, Message
from tests.connectors.chat_world import make_slack, message
from tests.connectors.conftest import Simulated
from tests.connectors.factories import Played

pytestmark = pytest.mark.django_db(transaction=True)
POSTED = {"ok": True, "channel": "C0POST001", "ts": "1767268800.000001"}
API = "/api/chat.postMessage"


@pytest.fixture
def slack(simulated: Simulated) -> Connection:
    return make_slack(simulated.url)


def post(connection: Connection, key: str = "tell-1", **changes: Any) -> gateway.Answer:
    return gateway.call(connection, "slack.post", message(**changes), actor="system:telling", effect_key=key)


def thread_of(answer: gateway.Answer) -> str:
    assert answer.written is not None
    return str(answer.written.result[THREAD])


def messages(simulated: Simulated) -> list[dict[str, Any]]:
    rows = simulated.client.get("/ledger/effects").raise_for_status().json()
    return [row["after"] | {"effect_key": row["effect_key"]} for row in rows if row["system"] == "slack"]


# --- against the simulator --------------------------------------------------------------------------
def test_a_message_is_posted_with_facts_and_a_button_that_is_a_link(slack: Connection, simulated: Simulated) -> None:
    answer = post(slack)

    (row,) = messages(simulated)
    assert thread_of(answer) == f"C0POST001/{row['ts']}"
    assert row["text"] == "INC-7 needs a person\nThe loop stopped here."
    assert [block["type"] for block in row["blocks"]] == ["section", "section", "section", "actions"]
    assert row["blocks"][2]["fields"][0]["text"] == "*Entity*\norder SO-000697"
    (button,) = row["blocks"][3]["elements"]
    assert (button["url"], button["text"]["text"]) == ("https://goldseam.test/incidents/7/", "Open in Goldseam")
    assert "value" not in button
    assert (row["unfurl_links"], row["link_names"], row["parse"]) == (False, False, "none")


def test_what_follows_goes_into_the_thread_and_keeps_its_name(slack: Connection, simulated: Simulated) -> None:
    begun = thread_of(post(slack))
    followed = thread_of(post(slack, key="tell-2", id="m-2", thread=begun))

    first, second = messages(simulated)
    assert followed == begun
    assert second["thread_ts"] == first["ts"]


def test_a_thread_stays_in_its_channel_when_the_connection_moves_to_another(
    slack: Connection, simulated: Simulated
) -> None:
    begun = thread_of(post(slack))
    Connection.objects.update(config={**slack.config, "channel": "C0MOVED01"})
    slack.refresh_from_db()
    post(slack, key="tell-2", thread=begun)
    post(slack, key="tell-3", thread="of another system")

    assert [row["channel"] for row in messages(simulated)] == ["C0POST001", "C0POST001", "C0MOVED01"]


def test_the_key_travels_with_the_message_and_is_the_same_with_every_try(
    slack: Connection, simulated: Simulated
) -> None:
    post(slack)
    post(slack)
    post(slack, key="tell-2")

    first, again, other = messages(simulated)
    assert first["metadata"]["event_payload"] == {"key": "tell-1", "id": "m-1"}
    assert first["effect_key"] == "tell-1"
    assert first["client_msg_id"] == again["client_msg_id"] != other["client_msg_id"]


def test_an_id_that_nobody_documents_can_be_left_out(slack: Connection, simulated: Simulated) -> None:
    Connection.objects.update(config={**slack.config, "send_message_id": False})
    post(Connection.objects.get())

    assert "client_msg_id" not in messages(simulated)[0]


def test_an_answer_that_is_lost_says_that_the_message_may_be_there(slack: Connection, simulated: Simulated) -> None:
    simulated.fault("commit_then_reset", "postMessage", system="slack")
    with pytest.raises(Unanswered) as lost:
        post(slack)

    assert lost.value.effect_possible
    assert len(simulated.effects("tell-1")) == 1


@pytest.mark.parametrize(
    ("channel", "error", "said"),
    [
        ("CNONE0000", Refused, "invite the app"),
        ("COLD00000", Refused, "archived"),
        ("CALONE000", Refused, "Invite the app"),
        ("CBUSY0000", RateLimited, "asks to wait"),
        ("CBROKEN00", Unanswered, "may have been posted"),
    ],
)
def test_a_failure_in_a_200_is_a_failure(
    slack: Connection, channel: str, error: type[ConnectorError], said: str
) -> None:
    Connection.objects.update(config={**slack.config, "channel": channel})
    with pytest.raises(error, match=said):
        post(Connection.objects.get())

    assert Call.objects.get().outcome == error.__name__.lower()


def test_a_limit_is_kept_for_as_long_as_slack_says(slack: Connection, simulated: Simulated) -> None:
    simulated.fault("429", "postMessage", system="slack", seconds=30)
    with pytest.raises(RateLimited) as limited:
        post(slack)
    with pytest.raises(Blocked) as waiting:
        post(slack)

    assert limited.value.retry_after == 30
    assert waiting.value.code == "not_before"
    assert len([row for row in simulated.requests() if row["system"] == "slack"]) == 1


def test_a_thread_that_is_gone_says_so(slack: Connection) -> None:
    with pytest.raises(Refused, match="thread is gone"):
        post(slack, thread="C0POST001/1.000001")


def test_a_bot_token_that_is_not_accepted_is_a_matter_of_credentials(slack: Connection, simulated: Simulated) -> None:
    from connectors import actions

    actions.update_connection(slack, actor="system:test", secrets={"bot_token": "xoxb-revoked-token"})
    with pytest.raises(Unauthorized, match="bot token"):
        post(slack)
    health = gateway.check(slack, actor="test")

    assert not health.ok
    assert "xoxb-revoked-token" not in f"{health} {[vars(row) for row in Call.objects.all()]}"


def test_a_connection_test_says_as_whom_we_are_known(slack: Connection) -> None:
    health = gateway.check(slack, actor="test")

    assert (health.ok, health.message) == (True, "Connected as goldseam in Contoso.")


def test_without_a_channel_nothing_is_sent(slack: Connection, simulated: Simulated) -> None:
    Connection.objects.update(config={**slack.config, "channel": ""})
    with pytest.raises(Blocked, match="no channel"):
        post(Connection.objects.get())

    assert messages(simulated) == []


def test_the_call_log_names_the_message_and_not_what_it_says(slack: Connection) -> None:
    post(slack, text="Pay Ann Example 5000 EUR")

    row = Call.objects.get()
    assert (row.direction, row.outcome, row.effect_key) == ("tell", "ok", "tell-1")
    assert row.arguments == {"id": "m-1", "type": "io.goldseam.incident.needs_operator", "subject": "incident/7",
                             "thread": ""}  # fmt: skip
    assert "Ann Example" not in f"{vars(row)}"


# --- incoming webhooks ------------------------------------------------------------------------------
@pytest.fixture
def webhook(simulated: Simulated) -> Connection:
    url = f"{simulated.url}/slack/services/T0000SIM1/B0000SIM1/simulator"
    return make_slack(simulated.url, way="incoming_webhook", secrets={"webhook_url": url})


def test_an_incoming_webhook_takes_the_same_message_and_begins_no_thread(
    webhook: Connection, simulated: Simulated
) -> None:
    answer = post(webhook)

    assert messages(simulated)[0]["blocks"][3]["elements"][0]["url"] == "https://goldseam.test/incidents/7/"
    assert answer.written is not None
    assert answer.written.result == {}


SECRET_URL = "https://hooks.slack.test/services/T0SECRET01/B0SECRET01/abcdefghijklmnopqrstuvwx"


def secret_webhook(**config: Any) -> Connection:
    known = {"way": "incoming_webhook", "webhook_host": "hooks.slack.test"}
    return make_slack(secrets={"webhook_url": SECRET_URL}, **{**known, **config})


def no_part_of_it(text: str) -> bool:
    return not any(part in text for part in ("abcdefghijklmnopqrstuvwx", "T0SECRET01/", "/services/"))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(403, text="invalid_token"), Refused),
        (httpx.Response(404, text="no_service"), Refused),
        (httpx.Response(410, text="channel_is_archived"), Refused),
        (httpx.Response(400, text="invalid_payload"), Refused),
        (httpx.Response(429, headers={"Retry-After": "7"}, text="rate_limited"), RateLimited),
        (httpx.Response(500, text="rollup_error"), Unanswered),
        (httpx.Response(200, text="okay"), Unanswered),
        (httpx.Response(200, html="<html>sign in"), Unanswered),
        (httpx.Response(302, headers={"Location": SECRET_URL}), Refused),
        (httpx.Response(400, text=f"no {SECRET_URL} here"), Refused),
        (httpx.ConnectError(f"cannot reach {SECRET_URL}"), ConnectorError),
        (httpx.ReadTimeout(f"late: {SECRET_URL}"), Unanswered),
        (httpx.RemoteProtocolError("broke off: /services/T0SECRET01/B0SECRET01/abcdefghijklmnopqrstuvwx"), Unanswered),
    ],
)
def test_a_webhooks_failures_are_told_without_its_address(
    played: Played, answer: Any, error: type[ConnectorError], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    played.on("POST", "/services/T0SECRET01/B0SECRET01/abcdefghijklmnopqrstuvwx", answer)
    with pytest.raises(error) as failed:
        post(secret_webhook())

    shown = f"{failed.value} {failed.value!r} {[vars(row) for row in Call.objects.all()]} {Connection.objects.get()!r}"
    assert no_part_of_it(shown), shown
    assert no_part_of_it(caplog.text)


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.slack.com/services/T0SECRET01/B0SECRET01/abcdefghijklmnopqrstuvwx",
        "https://hooks.slack.test.evil.test/services/abcdefghijklmnopqrstuvwx",
        "https://hooks.slack.test@evil.test/services/abcdefghijklmnopqrstuvwx",
        "https://somebody@hooks.slack.test/services/abcdefghijklmnopqrstuvwx",
        "ftp://hooks.slack.test/services/abcdefghijklmnopqrstuvwx",
        "https://hooks.slack.test/services/abcdefghijklmnopqrstuvwx\nHost: evil.test",
        "https://hooks.slack.test/\u00e4/abcdefghijklmnopqrstuvwx",
        "https://[hooks.slack.test/services/abcdefghijklmnopqrstuvwx",
        "abcdefghijklmnopqrstuvwx",
    ],
)
def test_an_address_that_leads_elsewhere_is_never_called_and_never_shown(played: Played, url: str) -> None:
    connection = make_slack(way="incoming_webhook", webhook_host="hooks.slack.test", secrets={"webhook_url": url})
    with pytest.raises(Blocked, match=r"no address at hooks\.slack\.test") as refused:
        post(connection)
    health = gateway.check(connection, actor="test")

    assert played.requests == []
    assert not health.ok
    assert no_part_of_it(f"{refused.value} {health} {[vars(row) for row in Call.objects.all()]}")


def test_a_webhook_is_tried_no_further_than_its_host(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.wire.addresses.checked_url", lambda url: None)
    health = gateway.check(secret_webhook(), actor="test")

    assert health.ok
    assert health.tried == ("the address of hooks.slack.test",)
    assert played.requests == []


# --- answers that a test plays ----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"ok": False, "error": "invalid_auth"}, Unauthorized),
        ({"ok": False, "error": "not_authed"}, Unauthorized),
        ({"ok": False, "error": "token_revoked"}, Unauthorized),
        ({"ok": False, "error": "token_expired"}, Unauthorized),
        ({"ok": False, "error": "account_inactive"}, Unauthorized),
        ({"ok": False, "error": "missing_scope", "needed": "chat:write"}, Refused),
        ({"ok": False, "error": "msg_too_long"}, Refused),
        ({"ok": False, "error": "never_heard_of"}, Refused),
        ({"ok": False}, Refused),
        ({"ok": False, "error": "fatal_error"}, Unanswered),
        ({"ok": False, "error": "service_unavailable"}, Unanswered),
        ({"ok": False, "error": "rate_limited"}, RateLimited),
        ({"ok": "yes"}, Unanswered),
        ({"ok": True}, Unanswered),
        ({"ok": True, "channel": "C0POST001", "ts": "soon"}, Unanswered),
        ([], Unanswered),
    ],
)
def test_only_a_message_that_has_a_place_was_posted(played: Played, answer: Any, error: type[ConnectorError]) -> None:
    played.on("POST", API, httpx.Response(200, json=answer))
    with pytest.raises(error):
        post(make_slack(base_url="https://slack.test/api"))


def test_the_wait_of_a_limit_in_a_200_is_read_from_its_header(played: Played) -> None:
    busy = httpx.Response(200, json={"ok": False, "error": "ratelimited"}, headers={"Retry-After": "11"})
    played.on("POST", API, busy)
    with pytest.raises(RateLimited) as limited:
        post(make_slack(base_url="https://slack.test/api"))

    assert limited.value.retry_after == 11


def test_the_token_goes_into_the_header_and_nowhere_else(played: Played) -> None:
    played.on("POST", API, httpx.Response(200, json=POSTED))
    post(make_slack(base_url="https://slack.test/api", secrets={"bot_token": "xoxb-a-token"}))

    (request,) = played.requests
    assert request.headers["Authorization"] == "Bearer xoxb-a-token"
    assert "xoxb-a-token" not in f"{request.url} {request.content!r} {vars(Call.objects.get())}"


# --- what a message looks like ----------------------------------------------------------------------
HOSTILE = "<!channel> <@U1> <https://evil.test|click> & *now* `x`"


def test_nothing_in_a_text_is_a_link_a_mention_or_a_command() -> None:
    given_message = Message.model_validate(
        message(title=HOSTILE, text=HOSTILE, facts=[[HOSTILE, HOSTILE]], link="javascript:alert(1)")
    )

    body = posting.post_of(given_message, "C0POST001", "k", with_id=True)
    shown = json.dumps(body)

    assert "<" not in shown
    assert ">" not in shown
    assert "&lt;!channel&gt;" in shown
    assert "&amp; *now*" in shown
    assert all(block["type"] != "actions" for block in body["blocks"])
    assert all(block["text"]["verbatim"] for block in body["blocks"] if "text" in block)


@given(
    title=st.text(max_size=300),
    text=st.text(alphabet=st.one_of(st.sampled_from("&<>\n"), st.characters(codec="utf-8")), max_size=4000),
    facts=st.lists(st.tuples(st.text(max_size=3000), st.text(max_size=3000)), max_size=12),
)
def test_whatever_is_told_keeps_slacks_limits(title: str, text: str, facts: list[tuple[str, str]]) -> None:
    told = Message.model_construct(
        **{**message(), "title": title, "text": text, "facts": tuple(facts), "link_label": "Open", "thread": ""}
    )

    body = posting.content_of(told)

    assert 0 < len(body["text"]) <= 3000
    assert len(body["blocks"]) <= 50
    for block in body["blocks"]:
        texts = [block["text"]] if "text" in block else block.get("fields", [])
        assert len(block.get("fields", [])) <= 10
        assert all(0 < len(one["text"]) <= (3000 if "text" in block else 2000) for one in texts)
        assert all("<" not in one["text"] and one["text"].count("&") == amps(one["text"]) for one in texts)


def amps(text: str) -> int:
    """No escape is cut in two."""
    return sum(text.count(escape) for escape in ("&amp;", "&lt;", "&gt;"))
