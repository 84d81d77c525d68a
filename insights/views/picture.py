"""A process map as a picture: boxes with words that fit, lines with their figure, each a link to what it stands for."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from insights.drawing.charts import short
from insights.drawing.layout import Drawn, Layout
from insights.drawing.placing import (
    LINE_HEIGHT,
    PAD,
    START,
    TERMINAL,
    WIDTH,
    ends_of,
    height_of,
    plain,
    wrapped,
)
from insights.mining.process_map import Activity, Edge, ProcessMap
from insights.mining.wording import several
from playbooks.templatetags.goldseam import span_text


@dataclass(frozen=True)
class Shape:
    """One box: where it stands, what it says, how strongly it is coloured, where a click leads."""

    kind: str
    name: str
    left: float
    top: float
    width: float
    height: float
    rows: tuple[tuple[float, str], ...]
    says: str
    says_y: float
    middle: float
    heat: int
    url: str
    label: str
    chosen: bool


@dataclass(frozen=True)
class Way:
    """One line: how it runs, what it says, how strongly it is drawn, where a click leads."""

    path: str
    x: float
    y: float
    says: str
    heat: int
    url: str
    label: str
    chosen: bool


@dataclass(frozen=True)
class Picture:
    """A whole map, ready to be drawn."""

    width: float
    height: float
    boxes: tuple[Shape, ...]
    ways: tuple[Way, ...]
    undrawn_ends: int


@dataclass(frozen=True)
class Choice:
    """What of the map is looked at closely: an activity, a line, or nothing."""

    step: str = ""
    source: str = ""
    target: str = ""


def heat(value: float) -> int:
    """Return 0 to 4: how strongly a share of the largest value is coloured; small ones can still be told apart."""
    return 0 if value <= 0 else min(4, math.ceil(4 * math.sqrt(value) - 0.2) or 1)


def picture(
    drawn: ProcessMap,
    placed: Layout,
    *,
    colour: str,
    chosen: Choice,
    step_url: Callable[[str], str],
    edge_url: Callable[[str, str], str],
    end_url: Callable[[str, str], str],
) -> Picture:
    """Return the map with its words, colours and links, in the places of ``placed``."""
    steps = {f"a:{one.name}": one for one in drawn.activities}
    edges = {(f"a:{one.source}", f"a:{one.target}"): one for one in drawn.edges}
    ends = {(tail, head): count for tail, head, count in ends_of(drawn)}
    boxes = [
        _shape(steps[one.key], (one.left, one.top), colour, chosen.step, step_url)
        if one.key in steps
        else _terminal(one.key, one.left, one.top, drawn.cases)
        for one in placed.boxes
    ]
    ways = [
        _way(line, edges[line.tail, line.head], colour, chosen, edge_url)
        if (line.tail, line.head) in edges
        else _end_way(line, ends[line.tail, line.head], drawn.cases, colour, end_url)
        for line in placed.lines
    ]
    # The strongest last, so that nothing lies over them.
    ways.sort(key=lambda way: (way.chosen, way.heat))
    told = len(drawn.start) + len(drawn.end)
    return Picture(placed.width, placed.height, tuple(boxes), tuple(ways), told - len(ends))


def _shape(one: Activity, corner: tuple[float, float], colour: str, chosen: str, url: Callable[[str], str]) -> Shape:
    left, top = corner
    rows = wrapped(one.name)
    says = {
        "frequency": f"{one.count:,}",
        "time": f"waits {span_text(one.median_seconds)}" if one.median_seconds is not None else "is first",
        "rework": f"{one.extra:,} again" if one.extra else "never again",
    }[colour]
    words = f"{plain(one.name)}: {several(one.count, 'time')} in {several(one.cases, 'case')}"
    words += f", usually waits {span_text(one.median_seconds)}" if one.median_seconds is not None else ""
    words += f", {one.extra:,} times again" if one.extra else ""
    placed = tuple((top + PAD + LINE_HEIGHT * (at + 0.75), row) for at, row in enumerate(rows))
    below = top + PAD + LINE_HEIGHT * (len(rows) + 0.75)
    return Shape(
        "step", one.name, left, top, WIDTH, height_of(one.name), placed, says, below, left + WIDTH / 2,
        heat(one.value), url(one.name), words, one.name == chosen,
    )  # fmt: skip


def _terminal(key: str, left: float, top: float, cases: int) -> Shape:
    width, height = TERMINAL
    words = "Start" if key == START else "End"
    row = ((top + height / 2 + 4, words),)
    label = f"{words}: {cases:,} cases"
    return Shape("end", words, left, top, width, height, row, "", 0, left + width / 2, 0, "", label, False)


def _way(line: Drawn, edge: Edge, colour: str, chosen: Choice, url: Callable[[str, str], str]) -> Way:
    median = span_text(edge.median_seconds) if edge.median_seconds is not None else ""
    says = {
        "frequency": short(edge.count),
        "time": median,
        "rework": short(edge.repeated) if edge.repeated else "",
    }[colour]
    words = (
        f"{plain(edge.source)} to {plain(edge.target)}: {several(edge.count, 'time')} in {several(edge.cases, 'case')}"
    )
    words += f", median {median}" if median else ""
    words += f", {edge.repeated:,} times back to a step already done" if edge.repeated else ""
    mine = (edge.source, edge.target) == (chosen.source, chosen.target)
    return Way(
        line.path, line.label_x, line.label_y, says, heat(edge.value), url(edge.source, edge.target), words, mine
    )


def _end_way(line: Drawn, count: int, cases: int, colour: str, url: Callable[[str, str], str]) -> Way:
    begins = line.tail == START
    name = (line.head if begins else line.tail).removeprefix("a:")
    share = count / cases if cases else 0.0
    words = f"{count:,} cases {'begin' if begins else 'end'} with {plain(name)}"
    strength = heat(share) if colour == "frequency" else 1
    return Way(
        line.path, line.label_x, line.label_y, short(count) if colour == "frequency" else "", strength,
        url("start" if begins else "end", name), words, False,
    )  # fmt: skip


def longest(edges: Iterable[Edge], most: int = 1) -> Sequence[Edge]:
    """Return the edges that hold cases up most: count times median."""
    timed = [one for one in edges if one.median_seconds]
    return sorted(timed, key=lambda one: (-(one.median_seconds or 0) * one.count, one.source, one.target))[:most]
