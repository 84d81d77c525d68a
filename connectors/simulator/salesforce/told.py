"""What the simulated org tells by itself: outbound messages about cases, change events about accounts and orders.

Facts (wire: salesforce 6 and 7): an outbound message carries the record as it stands when it is sent, is known by its
Notification/Id and comes again until it is acknowledged; a change event carries a ChangeEventHeader and the fields that
changed, what was emptied stands in ``nulledFields``, and its replay id is opaque. Relayed as JSON, as something of the
subscriber's own would do it: Salesforce itself speaks Pub/Sub API or CometD.
"""

from __future__ import annotations

import json
from datetime import datetime

from connectors.simulator.news import Change, Message
from connectors.simulator.salesforce import outbound as sf_outbound
from connectors.simulator.salesforce import sobjects
from connectors.simulator.store import Fields, Store

SYSTEM = "sf"
BY_MESSAGE, BY_EVENT = "Case", ("Account", "Order")
VERBS = {"Create": "CREATE", "Update": "UPDATE", "Delete": "DELETE"}
_STAMPS = {"LastModifiedDate", "SystemModstamp"}


def message_of(change: Change, store: Store) -> Message | None:
    """Say how the org tells of a change; ``None`` where it tells nobody."""
    if change.entity in BY_EVENT:
        return _event(change)
    if change.entity != BY_MESSAGE or change.after is None:
        return None
    with store.read() as session:
        record = session.get(SYSTEM, BY_MESSAGE, str(change.after["Id"]))
    if record is None:
        return None  # it went before it could be told of
    headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'}
    return Message(sf_outbound.notification_id(record), sf_outbound.message([record]), headers)


def _event(change: Change) -> Message:
    before, after = change.before or {}, change.after or {}
    changed = [name for name in sobjects.SOBJECTS[change.entity].fields if before.get(name) != after.get(name)]
    named = [name for name in changed if name not in {"Id", *_STAMPS}]
    header: Fields = {
        "entityName": change.entity,
        "recordIds": [change.record["Id"]],
        "changeType": VERBS[change.verb],
        "changeOrigin": "com/salesforce/api/rest/62.0",
        "transactionKey": change.id("transaction"),
        "sequenceNumber": 1,
        "commitTimestamp": int(datetime.fromisoformat(change.time).timestamp() * 1000),
        "commitNumber": change.number,
        "commitUser": "005gs0000000001AAA",
        "nulledFields": [name for name in named if change.after is not None and after.get(name) is None],
        "diffFields": [],
        "changedFields": named if change.verb == "Update" else [],
    }
    told = {name: after[name] for name in named if after.get(name) is not None}
    payload = {"ChangeEventHeader": header, **told, "LastModifiedDate": change.record.get("LastModifiedDate")}
    body = {"payload": payload, "event": {"replayId": change.number}, "channel": f"/data/{change.entity}ChangeEvent"}
    return Message(change.id("change"), json.dumps(body).encode(), {"Content-Type": "application/json"})
