"""Wilson's interval of a share, against figures worked out elsewhere and against its own definition."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.shares import wilson


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_the_published_one(hits, n, low, high):
    found = wilson(hits, n)

    assert found == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(st.integers(1, 5_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_either_end_lies_as_far_from_the_share_as_the_test_allows(drawn):
    hits, n = drawn
    low, high = wilson(hits, n, 1.96)

    assert 0 <= low <= hits / n + 1e-12
    assert hits / n - 1e-12 <= high <= 1
    for end in (low, high):
        if 1e-9 < end < 1 - 1e-9:
            assert abs(hits / n - end) / math.sqrt(end * (1 - end) / n) == pytest.approx(1.96, rel=1e-6)
