"""FetchXML as Dataverse reads it: conditions, joined tables, an order, pages with a cookie that is encoded twice.

Facts (wire: dataverse 3, and Microsoft's FetchXML reference): at most 5,000 rows a page; the paging cookie comes
encoded twice and goes back once encoded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote
from xml.etree.ElementTree import Element, ParseError, fromstring

from connectors.simulator.dataverse.query import COMPARE, drawn
from connectors.simulator.dataverse.tables import SYSTEM, TABLES, Column, Table, refused
from connectors.simulator.fo.entities import parse_moment
from connectors.simulator.store import Fields, Record, Session

COOKIE = "@Microsoft.Dynamics.CRM.fetchxmlpagingcookie"
MORE = "@Microsoft.Dynamics.CRM.morerecords"
LARGEST = 5000


@dataclass(frozen=True)
class Row:
    """One found row, with what its joined tables gave under their aliases."""

    record: Record
    joined: Fields


def answer(session: Session, text: str, wishes: str) -> Fields:
    """Answer a whole question."""
    if "<!" in text:
        raise refused("Invalid XML.")  # a DTD could grow without end, and nothing else begins like that
    try:
        root: Element = fromstring(text)  # noqa: S314
    except (ParseError, ValueError):
        raise refused("Invalid XML.") from None
    entity = root.find("entity")
    table = TABLES.get(entity.get("name", "")) if entity is not None else None
    if root.tag != "fetch" or entity is None or table is None:
        raise refused("The fetch query names no table that is known here.")
    rows = _found(session, table, entity)
    size = min(_whole(root, "count", LARGEST), LARGEST)
    page, top = _whole(root, "page", 1), _whole(root, "top", 0)
    if top and root.get("page"):
        raise refused("The top attribute can't be specified with paging attribute page.")
    start = 0 if top else _start(rows, root, page, size)
    window = rows[:top] if top else rows[start : start + size]
    found: Fields = {"value": [_drawn(session, table, entity, row, wishes) for row in window]}
    more = not top and start + size < len(rows)
    if "morerecords" in wishes or "*" in wishes:
        found[MORE] = more
    if more and ("fetchxmlpagingcookie" in wishes or "*" in wishes):
        found[COOKIE] = _cookie(table, window, page)
    return found


def _whole(root: Element, name: str, default: int) -> int:
    text = root.get(name, "")
    if text and not text.isdecimal():
        raise refused(f"Invalid value for {name}.")
    return int(text) if text else default


def _cookie(table: Table, window: list[Row], page: int) -> str:
    marks = f'<{table.id} last="{{{window[-1].record.key}}}" first="{{{window[0].record.key}}}" />'
    inner = f'<cookie page="{page}">{marks}</cookie>'
    return (
        f'<cookie pagenumber="{page + 1}" pagingcookie="{quote(quote(inner, safe=""), safe="")}" istracking="False" />'
    )


def _start(rows: list[Row], root: Element, page: int, size: int) -> int:
    """Find where a page begins: after the row that the cookie names, or by counting where there is none."""
    cookie = root.get("paging-cookie", "")
    if not cookie:
        return (page - 1) * size
    named = re.search(r'last="\{([0-9a-f-]{36})\}"', cookie)
    if named is None or unquote(cookie) != cookie:
        raise refused("Malformed XML in the Paging Cookie.")
    keys = [row.record.key for row in rows]
    return keys.index(named[1]) + 1 if named[1] in keys else (page - 1) * size


def _found(session: Session, table: Table, entity: Element) -> list[Row]:
    rows = [Row(record, {}) for record in session.records(SYSTEM, table.name)]
    for link in entity.findall("link-entity"):
        rows = [more for row in rows for more in _joined(session, row, link)]
    for condition in entity.findall("filter"):
        rows = [row for row in rows if _holds(table, condition, row.record.fields)]
    for order in reversed(entity.findall("order")):
        shown = table.column(order.get("attribute", "")).shown
        rows.sort(
            key=lambda row: (row.record.fields[shown] is not None, row.record.fields[shown]),
            reverse=order.get("descending") == "true",
        )
    return rows


def _joined(session: Session, row: Row, link: Element) -> list[Row]:
    other = TABLES.get(link.get("name", ""))
    if other is None:
        raise refused(f"The entity with a name = '{link.get('name')}' was not found.")
    source = TABLES[row.record.entity].column(link.get("to", ""))
    own = other.column(link.get("from", ""))
    alias = link.get("alias") or other.name
    found = []
    for record in session.records(SYSTEM, other.name):
        if record.fields[own.shown] is None or record.fields[own.shown] != row.record.fields[source.shown]:
            continue
        if all(_holds(other, condition, record.fields) for condition in link.findall("filter")):
            given = {
                f"{alias}.{part.get('name')}": record.fields[other.column(part.get("name", "")).shown]
                for part in link.findall("attribute")
            }
            found.append(Row(row.record, {**row.joined, **{name: v for name, v in given.items() if v is not None}}))
    if not found and link.get("link-type") == "outer":
        return [row]
    return found


def _holds(table: Table, condition: Element, fields: Fields) -> bool:
    parts = [
        _compared(table, part, fields) if part.tag == "condition" else _holds(table, part, fields) for part in condition
    ]
    return any(parts) if condition.get("type") == "or" else all(parts)


def _compared(table: Table, condition: Element, fields: Fields) -> bool:
    column = table.column(condition.get("attribute", ""))
    value, operator = fields[column.shown], condition.get("operator", "")
    if operator in ("null", "not-null"):
        return (value is None) == (operator == "null")
    texts = [part.text or "" for part in condition.findall("value")] or [condition.get("value", "")]
    if operator in ("in", "not-in"):
        return (value in [_typed(column, text) for text in texts]) == (operator == "in")
    if operator in ("like", "not-like"):
        pattern = re.escape(texts[0]).replace("%", ".*")
        return (re.fullmatch(pattern, str(value or ""), re.IGNORECASE) is not None) == (operator == "like")
    compare: Callable[[Any, Any], bool] | None = COMPARE.get(
        {"on-or-after": "ge", "on-or-before": "le"}.get(operator, operator)
    )
    if compare is None:
        raise refused(f"Invalid operator: {operator}.")
    if value is None:
        return operator == "ne"
    left = parse_moment(value) if column.kind == "moment" else value
    return compare(left, _typed(column, texts[0]))


def _typed(column: Column, text: str) -> Any:
    try:
        if column.kind == "moment":
            return parse_moment(text)
        if column.kind == "yes_no":
            return text.lower() in ("1", "true")
        if column.kind in ("choice", "whole"):
            return int(text)
        return (
            float(text)
            if column.kind == "money"
            else text.strip("{}").lower()
            if column.kind in ("lookup", "id")
            else text
        )
    except ValueError:
        raise refused(f"The value '{text}' is not of the type of {column.name}.") from None


def _drawn(session: Session, table: Table, entity: Element, row: Row, wishes: str) -> Fields:
    """Draw a found row: the chosen columns, and none that is empty."""
    names = [part.get("name", "") for part in entity.findall("attribute")]
    query = {"$select": ",".join(names)} if names and entity.find("all-attributes") is None else {}
    whole = drawn(session, table, row.record, query, wishes)
    return {**{name: value for name, value in whole.items() if value is not None}, **row.joined}
