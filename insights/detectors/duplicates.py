"""Two invoices for the same money: the same party and amount, near dates, and references that say the same.

The reference decides. It is compared as people confuse it: case, punctuation, leading zeros, letters for digits, a
copy's mark, two digits swapped. Consecutive numbers differ in one digit, so one other digit is never enough.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from insights.detectors.definitions import DuplicateRule
from insights.detectors.findings import Finding, as_moment

_PIECES = re.compile(r"[A-Z]+|\d+")
# Marks that a second copy of the same invoice carries.
_COPY = frozenset({"COPY", "DUP", "DUPLICATE", "KOPIE", "REPRINT", "RESENT"})
# Words that stand before a number and say nothing.
_NOISE = frozenset({"INV", "INVOICE", "NO", "NR", "NUM", "NUMBER", "RE", "RG", "RECHNUNG", "RN", "BILL"})
_LOOKALIKE = str.maketrans({"O": "0", "I": "1", "L": "1", "S": "5", "B": "8", "Z": "2"})
# Between two digits a letter is mostly a digit that somebody misread; anywhere else it may be meant.
_MISREAD = re.compile(r"(?<=\d)[OILSBZ](?=\d)")
LEAST_DIGITS = 4
MOST_IN_A_GROUP = 400


@dataclass(frozen=True)
class Invoice:
    """One invoice as it is compared."""

    key: str
    party: str
    amount: Decimal
    at: datetime
    known: datetime  # when it could first be compared
    reference: str
    currency: str = ""
    apart: tuple[str, ...] = ()
    case_no: int | None = None


@dataclass(frozen=True)
class Match:
    """How sure two invoices are the same, and field by field why."""

    score: float
    reasons: dict[str, str]


def normal_party(text: str) -> str:
    """Return a party's name or number as it is compared."""
    folded = unicodedata.normalize("NFKC", text).upper()
    pieces = re.findall(r"\w+", folded)
    return " ".join(piece.lstrip("0") or "0" for piece in pieces)


def pieces(reference: str) -> tuple[str, ...]:
    """Return a reference's runs of letters and digits, without leading zeros, copy marks and words that say nothing."""
    text = unicodedata.normalize("NFKC", reference).upper()
    return tuple(piece.lstrip("0") or "0" if piece.isdigit() else piece for piece in _raw(text))


def _raw(text: str) -> list[str]:
    found = _PIECES.findall(_MISREAD.sub(lambda one: one[0].translate(_LOOKALIKE), text.upper()))
    return [piece for piece in found if piece not in _COPY and piece not in _NOISE]


def _closed_up(one: str, other: str) -> bool:
    """Tell whether one is the other without its separators: of two that have some, 1-12 and 11-2 must stay apart."""
    first, second = _raw(one), _raw(other)
    numbers = min(sum(piece.isdigit() for piece in part) for part in (first, second))
    return numbers == 1 and "".join(first) == "".join(second)


def swapped(one: str, other: str) -> bool:
    """Tell whether two neighbouring digits changed places, and nothing else."""
    if len(one) != len(other) or len(one) < LEAST_DIGITS:
        return False
    differ = [at for at in range(len(one)) if one[at] != other[at]]
    return (
        len(differ) == 2
        and differ[1] == differ[0] + 1
        and one[differ[0]] == other[differ[1]]
        and one[differ[1]] == other[differ[0]]
    )


def same_reference(one: str, other: str) -> tuple[float, str]:
    """Return how sure two references name one invoice, and why."""
    if not one.strip() or not other.strip():
        return 0.0, "a reference is missing"
    if one.strip() == other.strip():
        return 1.0, "the same reference"
    first, second = pieces(one), pieces(other)
    if not first or not second:
        return 0.0, "the references cannot be compared"
    if first == second or _closed_up(one, other):
        return 0.97, "the same but for case, punctuation, leading zeros or misread letters"
    if len(first) == len(second) and _one_swap(first, second):
        return 0.88, "two neighbouring digits changed places"
    digits = [tuple(piece for piece in part if piece.isdigit()) for part in (first, second)]
    bare = (first == digits[0]) != (second == digits[1])
    if bare and digits[0] == digits[1] and sum(map(len, digits[0])) >= LEAST_DIGITS:
        return 0.85, "the same number, with letters on one of them only"
    return 0.0, "different references"


