"""Where the boxes and lines of a process map stand, kept with the log: Graphviz takes its time to start."""

import unicodedata

from insights.drawing.layout import Box, Layout, Line, layout
from insights.mining.answers import kept
from insights.mining.filters import EVERYTHING, Filter
from insights.mining.process_map import ProcessMap, process_map
from insights.mining.throughput import throughput
from insights.models import EventLog

START, END = "start", "end"
WIDTH, LINE_HEIGHT, PAD = 176.0, 15.0, 9.0
TERMINAL = (64.0, 26.0)
# More boxes or lines than these are no picture any more; the table and the file have no such bound.
MOST_BOXES, MOST_LINES = 60, 240
# What the first look at a map shows.
_BOXES, _LINES = 12, 18
# Raised when boxes are drawn in another size, so that no kept layout is used with them.
_STYLE = 1
# Room beside a line for its figure, whatever it is of: the boxes stay where they are when the colour changes.
_ROOM = (58.0, 14.0)
_LETTERS, _ROWS = 25, 2
# Starts and ends of fewer cases than this are told in the table and drawn only where a box would hang in the air.
_SELDOM = 0.02


def first_settings(log: EventLog) -> dict[str, int]:
    """Return how many activities and paths the first look at the map of ``log`` shows."""
    return {"activities": min(_BOXES, log.activities or 1), "paths": _LINES}


def keep_first(log: EventLog) -> None:
    """Answer what the first look at the map asks, so that nobody waits for it: the map, its places, the times."""
    if log.cases:
        kept(laid_out, log, EVERYTHING, **first_settings(log), style=_STYLE)
        kept(throughput, log, EVERYTHING)


def placed(log: EventLog, filter: Filter, *, activities: int, paths: int) -> Layout:
    """Return where the boxes and lines of a map stand, from the last time that it was asked or by asking now."""
    return kept(laid_out, log, filter, activities=activities, paths=paths, style=_STYLE)


def laid_out(log: EventLog, filter: Filter, *, activities: int, paths: int, style: int) -> Layout:
    """Place the map of the cases that ``filter`` leaves; ``style`` tells layouts of other sizes apart."""
    return place(kept(process_map, log, filter, activities=activities, paths=paths))


def plain(name: str) -> str:
    """Return a name without what would hide or turn other text round: control and direction marks become a dot."""
    return "".join("·" if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp") else one for one in name)


def wrapped(name: str) -> list[str]:
    """Return the rows of a box's name: whole words where they fit, cut with an ellipsis where they do not."""
    rows: list[str] = []
    left = " ".join(plain(name).split()) or "(no name)"
    while left and len(rows) < _ROWS:
        if len(left) <= _LETTERS:
            rows.append(left)
            break
        cut = left.rfind(" ", 0, _LETTERS + 1)
        cut = cut if cut >= _LETTERS // 2 else _LETTERS
        rows.append(left[:cut].rstrip())
        left = left[cut:].lstrip()
    else:
        rows[-1] = rows[-1][: _LETTERS - 1] + "…"
    return rows


def place(drawn: ProcessMap) -> Layout:
    """Place the boxes and lines of a map; only counts decide, so that another colour moves nothing."""
    boxes = [Box(f"a:{one.name}", WIDTH, height_of(one.name)) for one in drawn.activities]
    ends = ends_of(drawn)
    boxes += [Box(key, *TERMINAL) for key in (START, END) if any(key in (tail, head) for tail, head, _ in ends)]
    most = max((edge.count for edge in drawn.edges), default=1) or 1
    lines = [Line(tail, head, _weight(count, most), _ROOM) for tail, head, count in ends]
    lines += [Line(f"a:{edge.source}", f"a:{edge.target}", _weight(edge.count, most), _ROOM) for edge in drawn.edges]
    return layout(boxes, lines)


def _weight(count: int, most: int) -> int:
    return 1 + round(20 * min(1.0, count / most))


def height_of(name: str) -> float:
    return 2 * PAD + LINE_HEIGHT * (len(wrapped(name)) + 1)


def ends_of(drawn: ProcessMap) -> list[tuple[str, str, int]]:
    """Return the lines from the start and to the end that are drawn."""
    shown = {one.name for one in drawn.activities}
    entered = {edge.target for edge in drawn.edges if edge.source != edge.target}
    left = {edge.source for edge in drawn.edges if edge.source != edge.target}
    least = _SELDOM * drawn.cases
    found = [
        (START, f"a:{name}", count)
        for name, count in drawn.start.items()
        if name in shown and (count >= least or name not in entered)
    ]
    found += [
        (f"a:{name}", END, count)
        for name, count in drawn.end.items()
        if name in shown and (count >= least or name not in left)
    ]
    return found
