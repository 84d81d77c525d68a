"""Goldseam on the same file: ``python -m tests.benchmarks.mining_ours FILE``; prints laps as JSON."""

import json
import sys
import time
from typing import Any

import django

from tests.benchmarks.rivals import Counts, Laps, told

_COLUMNS = {"case": "case", "activity": "activity", "timestamp": "time"}


def measure(path: str) -> tuple[Laps, Counts]:
    """Import the file and ask the three questions, each for the first time; then the map once more."""
    from insights.actions import import_file
    from insights.mining.answers import kept
    from insights.mining.filters import EVERYTHING
    from insights.mining.process_map import process_map
    from insights.mining.rework import rework
    from insights.mining.variants import variants

    # Loading the libraries is left out of the others' times too.
    __import__("duckdb"), __import__("insights.eventlog.build")
    laps = Laps()
    log = import_file(path, mapping=_COLUMNS)
    if log.state != "ready":
        raise SystemExit(f"not imported: {log.error}")
    laps.lap("import")
    drawn = kept(process_map, log, EVERYTHING)
    laps.lap("map")
    ways = kept(variants, log, EVERYTHING, most=50)
    laps.lap("variants")
    again = kept(rework, log, EVERYTHING)
    laps.lap("rework")
    kept(process_map, log, EVERYTHING)
    laps.lap("map again")
    edges = {f"{edge.source} > {edge.target}": edge.count for edge in drawn.edges}
    counted: dict[str, Any] = {"edges": edges, "variants": [one.cases for one in ways.results], "total": ways.total}
    return laps, {**counted, "rework": {one.activity: one.cases for one in again.activities}, **_page(log)}


def _page(log: Any) -> dict[str, float]:
    """Return how long the map's address takes, from cache, as seconds."""
    from django.contrib.auth.models import User
    from rest_framework.test import APIClient

    client = APIClient(SERVER_NAME="127.0.0.1")
    client.force_authenticate(User.objects.get_or_create(username="bench", is_superuser=True)[0])
    address = f"/api/v1/event-logs/{log.pk}/process-map/"
    client.get(address)
    start = time.perf_counter()
    answer = client.get(address)
    spent = time.perf_counter() - start
    if answer.status_code != 200 or not json.loads(answer.content)["edges"]:
        raise SystemExit("the map was not answered")
    return {"page_seconds": spent}


if __name__ == "__main__":
    django.setup()
    print(told(*measure(sys.argv[1])))
