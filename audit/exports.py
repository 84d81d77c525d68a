"""The ledger as a file, streamed: memory stays flat on any length."""

import csv
import json
from collections.abc import Iterator

from django.db.models import QuerySet

from audit.models import Entry
from audit.proofs import moment
from audit.serializers import EntrySerializer

COLUMNS = (
    *("n", "at", "actor", "verb", "target_type", "target_id", "incident_id", "business_unit", "region", "reason"),
    *("body", "channel", "request_id", "address", "token", "previous_hash", "hash"),
)
_CHUNK = 1000
# A cell that begins so is a formula to a spreadsheet.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class _Echo:
    """A file that hands each written line back."""

    def write(self, line: str) -> str:
        return line


def as_csv(entries: "QuerySet[Entry]") -> Iterator[str]:
    """Yield the lines of a CSV file."""
    writer = csv.writer(_Echo())
    yield writer.writerow(COLUMNS)
    for entry in entries.iterator(_CHUNK):
        yield writer.writerow([cell(getattr(entry, name)) for name in COLUMNS])


def as_json(entries: "QuerySet[Entry]") -> Iterator[str]:
    """Yield the pieces of one JSON array."""
    yield "["
    for index, entry in enumerate(entries.iterator(_CHUNK)):
        line = json.dumps(EntrySerializer(entry).data, ensure_ascii=False, default=str)
        yield f",\n{line}" if index else f"\n{line}"
    yield "\n]\n"


def cell(value: object) -> object:
    """Return ``value`` as a cell that no spreadsheet takes for a formula."""
    if hasattr(value, "isoformat"):
        return moment(value)  # type: ignore[arg-type]
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None else value
