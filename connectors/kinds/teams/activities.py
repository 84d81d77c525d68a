"""What an outgoing webhook of Teams sends: proven on the raw body, cut into what a person said, answered at once.

Source: Microsoft Teams developer documentation, "Create Outgoing Webhooks".
"""

import base64
import binascii
import hashlib
import html
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from connectors.base import Blocked, HookAnswer, Inbound, Refused, Unauthorized
from connectors.kinds.teams import cards
from connectors.kinds.teams.settings import TeamsConfig
from connectors.kit.batches import value_of
from connectors.talk import chats
from connectors.wire import signatures

_NAMED = re.compile(r"<at\b[^<>]*>[^<>]*</at>", re.IGNORECASE)
_BREAK = re.compile(r"<(?:br\s*/?|/p|/div|/li|/tr)>", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z!][^<>]*>")
_MESSAGE_ID = re.compile(r";messageid=([0-9A-Za-z._-]{1,60})\Z")
_ID = re.compile(r"[\x21-\x7e]{1,100}\Z")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)\Z", re.ASCII)
_HELP = "Write what is wrong and which record it is about, such as: SO-000697 is stuck"


def prove(token: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Hold a raw body against ``Authorization: HMAC …``. Its key is what the token says in base64, not the token.

    Raises ``Unauthorized``; ``Blocked`` where the token that was set is no base64.
    """
    try:
        key = base64.b64decode(token, validate=True)
    except (binascii.Error, ValueError):
        raise Blocked("The security token is no base64: copy it whole.", code="credentials") from None
    if not key:
        raise Blocked("The security token is empty.", code="credentials")
    given = next((value for name, value in headers.items() if name.lower() == "authorization"), "")
    scheme, _, shown = given.partition(" ")
    wanted = base64.b64encode(signatures.sha256(key, body)).decode()
    # Compared whatever the scheme: the time taken must not tell which part was wrong.
    right = signatures.equal(wanted, shown.strip())
    if not right or scheme.upper() != "HMAC":
        raise Unauthorized("The signature is not right.", status=401, code="signature")


def inbound(body: bytes, settings: TeamsConfig, now: datetime) -> list[Inbound]:
    """Cut an activity into what a person said; nothing where an app said it or it says nothing. Raises ``Refused``."""
    activity = _activity(body)
    moment = _fresh(activity, settings, now)
    heard, author = _heard(activity), activity.get("from")
    role = author.get("role") if isinstance(author, dict) else None
    if role in ("bot", "skill") or not heard.text:
        return []
    more = {"activity_id": activity["id"], "name": chats.known(_of(activity, "from", "name"))}
    return [Inbound(heard.id, "message", heard.payload(settings.patterns, more), moment)]


def answered(body: bytes, settings: TeamsConfig, console: str) -> HookAnswer:
    """Return what appears below the message: what was noted, and a link to the console where its address is known."""
    heard = _heard(_activity(body))
    payload = heard.payload(settings.patterns, {})
    said = chats.spoken([Inbound(heard.id, "message", payload)]) if heard.text else _HELP
    keys = [key for keys in payload["mentions"].values() for key in keys]
    link = f"{console}/incidents/" + (f"?search={quote(keys[0], safe='')}" if len(keys) == 1 else "")
    answer = cards.saying(said, link) if console else {"type": "message", "text": said}
    return HookAnswer(json.dumps(answer, ensure_ascii=False).encode(), "application/json")


def plain(text: str) -> str:
    """Return a message's text as people read it: no tags, and nobody's name that only addresses the message."""
    text = _TAG.sub("", _BREAK.sub("\n", _NAMED.sub(" ", text[: 4 * chats.LONGEST_TEXT])))
    lines = (" ".join(line.split()) for line in html.unescape(text).replace("\xa0", " ").splitlines())
    return "\n".join(line for line in lines if line)


def _heard(activity: dict[str, Any]) -> chats.Heard:
    conversation = _of(activity, "conversation", "id")
    whole = conversation if isinstance(conversation, str) else ""
    channel, root = whole.partition(";")[0], _MESSAGE_ID.search(whole)
    text, own = activity.get("text"), activity["id"]
    return chats.Heard(
        id=_place(channel, own),
        way="mention",  # an outgoing webhook hears nothing else
        text=plain(text) if isinstance(text, str) else "",
        thread=_place(channel, root[1]) if root and root[1] != own else "",
        channel=chats.known(channel),
        author=chats.known(_of(activity, "from", "aadObjectId")) or chats.known(_of(activity, "from", "id")),
        team=chats.known(_of(activity, "channelData", "team", "id")),
    )


def _place(channel: str, message: str) -> str:
    """Name a message: its id is a time, and in two channels it can be the same."""
    place = f"{channel}/{message}" if channel else message
    if len(place) <= chats.LONGEST_ID and place.isascii() and place.isprintable():
        return place
    return hashlib.sha256(place.encode(errors="surrogatepass")).hexdigest()


def _activity(body: bytes) -> dict[str, Any]:
    told = value_of(body)
    if not isinstance(told, dict) or not isinstance(told.get("id"), str) or not _ID.match(told["id"]):
        raise Refused("This is no activity of Teams: it has no id.", status=400, code="shape")
    if told.get("type") != "message":
        raise Refused(f"An activity “{str(told.get('type'))[:40]}” is nothing to take in.", status=400, code="type")
    return told


def _fresh(activity: dict[str, Any], settings: TeamsConfig, now: datetime) -> datetime | None:
    """Return the activity's own time. Raises ``Refused`` (401) where it is too far away, or another tenant's."""
    tenant = _of(activity, "channelData", "tenant", "id") or _of(activity, "conversation", "tenantId")
    if settings.tenant_id and str(tenant or "").lower() != settings.tenant_id.lower():
        raise Refused("This comes from another tenant.", status=401, code="tenant")
    moment = _moment(activity.get("timestamp"))
    if not settings.replay_seconds:
        return moment
    if moment is None or abs((now - moment).total_seconds()) > settings.replay_seconds:
        raise Refused("The message is too old, or its time is not ours.", status=401, code="stale")
    return moment


def _moment(text: object) -> datetime | None:
    if not isinstance(text, str) or not _TIME.match(text):
        return None
    try:
        # Seven digits of a second are common; more than six are cut.
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
        return moment.astimezone(UTC) if 1970 < moment.year < 9000 else None
    except (ValueError, OverflowError):
        return None


def _of(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
