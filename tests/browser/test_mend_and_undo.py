"""The operator's journey: from the inbox to a mend that was read back, and back again."""

import re
from collections.abc import Callable
from typing import Any

import httpx
from playwright.sync_api import Page, expect

from tests.browser.conftest import Demo, Desk

PATIENCE = 60_000
Seat = Callable[..., Desk]


def one_voice(approval: dict[str, Any]) -> bool:
    """A credit note that needs exactly one approver."""
    return approval["required"] == 1 and approval["kind"] == "plan" and "bills an order" in approval["title"]


def status(page: Page, words: str) -> None:
    """Wait until the page says, without being loaded again, where the incident stands."""
    expect(page.locator(".page-head .chip", has_text=words).first).to_be_visible(timeout=PATIENCE)


def test_an_invoice_is_credited_with_one_yes_and_taken_back_with_another(demo: Demo, desk: Seat):
    operator, approver = desk("operator"), desk("approver")
    approval = demo.approval(operator.page, one_voice)
    incident = approval["incident"]

    find_and_read(operator, incident)
    approve(approver, incident, "journey-1-waiting")
    status(operator.page, "Resolved")
    operator.shot("journey-2-resolved")
    expect(operator.page.get_by_text("as predicted").first).to_be_visible()
    ask_for_the_undo(operator)
    approve(approver, incident, "journey-3-undo-waits")
    status(operator.page, "Rolled back")
    operator.shot("journey-4-rolled-back")

    effects = [one for one in effects_of(demo, incident) if one["kind"] != "side_effect"]
    keys = [one["effect_key"] for one in effects]
    assert len(keys) == len(set(keys))
    assert demo.get(f"incidents/{incident}/")["status"] == "rolled_back"


def find_and_read(operator: Desk, incident: int) -> None:
    """Find the incident by its number and follow a citation to its record."""
    page = operator.page
    page.keyboard.press("/")
    page.keyboard.type(f"INC-{incident}")
    page.keyboard.press("Enter")
    page.locator("a.row").first.click()
    expect(page.get_by_role("heading", name="Why it happened")).to_be_visible()
    page.locator("a.cite").first.click()
    expect(page.locator("#evidence-1 .record")).to_be_visible()
    expect(page.get_by_text("You approve exactly this")).to_have_count(0)


def approve(approver: Desk, incident: int, shot: str) -> None:
    """Press A, then Enter."""
    approver.go(f"/incidents/{incident}/")
    expect(approver.page.get_by_text("You approve exactly this")).to_be_visible(timeout=PATIENCE)
    approver.shot(shot)
    approver.page.keyboard.press("a")
    expect(approver.page.get_by_role("heading", name="Approve exactly this")).to_be_visible()
    approver.page.keyboard.press("Enter")
    expect(approver.page.locator(".message.success")).to_contain_text("Approved")


def ask_for_the_undo(operator: Desk) -> None:
    """Press U and say why."""
    operator.page.keyboard.press("u")
    operator.page.get_by_label("Why is it to be taken back?").fill("The customer had paid both.")
    operator.page.get_by_role("button", name="Ask for the undo").click()
    expect(operator.page.locator(".message.success")).to_contain_text("The undo waits for an approval.")
    expect(operator.page.get_by_role("button", name=re.compile("Approve"))).to_have_count(0)


def effects_of(demo: Demo, incident: int) -> list[dict[str, Any]]:
    """Return what the target systems themselves say was done for the incident."""
    found = demo.get(f"incidents/{incident}/")
    own = {step["effect_key"] for step in found["execution"]["steps"]}
    rows: list[dict[str, Any]] = httpx.get(f"{demo.simulator}/ledger/effects", params={"limit": 100_000}).json()
    return [row for row in rows if row["effect_key"] in own]


def test_what_nobody_covers_reaches_a_person_who_takes_it_over(demo: Demo, desk: Seat):
    operator = desk("operator")
    found = waiting_for_a_person(demo, operator.page)

    operator.go(f"/incidents/{found}/")
    operator.page.get_by_role("button", name="Take over").click()

    expect(operator.page.locator(".message.success")).to_contain_text("It is yours")
    expect(operator.page.get_by_text("This is yours.")).to_be_visible()
    operator.page.get_by_role("textbox", name="Comment").fill("Called the vendor: the change is genuine.")
    operator.page.get_by_role("button", name="Comment", exact=True).click()
    expect(operator.page.get_by_text("Called the vendor")).to_be_visible()
    operator.shot("journey-5-taken-over")


def waiting_for_a_person(demo: Demo, page: Page) -> int:
    for _ in range(180):
        rows = demo.get("incidents/", status="needs_operator", page_size=50)["results"]
        if rows:
            return int(rows[-1]["id"])
        page.wait_for_timeout(1_000)
    raise AssertionError("Nothing needed a person within three minutes.")
