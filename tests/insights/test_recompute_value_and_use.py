"""Leakage, capital, cost, use, run times and every part of the six, worked out anew from the public API alone."""

import copy
import csv
from datetime import timedelta, timezone
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import transaction
from django.urls import reverse
from rest_framework.test import APIClient

from incidents.models import Evidence
from insights.kpis import usage
from insights.kpis.models import Assumption
from tests.factories import make_token, make_user
from tests.insights import past, score
from tests.insights.outside import Outside, Stated, nearest_rank, share, week_of

pytestmark = pytest.mark.django_db
INDIA = timezone(timedelta(hours=5, minutes=30))
SIX = ("first_contact_resolution", "sla_adherence", "change_success_rate")


def asked(client, begin=past.BEGIN, end=past.END, **params):
    """The answer of the API for a period, asked in another time zone."""
    ends = {"from": begin.astimezone(INDIA).isoformat(), "to": end.astimezone(INDIA).isoformat()}
    answer = client.get("/api/v1/kpis/", {**ends, **params})
    assert answer.status_code == 200, answer.content
    return answer.json()


@pytest.fixture(scope="module", params=[1, 2])
def world(request, django_db_setup, django_db_blocker):
    """One past for all the questions: reading it through the API takes longer than asking."""
    with django_db_blocker.unblock(), transaction.atomic():
        past.build(request.param)
        past.assume(request.param)
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {make_token(make_user('reader', role='auditor'))}")
        yield Outside(client, past.BEGIN, past.END)
        transaction.set_rollback(True)


@pytest.fixture
def outside(world):
    cache.clear()
    return world


def stated_in(body):
    return Stated(body["roi"]["data"]["assumptions"], *(one["data"]["assumptions"] for one in body["working_capital"]))


def by_currency(measures):
    return {one["data"]["currency"]: one for one in measures}


def test_leaks_meet_the_fates_that_the_records_tell(outside):
    body = asked(outside.client)

    for name in ("duplicate_invoices", "freight_misrates"):
        shown, told = by_currency(body[name]), outside.leaks(name)
        assert set(shown) == set(told)
        for currency, fates in told.items():
            data = shown[currency]["data"]
            for fate in ("found", "prevented", "recovered", "missed", "open"):
                n, amount = fates.get(fate, (0, Decimal(0)))
                assert (data[fate]["n"], Decimal(data[fate]["amount"])) == (n, amount), (name, currency, fate)
            kept = sum(fates.get(fate, (0, Decimal(0)))[1] for fate in ("prevented", "recovered"))
            assert shown[currency]["value"] == pytest.approx(float(kept), rel=1e-9)
            assert shown[currency]["n"] == fates["found"][0]
    fates = {fate for told in map(outside.leaks, ("duplicate_invoices",)) for one in told.values() for fate in one}
    assert fates == {"found", "prevented", "recovered", "missed", "open"}


def test_an_amount_that_nobody_told_is_no_proof_of_prevention(outside):
    one = score.make_incident(currency="CHF", opened_at=past.BEGIN, closed_at=past.END)
    untold = {"RemainingAmount": None, "TotalInvoiceAmount": None}
    Evidence.objects.create(
        incident=one, form="record", name="invoice", round=1, system="fo", entity="SalesInvoiceHeadersV2",
        record_id="demf/1", captured_at=past.BEGIN, digest="d", content=untold,
    )  # fmt: skip

    data = by_currency(asked(outside.client)["duplicate_invoices"])["CHF"]["data"]

    assert (data["prevented"]["n"], data["recovered"]["n"]) == (0, 1)


def test_protected_revenue_and_released_capital_come_out_again(outside):
    body = asked(outside.client)
    protected, released = outside.revenue_protected(), outside.working_capital(stated_in(body))

    assert len(protected) > 2
    assert len(released) > 1
    assert {key: (one["value"], one["n"]) for key, one in by_currency(body["revenue_protected"]).items()} == {
        key: (pytest.approx(float(amount), rel=1e-9), n) for key, (amount, n) in protected.items()
    }
    assert {key: (one["value"], one["n"]) for key, one in by_currency(body["working_capital"]).items()} == {
        key: (pytest.approx(value, rel=1e-3), n) for key, (value, n) in released.items()
    }


