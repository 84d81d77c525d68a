"""A world of records that the tests of the backbone read through the connectors' one door."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from django.utils import timezone

from connectors import gateway
from connectors.base import ConnectorError, Record
from connectors.models import Call, Connection

Source = list[Record] | ConnectorError | Callable[[Mapping[str, Any]], list[Record]]


class Systems:
    """Answers of other systems by connection and operation; remembers what was asked."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Source] = {}
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    def hold(self, operation: str, *records: Record, connection: str = "fo") -> None:
        """Let an operation answer these records."""
        self.answers[connection, operation] = list(records)

    def refuse(self, operation: str, error: ConnectorError, *, connection: str = "fo") -> None:
        """Let an operation fail."""
        self.answers[connection, operation] = error

    def call(self, connection: Connection, operation: str, arguments: Mapping[str, Any], **_: Any) -> gateway.Answer:
        """Answer as ``gateway.call`` would."""
        self.asked.append((connection.slug, operation, dict(arguments)))
        found = self.answers.get((connection.slug, operation), [])
        if isinstance(found, ConnectorError):
            raise found
        records = found(arguments) if callable(found) else found
        row = Call.objects.create(
            connection=connection, operation=operation, direction="read", actor="test", started_at=timezone.now()
        )
        return gateway.Answer(records, None, row)


@pytest.fixture
def systems(db: None, monkeypatch: pytest.MonkeyPatch) -> Systems:
    """Two connected systems, ``fo`` and ``crm``, that know nothing yet."""
    for slug, kind in (("fo", "dynamics_fo"), ("crm", "salesforce")):
        Connection.objects.create(slug=slug, kind=kind, label=slug.upper())
    world = Systems()
    monkeypatch.setattr(gateway, "call", world.call)
    return world


def invoice(key: str = "CIV-000697", **fields: Any) -> Record:
    """An invoice as F&O shows it."""
    given = {
        "dataAreaId": "demf",
        "InvoiceNumber": key,
        "Total": 1234.5,
        "CurrencyCode": "EUR",
        "Order": "SO-1",
        **fields,
    }
    return Record("fo", "SalesInvoiceHeadersV2", f"demf/{key}", 'W/"1"', given, f"https://fo.example/{key}")
