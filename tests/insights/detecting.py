"""Detectors for tests: a log with known faults, definitions, and what a look at a moment tells."""

from datetime import datetime, timedelta
from typing import Any

from insights.detectors import actions
from insights.detectors.definitions import read
from insights.detectors.findings import Looked
from insights.detectors.looking import World, look
from insights.detectors.models import Detector
from tests.insights.factories import at, make_log, path

LONG_AGO = at(-24 * 3650)


def definition(rule: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A definition with generous limits, so that nothing is hidden by accident."""
    limits = {"cap": 100, "cool_down_hours": 0, "look_back_days": 3660, **more.pop("limits", {})}
    return {"rule": rule, "limits": limits, **more}


def looked(
    log: Any, rule: dict[str, Any], *, now: datetime | None = None, since: datetime = LONG_AGO, **more: Any
) -> Looked:
    """What a rule finds in a log at ``now``, by default at its end."""
    return look(read(definition(rule, **more)), World(log, now or log.last_at), since)


def cases(found: Looked) -> list[str]:
    """The cases that were found, in the order of their time."""
    return [one.entity for one in found.findings]


def finished(log: Any) -> Any:
    """Let the log know its first and last event, as an import does."""
    from insights.mining.asking import EVERYTHING, ask
    from insights.mining.cases import _moment

    low, high = ask(log, EVERYTHING, "SELECT min(e.at), max(e.at) FROM events e")[0]
    log.first_at, log.last_at = _moment(low), _moment(high)
    log.save()
    return log


def orders(**changes: Any) -> Any:
    """Six orders: 1 as it should be, 2 pays twice too often, 3 ships unpaid, 4 goes on after its end, 5 waits, 6 is one
    person's work."""
    usual = ("Create", "Approve", "Ship", "Pay", "Close")
    rows = [
        *path("1", *usual, start=0, step=10, customer="C1", amount=100.0, user="ann"),
        *path("2", "Create", "Approve", "Pay", "Pay", "Pay", "Ship", "Close", start=5, step=5,
              customer="C2", amount=250.5, user="bob"),
        *path("3", "Create", "Ship", "Close", start=20, step=4, customer="", amount=75.0, user="cid"),
        *path("4", *usual, "Pay", start=30, step=6, customer="C1", amount=990.0, user="ann"),
        *path("5", "Create", "Approve", start=40, step=100, customer="C3", amount=10.0, user="dee"),
        *path("6", *usual, start=60, step=12, customer="C4", amount=500.0, user="eve"),
    ]  # fmt: skip
    people = {("Approve", "1"): "zoe", ("Approve", "2"): "zoe", ("Approve", "4"): "zoe", ("Approve", "5"): "zoe"}
    told = [
        (case, name, when, {**more, "user": people.get((name, case), more["user"])}) for case, name, when, more in rows
    ]
    return finished(make_log(told, case_attributes=["customer", "amount"], **changes))


def make_detector(
    by: Any, log: Any, rule: dict[str, Any] | None = None, *, label: str = "Loops", **more: Any
) -> Detector:
    """A detector that is switched off, by default for orders that are paid more than once."""
    rule = rule or {"kind": "pattern", "pattern": "loop", "activity": "Pay", "times": 1}
    return actions.create(label=label, definition=definition(rule, **more), by=by, log=log)


def days(number: float) -> timedelta:
    """So many days."""
    return timedelta(days=number)


def write_later(log: Any, *events: Any, **more: Any) -> None:
    """Let further events come into a log, as another import would bring them."""
    from tests.insights.factories import write_tables

    told = _told(log) + [(*event, more) for event in events]
    log.generation += 1
    write_tables(log, told)
    finished(log)


def _told(log: Any) -> list[Any]:
    from insights.mining.cases import cases as listed
    from insights.mining.cases import one_case

    found = [one_case(log, one.case) for one in listed(log, most=1000).results]
    return [
        (one.case.case, event.activity, event.at, {**one.attributes, **event.attributes})
        for one in found if one for event in one.events
    ]  # fmt: skip
