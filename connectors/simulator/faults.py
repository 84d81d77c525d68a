"""Bad days on demand: which fault meets a request, chosen by a rule in the store or by a header of the request.

A fault is drawn as the system that it meets draws it (wire: errors and limits of each): 429 with Retry-After in F&O,
Dataverse, SAP and Slack, 403 REQUEST_LIMIT_EXCEEDED in Salesforce; most refusals of Slack are a 200 that says no; a
lock is refused as each of them refuses one.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Any

from connectors.simulator.messages import Refusal, Request
from connectors.simulator.store import Fields, Session

FAULT_HEADER = "X-Sim-Fault"
SYSTEMS = {"fo": "fo", "dynamics_fo": "fo", "sf": "sf", "salesforce": "sf", "dv": "dv", "dataverse": "dv", "sap": "sap"}
SYSTEMS |= {"slack": "slack", "teams": "teams", "receiver": "receiver", "mail": "mail"}
# Status faults answer in the system's own error shape and change nothing.
STATUSES = {"401", "403", "404", "409", "410", "412", "415", "422", "429", "500", "502", "503", "504"}
COMMITTING = {"ok", "commit_then_reset", "commit_then_timeout", "commit_then_503", "slow", "stale"}
BEFORE = {"fail_before", "reset_before", "timeout_before", "lock", "html"}
FAULTS = COMMITTING | BEFORE | STATUSES
LONGEST = 3600.0
SECONDS = {"slow": 2.0, "commit_then_timeout": 30.0, "timeout_before": 30.0, "429": 2.0}


@dataclass(frozen=True)
class Fault:
    """One fault on one request; `seconds` is its delay, or the Retry-After of a 429."""

    name: str
    seconds: float


def applies(name: str, request: Request) -> bool:
    """Tell whether a fault makes sense here: only reads are stale, only writes meet a lock."""
    if name == "stale":
        return request.method == "GET" or request.segments[-1] == "composite"
    return name != "lock" or request.method != "GET"


def is_token(request: Request) -> bool:
    """Tell whether a request asks for a token."""
    return request.method == "POST" and request.segments[-1] == "token"


def from_header(request: Request) -> Fault | None:
    """Read `X-Sim-Fault: name` or `name:seconds`."""
    text = request.header(FAULT_HEADER)
    if not text:
        return None
    name, _, seconds = text.strip().partition(":")
    if name not in FAULTS:
        raise Refusal(400, f"Unknown fault '{name}'.")
    try:
        wanted = float(seconds) if seconds else SECONDS.get(name, 0.0)
    except ValueError:
        wanted = -1.0
    # Written so that it is false for NaN too: no thread can wait for that long.
    if not 0 <= wanted <= LONGEST:
        raise Refusal(400, f"Bad seconds in {FAULT_HEADER}: '{seconds}'.")
    return Fault(name, wanted)


def choose(session: Session, system: str, request: Request) -> Fault | None:
    """Give the first rule that fires for a request; its draws are numbered, so a seed repeats itself."""
    rules = session.connection.execute(
        "SELECT id, match, fault, probability, seconds, count, seed, draws, fired FROM faults "
        "WHERE (system IS NULL OR system=?) AND (count IS NULL OR fired<count) ORDER BY id",
        (system,),
    ).fetchall()
    for rule, match, name, probability, seconds, _count, seed, draws, _fired in rules:
        # Without a match a rule leaves tokens alone: its count is meant for the calls themselves.
        if (not match and is_token(request)) or not re.search(match, request.readable) or not applies(name, request):
            continue
        fires = random.Random(f"{seed}:{rule}:{draws}").random() < probability  # noqa: S311
        session.connection.execute("UPDATE faults SET draws=draws+1, fired=fired+? WHERE id=?", (int(fires), rule))
        if fires:
            return Fault(name, SECONDS.get(name, 0.0) if seconds is None else seconds)
    return None


def add(session: Session, body: Fields) -> int:
    """Store a rule; answers its id."""
    name = str(body.get("fault", ""))
    if name not in FAULTS:
        raise Refusal(400, f"Unknown fault '{name}'; known: {', '.join(sorted(FAULTS))}.")
    unknown = set(body) - {"system", "match", "fault", "probability", "seconds", "count", "seed"}
    if unknown:
        raise Refusal(400, f"Unknown field '{min(unknown)}'.")
    match = body.get("match") or ""
    try:
        re.compile(match)
    except (re.error, TypeError):
        raise Refusal(400, f"'{match}' is not a regular expression.") from None
    row = (
        system_named(body["system"]) if body.get("system") else None,
        match,
        name,
        _number(body, "probability", 1.0, most=1.0),
        _number(body, "seconds", None, most=LONGEST),
        _number(body, "count", None),
        int(_number(body, "seed", 0) or 0),
    )
    cursor = session.connection.execute(
        "INSERT INTO faults(system, match, fault, probability, seconds, count, seed) VALUES(?,?,?,?,?,?,?)", row
    )
    return int(cursor.lastrowid or 0)


def _number(body: Fields, name: str, default: float | None, *, most: float = 2**53) -> float | None:
    value: Any = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise Refusal(400, f"'{name}' must be a number between 0 and {most:g}.")
    return value


def system_named(name: object) -> str:
    """Give a system's short name, such as `fo` or `sf`."""
    found = SYSTEMS.get(str(name))
    if found is None:
        raise Refusal(400, f"Unknown system '{name}'; known: {', '.join(sorted(set(SYSTEMS.values())))}.")
    return found


def listed(session: Session) -> list[Fields]:
    """List the rules with how often each was asked and fired."""
    names = ("id", "system", "match", "fault", "probability", "seconds", "count", "seed", "draws", "fired")
    rows = session.connection.execute(f"SELECT {', '.join(names)} FROM faults ORDER BY id")
    return [dict(zip(names, row, strict=True)) for row in rows]
