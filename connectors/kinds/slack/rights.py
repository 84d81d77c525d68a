"""Which scopes the Slack app needs."""

from typing import Any

from connectors.kinds.slack.settings import Way
from connectors.kit.needs import Needs, Told


def needs(settings: Any) -> Told:
    """Return the bot's scopes; an incoming webhook may post to its one channel and nothing else."""
    listening = ("channels:history (groups:history for private channels)",) if settings.channels else ()
    posting = ("chat:write",) if settings.way is Way.WEB_API else ("the incoming webhook of one channel",)
    return Told(listening, {"slack.post": Needs(posting)})
