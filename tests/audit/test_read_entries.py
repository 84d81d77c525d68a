"""The ledger over HTTP and on its page: filtered, paged, exported, and only what the reader may see."""

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit.clock import db_now
from audit.models import Entry
from tests.audit.factories import make_entry
from tests.factories import make_user

pytestmark = pytest.mark.django_db
URL = "/api/v1/audit/entries/"


@pytest.fixture
def reader(api: Any, auditor: Any) -> Any:
    """An auditor's client; the ledger holds little but what the test writes."""
    return api(auditor)


def numbers(response: Any) -> list[int]:
    assert response.status_code == 200, response.content
    return [entry["n"] for entry in response.json()["results"]]


def test_an_entry_reads_as_it_was_written(reader):
    entry = make_entry(
        "plan.approved", incident=7, business_unit="EU", region="DE", before={"state": "asked"}, data={"digest": "d"}
    )

    told = reader.get(f"{URL}{entry.n}/").json()

    assert told["verb"] == "plan.approved"
    assert told["target"] == {"type": "", "id": "INC-1"}
    assert (told["before"], told["after"], told["data"]) == ({"state": "asked"}, {}, {"digest": "d"})
    assert told["origin"] == {"channel": "system", "request_id": "", "address": "", "token": ""}
    assert (told["incident"], told["previous_hash"], told["hash"]) == (7, entry.previous_hash, entry.hash)


def test_the_newest_comes_first_and_pages_follow_by_cursor(reader):
    written = [make_entry(f"a.{number}").n for number in range(5)]

    first = reader.get(URL, {"page_size": 2, "verb": "a."}).json()
    second = reader.get(first["next"]).json()

    assert [entry["n"] for entry in first["results"] + second["results"]] == written[:0:-1][:4]
    assert set(first) == {"next", "previous", "results"}
    assert first["previous"] is None


def test_a_page_takes_at_most_two_hundred(reader):
    for number in range(205):
        make_entry(f"a.{number}")

    assert len(numbers(reader.get(URL, {"page_size": 1000}))) == 200


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"verb": "incident.opened"}, ["one"]),
        ({"verb": "incident."}, ["two", "one"]),
        ({"actor": "ada"}, ["two"]),
        ({"incident": 7}, ["three", "one"]),
        ({"target": "incidents.incident:7"}, ["one"]),
        ({"target": "plan 9"}, ["three"]),
        ({"business_unit": "US"}, ["two"]),
        ({"search": "freight"}, ["three"]),
        ({"search": "FREIGHT 12.50"}, ["three"]),
        ({"search": "freight ada"}, []),
        ({"verb": "incident.", "actor": "ada"}, ["two"]),
        ({"channel": "console"}, []),
    ],
)
def test_entries_are_found_by(reader, query, expected):
    marks = {
        make_entry("incident.opened", incident=7, target="7", reason="one").n: "one",
        make_entry("incident.held", actor="ada", business_unit="US", reason="two").n: "two",
        make_entry(
            "plan.approved", incident=7, target="plan 9", reason="freight", after={"amount": "12.50"}
        ).n: "three",
    }
    # A row as target would need an incident; its type is what the filter looks at.
    with_type = Entry(n=10_000, at=db_now(), actor="x", verb="incident.opened", target_type="incidents.incident")
    with_type.target_id, with_type.incident_id, with_type.previous_hash, with_type.hash = "7", None, "", ""
    if query.get("target") == "incidents.incident:7":
        with_type.save(force_insert=True)
        marks = {10_000: "one"}

    assert [marks[n] for n in numbers(reader.get(URL, query)) if n in marks] == expected


def test_entries_are_found_by_time(reader):
    make_entry("a.1")
    now = db_now()

    past = {
        "since": (now - timedelta(hours=1)).isoformat(),
        "until": (now + timedelta(hours=1)).isoformat(),
        "verb": "a.",
    }

    assert len(numbers(reader.get(URL, past))) == 1
    assert numbers(reader.get(URL, {**past, "since": (now + timedelta(minutes=1)).isoformat()})) == []
    assert numbers(reader.get(URL, {**past, "until": (now - timedelta(minutes=1)).isoformat()})) == []


@pytest.mark.parametrize(("field", "value"), [("incident", "seven"), ("since", "yesterday"), ("until", "2026-13-01")])
def test_a_filter_that_cannot_be_read_is_400_and_named(reader, field, value):
    response = reader.get(URL, {field: value})

    assert response.status_code == 400
    assert list(response.json()["errors"]) == [field]


