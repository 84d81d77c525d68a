"""Free queries: what every language shares. Words, a grammar of conditions, and the watermark as a value."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from connectors.base import Connector
from connectors.freely import FreeQuery

WATERMARK = "{watermark}"
# Before any watermark: older than every record.
BEGINNING = "1900-01-01T00:00:00Z"
MOST_WORDS = 400
DEEPEST = 12
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)\Z")
DAY = re.compile(r"\d{4}-\d\d-\d\d\Z")
NUMBER = re.compile(r"-?\d{1,19}(?:\.\d{1,9})?\Z")


class BadQuery(ValueError):
    """A question that is not of the grammar; the message says what to write instead."""


@dataclass(frozen=True)
class Word:
    """One word of a question and what sort of word it is."""

    sort: str
    text: str


def words_of(text: str, pattern: re.Pattern[str]) -> list[Word]:
    """Cut a question into words. Raises ``BadQuery`` at the first letter that belongs to none."""
    found: list[Word] = []
    text, at = text.strip(), 0
    while at < len(text):
        match = pattern.match(text, at)
        if match is None or match.lastgroup is None:
            raise BadQuery(f"Cannot be read from here on: “{text[at : at + 30].strip()}”.")
        found.append(Word(match.lastgroup, match[match.lastgroup]))
        if len(found) > MOST_WORDS:
            raise BadQuery(f"More than {MOST_WORDS} words; ask for less at once.")
        at = match.end()
    return found


class Conditions(ABC):
    """Reads ``or`` over ``and`` over ``not`` over comparisons, from left to right."""

    def __init__(self, words: list[Word]) -> None:
        self.words = words
        self.at = 0

    @abstractmethod
    def comparison(self) -> None:
        """Read one comparison. Raises ``BadQuery``."""

    def peek(self, *texts: str) -> bool:
        """Tell whether the next word is one of ``texts``, in any case; never a text in quotes."""
        return self.at < len(self.words) and self.words[self.at].text.upper() in texts

    def take(self, *texts: str) -> bool:
        """Step over the next word if it is one of ``texts``."""
        found = self.peek(*texts)
        self.at += found
        return found

    def next(self, *sorts: str) -> Word:
        """Step over the next word and return it. Raises ``BadQuery`` where it is of no such sort."""
        if self.at >= len(self.words):
            raise BadQuery("It ends too early.")
        word = self.words[self.at]
        if word.sort not in sorts:
            raise BadQuery(f"“{word.text[:60]}” cannot stand {self._where()}.")
        self.at += 1
        return word

    def need(self, text: str) -> None:
        """Step over a word that must stand here."""
        if not self.take(text):
            raise BadQuery(f"{text} is missing {self._where()}.")

    def end(self) -> None:
        """Hold that nothing is left."""
        if self.at < len(self.words):
            raise BadQuery(f"“{self.words[self.at].text[:60]}” cannot stand {self._where()}.")

    def _where(self) -> str:
        before = " ".join(word.text for word in self.words[max(0, self.at - 3) : self.at])
        return f"after “{before[-80:]}”" if before else "at the beginning"

    def conditions(self, depth: int = 0) -> None:
        """Read conditions joined by ``and`` and ``or``."""
        if depth > DEEPEST:
            raise BadQuery(f"Parentheses are nested more than {DEEPEST} deep.")
        self._one(depth)
        joined = set[str]()
        while self.peek("AND", "OR"):
            joined.add(self.words[self.at].text.upper())
            self.joined(joined)
            self.at += 1
            self._one(depth)

    def joined(self, ways: set[str]) -> None:
        """Hold the words that join conditions of one level against the language. Raises ``BadQuery``."""
        del ways  # most languages mix them

    def _one(self, depth: int) -> None:
        while self.take("NOT"):
            pass
        if self.take("("):
            self.conditions(depth + 1)
            self.need(")")
            return
        self.comparison()


def rendered(words: Iterable[Word], filled: Callable[[Word], str]) -> str:
    """Write words down again; ``filled`` writes those that hold a watermark."""
    return " ".join(filled(word) if WATERMARK in word.text else word.text for word in words)


def marked(words: Iterable[Word]) -> bool:
    """Tell whether a watermark stands in a question."""
    return any(WATERMARK in word.text for word in words)


def listed(text: str) -> frozenset[str]:
    """Read a connection's list of entities, separated by commas or spaces."""
    return frozenset(one for one in re.split(r"[,\s]+", text) if one)


def strange(kind: type[Connector], settings: Any, query: FreeQuery) -> list[str]:
    """Return the entities that a query reads and the connection does not let it read."""
    allowed = {name.casefold() for name in kind.queryable(settings)}
    return sorted(name for name in query.entities() if name.casefold() not in allowed)
