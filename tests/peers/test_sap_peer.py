"""SAP against mock-sap, a stand-in that nobody here wrote. Skipped where it is not installed."""

import re
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from importlib.util import find_spec
from typing import Any

import httpx
import pytest

from connectors import gateway, transport
from connectors.base import Locked, RateLimited, Refused, Unanswered, Unauthorized, VersionConflict
from connectors.inbound import webhooks
from connectors.kit import credentials
from connectors.models import Connection, Delivery
from tests.connectors.sap_world import make_sap

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(find_spec("mocksap") is None, reason="mock-sap is not installed"),
]
KEY = "a" * 40
V4 = "sales=/sap/opu/odata4/sap/api_salesorder/srvd_a2x/sap/api_salesorder/0001"
ORDERS = "API_SALES_ORDER_SRV/A_SalesOrder"
CONFIG = {
    "services": f"API_SALES_ORDER_SRV, API_BILLING_DOCUMENT_SRV, API_OPLACCTGDOCITEMCUBE_SRV, {V4}",
    "idoc_status_set": "",
    "read_functions": "BAPI_CUSTOMER_GETLIST, BAPI_SALESORDER_GETSTATUS",
    "query_entities": f"{ORDERS}, sales/SalesOrder",
    "findable": "\n".join(
        f"{entity}(TotalNetAmount) by SalesOrder, SoldToParty, CreationDate:date"
        for entity in (ORDERS, "sales/SalesOrder")
    ),
    "rfc_style": "json",
    "rfc_path": "/sap/bc/rfc/{function}",
    "rfc_root": "/sap/opu/odata/sap/API_SALES_ORDER_SRV",
    "rfc_csrf": True,
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The stand-in on a free port of this machine, until the last test."""
    command = [sys.executable, "-u", "-m", "mocksap", "--port", "0", "--quiet", "--auth", "goldseam:simulator"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = next(
            (re.search(r"http://127\.0\.0\.1:\d+", line) for line in process.stdout if "listening" in line), None
        )
        assert found is not None
        yield found[0]
        process.terminate()


@pytest.fixture
def peer(db: None, address: str, settings: Any) -> Iterator[Connection]:
    settings.OUTBOUND_ALLOW = [address.removeprefix("http://")]
    credentials.forget_all()
    httpx.post(f"{address}/_mock/reset", auth=("goldseam", "simulator")).raise_for_status()
    yield make_sap(address, secret="simulator", config=CONFIG)
    transport.close_all()


def rule(address: str, scenario: str, method: str, match: str = "A_SalesOrder") -> None:
    body = {"match": match, "method": method, "scenario": scenario, "count": 1}
    httpx.post(f"{address}/_mock/faults", json=body, auth=("goldseam", "simulator")).raise_for_status()


def ask(connection: Connection, entity: str, **arguments: Any) -> list[Any]:
    return gateway.call(connection, "odata.query", {"entity": entity, **arguments}, actor="test").records


def first(connection: Connection) -> Any:
    number = ask(connection, ORDERS, orderby="SalesOrder asc", rows=1)[0].key
    return gateway.call(connection, "order.get", {"order": number}, actor="test").records[0]


def ship(connection: Connection, order: Any, condition: str = "07", **options: Any) -> gateway.Answer:
    arguments = {"order": order.key, "condition": condition}
    options = {"actor": "test", "effect_key": KEY, "version": order.version, **options}
    return gateway.call(connection, "order.set_shipping", arguments, **options)


def test_both_versions_tell_the_same_of_an_order(peer: Connection) -> None:
    order = first(peer)
    question = f"SalesOrder eq '{order.key}'"

    (other,) = ask(peer, "sales/SalesOrder", filter=question)

    assert Decimal(str(other.fields["TotalNetAmount"])) == Decimal(order.fields["TotalNetAmount"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d.*", order.fields["CreationDate"])
    assert other.fields["SoldToParty"] == order.fields["SoldToParty"]


@pytest.mark.parametrize("entity", [ORDERS, "sales/SalesOrder"])
def test_an_order_is_found_by_its_fields_and_several_are_told_apart(peer: Connection, entity: str) -> None:
    order = first(peer)
    by = {"SalesOrder": order.key, "SoldToParty": order.fields["SoldToParty"]}

    def find(**where: str) -> list[Any]:
        asked = {"entity": entity, "where": where}
        return gateway.call(peer, "record.find", asked, actor="test").records

    (found,) = find(**by)
    assert found.key == order.key
    assert Decimal(str(found.fields["TotalNetAmount"])) == Decimal(order.fields["TotalNetAmount"])
    assert find(**{**by, "SoldToParty": "x' or SalesOrder ne '"}) == []
    assert [row.key for row in find(SalesOrder=order.key, CreationDate=order.fields["CreationDate"][:10])] == [
        order.key
    ]
    customers = [row.fields["SoldToParty"] for row in ask(peer, ORDERS)]
    busiest = max(customers, key=customers.count)
    assert customers.count(busiest) > 1
    with pytest.raises(Refused, match="which is meant cannot be told"):
        find(SoldToParty=busiest)


def test_items_come_along_and_belong_to_their_order(peer: Connection) -> None:
    order = first(peer)

    whole = gateway.call(peer, "order.with_items", {"order": order.key}, actor="test").records
    listed = gateway.call(peer, "items.list", {"order": order.key}, actor="test").records

    assert len(whole) > 1
    assert {row.key for row in whole[1:]} == {row.key for row in listed}


def test_a_change_goes_under_a_token_its_cookies_and_a_version_and_is_taken_back(peer: Connection) -> None:
    order = first(peer)

    ship(peer, order)

    after = first(peer)
    assert (after.fields["ShippingCondition"], order.fields["ShippingCondition"] != "07") == ("07", True)
    ship(peer, after, order.fields["ShippingCondition"] or "01", effect_key="b" * 40)
    assert first(peer).fields["ShippingCondition"] == (order.fields["ShippingCondition"] or "01")


def test_an_order_in_another_version_is_not_overwritten(peer: Connection) -> None:
    order = first(peer)

    with pytest.raises(VersionConflict):
        ship(peer, order, version="W/\"'another'\"")

    assert first(peer).fields == order.fields


def test_a_token_that_is_turned_away_is_fetched_again(peer: Connection, address: str) -> None:
    order = first(peer)
    rule(address, "csrf", "PATCH")

    ship(peer, order)

    assert first(peer).fields["ShippingCondition"] == "07"


@pytest.mark.parametrize(
    ("scenario", "error"),
    [("lock", Locked), ("precondition", VersionConflict), ("forbidden", Refused), ("error", Unanswered)],
)
def test_its_bad_days_become_exact_failures(
    peer: Connection, address: str, scenario: str, error: type[Exception]
) -> None:
    order = first(peer)
    rule(address, scenario, "PATCH")

    with pytest.raises(error) as raised:
        ship(peer, order)

    assert type(raised.value) is error
    assert first(peer).fields == order.fields


def test_a_busy_system_is_waited_for(peer: Connection, address: str) -> None:
    rule(address, "busy", "GET")

    with pytest.raises(RateLimited) as limited:
        ask(peer, ORDERS)

    assert limited.value.retry_after is not None


def test_a_wrong_password_is_told(peer: Connection, address: str) -> None:
    wrong = make_sap(address, secret="not-the-password", slug="wrong", config=CONFIG)

    with pytest.raises(Unauthorized):
        ask(wrong, ORDERS)


@pytest.mark.parametrize("style", ["json", "soap"])
def test_functions_are_read_over_json_and_soap(peer: Connection, style: str) -> None:
    if style == "soap":
        soap = {
            "rfc_style": "soap",
            "rfc_path": "/sap/bc/srt/rfc/sap/bapi/100/bapi/binding",
            "rfc_namespace": "urn:sap-com:document:sap:soap:functions:mc-style",
        }
        peer.config = {**peer.config, **soap}
        peer.save()
    order = first(peer)
    arguments = {"function": "BAPI_SALESORDER_GETSTATUS", "parameters": {"SALESDOCUMENT": order.key}}

    record = gateway.call(peer, "function.read", arguments, actor="test").records[0]

    assert record.entity == "BAPI_SALESORDER_GETSTATUS"
    missing = {**arguments, "parameters": {"SALESDOCUMENT": "9999999999"}}
    with pytest.raises(Refused) as refused:
        gateway.call(peer, "function.read", missing, actor="test")
    assert refused.value.status == 200


def test_an_idoc_that_it_renders_is_taken_as_one_delivery(peer: Connection, address: str) -> None:
    order = first(peer)
    with httpx.Client(base_url=address, auth=("goldseam", "simulator")) as client:
        fetched = client.get("/sap/opu/odata/sap/API_SALES_ORDER_SRV/", headers={"X-CSRF-Token": "Fetch"})
        idoc = client.post(
            "/sap/bc/idoc/generate?format=xml",
            json={"mestyp": "INVOIC", "SalesOrder": order.fields["SalesOrder"]},
            headers={"X-CSRF-Token": fetched.headers["x-csrf-token"]},
        )
    assert idoc.status_code == 201

    received = [webhooks.receive(peer, idoc.content, {}).accepted for _ in range(2)]

    assert received == [1, 0]
    assert Delivery.objects.get().event == "INVOIC"
    assert Delivery.objects.get().payload["segments"]["E1EDP01"]
