"""What a case is worth: one number attribute of the log, never added over several currencies."""

# ruff: noqa: S608 - the text is ours alone: columns, numbers and named queries; every value is a parameter

from dataclasses import dataclass

from insights.mining.asking import Scope, ask
from insights.mining.attributes import column, held
from insights.models import EventLog

NOTHING = "SELECT case_no, CAST(NULL AS DOUBLE) AS money FROM chosen"
# Words in a column's name that speak of money, the surest first.
_WORDS = ("amount", "revenue", "net worth", "value", "price", "total", "cost", "betrag", "wert")


@dataclass(frozen=True)
class Money:
    """Where a case's money stands. ``sql``: case_no and money of each case; ``note``: why there is none."""

    attribute: str = ""
    currency: str = ""
    sql: str = NOTHING
    note: str = ""

    @property
    def known(self) -> bool:
        """Tell whether there is any money to speak of."""
        return bool(self.attribute)


def money_of(log: EventLog, chosen: Scope, name: str = "") -> Money:
    """Return the money of the cases: the attribute ``name``, else the mapping's, else one whose name speaks of it.

    An event's attribute counts with its largest value in the case. Raises ``KeyError`` for no such number attribute.
    """
    found = name or _guessed(log)
    if not found:
        return Money(note="This log has no number attribute that is money; name one with money=.")
    where, level, kind = column(log, found)
    if kind != "number":
        raise KeyError(found)
    currency, several = _currency(log, chosen)
    if several:
        return Money(note="Its cases are in several currencies, and amounts of different currencies are not added.")
    if level == "case":
        return Money(found, currency, f"SELECT case_no, CAST({where} AS DOUBLE) AS money FROM chosen")
    return Money(
        found, currency, f"SELECT case_no, CAST(max({where}) AS DOUBLE) AS money FROM happened GROUP BY case_no"
    )


def _guessed(log: EventLog) -> str:
    numbers = [one.name for one in held(log, "", "number")]
    mapped = str(log.mapping.get("amount") or "")
    if mapped in numbers:
        return mapped
    for word in _WORDS:
        for name in numbers:
            if word in name.lower():
                return name
    return ""


def _currency(log: EventLog, chosen: Scope) -> tuple[str, bool]:
    """Return the currency of the cases, and whether there are several."""
    stated = str(log.mapping.get("currency") or "")
    texts = [one.name for one in held(log, "", "text")]
    name = next((one for one in texts if one == stated or one.lower().rpartition(":")[2] == "currency"), "")
    if not name:
        return stated[:3].upper(), False
    where, level, _ = column(log, name)
    rows = ask(
        log,
        chosen,
        f"SELECT DISTINCT {where} FROM {'chosen' if level == 'case' else 'happened'}"
        f" WHERE {where} IS NOT NULL AND {where} <> '' ORDER BY {where} LIMIT 2",
    )
    return (str(rows[0][0]) if len(rows) == 1 else ""), len(rows) > 1
