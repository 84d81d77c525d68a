"""Questions that people write freely in a system's own language."""

from enum import StrEnum

from pydantic import Field

from connectors.base import Arguments


class QueryLanguage(StrEnum):
    """The languages in which a system can be asked freely."""

    ODATA = "odata"
    SOQL = "soql"
    FETCHXML = "fetchxml"


class FreeQuery(Arguments):
    """A question in the system's own language, held against a strict grammar before it is sent.

    The kind adds the text: ``query`` for SOQL and FetchXML; ``entity``, ``filter``, ``select`` and ``orderby`` for
    OData. It may hold ``{watermark}``: the value stands there as a literal of the language, never as text of the
    question.
    """

    rows: int = Field(default=500, ge=1, le=5001, description="The read ends after so many.")
    watermark: str = Field(default="", max_length=100, description="Blank: 1900-01-01T00:00:00Z.")

    def entities(self) -> frozenset[str]:
        """Return every entity that the question reads, joined and nested ones too, as the system writes them."""
        raise NotImplementedError

    def columns(self) -> tuple[str, ...]:
        """Return the columns that the question names, as they stand in a row; none: it asks for all."""
        return ()

    def order(self) -> str:
        """Return the column by which the rows come, the smallest first; blank where they come in another order."""
        raise NotImplementedError

    def marked(self) -> bool:
        """Tell whether the question holds ``{watermark}``."""
        raise NotImplementedError
