"""Reading F&O: tokens, companies, filters, order, paging, etags."""

import httpx
import pytest

from tests.simulator.bench import YES, Bench


def order(number: str, company: str = "demf") -> str:
    return f"SalesOrderHeadersV2(dataAreaId='{company}',SalesOrderNumber='{number}')"


def numbers(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [row["SalesOrderNumber"] for row in answer.json()["value"]]


@pytest.fixture
def orders(sim: Bench) -> Bench:
    """Four orders in two companies."""
    sim.order("SO-1", OrderTotalAmount=100.5, Region="DE", CreditHold="Yes", CustomersOrderReference="PO-4711-A")
    sim.order("SO-2", OrderTotalAmount=20, Region="NL", RequestedShippingDate="2026-03-01T12:00:00Z")
    sim.order("SO-3", OrderTotalAmount=300, Region="de", RequestedShippingDate="2026-04-01T12:00:00Z")
    sim.order("SO-4", "usmf", OrderTotalAmount=300, Region="US-EAST", CustomersOrderReference="it's here")
    return sim


def test_a_call_without_a_token_is_refused_in_the_shape_of_fo(sim: Bench):
    answer = sim.http.get("/fo/data/CustomersV3")

    assert answer.status_code == 401
    assert "token" in answer.json()["error"]["innererror"]["message"]


def test_a_wrong_client_secret_gets_no_token(sim: Bench):
    form = {"grant_type": "client_credentials", "client_id": "goldseam", "client_secret": "guess", "scope": "x"}

    answer = sim.http.post("/fo/contoso/oauth2/v2.0/token", data=form)

    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_client"


def test_an_unknown_grant_gets_no_token(sim: Bench):
    answer = sim.http.post("/fo/contoso/oauth2/v2.0/token", data={"grant_type": "password"})

    assert answer.status_code == 400
    assert answer.json()["error"] == "unsupported_grant_type"


def test_an_audience_with_a_trailing_slash_yields_a_token_that_fo_rejects(sim: Bench):
    form = {"grant_type": "client_credentials", "client_id": "goldseam", "client_secret": "simulator"}

    token = sim.http.post("/fo/contoso/oauth2/v2.0/token", data={**form, "scope": f"{sim.url}/fo//.default"})
    answer = sim.http.get("/fo/data", headers={"Authorization": f"Bearer {token.json()['access_token']}"})

    assert token.status_code == 200
    assert answer.status_code == 401


def test_expired_tokens_are_refused_until_a_new_one_is_fetched(sim: Bench):
    sim.order("SO-1")

    sim.http.post("/control/tokens/expire", json={})

    assert sim.fo("GET", order("SO-1")).status_code == 401
    assert sim.sf("GET", "limits").status_code == 401
    sim.login()
    assert sim.fo("GET", order("SO-1")).status_code == 200
    assert sim.sf("GET", "limits").status_code == 200


def test_expiring_one_systems_tokens_leaves_the_other_alone(sim: Bench):
    answer = sim.http.post("/control/tokens/expire", json={"system": "fo"})

    assert answer.json() == {"expired": 1}
    assert sim.fo("GET", "CustomersV3").status_code == 401
    assert sim.sf("GET", "limits").status_code == 200


def test_a_list_without_cross_company_shows_only_the_default_company(orders: Bench):
    answer = orders.http.get("/fo/data/SalesOrderHeadersV2", headers=orders.fo_auth)

    assert numbers(answer) == ["SO-4"]


def test_a_record_of_another_company_is_not_there_without_cross_company(orders: Bench):
    narrow = orders.http.get(f"/fo/data/{order('SO-1')}", headers=orders.fo_auth)
    wide = orders.fo("GET", order("SO-1"))

    assert narrow.status_code == 404
    assert wide.json()["SalesOrderNumber"] == "SO-1"


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("dataAreaId eq 'demf'", ["SO-1", "SO-2", "SO-3"]),
        (f"CreditHold eq {YES}", ["SO-1"]),
        (f"CreditHold ne {YES}", ["SO-2", "SO-3", "SO-4"]),
        ("OrderTotalAmount gt 100.5", ["SO-3", "SO-4"]),
        ("OrderTotalAmount ge 100.5 and OrderTotalAmount lt 300", ["SO-1"]),
        ("OrderTotalAmount le 20 or Region eq 'US-EAST'", ["SO-2", "SO-4"]),
        ("Region eq 'DE'", ["SO-1", "SO-3"]),
        ("not (Region eq 'DE') and dataAreaId eq 'demf'", ["SO-2"]),
        ("Region eq 'NL' or Region eq 'DE' and OrderTotalAmount gt 200", ["SO-2", "SO-3"]),
        ("(Region eq 'NL' or Region eq 'DE') and OrderTotalAmount gt 200", ["SO-3"]),
        ("CustomersOrderReference eq '*4711*'", ["SO-1"]),
        ("CustomersOrderReference ne '*4711*'", ["SO-2", "SO-3", "SO-4"]),
        ("CustomersOrderReference eq 'it''s here'", ["SO-4"]),
        ("RequestedShippingDate ge 2026-03-15", ["SO-3"]),
        ("RequestedShippingDate eq 2026-03-01T12:00:00Z", ["SO-2"]),
        ("RequestedShippingDate lt 1901-01-01T00:00:00Z", ["SO-1", "SO-4"]),
        ("Region eq null", []),
        ("Region ne null and SalesOrderNumber eq 'SO-2'", ["SO-2"]),
    ],
)
def test_a_filter_finds_what_it_says(orders: Bench, expression: str, found: list[str]):
    answer = orders.fo("GET", "SalesOrderHeadersV2", params={"$filter": expression})

    assert numbers(answer) == found


