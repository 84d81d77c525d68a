"""An integration lead connects a REST API from its document: ticks, reads the suggestion, confirms, allows, tests."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Demo, Desk
from tests.connectors.openapi_world import SAP_DOCUMENT

Seat = Callable[..., Desk]
PATCH = "a_sales_order.patch"


@pytest.mark.skipif(not SAP_DOCUMENT.is_file(), reason=f"SAP's document is not at {SAP_DOCUMENT}")
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_write_is_declared_and_allowed_without_yaml(demo: Demo, desk: Seat, width: int, scheme: str) -> None:
    lead = desk("automation", width=width, scheme=scheme)
    page = lead.page
    lead.go("/admin/connectors/connection/add/?kind=openapi")
    page.locator("#id_slug").fill(f"orders-{width}")
    page.locator("#id_label").fill("Sales orders")
    page.locator("#id_config_base_url").fill(demo.simulator)
    page.locator("#id_config_user").fill("goldseam")
    page.locator("#id_config_csrf_path").fill("/")
    page.locator("#id_secret_password").fill("simulator")

    page.locator("#id_config_document_file").set_input_files(SAP_DOCUMENT)
    page.get_by_role("button", name="List what the document offers").click()
    page.get_by_label("Find").fill("updates a sales order (")
    page.get_by_label("PATCH /A_SalesOrder('{SalesOrder}')").check()
    sheet = page.locator(f"details[data-operation='{PATCH}']")
    expect(sheet).to_contain_text("shows the same record, before and after")
    lead.shot(f"rest-1-suggested-{width}")
    sheet.get_by_label("What takes it back", exact=True).select_option("none")
    reason = sheet.get_by_label("Why nothing takes it back")
    expect(reason).to_be_visible()
    sheet.get_by_label("What takes it back", exact=True).select_option(PATCH)
    expect(reason).to_have_count(0)
    sheet.get_by_label("This is right: use it").check()
    sheet.get_by_label("Allow it, and what takes it back").check()
    page.get_by_role("button", name="Save and continue editing").click()

    expect(page.locator(".messagelist .success")).to_be_visible()
    expect(page.locator("input[name=operations][value='a_sales_order.patch']")).to_be_checked()
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator(".messagelist li").first).to_have_class("success")
    lead.shot(f"rest-2-declared-{width}")
    page.get_by_role("link", name="Try a read").click()
    page.get_by_role("button", name="Show its arguments").click()
    page.get_by_label("sales_order").fill("1")
    page.get_by_role("button", name="Try it").click()
    expect(page.get_by_role("heading", name="What came back")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
