"""Lines of the ledger for its own tests."""

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection, transaction

from audit.actions import record
from audit.models import BusinessUnit, Entry


def make_entry(verb: str = "incident.opened", **changes: Any) -> Entry:
    """One entry in a transaction of its own."""
    told: dict[str, Any] = {"actor": "operator", "target": "INC-1", "reason": "because", **changes}
    with transaction.atomic():
        return record(verb, **told)


def make_entries(count: int) -> list[Entry]:
    """A chain of entries that differ."""
    return [
        make_entry(f"incident.step{number}", incident=number, after={"status": "triaged", "n": number})
        for number in range(1, count + 1)
    ]


def make_unit(slug: str = "EU", **changes: Any) -> BusinessUnit:
    told: dict[str, Any] = {"name": "Europe", "regions": ["DE", "NL", "FR"], "currency": "EUR", **changes}
    return BusinessUnit.objects.create(slug=slug, **told)


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Run ``work(0)`` … at once, each with its own database connection; return results or exceptions in order."""
    results: list[Any] = [None] * count
    start = threading.Barrier(count)

    def run(number: int) -> None:
        start.wait(timeout=20)
        try:
            results[number] = work(number)
        except Exception as error:  # noqa: BLE001 - the test looks at what came of each
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return results
