"""Intervals by exact or seeded methods, 95 % of a value, 97 % of a difference: the same figures, the same interval."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from audit.shares import wilson

ALPHA = 0.05
# Of differences: of a thousand histories without an effect at most 5 % may claim one, their own chance included.
CLAIM = 0.03
_Z97 = 2.170090
# Below this, an average or a difference would be noise.
FEWEST = 20
RESAMPLES = 2_000
SEED = 20_260_105
Interval = tuple[float, float]


@dataclass(frozen=True)
class Moments:
    """How many values, their sum, and the sum of their squares: all that a mean and its interval need."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.n + other.n, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float | None:
        """The average; ``None`` of nothing."""
        return self.total / self.n if self.n else None

    @property
    def variance(self) -> float:
        """The variance of the sample; 0 of fewer than two."""
        if self.n < 2:
            return 0.0
        # Rounding may leave a hair below nothing where all values are alike.
        return max(0.0, (self.squares - self.total * self.total / self.n) / (self.n - 1))


def moments(values: Sequence[float]) -> Moments:
    """Return the moments of ``values``."""
    return Moments(len(values), math.fsum(values), math.fsum(value * value for value in values))


def of_mean(found: Moments) -> Interval | None:
    """Return Student's interval of a mean; ``None`` below ``FEWEST`` values."""
    if found.n < FEWEST or found.mean is None:
        return None
    reach = _t(found.n - 1) * math.sqrt(found.variance / found.n)
    return found.mean - reach, found.mean + reach


def of_share(hits: int, n: int) -> Interval | None:
    """Return the exact interval of a share (Clopper and Pearson); ``None`` of nothing."""
    if n <= 0:
        return None
    low = 0.0 if hits == 0 else _invert(lambda p: _beta(hits, n - hits + 1, p), ALPHA / 2)
    high = 1.0 if hits == n else _invert(lambda p: _beta(hits + 1, n - hits, p), 1 - ALPHA / 2)
    return low, high


@dataclass(frozen=True)
class Difference:
    """After minus before with its interval; ``verdict`` says in a word what may be claimed of it."""

    before: float | None
    after: float | None
    n_before: int
    n_after: int
    value: float | None = None
    interval: Interval | None = None

    @property
    def verdict(self) -> str:
        """``too_thin``, ``no_effect``, ``less`` or ``more``."""
        if self.interval is None:
            return "too_thin"
        low, high = self.interval
        return "less" if high < 0 else "more" if low > 0 else "no_effect"


def of_means(before: Moments, after: Moments, *, alpha: float = CLAIM) -> Difference:
    """Compare two means by Welch's 97 % interval; with fewer than ``FEWEST`` on either side nothing is claimed."""
    plain = Difference(before.mean, after.mean, before.n, after.n)
    if min(before.n, after.n) < FEWEST or before.mean is None or after.mean is None:
        return plain
    parts = (before.variance / before.n, after.variance / after.n)
    value, spread = after.mean - before.mean, sum(parts)
    if spread == 0:
        return Difference(before.mean, after.mean, before.n, after.n, value, (value, value))
    freedom = spread**2 / (parts[0] ** 2 / (before.n - 1) + parts[1] ** 2 / (after.n - 1))
    reach = _t(freedom, alpha) * math.sqrt(spread)
    return Difference(before.mean, after.mean, before.n, after.n, value, (value - reach, value + reach))


def of_shares(before: tuple[int, int], after: tuple[int, int]) -> Difference:
    """Compare two shares (hits, n) by Newcombe's 97 % interval; thin samples claim nothing."""
    (hits, n), (later, m) = before, after
    shares = (hits / n if n else None, later / m if m else None)
    plain = Difference(*shares, n, m)
    if min(n, m) < FEWEST or shares[0] is None or shares[1] is None:
        return plain
    (low_b, high_b), (low_a, high_a) = wilson(hits, n, _Z97), wilson(later, m, _Z97)
    value = shares[1] - shares[0]
    low = value - math.hypot(shares[1] - low_a, high_b - shares[0])
    high = value + math.hypot(high_a - shares[1], shares[0] - low_b)
    return Difference(*shares, n, m, value, (low, high))


def of_cells(counts: Sequence[int], statistic: Callable[[Sequence[float]], float]) -> Interval | None:
    """Return the percentile interval of a statistic of cell counts, by drawing the whole sample anew, seeded.

    Each draw gives every cell a count; drawing counts is drawing rows, at a cost that does not grow with them.
    """
    import numpy as np

    n = sum(counts)
    if n < FEWEST:
        return None
    drawn = np.random.default_rng(SEED).multinomial(n, [count / n for count in counts], size=RESAMPLES)
    found = sorted(statistic([float(count) for count in row]) for row in drawn)
    edge = int(RESAMPLES * ALPHA / 2)
    return found[edge], found[RESAMPLES - 1 - edge]


def _t(freedom: float, alpha: float = ALPHA) -> float:
    """Return how many standard errors a two-sided interval reaches with so many degrees of freedom."""
    # The share of Student's distribution within ±t is 1 − I(v / (v + t²)) with the parameters v/2 and 1/2.
    x = _invert(lambda p: _beta(freedom / 2, 0.5, p), alpha)
    return math.sqrt(freedom * (1 - x) / x)


def _invert(rising: Callable[[float], float], target: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < target else (low, middle)
    return (low + high) / 2


def _beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function by its continued fraction (Lentz)."""
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - _beta(b, a, 1.0 - x)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x) - math.log(a)
    )
    tiny, c, d = 1e-300, 1.0, 1.0 / max(1e-300, abs(1 - (a + b) * x / (a + 1)))
    fraction = d
    for m in range(1, 2_000):
        for part in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / ((1 + part * d) or tiny)
            c = (1 + part / c) or tiny
            fraction *= c * d
        if abs(c * d - 1) < 1e-12:
            break
    return front * fraction
