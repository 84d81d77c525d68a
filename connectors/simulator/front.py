"""What people see where a link leads into a simulated system: a record, or a form with its list. Read only."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import Any

from connectors.simulator.messages import Answer, Exchange, Refusal
from connectors.simulator.salesforce import sobjects

# The menu items that open the forms of F&O, and whose list each is.
FORMS = {
    "SalesTableListPage": "SalesOrderHeadersV2",
    "CustTableListPage": "CustomersV3",
    "VendTableListPage": "VendorsV2",
    "PurchTableListPage": "PurchaseOrderHeadersV2",
}
_MOST_ROWS, _MOST_COLUMNS = 200, 8


def salesforce_record(exchange: Exchange, path: list[str]) -> Answer | None:
    """Answer ``/lightning/r/<object>/<id>/view``; ``None`` for any other address."""
    if exchange.request.method != "GET" or len(path) != 5 or path[:2] != ["lightning", "r"] or path[4] != "view":
        return None
    try:
        with exchange.reading() as session:
            record = sobjects.get(session, sobjects.sobject_named(path[2]), path[3])
    except Refusal as refusal:
        return _page("Not found", f"<p>{html.escape(refusal.message)}</p>", refusal.status)
    return _page(f"{path[2]} {path[3]}", _table(["Field", "Value"], record.fields.items()))


def fo_form(exchange: Exchange, path: list[str]) -> Answer | None:
    """Answer ``/?cmp=<company>&mi=<menu item>``; ``None`` for any other address."""
    request = exchange.request
    item = request.query.get("mi", "")
    if request.method != "GET" or path not in ([], [""]) or not item:
        return None
    if item not in FORMS:
        return _page("Not found", "<p>There is no such form.</p>", 404)
    company = request.query.get("cmp", "").lower()
    with exchange.reading() as session:
        found: list[Mapping[str, Any]] = [record.fields for record in session.records("fo", FORMS[item])]
    rows = [row for row in found if str(row.get("dataAreaId", "")).lower() == company][:_MOST_ROWS]
    columns = [name for name, value in (rows[0] if rows else {}).items() if value not in (None, "")][:_MOST_COLUMNS]
    return _page(f"{FORMS[item]} of {company}", _table(columns, ([row.get(name) for name in columns] for row in rows)))


def _table(columns: list[str], rows: Iterable[Iterable[Any]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape('' if cell is None else str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _page(title: str, body: str, status: int = 200) -> Answer:
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(title)}</title></head><body><h1>{html.escape(title)}</h1>"
        f"<p>The enterprise simulator stands in for this system.</p>{body}</body></html>"
    )
    headers = {"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff"}
    return Answer(status, text, headers, content_type="text/html; charset=utf-8")
