"""Which privileges on which tables each operation of Dataverse needs, and what takes each change back."""

from typing import Any

from connectors.kit import finding
from connectors.kit.needs import Needs, Told

ALWAYS = ("an application user for the client id with a security role of its own",)


def needs(settings: Any) -> Told:
    """Return the privileges by operation, on the tables that the connection names."""
    tables = ", ".join(sorted(settings.known_tables()))
    actions = ", ".join(sorted(settings.declared_actions())) or "none declared"
    read, write = f"{tables}: Read", f"{tables}: Write"
    linked = (f"{tables}: Append and Append To", write, read)
    return Told(
        ALWAYS,
        {
            "record.get": Needs((read,)),
            "record.by_key": Needs((read,)),
            "record.find": Needs(finding.rights(settings.may_find(), "Read", "each table that it may find records of")),
            "records.list": Needs((read,)),
            "records.related": Needs((read,)),
            "fetchxml.query": Needs(("each table that a saved query asks for: Read",)),
            "record.update": Needs((write, read), ("record.update",)),
            "records.update": Needs((write, read), ("records.update",)),
            "record.link": Needs(linked, ("record.link",)),
            "record.associate": Needs(linked, ("record.disassociate",)),
            "record.disassociate": Needs(linked, ("record.associate",)),
            "record.create": Needs((f"{tables}: Create", read), ("record.remove",)),
            "record.remove": Needs((f"{tables}: Delete", read), ("record.create",)),
            "case.tell": Needs(("annotation: Create, Read and Append", "incident: Read and Append To")),
            "action.call": Needs((f"execution of the declared actions: {actions}", read), ("action.call",)),
        },
    )
