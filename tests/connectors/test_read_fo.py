"""Reads of F&O: across companies, page by page, empty dates as nothing, literals that no text breaks out of."""

from typing import Any

import httpx
import pytest

from connectors import gateway
from connectors.base import Blocked, Unanswered, Unauthorized
from connectors.kinds.dynamics_fo import odata
from connectors.kinds.dynamics_fo.reads import DECLARED
from connectors.models import Connection
from tests.connectors.business import CUSTOMER, INVOICE, ORDER, VENDOR, plant_invoice, plant_order, plant_payable
from tests.connectors.conftest import Simulated
from tests.connectors.factories import ROOT, Played, make_fo

ARGUMENTS = {
    "company": "demf", "order": ORDER, "carrier": "DHL", "mode": "AIR", "contract": "C-1", "item": "LAMP",
    "customer": CUSTOMER, "invoice": INVOICE, "reference": "PO-77", "period": "2026-11", "vendor": VENDOR,
    "purchase": "PO-000001", "payment": "CP-000001",
}  # fmt: skip


def read(connection: Connection, name: str, **arguments: Any) -> Any:
    return gateway.call(connection, name, arguments, actor="test").records


@pytest.mark.parametrize("name", [declared.name for declared, _ in DECLARED])
def test_every_read_is_understood_by_the_system(fo: Connection, simulated: Simulated, name: str) -> None:
    declared = next(item for item, _ in DECLARED if item.name == name)
    plant_invoice(simulated)
    plant_order(simulated)
    plant_payable(simulated)

    records = read(fo, name, **{field: ARGUMENTS[field] for field in declared.arguments.model_fields})

    assert all(record.fields["dataAreaId"] == "demf" and record.version for record in records)
    assert bool(records) == (name.split(".", maxsplit=1)[0] in {
        "order", "order_lines", "charges", "on_hand", "customer", "invoice", "invoices", "vendor"
    } or name == "vendor_invoices.by_vendor")  # fmt: skip


def test_a_record_knows_its_key_version_and_place(fo: Connection, simulated: Simulated) -> None:
    plant_invoice(simulated)

    invoice = read(fo, "invoice.find", invoice=INVOICE)[0]

    assert (invoice.system, invoice.entity, invoice.key) == ("fo", "SalesInvoiceHeadersV2", f"demf/{INVOICE}")
    assert invoice.version.startswith('W/"')
    assert invoice.url.endswith(f"(dataAreaId='demf',InvoiceNumber='{INVOICE}')?cross-company=true")
    assert not [name for name in invoice.fields if "@" in name]


def test_an_empty_date_is_no_date(fo: Connection, simulated: Simulated) -> None:
    plant_invoice(simulated, DueDate="2026-12-01T00:00:00Z")

    invoice = read(fo, "invoice.get", company="demf", invoice=INVOICE)[0]

    assert invoice.fields["InvoiceDate"] is None
    assert invoice.fields["DueDate"] == "2026-12-01T00:00:00Z"


def test_all_pages_are_read(db: None, simulated: Simulated) -> None:
    connection = make_fo(f"{simulated.url}/fo", secret="simulator", config={"page_size": 3})
    for number in range(8):
        plant = {"PaymentId": f"P-{number}", "CustomerAccount": CUSTOMER, "Amount": 1.0}
        simulated.plant("fo", "CustomerPayments", dataAreaId="demf", **plant)

    payments = read(connection, "payments.list", company="demf", customer=CUSTOMER)

    assert [payment.fields["PaymentId"] for payment in payments] == [f"P-{number}" for number in range(8)]


def test_a_quote_in_a_value_stays_inside_its_literal(fo: Connection, simulated: Simulated) -> None:
    simulated.plant("fo", "CustomersV3", dataAreaId="demf", CustomerAccount="O'Hara & Söhne/1 100%")

    found = read(fo, "customer.get", company="demf", customer="O'Hara & Söhne/1 100%")

    assert [customer.fields["CustomerAccount"] for customer in found] == ["O'Hara & Söhne/1 100%"]
    assert read(fo, "payments.list", company="demf", customer="x' or 'a' eq 'a") == []


