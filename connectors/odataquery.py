"""What free questions in OData share, whichever system they go to: its small words, columns and orders."""

import re

from connectors.queries import BadQuery, Word

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
