"""Whoever works for one unit reads, counts and measures that unit's rows alone: in the feed, the API, the file."""

import csv
from urllib.parse import quote

import pytest
from django.db import transaction
from django.urls import reverse
from rest_framework.test import APIClient

from insights.feed.catalogue import SETS
from insights.kpis.models import Finding
from tests.factories import make_token, make_user
from tests.insights import past
from tests.insights.factories import make_log, path
from tests.insights.outside import Outside

pytestmark = pytest.mark.django_db
SIX = (
    *("mttr_seconds", "first_contact_resolution", "sla_adherence", "change_success_rate"),
    *("automation_coverage", "roi"),
)
ENDS = {"from": "2026-03-04", "to": "2026-03-19"}
# Of what no incident is behind: counted for everybody who sees connections, or by unit in a column.
BY_UNIT = ("Incidents", "Approvals", "Signals", "EventLogs")


def client_of(name, unit):
    client = APIClient()
    user = make_user(name, role="auditor", units=[unit])
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {make_token(user)}")
    client.user = user
    return client


@pytest.fixture(scope="module")
def world(django_db_setup, django_db_blocker):
    """One past of two units, an event log and a finding of each, and somebody who sees all and one who sees EU."""
    with django_db_blocker.unblock(), transaction.atomic():
        past.build(5, incidents=48)
        past.assume(5)
        whole, own = client_of("whole", "*"), client_of("own", "EU")
        yield Outside(whole, past.BEGIN, past.END), own
        transaction.set_rollback(True)


@pytest.fixture
def logs():
    return {
        unit: make_log(path(f"{unit}-case", f"{unit} step", f"{unit} end"), name=f"{unit} orders", business_unit=unit)
        for unit in ("EU", "US")
    }


def rows(client, name, **options):
    query = "&".join(f"${key}={quote(value)}" for key, value in options.items())
    url, found = f"/odata/v4/{name}?{query}", []
    while url:
        answer = client.get(url)
        assert answer.status_code == 200, answer.content
        page = answer.json()
        found += page["value"]
        url = page.get("@odata.nextLink")
    return found


@pytest.mark.parametrize("name", sorted(one.name for one in SETS if one.name != "Kpis"))
def test_each_set_of_the_feed_holds_the_rows_of_the_own_unit(world, logs, name):
    whole, own = world
    units = {one["id"]: one["business_unit"] for one in rows(whole.client, "Incidents")}
    every = rows(whole.client, name)
    if name in BY_UNIT:
        expected = [row for row in every if row["business_unit"] == "EU"]
    elif name in ("ProcessEdges", "Variants"):
        expected = [row for row in every if row["log"] == logs["EU"].pk]
    else:
        expected = [row for row in every if row["incident"] is None or units[row["incident"]] == "EU"]

    assert rows(own, name) == expected
    assert int(own.get(f"/odata/v4/{name}/$count").content.decode().lstrip("\ufeff")) == len(expected)
    others = [row for row in every if row not in expected]
    if "id" in (others[0] if others else {}):
        assert own.get(f"/odata/v4/{name}({others[0]['id']})").status_code == 404
        assert rows(own, name, filter=f"id eq {others[0]['id']} or id eq {others[-1]['id']}") == []
    if name in ("Incidents", "Executions", "Calls", "Clocks", "Evidence", "DeadLetters", "Plans", "Steps", "EventLogs"):
        assert 0 < len(expected) < len(every)


def test_the_measures_are_those_of_the_own_unit(world):
    whole, own = world
    mine = own.get("/api/v1/kpis/", ENDS).json()
    told = whole.client.get("/api/v1/kpis/", {**ENDS, "by": "business_unit"}).json()
    (group,) = (one for one in told["groups"] if one["key"] == "EU")

    for name in SIX[:5]:
        assert (mine[name]["value"], mine[name]["n"]) == (group[name]["value"], group[name]["n"]), name
        assert 0 < mine[name]["n"] < told[name]["n"]
    part = whole.narrowed(lambda one: one["business_unit"] == "EU", lambda run: run["of"]["business_unit"] == "EU")
    european = {one["id"] for one in part.incidents}
    for name in ("duplicate_invoices", "freight_misrates"):
        found = {one["data"]["currency"]: one["data"]["found"]["n"] for one in mine[name]}
        assert found == {currency: fates["found"][0] for currency, fates in part.leaks(name).items()}
    assert {one["data"]["currency"]: one["n"] for one in mine["revenue_protected"]} == {
        currency: n for currency, (_, n) in part.revenue_protected().items()
    }
    times = {(one["data"]["connection"], one["data"]["operation"]): one["n"] for one in mine["run_times"]}
    assert times == {key: len(found) for key, found in part.run_times().items()}
    # Folded incidents are none of the measures', but calls were made for them all the same.
    folded = {row["id"] for row in rows(whole.client, "Incidents") if row["business_unit"] == "EU"}
    calls = whole.narrowed_calls(lambda call: call["incident"] in folded).sums(lambda call: call["connection"])
    assert {one["data"]["connection"]: one["value"] for one in mine["connector_calls"]} == calls
    assert european < folded


def test_pages_and_files_of_measures_are_those_of_the_own_unit(world, client):
    _, own = world
    client.force_login(own.user)
    mine = own.get("/api/v1/kpis/", ENDS).json()

    answer = client.get(reverse("kpis_export"), {**ENDS, "by": "business_unit"})
    lines = list(csv.DictReader(b"".join(answer.streaming_content).decode().splitlines()))
    assert {line["key"] for line in lines if line["by"] == "business_unit"} == {"EU"}
    assert {line["n"] for line in lines if (line["key"], line["measure"]) == ("", "mttr_seconds")} == {
        str(mine["mttr_seconds"]["n"])
    }
    for name in (*SIX, "duplicate_invoices", "revenue_protected", "connector_calls", "token_cost", "run_times"):
        page = client.get(reverse("kpi_rows", args=[name]), {**ENDS, "business_unit": "US"} if name in SIX else ENDS)
        found = list(page.context["found"].rows)
        units = {(one.incident if page.context["found"].runs else one).business_unit for one in found}
        assert units == (set() if name in SIX else {"EU"}), name


def test_logs_and_findings_of_another_unit_are_not_there(world, logs, client):
    _, own = world
    client.force_login(own.user)
    for unit in ("EU", "US"):
        Finding.objects.create(
            kind="new_bottleneck", key=unit, title=f"{unit} slows down", text="x", business_unit=unit,
            found_at=past.BEGIN, log=logs[unit],
        )  # fmt: skip

    for page in (reverse("insights"), reverse("event_logs"), "/api/v1/event-logs/"):
        body = (own if page.startswith("/api") else client).get(page).content.decode()
        assert "US orders" not in body, page
        assert "US slows down" not in body, page
        assert "EU orders" in body, page
    assert "EU slows down" in client.get(reverse("insights")).content.decode()
    for tail in ("", "process-map/", "variants/", "cases/", "process-map/?format=csv", "cases/US-case/"):
        assert own.get(f"/api/v1/event-logs/{logs['US'].pk}/{tail}").status_code == 404, tail
        assert tail == "cases/US-case/" or own.get(f"/api/v1/event-logs/{logs['EU'].pk}/{tail}").status_code == 200, (
            tail
        )
