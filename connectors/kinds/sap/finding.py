"""A record of SAP by what stands in its fields, as far as the connection opens them: one filter, in both versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from connectors.base import Blocked, Read, Record
from connectors.kinds.sap import odata
from connectors.kinds.sap.asking import EntitySet
from connectors.kinds.sap.settings import set_of
from connectors.kit import finding
from connectors.kit.finding import SETTING, Where

if TYPE_CHECKING:
    from connectors.kinds.sap.connector import Sap


class FindArguments(finding.FindArguments):
    """A record of an entity set, by what stands in its fields. Both are those that the connection opens for finding."""

    entity: EntitySet = Field(examples=["API_SALES_ORDER_SRV/A_SalesOrder"])
    where: Where = Field(
        description='All of these, such as {"PurchaseOrderByCustomer": "SO-000697"}.',
        examples=[{"PurchaseOrderByCustomer": "SO-000697"}],
    )


FIND = Read("record.find", FindArguments, "Record by its fields")


def find(sap: Sap, args: Any) -> list[Record]:
    """Fetch the records that have all of ``where``. A number is the same with and without leading zeros."""
    asked = finding.asked(sap.settings.may_find(), args, sap.name)
    name, entity = set_of(asked.entity)
    service = sap.service(name)
    names = asked.key or odata.KEYS.get(entity, ())
    if service.v4 and not names:
        raise Blocked(f"{sap.name} knows no key of {entity}: say it by “key Field” in “{SETTING}”.", code="entity")
    options = {
        "$filter": odata.equal(asked.where, v4=service.v4),
        "$select": ",".join(asked.wanted(*names)),
        "$top": str(asked.limit + 1),
    }
    body = sap.page(service, entity, options, sap.page_of(asked.limit + 1) if service.v4 else None)
    rows = [
        odata.record(sap.name, sap.settings.base_url, service, entity, row, names=asked.key)
        for row in odata.rows_in(body, sap.label, v4=service.v4)
    ]
    more = bool(odata.link_in(body, v4=service.v4))
    return finding.judged(asked, rows, more=more, label=sap.label, key=names, zeros=True)
