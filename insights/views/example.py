"""A small event log to try things on: orders that go well, some that wait for a credit check, some done twice."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

COLUMNS = ("order", "activity", "time", "user", "country", "customer group", "net amount")
ORDERS = 240
_FIRST = datetime(2026, 1, 5, 8, tzinfo=UTC)
_COUNTRIES = ("Germany", "Netherlands", "France", "Spain")
_GROUPS = ("Retail", "Wholesale", "Online")
_PEOPLE = ("ines", "jonas", "kira", "lars", "mila")


def rows() -> Iterator[tuple[str, ...]]:
    """Yield the lines after the head. Nothing is left to chance: everybody downloads the same file."""
    for number in range(ORDERS):
        yield from _order(number)


def _order(number: int) -> Iterator[tuple[str, ...]]:
    country, group = _COUNTRIES[number % 4], _GROUPS[number * 7 % 3]
    amount = f"{120 + number * 37 % 4100}.00"
    at = _FIRST + timedelta(hours=number * 9 % 2100, minutes=number * 13 % 60)
    for step, (activity, hours) in enumerate(_way(number, country, group)):
        at += timedelta(hours=hours, minutes=(number * 17 + step * 29) % 55)
        who = _PEOPLE[(number + step * (0 if number % 40 == 3 else 1)) % len(_PEOPLE)]
        yield f"SO-{1000 + number}", activity, at.isoformat(), who, country, group, amount


def _way(number: int, country: str, group: str) -> Iterator[tuple[str, float]]:
    """Yield each step of an order with the hours that it waited before."""
    yield "Sales order created", 0
    if group == "Wholesale":
        yield "Credit hold set", 1
        # The bottleneck: wholesale orders of one country are held for more than a week.
        yield "Credit hold released", 190 + number % 30 if country == "Spain" else 5
    yield "Sales order confirmed", 2
    if number % 9 == 4:
        # The rework: a price is changed, and the order is confirmed again.
        yield "Price changed", 20
        yield "Sales order confirmed", 6
    yield "Picking list posted", 10 + number % 6
    yield "Packing slip posted", 5
    yield "Invoice posted", 12
    if number % 31 == 12:
        yield "Credit note posted", 30
        return
    if number % 53 == 20:
        yield "Invoice posted", 0.2
    yield "Payment received", 24 * (14 + number % 5)
    yield "Payment settled", 3
