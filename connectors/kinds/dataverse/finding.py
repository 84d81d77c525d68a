"""A row of Dataverse by what stands in its columns, as far as the connection opens them: one filter, one page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from connectors.base import Read, Record
from connectors.kinds.dataverse import webapi
from connectors.kinds.dataverse.tables import Name
from connectors.kit import finding
from connectors.kit.finding import Where

if TYPE_CHECKING:
    from connectors.kinds.dataverse.connector import Dataverse


class FindArguments(finding.FindArguments):
    """A record of a table, by what stands in its columns. Both are those that the connection opens for finding."""

    entity: Name = Field(examples=["salesorder"])
    where: Where = Field(
        description='All of these, such as {"ordernumber": "SO-000697"}.', examples=[{"ordernumber": "SO-000697"}]
    )


FIND = Read("record.find", FindArguments, "Record by its columns")


def find(dv: Dataverse, args: Any) -> list[Record]:
    """Fetch the rows that have all of ``where``, with the labels of their choices and lookups."""
    asked = finding.asked(dv.settings.may_find(), args, dv.name)
    table = dv.table(asked.entity)
    conditions = " and ".join(f"{name} eq {webapi.typed(value)}" for name, value in asked.where.items())
    options = {"$select": ",".join(asked.wanted(table.id)), "$filter": conditions, "$top": str(asked.limit + 1)}
    page = dv.top(table, options)
    rows = [webapi.record(dv.name, dv.root, table, row) for row in webapi.rows_of(page, dv.label)]
    more = bool(page.get("@odata.nextLink"))
    return finding.judged(asked, rows, more=more, label=dv.label, beside=webapi.SHOWN_BESIDE)
