"""The approver's journey without a mouse, and the keys of the console."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from tests.browser.conftest import Demo, Desk

Seat = Callable[..., Desk]


def any_plan(approval: dict[str, Any]) -> bool:
    return bool(approval["kind"] == "plan" and approval["required"] == 1)


def test_an_approver_says_no_with_a_reason_by_keyboard_alone(demo: Demo, desk: Seat):
    approver = desk("approver2")
    demo.approval(approver.page, any_plan)
    page = approver.page
    approver.go("/approvals/")

    page.keyboard.press("j")
    title = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(title)
    page.keyboard.press("r")
    page.keyboard.type("The customer has agreed to keep both.")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    expect(page.locator(".message.success")).to_contain_text("Rejected. Nothing is sent.")
    expect(page.get_by_text("The customer has agreed to keep both.").first).to_be_visible()
    approver.shot("approver-rejected")


def test_j_and_k_walk_the_rows_and_enter_opens_one(desk: Seat):
    operator = desk("operator")
    page = operator.page
    operator.go("/incidents/?show=all")
    expect(page.locator("a.row").nth(1)).to_be_visible()
    rows = page.locator("a.row").all_text_contents()

    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    focused = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")

    assert focused == rows[0]
    expect(page.get_by_role("heading", level=1)).to_have_text(rows[0])


def test_the_help_lists_the_keys_of_the_page_and_can_switch_them_off(demo: Demo, desk: Seat):
    approver = desk("approver")
    page = approver.page
    approval = demo.approval(page, any_plan)
    approver.go(f"/approvals/{approval['id']}/")

    page.keyboard.press("?")
    listed = page.locator("#help dd").all_text_contents()
    page.locator("[data-keys-off]").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("a")

    assert {"Approve", "Reject", "Find", "This list"} <= set(listed)
    expect(page.locator(f"#approve-{approval['id']}")).not_to_be_visible()


def test_keys_are_left_alone_while_somebody_types(desk: Seat):
    operator = desk("operator")
    page = operator.page

    page.keyboard.press("/")
    page.keyboard.type("j?ak")

    assert page.locator(".find input").input_value() == "j?ak"
    expect(page.locator("#help")).not_to_be_visible()


def test_the_first_tab_leads_past_the_bar(desk: Seat):
    operator = desk("operator")

    operator.page.keyboard.press("Tab")
    skipped = operator.page.evaluate("document.activeElement.textContent")
    operator.page.keyboard.press("Enter")

    assert skipped == "Skip to content"
    assert operator.page.evaluate("document.activeElement.id") == "content"


def test_a_chosen_theme_stays_on_every_page_and_in_the_admin(desk: Seat):
    automation = desk("automation")
    page = automation.page

    page.get_by_role("button", name="Your menu").click()
    page.get_by_role("button", name="Dark").click()
    automation.go("/playbooks/")
    console = page.evaluate("getComputedStyle(document.body).backgroundColor")
    automation.go("/admin/")

    assert console == "rgb(20, 19, 17)"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == console


def test_a_live_region_waits_while_a_dialog_in_it_is_open(demo: Demo, desk: Seat):
    approver = desk("approver")
    page = approver.page
    approval = demo.approval(page, any_plan)
    approver.go(f"/incidents/{approval['incident']}/")

    page.keyboard.press("r")
    page.keyboard.type("half a sen")
    page.wait_for_timeout(4_000)

    expect(page.get_by_label("Why not?")).to_have_value("half a sen")


def test_signing_out_ends_the_session(desk: Seat):
    viewer = desk("viewer")
    page = viewer.page

    page.get_by_role("button", name="Your menu").click()
    page.get_by_role("button", name="Sign out").click()
    viewer.go("/")

    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
