"""Cards to Teams over real HTTP: plain texts, links only, 28 KB kept, failures in a 200 found, the address unseen."""

import json
import logging
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import actions, gateway
from connectors.base import Blocked, ConnectorError, RateLimited, Refused, Unanswered, Unauthorized
from connectors.kinds.teams import cards
from connectors.models import Call, Connection
from connectors.talk.messages import Message
from tests.connectors.chat_world import make_teams, message
from tests.connectors.conftest import Simulated
from tests.connectors.factories import Played

pytestmark = pytest.mark.django_db(transaction=True)
PATH = "/workflows/0123456789abcdef0123/triggers/manual/paths/invoke"
SIG = "Zm9yLXlvdXItZXllcy1vbmx5"
SECRET_URL = f"https://prod-12.westeurope.logic.test:443{PATH}?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual&sig={SIG}"
HOST = "prod-12.westeurope.logic.test"


@pytest.fixture
def teams(simulated: Simulated) -> Connection:
    return make_teams(simulated.url)


def post(connection: Connection, **changes: Any) -> gateway.Answer:
    return gateway.call(connection, "teams.post", message(**changes), actor="system:telling", effect_key="tell-1")


def messages(simulated: Simulated) -> list[dict[str, Any]]:
    rows = simulated.client.get("/ledger/effects").raise_for_status().json()
    return [row["after"] for row in rows if row["system"] == "teams"]


def texts(piece: Any) -> str:
    """All that a person can read of a card's body."""
    return " ".join(one["text"] for block in piece for one in block["inlines"])


def secret_workflow() -> Connection:
    return make_teams(secrets={"workflow_url": SECRET_URL}, workflow_host=HOST)


# --- against the simulator --------------------------------------------------------------------------
def test_a_card_is_posted_with_plain_texts_and_a_button_that_opens_a_page(
    teams: Connection, simulated: Simulated
) -> None:
    answer = post(teams)

    (row,) = messages(simulated)
    (attachment,) = row["attachments"]
    card = attachment["content"]
    assert (row["type"], attachment["contentUrl"], card["version"]) == ("message", None, "1.4")
    assert texts(card["body"]) == (
        "INC-7 needs a person The loop stopped here. Entity:  order SO-000697 Severity:  High"
    )
    assert card["actions"] == [
        {"type": "Action.OpenUrl", "title": "Open in Goldseam", "url": "https://goldseam.test/incidents/7/"}
    ]
    assert answer.written is not None
    assert answer.written.result == {}
    assert answer.call.status == 202


def test_an_older_connectors_200_is_a_success_too(simulated: Simulated) -> None:
    connection = make_teams(simulated.url, secrets={"workflow_url": f"{simulated.url}/teams/webhookb2/simulator"})

    assert post(connection).call.status == 200
    assert len(messages(simulated)) == 1


def test_a_200_that_tells_of_a_limit_is_a_limit(teams: Connection, simulated: Simulated) -> None:
    simulated.fault("429", "POST", system="teams", seconds=0)
    with pytest.raises(RateLimited):
        post(teams)

    assert messages(simulated) == []
    assert Call.objects.get().outcome == "ratelimited"


def test_a_limit_with_a_time_is_kept_for_that_long(teams: Connection, simulated: Simulated) -> None:
    simulated.fault("429", "POST", system="teams", seconds=40)
    with pytest.raises(RateLimited) as limited:
        post(teams)
    with pytest.raises(Blocked) as waiting:
        post(teams)

    assert limited.value.retry_after == 40
    assert waiting.value.code == "not_before"
    assert len([row for row in simulated.requests() if row["system"] == "teams"]) == 1


def test_an_answer_that_is_lost_says_that_the_card_may_be_there(teams: Connection, simulated: Simulated) -> None:
    simulated.fault("commit_then_reset", "POST", system="teams")
    with pytest.raises(Unanswered) as lost:
        post(teams)

    assert lost.value.effect_possible
    assert len(messages(simulated)) == 1


def test_a_workflow_that_is_off_or_gone_says_what_to_look_for(teams: Connection, simulated: Simulated) -> None:
    simulated.fault("lock", "POST", system="teams")
    with pytest.raises(Refused, match="switched on"):
        post(teams)
    actions.update_connection(
        teams, actor="system:test", secrets={"workflow_url": f"{simulated.url}/teams/elsewhere/x?sig=simulator"}
    )
    with pytest.raises(Refused, match="still there"):
        post(teams)


def test_an_address_whose_signature_is_wrong_is_a_matter_of_credentials(
    teams: Connection, simulated: Simulated
) -> None:
    url = f"{simulated.url}/teams/workflows/0123456789abcdef?sig={SIG}"
    actions.update_connection(teams, actor="system:test", secrets={"workflow_url": url})
    with pytest.raises(Unauthorized):
        post(teams)

    assert SIG not in f"{[vars(row) for row in Call.objects.all()]}"


def test_the_largest_message_is_shortened_until_it_fits(teams: Connection, simulated: Simulated) -> None:
    wide = "\U0001f6a7"
    post(teams, title=wide * 300, text=(wide * 39 + "\n") * 100, facts=[[wide * 99, wide * 999]] * 12)

    (row,) = messages(simulated)
    body = row["attachments"][0]["content"]["body"]
    assert texts(body).startswith(wide * 300)
    assert "…" in texts(body)
    assert len([block for block in body if len(block["inlines"]) == 2]) == 12


def test_the_call_log_names_the_message_and_not_what_it_says(teams: Connection) -> None:
    post(teams, text="Pay Ann Example 5000 EUR")

    row = Call.objects.get()
    assert (row.direction, row.outcome, row.effect_key) == ("tell", "ok", "tell-1")
    assert row.arguments == {
        "id": "m-1", "type": "io.goldseam.incident.needs_operator", "subject": "incident/7",
    }  # fmt: skip
    assert "Ann Example" not in f"{vars(row)}"


