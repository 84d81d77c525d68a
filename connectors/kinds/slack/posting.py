"""A message as Slack shows it, and what its answers mean.

Sources: Slack developer documentation, "chat.postMessage", "Incoming webhooks", "Block Kit".
"""

import uuid
from typing import Any

from connectors.base import ConnectorError, RateLimited, Refused, Unanswered, Unauthorized
from connectors.kinds.slack.events import escaped, place_of
from connectors.kit.answers import retry_after
from connectors.talk import chats
from connectors.talk.messages import Message
from connectors.transport import Reply

LONGEST_FALLBACK, LONGEST_SECTION, LONGEST_FIELD, LONGEST_BUTTON = 3000, 2900, 1900, 75
FIELDS = 10
_NAMESPACE = uuid.UUID("5a1c8b0e-4d55-4c1e-9a51-3b7a7f2f6d10")
_CREDENTIALS = frozenset(
    {"invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive", "org_login_required"}
)
_LATER = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout", "rollup_error"})
_WAITS = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_DO = {
    "channel_not_found": "There is no such channel for the app: check its id, and invite the app into it.",
    "not_in_channel": "Invite the app into the channel.",
    "is_archived": "The channel is archived: choose another one.",
    "channel_is_archived": "The channel is archived: choose another one.",
    "missing_scope": "Give the app the scope chat:write and install it again.",
    "restricted_action": "The workspace lets only some people post there: ask its administrator.",
    "no_service": "The incoming webhook was removed: make a new one.",
    "no_team": "The workspace of the incoming webhook is gone: make a new one.",
    "invalid_token": "The incoming webhook's address is not right: make a new one.",
    "thread_not_found": "The thread is gone.",
}


def content_of(message: Message) -> dict[str, Any]:
    """Return text and blocks: every text escaped, every length within Slack's limits, a button that is a link."""
    title = chats.one_line(message.title) or message.subject
    fallback = f"{title}\n{message.text}".strip()
    blocks = [_section(f"*{chats.fitted(title, LONGEST_SECTION - 2, escaped)}*")]
    if message.text:
        blocks.append(_section(chats.fitted(message.text, LONGEST_SECTION, escaped)))
    fields = [_fact(name, value) for name, value in message.facts]
    blocks += [{"type": "section", "fields": fields[start : start + FIELDS]} for start in range(0, len(fields), FIELDS)]
    if message.link.startswith(("https://", "http://")):
        # A link, not a command: it leads to the page behind the console's sign-in, and a click decides nothing.
        label = {"type": "plain_text", "text": chats.fitted(message.link_label, LONGEST_BUTTON), "emoji": False}
        button = {"type": "button", "text": label, "url": message.link, "action_id": "goldseam_open"}
        blocks.append({"type": "actions", "elements": [button]})
    return {"text": chats.fitted(fallback, LONGEST_FALLBACK, escaped), "blocks": blocks}


def post_of(message: Message, channel: str, key: str, *, with_id: bool) -> dict[str, Any]:
    """Return the arguments of chat.postMessage, with the key that tells a repeat from a second message."""
    own, root = place_of(message.thread)
    metadata = {"event_type": "goldseam_message", "event_payload": {"key": key, "id": message.id}}
    body = {
        "channel": own or channel,
        **content_of(message),
        "metadata": metadata,
        "unfurl_links": False,
        "unfurl_media": False,
        "link_names": False,
        "parse": "none",
    }
    if root:
        body["thread_ts"] = root
    if with_id:
        body["client_msg_id"] = str(uuid.uuid5(_NAMESPACE, key))
    return body


def failure_of(code: str, reply: Reply, *, wrote: bool) -> ConnectorError:
    """Return what an ``error`` of Slack means, whatever the status of its answer."""
    status = reply.status
    said = f"Slack: {code}." + (f" {_DO[code]}" if code in _DO else "")
    if code in _WAITS:
        wait = retry_after(reply.headers.get("retry-after", ""))
        return RateLimited(f"Slack asks to wait ({code}).", status=status, code=code, retry_after=wait)
    if code in _CREDENTIALS:
        return Unauthorized(f"Slack does not accept the bot token ({code}).", status=status, code=code)
    if code in _LATER:
        doubt = " The message may have been posted." if wrote else ""
        return Unanswered(f"{said}{doubt}", status=status, code=code)
    return Refused(said, status=status, code=code)


def _section(text: str) -> dict[str, Any]:
    # Verbatim: names and addresses in a text from outside are not made into links.
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _fact(name: str, value: str) -> dict[str, Any]:
    name = chats.fitted(chats.one_line(name) or "·", 100, escaped)
    value = chats.fitted(value, LONGEST_FIELD - len(name) - 3, escaped)
    return {"type": "mrkdwn", "text": f"*{name}*\n{value}", "verbatim": True}
