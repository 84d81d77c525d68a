"""A reversal that is proved: both documents summed per account and currency, and whether SAP would take it at all."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from connectors.base import Blocked, Change, Locked, Observed, Record, Refused, Undo
from connectors.kinds.sap import journal, rfc
from connectors.kinds.sap.effects import change, number, the
from connectors.kinds.sap.settings import listed

if TYPE_CHECKING:
    from connectors.kinds.sap.connector import Sap

CHECK = "ReversalCheck"
ZERO = "0.00"
NET = "Net of account "
OPEN, REFUSED = "AccountsNotZero", "PostingRefused"


def observe(sap: Sap, args: Any) -> list[Record]:
    """Fetch the entry with what it and its reversal come to, its items, and those of the reversal where there is one.

    ``PostingRefused`` is what SAP has against the reversal now. Raises ``Blocked`` where the items name no account.
    """
    rows = journal.entry(sap, args)
    if not rows:
        return []
    whole, items = rows[0], rows[1:]
    document, year = _reversal_of(sap, items)
    named = args.model_copy(update={"document": document, "year": year})
    back = journal.items(sap, named) if document else []
    against = "" if whole.fields["Reversed"] else str(checked(sap, args).fields["Message"])
    fields = {
        **whole.fields,
        "ReversedBy": f"{document}/{year}" if document else "",
        REFUSED: against,
        **_sums(sap, [*items, *back]),
    }
    return [sap.versioned(Record(sap.name, journal.ENTRY, whole.key, "", fields, whole.url)), *items, *back]


def _reversal_of(sap: Sap, items: Sequence[Record]) -> tuple[str, str]:
    """Read which document reverses the entry; blanks where none does, or SAP does not say."""
    document, year = (str(items[0].fields.get(name) or "") for name in listed(sap.settings.journal_reversal_fields))
    return (document, year) if document.strip("0") and year.strip("0") else ("", "")


def _sums(sap: Sap, items: Sequence[Record]) -> dict[str, Any]:
    """Sum all items per account and currency, and count the sums that are not zero."""
    field = sap.settings.journal_account_field
    sums: dict[str, Decimal] = {}
    for row in items:
        account = str(row.fields.get(field) or "").lstrip("0")
        if not account:
            told = f"{sap.name}: item {row.key} has no {field}, so nothing proves that a reversal comes to zero."
            raise Blocked(f"{told} Name the field that holds the account in the connection.", code="arguments")
        name = f"{NET}{account} in {row.fields.get('TransactionCurrency') or '?'}"
        sums[name] = sums.get(name, Decimal(0)) + number(row.fields.get("AmountInTransactionCurrency"))
    written = {name: str(total) if total else ZERO for name, total in sorted(sums.items())}
    return {OPEN: sum(1 for total in sums.values() if total), **written}


def predict(args: Any, records: Observed) -> list[Change]:
    """The entry is reversed, both stay in the books, and each account comes to zero in each currency."""
    entry = the(records, journal.ENTRY)
    open_sums = [name for name, total in entry.fields.items() if name.startswith(NET) and total != ZERO]
    zero = [change(entry, name, ZERO) for name in open_sums]
    # Also where each account is zero by itself: a reversal on other accounts would show here.
    return [change(entry, "Reversed", after=True), *zero, change(entry, OPEN, 0)]


def undo(args: Any, records: Observed, effect_key: str) -> Undo | None:
    """A reversal is not reversed: the entry would be posted anew, which needs a person."""
    return None


def checked(sap: Sap, args: Any) -> Record:
    """Ask SAP whether it would take the reversal, posting nothing. Not asked where no function is named for it."""
    function = sap.settings.reversal_check
    against = _against(sap, args, function) if function else ""
    fields = {
        "Asked": bool(function),
        "Accepted": bool(function) and not against,
        "Message": against,
        "PostingDate": args.posting_date,
    }
    return Record(sap.name, CHECK, f"{journal.key_of(args)}/{args.posting_date}", "", fields)


def _against(sap: Sap, args: Any, function: str) -> str:
    """Return what the RETURN table holds against it. That the function could not be called is no word about it."""
    answer = rfc.invoke(sap, function, journal.asked(sap, args))
    try:
        rfc.held(sap, answer, function)
    except Locked:
        return ""  # it passes: who posts meets it again, and waits
    except Refused as refused:
        return str(refused)[:500]
    return ""
