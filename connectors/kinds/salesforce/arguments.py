"""What Salesforce's operations take."""

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from connectors.base import Arguments

_CHECKS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def full_id(text: str) -> str:
    """Write an id with its three check letters: 15 and 18 letters name the same record, and texts must compare."""
    short = text[:15]
    parts = (short[start : start + 5] for start in (0, 5, 10))
    return short + "".join(_CHECKS[sum(1 << at for at, c in enumerate(part) if c.isupper())] for part in parts)


Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?$"), AfterValidator(full_id)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Optional = Annotated[str, StringConstraints(max_length=255)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,79}$")]
# The marker of the effect is added to the text: both must fit into the 4,000 letters of a comment.
Comment = Annotated[str, StringConstraints(min_length=1, max_length=3800)]


class CaseById(Arguments):
    """A case by its id."""

    id: Id


class CaseKey(Arguments):
    """A case that is changed."""

    case: Id


class OrderNumber(Arguments):
    """An order's number in the ERP."""

    order: Text


class InvoiceNumber(Arguments):
    """An invoice's number in the ERP."""

    invoice: Text


class AccountNumber(Arguments):
    """An account's number in the ERP."""

    number: Text


class Wanted(Arguments):
    """One record of a composite read."""

    type: Name
    id: Id
    fields: list[Name] = Field(default_factory=list, max_length=100)


class RecordsArguments(Arguments):
    """Records of any kind, read together."""

    requests: list[Wanted] = Field(min_length=1, max_length=200)


class CommentArguments(CaseKey):
    """Write a comment on a case."""

    text: Comment


class UncommentArguments(CaseKey):
    """Delete the comment that an effect wrote."""

    reference: Text
    # The comment's text without its marker, so that the undo names the same record as the comment did.
    text: Annotated[str, StringConstraints(max_length=3800)] = ""


class ReopenArguments(CaseKey):
    """Set a case back to a status in which it is worked on."""

    status: Text


class OpenArguments(Arguments):
    """Open a case."""

    account: Id
    subject: Text
    description: Annotated[str, StringConstraints(max_length=30_000)] = ""
    order: Optional = ""
    invoice: Optional = ""
    type: Optional = ""


class CaseByKey(Arguments):
    """The case that an effect opened."""

    key: Text
