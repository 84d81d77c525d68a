"""The signals that are sent: the same ones on every run, machine and database."""

import json
import random
from collections.abc import Iterator

REGIONS = {"EU": ("DE", "NL", "FR"), "US": ("US-EAST", "US-WEST")}
CURRENCY = {"EU": "EUR", "US": "USD"}
# A kind that no pack declares: what is measured is intake, not one playbook's evidence reads.
CODE = "bench_exception"


def event(run: str, number: int, key: int) -> dict[str, object]:
    """One CloudEvent. Equal ``key`` within a run means the same problem; ``number`` makes the event's id unique."""
    unit = "EU" if key % 5 else "US"
    regions = REGIONS[unit]
    amount = f"{100 + key % 9000}.{key % 100:02d}"
    return {
        "specversion": "1.0",
        "id": f"{run}-{number}",
        "source": f"/bench/{run}",
        "type": "goldseam.bench.exception",
        "time": f"2026-03-{1 + number % 28:02d}T08:{number % 60:02d}:00Z",
        "datacontenttype": "application/json",
        "data": {
            "code": CODE,
            "entity_type": "sales_order",
            "entity_key": f"{run}-SO-{key:07d}",
            "attributes": {"carrier": f"C{key % 12:02d}", "delivery_mode": "ROAD" if key % 2 else "AIR"},
            "amount": {"amount": amount, "currency": CURRENCY[unit]},
            "business_unit": unit,
            "region": regions[key % len(regions)],
            "text": f"Freight on order {key} differs from the agreed rate by {amount}.",
        },
    }


def keys_with_duplicates(signals: int, keys: int) -> list[int]:
    """Every key once and the rest as repeats of them, shuffled the same way each time."""
    if keys > signals:
        raise ValueError(f"{keys} keys do not fit into {signals} signals.")
    shuffle = random.Random(7)
    drawn = [*range(keys), *(shuffle.randrange(keys) for _ in range(signals - keys))]
    shuffle.shuffle(drawn)
    return drawn


def singles(run: str, signals: int, keys: int) -> list[bytes]:
    """Bodies of single signals."""
    return [_json(event(run, number, key)) for number, key in enumerate(keys_with_duplicates(signals, keys))]


def batches(run: str, signals: int, keys: int, size: int) -> list[bytes]:
    """Bodies of CloudEvents batches over the same mixture."""
    events = [event(run, number, key) for number, key in enumerate(keys_with_duplicates(signals, keys))]
    return [_json(events[start : start + size]) for start in range(0, len(events), size)]


def distinct(run: str, count: int, size: int) -> Iterator[bytes]:
    """Batches in which every signal is a problem of its own: they fill the inbox."""
    for start in range(0, count, size):
        yield _json([event(run, number, number) for number in range(start, min(start + size, count))])


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
