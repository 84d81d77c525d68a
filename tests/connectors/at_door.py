"""What tests of the door share: an F&O that a test plays, a read and a write of it, and many workers at once."""

from typing import Any

import httpx
import pytest

from connectors import gateway
from connectors.base import Blocked, ConnectorError
from connectors.models import Connection
from tests.connectors.factories import Played, make_fo
from tests.racing import at_once

ORDER = "/data/SalesOrderHeadersV2(dataAreaId='demf',SalesOrderNumber='SO-1')"
RELEASE = f"{ORDER}/Microsoft.Dynamics.DataEntities.ReleaseCreditHold"
ARGUMENTS = {"company": "demf", "order": "SO-1"}
WRITTEN = {**ARGUMENTS, "reason": "Paid"}
ROW = {
    "dataAreaId": "demf", "SalesOrderNumber": "SO-1", "CreditHold": "Yes", "CreditHoldReason": "",
    "OrderTotalAmount": 10, "CurrencyCode": "EUR", "@odata.etag": 'W/"1"',
}  # fmt: skip
KEY = "c" * 40


def open_fo(played: Played) -> Connection:
    """An F&O that answers a read and a write of one order."""
    played.on("GET", ORDER, httpx.Response(200, json=ROW))
    played.on("POST", RELEASE, httpx.Response(200, json={"value": "No"}))
    return make_fo()


def read(connection: Connection) -> gateway.Answer:
    return gateway.call(connection, "order.get", ARGUMENTS, actor="system:loop")


def release(connection: Connection, **options: Any) -> gateway.Answer:
    return gateway.call(connection, "hold.release", WRITTEN, actor="system:loop", effect_key=KEY, **options)


def change(connection: Connection, **columns: Any) -> None:
    Connection.objects.filter(pk=connection.pk).update(**columns)


def refused(connection: Connection, use: Any = read) -> Blocked:
    with pytest.raises(Blocked) as told:
        use(connection)
    return told.value


def side_by_side(count: int, work: Any) -> list[str]:
    """Let so many workers do the same at once and return how it went for each."""
    return sorted(map(_said, at_once(*[work] * count)))


def _said(came: Any) -> str:
    if isinstance(came, ConnectorError):
        return came.code or type(came).__name__
    if isinstance(came, Exception):
        raise came
    return "ok"
