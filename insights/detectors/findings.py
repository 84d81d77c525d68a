"""What a rule finds: when it could first be known, about what, and what it rests on."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from typing import Any

from django.utils.dateparse import parse_date, parse_datetime

# So many findings are told apart in one look; beyond them only counted.
MOST_FINDINGS = 2000
MOST_EVENTS = 20
TOO_MANY = f"More than {MOST_FINDINGS:,} cases; only the newest are told apart."


@dataclass(frozen=True)
class Finding:
    """One thing that was found. ``at`` is the first moment at which it could be known, by nothing later than itself.

    ``key`` is the same whenever the same thing is found again. ``values`` are the attributes of the case or the
    columns of the row; ``facts`` what the rule itself reckoned.
    """

    key: str
    at: datetime
    entity: str
    text: str
    score: float = 1.0
    case_no: int | None = None
    others: tuple[int, ...] = ()  # further cases that it rests on
    values: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    evidence: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Looked:
    """What one look came to: the findings in the order of their time, and what could not be judged or told."""

    findings: tuple[Finding, ...]
    until: datetime
    judged: int = 0  # values, cases or rows that were looked at
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    watermark: str = ""
    # Of a series: start of each value that was judged, and whether it stood out. For the false-alarm rate.
    judgements: tuple[tuple[datetime, bool], ...] = ()


def as_moment(value: Any) -> datetime | None:
    """Return a time or a day that a system told, aware, in UTC; ``None`` for what is neither."""
    try:
        if isinstance(value, str):
            day = parse_date(value)
            value = datetime.combine(day, time(), UTC) if day else parse_datetime(value)
        if not isinstance(value, datetime):
            return None
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
