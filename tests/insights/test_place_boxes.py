"""Where the boxes and lines of a process map stand."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from insights.drawing import layout as module
from insights.drawing.layout import MARGIN, Box, Line, layout, stacked

BOXES = [Box("order", 120, 40), Box("ship", 100, 40), Box("pay", 80, 40)]
LINES = [Line("order", "ship", 9, (40, 14)), Line("ship", "pay", 8), Line("pay", "order"), Line("ship", "ship")]


def overlap(one, other):
    return (
        abs(one.x - other.x) < (one.width + other.width) / 2 and abs(one.y - other.y) < (one.height + other.height) / 2
    )


@pytest.mark.parametrize("place", [layout, stacked])
def test_every_box_and_line_stands_inside_the_picture_and_no_two_boxes_overlap(place):
    picture = place(BOXES, LINES)

    assert [box.key for box in picture.boxes] == ["order", "ship", "pay"]
    assert [(drawn.tail, drawn.head) for drawn in picture.lines] == [(line.tail, line.head) for line in LINES]
    for box in picture.boxes:
        assert 0 <= box.left <= picture.width - box.width
        assert 0 <= box.top <= picture.height - box.height
    assert not any(overlap(a, b) for a in picture.boxes for b in picture.boxes if a is not b)
    assert all(re.fullmatch(r"M[\d. -]+( C[\d., -]+)+", drawn.path) for drawn in picture.lines)


@pytest.mark.parametrize("place", [layout, stacked])
def test_the_usual_way_runs_downwards(place):
    order, ship, pay = place(BOXES, LINES).boxes

    assert order.y < ship.y < pay.y


def test_a_line_begins_at_its_tail_and_ends_at_its_head():
    picture = layout([Box("a", 72, 36), Box("b", 72, 36)], [Line("a", "b")])
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", picture.lines[0].path)]

    assert numbers[1] == pytest.approx(picture.boxes[0].y + 18, abs=2)
    assert picture.boxes[0].y + 18 < numbers[-1] <= picture.boxes[1].top


def test_names_from_outside_are_never_read_as_graphviz():
    hostile = 'x"]; subgraph { evil } //\n'

    picture = layout([Box(hostile, 80, 40), Box("b", 80, 40)], [Line(hostile, "b")])

    assert [box.key for box in picture.boxes] == [hostile, "b"]
    assert picture.boxes[0].x >= MARGIN


def test_a_line_to_nowhere_is_refused():
    with pytest.raises(ValueError, match="no such box"):
        layout(BOXES, [Line("order", "moon")])


def test_nothing_makes_an_empty_picture():
    assert layout([], []).boxes == ()


def test_a_map_is_drawn_where_graphviz_does_not_run(monkeypatch, caplog):
    def broken(dot):
        raise RuntimeError("no sandbox here")

    monkeypatch.setattr(module, "_graphviz", broken)
    module._placed.cache_clear()

    picture = layout(BOXES, LINES)

    assert picture == stacked(BOXES, LINES)
    assert "plain layers" in caplog.text
    module._placed.cache_clear()


def test_a_circle_without_a_beginning_is_drawn_too():
    circle = [Line("order", "ship"), Line("ship", "pay"), Line("pay", "order")]

    assert len({box.y for box in stacked(BOXES, circle).boxes}) == 3


def test_threads_take_turns_in_the_sandbox():
    def one(number):
        return layout([Box(str(number), 80, 40), Box("b", 80, 40)], [Line(str(number), "b")]).boxes[0].key

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(12))) == [str(number) for number in range(12)]
