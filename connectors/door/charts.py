"""Small bars as coordinates in a box of 0 to WIDTH and 0 to HEIGHT; y grows downwards as in SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 240.0, 56.0
_GAP = 0.22  # of a column's room


@dataclass(frozen=True)
class Column:
    """What happened in one stretch of time: how often, and how often of that it failed."""

    name: str  # such as “14:00” or “23 Nov”
    count: int
    failed: int = 0


@dataclass(frozen=True)
class Bar:
    """One column as it is drawn: what went well stands on the ground, what failed on top of it."""

    column: Column
    x: float
    width: float
    good_y: float
    good_height: float
    failed_y: float
    failed_height: float


@dataclass(frozen=True)
class Bars:
    """A chart ready to be drawn, with its numbers for those who read rather than look."""

    title: str
    bars: tuple[Bar, ...]
    width: float = WIDTH
    height: float = HEIGHT

    @property
    def count(self) -> int:
        """How often in all columns together."""
        return sum(bar.column.count for bar in self.bars)

    @property
    def failed(self) -> int:
        """How often it failed in all columns together."""
        return sum(bar.column.failed for bar in self.bars)

    @property
    def busiest(self) -> Column | None:
        """The column with most; ``None`` where nothing happened at all."""
        most = max((bar.column for bar in self.bars), key=lambda column: column.count, default=None)
        return most if most is not None and most.count else None

    @property
    def summary(self) -> str:
        """The chart in one sentence."""
        busiest = self.busiest
        if busiest is None:
            return "No calls."
        failed = f"{self.failed:,} failed" if self.failed else "none failed"
        calls = "1 call" if self.count == 1 else f"{self.count:,} calls"
        return f"{calls}, {failed}; most at {busiest.name}: {busiest.count:,}."


def bars(title: str, columns: Sequence[Column]) -> Bars:
    """Return upright bars from left to right in the order given, the highest as high as the box."""
    highest = max((column.count for column in columns), default=0) or 1
    room = WIDTH / max(1, len(columns))
    return Bars(title, tuple(_bar(column, room * place, room, highest) for place, column in enumerate(columns)))


def _bar(column: Column, x: float, room: float, highest: int) -> Bar:
    whole = _high(column.count, highest)
    failed = min(whole, _high(column.failed, highest))
    good = round(whole - failed, 1)
    inset = room * _GAP / 2
    return Bar(
        column,
        x=round(x + inset, 1),
        width=round(room - 2 * inset, 1),
        good_y=round(HEIGHT - good, 1),
        good_height=good,
        failed_y=round(HEIGHT - whole, 1),
        failed_height=failed,
    )


def _high(count: int, highest: int) -> float:
    # One failure among thousands must still be seen.
    return round(max(HEIGHT * count / highest, 1.5), 1) if count else 0.0
