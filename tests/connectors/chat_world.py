"""Slack and Teams for tests: connections to the simulator, deliveries signed as the real ones are, one message."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from django.test import Client

from connectors import actions
from connectors.models import Connection

# Slack's published example: secret, time, body and signature belong together.
SIGNING = "8f742231b10e8888abcd99yyyzzz85a5"
NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
TOKEN = base64.b64encode(b"the key of thirty-two bytes here").decode()
HOOK = "/api/v1/hooks/{}/"
PATTERNS = "order: SO-######\ninvoice: INV-#####"
FORM = "application/x-www-form-urlencoded"


def make_slack(root: str = "", *, secrets: dict[str, str] | None = None, **config: Any) -> Connection:
    """A connection to Slack, or to what the simulator has of it under ``root``."""
    known = {"patterns": PATTERNS, "channels": "C0LISTEN1", "channel": "C0POST001"}
    if root:
        known |= {"base_url": f"{root}/slack/api", "webhook_host": root.removeprefix("http://")}
    opened = {"signing_secret": SIGNING, "bot_token": "simulator", **(secrets or {})}
    return actions.create_connection(
        "slack", "slack", actor="system:test", secrets=opened, operations=["*"], config={**known, **config}
    )


def make_teams(root: str = "", *, secrets: dict[str, str] | None = None, **config: Any) -> Connection:
    """A connection to Teams, or to what the simulator has of it under ``root``."""
    known = {"patterns": PATTERNS, "workflow_host": root.removeprefix("http://") or "flow.test"}
    url = f"{root or 'https://flow.test'}/teams/workflows/0123456789abcdef?api-version=1&sig=simulator"
    opened = {"security_token": TOKEN, "workflow_url": url, **(secrets or {})}
    return actions.create_connection(
        "teams", "teams", actor="system:test", secrets=opened, operations=["*"], config={**known, **config}
    )


def message(**changes: Any) -> dict[str, Any]:
    """The arguments of one message."""
    known = {
        "id": "m-1", "type": "io.goldseam.incident.needs_operator", "source": "https://goldseam.test",
        "subject": "incident/7", "occurred_at": "2026-01-02T03:04:05Z", "title": "INC-7 needs a person",
        "text": "The loop stopped here.", "facts": [["Entity", "order SO-000697"], ["Severity", "High"]],
        "link": "https://goldseam.test/incidents/7/",
    }  # fmt: skip
    return {**known, **changes}


# --- Slack -----------------------------------------------------------------------------------------
def v0(body: bytes, seconds: int | str, secret: str = SIGNING) -> str:
    signed = f"v0:{seconds}:".encode() + body
    return "v0=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def to_slack(
    body: Any, *, seconds: Any = None, signature: str | None = None, content_type: str = "", **headers: str
) -> Any:
    """Deliver as Slack does: JSON, or a form where the body is a list of fields."""
    form = isinstance(body, list)
    raw = body if isinstance(body, bytes) else urlencode(body).encode() if form else json.dumps(body).encode()
    stamp = int(NOW.timestamp()) if seconds is None else seconds
    shown = v0(raw, stamp) if signature is None else signature
    headers = {"X-Slack-Request-Timestamp": str(stamp), "X-Slack-Signature": shown, **headers}
    kind = content_type or (FORM if form else "application/json")
    return Client().post(HOOK.format("slack"), raw, content_type=kind, headers=headers)


def said(text: str = "SO-000697 is stuck", **changes: Any) -> dict[str, Any]:
    """An event of the Events API about one message; ``None`` takes a member out."""
    number = changes.pop("number", 1)
    event = {
        "type": "message", "channel": "C0LISTEN1", "user": "U0SOMEONE", "text": text,
        "ts": f"1767268800.{number:06d}", **changes,
    }  # fmt: skip
    return {
        "type": "event_callback", "team_id": "T0CONTOSO", "api_app_id": "A0GOLD", "event_id": f"Ev{number:08d}",
        "event_time": 1767268800, "authorizations": [{"user_id": "U0GOLDBOT", "is_bot": True}],
        "event": {name: value for name, value in event.items() if value is not None},
    }  # fmt: skip


def command(text: str = "SO-000697 is stuck", **changes: str) -> list[tuple[str, str]]:
    """The fields of a slash command, as Slack's sample names them."""
    fields = {
        "token": "", "team_id": "T0CONTOSO", "channel_id": "C0ELSEWHERE", "user_id": "U0SOMEONE",
        "command": "/goldseam", "text": text, "response_url": "https://hooks.slack.com/commands/1",
        "trigger_id": "13345224609.738474920.8088930838d88f008e0", **changes,
    }  # fmt: skip
    return list(fields.items())


# --- Teams -----------------------------------------------------------------------------------------
def hmac_of(body: bytes, token: str = TOKEN) -> str:
    return "HMAC " + base64.b64encode(hmac.new(base64.b64decode(token), body, hashlib.sha256).digest()).decode()


def to_teams(body: Any, *, authorization: str | None = None, content_type: str = "application/json") -> Any:
    """Deliver as an outgoing webhook of Teams does."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    shown = hmac_of(raw) if authorization is None else authorization
    return Client().post(HOOK.format("teams"), raw, content_type=content_type, headers={"Authorization": shown})


def activity(text: str = "<at>Goldseam</at> SO-000697 is stuck", **changes: Any) -> dict[str, Any]:
    """A message to an outgoing webhook; ``None`` takes a member out."""
    own, root = changes.pop("id", "1767268800000"), changes.pop("root", "")
    known = {
        "type": "message", "id": own, "timestamp": "2026-01-01T12:00:00.1234567Z", "text": text,
        "from": {"id": "29:abc", "name": "Somebody", "aadObjectId": "00000000-0000-0000-0000-000000000007"},
        "conversation": {"id": f"19:team@thread.tacv2;messageid={root or own}"},
        "channelData": {"team": {"id": "19:team"}, "tenant": {"id": "11111111-2222-3333-4444-555555555555"}},
        **changes,
    }  # fmt: skip
    return {name: value for name, value in known.items() if value is not None}
