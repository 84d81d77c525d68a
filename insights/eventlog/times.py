"""Stamps of any kind as UTC, said in SQL."""

from datetime import datetime, timedelta

# Nothing that a business system did is older; what is, is a placeholder such as year 0001.
EARLIEST = "TIMESTAMP '1900-01-01'"
# Clocks differ by hours and zones by a day; an event beyond that has not happened yet.
TOLERATED = timedelta(days=1)
# The day stands before the month, or after it: what a column uses is told by its mapping, never mixed.
_TIME = ("%H:%M:%S.%f", "%H:%M:%S", "%H:%M")
_TWELVE = ("%I:%M:%S %p", "%I:%M %p")


def patterns(time_format: str) -> list[str]:
    """Return the patterns that a format of the mapping stands for: with and without seconds, 12 and 24 hours."""
    day, _, clock = time_format.partition(" ")
    if not clock or any(part in time_format for part in ("%z", "%Z")):
        return [time_format]
    others = [f"{day} {each}" for each in (*_TIME, *_TWELVE)]
    return list(dict.fromkeys([time_format, *others, day]))


def as_utc(column: str, kind: str, time_format: str, zone: str) -> tuple[str, list[object]]:
    """Return SQL that reads ``column`` (our own name, of DuckDB type ``kind``) as UTC without zone, and its parameters.

    What cannot be read is NULL. Text and stamps without a zone are meant in ``zone``, which the workbench has set.
    """
    if kind == "VARCHAR" and time_format and not time_format.startswith("epoch_"):
        return _in_utc(f"try_cast(try_strptime(trim({column}), ?) AS TIMESTAMPTZ)", zone), [patterns(time_format)]
    if time_format.startswith("epoch_") or kind.rstrip("0123456789") in {"BIGINT", "INTEGER", "UBIGINT", "DOUBLE"}:
        scale = 1_000_000 if time_format == "epoch_s" else 1000
        return f"make_timestamp(try_cast(round(try_cast({column} AS DOUBLE) * {scale}) AS BIGINT))", []
    if zone == "UTC" and (kind == "DATE" or (kind.startswith("TIMESTAMP") and "TIME ZONE" not in kind)):
        return f"try_cast({column} AS TIMESTAMP)", []
    return _in_utc(f"try_cast({column} AS TIMESTAMPTZ)", zone), []


def _in_utc(expression: str, zone: str) -> str:
    # The cast takes the session's zone: in UTC it costs nothing, elsewhere the zone must be said.
    return f"({expression})::TIMESTAMP" if zone == "UTC" else f"timezone('UTC', {expression})"


def latest(now: datetime) -> datetime:
    """Return the last moment that an event may have, without a zone."""
    return now.replace(tzinfo=None) + TOLERATED
