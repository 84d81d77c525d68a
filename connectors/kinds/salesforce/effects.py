"""What each write of Salesforce changes and how it is taken back. Pure functions over records."""

import hashlib
from typing import Any

from connectors.base import Change, NotFound, Observed, Record, Undo
from connectors.talk.tickets import MARK

CLOSED = "Closed"
NEW = "New"


def carries(comment: Record, key: str) -> bool:
    """Tell whether a comment holds the whole mark of an effect: the key alone may stand in anybody's words."""
    return MARK.format(key=key).strip() in str(comment.fields.get("CommentBody") or "")


def the(records: Observed, entity: str) -> Record:
    """Return the first observed record of an entity. Raises ``NotFound``."""
    found = next((record for record in records if record.entity == entity), None)
    if found is None:
        raise NotFound(f"Salesforce has no such {entity}.", status=404)
    return found


def to_be(kind: str, *parts: str) -> str:
    """Name a record that has no id before it is made: by what it will say."""
    return f"{kind}:{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:16]}"


def made(records: Observed, entity: str, fields: dict[str, Any]) -> list[Change]:
    """Foresee a new record. Where one that says the same is there already, there will be one more of them."""
    record = the(records, entity)
    count = record.fields["Count"]
    if count:
        return [Change(entity, record.key, "Count", count, count + 1)]
    return [Change(entity, record.key, name, None, value) for name, value in fields.items()]


# --- comments ----------------------------------------------------------------------------------
def predict_comment(args: Any, records: Observed) -> list[Change]:
    """One more comment stands on the case."""
    the(records, "Case")
    return made(records, "CaseComment", {"CommentBody": args.text})


def undo_comment(args: Any, records: Observed, effect_key: str) -> Undo:
    """Delete the comment that carries our mark."""
    return Undo("case.uncomment", {"case": args.case, "reference": effect_key, "text": args.text})


def predict_uncomment(args: Any, records: Observed) -> list[Change]:
    """The comment that carries the mark is gone."""
    comment = the(records, "CaseComment")
    count = comment.fields["Count"]
    if count > 1:
        return [Change("CaseComment", comment.key, "Count", count, count - 1)]
    return [Change("CaseComment", comment.key, "CommentBody", comment.fields["CommentBody"], None)]


def undo_uncomment(args: Any, records: Observed, effect_key: str) -> Undo | None:
    """Write the comment again, with a mark of its own."""
    text = the(records, "CaseComment").fields["CommentBody"]
    return Undo("case.comment", {"case": args.case, "text": text}) if text else None


# --- status ------------------------------------------------------------------------------------
def predict_close(args: Any, records: Observed) -> list[Change]:
    """The case is closed."""
    return [_status(the(records, "Case"), CLOSED)]


def predict_reopen(args: Any, records: Observed) -> list[Change]:
    """The case is worked on again."""
    return [_status(the(records, "Case"), args.status)]


def _status(case: Record, after: str) -> Change:
    return Change("Case", case.key, "Status", case.fields.get("Status"), after)


def undo_status(args: Any, records: Observed, effect_key: str) -> Undo:
    """Put the old status back."""
    case = the(records, "Case")
    old = case.fields.get("Status") or NEW
    return Undo("case.close", {"case": case.key}) if old == CLOSED else _reopened(case, old)


def _reopened(case: Record, status: str) -> Undo:
    return Undo("case.reopen", {"case": case.key, "status": status})


# --- new cases ---------------------------------------------------------------------------------
def case_fields(args: Any) -> dict[str, Any]:
    """The fields of a case to be opened; what was left out stays out."""
    fields = {
        "AccountId": args.account,
        "Subject": args.subject,
        "Description": args.description,
        "Order_Number__c": args.order,
        "Invoice_Number__c": args.invoice,
        "Type": args.type,
    }
    return {name: value for name, value in fields.items() if value}


def predict_open(args: Any, records: Observed) -> list[Change]:
    """One more case stands on the account."""
    return made(records, "Case", {**case_fields(args), "Status": NEW})


def undo_open(args: Any, records: Observed, effect_key: str) -> Undo:
    """Close the case that carries our key."""
    return Undo("case.close_by_key", {"key": effect_key})
