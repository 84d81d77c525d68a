"""Slack: signed events, commands and clicks in; messages out, by the Web API or an incoming webhook."""

import json
import re
from collections.abc import Mapping
from typing import Any

from audit.clock import db_now
from connectors.base import (
    Blocked,
    Health,
    HookAnswer,
    Inbound,
    Operation,
    Sample,
    Tell,
    Unanswered,
    Written,
)
from connectors.kinds.slack import events, posting
from connectors.kinds.slack.settings import SlackConfig, Way
from connectors.kit.answers import Explained, raise_for
from connectors.redaction import Redactor
from connectors.talk import chats
from connectors.talk.messages import THREAD, Message
from connectors.talk.tellers import Teller
from connectors.transport import NotJson, Reply
from connectors.wire import secretaddress

_CODE = re.compile(r"[a-z0-9_]{1,80}\Z")


class Slack(Teller):
    """What people write to the app or in its channels, and messages whose buttons lead to the console's own pages."""

    slug = "slack"
    label = "Slack"
    config = SlackConfig
    secrets = frozenset({"signing_secret", "bot_token", "webhook_url"})
    signed_with = "signing_secret"
    channel = "chat"
    operations = (Tell("slack.post", Message, "Post a message"),)
    settings: SlackConfig

    def redactor(self) -> Redactor:
        """Return what takes the secrets out of texts, the pieces of the secret address too."""
        return Redactor([*self._secrets.values(), *secretaddress.parts_of(self._secrets.get("webhook_url", ""))])

    # --- in --------------------------------------------------------------------------------------
    def verify(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Hold the raw body against its v0 signature, at most 300 seconds old by the database's clock."""
        events.prove(self.secret("signing_secret"), body, headers, db_now())

    def receive(self, body: bytes, headers: Mapping[str, str]) -> list[Inbound]:
        """Cut out what a person said to us; clicks and address checks say nothing."""
        return events.inbound(body, headers, self.settings)

    def answer(self, body: bytes, headers: Mapping[str, str]) -> HookAnswer | None:
        """Answer a challenge, a command or a click; an event is content with any success."""
        return events.answered(body, headers, self.settings)

    @classmethod
    def sample(cls, settings: SlackConfig) -> Sample:
        """Return a message in a channel as the Events API sends it; whoever tries it signs it with the secret."""
        channel = settings.channel or next(iter(sorted(chats.listed(settings.channels))), "C0123456789")
        event = {"type": "message", "channel": channel, "user": "U0123456789", "text": "SO-000697 is stuck"}
        told = {
            "type": "event_callback",
            "team_id": settings.team_id or "T0123456789",
            "event_id": "Ev0123456789",
            "event_time": 1767225600,
            "event": {**event, "ts": "1767225600.000100"},
        }
        signed = (("X-Slack-Request-Timestamp", "<seconds now>"), ("X-Slack-Signature", "v0=<hex HMAC>"))
        return Sample(json.dumps(told), headers=signed)

    # --- out -------------------------------------------------------------------------------------
    def check(self) -> Health:
        """Ask who the bot token is. An incoming webhook cannot be tried without posting: only its host is looked up."""
        if self.settings.way is Way.INCOMING_WEBHOOK:
            secretaddress.reachable(self._webhook())
            tried = (f"the address of {self.settings.webhook_host}",)
            return Health(True, tried, "The host is there; whether it takes messages shows when one is posted.")
        url = f"{self.settings.base_url}/auth.test"
        found = self._api(url, {}, wrote=False)
        names = " in ".join(str(found[name])[:80] for name in ("user", "team") if isinstance(found.get(name), str))
        return Health(True, (f"POST {url}",), f"Connected as {names}." if names else "Connected.")

    def logged(self, operation: Operation, arguments: Any) -> dict[str, Any]:
        """Keep which message it was, not what it said of a record."""
        return {"id": arguments.id, "type": arguments.type, "subject": arguments.subject, "thread": arguments.thread}

    def tell(self, operation: Tell, arguments: Message, *, key: str) -> Written:
        """Post a message, into its thread where it has one; the result names the thread that it begins or follows."""
        if self.settings.way is Way.INCOMING_WEBHOOK:
            return self._by_webhook(arguments)
        thread = events.place_of(arguments.thread)
        if not self.settings.channel and not thread[0]:
            raise Blocked(f"{self.name}: no channel to post to is set.", code="arguments")
        body = posting.post_of(arguments, self.settings.channel, key, with_id=self.settings.send_message_id)
        found = self._api(f"{self.settings.base_url}/chat.postMessage", body, wrote=True)
        posted = f"{found.get('channel')}/{found.get('ts')}"
        if not events.place_of(posted)[0]:
            raise Unanswered("Slack says that it posted, but not where.", status=self.trace.status, code="shape")
        return Written(version=str(found["ts"]), result={THREAD: arguments.thread if thread[0] else posted})

    def _by_webhook(self, message: Message) -> Written:
        url = self._webhook()
        reply = self.http.send("POST", url, json=posting.content_of(message))
        raise_for(reply, label=self.label, wrote=True, explain=_plain)
        if reply.body.strip() != b"ok":
            raise Unanswered("Slack answered the webhook with something else than ok.", status=reply.status)
        return Written()

    def _webhook(self) -> str:
        return secretaddress.held_against(self.secret("webhook_url"), self.settings.webhook_host, name="webhook_url")

    def _api(self, url: str, body: dict[str, Any], *, wrote: bool) -> dict[str, Any]:
        """Call one method. Slack says what went wrong in the body of a 200."""
        token = {"Authorization": f"Bearer {self.secret('bot_token')}"}
        reply = self.http.send("POST", url, json=body, headers=token)
        code = _code_of(reply)
        if code and 400 <= reply.status < 500 and reply.status not in (401, 429):
            raise posting.failure_of(code, reply, wrote=wrote)
        raise_for(reply, label=self.label, wrote=wrote, explain=_coded)
        try:
            found = reply.json()
        except NotJson as bad:
            raise Unanswered(f"Slack {bad}.", status=reply.status, code="shape") from None
        if not isinstance(found, dict) or not isinstance(found.get("ok"), bool):
            raise Unanswered("Slack does not say whether it was done.", status=reply.status, code="shape")
        if not found["ok"]:
            raise posting.failure_of(code or "unknown_error", reply, wrote=wrote)
        return found


def _code_of(reply: Reply) -> str:
    """Return the code of an error, where the answer has one of the usual shape."""
    try:
        found = reply.json()
    except NotJson:
        return ""
    code = found.get("error") if isinstance(found, dict) else None
    return code if isinstance(code, str) and _CODE.match(code) else ""


def _coded(reply: Reply) -> Explained:
    code = _code_of(reply)
    return Explained(code, code)


def _plain(reply: Reply) -> Explained:
    """Read what an incoming webhook says went wrong: one word of plain text."""
    text = reply.body[:100].decode("utf-8", "replace").strip()
    code = text if _CODE.match(text) else ""
    told = posting.failure_of(code, reply, wrote=True) if code else None
    return Explained(str(told).removeprefix("Slack: ") if told else "", code)
