"""Asking SAP what changed: by a change date with some overlap, or by the delta link where the last poll ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from connectors.base import Inbound, Record, Refused, Unanswered
from connectors.kinds.sap import odata
from connectors.kinds.sap.settings import Service, set_of, watched_of

if TYPE_CHECKING:
    from connectors.kinds.sap.connector import Sap

# Rows become visible in the order of their commits, not of their stamps: looking back a little finds the late ones.
OVERLAP = timedelta(minutes=5)
DELTA = "delta"
_TOKENS = ("!deltatoken", "$deltatoken")
MOST_PAGES = 50


def changes(sap: Sap, since: datetime | None) -> list[Inbound]:
    """Give each record of the watched sets in each version that it had."""
    told = []
    for text, field in watched_of(sap.settings.watched):
        name, entity = set_of(text)
        service = sap.service(name)
        if field == DELTA:
            told += _by_link(sap, service, entity, text)
        else:
            told += _by_date(sap, service, entity, field, since)
    return told


def _by_date(sap: Sap, service: Service, entity: str, field: str, since: datetime | None) -> list[Inbound]:
    """Oldest first and no more than so many pages: what is left over is younger and comes with the next poll."""
    start = since - OVERLAP if since else datetime.now(UTC) - timedelta(days=sap.settings.lookback_days)
    options = {"$filter": f"{field} ge {odata.moment_literal(start, v4=service.v4)}", "$orderby": f"{field} asc"}
    rows = sap.paged(service, entity, options, partly=True)
    return [_inbound(entity, row, odata.moment_of(row.fields.get(field))) for row in rows]


def _inbound(entity: str, row: Record, moment: datetime | None) -> Inbound:
    version = moment.isoformat() if moment else row.version
    return Inbound(f"{entity}/{row.key}:{version}"[:200], f"record:{entity}", dict(row.fields), moment)


def _by_link(sap: Sap, service: Service, entity: str, bookmark: str) -> list[Inbound]:
    """Ask from the token where the last poll ended. One that has expired begins anew: the same again adds nothing."""
    params = _params(sap.bookmarks.get(bookmark))
    try:
        records, link = _followed(sap, service, entity, params)
    except Refused:
        if not params:
            raise
        records, link = _followed(sap, service, entity, {})
    if found := _token_in(link):
        sap.bookmarks = {**sap.bookmarks, bookmark: found}
    return [_inbound(entity, sap.versioned(row), None) for row in records]


def _followed(sap: Sap, service: Service, entity: str, params: dict[str, str]) -> tuple[list[Record], str]:
    records: list[Record] = []
    wish = {"Prefer": f"odata.track-changes,odata.maxpagesize={sap.settings.page_size}"} if not params else {}
    for _ in range(MOST_PAGES):
        body = sap.page(service, entity, params, wish)
        rows = odata.rows_in(body, sap.label, v4=service.v4)
        # A removed record comes with its address alone: there is nothing of it to tell.
        kept = [row for row in rows if not row.keys() & {"@removed", "@odata.removed", "reason"}]
        records += [odata.record(sap.name, sap.settings.base_url, service, entity, row) for row in kept]
        link = odata.link_in(body, v4=service.v4)
        if not link:
            return records, odata.delta_in(body, v4=service.v4)
        params = sap.behind(link, entity)
    raise Unanswered(f"{sap.label} lists more than {MOST_PAGES} pages of {entity}.", code="paging")


def _params(token: object) -> dict[str, str]:
    if isinstance(token, dict) and token.get("name") in _TOKENS and isinstance(token.get("value"), str):
        return {token["name"]: token["value"]}
    return {}


def _token_in(link: str) -> dict[str, str]:
    """Return the token of a link: only it is kept, never the address."""
    try:
        options = dict(parse_qsl(urlsplit(link).query, keep_blank_values=True, max_num_fields=40))
    except ValueError:
        return {}
    return next(({"name": name, "value": options[name][:2000]} for name in _TOKENS if options.get(name)), {})
