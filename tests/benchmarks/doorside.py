"""What is measured from inside: a call through the door beside the same request without it, and a long poll.

Run as ``python -m tests.benchmarks.doorside overhead|hooks|kept|poll PORT NUMBER`` with the installation's environment.
Prints one line of JSON.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import django

from tests.benchmarks.rivals import peak_mb

CASE = "00000000-0000-0000-0000-000000000001"
ACTOR = "system:bench"
WARM = 20  # the first calls open lines and fill caches


def overhead(port: int, calls: int) -> dict[str, object]:
    """Time single reads in turn, in milliseconds: bare, through the door, and with budget, rate and breaker."""
    import httpx

    from connectors.door.models import Budget, Gate

    bare = httpx.Client(trust_env=False)
    headers = {"Authorization": "Bearer token-of-the-target", "Accept": "application/json"}
    address = f"http://127.0.0.1:{port}/api/data/v9.2/incidents({CASE})"
    plain = _environment("plain", port)
    full = _environment("full", port, rate_calls=1_000_000, rate_seconds=1)
    Budget.objects.create(connection=full, calls=10_000_000, time_zone="Europe/Berlin", spike=3.0)
    _read(full)
    # A failure that is not forgotten: the breaker looks at every call, as on a bad day.
    unwell = Gate.objects.filter(connections=full)
    ways: dict[str, Callable[[], object]] = {
        "bare": lambda: bare.get(address, headers=headers).json(),
        "plain": lambda: _read(plain),
        "full": lambda: _read(full),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(calls + WARM):
        unwell.update(failures=1)
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            if turn >= WARM:
                times[name].append((time.perf_counter() - started) * 1000)
    return {name: median(values) for name, values in times.items()}


def _environment(slug: str, port: int, **columns: Any) -> Any:
    from connectors import actions

    url = f"http://127.0.0.1:{port}"
    config = {
        "environment_url": url, "authority": url, "tenant": "bench", "client_id": slug, "tables": "incident",
        "tracked": "incident(title,ticketnumber,description,statecode,prioritycode)",
    }  # fmt: skip
    secrets = {"client_secret": f"the-secret-of-{slug}"}
    return actions.create_connection(slug, "dataverse", actor=ACTOR, secrets=secrets, config=config, **columns)


def _read(connection: Any) -> Any:
    from connectors import gateway

    return gateway.call(connection, "record.get", {"table": "incident", "id": CASE}, actor=ACTOR)


def hooks(_port: int, _number: int) -> dict[str, object]:
    """Make the connections whose webhooks come in."""
    from connectors import actions
    from tests.benchmarks.hooks import WAYS

    for way in WAYS.values():
        actions.create_connection(way.slug, way.kind, actor=ACTOR, config=way.config, **way.secrets)
    return {"made": len(WAYS)}


def kept(_port: int, _number: int) -> dict[str, object]:
    """Count what came in."""
    from connectors.models import Delivery

    return {"kept": Delivery.objects.count()}


def poll(port: int, rows: int) -> dict[str, object]:
    """Poll until every changed record is kept. Seconds, and how far the memory rose above what it was, in MB."""
    from django.db.models import Sum

    from connectors.inbound import polling
    from connectors.models import Call, Connection, Delivery

    connection = _environment("news", port)
    before, started, polls, peaks, found = peak_mb(), time.perf_counter(), 0, [0.0], 0
    while found < rows and polls < 100:
        polling.poll_one(Connection.objects.get(pk=connection.pk))
        polls += 1
        peaks.append(peak_mb() - before)
        found = Delivery.objects.filter(connection=connection).count()
    seconds = time.perf_counter() - started
    asked = Call.objects.aggregate(all=Sum("requests"))["all"]
    sums = {"kept": found, "seconds": seconds, "polls": polls, "requests": asked}
    return {**sums, "memory": peaks[-1], "memory_first": peaks[1] if polls else 0.0}


def main() -> None:
    """Do what the command line names."""
    command, port, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    from django.conf import settings

    settings.OUTBOUND_ALLOW = [f"127.0.0.1:{port}"]
    settings.DEBUG = False  # it keeps every statement, with all the rows in it
    print(json.dumps({"overhead": overhead, "hooks": hooks, "kept": kept, "poll": poll}[command](port, number)))


if __name__ == "__main__":
    main()
