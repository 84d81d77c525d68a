"""XML in and out: bounded and without entities on the way in, escaped on the way out."""

import re
from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from connectors.wire.xmltext import BadXml, clean, local, parsed

__all__ = ["BadXml", "clean", "local", "parsed", "value_of", "written"]
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,60}\Z")


def value_of(element: Element) -> Any:
    """Return a structure as an object, a table (all its rows are ``item``) as a list, anything else as text."""
    children = list(element)
    if not children:
        return clean((element.text or "").strip())
    if all(local(child) == "item" for child in children):
        return [value_of(child) for child in children]
    return {local(child): value_of(child) for child in children}


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
