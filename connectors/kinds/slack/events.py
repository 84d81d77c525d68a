"""What Slack sends: events, commands and clicks, proven on the raw body, cut into what a person said.

Sources: Slack developer documentation, "Verifying requests from Slack", "The Events API", "Handling user interaction",
"Slash commands".
"""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from connectors.base import HookAnswer, Inbound, Refused, Unauthorized
from connectors.kinds.slack.settings import SlackConfig
from connectors.kit.batches import value_of
from connectors.talk import chats
from connectors.wire import signatures

WINDOW_SECONDS = 300
SIGNATURE, TIMESTAMP = "x-slack-signature", "x-slack-request-timestamp"
FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 50
_SECONDS = re.compile(r"[0-9]{1,11}\Z")
_TS = re.compile(r"[0-9]{1,11}\.[0-9]{1,9}\Z")
_PLACE = re.compile(r"(?P<channel>[A-Z0-9]{2,30})/(?P<ts>[0-9]{1,11}\.[0-9]{1,9})\Z")
# What a person wrote comes plain, with a file, sent on to the channel, or as /me; every other subtype is Slack's own.
_WRITTEN = frozenset({"", "file_share", "thread_broadcast", "me_message"})
_LINK = re.compile(r"<([^<>|]*)(?:\|([^<>]*))?>")
_HELP = "Write what is wrong and which record it is about, such as: {command} SO-000697 is stuck"


def prove(secret: str, body: bytes, headers: Mapping[str, str], now: datetime) -> None:
    """Hold a raw body against its v0 signature and its time. Raises ``Unauthorized``."""
    given = _named(headers)
    stamp = given.get(TIMESTAMP, "")
    wanted = signatures.sha256(secret.encode(), b"v0:" + stamp.encode(errors="surrogateescape") + b":" + body).hex()
    if not signatures.equal("v0=" + wanted, given.get(SIGNATURE, "")):
        raise Unauthorized("The signature is not right.", status=401, code="signature")
    if not _SECONDS.match(stamp) or abs(now.timestamp() - int(stamp)) > WINDOW_SECONDS:
        raise Unauthorized("The request is too old, or its time is not ours.", status=401, code="stale")


def inbound(body: bytes, headers: Mapping[str, str], settings: SlackConfig) -> list[Inbound]:
    """Cut a body into what a person said to us; nothing where nobody did. Raises ``Refused``."""
    form = _form(body, headers)
    if form is None:
        return _told(_object(body), settings)
    if "payload" in form:
        _click(form)
        return []
    if form.get("command"):
        _of_team(form.get("team_id"), settings)
        return [_command(form, body, settings)] if form.get("text", "").strip() else []
    raise Refused("This form is neither a command nor a click.", status=400, code="shape")


def answered(body: bytes, headers: Mapping[str, str], settings: SlackConfig) -> HookAnswer | None:
    """Return what Slack wants to hear within three seconds; ``None``: any answer of success will do."""
    form = _form(body, headers)
    if form is None:
        told = _object(body)
        if told.get("type") == "url_verification":
            return HookAnswer(_challenge(told).encode(), "text/plain; charset=utf-8")
        return None
    if "payload" in form:
        return HookAnswer(b"", "text/plain; charset=utf-8")
    told_of = inbound(body, headers, settings)
    said = chats.spoken(told_of) if told_of else _HELP.format(command=chats.known(form.get("command"), 40))
    text = {"response_type": "ephemeral", "text": escaped(said)}
    return HookAnswer(json.dumps(text, ensure_ascii=False).encode(), "application/json")


def place_of(text: str) -> tuple[str, str]:
    """Read the channel and the time of a message from what names its place; two blanks where it is none of ours."""
    found = _PLACE.match(text)
    return (found["channel"], found["ts"]) if found else ("", "")


def escaped(text: str) -> str:
    """Return a text in which nothing is a link, a mention or a command to Slack."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def plain(text: str) -> str:
    """Return a message's text as people read it: links by their words, without the names of people and channels."""
    return (
        _LINK.sub(_shown, text).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").replace("\xa0", " ")
    ).strip()


def _shown(link: re.Match[str]) -> str:
    target, words = link[1], link[2]
    if target[:1] in ("@", "#", "!"):
        # An id such as U000697 is no number of a record.
        return target[0].strip("!") + words if words else ""
    return words or target


def _told(told: dict[str, Any], settings: SlackConfig) -> list[Inbound]:
    kind = told.get("type")
    if kind == "url_verification":
        _challenge(told)
        return []
    if kind not in ("event_callback", "app_rate_limited"):
        raise Refused(f"Slack's events are no “{str(kind)[:40]}”.", status=400, code="type")
    _of_team(told.get("team_id"), settings)
    if kind == "app_rate_limited":
        return [_lost(told)]
    event = told.get("event")
    if not isinstance(event, dict) or not chats.known(told.get("event_id")):
        raise Refused("The event has no event_id, or tells nothing.", status=400, code="shape")
    if event.get("type") not in ("message", "app_mention") or _ours(event, told):
        return []
    return _message(event, told, settings)


