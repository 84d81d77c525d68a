"""The pages and the API of the measures: figures with their n, the rows behind them, nothing of other units."""

import csv
from datetime import timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.urls import reverse

from audit.clock import db_now
from incidents.states import Status
from insights.kpis.definitions import DEFINITIONS, FIRST
from insights.kpis.models import Assumption, Finding, UsageDay
from insights.kpis.periods import latest
from insights.kpis.rows import rows_of
from playbooks.states import ExecutionState
from tests.factories import make_user
from tests.insights import score

pytestmark = pytest.mark.django_db


def some_history(**changes) -> None:
    """Twenty-four mends of the last days, one rolled back, one by hand, one open and late."""
    now = db_now().replace(microsecond=0)
    for number in range(24):
        opened = now - timedelta(days=number, hours=3)
        one = score.make_incident(opened_at=opened, closed_at=opened + timedelta(minutes=30 + number), **changes)
        score.make_clock(one, contractual=number % 2 == 0, minutes=40, late=number > 10)
        score.make_mend(one, autonomous=number % 3 == 0, first=number % 5 > 0)
    gone = score.make_incident(Status.ROLLED_BACK, opened_at=now - timedelta(days=2), **changes)
    score.make_mend(gone, playbook="other")
    score.dismiss(score.make_incident(Status.DISMISSED, opened_at=now - timedelta(days=3), **changes), "anna")
    late = score.make_incident(Status.NEEDS_OPERATOR, opened_at=now - timedelta(days=1), **changes)
    score.make_clock(late, late=True)
    score.make_mend(late, ExecutionState.FAILED)
    for name, value, currency in (
        ("minutes_by_hand", 30, ""),
        ("minutes_to_approve", 3, ""),
        ("hourly_rate", 60, "EUR"),
    ):
        Assumption.objects.get_or_create(
            name=name, defaults={"value": Decimal(value), "currency": currency, "because": "timed in May"}
        )


def test_the_api_answers_each_measure_with_its_n_and_definition(api, operator):
    some_history()

    answer = api(operator).get("/api/v1/kpis/", {"by": "kind"})

    assert answer.status_code == 200
    body = answer.json()
    for name in FIRST:
        assert body[name]["n"] > 0
        assert body[name]["definition"] == DEFINITIONS[name].text
        assert body["groups"][0][name]["n"] > 0
    assert body["groups"][0]["key"] == "duplicate_invoice"
    assert body["mttr_seconds"]["interval"][0] < body["mttr_seconds"]["value"] < body["mttr_seconds"]["interval"][1]
    assert {one["assumption"] for one in body["roi"]["data"]["assumptions"]} >= {"hourly_rate"}
    assert body["revenue_protected"][0]["data"]["currency"] == "EUR"


def test_an_empty_installation_answers_nothing_rather_than_zero(api, operator):
    body = api(operator).get("/api/v1/kpis/").json()

    assert all(body[name]["value"] is None and body[name]["n"] == 0 and body[name]["because"] for name in FIRST)


@pytest.mark.parametrize(
    "query", [{"by": "moon"}, {"from": "soon"}, {"from": "2026-02-02", "to": "2026-02-01"}, {"to": "2026-13-45"}]
)
def test_nonsense_is_said_to_be_some(api, operator, query):
    answer = api(operator).get("/api/v1/kpis/", query)

    assert answer.status_code == 400
    assert answer.json()["errors"]


def test_the_api_takes_a_token(api):
    assert api().get("/api/v1/kpis/").status_code == 401


def test_a_viewer_of_one_unit_measures_that_unit(api, viewer):
    some_history(business_unit="US")

    assert api(viewer).get("/api/v1/kpis/").json()["mttr_seconds"]["n"] == 0


@pytest.mark.parametrize("name", sorted(DEFINITIONS))
def test_as_many_rows_are_listed_as_were_counted(client, api, operator, name):
    some_history()
    body = api(operator).get("/api/v1/kpis/").json()
    told = body[name] if isinstance(body[name], dict) else body[name][0] if body[name] else {"n": 0}
    client.force_login(operator)

    page = client.get(reverse("kpi_rows", args=[name]))

    assert page.status_code == 200
    if name != "working_capital":  # without stated days nothing is counted
        assert page.context["n"] == told["n"]


@pytest.mark.parametrize("by", ["kind", "domain", "business_unit", "region", "week", "playbook"])
def test_each_part_lists_its_own_rows(api, operator, by):
    some_history()
    period = latest()
    query = {"from": period.start.isoformat(), "to": period.end.isoformat(), "by": by}
    body = api(operator).get("/api/v1/kpis/", query).json()

    for group in body["groups"]:
        for name in FIRST[:5]:
            assert rows_of(operator, period, name, {by: group["key"]}).rows.count() == group[name]["n"], (group, name)


