"""Slack's deliveries at the real hook: proven on the raw bytes, each message once, what is not for us left alone."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from connectors.kinds.slack import connector as slack_connector
from connectors.kinds.slack import events
from connectors.kinds.slack.settings import SlackConfig
from connectors.models import Connection, Delivery
from tests.connectors.chat_world import FORM, NOW, SIGNING, command, make_slack, said, to_slack, v0

pytestmark = pytest.mark.django_db
SECONDS = int(NOW.timestamp())
# Slack's published example, documentation article "Verifying requests from Slack".
PUBLISHED_TIME = 1531420618
PUBLISHED_SIGNATURE = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
PUBLISHED = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    stop_clock(monkeypatch, NOW)


@pytest.fixture
def slack() -> Connection:
    return make_slack()


def stop_clock(monkeypatch: pytest.MonkeyPatch, at: datetime) -> None:
    monkeypatch.setattr(slack_connector, "db_now", lambda: at)


def nothing_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("parsed before the signature was found right")

    for name in ("value_of", "parse_qsl"):
        monkeypatch.setattr(events, name, never)


def kept() -> list[dict[str, Any]]:
    return [row.payload for row in Delivery.objects.order_by("id")]


# --- signatures -------------------------------------------------------------------------------------
def test_the_published_example_is_right_at_its_time(slack: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_clock(monkeypatch, datetime.fromtimestamp(PUBLISHED_TIME, UTC))

    answer = to_slack(PUBLISHED, seconds=PUBLISHED_TIME, signature=PUBLISHED_SIGNATURE, content_type=FORM)

    assert answer.status_code == 200
    assert "Write what is wrong" in answer.json()["text"]


@pytest.mark.parametrize("away", [300, -300, 0])
def test_five_minutes_away_is_near_enough(slack: Connection, away: int) -> None:
    assert to_slack(said(), seconds=SECONDS + away).status_code == 202


@pytest.mark.parametrize("stamp", [SECONDS - 301, SECONDS + 301, "", "now", f" {SECONDS}", f"{SECONDS}.0", "9" * 30])
def test_what_is_stale_ahead_or_timeless_is_refused_although_it_is_signed(
    slack: Connection, monkeypatch: pytest.MonkeyPatch, stamp: Any
) -> None:
    nothing_is_parsed(monkeypatch)

    answer = to_slack(said(), seconds=stamp)

    assert (answer.status_code, answer.json()["code"]) == (401, "wrong_secret")
    assert kept() == []


FORGED = {
    "none": "",
    "zeros": "v0=" + "0" * 64,
    "another version": v0(json.dumps(said()).encode(), SECONDS).replace("v0=", "v1="),
    "another secret": v0(json.dumps(said()).encode(), SECONDS, "another"),
    "of another time": v0(json.dumps(said()).encode(), SECONDS - 1),
    "capitals": v0(json.dumps(said()).encode(), SECONDS).upper(),
    "not ascii": "v0=\xe4",
}


@pytest.mark.parametrize("signature", FORGED.values(), ids=FORGED.keys())
def test_what_is_forged_is_refused_before_anything_is_parsed(
    slack: Connection, monkeypatch: pytest.MonkeyPatch, signature: str
) -> None:
    nothing_is_parsed(monkeypatch)

    answer = to_slack(said(), signature=signature)

    assert (answer.status_code, answer.json()["code"]) == (401, "wrong_secret")
    assert SIGNING not in answer.content.decode()


def test_a_body_written_anew_no_longer_fits(slack: Connection) -> None:
    compact = json.dumps(said(), separators=(",", ":")).encode()

    assert to_slack(json.dumps(said()).encode(), signature=v0(compact, SECONDS)).status_code == 401


def test_the_same_request_again_adds_nothing(slack: Connection) -> None:
    first, again = to_slack(said()), to_slack(said())

    assert first.json() == {"accepted": 1, "repeated": 0}
    assert again.json() == {"accepted": 0, "repeated": 1}


def test_a_retry_of_slacks_is_the_same_event(slack: Connection) -> None:
    to_slack(said())
    again = to_slack(said(), seconds=SECONDS + 60, **{"X-Slack-Retry-Num": "1", "X-Slack-Retry-Reason": "http_timeout"})

    assert again.json() == {"accepted": 0, "repeated": 1}
    assert Delivery.objects.count() == 1


def test_a_body_that_is_too_large_is_refused_before_its_signature(
    slack: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing_is_parsed(monkeypatch)
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=1000):
        answer = to_slack(said("x" * 2000))

    assert answer.status_code == 413


def test_without_the_signing_secret_nothing_is_taken(slack: Connection) -> None:
    Connection.objects.update(secrets={})

    assert to_slack(said()).status_code == 401


# --- what is no request of Slack's -----------------------------------------------------------------
WRONG: dict[str, tuple[Any, str]] = {
    "nothing": (b"", "application/json"),
    "no json": (b"{", "application/json"),
    "a list": (b"[]", "application/json"),
    "an unknown type": ({"type": "something_else"}, "application/json"),
    "no type": ({"event": {}}, "application/json"),
    "a name twice": (b'{"type": "event_callback", "type": "url_verification"}', "application/json"),
    "an event without an id": ({**said(), "event_id": None}, "application/json"),
    "an event that is none": ({**said(), "event": "x"}, "application/json"),
    "a challenge that is none": ({"type": "url_verification"}, "application/json"),
    "an endless challenge": ({"type": "url_verification", "challenge": "x" * 501}, "application/json"),
    "a form that is none": (b"%%%", FORM),
    "an empty form": (b"", FORM),
    "a form of nobody": ([("a", "b")], FORM),
    "a field twice": (b"command=%2Fa&command=%2Fb&text=x", FORM),
    "too many fields": ([(f"f{n}", "x") for n in range(60)], FORM),
    "a form that is no utf-8": (b"command=%ff&text=x", FORM),
    "a click that is no json": ([("payload", "{")], FORM),
    "a click that is a list": ([("payload", "[]")], FORM),
    "a click without a type": ([("payload", "{}")], FORM),
    "json as a form": (json.dumps(said()).encode(), FORM),
    "a form as json": (b"command=%2Fa&text=x", "application/json"),
}


@pytest.mark.parametrize(("body", "kind"), WRONG.values(), ids=WRONG.keys())
def test_what_slack_does_not_send_is_refused_with_400_and_nothing_is_kept(
    slack: Connection, body: Any, kind: str
) -> None:
    answer = to_slack(body, content_type=kind)

    assert (answer.status_code, answer.json()["code"]) == (400, "bad_delivery")
    assert kept() == []


def test_another_workspace_is_refused_where_one_is_named() -> None:
    make_slack(team_id="T0CONTOSO")

    assert to_slack(said()).status_code == 202
    assert to_slack({**said(number=2), "team_id": "T0OTHERS"}).status_code == 401
    assert to_slack(command(team_id="T0OTHERS")).status_code == 401
    assert len(kept()) == 1


# --- what people say -------------------------------------------------------------------------------
def test_a_message_in_a_channel_that_is_listened_to_is_kept_with_what_it_names(slack: Connection) -> None:
    to_slack(said("SO-000697 is stuck &amp; <https://erp.test/x|INV-10482> too"))

    row = Delivery.objects.get()
    assert (row.event, row.external_id) == ("message", "C0LISTEN1/1767268800.000001")
    assert row.occurred_at == datetime(2026, 1, 1, 12, 0, 0, 1, tzinfo=UTC)
    assert row.payload == {
        "id": "C0LISTEN1/1767268800.000001", "way": "message", "text": "SO-000697 is stuck & INV-10482 too",
        "mentions": {"order": ["SO-000697"], "invoice": ["INV-10482"]}, "thread": "",
        "conversation": "C0LISTEN1/1767268800.000001", "channel": "C0LISTEN1", "author": "U0SOMEONE",
        "team": "T0CONTOSO", "event_id": "Ev00000001",
    }  # fmt: skip


def test_an_answer_in_a_thread_says_which_one(slack: Connection) -> None:
    to_slack(said("any news?", number=2, thread_ts="1767268800.000001"))

    (payload,) = kept()
    assert payload["thread"] == payload["conversation"] == "C0LISTEN1/1767268800.000001"


def test_two_events_about_one_message_are_one(slack: Connection) -> None:
    mention = {**said(type="app_mention"), "event_id": "Ev99999999"}

    assert to_slack(said()).json()["accepted"] == 1
    assert to_slack(mention).json() == {"accepted": 0, "repeated": 1}


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "app_mention", "channel": "C0ELSEWHERE"},
        {"channel_type": "im", "channel": "D0DIRECT1"},
        {"channel": "C0POST001"},
        {"subtype": "file_share"},
        {"subtype": "thread_broadcast", "thread_ts": "1767268800.000009"},
    ],
)
def test_what_is_addressed_to_us_or_stands_in_our_channels_is_heard(slack: Connection, changes: dict[str, Any]) -> None:
    assert to_slack(said(**changes)).json()["accepted"] == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"channel": "C0ELSEWHERE"},
        {"bot_id": "B0OTHER"},
        {"bot_profile": {"id": "B0OTHER"}},
        {"subtype": "bot_message", "user": None},
        {"user": "U0GOLDBOT"},
        {"user": "USLACKBOT"},
        {"user": None},
        {"subtype": "message_changed"},
        {"subtype": "message_deleted"},
        {"subtype": "channel_join"},
        {"type": "reaction_added"},
        {"type": "app_mention", "bot_id": "B0GOLD"},
        {"text": "   "},
        {"text": None},
        {"text": 7},
        {"ts": "yesterday"},
        {"ts": None},
        {"channel": "../x"},
    ],
)
def test_bots_other_channels_and_slacks_own_words_are_left_alone(slack: Connection, changes: dict[str, Any]) -> None:
    answer = to_slack(said(**changes))

    assert (answer.status_code, answer.json()) == (202, {"accepted": 0, "repeated": 0})
    assert kept() == []


def test_ids_of_people_and_channels_are_no_numbers_of_records() -> None:
    make_slack(patterns="ticket: U######\norder: SO-######")
    to_slack(said("<@U000697> <#C000697|general> <!here> SO-000697 for <@U000697|ann>"))

    (payload,) = kept()
    assert payload["mentions"] == {"order": ["SO-000697"]}
    assert payload["text"] == "#general  SO-000697 for @ann"


def test_what_cannot_be_stored_is_replaced_and_what_never_ends_is_cut(slack: Connection) -> None:
    to_slack(said("x" * 45_000))

    assert len(kept()[0]["text"]) == 20_000


def test_events_that_slack_left_out_are_noted_once(slack: Connection) -> None:
    lost = {"type": "app_rate_limited", "team_id": "T0CONTOSO", "minute_rate_limited": 1767268800}
    to_slack(lost)
    to_slack(lost)

    assert Delivery.objects.get().event == "app_rate_limited"
    assert to_slack({**lost, "minute_rate_limited": "x"}).status_code == 400


# --- what Slack wants to hear ----------------------------------------------------------------------
def test_the_address_is_confirmed_by_the_challenge_and_only_under_a_signature(slack: Connection) -> None:
    asked = {
        "type": "url_verification",
        "token": "x",
        "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmd",
    }
    right, forged = to_slack(asked), to_slack(asked, signature="v0=0")

    assert (right.status_code, right.content.decode()) == (200, asked["challenge"])
    assert right["Content-Type"].startswith("text/plain")
    assert forged.status_code == 401


def test_a_command_is_kept_and_answered_at_once_for_its_sender_alone(slack: Connection) -> None:
    answer = to_slack(command("SO-000697 is stuck"))

    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert answer.json() == {"response_type": "ephemeral", "text": "Noted: SO-000697."}
    (payload,) = kept()
    assert (payload["way"], payload["command"], payload["mentions"]) == (
        "command", "/goldseam", {"order": ["SO-000697"]},
    )  # fmt: skip
    assert "response_url" not in payload


def test_a_command_that_is_sent_again_is_one_command_and_another_one_is_not(slack: Connection) -> None:
    to_slack(command())
    to_slack(command())
    to_slack(command(trigger_id="another"))

    assert Delivery.objects.count() == 2


def test_a_command_that_names_nothing_is_kept_and_says_so(slack: Connection) -> None:
    answer = to_slack(command("everything is slow <script>"))

    assert "a person will read it" in answer.json()["text"]
    assert "script" not in answer.content.decode()
    assert len(kept()) == 1


def test_an_empty_command_is_answered_with_how_it_is_used(slack: Connection) -> None:
    answer = to_slack(command(" "))

    assert answer.json()["text"].endswith("such as: /goldseam SO-000697 is stuck")
    assert kept() == []


@pytest.mark.parametrize("value", ["approve", "reject", "anything"])
def test_a_click_is_acknowledged_and_decides_nothing(slack: Connection, value: str) -> None:
    click = {
        "type": "block_actions", "user": {"id": "U0SOMEONE"}, "team": {"id": "T0CONTOSO"}, "trigger_id": "1",
        "actions": [{"action_id": "goldseam_open", "value": value}], "response_url": "https://hooks.slack.com/actions/1",
    }  # fmt: skip
    answer = to_slack([("payload", json.dumps(click))])

    assert (answer.status_code, answer.content) == (200, b"")
    assert kept() == []


def test_nothing_is_sent_anywhere_while_slack_waits(slack: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("called the network while Slack waits")

    monkeypatch.setattr("connectors.transport.Http.send", never)
    monkeypatch.setattr("socket.getaddrinfo", never)

    statuses = [to_slack(body).status_code for body in (said(), command(), [("payload", '{"type": "x"}')])]

    assert statuses == [202, 200, 200]


def test_the_sample_that_is_shown_is_one_that_is_taken(slack: Connection) -> None:
    sample = slack_connector.Slack.sample(SlackConfig.model_validate(slack.config))

    assert to_slack(sample.body.encode()).json() == {"accepted": 1, "repeated": 0}
    assert SIGNING not in f"{sample}"


def test_no_file_of_the_kind_knows_a_way_to_approve_anything() -> None:
    folder = Path(str(slack_connector.__file__)).parent

    assert not any("approvals" in path.read_text() for path in folder.glob("*.py"))
