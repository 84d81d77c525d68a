"""Prometheus metrics: read from rows, in a constant number of queries, for those who may see the whole."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families

from audit.clock import db_now
from connectors.models import Call, Connection, EmergencyStop
from incidents.models import Incident
from tests.audit.factories import make_entries
from tests.factories import make_token, make_user

pytestmark = pytest.mark.django_db


def figures(response: Any) -> dict[tuple[str, ...], float]:
    assert response.status_code == 200, response.content
    return {
        (sample.name.removeprefix("goldseam_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.content.decode())
        for sample in family.samples
    }


def make_incident(number: int, status: str = "new", **changes: Any) -> Incident:
    now = db_now()
    return Incident.objects.create(
        code="late", fingerprint=f"f{number}", title="t", entity_type="order", entity_key="1", status=status,
        first_signal_at=now, last_signal_at=now, opened_at=now, **changes,
    )  # fmt: skip


def test_the_figures_are_those_of_the_rows(client):
    make_entries(3)
    make_incident(1, due_at=db_now() - timedelta(seconds=90))
    make_incident(2)
    make_incident(3, "resolved", closed_at=db_now())
    fo = Connection.objects.create(slug="fo", kind="dynamics_fo", label="F&O", health="ok")
    for outcome in ("ok", "ok", "Unreachable"):
        Call.objects.create(
            connection=fo, operation="order.get", direction="read", actor="x", started_at=db_now(), outcome=outcome
        )
    EmergencyStop.objects.create(reason="x", actor="x")

    told = figures(client.get("/metrics"))

    assert (told["incidents", "new"], told["incidents", "resolved"], told["incidents", "on_hold"]) == (2, 1, 0)
    assert (told["recent_calls", "fo", "read", "ok"], told["recent_calls", "fo", "read", "Unreachable"]) == (2, 1)
    assert told["waiting", "incidents"] == 1
    assert 90 <= told["waiting_age_seconds", "incidents"] < 150
    assert (told["waiting", "approvals"], told["waiting_age_seconds", "approvals"]) == (0, 0)
    assert (told["ledger_entries",], told["emergency_stops",]) == (3, 1)
    assert told["connection_healthy", "fo", "dynamics_fo"] == 1


def test_an_empty_installation_has_figures_too(client):
    told = figures(client.get("/metrics"))

    assert told["ledger_entries",] == 0
    assert told["waiting", "dead_letters"] == 0


def test_more_rows_cost_no_more_queries(client):
    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            client.get("/metrics")
        return len(queries)

    few = cost()
    for number in range(20):
        make_incident(number)

    assert cost() == few <= 21


# --- Who may see them ----------------------------------------------------------------------------
ELSEWHERE = {"REMOTE_ADDR": "10.0.0.9"}


def test_a_scraper_on_this_machine_needs_no_token(client):
    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", REMOTE_ADDR="::1").status_code == 200


@pytest.mark.parametrize("header", ["HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP"])
def test_a_caller_behind_a_proxy_on_this_machine_is_not_on_this_machine(client, header):
    assert client.get("/metrics", **{header: "203.0.113.7"}).status_code == 401


def test_behind_a_proxy_that_says_nothing_nobody_is_on_this_machine(client, settings):
    settings.BEHIND_PROXY = True

    assert client.get("/metrics").status_code == 401


def test_from_elsewhere_a_token_is_needed(client):
    response = client.get("/metrics", **ELSEWHERE)

    assert response.status_code == 401
    assert response["Content-Type"] == "application/problem+json"
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("role", "status"),
    [("auditor", 200), ("compliance", 200), ("automation_admin", 200), ("operator", 403), ("viewer", 403), ("", 403)],
)
def test_the_whole_is_for_those_who_may_see_it(client, role, status):
    token = make_token(make_user("somebody", role=role))

    assert client.get("/metrics", headers={"Authorization": f"Bearer {token}"}, **ELSEWHERE).status_code == status


def test_a_token_may_be_narrowed_to_metrics(client, auditor):
    narrow, other = make_token(auditor, scopes=["metrics:read"]), make_token(auditor, scopes=["signals:write"])

    statuses = [
        client.get("/metrics", headers={"Authorization": f"Bearer {token}"}, **ELSEWHERE).status_code
        for token in (narrow, other, "gs_wrong")
    ]

    assert statuses == [200, 403, 401]


def test_a_setting_opens_them_to_everybody(client, settings):
    settings.METRICS_PUBLIC = True

    assert client.get("/metrics", **ELSEWHERE).status_code == 200
