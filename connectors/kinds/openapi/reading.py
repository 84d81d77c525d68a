"""Text into plain data: JSON or YAML, bounded before it costs anything, with each name given once."""

from collections.abc import Iterator
from typing import Any

import yaml

from audit import plainjson
from audit.plainjson import Fault

# GitHub's own document has 13 MB; nothing real is larger.
MOST_BYTES = 16_000_000
MOST_VALUES = 1_000_000
# YAML is read event by event, which takes some ten times as long as JSON.
MOST_YAML_BYTES = 4_000_000
MOST_YAML_VALUES = 60_000
MOST_ALIASES = 500
DEEPEST = 64
LIMITS = plainjson.Limits(depth=DEEPEST, digits=40, values=MOST_VALUES)
_ADVICE = {
    Fault.SIZE: "; leave out what is not needed",
    Fault.TWICE: "; keep one of them",
    Fault.DEPTH: "; use references ($ref) instead",
}
_PARSER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_SAFE: Any = yaml.SafeLoader("")
_PLAIN = frozenset(f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float"))
# The stubs of PyYAML leave out most of what its events carry.
Event = Any


class Unusable(ValueError):
    """A document, or a part of it, cannot be used; the text says why and what to do."""


def read(text: str) -> Any:
    """Return what a JSON or YAML text says. Raises ``Unusable`` for what is broken, too large or too deep."""
    if len(text) > MOST_BYTES or len(text.encode(errors="surrogatepass")) > MOST_BYTES:
        raise Unusable(f"The text has more than {MOST_BYTES:,} bytes: leave out what is not needed.")
    if "\x00" in text:
        raise Unusable("The text holds a NUL character: save it as UTF-8 without it.")
    if text.lstrip("\ufeff \t\r\n").startswith(("{", "[")):
        return _json(text.lstrip("\ufeff"))
    return _yaml(text.lstrip("\ufeff"))


def _json(text: str) -> Any:
    try:
        return plainjson.read(text, LIMITS)
    except plainjson.Unreadable as bad:
        raise Unusable(f"The text cannot be read: {bad}{_ADVICE.get(bad.fault, '')}.") from None


def _deep() -> Unusable:
    return Unusable(f"Values are nested more than {DEEPEST} deep: use references ($ref) instead.")


def _yaml(text: str) -> Any:
    if len(text) > MOST_YAML_BYTES:
        raise Unusable(
            f"The YAML text has more than {MOST_YAML_BYTES:,} letters: save it as JSON, which may be larger."
        )
    builder = _Builder(yaml.parse(text, Loader=_PARSER))
    try:
        return builder.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise Unusable(f"This is neither JSON nor YAML: {error.problem or error.context}{where}.") from None
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, Unusable):
            raise
        raise Unusable(f"This is neither JSON nor YAML: {str(error)[:200]}.") from None


class _Builder:
    """Turns the parser's events into data, counting as it goes; an alias counts as all that it stands for."""

    def __init__(self, events: Iterator[Event]) -> None:
        self.events = events
        self.values = 0
        self.aliases = 0
        self.anchors: dict[str, tuple[Any, int]] = {}

    def document(self) -> Any:
        """Return the one document of the text."""
        found: Any = None
        count = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                count += 1
                if count > 1:
                    raise Unusable("The text holds several YAML documents: paste one alone.")
                found = self.node(next(self.events), 1)
        if not count:
            raise Unusable("The text is empty: paste the whole document.")
        return found

    def node(self, event: Event, depth: int) -> Any:
        """Return the value that begins with ``event``."""
        if depth > DEEPEST:
            raise _deep()
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        if event.tag and not isinstance(event, yaml.ScalarEvent):
            raise Unusable(f"Line {event.start_mark.line + 1}: the tag {event.tag[:60]} is not taken.")
        began = self.values
        self.count(1)
        if isinstance(event, yaml.MappingStartEvent):
            value: Any = self.mapping(depth)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = [self.node(part, depth + 1) for part in self.until(yaml.SequenceEndEvent)]
        else:
            value = self.scalar(event)
        if event.anchor:
            self.anchors[event.anchor] = (value, self.values - began)
        return value

    def until(self, end: type[Any]) -> Iterator[Event]:
        """Yield events until the collection ends; who takes one reads all that belongs to it."""
        for event in self.events:
            if isinstance(event, end):
                return
            yield event

    def mapping(self, depth: int) -> dict[str, Any]:
        """Return a mapping. Raises ``Unusable`` for a name that is no word, or stands twice."""
        found: dict[str, Any] = {}
        for event in self.until(yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            if not isinstance(event, yaml.ScalarEvent):
                raise Unusable(f"Line {line}: a name is a plain word.")
            # Of a name only the letters count: the response code 200 and the name "200" are one.
            name = str(event.value)
            if name in found or name == "<<":
                raise Unusable(f"Line {line}: “{name[:80]}” stands twice, or merges another.")
            found[name] = self.node(next(self.events), depth + 1)
        return found

    def alias(self, event: Event) -> Any:
        """Return what an alias stands for. One inside its own anchor is not known yet, so it is refused."""
        self.aliases += 1
        if event.anchor not in self.anchors or self.aliases > MOST_ALIASES:
            line = event.start_mark.line + 1
            raise Unusable(f"Line {line}: the alias *{event.anchor[:60]} cannot be used; write it out, or use $ref.")
        value, size = self.anchors[event.anchor]
        self.count(size)
        return value

    def count(self, more: int) -> None:
        """Add to the values that were read. Raises ``Unusable`` where they are too many."""
        self.values += more
        if self.values > MOST_YAML_VALUES:
            raise Unusable(f"The YAML text has more than {MOST_YAML_VALUES:,} values: save it as JSON, or cut it down.")

    def scalar(self, event: Event) -> Any:
        """Return a word, a number or a text; dates stay texts."""
        text = str(event.value)
        if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            raise Unusable(f"Line {event.start_mark.line + 1}: the tag {event.tag[:60]} is not taken.")
        if not event.implicit[0] or len(text) > 40:
            return text
        tag = _SAFE.resolve(yaml.ScalarNode, text, (True, False))
        if tag not in _PLAIN:
            return text
        if tag.endswith("bool") and text.lower() not in ("true", "false"):
            return text  # YAML 1.2: no, off and their kin are words.
        return _SAFE.construct_object(yaml.ScalarNode(tag, text))
