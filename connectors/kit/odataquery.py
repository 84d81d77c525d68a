"""What free questions in OData share, whichever system they go to: its small words, columns and orders."""

import re
from collections.abc import Callable
from typing import ClassVar

from pydantic import Field, field_validator

from connectors.freely import FreeQuery
from connectors.kit.queries import BadQuery, Conditions, Word, marked, rendered, words_of

JOINS = frozenset({"and", "or", "not"})
COMPARE = ("EQ", "NE", "GT", "GE", "LT", "LE")
NAME = re.compile(r"[A-Za-z_]\w{0,127}\Z", re.ASCII)
MOST_COLUMNS = 100
MOST_ORDERS = 5


def in_small_letters(word: Word) -> Word:
    """Return the word as OData writes it: joining words stand in small letters there; nobody is corrected for that."""
    low = word.text.lower()
    return Word(word.sort, low) if word.sort == "word" and (low in JOINS or low.upper() in COMPARE) else word


def columns_of(text: str) -> tuple[str, ...]:
    """Return the named columns. Raises ``BadQuery``."""
    names = tuple(one.strip() for one in text.split(",")) if text.strip() else ()
    for name in names:
        if not NAME.match(name):
            raise BadQuery(f"“{name[:60]}” is no column. Write columns separated by commas.")
    if len(names) > MOST_COLUMNS:
        raise BadQuery(f"More than {MOST_COLUMNS} columns.")
    return names


def orders_of(text: str) -> tuple[tuple[str, bool], ...]:
    """Return the columns of an order, and whether each goes downwards. Raises ``BadQuery``."""
    found = []
    for part in text.split(",") if text.strip() else ():
        name, _, way = part.strip().partition(" ")
        if not NAME.match(name) or way.strip() not in ("", "asc", "desc"):
            raise BadQuery(f"“{part.strip()[:60]}” is no order. Write a column, then asc or desc.")
        found.append((name, way.strip() == "desc"))
    if len(found) > MOST_ORDERS:
        raise BadQuery(f"More than {MOST_ORDERS} columns to order by.")
    return tuple(found)


class Comparisons(Conditions):
    """Each compares a field with a value; a system's grammar says what a value is, and what to write instead."""

    values: ClassVar[tuple[str, ...]]  # the sorts of words that are values
    no_functions: ClassVar[str]
    spelling: ClassVar[str]  # how texts and times are written

    def comparison(self) -> None:
        """Read a field, a word that compares, and a value."""
        name = self.next("word")
        if name.text.lower() in JOINS or self.peek("("):
            raise BadQuery(f"“{name.text}” is no field. {self.no_functions}")
        verb = self.next("word")
        if verb.text.upper() not in COMPARE:
            raise BadQuery(f"“{verb.text}” does not compare. Write eq, ne, gt, ge, lt or le after {name.text}.")
        value = self.next(*self.values, "word")
        if value.sort == "word" and value.text not in ("true", "false", "null"):
            raise BadQuery(f"“{value.text[:60]}” is no value. {self.spelling}")


class ODataFreeQuery(FreeQuery):
    """Records of one entity that fit an OData filter, with the columns and the order that are asked for."""

    words: ClassVar[re.Pattern[str]]  # of a filter in this system's grammar
    grammar: ClassVar[type[Comparisons]]

    entity: str
    filter: str = Field(default="", max_length=4000)
    select: str = Field(default="", max_length=4000, description="Columns separated by commas; blank: all.")
    orderby: str = Field(default="", max_length=500)

    @field_validator("filter")
    @classmethod
    def _is_a_filter(cls, text: str) -> str:
        cls._words_of(text)
        return text

    @field_validator("select")
    @classmethod
    def _are_columns(cls, text: str) -> str:
        columns_of(text)
        return text

    @field_validator("orderby")
    @classmethod
    def _is_an_order(cls, text: str) -> str:
        orders_of(text)
        return text

    @classmethod
    def _words_of(cls, text: str) -> list[Word]:
        found = [in_small_letters(word) for word in words_of(text, cls.words)]
        if found:
            reader = cls.grammar(found)
            reader.conditions()
            reader.end()
        return found

    def key(self) -> tuple[str, ...]:
        """Return the columns of the entity's key, as far as they are known."""
        raise NotImplementedError

    def entities(self) -> frozenset[str]:
        """Return the one entity: a filter has no way to another."""
        return frozenset({self.entity})

    def columns(self) -> tuple[str, ...]:
        """Return the chosen columns with those of the key, which are always read; none where all are."""
        chosen = columns_of(self.select)
        return tuple(dict.fromkeys((*chosen, *self.key()))) if chosen else ()

    def order(self) -> str:
        """Return the first column of the order, if it rises."""
        orders = orders_of(self.orderby)
        return orders[0][0] if orders and not orders[0][1] else ""

    def marked(self) -> bool:
        """Tell whether the filter holds the watermark."""
        return marked(self._words_of(self.filter))

    def asked(self, filled: Callable[[Word], str]) -> dict[str, str]:
        """Return filter, columns and order to send, written anew from what was understood."""
        orders = ",".join(f"{name} {'desc' if down else 'asc'}" for name, down in orders_of(self.orderby))
        found = {
            "$filter": rendered(self._words_of(self.filter), filled),
            "$select": ",".join(self.columns()),
            "$orderby": orders,
        }
        return {name: value for name, value in found.items() if value}
