"""Figures in words: a duration, a share, an amount, as a sentence holds them."""

_UNITS = ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"))


def duration(seconds: float | None) -> str:
    """Return a duration in its largest whole unit with one decimal, such as ``3.2 days``."""
    if seconds is None:
        return "an unknown time"
    for size, unit in _UNITS:
        if seconds >= size:
            told = f"{seconds / size:,.1f}".removesuffix(".0")
            return f"{told} {unit}{'' if told == '1' else 's'}"
    told = f"{seconds:,.0f}"
    return f"{told} second{'' if told == '1' else 's'}"


def percent(share: float) -> str:
    """Return a share in percent, with a decimal where it is small."""
    return f"{share:.0%}" if share >= 0.1 or share == 0 else f"{share:.1%}"


def money_text(amount: float, currency: str) -> str:
    """Return an amount with its currency, where that is known."""
    return f"{currency} {amount:,.0f}".strip()


def several(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun, such as ``1 case`` or ``1,200 cases``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
