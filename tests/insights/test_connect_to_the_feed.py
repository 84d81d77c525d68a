"""Who reads the OData feed and how: signing in, rights, conditional answers, Power BI's own order of requests."""

import base64
import gzip
from datetime import UTC, datetime
from urllib.parse import unquote

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from incidents.models import Incident
from insights.feed.catalogue import SETS
from insights.models import EventLog
from tests.factories import make_token, make_user
from tests.incidents.factories import make_incident
from tests.insights.factories import make_log, path
from tests.insights.feeding import asker, keys, three

pytestmark = pytest.mark.django_db


@pytest.fixture
def feed(api, operator):
    """Ask the feed as an operator of all units."""
    return asker(api(operator))


def test_nothing_but_reading_is_answered(api, operator):
    for method in ("post", "put", "patch", "delete"):
        response = getattr(api(operator), method)("/odata/v4/Incidents", {}, format="json")

        assert response.status_code == 405
        assert response.json()["error"]["code"] == "MethodNotAllowed"


def basic(name, token):
    return "Basic " + base64.b64encode(f"{name}:{token}".encode()).decode()


def test_excel_signs_in_with_the_token_as_password(client, operator):
    token = make_token(operator)
    refused = client.get("/odata/v4/Incidents")

    assert refused.status_code == 401
    assert refused["WWW-Authenticate"].startswith("Basic realm=")
    assert client.get("/odata/v4/Incidents", headers={"Authorization": basic("operator", token)}).status_code == 200
    assert client.get("/odata/v4/Incidents", headers={"Authorization": basic("", token)}).status_code == 200
    for wrong in (basic("admin", token), basic("operator", "gs_x"), basic("operator", ""), "Basic !", "Basic"):
        assert client.get("/odata/v4/Incidents", headers={"Authorization": wrong}).status_code == 401


def test_a_token_needs_the_right_to_read_the_feed(api, operator):
    assert api(operator, scopes=["odata:read"]).get("/odata/v4/Incidents").status_code == 200
    assert api(operator, scopes=["incidents:read"]).get("/odata/v4/Incidents").status_code == 403


def test_a_viewer_of_one_unit_reads_that_unit_only(api, viewer, nobody):
    rows = three()
    client = api(viewer)

    assert keys(client.get("/odata/v4/Incidents")) == ["CIV-1", "CIV-2"]
    assert client.get("/odata/v4/Incidents/$count").content == b"2"
    assert client.get("/odata/v4/Evidence/$count").content == b"2"
    assert client.get(f"/odata/v4/Incidents({rows[2].pk})").status_code == 404
    assert client.get("/odata/v4/Calls/$count").content == b"0"
    for one in SETS:
        assert api(nobody).get(f"/odata/v4/{one.name}/$count").content == b"0"


def test_the_same_answer_again_is_told_in_no_words(feed):
    three()
    first = feed("Incidents")

    assert feed("Incidents", status=304, **{"If-None-Match": first["ETag"]}).content == b""


def test_long_answers_travel_packed(feed):
    three()
    response = feed("$metadata", **{"Accept-Encoding": "gzip"})

    assert response["Content-Encoding"] == "gzip"
    assert gzip.decompress(response.content).startswith(b"<?xml")


def test_a_page_asks_the_database_as_often_however_many_rows_it_has(api, operator):
    client = api(operator)
    three()
    client.get("/odata/v4/Incidents")

    with CaptureQueriesContext(
        connection,
    ) as few:
        client.get("/odata/v4/Incidents?$count=true")
    for number in range(20):
        make_incident(id=f"more-{number}", entity_key=f"CIV-9{number}")
    with CaptureQueriesContext(connection) as many:
        client.get("/odata/v4/Incidents?$count=true")

    assert len(many) == len(few) <= 4


