"""What hostile input costs, measured from inside: CPU seconds of a first pass, peak memory of a second.

Run as ``python -m tests.benchmarks.hostileside`` with the installation's environment. Prints one line of JSON: of each
family how many there are, and the worst of them.
"""

import json
import os
import time
import tracemalloc
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import django

Case = tuple[str, Callable[[], object]]


def families() -> dict[str, list[Case]]:
    """Return what is thrown at which reader, family by family."""
    from connectors.kinds.mail import reading
    from connectors.kinds.mail.settings import MailConfig
    from connectors.kinds.openapi.reading import read
    from connectors.talk.mentions import mentioned
    from connectors.wire.payloads import loads_answer
    from tests.connectors import hostile
    from tests.connectors.mail_world import NUMBERS, OURS

    config = MailConfig(address=OURS, numbers=NUMBERS)
    return {
        "bomb at a hook": [
            (f"{bomb} at {slug}", partial(hostile.thrown, slug, bomb)) for slug, bomb in hostile.HIT
        ],
        "bomb in an answer": [(name, partial(loads_answer, body)) for name, body in hostile.ANSWERS.items()],
        "hostile mail": _numbered(partial(reading.read, raw, config) for raw in hostile.MAILS),
        "hostile text for numbers": [
            (name, partial(mentioned, text, hostile.SHAPES)) for name, text in hostile.TEXTS.items()
        ],
        "hostile API document": _numbered(partial(read, text) for text, _ in hostile.DOCUMENTS),
        "endless schema": _numbered(partial(hostile.built, schemas) for schemas in hostile.SCHEMAS),
    }  # fmt: skip


def _numbered(acts: Iterable[Callable[[], object]]) -> list[Case]:
    return [(f"number {number}", act) for number, act in enumerate(acts)]


def worst(cases: list[Case]) -> dict[str, Any]:
    """Run every case twice and return the slowest and the largest: CPU seconds, and MB above what was in use."""
    found = [(name, *_cost(act)) for name, act in cases]
    slowest, largest = max(found, key=lambda one: one[1]), max(found, key=lambda one: one[2])
    return {
        "count": len(found), "seconds": slowest[1], "slowest": slowest[0], "memory": largest[2], "largest": largest[0],
    }  # fmt: skip


def _cost(act: Callable[[], object]) -> tuple[float, float]:
    began = time.process_time()
    _carried_out(act)
    seconds = time.process_time() - began
    tracemalloc.start()
    _carried_out(act)
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return seconds, memory / 1024**2


def _carried_out(act: Callable[[], object]) -> None:
    # BadPayload and Unusable are ValueErrors: that it is refused is the tests' to hold.
    with suppress(ValueError):
        act()


def main() -> None:
    """Make the connections whose hooks are hit, and measure."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.conf import settings

    from tests.connectors.factories import HOOK_SECRET, make_crm, make_fo
    from tests.connectors.sap_world import make_sap

    settings.ALLOWED_HOSTS = ["*"]
    settings.DEBUG = False
    for slug, make in (("crm", make_crm), ("fo", make_fo), ("sap", make_sap)):
        make(slug=slug, hook_secret=HOOK_SECRET)
    print(json.dumps({name: worst(cases) for name, cases in families().items()}))


if __name__ == "__main__":
    main()
