"""Every page in light, dark and on a phone: nothing complains, nothing overflows, everything has a name."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Demo, Desk

Seat = Callable[..., Desk]
MODES = {"light": (1280, "light"), "dark": (1280, "dark"), "phone": (390, "light"), "phone-dark": (390, "dark")}
PAGES = {
    "inbox": "/",
    "incidents": "/incidents/?show=all",
    "approvals": "/approvals/",
    "dead-letters": "/dead-letters/",
    "playbooks": "/playbooks/",
    "connections": "/connections/",
    "calls": "/connections/fo/",
    "audit": "/audit/",
    "entry": "/audit/1/",
    "nothing-found": "/incidents/?search=no+such+thing",
    "admin": "/admin/",
    "admin-list": "/admin/auth/user/",
    "missing": "/incidents/999999999/",
}
NAMELESS = """() => [...document.querySelectorAll("button, a[href], input:not([type=hidden]), select, textarea")]
    .filter((one) => !(one.textContent.trim() || one.getAttribute("aria-label") || one.title || one.labels?.length
                       || one.type === "submit" || one.type === "checkbox" || one.getAttribute("aria-labelledby")))
    .map((one) => one.outerHTML.slice(0, 120))"""
TWICE = """() => [...document.querySelectorAll("[id]")].map((one) => one.id)
    .filter((id, index, all) => all.indexOf(id) !== index)"""
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def look(desk: Desk, name: str, path: str, mode: str) -> None:
    """Open a page, keep its picture, and hold it to what every page must keep."""
    desk.go(path)
    assert desk.page.evaluate(WIDER) <= 0, f"{path} is wider than the window"
    assert desk.page.locator("h1").count() == 1, f"{path} needs one heading"
    if not path.startswith("/admin"):
        assert desk.page.evaluate(NAMELESS) == []
        assert desk.page.evaluate(TWICE) == []
        assert desk.page.locator("[style]").count() == 0
    desk.shot(f"{name}-{mode}")


@pytest.mark.parametrize("mode", MODES)
def test_every_page_keeps_its_look(demo: Demo, desk: Seat, mode: str):
    width, scheme = MODES[mode]
    admin = desk("admin", width=width, scheme=scheme)
    approval = demo.approval(admin.page, lambda one: one["kind"] == "plan")
    incident = approval["incident"]
    resolved = demo.get("incidents/", status="resolved")["results"][0]["id"]
    more = {
        "incident-waiting": f"/incidents/{incident}/",
        "incident-resolved": f"/incidents/{resolved}/",
        "signals": f"/incidents/{incident}/signals/",
        "history": f"/incidents/{incident}/history/",
        "approval": f"/approvals/{approval['id']}/",
        "playbook": "/playbooks/credit-duplicate-invoice/",
    }

    for name, path in {**PAGES, **more}.items():
        look(admin, name, path, mode)


@pytest.mark.parametrize("mode", MODES)
def test_the_sign_in_page_keeps_its_look_and_says_what_is_wrong(desk: Seat, mode: str):
    width, scheme = MODES[mode]
    nobody = desk(width=width, scheme=scheme)
    look(nobody, "login", "/login/", mode)

    nobody.page.get_by_label("User name").fill(f"nobody-{mode}")
    nobody.page.get_by_label("Password").fill("wrong")
    nobody.page.get_by_role("button", name="Sign in").click()

    expect(nobody.page.get_by_role("alert")).to_contain_text("do not match")
    nobody.shot(f"login-wrong-{mode}")


def test_on_a_phone_the_navigation_folds_into_a_menu(desk: Seat):
    operator = desk("operator", width=390)
    page = operator.page
    link = page.get_by_role("link", name="Dead letters")
    expect(link).not_to_be_visible()

    page.get_by_role("button", name="Menu", exact=True).click()
    operator.shot("phone-menu")
    link.click()

    expect(page).to_have_url(f"{operator.demo.url}/dead-letters/")


def test_on_paper_folds_are_open_and_controls_are_gone(demo: Demo, desk: Seat):
    approver = desk("approver")
    page = approver.page
    approval = demo.approval(page, lambda one: one["kind"] == "plan")
    approver.go(f"/incidents/{approval['incident']}/")

    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    approver.shot("paper")

    expect(page.locator("#evidence-1 .record")).to_be_visible()
    expect(page.locator(".bar")).not_to_be_visible()
    expect(page.get_by_role("button", name="Approve")).to_have_count(0)
    assert colour(page) == "rgb(255, 255, 255)"


def colour(page: Page) -> str:
    found: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return found
