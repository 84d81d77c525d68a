"""What kinds of connected systems know of tickets: which records are some, what is written on them, how they are told.

What people write on a ticket is text from outside. What we write ends with a mark, so that it is found again where
the answer to it was lost, and never comes back as somebody's word.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.talk.chats import fitted, one_line
from connectors.talk.messages import Message

MARK = "\n\n[goldseam {key}]"
_MARKED = re.compile(r"(?:\A|\n)\[goldseam [\x21-\x7e]{1,64}\]\s*\Z")


@dataclass(frozen=True)
class Ticket:
    """A ticket as an event told of it: its id, and the columns that the event brought."""

    key: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    closed: bool | None = None  # None: the event does not say


@dataclass(frozen=True)
class Said:
    """What somebody wrote on a ticket."""

    ticket: str
    text: str
    author: str = ""


@dataclass(frozen=True)
class Tickets:
    """How one kind of system keeps tickets. All of it reads complete payloads and asks nothing.

    ``entity`` is the system's name of the kind of record, ``tells`` the operation that writes on one, ``key`` brings
    an id into the one form that is compared ("" where it is none). ``ticket`` and ``said`` say what an event tells
    under the connection's settings; ``None``: it tells of no ticket, or of nothing that was written.
    """

    entity: str
    tells: str
    key: Callable[[Any], str]
    ticket: Callable[[str, Mapping[str, Any], Mapping[str, Any]], Ticket | None]
    said: Callable[[str, Mapping[str, Any]], Said | None]


def is_ours(text: str) -> bool:
    """Tell whether a text ends with our mark: then we wrote it. A mark that somebody quotes does not begin its line."""
    return bool(_MARKED.search(text))


def written(message: Message, key: str, most: int) -> str:
    """Return a message as plain text with the mark of ``key``, of at most ``most`` letters; the mark is never cut."""
    mark = MARK.format(key=key)
    facts = "\n".join(f"{one_line(name)}: {one_line(value)}" for name, value in message.facts)
    parts = (one_line(message.title) or message.subject, message.text, facts, message.link)
    # Less one for the sign that something was cut off.
    return fitted("\n\n".join(filter(None, parts)), most - len(mark) - 1) + mark
