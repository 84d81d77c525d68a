"""Bars, lines and shares as coordinates."""

import math

import pytest

from insights.drawing.charts import HEIGHT, LEFT, WIDTH, Datum, bars, line, nice_ticks, pareto, short, sparkline


@pytest.mark.parametrize(
    ("highest", "ticks"),
    [
        (0, [0, 1]),
        (-3, [0, 1]),
        (math.inf, [0, 1]),
        (math.nan, [0, 1]),
        (4, [0, 1, 2, 3, 4]),
        (7, [0, 2, 4, 6, 8]),
        (1000, [0, 250, 500, 750, 1000]),
        (0.03, [0, 0.01, 0.02, 0.03]),
    ],
)
def test_an_axis_has_round_marks_up_to_the_highest_value(highest, ticks):
    assert nice_ticks(highest) == pytest.approx(ticks)


@pytest.mark.parametrize("highest", [0.0007, 0.9, 1, 3.3, 99, 12345, 7.7e8])
def test_an_axis_reaches_the_highest_value_with_few_marks(highest):
    ticks = nice_ticks(highest)

    assert ticks[-1] >= highest * 0.999999
    assert 2 <= len(ticks) <= 7


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (7, "7"), (1234, "1,234"), (12_000, "12k"), (3_400_000, "3.4M"), (2.5e9, "2.5G"), (0.25, "0.25")],
)
def test_an_axis_says_numbers_shortly(value, text):
    assert short(value) == text


def test_the_longest_bar_is_the_largest_value_and_all_stand_on_the_floor():
    chart = bars("Rework", [Datum("a", 2), Datum("b", 8), Datum("c", 0)])

    few, many, none = (bar.height for bar in chart.bars)
    assert none == 0
    assert many == pytest.approx(few * 4, rel=0.01)
    assert all(bar.y + bar.height == pytest.approx(chart.floor, abs=0.11) for bar in chart.bars)
    assert chart.rows == (("a", "2"), ("b", "8"), ("c", "0"))


def test_bars_stay_inside_the_picture_however_many():
    chart = bars("Many", [Datum(str(number), number) for number in range(400)])

    assert min(bar.x for bar in chart.bars) >= LEFT
    assert max(bar.x + bar.width for bar in chart.bars) <= WIDTH
    assert len(chart.names) <= 9
    assert all(0 <= bar.y <= HEIGHT for bar in chart.bars)


def test_no_data_make_an_empty_chart_with_an_axis():
    chart = bars("Nothing", [])

    assert chart.bars == ()
    assert [tick.text for tick in chart.ticks] == ["0", "1"]


def test_a_missing_day_leaves_a_gap_in_the_line():
    chart = line("MTTR", [Datum("1", 3), Datum("2", 4), Datum("3", math.nan), Datum("4", 2), Datum("5", 1)])

    assert chart.line.count("M") == 2
    assert chart.line.count("L") == 2
    assert [dot.datum.name for dot in chart.dots] == ["1", "2", "4", "5"]


def test_a_pareto_runs_from_the_largest_up_to_everything():
    chart = pareto("Exceptions", [Datum("few", 1), Datum("many", 7), Datum("some", 2)])
    points = [tuple(map(float, point[1:].split())) for point in chart.line.replace(" L", "\nL").split("\n")]

    assert [bar.datum.name for bar in chart.bars] == ["many", "some", "few"]
    assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)
    assert points[-1][1] == chart.ticks[-1].at


def test_a_pareto_of_nothing_but_zeros_stays_on_the_floor():
    assert set(pareto("Zero", [Datum("a", 0)]).line.split()[1:]) == {str(bars("z", []).floor)}


def test_a_sparkline_needs_two_values():
    assert sparkline([1]) == ""
    assert sparkline([1, math.nan]) == ""
    assert sparkline([1, 2, 3]).startswith("M0.0 22.0 L")
    assert sparkline([5, 5]) == "M0.0 22.0 L96.0 22.0"
