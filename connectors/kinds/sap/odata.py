"""OData as SAP Gateway speaks it, in versions 2 and 4: literals, keys, records out of rows, errors and warnings."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote, unquote
from uuid import UUID

from connectors.base import Record, Unanswered
from connectors.kinds.sap.settings import Service
from connectors.kit.queries import DAY, MOMENT
from connectors.transport import NotJson, Reply

_DATE = re.compile(r"/Date\((-?\d{1,15})([+-]\d{1,4})?\)/\Z")
_ID = re.compile(r"[^()]*\((.*)\)\Z", re.DOTALL)
_KEY_PART = re.compile(r"(?:(\w+)=)?(?:datetimeoffset|datetime|guid|time)?('(?:[^']|'')*'|[^,']+)(?:,|\Z)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
JSON = "application/json"
# Version 4 writes amounts as numbers; as texts they come without loss, as in version 2.
EXACT = "application/json;IEEE754Compatible=true"

# The key of each entity set, in the order in which a key is written.
KEYS: dict[str, tuple[str, ...]] = {
    "A_SalesOrder": ("SalesOrder",),
    "A_SalesOrderItem": ("SalesOrder", "SalesOrderItem"),
    "A_SalesOrderHeaderPrElement": ("SalesOrder", "PricingProcedureStep", "PricingProcedureCounter"),
    "A_SalesOrderItemPrElement": (
        "SalesOrder", "SalesOrderItem", "PricingProcedureStep", "PricingProcedureCounter",
    ),
    "A_SalesOrderScheduleLine": ("SalesOrder", "SalesOrderItem", "ScheduleLine"),
    "A_SalesOrderHeaderPartner": ("SalesOrder", "PartnerFunction"),
    "A_CreditBlockedSalesDocument": ("SalesDocument",),
    "A_BillingDocument": ("BillingDocument",),
    "A_SupplierInvoice": ("SupplierInvoice", "FiscalYear"),
    "A_OperationalAcctgDocItemCube": (
        "CompanyCode", "FiscalYear", "AccountingDocument", "AccountingDocumentItem",
    ),
    # As version 4 calls them.
    "SalesOrder": ("SalesOrder",),
    "SalesOrderItem": ("SalesOrder", "SalesOrderItem"),
}  # fmt: skip


def literal(value: Any, *, v4: bool = False) -> str:
    """Write a value as a literal of the version; texts are quoted and their quotes doubled."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}" if v4 else f"{value:f}M"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return moment_literal(value, v4=v4)
    if isinstance(value, date):
        return value.isoformat() if v4 else day_literal(value.isoformat())
    if isinstance(value, UUID):
        return str(value) if v4 else f"guid'{value}'"
    return "'" + str(value).replace("'", "''") + "'"


def moment_literal(moment: datetime, *, v4: bool = False) -> str:
    """Write a time in UTC."""
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return text if v4 else f"datetimeoffset'{text}'"


def day_literal(day: str) -> str:
    """Write a day, given as 2026-01-31, as version 2 takes it."""
    return f"datetime'{day}T00:00:00'"


def day_value(day: str) -> str:
    """Write a day, given as 2026-01-31, as a body of version 2 has it."""
    return f"/Date({int(datetime.fromisoformat(day[:10]).replace(tzinfo=UTC).timestamp()) * 1000})/"


def equal(fields: Mapping[str, Any], *, v4: bool = False) -> str:
    """Write a filter that asks for all of ``fields``."""
    return " and ".join(f"{name} eq {literal(value, v4=v4)}" for name, value in fields.items())


def address(entity: str, key: Mapping[str, Any], *, v4: bool = False) -> str:
    """Write the path of one record, such as ``A_SupplierInvoice(SupplierInvoice='51',FiscalYear='2026')``."""
    written = {name: quote(literal(value, v4=v4), safe="'") for name, value in key.items()}
    if len(written) == 1:
        return f"{entity}({next(iter(written.values()))})"
    return f"{entity}({','.join(f'{name}={value}' for name, value in written.items())})"


def record(
    system: str, root: str, service: Service, entity: str, row: Mapping[str, Any], *, names: tuple[str, ...] = ()
) -> Record:
    """Make a record of a row: without OData's own members and links, dates as ISO 8601, amounts as they came.

    ``names`` are the fields of the key where the set is not among ``KEYS``.
    """
    meta = row.get("__metadata")
    meta = meta if isinstance(meta, dict) else {}
    fields = {name: plain(value) for name, value in row.items() if _own(name, value)}
    known = names or KEYS.get(entity)
    key = {name: str(row.get(name) or "") for name in known} if known else _key_in(str(meta.get("uri") or ""))
    return Record(
        system=system,
        entity=entity,
        key="/".join(key.values()),
        version=str(meta.get("etag") or row.get("@odata.etag") or ""),
        fields=fields,
        url=f"{root}{service.path}/{address(entity, key, v4=service.v4)}" if all(key.values()) and known else "",
    )


def _own(name: str, value: Any) -> bool:
    """Tell whether a member is a field of the record; a link to others, or the others themselves, are not."""
    if name == "__metadata" or name.startswith("@") or "@odata." in name:
        return False
    return not isinstance(value, dict | list)


