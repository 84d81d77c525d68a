"""XML in and out: bounded and without entities on the way in, escaped on the way out."""

import re
from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

MOST_ELEMENTS = 20_000
DEEPEST = 30
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,60}\Z")


class BadXml(ValueError):
    """The text is no XML that can be relied on; the message says why."""


def parsed(body: bytes) -> Element:
    """Read XML. Raises ``BadXml`` for broken text, any DTD, too many elements or too deep ones."""
    try:
        root: Element = fromstring(body, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        raise BadXml("this is no XML, or it has a DTD") from None
    left, level = MOST_ELEMENTS, [root]
    for _ in range(DEEPEST):
        left -= len(level)
        if left < 0:
            raise BadXml(f"it has more than {MOST_ELEMENTS} elements")
        level = [child for element in level for child in element]
        if not level:
            return root
    raise BadXml(f"it is nested more than {DEEPEST} deep")


def local(element: Element) -> str:
    """Return an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def value_of(element: Element) -> Any:
    """Return a structure as an object, a table (all its rows are ``item``) as a list, anything else as text."""
    children = list(element)
    if not children:
        return clean((element.text or "").strip())
    if all(local(child) == "item" for child in children):
        return [value_of(child) for child in children]
    return {local(child): value_of(child) for child in children}


def clean(text: str) -> str:
    """Return a text as databases store it."""
    return text.replace("\x00", "\ufffd")


def written(name: str, value: Any) -> str:
    """Write a value as an element: an object as a structure, a list as a table. Raises ``BadXml``."""
    if not _NAME.match(name):
        raise BadXml(f"“{name[:40]}” is no name of a parameter")
    if isinstance(value, Mapping):
        return f"<{name}>{''.join(written(part, inner) for part, inner in value.items())}</{name}>"
    if isinstance(value, list | tuple):
        return f"<{name}>{''.join(written('item', row) for row in value)}</{name}>"
    text = str(value)
    if _UNWRITABLE.search(text):
        raise BadXml(f"{name} holds a letter that XML cannot carry")
    return f"<{name}>{escape(text)}</{name}>"
