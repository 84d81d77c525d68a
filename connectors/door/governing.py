"""What a connection may be used for, as people and files set it: class, labels, reads, team, rate and prices."""

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from audit.errors import Invalid
from connectors.base import Connector, Operation, Read
from connectors.door.models import DataClass, Label
from connectors.models import Connection

COLUMNS = (
    "data_class", "reads", "labels", "cleared", "team", "rate_calls", "rate_seconds", "price_call", "price_tokens",
    "price_currency",
)  # fmt: skip
_PRICES = ("price_call", "price_tokens")
_TEAM = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")


def described(connection: Connection) -> dict[str, Any]:
    """Return these settings as the ledger and a file tell of them; prices as text."""
    values = {name: getattr(connection, name) for name in COLUMNS}
    return {**values, **{name: _text(values[name]) for name in _PRICES}}


def check(connection: Connection, kind: type[Connector], known: Sequence[Operation]) -> None:
    """Hold the settings against each other and the operations. Raises ``Invalid`` with a message per field."""
    for name in _PRICES:
        setattr(connection, name, _price(name, getattr(connection, name)))
    wrong = {
        "data_class": _class(connection.data_class),
        "reads": _reads(connection.reads, kind, known),
        "labels": _labels(connection.labels),
        "cleared": _unknown(connection.cleared, Label.values, "label"),
        "team": _team(connection.team),
        "rate_calls": _rate(connection),
        "price_currency": _currency(connection),
    }
    errors = {name: [text] for name, text in wrong.items() if text}
    if errors:
        raise Invalid(f"The connection's rules are not valid: {', '.join(errors)}.", errors)


def _class(value: str) -> str:
    return "" if value in DataClass.values else f"Is one of {', '.join(DataClass.values)}."


def _reads(names: Any, kind: type[Connector], known: Sequence[Operation]) -> str:
    reads = [item.name for item in known if isinstance(item, Read)]
    return _unknown(names, reads, f"read of {kind.slug}")


def _unknown(names: Any, known: list[str], what: str) -> str:
    if not isinstance(names, list):
        return "Is a list of names."
    strange = sorted({str(name) for name in names} - set(known))
    return f"{', '.join(strange)}: there is no such {what}; known are {', '.join(sorted(known))}." if strange else ""


def _labels(labels: Any) -> str:
    if not isinstance(labels, dict) or not all(isinstance(name, str) and name.strip() for name in labels):
        return "Names fields, each with its label, such as CustomerName: personal."
    strange = sorted({str(label) for label in labels.values()} - set(Label.values))
    return f"{', '.join(strange)}: a label is one of {', '.join(Label.values)}." if strange else ""


def _team(team: str) -> str:
    return "" if not team or _TEAM.fullmatch(team) else "Is a short name of small letters, digits, - and _."


def _rate(connection: Connection) -> str:
    calls, seconds = connection.rate_calls, connection.rate_seconds
    if (calls is None) != (seconds is None):
        return "Calls and seconds belong together: enter both, or neither."
    if calls is not None and seconds is not None and not (1 <= calls <= 1_000_000 and 1 <= seconds <= 86_400):
        return "Is 1 to 1,000,000 calls in 1 to 86,400 seconds."
    return ""


def _currency(connection: Connection) -> str:
    priced = any(getattr(connection, name) is not None for name in _PRICES)
    if priced and not re.fullmatch(r"[A-Z]{3}", connection.price_currency):
        return "A price needs its currency, such as EUR."
    return "Without a price there is nothing that it would be the currency of." if (
        connection.price_currency and not priced
    ) else ""  # fmt: skip


def _price(name: str, value: Any) -> Decimal | None:
    if value in (None, ""):
        return None
    try:
        price = Decimal(str(value))
    except InvalidOperation:
        price = Decimal(-1)
    if not (price.is_finite() and 0 <= price < 1_000_000 and price == round(price, 6)):
        raise Invalid(f"{name} is not a price.", {name: ["Is an amount from 0, with six places at most."]})
    return price


def _text(price: Decimal | None) -> str | None:
    return None if price is None else f"{price.normalize():f}"