def _message(event: dict[str, Any], told: dict[str, Any], settings: SlackConfig) -> list[Inbound]:
    channel, ts, root = (chats.known(event.get(name)) for name in ("channel", "ts", "thread_ts"))
    if not place_of(f"{channel}/{ts}")[0] or (event.get("subtype") or "") not in _WRITTEN:
        return []
    addressed = event["type"] == "app_mention" or event.get("channel_type") == "im"
    if not addressed and channel not in chats.listed(settings.channels) | {settings.channel}:
        return []
    # Where the app is named in a channel that it listens to, two events tell of one message: its place is its id.
    heard = chats.Heard(
        id=f"{channel}/{ts}",
        way="mention" if addressed else "message",
        text=plain(event["text"]) if isinstance(event.get("text"), str) else "",
        thread=f"{channel}/{root}" if _TS.match(root) and root != ts else "",
        channel=channel,
        author=chats.known(event.get("user")),
        team=chats.known(told.get("team_id")),
    )
    if not heard.text:
        return []
    payload = heard.payload(settings.patterns, {"event_id": told["event_id"]})
    return [Inbound(heard.id, "message", payload, _moment(ts))]


def _ours(event: dict[str, Any], told: dict[str, Any]) -> bool:
    """Tell whether an app wrote it, ours or another one: answering them would never end."""
    if event.get("bot_id") or event.get("bot_profile") or event.get("subtype") == "bot_message":
        return True
    grants = told.get("authorizations")
    bots = [grant for grant in grants if isinstance(grant, dict)] if isinstance(grants, list) else []
    ours = {grant.get("user_id") for grant in bots if grant.get("is_bot")} | {"USLACKBOT"}
    return not isinstance(event.get("user"), str) or event["user"] in ours


def _command(form: dict[str, str], body: bytes, settings: SlackConfig) -> Inbound:
    # A command has no id of its own; its trigger is another one each time, so that its body is.
    key = f"command:{hashlib.sha256(body).hexdigest()[:40]}"
    channel, author, team = (chats.known(form.get(name)) for name in ("channel_id", "user_id", "team_id"))
    heard = chats.Heard(id=key, way="command", text=plain(form["text"]), channel=channel, author=author, team=team)
    payload = heard.payload(settings.patterns, {"command": chats.known(form["command"], 40)})
    return Inbound(key, "command", payload)


def _lost(told: dict[str, Any]) -> Inbound:
    """Keep that Slack left events out because there were too many in that minute."""
    minute = told.get("minute_rate_limited")
    if isinstance(minute, bool) or not isinstance(minute, int):
        raise Refused("It does not say which minute was limited.", status=400, code="shape")
    team = chats.known(told.get("team_id"))
    return Inbound(f"limited:{team[:60]}:{minute}", "app_rate_limited", {"team": team, "minute": minute})


def _click(form: dict[str, str]) -> None:
    """Look at a click no further than that it is one: buttons are links, and nothing is decided by a click here."""
    told = _object(form["payload"].encode(errors="surrogatepass"))
    if not isinstance(told.get("type"), str):
        raise Refused("The payload is no click.", status=400, code="shape")


def _of_team(team: object, settings: SlackConfig) -> None:
    if settings.team_id and team != settings.team_id:
        raise Refused("This comes from another workspace.", status=401, code="team")


def _challenge(told: dict[str, Any]) -> str:
    challenge = told.get("challenge")
    if not isinstance(challenge, str) or not 1 <= len(challenge) <= 500:
        raise Refused("The challenge is none.", status=400, code="shape")
    return challenge


def _form(body: bytes, headers: Mapping[str, str]) -> dict[str, str] | None:
    """Read a form; ``None`` where it is none. Raises ``Refused``."""
    if _named(headers).get("content-type", "").partition(";")[0].strip().lower() != FORM:
        return None
    try:
        pairs = parse_qsl(
            body.decode("utf-8"), keep_blank_values=True, strict_parsing=True, errors="strict",
            max_num_fields=MOST_FIELDS,
        )  # fmt: skip
    except ValueError:
        raise Refused("The body is no form.", status=400, code="malformed") from None
    if len(dict(pairs)) != len(pairs):
        raise Refused("A field of the form stands twice.", status=400, code="malformed")
    return dict(pairs)


def _object(body: bytes) -> dict[str, Any]:
    told = value_of(body)
    if not isinstance(told, dict):
        raise Refused("This is nothing that Slack sends.", status=400, code="shape")
    return told


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _moment(ts: str) -> datetime | None:
    seconds = float(ts)
    # Within what both databases hold.
    return datetime.fromtimestamp(seconds, UTC) if seconds < 32_503_680_000 else None