def _one_swap(first: Sequence[str], second: Sequence[str]) -> bool:
    differ = [(a, b) for a, b in zip(first, second, strict=True) if a != b]
    return len(differ) == 1 and differ[0][0].isdigit() and swapped(*differ[0])


def compare(one: Invoice, other: Invoice, days: float) -> Match:
    """Return how sure two invoices of one party and amount ask for the same money twice."""
    gap = abs((one.at - other.at).total_seconds()) / 86400
    if gap > days:
        return Match(0.0, {"date": f"{gap:.0f} days apart, too far"})
    if one.currency and other.currency and one.currency != other.currency:
        return Match(0.0, {"currency": f"{one.currency} / {other.currency}, different"})
    told = [(a, b) for a, b in zip(one.apart, other.apart, strict=True) if a and b and a != b]
    if told:
        return Match(0.0, {"apart": f"{told[0][0]} / {told[0][1]}: two deliveries"})
    score, why = same_reference(one.reference, other.reference)
    reasons = {
        "party": f"{one.party}, the same",
        "amount": f"{one.amount}, the same to the cent",
        "date": f"{gap:.0f} days apart",
        "reference": f"{one.reference} / {other.reference}: {why}",
    }
    # Even the same reference is a little less sure the further apart the two are.
    return Match(round(score * (1 - 0.05 * gap / days), 4), reasons)


def pairs(invoices: Iterable[Invoice], rule: DuplicateRule) -> list[tuple[Invoice, Invoice, Match]]:
    """Return each invoice that repeats one known before it, with the surest of those, which stands first."""
    groups: dict[tuple[str, Decimal], list[Invoice]] = defaultdict(list)
    for invoice in invoices:
        groups[normal_party(invoice.party), invoice.amount].append(invoice)
    found = []
    for group in groups.values():
        group.sort(key=lambda one: (one.known, one.key))
        for place, later in enumerate(group):
            # Looks back at a bounded number: a party with thousands of equal amounts bills a subscription.
            earlier = group[max(0, place - MOST_IN_A_GROUP) : place]
            told = [(one, compare(one, later, rule.days)) for one in earlier]
            best = max(told, key=lambda pair: pair[1].score, default=None)
            if best is not None and best[1].score >= rule.score:
                found.append((best[0], later, best[1]))
    return sorted(found, key=lambda pair: (pair[1].known, pair[1].key))


def invoice_of(
    rule: DuplicateRule, key: str, values: dict[str, Any], at: datetime, case_no: int | None
) -> Invoice | None:
    """Read an invoice from attributes or a row; ``None`` where party or amount is missing."""
    fields = rule.fields
    amount = cents(values.get(fields.amount))
    party = str(values.get(fields.party) or "").strip()
    if amount is None or not party or amount == 0:
        return None
    when = as_moment(values.get(fields.date)) if fields.date else None
    return Invoice(
        key=key, party=party, amount=amount, at=when or at, known=at, reference=_text(values.get(fields.reference)),
        currency=_text(values.get(fields.currency)) if fields.currency else "",
        apart=tuple(_text(values.get(name)) for name in fields.apart), case_no=case_no,
    )  # fmt: skip


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value).strip()


def cents(value: Any) -> Decimal | None:
    """Return an amount to the cent; ``None`` for what is no amount."""
    try:
        amount = Decimal(repr(value) if isinstance(value, float) else str(value))
        return amount.quantize(Decimal("0.01"), ROUND_HALF_UP) if amount.is_finite() else None
    except (InvalidOperation, ValueError):
        return None


def finding(earlier: Invoice, later: Invoice, match: Match) -> Finding:
    """Return a pair as a finding about the later invoice."""
    return Finding(
        key=f"duplicate:{later.key}"[:300],
        at=later.known,
        entity=later.key,
        text=f"{later.reference or later.key} repeats {earlier.reference or earlier.key}: {match.reasons['reference']};"
        f" {later.party}, {later.amount}, {match.reasons['date']}.",
        score=match.score,
        case_no=later.case_no,
        others=() if earlier.case_no is None else (earlier.case_no,),
        facts={"score": match.score, "repeats": earlier.key, "because": match.reasons, "amount": str(later.amount)},
    )
