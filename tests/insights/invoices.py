"""A labelled set of invoices: originals, copies as people make them, and pairs that only look like copies."""

import random
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from insights.detectors.duplicates import Invoice
from tests.insights.factories import START

SEED = 20260105


@dataclass
class Labelled:
    """All invoices, the keys of those that are copies, and by its key what kind of pair each second one is."""

    invoices: list[Invoice]
    copies: set[str]
    kinds: dict[str, str]


def transposed(text: str, dice: random.Random) -> str:
    """Swap two neighbouring digits that differ."""
    places = [at for at in range(len(text) - 1) if text[at : at + 2].isdigit() and text[at] != text[at + 1]]
    at = dice.choice(places[1:] or places)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def misread(text: str, dice: random.Random) -> str:
    """Write a letter for a digit that looks like it, between two digits."""
    pairs = {"0": "O", "1": "I", "5": "S", "8": "B"}
    places = [at for at in range(1, len(text) - 1) if text[at] in pairs and text[at - 1 : at + 2].isdigit()]
    if not places:
        return text.lower()
    at = dice.choice(places)
    return text[:at] + pairs[text[at]] + text[at + 1 :]


COPIES = {
    "same": lambda text, dice: text,
    "case": lambda text, dice: text.lower(),
    "spaces": lambda text, dice: text.replace("-", " ").replace("/", " "),
    "closed up": lambda text, dice: text.replace("-", "", 1) if text.count("-") == 1 else text.replace("-", "."),
    "leading zeros": lambda text, dice: text.replace("-", "-000", 1),
    "copy mark": lambda text, dice: f"{text} COPY",
    "no prefix": lambda text, dice: text.removeprefix("INV-").removeprefix("RE-"),
    "misread": misread,
    "transposed": transposed,
    "another digit": lambda text, dice: text[:-1] + str((int(text[-1]) + dice.randint(2, 8)) % 10),
    "retyped": lambda text, dice: f" {text.replace('-', '_')} ",
}


def labelled(size: int = 1200, seed: int = SEED) -> Labelled:
    """Make ``size`` originals, and for each of most a second invoice: a copy or a hard negative."""
    dice = random.Random(seed)
    found = Labelled([], set(), {})
    number = 100_000
    for index in range(size):
        number += dice.randint(3, 700)
        style = dice.choice(["INV-{}", "RE-{}", "INV-2026-{}", "{}", "F{}"])
        first = Invoice(
            key=f"o{index}", party=f"V-{dice.randint(1, 90):05d}", amount=Decimal(dice.randint(500, 900_000)) / 100,
            at=START + timedelta(days=dice.uniform(0, 200)), known=START, reference=style.format(number),
            apart=(f"DN{index}",),
        )  # fmt: skip
        first = replace(first, known=first.at)
        found.invoices.append(first)
        roll = dice.random()
        if roll < 0.35:
            _copy(found, first, dice)
        elif roll < 0.85:
            _hard_negative(found, first, number, style, dice)
    return found


def _copy(found: Labelled, first: Invoice, dice: random.Random) -> None:
    # One digit mistyped looks like another invoice: nobody can tell, and it is not told. It costs recall.
    kinds = sorted(COPIES)
    kind = dice.choices(kinds, [0.5 if one == "another digit" else 1 for one in kinds])[0]
    at = first.at + timedelta(days=dice.uniform(0, 25))
    party = dice.choice([first.party, first.party.lower(), first.party.replace("-0", "-")])
    copy = replace(
        first, key=f"c{first.key}", at=at, known=at, party=party, reference=COPIES[kind](first.reference, dice)
    )
    found.invoices.append(copy)
    found.copies.add(copy.key)
    found.kinds[copy.key] = kind


def _hard_negative(found: Labelled, first: Invoice, number: int, style: str, dice: random.Random) -> None:
    at = first.at + timedelta(days=dice.uniform(0, 31))
    other = replace(first, key=f"n{first.key}", at=at, known=at, apart=(f"{first.apart[0]}-2",))
    kinds = ["consecutive", "subscription", "other party", "other amount", "delivery", "partial", "far away"]
    # Rare in earnest and beyond telling: an invoice of its own whose number has two digits swapped. It costs precision.
    kind = "swapped" if dice.random() < 0.01 else dice.choice(kinds)
    choices: dict[str, dict[str, Any]] = {
        "consecutive": {"reference": style.format(number + 1)},
        "subscription": {"reference": style.format(number + dice.randint(2, 60))},
        "other party": {"party": f"V-{dice.randint(100, 180):05d}", "apart": first.apart},
        "other amount": {"amount": first.amount + Decimal("0.01"), "apart": first.apart},
        # Two deliveries of one order under one reference: their delivery notes differ.
        "delivery": {},
        "swapped": {"reference": transposed(first.reference, dice), "apart": first.apart},
        "partial": {"reference": f"{first.reference}-2"},
        "far away": {"at": first.at + timedelta(days=80), "known": first.at + timedelta(days=80), "apart": first.apart},
    }
    found.invoices.append(replace(other, **choices[kind]))
    found.kinds[other.key] = kind