@pytest.mark.parametrize("value", ["*", "PO*", "a\nb", "x" * 61, ""])
def test_a_value_that_could_match_other_records_is_refused_before_anything_is_sent(
    fo: Connection, simulated: Simulated, value: str
) -> None:
    with pytest.raises(Blocked, match="reference"):
        read(fo, "invoices.same_reference", company="demf", customer=CUSTOMER, reference=value)

    assert simulated.requests() == []


def test_a_list_that_continues_elsewhere_is_not_followed_with_our_token(db: None, played: Played) -> None:
    page = {"value": [], "@odata.nextLink": "https://elsewhere.test/data/CustomerPayments?$skiptoken=1"}
    played.on("GET", "/data/CustomerPayments", httpx.Response(200, json=page))

    with pytest.raises(Unanswered, match="at another address"):
        read(make_fo(), "payments.list", company="demf", customer=CUSTOMER)

    assert {request.url.host for request in played.requests} == {"contoso.operations.dynamics.test"}


def test_a_record_of_another_company_and_none_at_all_look_the_same(fo: Connection, simulated: Simulated) -> None:
    plant_invoice(simulated)

    assert read(fo, "invoice.get", company="usmf", invoice=INVOICE) == []
    assert read(fo, "invoice.get", company="demf", invoice="CIV-999999") == []


def test_the_scope_has_one_slash_before_default(db: None, played: Played) -> None:
    connection = make_fo(ROOT + "/")

    read(connection, "customer.get", company="demf", customer=CUSTOMER)

    form = dict(httpx.QueryParams(played.requests[0].content.decode()))
    assert form["scope"] == f"{ROOT}/.default"
    assert form["grant_type"] == "client_credentials"
    assert played.calls[0].url.params["cross-company"] == "true"


def test_one_token_serves_many_calls_and_a_refused_one_is_renewed_once(fo: Connection, simulated: Simulated) -> None:
    plant_invoice(simulated)
    for _ in range(3):
        read(fo, "invoice.get", company="demf", invoice=INVOICE)
    simulated.client.post("/control/tokens/expire", json={"system": "fo"}).raise_for_status()

    read(fo, "invoice.get", company="demf", invoice=INVOICE)

    tokens = [row for row in simulated.requests() if row["path"].endswith("/token")]
    assert len(tokens) == 2


def test_credentials_that_stay_refused_are_told_and_shown_on_the_connection(db: None, simulated: Simulated) -> None:
    connection = make_fo(f"{simulated.url}/fo", secret="not the right one")

    with pytest.raises(Unauthorized, match="Invalid client secret") as refused:
        read(connection, "customer.get", company="demf", customer=CUSTOMER)

    connection.refresh_from_db()
    assert "not the right one" not in str(refused.value)
    assert connection.health == "failing"


def test_a_401_after_a_fresh_token_is_final(db: None, played: Played) -> None:
    played.on("GET", "/data/CustomersV3(dataAreaId='demf',CustomerAccount='DE-001')", httpx.Response(401))

    with pytest.raises(Unauthorized):
        read(make_fo(), "customer.get", company="demf", customer=CUSTOMER)

    assert (played.tokens, len(played.calls)) == (2, 2)


@pytest.mark.parametrize(
    ("value", "text"),
    [("it's", "'it''s'"), (7, "7"), (1.5, "1.5"), (True, "true")],
)
def test_literals_are_written_as_odata_reads_them(value: Any, text: str) -> None:
    assert odata.literal(value) == text


def test_a_number_in_a_key_stands_without_quotes() -> None:
    address = odata.address("FreeTextInvoiceHeaders", {"dataAreaId": "demf", "InvoiceIdentifier": 68719480001})

    assert address == "FreeTextInvoiceHeaders(dataAreaId='demf',InvoiceIdentifier=68719480001)"
