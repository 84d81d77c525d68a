"""Where payments are read: F&O has no one place for what became of a payment, so a connection can say where."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Protocol

from pydantic import AfterValidator, StringConstraints

from connectors.kinds.dynamics_fo.odata import COMPANY
from connectors.kinds.dynamics_fo.reads import QUERIES, Query

_PLACE = re.compile(r"(?P<entity>[A-Za-z_]\w{0,99})\((?P<payment>[A-Za-z_]\w{0,99}), ?(?P<party>[A-Za-z_]\w{0,99})\)\Z")
CUSTOMER_PAYMENTS = "CustomerPayments(PaymentId, CustomerAccount)"
VENDOR_PAYMENTS = "VendorPaymentJournalLines(PaymentId, VendorAccountNumber)"


def place_of(text: str) -> tuple[str, str, str]:
    """Read ``Entity(PaymentField, PartyField)``. Raises ``ValueError``."""
    found = _PLACE.match(text)
    if found is None:
        raise ValueError("write Entity(PaymentField, PartyField), such as " + VENDOR_PAYMENTS)
    return found["entity"], found["payment"], found["party"]


def _readable(text: str) -> str:
    place_of(text)
    return text


Place = Annotated[str, StringConstraints(max_length=310), AfterValidator(_readable)]


class Places(Protocol):
    """The settings that say where."""

    customer_payments: str
    vendor_payments: str


def query_of(settings: Places, name: str) -> Query:
    """Return how a declared read finds its records on this connection."""
    query = QUERIES[name]
    if name not in ("payment.find", "vendor_payment.find", "vendor_payments.by_vendor"):
        return query
    place = settings.customer_payments if name == "payment.find" else settings.vendor_payments
    entity, payment, party = place_of(place)
    known = {"payment": payment, "vendor": party}
    fields = {argument: field if field == COMPANY else known[argument] for argument, field in query.fields.items()}
    return replace(query, entity=entity, fields=fields)


def key_of(settings: Places, entity: str) -> tuple[str, ...]:
    """Return the field that names a payment where its entity's key is not known; none for any other entity."""
    places = map(place_of, (settings.customer_payments, settings.vendor_payments))
    return next(((payment,) for named, payment, _ in places if named == entity), ())
