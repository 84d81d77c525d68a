"""Where the boxes and lines of a process map stand."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from insights import tasks
from insights.drawing import layout as module
from insights.drawing.layout import MARGIN, Box, Line, layout, stacked
from insights.mining.asking import NotReady
from insights.models import EventLog
from insights.states import LogState
from tests.insights.files import GOOD, imported, text_of

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


@pytest.mark.django_db
def test_after_an_import_the_first_look_at_the_map_waits_for_nobody(tmp_path, client, automation, monkeypatch):
    log = EventLog.objects.get(pk=imported(tmp_path, text_of(GOOD)).pk)
    EventLog.objects.filter(pk=log.pk).update(state=LogState.IMPORTING)

    tasks.import_log(log_id=log.pk)

    asked: list[str] = []
    for name in ("insights.drawing.placing.place", "insights.mining.process_map._edges"):
        monkeypatch.setattr(name, lambda *told, name=name: asked.append(name))
    client.force_login(automation)
    assert client.get(log.get_absolute_url()).status_code == 200
    assert asked == []


@pytest.mark.django_db
def test_a_log_that_went_away_meanwhile_needs_no_first_look(tmp_path, monkeypatch):
    log = imported(tmp_path, text_of(GOOD))
    EventLog.objects.filter(pk=log.pk).update(state=LogState.IMPORTING)

    def gone(_):
        raise NotReady("It was taken away.")

    monkeypatch.setattr("insights.drawing.placing.keep_first", gone)
    tasks.import_log(log_id=log.pk)

    assert EventLog.objects.get(pk=log.pk).state == LogState.READY


def test_the_sandbox_is_started_aside_and_once(monkeypatch):
    started = []
    monkeypatch.setattr(module, "_STARTING", threading.Event())
    monkeypatch.setattr(module, "_graphviz", started.append)
    before = set(threading.enumerate())

    for _ in range(3):
        module.start_early()
    for thread in set(threading.enumerate()) - before:
        thread.join()

    assert started == ["digraph {}"]


def test_a_sandbox_that_does_not_start_breaks_nothing(monkeypatch, caplog):
    def broken(_):
        raise OSError("no such machine")

    monkeypatch.setattr(module, "_graphviz", broken)

    module._start()

    assert "plain layers" in caplog.text
