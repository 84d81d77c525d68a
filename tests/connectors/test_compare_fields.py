"""What counts as the same value when the source is read back."""

import pytest

from connectors.kit.comparison import same


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (84, 84.0),
        ("84.00", 84.0),
        (84.0, "84"),
        (0.1 + 0.2, 0.3),
        ("", None),
        (None, ""),
        ("Yes", "Yes"),
        (True, True),
        ([1], [1]),
    ],
)
def test_the_same_value_in_another_dress_is_the_same(expected, actual):
    assert same(expected, actual)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (84, 84.01),
        (0.0012, 0.0013),  # a rate, not an amount
        (None, "1"),
        ("84.00", None),
        ("Yes", "No"),
        ("00012944", "12944"),  # two texts are never read as numbers
        ("1e2", "100"),
        (True, 1),
        (1, True),
        (0, None),
        ("NaN", float("nan")),
        ("Working", "working"),
    ],
)
def test_another_value_is_another(expected, actual):
    assert not same(expected, actual)
