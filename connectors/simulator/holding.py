"""People who stop an order in Dataverse and in SAP although F&O lets it go: what the demo shows of several systems."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from . import dv_tables, sap_tables
from .business import planted
from .store import PERSON, Fields, Session

# Seconds after the systems began to tell, and which of them somebody goes to first.
MOMENTS = (("dv", 18.0, "sap", 23.0), ("sap", 40.0, "dv", 46.0))


@dataclass(frozen=True)
class Scene:
    """One thing that somebody does in one system, so many seconds after the beginning."""

    at: float
    system: str
    entity: str
    key: str
    changes: Fields


def scenes(session: Session) -> list[Scene]:
    """Plan who stops which order, in order of time; nothing where the business has no such orders."""
    found: list[Scene] = []
    for order, (first, at, second, later) in zip(_free(session), MOMENTS, strict=False):
        found += [_scene(first, at, order), _scene(second, later, order)]
    return sorted(found, key=lambda scene: scene.at)


def play(session: Session, scene: Scene) -> None:
    """Do it as a person would in the system itself."""
    if scene.system == dv_tables.SYSTEM:
        table = dv_tables.table_named(scene.entity)
        dv_tables.edit(session, dv_tables.get(session, table, scene.key), scene.changes, kind=PERSON)
        return
    record = sap_tables.find(session, scene.entity, scene.key)
    sap_tables.edit(session, record, scene.changes, kind=PERSON)


def _scene(system: str, at: float, order: str) -> Scene:
    if system == dv_tables.SYSTEM:
        return Scene(at, system, "salesorder", dv_tables.id_of("salesorder", order), {"new_onhold": True})
    return Scene(at, system, "A_SalesOrder", sap_tables.digits(order), {"TotalCreditCheckStatus": "B"})


def _free(session: Session) -> list[str]:
    """Return the numbers of open orders that nothing is wrong with, of customers who owe nothing overdue."""
    wrong = {fact.order for fact in planted(int(session.meta("seed")), date.fromisoformat(session.meta("today")))}
    paid = {
        (row.fields["dataAreaId"], row.fields["CustomerAccount"])
        for row in session.records("fo", "CustomersV3")
        if not row.fields["OverdueAmount"]
    }
    return [
        str(row.fields["SalesOrderNumber"])
        for row in session.records("fo", "SalesOrderHeadersV2")
        if row.fields["CreditHold"] == "No"
        and row.fields["SalesOrderStatus"] != "Invoiced"
        and row.fields["SalesOrderNumber"] not in wrong
        and (row.fields["dataAreaId"], row.fields["OrderingCustomerAccountNumber"]) in paid
    ]
