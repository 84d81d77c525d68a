"""Bars, lines and shares as coordinates in a box of 0 to WIDTH and 0 to HEIGHT; y grows downwards as in SVG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640.0, 200.0
LEFT, BOTTOM, TOP = 48.0, 26.0, 10.0
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Tick:
    """One mark on an axis: where it stands and what it says."""

    at: float
    text: str


@dataclass(frozen=True)
class Datum:
    """One value to be drawn: what it is called, how much, how the amount reads, where a click on it leads."""

    name: str
    value: float
    text: str = ""
    url: str = ""


@dataclass(frozen=True)
class Bar:
    """One bar: where it stands, and the value it stands for."""

    x: float
    y: float
    width: float
    height: float
    datum: Datum


@dataclass(frozen=True)
class Chart:
    """A chart ready to be drawn. ``line`` is an SVG path, "" where there is none; ``dots`` stand on it."""

    title: str
    summary: str
    bars: tuple[Bar, ...] = ()
    line: str = ""
    dots: tuple[Bar, ...] = ()
    ticks: tuple[Tick, ...] = ()
    names: tuple[Tick, ...] = ()
    width: float = WIDTH
    height: float = HEIGHT
    rows: tuple[tuple[str, str], ...] = ()

    @property
    def floor(self) -> float:
        """Where the horizontal axis runs."""
        return self.height - BOTTOM


def nice_ticks(highest: float, wanted: int = 4) -> list[float]:
    """Return round values from 0 up to at least ``highest``; for nothing at all, 0 and 1."""
    if highest <= 0 or not math.isfinite(highest):
        return [0.0, 1.0]
    rough = highest / wanted
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in _STEPS if size * factor >= rough * 0.999)
    return [step * number for number in range(math.ceil(highest / step - 1e-9) + 1)]


def short(value: float) -> str:
    """Return a number as an axis says it: 1,200, 12k, 3.4M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            divisor = 1e3 if letter == "k" else size
            return f"{value / divisor:.3g}{letter}"
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 100 else f"{value:.2g}"


def bars(title: str, data: Sequence[Datum], summary: str = "") -> Chart:
    """Return upright bars, from left to right in the order given."""
    ticks = nice_ticks(max((datum.value for datum in data), default=0))
    slot = (WIDTH - LEFT) / max(1, len(data))
    drawn = tuple(_bar(datum, LEFT + slot * number, slot, ticks[-1]) for number, datum in enumerate(data))
    every = max(1, math.ceil(len(data) / 8))
    names = tuple(Tick(round(bar.x + bar.width / 2, 1), bar.datum.name) for bar in drawn[::every])
    return Chart(title, summary, drawn, ticks=_axis(ticks), names=names, rows=_rows(data))


def line(title: str, data: Sequence[Datum], summary: str = "") -> Chart:
    """Return a line over equal steps, such as days; a value that is not a number leaves a gap."""
    ticks = nice_ticks(max((datum.value for datum in data if math.isfinite(datum.value)), default=0))
    slot = (WIDTH - LEFT) / max(1, len(data))
    dots, path, before = [], "", -1
    for number, datum in enumerate(data):
        if not math.isfinite(datum.value):
            continue
        dot = Bar(round(LEFT + slot * (number + 0.5), 1), _y(datum.value, ticks[-1]), 0, 0, datum)
        path += f"{'L' if path and before == number - 1 else 'M'}{dot.x} {dot.y} "
        dots.append(dot)
        before = number
    every = max(1, math.ceil(len(data) / 8))
    names = tuple(Tick(round(LEFT + slot * (n + 0.5), 1), datum.name) for n, datum in enumerate(data) if n % every == 0)
    axis = _axis(ticks)
    return Chart(title, summary, line=path.strip(), dots=tuple(dots), ticks=axis, names=names, rows=_rows(data))


def pareto(title: str, data: Sequence[Datum], summary: str = "") -> Chart:
    """Return bars from the largest to the smallest, with the running share of all as a line."""
    ranked = sorted(data, key=lambda datum: (-datum.value, datum.name))
    drawn = bars(title, ranked, summary)
    total, running, path = sum(datum.value for datum in ranked), 0.0, ""
    for bar in drawn.bars:
        running += bar.datum.value
        share = running / total if total else 0.0
        path += f"{'L' if path else 'M'}{round(bar.x + bar.width / 2, 1)} {_y(share, 1.0)} "
    return Chart(title, summary, drawn.bars, line=path.strip(), ticks=drawn.ticks, names=drawn.names, rows=drawn.rows)


def sparkline(values: Sequence[float], width: float = 96.0, height: float = 24.0) -> str:
    """Return an SVG path of ``values`` in a small box; "" for fewer than two of them."""
    found = [value for value in values if math.isfinite(value)]
    if len(found) < 2:
        return ""
    low, high = min(found), max(found)
    spread = (high - low) or 1.0
    step = width / (len(found) - 1)
    points = [
        f"{round(step * n, 1)} {round(height - 2 - (value - low) / spread * (height - 4), 1)}"
        for n, value in enumerate(found)
    ]
    return "M" + " L".join(points)


def _bar(datum: Datum, x: float, slot: float, highest: float) -> Bar:
    y = _y(datum.value, highest)
    gap = min(8.0, slot * 0.2)
    return Bar(round(x + gap / 2, 1), y, round(slot - gap, 1), round(HEIGHT - BOTTOM - y, 1), datum)


def _y(value: float, highest: float) -> float:
    room = HEIGHT - BOTTOM - TOP
    return round(HEIGHT - BOTTOM - room * max(0.0, value) / highest, 1)


def _axis(ticks: Sequence[float]) -> tuple[Tick, ...]:
    return tuple(Tick(_y(value, ticks[-1]), short(value)) for value in ticks)


def _rows(data: Sequence[Datum]) -> tuple[tuple[str, str], ...]:
    return tuple((datum.name, datum.text or short(datum.value)) for datum in data)
