"""What chat kinds share: one shape for what people write, and texts cut to what a message holds.

What stands in a chat is text from outside. It names records and can be read; it decides and approves nothing.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.base import Inbound
from connectors.talk import mentions
from connectors.wire.payloads import storable_text

LONGEST_TEXT = 20_000
LONGEST_ID = 200  # what a delivery keeps
_IDS = re.compile(r"[\s,;]+")


@dataclass(frozen=True)
class Heard:
    """One message of a person, as every chat tells of it."""

    id: str  # the place of the message: whoever answers in its thread names the same
    way: str  # message, mention or command: how it was addressed to us
    text: str
    thread: str = ""  # the id of the message that it answers; "" where it answers none
    channel: str = ""
    author: str = ""
    team: str = ""

    def payload(self, patterns: str, more: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the delivery keeps: ``mentions`` by type, ``conversation`` is the thread or what begins one."""
        return {
            "id": self.id,
            "way": self.way,
            "text": storable_text(self.text)[:LONGEST_TEXT],
            "mentions": mentions.by_type(mentions.mentioned(self.text, patterns)),
            "thread": self.thread,
            "conversation": self.thread or self.id,
            "channel": self.channel,
            "author": self.author,
            "team": self.team,
            **more,
        }


def spoken(told: list[Inbound]) -> str:
    """Return the sentence that answers a person: what of the message was understood, in our words alone."""
    named = [key for inbound in told for keys in inbound.payload["mentions"].values() for key in keys]
    if not named:
        return "Noted. It names no number that is known here, so a person will read it."
    return f"Noted: {', '.join(named)}."


def listed(text: str) -> frozenset[str]:
    """Read the ids of a setting, separated by spaces or commas."""
    return frozenset(part for part in _IDS.split(text) if part)


def known(value: Any, most: int = LONGEST_ID) -> str:
    """Return an id of a chat as a text that can be kept; anything else than a text is none."""
    return storable_text(value)[:most] if isinstance(value, str) else ""


def one_line(text: str) -> str:
    """Return a text without its line breaks."""
    return " ".join(text.split())


def fitted(text: str, most: int, written: Callable[[str], str] = str) -> str:
    """Return as much of ``text`` as its written form leaves room for in ``most`` letters, with … where it is cut."""
    whole = written(text)
    if len(whole) <= most:
        return whole
    # Cut before it is written: an escape that is cut in two would show its pieces.
    low, high = 0, min(len(text), most)
    while low < high:
        middle = (low + high + 1) // 2
        if len(written(text[:middle])) < most:
            low = middle
        else:
            high = middle - 1
    return written(text[:low]) + "…"
