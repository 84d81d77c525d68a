"""Several at the same moment, each in a thread with database connections of its own."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import connections


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Begin all of ``works`` in the same moment and return, in their order, what each came to: a result or an error."""
    start = threading.Barrier(len(works))
    came: list[Any] = [None] * len(works)

    def run(number: int, work: Callable[[], Any]) -> None:
        try:
            start.wait(timeout=30)
            came[number] = work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
            came[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert not any(thread.is_alive() for thread in threads), "somebody waits for ever"
    return came


def together(*works: Callable[[], Any]) -> list[Any]:
    """Begin all of ``works`` in the same moment and return their results. Raises the first error."""
    came = at_once(*works)
    for one in came:
        if isinstance(one, Exception):
            raise one
    return came


def numbered(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Begin ``work(0)``, ``work(1)`` … in the same moment and return what each came to: a result or an error."""
    return at_once(*(partial(work, number) for number in range(count)))
