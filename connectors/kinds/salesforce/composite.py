"""Several records read in one request, and the errors that each part of an answer tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from connectors.base import Record, Refused, Unanswered
from connectors.kinds.salesforce import soql
from connectors.kinds.salesforce.settings import FIELDS
from connectors.kit.answers import Explained

if TYPE_CHECKING:
    from connectors.kinds.salesforce.connector import Salesforce

COMPOSITE = 25


def read(sf: Salesforce, wanted: Sequence[Any]) -> list[Record]:
    """Read many records, 25 at a time. The outer 200 says nothing: each part is looked at."""
    records: list[Record] = []
    for start in range(0, len(wanted), COMPOSITE):
        part = wanted[start : start + COMPOSITE]
        requests = [_part(sf, item, number) for number, item in enumerate(part)]
        body = {"allOrNone": False, "compositeRequest": requests}
        answer = sf.content(sf.send("POST", sf.url("composite"), json=body))
        rows = answer.get("compositeResponse") if isinstance(answer, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise Unanswered(f"{sf.label} answered with something that is no composite.", code="composite")
        replies = {row.get("referenceId"): row for row in rows}
        for number, item in enumerate(part):
            records += _read_part(sf, item, replies.get(f"part{number}"))
    return records


def _part(sf: Salesforce, item: Any, number: int) -> dict[str, Any]:
    fields = ",".join(item.fields or FIELDS.get(item.type, ["Id"]))
    path = f"/services/data/{sf.settings.api_version}/sobjects/{item.type}/{item.id}"
    return {"method": "GET", "url": f"{path}?fields={fields}", "referenceId": f"part{number}"}


def _read_part(sf: Salesforce, item: Any, part: Mapping[str, Any] | None) -> list[Record]:
    if part is None:
        raise Unanswered(f"{sf.label} left a part of the composite answer out.", code="composite")
    status = part.get("httpStatusCode")
    if not isinstance(status, int):
        raise Unanswered(f"{sf.label} answered a part of the composite without a status.", code="composite")
    if 200 <= status < 300 and isinstance(part.get("body"), dict):
        return [soql.record(sf.name, sf.address(item.type), part["body"], item.type)]
    text = part.get("body")
    told = errors_of(text)
    if told.missing or status == 404:
        return []
    raise Refused(f"{sf.label}: {item.type} {item.id}: {told.message}", status=status, code=told.code)


def errors_of(body: Any) -> Explained:
    """Read the array of errors."""
    rows = [row for row in (body if isinstance(body, list) else [body]) if isinstance(row, dict)]
    codes = [str(row.get("errorCode") or row.get("statusCode") or "") for row in rows]
    texts = [str(row.get("message") or "") for row in rows]
    code = codes[0] if codes else ""
    return Explained(
        message="; ".join(f"{text} ({code})" if code else text for text, code in zip(texts, codes, strict=True)),
        code=code,
        locked="UNABLE_TO_LOCK_ROW" in codes,
        missing=bool(codes) and set(codes) <= {"NOT_FOUND", "ENTITY_IS_DELETED"},
    )
