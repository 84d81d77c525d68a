"""Access tokens of the two simulated systems: issued, checked, expired on demand.

Facts (wire: dynamics-fo 2, dataverse 1, salesforce 1): client credentials; Entra says when a token ends, Salesforce
does not; an unknown or ended token is a 401 in the system's own shape.
"""

from __future__ import annotations

import secrets
import time

from connectors.simulator.store import Store

LIFETIME = 3600.0


def issue(store: Store, system: str, *, prefix: str, usable: bool = True) -> str:
    """Make a token that lives one hour; an unusable one is issued but never accepted."""
    token = prefix + secrets.token_urlsafe(32)
    with store.write() as session:
        session.connection.execute(
            "INSERT INTO tokens VALUES(?,?,?)", (token, system if usable else f"{system}:other", time.time() + LIFETIME)
        )
    return token


def accepts(store: Store, system: str, authorization: str | None) -> bool:
    """Tell whether an Authorization header holds a living token of this system."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        return False
    with store.read() as session:
        row = session.connection.execute(
            "SELECT expires_at FROM tokens WHERE token=? AND system=?", (token.strip(), system)
        ).fetchone()
    return row is not None and row[0] > time.time()


def expire(store: Store, system: str | None = None) -> int:
    """End every token, of one system or of all; says how many."""
    with store.write() as session:
        cursor = session.connection.execute("DELETE FROM tokens WHERE system=? OR ? IS NULL", (system, system))
        return int(cursor.rowcount)