def _key_in(uri: str) -> dict[str, str]:
    """Return the key that stands in a record's own address, of which only the text in parentheses is read."""
    found = _ID.match(unquote(uri[-2000:]).rpartition("/")[2] if "'" not in uri else unquote(uri[-2000:]))
    parts = _KEY_PART.findall(found[1]) if found else []
    return {
        name or str(number): value[1:-1].replace("''", "'") if value.startswith("'") else value
        for number, (name, value) in enumerate(parts)
    }


def plain(value: Any) -> Any:
    """Turn ``/Date(ms)/`` into a day or a time; a value with an offset is a time in UTC. The rest stays as it came."""
    found = _DATE.match(value) if isinstance(value, str) else None
    if found is None:
        return value
    try:
        moment = _EPOCH + timedelta(milliseconds=int(found[1]))
    except OverflowError:
        return value
    text = moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds").removesuffix("+00:00")
    if found[2]:
        return text + "Z"
    return text.removesuffix("T00:00:00")


def moment_of(value: Any) -> datetime | None:
    """Read a day or a time as ``plain`` writes it; ``None`` for what is none."""
    if not isinstance(value, str) or not (DAY.match(value) or re.match(r"\d{4}-\d\d-\d\dT", value)):
        return None
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def rows_in(body: Any, label: str, *, v4: bool) -> list[dict[str, Any]]:
    """Return the rows of a list. Raises ``Unanswered`` where it is none."""
    inner = body if v4 else _d(body)
    rows = inner.get("value") if v4 and isinstance(inner, dict) else inner
    if not v4 and isinstance(rows, dict):
        rows = rows.get("results")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Unanswered(f"{label} answered with something that is no list.", code="shape")
    return rows


def row_in(body: Any, label: str, key: Mapping[str, Any], *, v4: bool) -> dict[str, Any]:
    """Return the one row that was asked for. Another record in its place is no answer (``Unanswered``)."""
    row = body if v4 else _d(body)
    if not isinstance(row, dict) or any(differs(row.get(name), value) for name, value in key.items()):
        raise Unanswered(f"{label} answered with something that is not the record asked for.", code="shape")
    return row


def differs(given: Any, wanted: Any) -> bool:
    """Compare with what was asked for: with or without leading zeros it names the same document."""
    return not isinstance(given, str) or given.lstrip("0") != str(wanted).lstrip("0")


def _d(body: Any) -> Any:
    return body.get("d") if isinstance(body, dict) else None


def link_in(body: Any, *, v4: bool) -> str:
    """Return the link to the next page, blank where there is none."""
    inner = body if v4 else _d(body)
    link = inner.get("@odata.nextLink" if v4 else "__next") if isinstance(inner, dict) else None
    return link if isinstance(link, str) else ""


def delta_in(body: Any, *, v4: bool) -> str:
    """Return the link to later changes, blank where there is none."""
    inner = body if v4 else _d(body)
    link = inner.get("@odata.deltaLink" if v4 else "__delta") if isinstance(inner, dict) else None
    return link if isinstance(link, str) else ""


def messages(error: Any) -> list[tuple[str, str, str]]:
    """Return what an error says as (code, text, severity), the first text first; each text once."""
    if not isinstance(error, dict):
        return []
    inner = error.get("innererror")
    details = [*_list(inner.get("errordetails") if isinstance(inner, dict) else None), *_list(error.get("details"))]
    found: dict[str, tuple[str, str, str]] = {}
    for part in (error, *details):
        text = part.get("message")
        text = text.get("value") if isinstance(text, dict) else text
        if isinstance(text, str) and text.strip():
            line = (str(part.get("code") or ""), " ".join(text.split()), str(part.get("severity") or "error"))
            found.setdefault(line[1], line)
    return list(found.values())


def _list(value: Any) -> Iterable[dict[str, Any]]:
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def error_in(reply: Reply) -> dict[str, Any]:
    """Return the error that a body holds, empty where it holds none."""
    try:
        body = reply.json()
    except NotJson:
        return {}
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


def warnings_in(reply: Reply) -> list[str]:
    """Return the texts of the header ``sap-message``: what SAP adds to a success."""
    text = reply.headers.get("sap-message", "")
    if not text:
        return []
    try:
        told = json.loads(text[:20_000])
    except (ValueError, RecursionError):
        return [" ".join(text.split())[:200]]
    parts = [told, *_list(told.get("details"))] if isinstance(told, dict) else []
    return [" ".join(str(part.get("message") or part.get("code") or "").split())[:200] for part in parts][:10]


def watermark(value: str, *, v4: bool) -> str:
    """Write the value of a watermark as a literal."""
    if MOMENT.match(value):
        moment = moment_of(re.sub(r"([+-]\d\d)(\d\d)\Z", r"\1:\2", value))
        return moment_literal(moment, v4=v4) if moment else literal(value, v4=v4)
    if DAY.match(value):
        return value if v4 else day_literal(value)
    return literal(value, v4=v4)