# --- the address is a secret ------------------------------------------------------------------------
def hidden(text: str) -> bool:
    return SIG not in text and PATH not in text and "0123456789abcdef0123" not in text


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(400, json={"error": {"code": "Bad", "message": f"at {PATH} sig={SIG}"}}), Refused),
        (httpx.Response(401, text=SECRET_URL), Unauthorized),
        (httpx.Response(403, text=f"no {SECRET_URL}"), Refused),
        (httpx.Response(404, json={"error": {"code": "WorkflowNotFound", "message": "gone"}}), Refused),
        (httpx.Response(410), Refused),
        (httpx.Response(413), Refused),
        (httpx.Response(429, headers={"Retry-After": "9"}), RateLimited),
        (httpx.Response(500, text=SECRET_URL), Unanswered),
        (httpx.Response(502, html="<html>"), Unanswered),
        (httpx.Response(200, html="<!doctype html>sign in"), Unanswered),
        (httpx.Response(302, headers={"Location": SECRET_URL}), Refused),
        (httpx.Response(200, text="Webhook message delivery failed with error: HTTP error 413"), Refused),
        (httpx.Response(200, text="Webhook message delivery failed with error: HTTP error 500"), Unanswered),
        (httpx.Response(200, text="Webhook message delivery failed with error: something"), Unanswered),
        (httpx.ConnectError(SECRET_URL), ConnectorError),
        (httpx.ReadTimeout(SECRET_URL), Unanswered),
        (httpx.RemoteProtocolError(f"{PATH}?sig={SIG}"), Unanswered),
    ],
)
def test_every_failure_is_told_without_the_address(
    played: Played, answer: Any, error: type[ConnectorError], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    played.on("POST", PATH, answer)
    with pytest.raises(error) as failed:
        post(secret_workflow())

    shown = f"{failed.value!r} {[vars(row) for row in Call.objects.all()]} {vars(Connection.objects.get())}"
    assert hidden(shown), shown
    assert hidden(caplog.text)


@pytest.mark.parametrize("answer", [httpx.Response(202), httpx.Response(200, text="1"), httpx.Response(200, json={})])
def test_what_counts_as_taken(played: Played, answer: httpx.Response) -> None:
    played.on("POST", PATH, answer)

    assert post(secret_workflow()).call.outcome == "ok"
    (request,) = played.requests
    assert request.headers["Content-Type"] == "application/json"
    assert request.url.params["sig"] == SIG


@pytest.mark.parametrize("host", ["", "prod-13.westeurope.logic.test", "westeurope.logic.test", f"{HOST}:444"])
def test_an_address_is_used_only_at_the_host_that_was_named(played: Played, host: str) -> None:
    connection = make_teams(secrets={"workflow_url": SECRET_URL}, workflow_host=host)
    with pytest.raises(Blocked, match="no address at") as refused:
        post(connection)
    health = gateway.check(connection, actor="test")

    assert (played.requests, health.ok) == ([], False)
    assert hidden(f"{refused.value} {health} {[vars(row) for row in Call.objects.all()]}")


def test_plain_http_is_not_used_where_nobody_allowed_it(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    connection = make_teams(
        secrets={"workflow_url": f"http://127.0.0.1:9{PATH}?sig={SIG}"}, workflow_host="127.0.0.1:9"
    )
    with pytest.raises(Blocked, match="without TLS") as refused:
        post(connection)

    assert hidden(str(refused.value))


def test_a_connection_test_looks_the_host_up_and_posts_nothing(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.wire.addresses.checked_url", lambda url: None)
    health = gateway.check(secret_workflow(), actor="test")

    assert (health.ok, health.tried) == (True, (f"the address of {HOST}",))
    assert played.requests == []
    assert hidden(f"{health}")


# --- what a card looks like -------------------------------------------------------------------------
def test_nothing_in_a_text_is_markup_or_a_link() -> None:
    evil = "[click](https://evil.test) **now** {{DATE(2026-01-01)}} <at>everyone</at>"
    told = Message.model_validate(message(title=evil, text=evil, facts=[[evil, evil]], link="javascript:alert(1)"))

    card = json.loads(cards.body_of(told))["attachments"][0]["content"]

    # A run of a RichTextBlock is shown as it is written; a TextBlock would make links of it.
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    assert {run["type"] for block in card["body"] for run in block["inlines"]} == {"TextRun"}
    assert card["actions"] == []


@given(
    title=st.text(max_size=300),
    text=st.text(alphabet=st.one_of(st.sampled_from('"\\\n\x01'), st.characters()), max_size=4000),
    facts=st.lists(st.tuples(st.text(max_size=2000), st.text(max_size=2000)), max_size=12),
    link=st.text(max_size=480).map(lambda rest: f"https://{rest}"),
)
def test_whatever_is_told_fits(title: str, text: str, facts: list[tuple[str, str]], link: str) -> None:
    told = Message.model_construct(
        **{**message(), "title": title, "text": text, "facts": tuple(facts), "link": link, "link_label": "Open"}
    )

    body = cards.body_of(told)

    assert len(body) <= 28_000
    assert json.loads(body)["attachments"][0]["content"]["body"]


def test_the_worst_message_fits_too() -> None:
    worst = "\x01" * 5000
    told = Message.model_construct(
        **{**message(), "title": worst[:300], "text": worst[:4000], "facts": ((worst, worst),) * 12,
           "link": "https://" + worst[:480], "link_label": worst[:60]}
    )  # fmt: skip

    assert len(cards.body_of(told)) <= 28_000
