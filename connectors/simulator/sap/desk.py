"""The outsider's side of the simulated SAP system: locks, delays, expired tokens, what is done later.

What is wished for is what SAP does by itself at its own time (wire: sap): locks, IDocs and one-way messages that are
taken up later, and CSRF tokens that expire.
"""

from __future__ import annotations

from connectors.simulator.messages import Refusal
from connectors.simulator.sap import later as sap_later
from connectors.simulator.sap.service import CSRF
from connectors.simulator.store import Fields, Store

WISHES = {"lock", "user", "unlock", "delay", "process", "expire_csrf", "repeatability", "outdate"}


def wish(store: Store, body: Fields) -> Fields:
    """Do what an outsider asks: `{"lock": "4711"}`, `{"delay": 60}`, `{"process": true}`, `{"expire_csrf": true}`…"""
    if unknown := set(body) - WISHES:
        raise Refusal(400, f"Unknown field '{min(unknown)}'; known: {', '.join(sorted(WISHES))}.")
    delay = body.get("delay")
    if delay is not None and (isinstance(delay, bool) or not isinstance(delay, int | float) or not 0 <= delay <= 86400):
        raise Refusal(400, "'delay' must be seconds between 0 and 86400.")
    done: Fields = {}
    with store.write() as session:
        if body.get("lock"):
            session.set_meta(f"sap:lock:{body['lock']}", str(body.get("user") or "WHCLERK"))
        if body.get("unlock"):
            session.set_meta(f"sap:lock:{body['unlock']}", "")
        if delay is not None:
            session.set_meta("sap:delay", str(delay))
        if "repeatability" in body:
            session.set_meta("sap:repeatability", "on" if body["repeatability"] else "")
        if body.get("outdate"):
            session.set_meta(f"sap:request:{body['outdate']}", "outdated")
        if body.get("expire_csrf"):
            done["expired"] = int(session.connection.execute("DELETE FROM tokens WHERE system=?", (CSRF,)).rowcount)
    if body.get("process"):
        done["processed"] = sap_later.process(None, store, everything=True)
    return done
