"""Shares and how far they can be trusted."""

import math

Z95 = 1.96


def wilson(hits: int, n: int, z: float = Z95) -> tuple[float, float]:
    """Return Wilson's score interval of ``hits`` of ``n`` (at least 1), as shares from 0 to 1; ``z`` 1.96 is 95 %.

    Source: E. B. Wilson, Journal of the American Statistical Association 22 (1927). It holds for few and for none.
    """
    share, spread = hits / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    reach = z * math.sqrt(share * (1 - share) / n + spread / n / 4) / (1 + spread)
    return max(0.0, middle - reach), min(1.0, middle + reach)
