"""Which objects of Salesforce each operation reads and changes, and what takes each change back."""

from typing import Any

from connectors.kit import finding
from connectors.kit.needs import Needs, Told

ALWAYS = (
    (
        "the permission API Enabled for the user that the client credentials flow of the app runs as, and field-level"
        " security for the fields that are read and set"
    ),
)
_CASE, _COMMENTS = "Case: read", "Case Comment: read"
_STATUS = ("case.close", "case.reopen")
OPERATIONS = {
    "case.get": Needs((_CASE,)),
    "cases.by_order": Needs((_CASE,)),
    "cases.by_invoice": Needs((_CASE,)),
    "account.by_number": Needs(("Account: read",)),
    "case_comments.list": Needs((_CASE, _COMMENTS)),
    "records.get": Needs(("each object that is asked for: read",)),
    "soql.query": Needs(("each object that a saved query asks for: read",)),
    "case.comment": Needs(("Case Comment: create", _CASE, _COMMENTS), ("case.uncomment",)),
    "case.uncomment": Needs(("Case Comment: delete", _CASE, _COMMENTS), ("case.comment",)),
    "case.close": Needs(("Case: edit", _CASE), _STATUS),
    "case.reopen": Needs(("Case: edit", _CASE), _STATUS),
    "case.open": Needs(("Case: create", _CASE), ("case.close_by_key",)),
    "case.close_by_key": Needs(("Case: edit", _CASE), _STATUS),
    "case.tell": Needs(("Case Comment: create", _CASE, _COMMENTS)),
}
_EACH = "each object that the connection opens for changes"
_OPENED = {
    "record.update": Needs((f"{_EACH}: edit", f"{_EACH}: read"), ("record.update",)),
    "record.create": Needs((f"{_EACH}: create", f"{_EACH}: read"), ("record.remove",)),
    "record.remove": Needs((f"{_EACH}: delete", f"{_EACH}: read"), ("record.create",)),
}


def needs(settings: Any) -> Told:
    """Return the objects by operation."""
    found = finding.rights(settings.may_find(), "read", "each object that the connection opens for finding")
    return Told(ALWAYS, OPERATIONS | _OPENED | {"record.find": Needs(found)})
