"""The automation owner's first connection: chosen, configured, tried."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.conftest import Demo, Desk

Seat = Callable[..., Desk]


def fill(page: Page, simulator: str, secret: str) -> None:
    """Fill in a second Finance & Operations that is the simulator."""
    page.locator("#id_slug").fill("fo-second")
    page.locator("#id_label").fill("Finance, second")
    page.locator("#id_config_environment_url").fill(f"{simulator}/fo")
    page.locator("#id_config_authority").fill(f"{simulator}/fo")
    page.locator("#id_config_tenant").fill("contoso")
    page.locator("#id_config_client_id").fill("goldseam")
    page.locator("#id_secret_client_secret").fill(secret)
    page.locator("#id_change_reason").fill("A second legal entity.")


def test_a_system_is_connected_and_answers(demo: Demo, desk: Seat):
    automation = desk("automation")
    page = automation.page
    automation.go("/connections/")
    page.get_by_role("link", name="Configure").click()
    page.get_by_role("link", name="Add connection").click()
    automation.shot("admin-1-which-system")
    page.get_by_role("link", name="Dynamics").click()
    automation.shot("admin-2-form")

    fill(page, demo.simulator, "simulator")
    page.get_by_role("button", name="Save and continue editing").click()
    expect(page.locator(".messagelist .success")).to_be_visible()
    page.get_by_role("button", name="Test connection").click()

    expect(page.locator(".messagelist li").first).to_have_class("success")
    automation.shot("admin-3-tested")
    assert page.locator("#id_secret_client_secret").input_value() == ""
    automation.go("/connections/")
    expect(page.get_by_role("row", name="Finance, second")).to_contain_text("Healthy")


def test_a_wrong_address_is_said_beside_its_field(desk: Seat):
    automation = desk("automation")
    page = automation.page
    automation.go("/admin/connectors/connection/add/?kind=dynamics_fo")

    fill(page, "ftp://nowhere", "x")
    page.locator("#id_slug").fill("fo-wrong")
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.locator(".errornote")).to_be_visible()
    expect(page.locator(".errorlist").first).to_be_visible()
    automation.shot("admin-4-wrong")


def test_an_operator_stops_all_writing_and_lets_it_go_on(desk: Seat):
    operator = desk("operator")
    page = operator.page
    operator.go("/connections/")

    page.get_by_role("button", name="Stop all writing").first.click()
    page.get_by_label("Why?").fill("Trying the switch.")
    page.locator("#stop").get_by_role("button", name="Stop all writing").click()
    expect(page.get_by_role("heading", name="Writing is stopped everywhere")).to_be_visible()
    operator.shot("connections-stopped")
    page.get_by_role("button", name="Let writing go on").click()
    page.get_by_label("What has been settled?").fill("It works.")
    page.get_by_role("button", name="Go on").last.click()

    expect(page.locator(".message.success")).to_contain_text("Writing goes on")