def test_the_saving_and_the_cost_of_an_incident_come_out_again(outside):
    body = asked(outside.client)
    stated = stated_in(body)
    cost, by_hand, n = outside.costs(stated)
    tokens = outside.token_cost(stated)

    assert tokens > 10
    assert body["roi"]["n"] == n > 20
    assert body["roi"]["value"] == pytest.approx(1 - (cost + tokens) / by_hand, rel=1e-3)
    assert body["roi"]["data"]["tokens"] == pytest.approx(tokens, rel=1e-3)
    assert body["roi"]["data"]["saved"] == pytest.approx(by_hand - cost - tokens, rel=1e-3)
    (served,) = body["cost_to_serve"]
    assert (served["value"], served["n"]) == (pytest.approx((cost + tokens) / n, rel=1e-3), n)


def test_what_rests_on_no_assumption_is_left_out_of_the_cost(outside):
    Assumption.objects.filter(name="minutes_by_hand", subject="").delete()
    for minutes, kind in enumerate(set(past.KINDS) - {"duplicate_order", "freight_surcharge", "freight_misrate"}, 31):
        Assumption.objects.create(name="minutes_by_hand", subject=kind, value=minutes, because="timed")

    body = asked(outside.client)
    stated = stated_in(body)
    cost, _, n = outside.costs(stated)

    assert 20 <= n < len(outside.modes())
    assert body["roi"]["n"] == n
    assert body["roi"]["data"]["left_out"] == len(outside.modes()) - n
    assert body["cost_to_serve"][0]["value"] == pytest.approx((cost + outside.token_cost(stated)) / n, rel=1e-3)


def test_service_levels_of_contracts_and_of_the_house_come_out_again(outside):
    parts = asked(outside.client)["sla_adherence"]["parts"]

    for part, policy in (("contractual", "contract"), ("internal", "internal")):
        kept = outside.sla_adherence(policy)
        assert parts[part]["n"] == len(kept) > 3
        assert parts[part]["value"] == pytest.approx(share(kept))


@pytest.mark.parametrize("by", ["kind", "domain", "business_unit", "region"])
def test_each_part_of_the_incidents_comes_out_again(outside, by):
    column = {"kind": "code"}.get(by, by)
    groups = asked(outside.client, by=by)["groups"]

    assert len(groups) > 1
    for group in groups:
        part = outside.narrowed(
            lambda one, key=group["key"]: one[column] == key, lambda run, key=group["key"]: run["of"][column] == key
        )
        agree(group, part)


def agree(group, part):
    """Hold the six of a group against the same worked out from its rows."""
    spans = part.mttr_seconds()
    assert group["mttr_seconds"]["n"] == len(spans)
    if spans:
        assert group["mttr_seconds"]["value"] == pytest.approx(sum(spans) / len(spans), rel=1e-3)
    for name in SIX:
        rows = getattr(part, name)()
        assert (group[name]["n"], group[name]["value"]) == (len(rows), pytest.approx(share(rows))), (group["key"], name)
    modes = [mode for _, mode in part.modes()]
    for mode in ("autonomous", "approved", "manual"):
        found = group["automation_coverage"]["parts"][mode]
        assert found["n"] == len(modes)
        assert found["value"] == (pytest.approx(modes.count(mode) / len(modes)) if modes else None)


def test_each_week_comes_out_again_by_the_time_that_counts(outside):
    groups = {group["key"]: group for group in asked(outside.client, by="week")["groups"]}

    assert set(groups) == {"2026-W10", "2026-W11", "2026-W12"}
    for key, group in groups.items():
        # An open incident stands in the week in which it missed its target, a change in the one it was begun in.
        agree(
            group,
            outside.narrowed(
                lambda one, key=key: (
                    week_of(one["closed_at"] or (one["sla"] or {}).get("breached_at") or "1970-01-01") == key
                ),
                lambda run, key=key: week_of(run["created_at"]) == key,
            ),
        )