def test_power_bi_refreshes_only_what_changed(feed):
    """The order of requests that Power BI's OData connector makes for an incremental refresh."""
    old, new, _ = three()
    Incident.history.filter(id=old.pk).update(history_date=datetime(2026, 1, 5, tzinfo=UTC))
    old.signals.update(received_at=datetime(2026, 1, 5, tzinfo=UTC))
    Incident.objects.filter(pk=old.pk).update(opened_at=datetime(2026, 1, 5, tzinfo=UTC))

    feed("$metadata", Accept="application/xml", **{"OData-MaxVersion": "4.0"})
    feed("", Accept="application/json;odata.metadata=minimal;q=1.0,application/json;q=0.9")
    top = feed("Incidents?$top=1000", Accept="application/json;odata.metadata=minimal")
    january = "updated_at ge 2026-01-01T00:00:00Z and updated_at lt 2026-02-01T00:00:00Z"
    part = feed(f"Incidents?$filter={january}&$select=id,entity_key,updated_at&$top=1000")

    assert len(keys(top)) == 3
    assert part.json()["value"] == [{"id": old.pk, "entity_key": "CIV-1", "updated_at": "2026-01-05T00:00:00Z"}]
    assert new.pk not in [row["id"] for row in part.json()["value"]]


def test_a_next_link_keeps_the_question(feed):
    for number in range(3):
        make_incident(id=str(number), entity_key=f"CIV-{number}")
    link = feed("Incidents?$filter=contains(entity_key,'CIV')&$select=id", Prefer="odata.maxpagesize=1").json()

    assert "$filter=contains(entity_key,'CIV')" in unquote(link["@odata.nextLink"])
    assert "$select=id" in link["@odata.nextLink"]


def test_event_logs_are_listed_by_unit(api, viewer):
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for unit in ("EU", "US"):
        EventLog.objects.create(name=unit, business_unit=unit, region="DE", created_at=at)

    rows = api(make_user("eu", units=["EU"])).get("/odata/v4/EventLogs").json()["value"]

    assert [row["name"] for row in rows] == ["EU"]


def test_the_process_map_and_the_variants_are_rows_by_log(api, operator):
    twice = path("1", "Create Order", "Change Price", "Change Price")
    once = [event for case in "23" for event in path(case, "Create Order", "Change Price")]
    logs = [make_log([*twice, *once], name=unit, business_unit=unit) for unit in ("EU", "US")]
    client = api(operator)

    edges = client.get("/odata/v4/ProcessEdges?$select=log,source,target,count").json()["value"]
    variants = client.get(f"/odata/v4/Variants?$filter=log eq {logs[1].pk} and cases gt 1").json()["value"]
    key = f"log={logs[0].pk},source='Create Order',target='Change Price'"

    assert [(row["log"], row["source"], row["count"]) for row in edges] == [
        (logs[0].pk, "Change Price", 1),
        (logs[0].pk, "Create Order", 3),
        (logs[1].pk, "Change Price", 1),
        (logs[1].pk, "Create Order", 3),
    ]
    assert [(row["path"], row["cases"]) for row in variants] == [("Create Order → Change Price", 2)]
    assert client.get(f"/odata/v4/ProcessEdges({key})").json()["count"] == 3
    eu = api(make_user("eu", role="operator", units=["EU"]))
    assert eu.get("/odata/v4/ProcessEdges/$count").content == b"2"


def test_mined_rows_are_paged_and_ordered_like_the_others(feed):
    make_log([event for case in "123" for event in path(case, *"ABCDE"[: int(case) + 2])])
    seen, path_ = [], "ProcessEdges?$orderby=count desc&$select=source,count"

    while path_:
        body = feed(path_, Prefer="odata.maxpagesize=3").json()
        seen += [(row["source"], row["count"]) for row in body["value"]]
        path_ = body.get("@odata.nextLink", "").removeprefix("http://testserver/odata/v4/")

    assert seen == [("A", 3), ("B", 3), ("C", 2), ("D", 1)]
