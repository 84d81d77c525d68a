"""What leaves us: keys, names, versions and addresses that cannot travel are refused before anything is sent."""

from typing import Any

import httpx
import pytest

from connectors import gateway
from connectors.base import Blocked
from connectors.models import Call, Connection
from connectors.transport import Http
from tests.connectors.factories import Played, make_fo

KEY = "e" * 64
RECORD = "/data/SalesOrderHeadersV2(dataAreaId='demf',SalesOrderNumber='SO-1')"
RELEASE = f"{RECORD}/Microsoft.Dynamics.DataEntities.ReleaseCreditHold"
ORDER = {"company": "demf", "order": "SO-1"}
ROW = {
    "@odata.etag": 'W/"1"', "dataAreaId": "demf", "SalesOrderNumber": "SO-1", "CreditHold": "Yes",
    "SalesOrderProcessingStatus": "OnHold", "OrderTotalAmount": 10, "CurrencyCode": "EUR",
}  # fmt: skip


@pytest.fixture
def fo(db: None, played: Played) -> Connection:
    played.on("GET", RECORD, httpx.Response(200, json=ROW))
    played.on("POST", RELEASE, httpx.Response(200, json={"value": "No"}))
    return make_fo()


def read(connection: Connection) -> gateway.Answer:
    return gateway.call(connection, "order.get", ORDER, actor="test")


def write(connection: Connection, **changes: Any) -> gateway.Answer:
    options = {"actor": "test", "effect_key": KEY, **changes}
    return gateway.call(connection, "hold.release", {**ORDER, "reason": "Paid"}, **options)


@pytest.mark.parametrize("key", ["", "a" * 65, "schlüssel", "a\nb", "a\r\nX: 1", "a\x00b", "\x7f", "\ud800"])
def test_a_key_that_cannot_travel_as_it_is_is_refused_before_anything_is_sent(
    fo: Connection, played: Played, key: str
) -> None:
    with pytest.raises(Blocked) as blocked:
        write(fo, effect_key=key)

    assert blocked.value.code == "effect_key"
    assert played.requests == []
    assert Call.objects.get().outcome == "blocked"


@pytest.mark.parametrize("name", ["a\x00b", "\ud800", "ok"])
def test_names_that_no_database_stores_do_not_cost_us_the_row(fo: Connection, name: str) -> None:
    with pytest.raises(Blocked):
        gateway.call(fo, "order.get", {name: 1}, actor="test")
    with pytest.raises(Blocked):
        gateway.call(fo, f"order.{name}", {}, actor="test")

    assert set(Call.objects.values_list("outcome", flat=True)) == {"blocked"}


def test_a_version_that_no_header_can_carry_is_told_and_nothing_is_sent(fo: Connection, played: Played) -> None:
    with pytest.raises(Blocked) as blocked:
        write(fo, version='W/"ü"')

    assert blocked.value.code == "arguments"
    assert Call.objects.get().finished_at is not None
    assert played.calls == []


def test_a_record_without_a_row_version_is_written_without_one(fo: Connection, played: Played) -> None:
    played.on("GET", RECORD, httpx.Response(200, json={**ROW, "@odata.etag": None}))
    version = read(fo).records[0].version

    write(fo, version=version)

    assert version == ""
    assert played.calls[-1].headers["if-match"] == "*"


@pytest.mark.parametrize("url", ["https://anna:pw@x.test/", "https://anna@x.test/a"])
def test_an_address_with_a_password_in_it_is_not_called(url: str, played: Played) -> None:
    with pytest.raises(Blocked) as blocked:
        Http("x").send("GET", url)

    assert blocked.value.code == "address"
    assert "anna" not in str(blocked.value)
    assert played.requests == []
