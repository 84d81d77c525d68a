"""How a connection to Slack is set up."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from connectors.base import Arguments
from connectors.talk import mentions
from connectors.talk.mentions import Patterns
from connectors.wire.roots import WithoutSlash


class Way(StrEnum):
    """How messages are posted."""

    WEB_API = "web_api"  # a bot token and a channel; threads are kept
    INCOMING_WEBHOOK = "incoming_webhook"  # a secret address that belongs to one channel; it begins no thread


class SlackConfig(Arguments):
    """Which workspace, which channels, and how messages are posted."""

    way: Way = Field(default=Way.WEB_API, title="Post by")
    base_url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s@]+$", max_length=200), WithoutSlash] = Field(
        default="https://slack.com/api", title="Web API address"
    )
    channel: Annotated[str, StringConstraints(pattern=r"^([A-Z0-9]{2,30})?$")] = Field(
        default="", title="Channel to post to", description="Its id, such as C0123456789. The app must be a member."
    )
    webhook_host: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:-]{1,200}$")] = Field(
        default="hooks.slack.com", title="Host of the incoming webhook",
        description="The secret address is used only where it leads to this host, over https.",
    )  # fmt: skip
    channels: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9,;\s]*$", max_length=2000)] = Field(
        default="", title="Channels to listen to",
        description="Ids, separated by commas. Elsewhere only commands, mentions and direct messages are heard.",
    )  # fmt: skip
    team_id: Annotated[str, StringConstraints(pattern=r"^([A-Z0-9]{2,30})?$")] = Field(
        default="", title="Workspace id", description="Such as T0123456789. Events of others are refused; empty: any."
    )
    patterns: Patterns = mentions.patterns()
    send_message_id: bool = Field(
        default=True, title="Send a message id",
        description="The same for every try (client_msg_id). That Slack drops a repeat by it is not documented.",
    )  # fmt: skip