def test_each_playbook_comes_out_again(outside):
    groups = {group["key"]: group for group in asked(outside.client, by="playbook")["groups"]}

    assert set(groups) == {"", "credit", "release"}
    for key, group in groups.items():
        agree(
            group,
            outside.narrowed(
                lambda one, key=key: stands(one) == key, lambda run, key=key: run["by"]["playbook"] == key
            ),
        )


def stands(one):
    """The playbook of the mend that stands; none where nothing was mended."""
    mended = one["outcome"] and one["outcome"]["state"] == "verified" and one["closed_at"]
    return one["plan"]["playbook"] if mended else ""


def test_the_saving_of_a_part_bears_its_share_of_the_tokens(outside):
    body = asked(outside.client, by="domain")
    stated, whole = stated_in(body), len(outside.modes())

    for group in body["groups"]:
        part = outside.narrowed(lambda one, key=group["key"]: one["domain"] == key, lambda run: True)
        cost, by_hand, n = part.costs(stated)
        tokens = outside.token_cost(stated) * len(part.modes()) / whole
        assert group["roi"]["n"] == n
        if n >= 20:
            assert group["roi"]["value"] == pytest.approx(1 - (cost + tokens) / by_hand, rel=1e-3)
    assert any(group["roi"]["value"] is not None for group in body["groups"])


def test_a_period_may_begin_and_end_at_any_moment(outside):
    part = copy.copy(outside)
    part.begin, part.end = past.BEGIN + timedelta(hours=30, seconds=17), past.END - timedelta(hours=41)
    body = asked(part.client, part.begin, part.end)

    agree(body, part)
    assert body["mttr_seconds"]["n"] < len(outside.mttr_seconds())
    assert by_currency(body["duplicate_invoices"])["EUR"]["n"] == part.leaks("duplicate_invoices")["EUR"]["found"][0]
    assert {one["data"]["connection"]: one["value"] for one in body["connector_calls"]} == part.sums(of)
    assert {one["data"]["operation"]: one["n"] for one in body["run_times"] if one["data"]["connection"] == "fo"} == {
        operation: len(times) for (connection, operation), times in part.run_times().items() if connection == "fo"
    }


def of(call):
    """The connection of a call."""
    return call["connection"]


def test_calls_and_tokens_of_each_connection_come_out_again(outside):
    body = asked(outside.client)
    stated = Stated(*(one["data"]["assumptions"] for one in body["token_cost"]))
    failed = outside.narrowed_calls(lambda call: call["outcome"] != "ok").sums(of)

    shown = {one["data"]["connection"]: one for one in body["connector_calls"]}
    assert {slug: one["value"] for slug, one in shown.items()} == outside.sums(of)
    assert {slug: one["data"]["requests"] for slug, one in shown.items()} == outside.sums(of, "requests")
    assert {slug: one["data"]["failed"] for slug, one in shown.items()} == failed
    for slug, one in shown.items():
        assert one["n"] == one["value"] > 10
        assert one["data"]["busiest_day"] == outside.busiest(slug)
    tokens = outside.sums(of, "tokens")
    assert set(tokens) == {"ai", "ai-two"}
    assert {one["data"]["connection"]: (one["data"]["tokens"], one["value"]) for one in body["token_cost"]} == {
        slug: (count, pytest.approx(count / 1e6 * stated.of("token_price", slug), rel=1e-3))
        for slug, count in tokens.items()
    }
    assert sum(one["value"] for one in body["token_cost"]) == pytest.approx(body["roi"]["data"]["tokens"], abs=0.01)


def test_tokens_without_a_price_are_no_amount(outside):
    Assumption.objects.filter(name="token_price", subject="").delete()

    told = {one["data"]["connection"]: one for one in asked(outside.client)["token_cost"]}

    assert told["ai"]["value"] is None
    assert "No price" in told["ai"]["because"]
    assert told["ai"]["data"]["tokens"] == outside.sums(of, "tokens")["ai"]
    assert told["ai-two"]["value"] > 0


