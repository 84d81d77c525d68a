"""When two values of a business record say the same: before a write, after it, and between policies."""

from decimal import Decimal, InvalidOperation
from typing import Any

# What rounding in binary floating point leaves behind is far below, any quantity or rate of a record above.
_FINEST = Decimal("0.000001")


def same(left: Any, right: Any) -> bool:
    """Tell whether two field values mean the same: nothing and an empty text do, and so do 12.5 and "12.50".

    Two texts are never read as numbers: case 00012944 is not case 12944.
    """
    if isinstance(left, bool) or isinstance(right, bool):
        # To Python True is 1; to a business record it is not.
        return left is right
    if left == right or (left in (None, "") and right in (None, "")):
        return True
    if isinstance(left, str) and isinstance(right, str):
        return False
    one, other = _number(left), _number(right)
    return one is not None and other is not None and abs(one - other) < _FINEST


def _number(value: Any) -> Decimal | None:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
