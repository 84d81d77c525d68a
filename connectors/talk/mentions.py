"""Which business records a text speaks of: found by the shapes that their numbers have, and by nothing else.

A shape is no regular expression. ``SO-######`` means what it shows: ``#`` is a digit, ``@`` a letter, ``#+`` and
``@+`` one or more of them, everything else is itself. Shapes leave nothing to try twice, so that no text, however
hostile, takes longer than its length. A number that goes on (``SO-0006971``, ``SO-000697-2``) is another number and
no mention.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, Field, StringConstraints

LONGEST_TEXT = 20_000  # letters that are looked at; what a person names stands before
MOST_SHAPES = 20
MOST_MENTIONS = 20
_LONGEST_SHAPE = 40
_LONGEST_RUN = 20  # what #+ and @+ stand for at most
_LEAST = 4  # letters that a shape fits at least: a shorter one would fit everywhere
_TYPE = re.compile(r"[a-z][a-z0-9_]{0,59}")
_ATOM = re.compile(r"(?P<any>[#@])(?P<more>\+?)|(?P<itself>[A-Za-z0-9/_.:-])")
_CLASS = {"#": "[0-9]", "@": "[A-Za-z]"}
# Not within a word or a longer number: nothing of it may go on, not even behind a dash, a point or a comma.
_STARTS = r"(?<![^\W_])(?<![^\W_][-_])(?<![0-9][.,])"
_ENDS = r"(?![^\W_])(?![-_][^\W_])(?![.,][0-9])"


class Mention(NamedTuple):
    """One business record that a text names: the type that its shape was declared for, and its number."""

    entity_type: str
    key: str


class _Shape(NamedTuple):
    entity_type: str
    pattern: re.Pattern[str]
    parts: tuple[str, ...]  # how each group is spelled in the key; "" as it was found


def _checked(text: str) -> str:
    shapes(text)
    return text


Patterns = Annotated[str, StringConstraints(max_length=4000), AfterValidator(_checked)]


def patterns() -> Any:
    """Return the setting of a kind in whose texts people name business records; it is of the type ``Patterns``."""
    words = (
        "One a line: the type of the record and the shape of its number, such as “order: SO-######”. # is a digit, @ a"
        " letter, #+ and @+ one or more of them."
    )
    return Field(default="", title="Numbers in texts", description=words, json_schema_extra={"multiline": True})


def mentioned(text: str, patterns: str) -> list[Mention]:
    """Return the records that ``text`` names, as they come, each once, at most ``MOST_MENTIONS``.

    ``patterns`` is a setting of the type ``Patterns``. Letters are found in either case and given as the shape writes
    them, those that ``@`` stands for as capitals. Of two shapes that fit the same place the longer fit counts, of equal
    ones the shape that stands first. Raises ``ValueError`` where ``patterns`` is none.
    """
    seen = _as_seen(text[:LONGEST_TEXT])
    # Where the text is cut a number may be too: what reaches to the cut, or to a dash before it, may go on behind it.
    edge = len(seen) - (2 if len(text) > LONGEST_TEXT else 0)
    fits = [
        (fit.start(), fit.end(), Mention(shape.entity_type, _key(shape, fit)))
        for shape in shapes(patterns)
        for fit in shape.pattern.finditer(seen)
        if fit.end() <= edge
    ]
    found: dict[Mention, None] = {}
    end = 0
    # The sort is stable: of equals the shape that stands first stays first.
    for start, stop, mention in sorted(fits, key=lambda fit: (fit[0], -fit[1])):
        if start >= end:
            found.setdefault(mention)
            end = stop
    return list(found)[:MOST_MENTIONS]


def by_type(mentions: Iterable[Mention]) -> dict[str, list[str]]:
    """Return mentions as an event carries them: the numbers by the type of the record, for ``event.mentions``."""
    grouped: dict[str, list[str]] = {}
    for mention in mentions:
        grouped.setdefault(mention.entity_type, []).append(mention.key)
    return grouped


@lru_cache(maxsize=256)
def shapes(patterns: str) -> tuple[_Shape, ...]:
    """Read the lines of a setting. Raises ``ValueError``, which says what is wrong with which line."""
    lines = [line.strip() for line in patterns.splitlines() if line.strip()]
    if len(lines) > MOST_SHAPES:
        raise ValueError(f"at most {MOST_SHAPES} lines")
    return tuple(_shape(line) for line in lines)


def _shape(line: str) -> _Shape:
    name, colon, template = (part.strip() for part in line.partition(":"))
    if not colon or not _TYPE.fullmatch(name):
        raise ValueError(f"“{line[:60]}” is no pattern: write the type of a record, a colon and a shape")
    atoms = list(_ATOM.finditer(template))
    if len(template) > _LONGEST_SHAPE or "".join(atom[0] for atom in atoms) != template:
        raise ValueError(
            f"“{template[:60]}” is no shape: # for a digit, @ for a letter, + after them, letters, digits and -/_.:"
            f" as they are, at most {_LONGEST_SHAPE} signs"
        )
    if "#" not in template or len(atoms) < _LEAST:
        raise ValueError(f"“{template}” would fit too much: it needs a # and {_LEAST} signs at least")
    for atom, following in pairwise(atoms):
        if atom["more"] and _could_go_on(atom["any"], following):
            raise ValueError(f"“{template}” does not say where its {atom[0]} ends")
    # The ends of a number are letters or digits, so that what stands beside it can be told from it.
    if not all(atom["any"] or atom[0].isalnum() for atom in (atoms[0], atoms[-1])):
        raise ValueError(f"“{template}” must begin and end with a letter or digit")
    source = "".join(f"({_source(atom)})" for atom in atoms)
    return _Shape(name, re.compile(_STARTS + source + _ENDS), tuple(atom["itself"] or "" for atom in atoms))


def _source(atom: re.Match[str]) -> str:
    if not atom["any"]:
        letter = atom[0]
        return f"[{letter.upper()}{letter.lower()}]" if letter.isalpha() else re.escape(letter)
    # Possessive: what was taken is never given back, so that each place of a text is tried once.
    return _CLASS[atom["any"]] + (f"{{1,{_LONGEST_RUN}}}+" if atom["more"] else "")


def _could_go_on(run: str, following: re.Match[str]) -> bool:
    if following["any"]:
        return following["any"] == run
    return following[0].isdigit() if run == "#" else following[0].isalpha()


def _key(shape: _Shape, fit: re.Match[str]) -> str:
    return "".join(part or found.upper() for part, found in zip(shape.parts, fit.groups(), strict=True))


def _as_seen(text: str) -> str:
    """Return a text as people see it: one sort of dash, nothing invisible, wide letters as narrow ones."""
    return text if text.isascii() else "".join(map(_letter, text))


def _letter(letter: str) -> str:
    if "\uff01" <= letter <= "\uff5e":
        return chr(ord(letter) - 0xFEE0)
    category = unicodedata.category(letter)
    if category == "Cf":
        return ""
    return "-" if category == "Pd" else letter
