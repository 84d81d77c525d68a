"""Trackers over HTTP: lists, lines in pages and as a file, comparison, incidents, who may and what is stale."""

import csv
import io

import pytest

from audit.clock import db_now
from audit.models import BusinessUnit
from insights.tasklog.models import Tracker
from tests.factories import make_user
from tests.insights.test_rank_backlog import effects, tracked  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db
URL = "/api/v1/trackers/"


@pytest.fixture
def owner(db):
    return make_user("owner", role="automation_admin")


@pytest.fixture
def tracker(owner):
    now = db_now().isoformat()
    return tracked(owner, [f"Anna,CIV-{number},=credited,{now}" for number in (1, 2, 3)], entity_type="invoice")


def sent(text=b"who,record,change,when\nAnna,CIV-9,credited,2026-01-05 10:00\nBob,,x,\n", **more):
    return {"file": io.BytesIO(text), "name": "Price list", **more}


def test_a_list_is_sent_read_and_found_again(api, owner):
    client = api(owner)

    made = client.post(URL, sent(entity_type="invoice", tolerance_hours=2), format="multipart")

    told = made.json()
    assert made.status_code == 201
    assert {key: told[key] for key in ("name", "lines", "rejected", "orphans", "raised", "tolerance_hours")} == {
        "name": "Price list", "lines": 1, "rejected": 1, "orphans": 1, "raised": 0, "tolerance_hours": 2,
    }  # fmt: skip
    again = client.get(f"{URL}{told['id']}/")
    assert (again.json(), again["ETag"]) == (told, made["ETag"])
    assert [one["id"] for one in client.get(f"{URL}?entity_type=invoice").json()["results"]] == [told["id"]]
    assert client.get(f"{URL}?entity_type=order").json()["results"] == []


def test_lines_come_in_pages_and_by_whether_they_are_accounted_for(api, owner, tracker, effects):  # noqa: F811
    effects("CIV-2")
    client = api(owner)
    assert client.post(f"{URL}{tracker.pk}/match/").json()["found"] == 1

    first = client.get(f"{URL}{tracker.pk}/lines/?page_size=2").json()
    rest = client.get(first["next"]).json()

    assert [one["record"] for one in (*first["results"], *rest["results"])] == ["CIV-1", "CIV-2", "CIV-3"]
    assert rest["next"] is None
    shown = {name: client.get(f"{URL}{tracker.pk}/lines/?show={name}").json() for name in ("orphans", "matched")}
    assert [one["record"] for one in shown["orphans"]["results"]] == ["CIV-1", "CIV-3"]
    assert [one["effect"] is not None for one in shown["matched"]["results"]] == [True]
    assert client.get(f"{URL}{tracker.pk}/lines/?show=some").status_code == 400


def test_the_lines_are_a_file_without_names_or_formulas(api, owner, tracker):
    answer = api(owner).get(f"{URL}{tracker.pk}/lines/?format=csv&page_size=1")

    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert answer["Content-Type"].startswith("text/csv")
    assert [one["record"] for one in rows] == ["CIV-1", "CIV-2", "CIV-3"]
    assert rows[0]["change"] == "'=credited"
    assert "Anna" not in answer.content.decode()


def test_an_orphan_is_raised_once_and_the_tracker_counts_it(api, owner, tracker):
    BusinessUnit.objects.create(slug="EU", name="Europe")
    Tracker.objects.update(business_unit="EU")
    client, line = api(owner), tracker.lines.first()
    url = f"{URL}{tracker.pk}/lines/{line.line}/raise/"

    first, second = client.post(url), client.post(url)

    line.refresh_from_db()
    assert (first.status_code, first.json()["incident"]) == (201, line.incident_id)
    assert second.json() == first.json()
    told = client.get(f"{URL}{tracker.pk}/").json()
    assert (told["raised"], told["orphans"]) == (1, 3)
    assert client.post(f"{URL}{tracker.pk}/lines/99/raise/").status_code == 404


def test_a_line_that_is_accounted_for_is_no_incident(api, owner, tracker, effects):  # noqa: F811
    effects("CIV-1")
    client = api(owner)
    client.post(f"{URL}{tracker.pk}/match/")

    assert client.post(f"{URL}{tracker.pk}/lines/{tracker.lines.first().line}/raise/").status_code == 409


def test_who_saw_an_older_state_changes_nothing(api, owner, tracker, effects):  # noqa: F811
    client = api(owner)
    seen = client.get(f"{URL}{tracker.pk}/")["ETag"]
    effects("CIV-1")
    matched = client.post(f"{URL}{tracker.pk}/match/", headers={"If-Match": seen})
    effects("CIV-2")

    stale = client.post(f"{URL}{tracker.pk}/match/", headers={"If-Match": seen})
    late = client.post(f"{URL}{tracker.pk}/lines/{tracker.lines.last().line}/raise/", headers={"If-Match": seen})

    assert (matched.status_code, stale.status_code, late.status_code) == (200, 412, 412)
    assert stale["Content-Type"] == "application/problem+json"
    assert client.get(f"{URL}{tracker.pk}/")["ETag"] == matched["ETag"]
    assert client.get(f"{URL}{tracker.pk}/").json()["orphans"] == 2


def test_what_is_no_list_is_refused_with_its_field(api, owner):
    answer = api(owner).post(URL, sent(b"a,b\n1,2\n"), format="multipart")

    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == ["file"]
    assert not Tracker.objects.exists()


def test_who_only_checks_reads_and_who_only_looks_sees_nothing(api, viewer, tracker):
    auditor = api(make_user("auditor-of-work", role="auditor"))

    assert auditor.get(f"{URL}{tracker.pk}/").status_code == 200
    assert auditor.post(f"{URL}{tracker.pk}/match/").status_code == 403
    assert auditor.post(URL, sent(), format="multipart").status_code == 403
    assert api(viewer).get(URL).json()["results"] == []
    assert api(viewer).get(f"{URL}{tracker.pk}/").status_code == 404
    assert api(viewer).post(f"{URL}{tracker.pk}/match/").status_code == 404


def test_another_units_tracker_is_not_there(api, tracker):
    Tracker.objects.update(business_unit="US")
    eu = api(make_user("eu-owner", role="operator", units=["EU"]))

    assert eu.get(URL).json()["results"] == []
    for verb in ("lines/?format=csv", "lines/", ""):
        assert eu.get(f"{URL}{tracker.pk}/{verb}").status_code == 404
    assert eu.post(f"{URL}{tracker.pk}/match/").status_code == 404
