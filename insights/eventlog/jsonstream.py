"""A JSON document of any size, one element of its large lists at a time; the standard library would need all of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from insights.eventlog.shapes import ImportFailed

_CHUNK = 1 << 20
# One event or object is small; what is larger is made to fill memory.
_LARGEST = 32 << 20
_BLANK = " \t\r\n"


class _Text:
    """A window that moves over the text of a file."""

    def __init__(self, path: Path) -> None:
        self.file = path.open(encoding="utf-8-sig", errors="strict")
        self.text, self.at = "", 0
        self.decode = json.JSONDecoder().raw_decode

    def more(self) -> bool:
        """Read on, letting go of what lies behind."""
        chunk = self.file.read(_CHUNK)
        if len(self.text) - self.at > _LARGEST:
            raise ImportFailed("One element of the JSON is larger than 32 MB.")
        self.text, self.at = self.text[self.at :] + chunk, 0
        return bool(chunk)

    def peek(self) -> str:
        """Return the next character that is not blank, or nothing at the end."""
        while True:
            while self.at < len(self.text) and self.text[self.at] in _BLANK:
                self.at += 1
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def expect(self, *wanted: str) -> str:
        found = self.peek()
        if found not in wanted or not found:
            told = "The JSON is cut off." if not found else f"The JSON has {found!r} where {wanted[0]!r} belongs."
            raise ImportFailed(told)
        self.at += 1
        return found

    def value(self) -> Any:
        """Return the next value whole."""
        self.peek()
        while True:
            try:
                value, end = self.decode(self.text, self.at)
            except ValueError as error:
                if not self.more():
                    if self.at >= len(self.text):
                        raise ImportFailed("The JSON is cut off.") from error
                    raise ImportFailed(f"The JSON cannot be read: {str(error)[:100]}.") from error
                continue
            except RecursionError as error:
                raise ImportFailed("The JSON is nested too deep.") from error
            # A number at the very end of the window may go on.
            if end == len(self.text) and not isinstance(value, dict | list | str) and self.more():
                continue
            self.at = end
            return value


def parts(path: Path, large: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """Yield (key, value) of the top object; of the lists and objects named in ``large`` each element by itself.

    An element of a large object comes as (its key, its value). Raises ``ImportFailed``.
    """
    text = _Text(path)
    try:
        text.expect("{")
        if text.peek() == "}":
            return
        while True:
            key = _key(text)
            if key in large and text.peek() in "[{":
                yield from ((key, element) for element in _elements(text))
            else:
                yield key, text.value()
            if text.expect(",", "}") == "}":
                return
    except UnicodeDecodeError as error:
        raise ImportFailed("The JSON is not UTF-8.") from error
    finally:
        text.file.close()


def _key(text: _Text) -> str:
    if text.peek() != '"':
        text.expect('"')
    key = text.value()
    text.expect(":")
    return str(key)


def _elements(text: _Text) -> Iterator[Any]:
    end = "]" if text.expect("[", "{") == "[" else "}"
    if text.peek() == end:
        text.expect(end)
        return
    while True:
        yield text.value() if end == "]" else (_key(text), text.value())
        if text.expect(",", end) == end:
            return
