"""Chats on the wire: Slack's Web API and incoming webhooks under `/slack`, a Teams workflow under `/teams`.

What was posted is a record with an effect row each, so that an outsider counts messages in the ledger. Facts: Slack
documents `chat.postMessage`, `auth.test` and that a failure is a 200 with `ok: false`; Microsoft documents 202 for a
workflow, 28 KB and the 200 of older connectors whose text tells of a failure. That a repeated `client_msg_id` is
dropped is documented nowhere: here it is posted again.
"""

from __future__ import annotations

import hmac
import time
from typing import Any

from connectors.simulator.messages import Answer, Exchange, Refusal
from connectors.simulator.store import PERSON, Fields, Session, Store

MOST_BLOCKS, LONGEST_TEXT, LARGEST_CARD = 50, 3000, 28 * 1024
# A channel and what it answers; every other channel takes messages.
CHANNELS = {
    "CNONE0000": "channel_not_found",
    "COLD00000": "is_archived",
    "CALONE000": "not_in_channel",
    "CBUSY0000": "ratelimited",
    "CBROKEN00": "internal_error",
}
TEAM = {"team": "Contoso", "team_id": "T0000SIM1", "user": "goldseam", "user_id": "U0000SIM1", "bot_id": "B0000SIM1"}


def say(session: Session, wish: Fields) -> str:
    """Let a person write in a channel: ``channel``, ``user``, ``text``, ``thread_ts`` for an answer. Returns its time.

    Raises ``Refusal`` where one of them is missing or is no text.
    """
    unknown = set(wish) - {"channel", "user", "text", "thread_ts"}
    if unknown or not all(isinstance(wish.get(name), str) and wish[name] for name in ("channel", "user", "text")):
        raise Refusal(400, "Send 'channel', 'user' and 'text', and 'thread_ts' for an answer.")
    ts = _ts(session)
    session.put(Slack.name, "message", f"{wish['channel']}/{ts}", {**wish, "ts": ts}, kind=PERSON)
    return ts


def _ts(session: Session) -> str:
    """Draw the time by which a message is known in its channel."""
    return f"{int(time.time())}.{session.next_number('slack', 1):06d}"


