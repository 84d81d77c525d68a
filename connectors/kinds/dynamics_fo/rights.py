"""Which data entities of F&O each operation reads and changes, and what takes each change back."""

from collections.abc import Mapping
from typing import Any

from connectors.kinds.dynamics_fo import asking, reissues
from connectors.kinds.dynamics_fo.reads import QUERIES
from connectors.kinds.dynamics_fo.writes import SENDINGS
from connectors.kit import declaredactions, finding
from connectors.kit.needs import Needs, Told

ALWAYS = (
    (
        "the app registration under System administration > Setup > Microsoft Entra applications, mapped to a user of"
        " its own whose roles hold no more than what follows"
    ),
)
_ORDER, _INVOICE, _NOTE = "SalesOrderHeadersV2", "SalesInvoiceHeadersV2", "FreeTextInvoiceHeaders"
_LASTING = {"reissue.reverse": "What was billed anew and credited again is billed by a person."}
# Looked at before a change, after it, and in search of what became of it.
_LOOKED_AT = {
    "invoice.credit": (_INVOICE, "CustomersV3", _NOTE),
    "credit_note.reverse": (_NOTE, _INVOICE, "CustomersV3"),
    "charge.update": ("SalesOrderCharges", _ORDER),
    "hold.release": (_ORDER,),
    "hold.place": (_ORDER,),
    "line.set_price": ("SalesOrderLines", _ORDER),
    "line.set_warehouse": ("SalesOrderLines", "WarehousesOnHand"),
    "order.set_delivery_mode": (_ORDER,),
    "vendor_invoice.set_hold": ("VendorInvoiceHeaders", "VendorInvoiceLines"),
    "vendor.set_hold": ("VendorsV2",),
    "customer.set_hold": ("CustomersV3",),
    "invoice.reissue": (_INVOICE, "SalesInvoiceLines", _NOTE, "CustomersV3"),
    "reissue.reverse": (_NOTE, _INVOICE, "SalesInvoiceLines", "CustomersV3"),
}
_UNDONE_BY = {
    "invoice.credit": "credit_note.reverse",
    "credit_note.reverse": "invoice.credit",
    "hold.release": "hold.place",
    "hold.place": "hold.release",
}
_UNDONE_BY_ANOTHER = {"invoice.reissue": ("reissue.reverse",)}
_EACH = "each entity that the connection opens for changes"
_OPENED = {
    "record.update": Needs((f"{_EACH}: update", f"{_EACH}: read"), ("record.update",)),
    "record.create": Needs((f"{_EACH}: create", f"{_EACH}: read"), ("record.remove",)),
    "record.remove": Needs((f"{_EACH}: delete", f"{_EACH}: read"), ("record.create",)),
    "action.call": Needs(("each action that the connection declares: call", f"{_EACH}: read"), ("action.call",)),
}


def needs(settings: Any) -> Told:
    """Return the entities by operation; what a write sets again with other values takes itself back."""
    found = {name: Needs((f"{query.entity}: read",)) for name, query in QUERIES.items()}
    found[asking.ASK.name] = Needs(("each entity that a saved query asks for: read",))
    opened = finding.rights(settings.may_find(), "read", "each entity that the connection opens for finding")
    found["record.find"] = Needs(opened)
    for name, sending in SENDINGS.items():
        change = f"{sending.entity}: call {sending.action}" if sending.action else f"{sending.entity}: update"
        reads = tuple(f"{entity}: read" for entity in _LOOKED_AT[name])
        found[name] = Needs((change, *reads), (_UNDONE_BY.get(name, name),))
    for name, (entity, action) in reissues.ACTIONS.items():
        reads = tuple(f"{entity}: read" for entity in _LOOKED_AT[name])
        found[name] = Needs((f"{entity}: call {action}", *reads), _UNDONE_BY_ANOTHER.get(name, ()))
    return Told(ALWAYS, found | _OPENED)


def lasting(settings: Any, operation: str, parameters: Mapping[str, Any]) -> str:
    """Return why nothing takes a write back; of a declared action, in the words of its declaration."""
    return _LASTING.get(operation) or declaredactions.lasting(settings, operation, parameters)
