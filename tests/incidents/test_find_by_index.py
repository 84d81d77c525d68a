"""Lists find their rows by an index: no page sorts or reads through all incidents, on either database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.clock import db_now
from incidents.filters import SLA_STATE, IncidentFilter
from incidents.models import Escalation, Incident, SlaClock
from incidents.states import Status
from playbooks.console.needs import needs_of
from tests.factories import make_user
from tests.incidents.factories import make_policy

pytestmark = pytest.mark.django_db
PATH = "/api/v1/incidents/"
ROWS = 3_000
START = datetime(2026, 1, 5, 8, tzinfo=UTC)


@pytest.fixture
def many() -> None:
    """Three thousand incidents that wait for anybody, each with a clock, and statistics that say so."""
    rows = [_row(number) for number in range(ROWS)]
    made = Incident.objects.bulk_create(rows)
    policy = make_policy()
    SlaClock.objects.bulk_create(
        SlaClock(incident=row, policy=policy, started_at=START, resolve_due=START + timedelta(minutes=number % 977))
        for number, row in enumerate(made)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _row(number: int) -> Incident:
    moment = START + timedelta(seconds=number)
    return Incident(
        code="misrate",
        fingerprint=f"f-{number}",
        title=f"Freight of order {number:05d} differs",
        status=Status.NEEDS_OPERATOR,
        severity_rank=number % 4,
        severity=("critical", "high", "medium", "low")[number % 4],
        entity_type="order",
        entity_key=f"SO-{number:05d}",
        business_unit="EU",
        region="DE",
        revenue_at_risk=number % 613 if number % 5 else None,
        first_signal_at=moment,
        last_signal_at=moment,
        opened_at=moment,
    )


def plan_of(sql: str) -> str:
    """Return what the database says it would do."""
    with connection.cursor() as cursor:
        cursor.execute(f"{'EXPLAIN' if connection.vendor == 'postgresql' else 'EXPLAIN QUERY PLAN'} {sql}")
        return "\n".join(str(line[-1]) for line in cursor.fetchall())


def sorts_all(plan: str) -> bool:
    # An index whose first columns give the order leaves at most ties to be sorted.
    whole = [line for line in plan.splitlines() if "Sort" in line and "Incremental" not in line and "Key" not in line]
    return bool(whole) or "USE TEMP B-TREE FOR ORDER BY" in plan


def numbers_asked(captured: CaptureQueriesContext) -> str:
    """Return the statement that finds the numbers of a page."""
    begin = 'SELECT "incidents_incident"."id" AS "pk" FROM "incidents_incident"'
    (found,) = [one["sql"] for one in captured.captured_queries if one["sql"].startswith(begin)]
    return str(found)


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("opened_at", "incident_by_opening"),
        ("severity", "incident_by_severity"),
        ("revenue_at_risk", "incident_by_stake"),
        ("due", "sla_by_due"),
        ("-due", "sla_by_due"),
    ],
)
def test_the_next_page_of_an_order_begins_in_its_index(api, operator, many, name, index):
    client = api(operator)
    order = name if "due" in name else f"-{name}"
    following = client.get(f"{PATH}?ordering={order}&page_size=200").json()["next"]

    with CaptureQueriesContext(connection) as captured:
        assert len(client.get(following).json()["results"]) == 200

    plan = plan_of(numbers_asked(captured))
    assert index in plan
    assert not sorts_all(plan)


@pytest.mark.parametrize("order", ["opened_at", "-severity", "revenue_at_risk", "-revenue_at_risk", "due", "-due"])
def test_every_incident_is_on_one_page_of_an_order(api, operator, many, order):
    Incident.objects.filter(pk__gt=Incident.objects.order_by("pk")[450].pk).update(business_unit="US")
    SlaClock.objects.filter(incident__severity_rank=3).update(resolve_due=None)
    client, seen = api(operator), []
    url = f"{PATH}?ordering={order}&page_size=100&business_unit=EU"

    while url:
        page = client.get(url).json()
        seen += [row["id"] for row in page["results"]]
        url = page["next"]

    wanted = set(Incident.objects.filter(business_unit="EU").values_list("pk", flat=True))
    assert len(seen) == len(wanted) == 451
    assert set(seen) == wanted


def test_the_first_page_of_what_is_due_last_begins_in_its_index(api, operator, many):
    with CaptureQueriesContext(connection) as captured:
        assert len(api(operator).get(f"{PATH}?ordering=-due").json()["results"]) == 50

    plan = plan_of(numbers_asked(captured))
    assert "sla_by_due" in plan
    assert not sorts_all(plan)


def test_without_a_clock_an_incident_stands_last_either_way(api, operator, many):
    SlaClock.objects.filter(incident__severity_rank=3).update(resolve_due=None)
    SlaClock.objects.filter(incident__severity_rank=2).delete()
    Incident.objects.filter(pk__gt=Incident.objects.order_by("pk")[599].pk).update(business_unit="EU")
    Incident.objects.filter(pk__lte=Incident.objects.order_by("pk")[599].pk).update(business_unit="US")
    american = Incident.objects.filter(business_unit="US")
    timeless = set(american.filter(severity_rank__gte=2).values_list("pk", flat=True))
    client = api(operator)

    for order in ("due", "-due"):
        seen = [set(page) for page in pages(client, f"{PATH}?ordering={order}&page_size=150&business_unit=US")]
        assert set().union(*seen[2:]) == timeless
        assert len(seen) == 4


def pages(client, url):
    """Every page forwards, each held against the same page read backwards."""
    found, last = [], ""
    while url:
        page = client.get(url).json()
        found.append([row["id"] for row in page["results"]])
        url, last = page["next"], page["previous"]
    back = []
    while last:
        page = client.get(last).json()
        back.insert(0, [row["id"] for row in page["results"]])
        last = page["previous"]
    assert back == found[:-1]
    return found


@pytest.fixture
def standing(many) -> None:
    """Of the clocks, each way of standing has a few, and nearly all are of one: closed in time."""
    future, past, now = db_now() + timedelta(days=9), db_now() - timedelta(days=9), db_now()
    SlaClock.objects.update(started_at=past, stopped_at=past, resolve_due=future, acknowledged_at=past)
    ways: list[dict[str, Any]] = [
        {"breached_at": now}, {"breached_at": now, "stopped_at": None}, {"stopped_at": now, "resolve_due": past},
        {"stopped_at": None, "paused_at": now, "resolve_due": past}, {"stopped_at": None, "resolve_due": past},
        {"stopped_at": None, "acknowledged_at": None, "acknowledge_due": past}, {"stopped_at": None},
        {"stopped_at": None, "warned_at": now}, {"stopped_at": None, "warn_at": past},
        {"stopped_at": None, "warned_at": now, "resolve_due": past}, {"stopped_at": None, "paused_at": now},
        {"stopped_at": None, "paused_at": now, "warned_at": past}, {"stopped_at": None, "resolve_due": None},
    ]  # fmt: skip
    keys = list(SlaClock.objects.order_by("pk").values_list("pk", flat=True)[: 7 * len(ways)])
    for number, way in enumerate(ways):
        SlaClock.objects.filter(pk__in=keys[number :: len(ways)]).update(**way)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


WAYS = ("breached", "warning", "ok", "running", "paused", "met")


@pytest.mark.parametrize("order", ["-id", "due", "-due"])
def test_the_clocks_that_stand_alike_are_found_by_their_index(api, operator, standing, order):
    for way in WAYS:
        with CaptureQueriesContext(connection) as captured:
            assert api(operator).get(f"{PATH}?sla={way}&ordering={order}&page_size=5").json()["results"]

        asked = [one["sql"] for one in captured.captured_queries if "CASE WHEN" in one["sql"]]
        parts = [sql for sql in asked if 'SELECT "incidents_slaclock"' in sql]
        assert parts, asked
        for sql in parts:
            plan = plan_that_fits(sql)
            # Of what nearly every clock is, any index in the order asked for meets a page as soon.
            common = ("sla_by_due", "incident_id_key") if "ELSE 8 END = 4" in sql else ()
            assert any(index in plan for index in ("sla_by_standing", "sla_due_by_standing", "sla_to_", *common)), plan
            assert not reads_all(plan), plan


def plan_that_fits(sql: str) -> str:
    # Three thousand rows are read through as fast; whether an index fits the question is what counts.
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
    return plan_of(sql)


def reads_all(plan: str) -> bool:
    # Of PostgreSQL's plans "Seq Scan on", of SQLite's "SCAN" without an index.
    return any(
        f"Seq Scan on {table}" in plan or (f"SCAN {table}" in plan and f"SCAN {table} USING" not in plan)
        for table in ("incidents_incident", "incidents_slaclock")
    )


@pytest.mark.parametrize("order", ["-id", "id", "due", "-due", "-severity"])
def test_parts_of_a_list_make_up_what_the_whole_would_be(api, operator, standing, order):
    client = api(operator)
    for way, size in {"breached": 9, "warning": 9, "running": 9, "paused": 9, "breached,warning": 20}.items():
        found = pages(client, f"{PATH}?sla={way}&ordering={order}&page_size={size}")

        seen = [key for page in found for key in page]
        assert len(found) > 1
        assert len(seen) == len(set(seen))
        assert set(seen) == timely(way.split(","))


def test_the_parts_of_most_of_a_list_make_it_up_too(api, operator, standing):
    Incident.objects.filter(pk__gt=Incident.objects.order_by("pk")[449].pk).update(business_unit="US")
    european = set(Incident.objects.filter(business_unit="EU").values_list("pk", flat=True))
    client = api(operator)
    for way in ("ok", "met", "ok,none"):
        url = f"{PATH}?sla={way}&ordering=due&page_size=200&business_unit=EU"

        assert {key for page in pages(client, url) for key in page} == timely(way.split(",")) & european


def timely(names: list[str]) -> set[int]:
    whole = IncidentFilter({}, queryset=Incident.objects.annotate(sla_state=SLA_STATE))
    return set(whole.timely(whole.queryset, "sla", names).values_list("pk", flat=True))


@pytest.mark.parametrize(("way", "count"), [("late", 14), ("soon", 7)])
def test_what_is_late_or_due_soon_is_found_by_its_index(client, operator, standing, way, count):
    close = SlaClock.objects.filter(stopped_at=None, paused_at=None, warned_at=None, resolve_due=None)
    close.update(resolve_due=db_now() + timedelta(hours=1))
    client.force_login(operator)

    with CaptureQueriesContext(connection) as captured:
        page = client.get(f"/incidents/?sla={way}").context["page"]

    assert len(page.rows) == count
    (sql,) = [one["sql"] for one in captured.captured_queries if "CASE WHEN" in one["sql"]]
    plan = plan_that_fits(sql)
    assert any(index in plan for index in ("sla_due_by_standing", "sla_by_due", "sla_running"))
    assert not reads_all(plan)


def test_the_inbox_finds_what_waits_for_anybody_by_its_index(operator, many):
    needs_of(operator)

    with CaptureQueriesContext(connection) as captured:
        assert needs_of(operator)

    begin = 'SELECT "incidents_incident"."id" AS "pk" FROM "incidents_incident"'
    asked = [one["sql"] for one in captured.captured_queries if one["sql"].startswith(begin)]
    (sql,) = [sql for sql in asked if "needs_operator" in sql and '"assignee_id" IS NULL' in sql]
    plan = plan_of(sql)
    assert "incident_for_anybody" in plan or "incident_by_status" in plan
    assert not sorts_all(plan)


def test_what_nobody_of_a_role_has_seen_is_found_by_its_index(operator, many):
    told = [
        Escalation(incident=row, level=1, role=("operator", "compliance")[row.pk % 2], created_at=START)
        for row in Incident.objects.all()
    ]
    Escalation.objects.bulk_create(told)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")

    with CaptureQueriesContext(connection) as captured:
        needs_of(operator)

    (sql,) = [one["sql"] for one in captured.captured_queries if 'FROM "incidents_escalation"' in one["sql"]]
    plan = plan_of(sql)
    assert "told_unseen" in plan
    assert not sorts_all(plan)


def test_words_are_found_by_their_trigrams_where_the_database_has_them(api, operator, many):
    client = api(operator)

    with CaptureQueriesContext(connection) as captured:
        results = client.get(f"{PATH}?search=SO-02127").json()["results"]

    assert [row["entity"]["key"] for row in results] == ["SO-02127"]
    searched = next(one["sql"] for one in captured.captured_queries if "SO-02127" in one["sql"])
    if _has_trigrams():
        with connection.cursor() as cursor:
            # Three thousand rows are read through as fast; whether the index fits the question is what counts.
            cursor.execute("SET LOCAL enable_seqscan = off")
        plan = plan_of(searched)
        assert "incident_title_trigrams" in plan
        assert "incident_key_trigrams" in plan


def _has_trigrams() -> bool:
    if connection.vendor != "postgresql":
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_indexes WHERE indexname = 'incident_key_trigrams'")
        return cursor.fetchone() is not None


def test_a_word_that_many_hold_still_shows_only_what_may_be_seen(api, many):
    newest = Incident.objects.order_by("-pk")[0].pk
    Incident.objects.filter(pk=newest).update(business_unit="US", region="US-EAST")
    american = api(make_user("us", role="operator", units=["US"]))

    common = american.get(f"{PATH}?search=freight").json()["results"]
    rare = american.get(f"{PATH}?search=SO-00007").json()["results"]

    assert [row["id"] for row in common] == [newest]
    assert rare == []