@pytest.mark.parametrize(
    "expression",
    [
        "Region eq",
        "Region like 'x'",
        "Nowhere eq 'x'",
        "CreditHold eq 'Yes'",
        "CreditHold gt Microsoft.Dynamics.DataEntities.NoYes'Yes'",
        "CreditHold eq Microsoft.Dynamics.DataEntities.NoYes'Perhaps'",
        "OrderTotalAmount eq 'much'",
        "RequestedShippingDate gt 'soon'",
        "contains(Region,'x')",
        "Region in ('a')",
        "(Region eq 'x'",
        "Region eq 'x' §",
        "(" * 3000 + "Region eq 'x'" + ")" * 3000,
    ],
)
def test_a_filter_that_fo_does_not_know_is_a_400(orders: Bench, expression: str):
    answer = orders.fo("GET", "SalesOrderHeadersV2", params={"$filter": expression})

    assert answer.status_code == 400
    assert answer.json()["error"]["innererror"]["message"]


def test_records_are_sorted_by_several_properties(orders: Bench):
    answer = orders.fo("GET", "SalesOrderHeadersV2", params={"$orderby": "OrderTotalAmount desc,SalesOrderNumber asc"})

    assert numbers(answer) == ["SO-3", "SO-4", "SO-1", "SO-2"]


@pytest.mark.parametrize("order_by", ["Nowhere", "Region upwards", ",", "Region desc asc"])
def test_an_order_that_makes_no_sense_is_a_400(orders: Bench, order_by: str):
    assert orders.fo("GET", "SalesOrderHeadersV2", params={"$orderby": order_by}).status_code == 400


def test_top_and_skip_cut_a_window_and_count_tells_the_whole(orders: Bench):
    answer = orders.fo("GET", "SalesOrderHeadersV2", params={"$skip": "1", "$top": "2", "$count": "true"})

    assert numbers(answer) == ["SO-2", "SO-3"]
    assert answer.json()["@odata.count"] == 4


def test_the_count_address_answers_a_bare_number(orders: Bench):
    answer = orders.fo("GET", "SalesOrderHeadersV2/$count", params={"$filter": "Region eq 'DE'"})

    assert answer.text == "2"


def test_select_gives_only_what_was_asked_with_the_etag(orders: Bench):
    answer = orders.fo("GET", order("SO-1"), params={"$select": "OrderTotalAmount, Region"}).json()

    assert {name for name in answer if not name.startswith("@")} == {"OrderTotalAmount", "Region"}
    assert answer["OrderTotalAmount"] == 100.5
    assert answer["@odata.etag"].startswith('W/"')


@pytest.mark.parametrize("params", [{"$top": "-1"}, {"$skip": "x"}, {"$select": "Nowhere"}, {"$expand": "Lines"}])
def test_an_unknown_option_or_value_is_a_400(orders: Bench, params: dict[str, str]):
    assert orders.fo("GET", "SalesOrderHeadersV2", params=params).status_code == 400


