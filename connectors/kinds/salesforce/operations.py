"""What can be asked of and changed in Salesforce, as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from connectors.base import Connector, Read, Record, Reversible, Tell, Write, Written
from connectors.kinds.salesforce import effects
from connectors.kinds.salesforce.arguments import (
    AccountNumber,
    CaseById,
    CaseByKey,
    CaseKey,
    CommentArguments,
    InvoiceNumber,
    OpenArguments,
    OrderNumber,
    RecordsArguments,
    ReopenArguments,
    UncommentArguments,
)
from connectors.talk.messages import Message
from connectors.talk.tickets import MARK

if TYPE_CHECKING:
    from connectors.kinds.salesforce.connector import Salesforce

KEY_FIELD = "Goldseam_Key__c"


def _sf(connector: Connector) -> Salesforce:
    return cast("Salesforce", connector)


def _case(connector: Connector, args: Any) -> list[Record]:
    return _sf(connector).case(args.case)


def _comment(connector: Connector, args: Any) -> list[Record]:
    """The comment to be, as often as it stands on the case, then the case itself."""
    sf = _sf(connector)
    case = sf.case(args.case)
    if not case:
        return []
    same = [row for row in sf.comments(args.case) if _unmarked(row) == args.text]
    return [_to_be(sf, "CaseComment", args.case, args.text, rows=same), *case]


def _marked(connector: Connector, args: Any) -> list[Record]:
    """The comment that carries the mark, under the name that it had when it was foreseen, then the case."""
    sf = _sf(connector)
    rows = sf.comments(args.case)
    mine = [row for row in rows if effects.carries(row, args.reference)]
    text = args.text or (_unmarked(mine[0]) if mine else "")
    same = [row for row in rows if text and _unmarked(row) == text]
    return [_to_be(sf, "CaseComment", args.case, text, rows=same or mine), *sf.case(args.case)]


def _to_be(sf: Salesforce, entity: str, *parts: str, rows: list[Record]) -> Record:
    """A record that may not exist yet: no id and no version, but a count of those that say the same."""
    fields = dict(rows[0].fields) if rows else {}
    if entity == "CaseComment":
        fields["CommentBody"] = _unmarked(rows[0]) if rows else None
    return Record(sf.name, entity, effects.to_be("new", *parts), "", {**fields, "Count": len(rows)})


def _unmarked(comment: Record) -> str:
    """A comment's text without the mark of an effect."""
    return str(comment.fields.get("CommentBody") or "").partition(MARK.partition("{")[0])[0]


def _new_case(connector: Connector, args: Any) -> list[Record]:
    """The case to be: an open one on this account that says the same already counts."""
    sf = _sf(connector)
    where = {"AccountId": args.account, "Subject": args.subject}
    where |= {"Order_Number__c": args.order} if args.order else {}
    where |= {"Invoice_Number__c": args.invoice} if args.invoice else {}
    rows = sf.cases(where)
    return [_to_be(sf, "Case", args.account, args.subject, args.order, args.invoice, rows=rows)]


def _case_of_key(connector: Connector, args: Any) -> list[Record]:
    return _sf(connector).cases({KEY_FIELD: args.key})


# --- what is looked for after an unknown outcome --------------------------------------------------
def _find_comment(connector: Connector, args: Any, effect_key: str) -> Written | None:
    mine = [row for row in _sf(connector).comments(args.case) if effects.carries(row, effect_key)]
    return Written(mine[0].version, {"found_by": "marker", "id": mine[0].key}) if mine else None


def _find_uncomment(connector: Connector, args: Any, effect_key: str) -> Written | None:
    """A deletion leaves no mark: it is done when the marked comment is not there."""
    there = any(effects.carries(row, args.reference) for row in _sf(connector).comments(args.case))
    return None if there else Written(result={"found_by": "absence"})


def _find_open(connector: Connector, args: Any, effect_key: str) -> Written | None:
    mine = _sf(connector).cases({KEY_FIELD: effect_key})
    return Written(mine[0].version, {"found_by": "external id", "id": mine[0].key}) if mine else None


READS: tuple[Read, ...] = (
    Read("case.get", CaseById, "Case"),
    Read("cases.by_order", OrderNumber, "Cases about an order"),
    Read("cases.by_invoice", InvoiceNumber, "Cases about an invoice"),
    Read("account.by_number", AccountNumber, "Account of an ERP customer"),
    Read("case_comments.list", CaseKey, "Comments of a case"),
    Read("records.get", RecordsArguments, "Several records at once"),
)
WRITES: tuple[Write, ...] = (
    Write(
        "case.comment",
        CommentArguments,
        "Comment on a case",
        observe=_comment,
        predict=effects.predict_comment,
        undo=effects.undo_comment,
        find=_find_comment,
    ),
    Write(
        "case.uncomment",
        UncommentArguments,
        "Delete our comment from a case",
        observe=_marked,
        predict=effects.predict_uncomment,
        undo=effects.undo_uncomment,
        find=_find_uncomment,
    ),
    Write(
        "case.close",
        CaseKey,
        "Close a case",
        observe=_case,
        predict=effects.predict_close,
        undo=effects.undo_status,
    ),
    Write(
        "case.reopen",
        ReopenArguments,
        "Reopen a case",
        observe=_case,
        predict=effects.predict_reopen,
        undo=effects.undo_status,
    ),
    Write(
        "case.open",
        OpenArguments,
        "Open a case",
        observe=_new_case,
        predict=effects.predict_open,
        undo=effects.undo_open,
        reversible=Reversible.NET_ZERO,
        find=_find_open,
    ),
    Write(
        "case.close_by_key",
        CaseByKey,
        "Close the case that an effect opened",
        observe=_case_of_key,
        predict=effects.predict_close,
        undo=effects.undo_status,
    ),
)
TELLS: tuple[Tell, ...] = (Tell("case.tell", Message, "Comment on the cases that an incident belongs to"),)
