"""A record of F&O by what stands in its fields, as far as the connection opens them: one filter across companies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from connectors.base import Read, Record
from connectors.kinds.dynamics_fo import odata
from connectors.kinds.dynamics_fo.odata import COMPANY
from connectors.kit import finding
from connectors.kit.declaredactions import Name
from connectors.kit.finding import Where

if TYPE_CHECKING:
    from connectors.kinds.dynamics_fo.connector import DynamicsFO


class FindArguments(finding.FindArguments):
    """A record of an entity, by what stands in its fields. Both are those that the connection opens for finding.

    Enum values stand by their symbols; ``dataAreaId`` narrows it to one company.
    """

    entity: Name = Field(examples=["SalesOrderHeadersV2"])
    where: Where = Field(
        description='All of these, such as {"SalesOrderNumber": "SO-000697"}.',
        examples=[{"SalesOrderNumber": "SO-000697"}],
    )


FIND = Read("record.find", FindArguments, "Record by its fields, in any company")


def find(fo: DynamicsFO, args: Any) -> list[Record]:
    """Fetch the records that have all of ``where``. Raises ``Refused`` for an asterisk: F&O would search with it."""
    asked = finding.asked(fo.settings.may_find(), args, fo.name, always=[COMPANY])
    names = asked.key or fo.key_of(asked.entity)
    options = {
        "$filter": odata.equal(asked.where),
        "$select": ",".join(asked.wanted(COMPANY, *names)),
        "$top": str(asked.limit + 1),
    }
    rows, more = fo.first(asked.entity, options, names, asked.limit + 1)
    return finding.judged(asked, rows, more=more, label=fo.label, key=(COMPANY, *names))