def test_a_long_list_is_paged_and_the_links_lead_through_all_of_it(sim: Bench):
    for number in range(230):
        sim.order(f"SO-{number:04d}")

    found, url = [], f"{sim.url}/fo/data/SalesOrderHeadersV2?cross-company=true&$filter=dataAreaId eq 'demf'"
    sizes = []
    while url:
        page = sim.http.get(url, headers=sim.fo_auth).json()
        sizes.append(len(page["value"]))
        found += [row["SalesOrderNumber"] for row in page["value"]]
        url = page.get("@odata.nextLink", "")

    assert sizes == [100, 100, 30]
    assert found == [f"SO-{number:04d}" for number in range(230)]


def test_the_caller_may_ask_for_smaller_pages(orders: Bench):
    answer = orders.fo("GET", "SalesOrderHeadersV2", headers={"Prefer": "odata.maxpagesize=3"}, params={"$top": "4"})
    rest = orders.http.get(answer.json()["@odata.nextLink"], headers=orders.fo_auth)

    assert len(answer.json()["value"]) == 3
    assert numbers(rest) == ["SO-4"]


def test_an_etag_stays_until_the_record_changes(orders: Bench):
    first = orders.fo("GET", order("SO-1")).json()["@odata.etag"]
    again = orders.fo("GET", order("SO-1")).json()["@odata.etag"]

    orders.fo("PATCH", order("SO-1"), json={"DeliveryModeCode": "20"})

    assert first == again
    assert orders.fo("GET", order("SO-1")).json()["@odata.etag"] != first


def test_an_int64_key_stands_unquoted(sim: Bench):
    sim.plant("fo", "FreeTextInvoiceHeaders", dataAreaId="demf", InvoiceIdentifier=5637144576)

    bare = sim.fo("GET", "FreeTextInvoiceHeaders(dataAreaId='demf',InvoiceIdentifier=5637144576)")
    quoted = sim.fo("GET", "FreeTextInvoiceHeaders(dataAreaId='demf',InvoiceIdentifier='5637144576')")

    assert bare.status_code == 200
    assert quoted.status_code == 400


@pytest.mark.parametrize(
    "key",
    ["SalesOrderNumber='SO-1'", "dataAreaId='demf'", "'demf','SO-1'", "dataAreaId='demf';SalesOrderNumber='SO-1'", ""],
)
def test_a_key_that_is_not_whole_is_a_400(orders: Bench, key: str):
    assert orders.fo("GET", f"SalesOrderHeadersV2({key})").status_code == 400


def test_a_key_may_hold_any_character(sim: Bench):
    sim.plant("fo", "SalesPriceAgreements", dataAreaId="demf", ContractId="a/b=c'd", ItemNumber="x,y")

    answer = sim.fo("GET", "SalesPriceAgreements(dataAreaId='demf',ContractId='a%2Fb=c''d',ItemNumber='x,y')")

    assert answer.json()["ContractId"] == "a/b=c'd"


@pytest.mark.parametrize("path", ["Nothing", "Nothing(dataAreaId='demf')", "SalesOrderHeadersV2/x", "a b"])
def test_an_address_that_does_not_exist_is_a_404(sim: Bench, path: str):
    assert sim.fo("GET", path).status_code in (404, 405)


def test_the_service_document_and_the_metadata_name_every_entity(sim: Bench):
    names = {row["name"] for row in sim.fo("GET", "").json()["value"]}
    metadata = sim.fo("GET", "$metadata").text

    assert {"SalesInvoiceHeadersV2", "FreeTextInvoiceHeaders", "CustomersV3", "FiscalPeriods"} <= names
    assert 'EntityType Name="SalesOrderHeadersV2"' in metadata
    assert 'Name="CreditHold" Type="Microsoft.Dynamics.DataEntities.NoYes"' in metadata
    assert 'Name="InvoiceIdentifier" Type="Edm.Int64"' in metadata


def test_an_empty_date_is_1900(sim: Bench):
    sim.order("SO-1")

    assert sim.fo("GET", order("SO-1")).json()["RequestedShippingDate"] == "1900-01-01T00:00:00Z"