def test_the_page_shows_figures_worth_and_what_to_do(client, operator):
    some_history()
    client.force_login(operator)

    page = client.get(reverse("insights")).content.decode()

    for name in FIRST:
        assert DEFINITIONS[name].label in page
    assert "What it is worth" in page
    assert "What leaving it open costs" in page
    assert "took a person" in page


def test_the_page_of_a_new_installation_leads_to_the_checklist(client, operator):
    client.force_login(operator)

    page = client.get(reverse("insights")).content.decode()

    assert "Nothing to measure yet" in page
    assert reverse("insights_checklist") in page


def test_figures_leave_as_csv_that_no_spreadsheet_computes(client, operator):
    some_history()
    score.make_mend(score.make_incident(code="=1+1", opened_at=db_now() - timedelta(hours=2)))
    client.force_login(operator)

    text = b"".join(client.get(reverse("kpis_export"), {"by": "kind"}).streaming_content).decode()
    lines = list(csv.DictReader(StringIO(text)))

    assert {line["measure"] for line in lines} >= {*FIRST, "sla_adherence.contractual", "revenue_protected"}
    assert "'=1+1" in {line["key"] for line in lines}


def spike() -> None:
    today = db_now().date()
    for weeks in range(7):
        UsageDay.objects.create(
            day=today - timedelta(days=7 * weeks), connection=score.make_connection(), direction="read",
            calls=100 if weeks else 900, first_call=1, last_call=1,
        )  # fmt: skip


def test_a_spike_becomes_one_incident(client, operator):
    spike()
    score.make_incident()
    client.force_login(operator)
    key = f"fo:calls:{db_now().date()}"
    assert key in client.get(reverse("insights")).content.decode()

    for _ in range(2):
        client.post(reverse("spike_raise"), {"key": key})

    from incidents.models import Incident

    assert [one.entity_key for one in Incident.objects.filter(code="usage_spike")] == ["fo"]


def test_who_only_looks_cannot_raise(client, viewer, auditor):
    spike()
    finding = make_finding(business_unit="EU")
    client.force_login(viewer)

    client.post(reverse("spike_raise"), {"key": f"fo:calls:{db_now().date()}"})
    client.post(reverse("finding_act", args=[finding.pk, "raise"]))

    from incidents.models import Incident

    assert not Incident.objects.exists()


def make_finding(**changes) -> Finding:
    values = {
        "kind": "new_bottleneck",
        "key": "log:1:a:b",
        "title": "New bottleneck",
        "text": "…",
        "found_at": db_now(),
    }
    return Finding.objects.create(**{**values, **changes})


def test_a_finding_is_dealt_with_once(client, operator):
    finding = make_finding()
    client.force_login(operator)

    client.post(reverse("finding_act", args=[finding.pk, "set-aside"]), {"reason": ""})
    assert Finding.objects.get().closed_at is None
    client.post(reverse("finding_act", args=[finding.pk, "raise"]))
    client.post(reverse("finding_act", args=[finding.pk, "set-aside"]), {"reason": "known"})

    finding = Finding.objects.get()
    assert finding.incident_id is not None
    assert finding.closed_by == "operator"


def test_a_finding_of_another_unit_is_not_there(client, viewer):
    client.force_login(viewer)

    assert client.post(reverse("finding_act", args=[make_finding(business_unit="US").pk, "raise"])).status_code == 404


def test_the_checklist_is_computed_and_leads_to_proof(client, operator):
    some_history()
    client.force_login(operator)

    response = client.get(reverse("insights_checklist"))

    items = {item.name: item.proof for stage in response.context["stages"] for item in stage.items}
    assert items["Figures are worth reading"].done
    assert not items["A rollback is proved"].done
    for proof in items.values():
        if not proof.url.startswith("/admin/"):
            assert client.get(proof.url.partition("#")[0]).status_code == 200, proof


def test_pages_are_for_who_is_signed_in(client):
    for url in (reverse("insights"), reverse("insights_checklist"), reverse("kpis_export")):
        assert client.get(url).status_code == 302


def test_a_measure_that_is_none_is_not_found(client):
    client.force_login(make_user("reader", role="auditor"))

    assert client.get(reverse("kpi_rows", args=["luck"])).status_code == 404
    assert client.get(reverse("kpi_rows", args=["mttr_seconds"]), {"week": "2026-W99"}).status_code == 404