class Slack:
    """The workspace under `/slack`: `/slack/api/…` and `/slack/services/T…/B…/<secret>`."""

    name = "slack"

    def __init__(self, store: Store, secret: str) -> None:
        self.store = store
        self.secret = secret

    def handle(self, exchange: Exchange) -> Answer:
        """Answer one request below `/slack`."""
        request, path = exchange.request, exchange.request.segments[1:]
        if request.method == "POST" and path[:1] == ["services"] and len(path) == 4:
            return self._webhook(exchange, path[3])
        if request.method != "POST" or path[:1] != ["api"] or len(path) != 2:
            raise Refusal(404, "No such method.", code="unknown_method")
        scheme, _, token = (request.header("Authorization") or "").partition(" ")
        if not token:
            return _no("not_authed")
        if scheme != "Bearer" or not hmac.compare_digest(token.encode(), self.secret.encode()):
            return _no("invalid_auth")
        if path[1] == "auth.test":
            return Answer(200, {"ok": True, "url": "https://contoso.slack.test/", **TEAM})
        if path[1] == "chat.postMessage":
            return self._post(exchange, request.json())
        return _no("unknown_method")

    def _post(self, exchange: Exchange, body: Fields) -> Answer:
        channel = body.get("channel")
        if not isinstance(channel, str) or not channel:
            return _no("channel_not_found")
        if code := CHANNELS.get(channel) or _fault_of(body):
            return _no(code)
        root = body.get("thread_ts")
        if root is not None and not self._stands(exchange, f"{channel}/{root}"):
            return _no("thread_not_found")
        ts = self._keep(exchange, channel, body)
        return Answer(
            200, {"ok": True, "channel": channel, "ts": ts, "message": {"text": body.get("text", ""), "ts": ts}}
        )

    def _webhook(self, exchange: Exchange, token: str) -> Answer:
        if not hmac.compare_digest(token.encode(), self.secret.encode()):
            return _text(403, "invalid_token")
        try:
            body = exchange.request.json()
        except Refusal:
            return _text(400, "invalid_payload")
        if _fault_of(body):
            return _text(400, "invalid_blocks" if body.get("blocks") else "no_text")
        self._keep(exchange, "CHOOK0000", body)
        return _text(200, "ok")

    def _stands(self, exchange: Exchange, key: str) -> bool:
        with exchange.reading() as session:
            return session.get(self.name, "message", key) is not None

    def _keep(self, exchange: Exchange, channel: str, body: Fields) -> str:
        with exchange.writing() as session:
            ts = _ts(session)
            session.effect_key = _key_of(body) or session.effect_key
            session.put(self.name, "message", f"{channel}/{ts}", {**body, "channel": channel, "ts": ts}, kind="create")
        return ts

    def refuse(self, refusal: Refusal) -> Answer:
        """Draw a refusal as Slack does: failures of its own have a status, everything else is a 200."""
        code = refusal.code.lower() or "fatal_error"
        status = refusal.status if refusal.status in (404, 503) or refusal.status >= 500 else 200
        return Answer(status, {"ok": False, "error": code if refusal.status < 500 else "internal_error"})

    def throttled(self, seconds: float) -> Answer:
        """Say how long to wait."""
        return Answer(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": f"{seconds:g}"})

    def locked(self) -> Refusal:
        """Refuse as Slack does where a message may not be written now."""
        return Refusal(200, "Posting is restricted.", code="restricted_action")


class Teams:
    """A channel: a workflow at `/teams/workflows/<id>?sig=…`, an older connector at `/teams/webhookb2/<secret>`."""

    name = "teams"

    def __init__(self, store: Store, secret: str) -> None:
        self.store = store
        self.secret = secret

    def handle(self, exchange: Exchange) -> Answer:
        """Answer one post; the address alone lets in."""
        request, path = exchange.request, exchange.request.segments[1:]
        old = path[:1] == ["webhookb2"]
        if request.method != "POST" or len(path) != 2 or path[0] not in ("workflows", "webhookb2"):
            raise Refusal(404, "The workflow could not be found.", code="WorkflowNotFound")
        shown = path[1] if old else request.query.get("sig", "")
        if not hmac.compare_digest(shown.encode(), self.secret.encode()):
            raise Refusal(401, "The authentication credentials are not valid.", code="DirectApiAuthorizationRequired")
        if problem := _wrong_card(request.body, request.json()):
            raise Refusal(400, problem, code="InvalidRequestContent")
        with exchange.writing() as session:
            number = session.next_number("teams", 1)
            session.put(self.name, "message", str(number), request.json(), kind="create")
        return _text(200, "1") if old else Answer(202)

    def refuse(self, refusal: Refusal) -> Answer:
        """Draw a refusal in the shape of a workflow."""
        return Answer(refusal.status, {"error": {"code": refusal.code or "Failed", "message": refusal.message}})

    def throttled(self, seconds: float) -> Answer:
        """Say it as older connectors do where no time is given: in the text of a 200."""
        if seconds:
            return Answer(429, {"error": {"code": "429", "message": "Rate limit."}}, {"Retry-After": f"{seconds:g}"})
        said = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429"
        return _text(200, f"{said} with ContextId tcid=0,server=SIM,cv=0.")

    def locked(self) -> Refusal:
        """Refuse as a workflow that was switched off does."""
        return Refusal(400, "The workflow is not enabled.", code="WorkflowTriggerIsNotEnabled")


def _key_of(body: Fields) -> str:
    metadata = body.get("metadata")
    payload = metadata.get("event_payload") if isinstance(metadata, dict) else None
    return str(payload.get("key") or "") if isinstance(payload, dict) else ""


def _fault_of(body: Fields) -> str:
    """Say which code a message that breaks Slack's limits is refused with; blank: it keeps them."""
    text, blocks = body.get("text"), body.get("blocks", [])
    if not text and not blocks:
        return "no_text"
    if not isinstance(blocks, list) or len(blocks) > MOST_BLOCKS or not all(map(_block_fits, blocks)):
        return "invalid_blocks"
    return "msg_too_long" if len(str(text)) > 40_000 else ""


def _block_fits(block: Any) -> bool:
    if not isinstance(block, dict):
        return False
    if block.get("type") == "section":
        fields = block.get("fields", [])
        text = block.get("text", {}).get("text", "") if "text" in block else "fields"
        return (
            0 < len(text) <= LONGEST_TEXT
            and len(fields) <= 10
            and all(0 < len(field.get("text", "")) <= 2000 for field in fields)
        )
    if block.get("type") == "actions":
        return all(0 < len(one["text"]["text"]) <= 75 and len(one["url"]) <= 3000 for one in block["elements"])
    return False


def _wrong_card(body: bytes, message: Fields) -> str:
    """Say what of a card no workflow takes; blank: nothing."""
    if len(body) > LARGEST_CARD:
        return "The message is larger than 28 KB."
    for attachment in message.get("attachments") or [{}]:
        card = attachment.get("content") or {}
        if attachment.get("contentType") != "application/vnd.microsoft.card.adaptive" or not card.get("body"):
            return "The message holds no Adaptive Card."
        if any(action.get("type") != "Action.OpenUrl" for action in card.get("actions", [])):
            return "A card of a webhook knows no action but Action.OpenUrl."
    return ""


def _no(code: str) -> Answer:
    return Answer(200, {"ok": False, "error": code})


def _text(status: int, text: str) -> Answer:
    return Answer(status, text, content_type="text/plain; charset=utf-8")
