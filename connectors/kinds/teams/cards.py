"""Messages of Teams as Adaptive Cards 1.4: texts as plain runs, links that only open a page, within 28 KB.

Sources: Microsoft Teams developer documentation, "Create and send messages with incoming webhooks" (28 KB, only
``Action.OpenUrl``); Adaptive Cards schema 1.4 (a ``TextRun`` knows no Markdown, a ``TextBlock`` does).
"""

import json
from typing import Any

from connectors.talk import chats
from connectors.talk.messages import Message

LARGEST = 28_000  # bytes; below both readings of 28 KB
_TITLE, _NAME, _VALUE, _LABEL = 300, 60, 200, 60
_SHORTER = (4000, 2000, 1000, 400, 0)


def body_of(message: Message) -> bytes:
    """Return a message as the body of a post, its text shortened until it fits."""
    for longest in _SHORTER:
        body = json.dumps(_card(_pieces(message, longest), message), ensure_ascii=False).encode(errors="replace")
        if len(body) <= LARGEST:
            return body
    # Unreachable as long as what is not text is bounded: title, facts and links are.
    raise AssertionError("a card without text is too large")


def saying(text: str, link: str) -> dict[str, Any]:
    """Return a message of one sentence with a link to the console."""
    return _attached([_run(text)], [_open("Open in Goldseam", link)])


def _pieces(message: Message, longest: int) -> list[dict[str, Any]]:
    title = chats.fitted(chats.one_line(message.title) or message.subject, _TITLE)
    pieces = [_run(title, weight="Bolder", size="Medium")]
    if message.text and longest:
        # A run shows no line breaks: each line is one of its own.
        lines = [line for line in chats.fitted(message.text, longest).splitlines() if line.strip()]
        pieces += [_run(line) for line in lines[:40]]
    for name, value in message.facts:
        shown = chats.fitted(chats.one_line(value), _VALUE)
        label = {"type": "TextRun", "text": f"{chats.fitted(chats.one_line(name), _NAME)}: ", "weight": "Bolder"}
        pieces.append({"type": "RichTextBlock", "inlines": [label, {"type": "TextRun", "text": shown}]})
    return pieces


def _card(pieces: list[dict[str, Any]], message: Message) -> dict[str, Any]:
    linked = message.link.startswith(("https://", "http://"))
    label = chats.fitted(message.link_label, _LABEL)
    return _attached(pieces, [_open(label, message.link)] if linked else [])


def _attached(body: list[dict[str, Any]], actions: list[dict[str, Any]]) -> dict[str, Any]:
    content = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
        "actions": actions,
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
    return {"type": "message", "attachments": [attachment]}


def _open(title: str, link: str) -> dict[str, Any]:
    return {"type": "Action.OpenUrl", "title": title, "url": link}


def _run(text: str, **more: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **more}]}
