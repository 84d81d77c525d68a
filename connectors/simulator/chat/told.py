"""What the simulated Slack tells an app: each message that a person writes, as the Events API sends it.

Facts (wire: messages 2): the envelope of an ``event_callback``; the signature ``v0`` over time and raw body, made anew
for each try; three retries with ``X-Slack-Retry-Num``, of which here only the pauses are shorter.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time

from connectors.simulator.chat.service import TEAM
from connectors.simulator.news import Change, Message

APP = "A0000SIM1"


def message_of(change: Change) -> Message | None:
    """Write the event of a person's message; ``None`` for what an app posted, and for what was edited."""
    record = change.record
    if change.entity != "message" or change.verb != "Create" or "user" not in record:
        return None
    event_id = f"Ev{change.uuid('event').hex[:10].upper()}"
    event = {"type": "message", "channel_type": "channel", **record}
    body = {
        "token": "",
        "team_id": TEAM["team_id"],
        "api_app_id": APP,
        "event": event,
        "type": "event_callback",
        "event_id": event_id,
        "event_time": int(float(record["ts"])),
        "authorizations": [{"team_id": TEAM["team_id"], "user_id": TEAM["user_id"], "is_bot": True}],
    }
    return Message(event_id, json.dumps(body, ensure_ascii=False).encode(), {"Content-Type": "application/json"})


def signed(message: Message, secret: str, attempt: int) -> dict[str, str]:
    """Sign one try of a message, at this moment."""
    stamp = str(int(time.time()))
    base = f"v0:{stamp}:".encode() + message.body
    signature = hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()
    headers = {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={signature}"}
    if attempt > 1:
        headers |= {"X-Slack-Retry-Num": str(attempt - 1), "X-Slack-Retry-Reason": "http_error"}
    return headers
