"""The Web API's wording: literals, addresses, records out of rows, and errors that are told by their code."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote
from uuid import UUID

from connectors.base import Record, Unanswered
from connectors.kinds.dataverse.settings import DataverseConfig, number_of
from connectors.kinds.dataverse.tables import GUID, Table
from connectors.kit.answers import Explained
from connectors.transport import Reply

LABEL = "@OData.Community.Display.V1.FormattedValue"
TARGET = "@Microsoft.Dynamics.CRM.lookuplogicalname"
COOKIE = "@Microsoft.Dynamics.CRM.fetchxmlpagingcookie"
MORE = "@Microsoft.Dynamics.CRM.morerecords"
ANNOTATIONS = "OData.Community.Display.V1.FormattedValue,Microsoft.Dynamics.CRM.lookuplogicalname"
PAGING = "Microsoft.Dynamics.CRM.fetchxmlpagingcookie,Microsoft.Dynamics.CRM.morerecords"
_MISSING = number_of("0x80040217")
_CHANGED = number_of("0x80060882")
# Nobody's name, while a time in quotes would be compared with nothing.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,7})?Z\Z")
_LOOKUP = re.compile(r"_(\w+)_value\Z")
_SHOWN = {LABEL: "_label", TARGET: "_table"}
SHOWN_BESIDE = tuple(_SHOWN.values())


def literal(value: Any) -> str:
    """Write a value as an OData literal: texts quoted and their quotes doubled, ids and numbers bare."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    text = str(value)
    return text if GUID.match(text.lower()) or _MOMENT.match(text) else "'" + text.replace("'", "''") + "'"


def typed(value: Any) -> str:
    """Write a value by its own type alone: a text that looks like an id or a time stays a text."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else literal(value)


def equal(fields: Mapping[str, Any]) -> str:
    """Write a filter that asks for all of ``fields``."""
    return " and ".join(f"{name} eq {literal(value)}" for name, value in fields.items())


def key_of(fields: Mapping[str, Any]) -> str:
    """Write an alternate key as it stands in an address, such as ``accountnumber='A-1'``."""
    return ",".join(name + "=" + quote(literal(value), safe="'") for name, value in fields.items())


def record(system: str, root: str, table: Table, row: Mapping[str, Any]) -> Record:
    """Make a record of a row: its columns, and beside a choice or lookup what people read there.

    The label of ``statuscode`` becomes ``statuscode_label``, the table of a lookup ``_customerid_value_table``.
    A column of that name stays as it is.
    """
    fields = {name: _plain(value) for name, value in row.items() if "@" not in name}
    for name, value in row.items():
        column, at, annotation = name.partition("@")
        suffix = _SHOWN.get(at + annotation)
        if column and suffix and fields.get(column) is not None:
            fields.setdefault(column + suffix, value)
    key = str(row.get(table.id) or "").lower()
    url = f"{root}/{table.set}({key})" if key else ""
    return Record(system, table.name, key, str(row.get("@odata.etag") or ""), fields, url)


def as_asked(row: Record) -> Record:
    """Give a lookup the name by which a FetchXML question asks for it as well: ``customerid``."""
    lookups = {found[1]: value for name, value in row.fields.items() if (found := _LOOKUP.match(name))}
    return replace(row, fields={**lookups, **row.fields})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items() if "@" not in name}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def one_row(value: Any, table: Table, wanted: str, label: str) -> dict[str, Any]:
    """Return the row that was asked for. Raises ``Unanswered`` where it is none, or another record's."""
    if not isinstance(value, dict) or not isinstance(value.get(table.id), str):
        raise Unanswered(f"{label} answered with something that is no record.", code="shape")
    if wanted and value[table.id].lower() != wanted:
        raise Unanswered(f"{label} was asked for {table.name} {wanted} and answered with another record.", code="shape")
    return value


def rows_of(value: Any, label: str) -> list[dict[str, Any]]:
    """Return the rows of a list. Raises ``Unanswered`` where it is none."""
    rows = value.get("value") if isinstance(value, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Unanswered(f"{label} answered with something that is no list.", code="shape")
    return rows


def prefer(*wishes: str) -> dict[str, str]:
    """Write the wishes of a request as its Prefer header; none, no header."""
    said = ",".join(wish for wish in wishes if wish)
    return {"Prefer": said} if said else {}


def annotations(*names: str) -> str:
    """Ask for annotations, all in one wish: a second one would replace the first."""
    asked = ",".join(name for name in names if name)
    return f'odata.include-annotations="{asked}"' if asked else ""


def explain(reply: Reply, settings: DataverseConfig) -> Explained:
    """Read an error. What it means stands in its code: the same code comes with several statuses."""
    error = reply.json()["error"]
    code, message = str(error.get("code") or ""), str(error.get("message") or "")
    number = number_of(code)
    return Explained(
        message=f"{message} ({code})" if code and code not in message else message,
        code=code,
        locked=number in settings.codes("locked_codes"),
        limited=settings.limit_pause_seconds if number in settings.codes("limit_codes") else None,
        missing=number == _MISSING,
        refused=number in settings.codes("refused_codes"),
        conflict=number == _CHANGED,
    )


def expand(wanted: Mapping[str, Sequence[str]]) -> str:
    """Write which records behind lookups are wanted along, and which of their columns."""
    return ",".join(f"{name}($select={','.join(columns)})" if columns else name for name, columns in wanted.items())
