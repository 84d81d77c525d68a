"""Lists find their rows by an index: no page sorts or reads through all incidents, on either database."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

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
    ],
)
def test_the_next_page_of_an_order_begins_in_its_index(api, operator, many, name, index):
    client = api(operator)
    order = name if name == "due" else f"-{name}"
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
