"""A record of Salesforce by what stands in its fields, as far as the connection opens them: one SOQL question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, TypeAdapter

from connectors.base import Read, Record
from connectors.kinds.salesforce import soql
from connectors.kinds.salesforce.arguments import Id
from connectors.kinds.salesforce.objects import ObjectName
from connectors.kit import finding
from connectors.kit.finding import Where

if TYPE_CHECKING:
    from connectors.kinds.salesforce.connector import Salesforce

STAMP = "SystemModstamp"
_ID: TypeAdapter[str] = TypeAdapter(Id)


class FindArguments(finding.FindArguments):
    """A record of an object, by what stands in its fields. Both are those that the connection opens for finding."""

    entity: ObjectName = Field(examples=["Order"])
    where: Where = Field(
        description='All of these, such as {"OrderReferenceNumber": "SO-000697"}.',
        examples=[{"OrderReferenceNumber": "SO-000697"}],
    )


FIND = Read("record.find", FindArguments, "Record by its fields")


def find(sf: Salesforce, args: Any) -> list[Record]:
    """Fetch the records that have all of ``where``; Salesforce gives fields back in its own case."""
    asked = finding.asked(sf.settings.may_find(), args, sf.name, ids=_ID.validate_python)
    query = soql.select(asked.entity, asked.wanted("Id", STAMP), asked.where, limit=asked.limit + 1)
    rows, whole = sf.part(query, asked.entity, pages=1)
    rows = [soql.flat(row, asked.columns) for row in rows]
    return finding.judged(asked, rows, more=not whole, label=sf.label)
