"""What is told to people and subscribers: one message, whatever carries it."""

from datetime import datetime
from typing import Any

from pydantic import Field, JsonValue

from connectors.base import Arguments


class Message(Arguments):
    """One message about one thing that happened. Each kind renders it in its own way; all text in it is data."""

    id: str = Field(max_length=64, description="For life: the same again is the same message.")
    type: str = Field(max_length=100, description="What happened, such as io.goldseam.incident.resolved.")
    source: str = Field(max_length=500, description="The console's own address; it is the CloudEvents source.")
    subject: str = Field(max_length=200, description="What it is about, such as incident/4711.")
    occurred_at: datetime
    title: str = Field(max_length=300)
    text: str = Field(default="", max_length=4000)
    facts: tuple[tuple[str, str], ...] = Field(default=(), max_length=12, description="Short lines: a name, a value.")
    link: str = Field(default="", max_length=500, description="The page that shows it, behind the console's sign-in.")
    link_label: str = Field(default="Open in Goldseam", max_length=60)
    thread: str = Field(default="", max_length=500, description="What the target gave when the thread was begun.")
    recipients: tuple[str, ...] = Field(default=(), max_length=50, description="Addresses, where the kind sends mail.")
    data: dict[str, JsonValue] = Field(default_factory=dict, description="The same for machines.")


# What a kind's answer to a message says in ``Written.result`` where it began or follows a thread.
THREAD = "thread"


def as_event(message: Message) -> dict[str, Any]:
    """Return a message as a CloudEvents 1.0 event in JSON."""
    return {
        "specversion": "1.0",
        "id": message.id,
        "source": message.source,
        "type": message.type,
        "subject": message.subject,
        "time": message.occurred_at.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": dict(message.data),
    }
