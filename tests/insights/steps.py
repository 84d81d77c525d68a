"""Step logs for tests: a clerk's task between mail and ERP, done the same or nearly the same way."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from insights.tasklog import actions, running
from insights.tasklog.models import TaskLog
from tests.factories import make_user

EIGHT = datetime(2026, 3, 2, 8, tzinfo=UTC)
HEAD = "user,application,element,action,value,timestamp"
# (application, element, action, value); {n} becomes the number of the invoice.
USUAL = (
    ("Outlook", "Mail body", "copy", "INVOICE-{n}"),
    ("SAP GUI", "Invoice no", "paste", "INVOICE-{n}"),
    ("SAP GUI", "Amount", "edit", "123.45"),
    ("SAP GUI", "Save", "click", ""),
)
OTHER = (USUAL[0], USUAL[1], USUAL[3], USUAL[2])


def lines(
    people: Sequence[str], *, times: int = 3, ways: Sequence[Sequence[tuple[str, str, str, str]]] = (USUAL,)
) -> Iterable[str]:
    """Each of ``people`` does the task ``times`` times, ten seconds a step, in the ways given by turns."""
    for who, name in enumerate(people):
        for turn in range(times):
            at = EIGHT + timedelta(days=7 * (turn % 3), hours=who % 8, minutes=4 * turn)
            for application, element, action, value in ways[turn % len(ways)]:
                said = value.format(n=f"{who:03d}{turn:03d}")
                yield f"{name},{application},{element},{action},{said},{at.isoformat()}"
                at += timedelta(seconds=10)


def as_csv(rows: Iterable[str]) -> list[bytes]:
    """The chunks of a file with these lines."""
    return ["\n".join([HEAD, *rows, ""]).encode()]


def clerks(count: int) -> list[str]:
    """The names of so many people."""
    return [f"clerk.{number:02d}@firm.example" for number in range(count)]


def make_task_log(chunks: Iterable[bytes] | None = None, *, mined: bool = True, by=None, **more) -> TaskLog:
    """A task log of six clerks who do one task three times each, mined."""
    given = as_csv(lines(clerks(6))) if chunks is None else chunks
    log = actions.receive(given, name="Invoices", by=by or make_user("owner", role="automation_admin"), **more)
    return running.run(log.pk) if mined else log