def test_tokens_by_model_team_and_incident_come_out_again(outside):
    reader, asked_models = User.objects.get(username="reader"), outside.narrowed_calls(lambda call: call["model"])
    queues = {row["id"]: row["queue"] for row in outside.feed("Incidents")}

    for column, key in (
        ("model", lambda call: call["model"]),
        ("team", lambda call: queues.get(call["incident"]) or ""),
    ):
        assert {one.name: one.tokens for one in usage.tokens_by(reader, past.PERIOD, column)} == asked_models.sums(
            key, "tokens"
        )
    by_incident = asked_models.sums(lambda call: call["incident"], "tokens")
    by_incident.pop(None, None)
    most = sorted(by_incident.items(), key=lambda pair: (-pair[1], pair[0]))[:10]
    assert [(pk, used) for pk, used, _ in usage.tokens_by_incident(reader, past.PERIOD)] == most


def test_run_times_come_out_again(outside):
    shown = {(one["data"]["connection"], one["data"]["operation"]): one for one in asked(outside.client)["run_times"]}
    told = outside.run_times()

    assert set(shown) == set(told) == {("fo", "invoice.credit"), ("fo", "hold.release"), ("crm", "hold.release")}
    for key, times in told.items():
        one = shown[key]
        assert one["n"] == len(times) > 10
        for name, percent in (("p50", 50), ("p95", 95)):
            # SQLite knows times to the millisecond.
            assert one["parts"][name]["value"] == pytest.approx(nearest_rank(times, percent), rel=1e-3, abs=0.002)


def test_the_rows_behind_a_use_are_those_that_used(outside, client):
    client.force_login(User.objects.get(username="reader"))
    body = asked(outside.client)

    for one in body["connector_calls"] + body["token_cost"]:
        slug = one["data"]["connection"]
        page = client.get(one["rows"])
        told = outside.narrowed_calls(lambda call, slug=slug: call["connection"] == slug and call["incident"])
        word, column = ("tokens", "tokens") if one is body["token_cost"][-1] else (None, "")
        expected = told.sums(lambda call: call["incident"], column)
        assert page.context["n"] == len(expected) > 3, slug
        if word:
            assert {row.pk: row.tokens for row in page.context["found"].rows} == expected
    for one in body["run_times"]:
        key = (one["data"]["connection"], one["data"]["operation"])
        slowest = {}
        for run in outside.runs:
            mine = outside.narrowed(lambda _: True, lambda other, run=run: other is run).run_times().get(key)
            if mine:
                slowest[run["id"]] = pytest.approx(mine[-1], rel=1e-3, abs=0.002)
        found = client.get(one["rows"]).context["found"].rows
        assert {row.pk: row.run_time for row in found} == slowest


def test_the_file_and_the_feed_say_what_the_api_says(outside, client):
    client.force_login(User.objects.get(username="reader"))
    week = {"from": "2026-03-09", "to": "2026-03-16"}
    body = outside.client.get("/api/v1/kpis/", week).json()

    rows = list(outside.feed("Kpis", "week eq '2026-W11'"))
    assert {row["measure"]: (row["value"], row["n"]) for row in rows if row["measure"] != "roi"} == {
        name: (pytest.approx(body[name]["value"]), body[name]["n"])
        for name in ("mttr_seconds", *SIX, "automation_coverage")
    }
    answer = client.get(reverse("kpis_export"), {**week, "by": "kind"})
    lines = list(csv.DictReader(b"".join(answer.streaming_content).decode().splitlines()))
    whole = {(line["key"], line["measure"], line["currency"]): line for line in lines if line["by"] != "kind"}
    for name in ("mttr_seconds", "roi", *SIX):
        value, n = ("" if part is None else str(part) for part in (body[name]["value"], body[name]["n"]))
        assert (whole["", name, ""]["value"], whole["", name, ""]["n"]) == (value, n)
    for name in ("revenue_protected", "duplicate_invoices", "working_capital"):
        for one in body[name]:
            assert whole["", name, one["data"]["currency"]]["value"] == str(one["value"])
    for one in body["run_times"]:
        key = f"{one['data']['connection']}:{one['data']['operation']}"
        assert whole[key, "run_times.p95", ""]["value"] == str(one["parts"]["p95"]["value"])
    for one in body["connector_calls"]:
        assert float(whole[one["data"]["connection"], "connector_calls", ""]["value"]) == one["value"]