@pytest.mark.parametrize("value", ["9" * 30, "-5", "0"])
def test_a_number_that_no_entry_has_finds_nothing(reader, value):
    assert numbers(reader.get(URL, {"incident": value})) == []


def test_an_entry_of_another_unit_is_404(api):
    reader = api(make_user("ops", role="operator", units=["EU"]))
    mine = make_entry(business_unit="EU", region="DE")
    theirs = make_entry(business_unit="US", region="US-EAST")

    assert reader.get(f"{URL}{mine.n}/").status_code == 200
    assert reader.get(f"{URL}{theirs.n}/").status_code == 404
    assert numbers(reader.get(URL)) == [mine.n]


@pytest.mark.parametrize("role", ["viewer", "approver", "automation_admin", "integration", ""])
def test_other_roles_read_no_ledger(api, role):
    reader = api(make_user("somebody", role=role))

    assert [reader.get(URL).status_code, reader.get(f"{URL}1/").status_code] == [403, 403]


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_the_ledger_is_not_written_over_http(reader, method):
    assert getattr(reader, method)(URL, {}).status_code == 405


def test_a_list_takes_the_same_queries_for_one_entry_and_for_many(reader):
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            numbers(reader.get(URL))
        return len(queries)

    make_entry()
    cost()  # notes the token's use
    few = cost()
    for _ in range(30):
        make_entry()

    assert cost() == few <= 3


# --- The page ------------------------------------------------------------------------------------
@pytest.fixture
def page(client: Any, auditor: Any) -> Any:
    """``page(verb=…)``: the page as an auditor sees it."""
    client.force_login(auditor)
    return lambda **query: client.get(reverse("audit"), query)


def test_the_page_shows_what_was_done_with_text_as_text(page):
    make_entry("incident.dismissed", reason="<script>alert(1)</script>", after={"status": "<b>gone</b>"})

    text = page(verb="incident.dismissed").content.decode()

    assert "incident.dismissed" in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<b>gone" not in text


def test_the_page_goes_to_older_and_back_to_newer_ones(page):
    for number in range(120):
        make_entry(f"a.{number}")

    newest = page(verb="a.").context
    older = page(verb="a.", before=newest["entries"][-1][0].n).context
    oldest = page(verb="a.", before=older["entries"][-1][0].n).context
    back = page(verb="a.", after=older["entries"][0][0].n).context

    assert [len(step["entries"]) for step in (newest, older, oldest)] == [50, 50, 20]
    assert (newest["previous"], oldest["next"]) == ("", "")
    assert [entry.n for entry, _ in back["entries"]] == [entry.n for entry, _ in newest["entries"]]
    assert "verb=a." in older["next"]


def test_a_wrong_filter_is_told_on_the_page(page):
    response = page(since="yesterday")

    assert response.status_code == 400
    assert "since" in response.content.decode()


def test_nothing_found_says_what_to_do_next(page):
    assert "Clear the filters" in page(verb="never.happened").content.decode()


def test_the_ledger_leaves_as_csv_that_no_spreadsheet_runs(page):
    make_entry("a.1", actor="=HYPERLINK(1)", reason='said "no", twice')

    response = page(verb="a.", format="csv")
    rows = list(csv.DictReader(io.StringIO(response.getvalue().decode())))

    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"].startswith('attachment; filename="ledger-')
    assert [(row["verb"], row["actor"], row["reason"]) for row in rows] == [
        ("a.1", "'=HYPERLINK(1)", 'said "no", twice')
    ]


def test_the_ledger_leaves_as_json(page):
    make_entry("a.1", after={"status": "triaged"})
    make_entry("a.2")

    told = json.loads(page(verb="a.", format="json").getvalue())

    assert [(entry["verb"], entry["after"]) for entry in told] == [("a.1", {"status": "triaged"}), ("a.2", {})]


def test_an_empty_export_is_still_a_document(page):
    assert json.loads(page(verb="never.", format="json").getvalue()) == []


def test_that_somebody_took_the_ledger_away_is_entered(page):
    page(verb="a.", format="csv").getvalue()

    entry = Entry.objects.get(verb="ledger.exported")

    assert entry.actor == "auditor"
    assert '"verb":"a."' in entry.body


def test_the_page_is_for_those_who_read_the_ledger(client, viewer):
    assert client.get(reverse("audit")).status_code == 302

    client.force_login(viewer)

    assert client.get(reverse("audit")).status_code == 403
