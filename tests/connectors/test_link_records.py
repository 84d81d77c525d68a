"""Links to records in connected systems: what kinds declare, and what a hostile key cannot make of it."""

import pytest

from connectors.kit.pages import ANY, Page, Pages, page
from connectors.models import Connection
from connectors.registry import page_of, record_named

FO = {"environment_url": "https://contoso.operations.dynamics.test"}
ORG = {"login_url": "https://contoso.my.salesforce.test"}


def of(kind, config):
    return Connection(slug="any", kind=kind, config=config)


@pytest.mark.parametrize(
    ("kind", "entity", "key", "url"),
    [
        ("dynamics_fo", "SalesOrderHeadersV2", "usmf/SO-1", "/?cmp=usmf&mi=SalesTableListPage"),
        ("dynamics_fo", "CustomersV3", "usmf/US-001", "/?cmp=usmf&mi=CustTableListPage"),
        ("salesforce", "Case", "500xx0000000001AAA", "/lightning/r/Case/500xx0000000001AAA/view"),
    ],
)
def test_a_kind_says_where_it_shows_its_records(kind, entity, key, url):
    config = FO if kind == "dynamics_fo" else ORG

    found = page_of(of(kind, config), entity, key)

    # Which record its form shows, only F&O itself can say in a link.
    assert found == Page(next(iter(config.values())) + url, exact=kind == "salesforce")


def test_another_front_end_is_where_people_are_sent():
    config = {**ORG, "front_end_url": "https://contoso.lightning.force.test"}

    found = page_of(of("salesforce", config), "Case", "500xx0000000001AAA")

    assert found is not None
    assert found.url == "https://contoso.lightning.force.test/lightning/r/Case/500xx0000000001AAA/view"


@pytest.mark.parametrize(
    ("kind", "config", "entity", "key"),
    [
        ("dynamics_fo", FO, "FreightRates", "usmf/DHL"),  # a form that nobody has told us of
        ("dynamics_fo", {}, "CustomersV3", "usmf/1"),
        ("salesforce", ORG, "Case", ""),
        ("openai", {"base_url": "https://models.test"}, "Case", "1"),
        ("nothing of ours", ORG, "Case", "1"),
    ],
)
def test_where_no_link_is_known_none_is_made(kind, config, entity, key):
    assert page_of(of(kind, config), entity, key) is None


@pytest.mark.parametrize("key", ["//evil.test", "@evil.test/x", "../../x?y#z", "a b", "javascript:alert(1)", "\\evil"])
def test_a_key_from_outside_never_leaves_its_place(key):
    found = page_of(of("salesforce", ORG), key, key)

    assert found is not None
    assert found.url.startswith("https://contoso.my.salesforce.test/lightning/r/")
    assert found.url.count("/") == 7
    assert not set("?#@\\ ") & set(found.url)


@pytest.mark.parametrize(
    "root",
    ["javascript:alert(1)", "ftp://files.test", "//evil.test", "https://", "https://me@host.test", "https://a b.test"],
)
def test_an_address_that_is_none_to_trust_makes_no_link(root):
    assert page(Pages("base", {ANY: "/x/{key}"}), {"base": root}, "Case", "1") is None


def test_a_template_cannot_lead_to_another_host():
    assert page(Pages("base", {ANY: ".evil.test/{key}"}), {"base": "https://good.test"}, "Case", "1") is None
    assert page(Pages("base", {ANY: ":81/{key}"}), {"base": "https://good.test"}, "Case", "1") is None


@pytest.mark.parametrize(
    ("kind", "event", "payload", "named"),
    [
        ("dynamics_fo", "X", {"BusinessEventLegalEntity": "usmf", "SalesOrderId": "SO-1", "InvoiceId": "I"},
         ("SalesOrderHeadersV2", "usmf/SO-1")),
        ("dynamics_fo", "X", {"LegalEntity": "usmf", "InvoiceId": "I-1"}, ("SalesInvoiceHeadersV2", "usmf/I-1")),
        ("dynamics_fo", "X", {"SalesOrderId": "SO-1"}, None),
        ("dynamics_fo", "X", {"LegalEntity": "usmf", "SalesOrderId": 7}, None),
        ("salesforce", "record:Case", {"Id": "500xx0000000001"}, ("Case", "500xx0000000001")),
        ("salesforce", "record:Case", {"Id": "no id"}, None),
        ("salesforce", "else", {"Id": "500xx0000000001"}, None),
        ("openai", "X", {"Id": "500xx0000000001"}, None),
    ],
)  # fmt: skip
def test_a_kind_says_which_record_an_event_is_about(kind, event, payload, named):
    assert record_named(of(kind, {}), event, payload) == named
