"""Messages of Teams at the real hook: proven on the raw bytes with the decoded key, each once, answered at once."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import override_settings

from connectors.kinds.teams import activities
from connectors.kinds.teams import connector as teams_connector
from connectors.kinds.teams.settings import TeamsConfig
from connectors.models import Connection, Delivery
from tests.connectors.chat_world import NOW, TOKEN, activity, hmac_of, make_teams, to_teams

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teams_connector, "db_now", lambda: NOW)


@pytest.fixture
def teams() -> Connection:
    return make_teams()


def kept() -> list[dict[str, Any]]:
    return [row.payload for row in Delivery.objects.order_by("id")]


def nothing_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("parsed before the signature was found right")

    monkeypatch.setattr(activities, "value_of", never)


def at(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


# --- signatures -------------------------------------------------------------------------------------
BODY = json.dumps(activity()).encode()
AS_TEXT = base64.b64encode(TOKEN.encode()).decode()
FORGED = {
    "none": "",
    "no scheme": hmac_of(BODY).removeprefix("HMAC "),
    "another scheme": hmac_of(BODY).replace("HMAC", "Bearer"),
    "the token's text as key": hmac_of(BODY, AS_TEXT),
    "another token": hmac_of(BODY, base64.b64encode(b"another").decode()),
    "another body": hmac_of(BODY + b" "),
    "half": hmac_of(BODY)[:30],
    "no base64": "HMAC \xe4\xe4",
}


@pytest.mark.parametrize("authorization", FORGED.values(), ids=FORGED.keys())
def test_what_is_forged_is_refused_before_anything_is_parsed(
    teams: Connection, monkeypatch: pytest.MonkeyPatch, authorization: str
) -> None:
    nothing_is_parsed(monkeypatch)

    answer = to_teams(BODY, authorization=authorization)

    assert (answer.status_code, answer.json()["code"]) == (401, "wrong_secret")
    assert kept() == []
    assert TOKEN not in answer.content.decode()


def test_a_body_written_anew_no_longer_fits(teams: Connection) -> None:
    compact = json.dumps(activity(), separators=(",", ":")).encode()

    assert to_teams(compact, authorization=hmac_of(BODY)).status_code == 401
    assert to_teams(BODY).status_code == 200


@pytest.mark.parametrize("token", ["no base64 at all!", "", "===="])
def test_a_token_that_was_not_copied_whole_opens_nothing(token: str) -> None:
    make_teams(secrets={"security_token": token})
    answer = to_teams(BODY)

    assert answer.status_code == 401
    assert "base64" not in answer.content.decode()


def test_a_body_that_is_too_large_is_refused(teams: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing_is_parsed(monkeypatch)
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=500):
        assert to_teams(activity("x" * 1000)).status_code == 413


# --- replay ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("away", [300, -300])
def test_five_minutes_away_is_near_enough(teams: Connection, away: int) -> None:
    assert to_teams(activity(timestamp=at(NOW + timedelta(seconds=away)))).status_code == 200


@pytest.mark.parametrize(
    "stamp",
    [
        at(NOW - timedelta(seconds=301)),
        at(NOW + timedelta(seconds=301)),
        None,
        "yesterday",
        1767268800,
        "2026-01-01T12:00:00",
        "0001-01-01T00:00:00+23:00",
        "2026-13-01T12:00:00Z",
    ],
)
def test_what_is_stale_ahead_or_timeless_is_refused(teams: Connection, stamp: Any) -> None:
    answer = to_teams(activity(timestamp=stamp))

    assert (answer.status_code, answer.json()["code"]) == (401, "wrong_secret")
    assert kept() == []


def test_the_window_is_the_connections_own() -> None:
    make_teams(replay_seconds=60)

    assert to_teams(activity(timestamp=at(NOW - timedelta(seconds=61)))).status_code == 401
    assert to_teams(activity(timestamp=at(NOW - timedelta(seconds=60)))).status_code == 200


def test_without_a_window_each_message_still_counts_once() -> None:
    make_teams(replay_seconds=0)
    to_teams(activity(timestamp=None))
    to_teams(activity(timestamp=None))

    assert Delivery.objects.get().occurred_at is None


def test_the_same_request_again_adds_nothing_and_is_answered_alike(teams: Connection) -> None:
    first, again = to_teams(BODY), to_teams(BODY)

    assert first.content == again.content
    assert Delivery.objects.count() == 1


def test_another_tenant_is_refused_where_one_is_named() -> None:
    make_teams(tenant_id="11111111-2222-3333-4444-555555555555")

    assert to_teams(activity()).status_code == 200
    assert to_teams(activity(id="2", channelData={"tenant": {"id": "another"}})).status_code == 401
    assert to_teams(activity(id="3", channelData=None)).status_code == 401
    assert len(kept()) == 1


WRONG: dict[str, Any] = {
    "nothing": b"",
    "no json": b"{",
    "a form": b"a=b",
    "a list": [],
    "no id": activity(id=None),
    "an id that is none": {**activity(), "id": "two words"},
    "another type": activity(type="conversationUpdate"),
    "no type": activity(type=None),
    "a name twice": b'{"type": "message", "type": "message", "id": "1"}',
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG.keys())
def test_what_is_no_message_is_refused_with_400_and_nothing_is_kept(teams: Connection, body: Any) -> None:
    answer = to_teams(body, content_type="application/json; charset=utf-8")

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_delivery")
    assert kept() == []


# --- what people say -------------------------------------------------------------------------------
def test_a_message_is_kept_with_what_it_names(teams: Connection) -> None:
    to_teams(activity("<div><at>Goldseam</at>&nbsp;SO-000697 is <b>stuck</b> &amp;<br>so is INV-10482</div>"))

    row = Delivery.objects.get()
    assert (row.event, row.external_id) == ("message", "19:team@thread.tacv2/1767268800000")
    assert row.occurred_at == datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
    assert row.payload == {
        "id": "19:team@thread.tacv2/1767268800000", "way": "mention", "text": "SO-000697 is stuck &\nso is INV-10482",
        "mentions": {"order": ["SO-000697"], "invoice": ["INV-10482"]}, "thread": "",
        "conversation": "19:team@thread.tacv2/1767268800000", "channel": "19:team@thread.tacv2",
        "author": "00000000-0000-0000-0000-000000000007", "team": "19:team",
        "activity_id": "1767268800000", "name": "Somebody",
    }  # fmt: skip


def test_an_answer_in_a_thread_says_which_one(teams: Connection) -> None:
    to_teams(activity(id="1767268900000", root="1767268800000"))

    assert kept()[0]["thread"] == "19:team@thread.tacv2/1767268800000"


def test_one_time_in_two_channels_is_two_messages(teams: Connection) -> None:
    to_teams(activity(conversation={"id": "19:one@thread.tacv2"}))
    to_teams(activity(conversation={"id": "19:two@thread.tacv2"}))
    to_teams(activity(conversation=None))
    to_teams(activity(conversation={"id": "x" * 500}))

    assert Delivery.objects.count() == 4


@pytest.mark.parametrize(
    "changes",
    [
        {"from": {"id": "28:bot", "role": "bot"}},
        {"text": "<at>Goldseam</at>  "},
        {"text": None},
        {"text": 7},
    ],
)
def test_bots_and_empty_messages_are_answered_and_not_kept(teams: Connection, changes: dict[str, Any]) -> None:
    assert to_teams(activity(**changes)).status_code == 200
    assert kept() == []


@pytest.mark.parametrize("text", ["<" * 80_000, "<at>" * 20_000, "&" * 80_000, "<br" * 30_000, "<at" * 30_000 + ">"])
def test_hostile_markup_is_only_text_and_soon_read(teams: Connection, text: str) -> None:
    assert to_teams(activity(text)).status_code == 200


# --- what Teams wants to hear ----------------------------------------------------------------------
def test_what_was_noted_is_said_in_the_request_with_a_link_that_opens_a_page(teams: Connection, settings: Any) -> None:
    settings.PUBLIC_URL = "https://goldseam.test"
    answer = to_teams(activity())

    told = answer.json()
    (attachment,) = told["attachments"]
    assert (answer.status_code, answer["Content-Type"], told["type"]) == (200, "application/json", "message")
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert attachment["content"]["body"][0]["inlines"][0]["text"] == "Noted: SO-000697."
    assert attachment["content"]["actions"] == [
        {
            "type": "Action.OpenUrl",
            "title": "Open in Goldseam",
            "url": "https://goldseam.test/incidents/?search=SO-000697",
        }
    ]


def test_without_an_address_of_the_console_there_is_no_link(teams: Connection, settings: Any) -> None:
    settings.PUBLIC_URL = ""

    assert to_teams(activity()).json() == {"type": "message", "text": "Noted: SO-000697."}
    assert to_teams(activity("")).json()["text"].startswith("Write what is wrong")


def test_what_a_person_wrote_is_never_said_back(teams: Connection) -> None:
    answer = to_teams(activity("[click](https://evil.test) <script>alert(1)</script>"))

    assert "evil" not in answer.content.decode()
    assert "a person will read it" in answer.content.decode()


def test_nothing_is_sent_anywhere_while_teams_waits(teams: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("called the network while Teams waits")

    monkeypatch.setattr("connectors.transport.Http.send", never)
    monkeypatch.setattr("socket.getaddrinfo", never)

    assert to_teams(activity()).status_code == 200


def test_the_sample_that_is_shown_is_taken_once_its_time_is_put_in(teams: Connection) -> None:
    sample = teams_connector.Teams.sample(TeamsConfig.model_validate(teams.config))
    body = json.loads(sample.body) | {"timestamp": at(NOW)}

    assert to_teams(body).status_code == 200
    assert kept()[0]["mentions"] == {"order": ["SO-000697"]}
    assert TOKEN not in f"{sample}"
