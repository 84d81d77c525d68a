"""From a file to an incident: one person brings in a log, reads its map and has the slow step watched."""

import csv
import io
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from playwright.sync_api import Page, expect

from tests.browser.conftest import Demo, Desk
from tests.browser.test_look import NAMELESS, TWICE, WIDER

PATIENCE = 90_000
PAGES = (
    *("", "variants/", "times/", "bottlenecks/", "rework/", "conformance/", "duties/", "causes/", "hot-spots/"),
    *("leakage/", "cases/", "compare/", "facts/", "mapping/", "case/?case=SO-1003"),
)
Seat = Callable[..., Desk]
HELD, RELEASED = "Credit hold set", "Credit hold released"


def lines() -> Iterator[tuple[str, ...]]:
    """Sixty orders of the last three weeks; every sixth waits for days until its credit is released."""
    yield "ref", "what", "when", "country"
    first = datetime.now(UTC).replace(microsecond=0) - timedelta(days=22)
    for number in range(60):
        at = first + timedelta(hours=7 * number)
        slow = number % 6 == 2
        wait = 70 + number if slow else 2
        steps = (("Sales order created", 0), (HELD, 1), (RELEASED, wait), ("Invoice posted", 5))
        for name, hours in steps:
            at += timedelta(hours=hours)
            if at < datetime.now(UTC):
                yield f"JO-{number:03}", name, at.isoformat(), "Spain" if slow else "France"


def bring_in(page: Page) -> None:
    """Send the file and say what its columns are."""
    out = io.StringIO()
    csv.writer(out).writerows(lines())
    page.get_by_label("File", exact=True).set_input_files(
        {"name": "credit holds.csv", "mimeType": "text/csv", "buffer": out.getvalue().encode()}
    )
    page.get_by_role("button", name="Bring it in").click()
    expect(page.get_by_role("heading", name="Which column is what?")).to_be_visible()
    page.get_by_label("Case").select_option("ref")
    page.get_by_label("Activity").select_option("what")
    page.locator("#r-timestamp").select_option("when")


def look_at_the_slow_line(page: Page) -> None:
    """Choose the line from the hold to its release, with the keyboard alone."""
    expect(page.get_by_role("heading", name="How the process runs")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("link", name=re.compile(f"^{HELD} to {RELEASED}")).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#chosen h2")).to_contain_text(RELEASED)


def have_it_watched(page: Page) -> None:
    """Make the detector that the map offers and switch it on."""
    page.get_by_role("link", name="Tell me when").first.click()
    page.get_by_role("button", name="Make it and rehearse").click()
    page.get_by_role("button", name="Switch on").click()


def found(page: Page) -> str:
    """Wait for the first incident that the detector opens; return its address."""
    link = page.locator("a.row[href^='/incidents/']").first
    for _ in range(90):
        if link.count():
            return str(link.get_attribute("href"))
        page.wait_for_timeout(1_000)
        page.reload()
    raise AssertionError("The detector opened nothing within a minute and a half.")


def test_a_file_becomes_a_map_a_detector_and_an_incident(demo: Demo, desk: Seat):
    owner = desk("automation")
    page = owner.page
    owner.go("/insights/logs/")
    owner.shot("process-1-logs")

    bring_in(page)
    owner.shot("process-2-columns")
    page.get_by_role("button", name="Import").click()
    look_at_the_slow_line(page)
    owner.shot("process-3-map")
    have_it_watched(page)
    incident = found(page)
    owner.shot("process-4-detector")

    owner.go(incident)
    expect(page.locator(".page-head")).to_contain_text("JO-")
    owner.shot("process-5-incident")
    owner.go("/incidents/?search=JO-")
    expect(page.locator(f"a.row[href='{incident}']")).to_be_visible()


def test_a_map_reads_on_a_telephone_and_in_the_dark(demo: Demo, desk: Seat):
    operator = desk("operator", width=390, scheme="dark")
    page = operator.page
    operator.go("/insights/logs/")
    example = page.request.get(f"{demo.url}/insights/logs/example.csv").body()
    page.get_by_label("File", exact=True).set_input_files(
        {"name": "example.csv", "mimeType": "text/csv", "buffer": example}
    )
    page.get_by_role("button", name="Bring it in").click()
    expect(page.get_by_role("heading", name="How the process runs")).to_be_visible(timeout=PATIENCE)

    log = number(page)
    for path in PAGES:
        operator.go(f"/insights/logs/{log}/{path}")
        assert page.evaluate(WIDER) <= 0, path
        assert (page.evaluate(NAMELESS), page.evaluate(TWICE)) == ([], []), path
        assert page.locator("h1").count() == 1, path
    operator.shot("process-6-telephone")


def number(page: Page) -> str:
    """Return the number of the log whose page is open."""
    matched = re.search(r"/logs/(\d+)/", page.url)
    assert matched
    return matched[1]
