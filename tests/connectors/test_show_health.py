"""How connections fare: calls by hour and day, times, budgets, rates, breaker and pauses, drawn and as numbers."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit.clock import db_now
from connectors.door import charts, health
from connectors.door.models import Budget, Gate, Spent
from connectors.models import Call, Connection

NOW = datetime(2026, 3, 10, 14, 30, tzinfo=UTC)


def make(slug: str = "fo", **columns: object) -> Connection:
    return Connection.objects.create(slug=slug, kind="dynamics_fo", label=slug.upper(), **columns)


def called(connection: Connection, at: datetime, outcome: str = "ok", *, took: int | None = 100, **columns: object):
    """One call that began at ``at`` and took so many milliseconds."""
    end = None if took is None else at + timedelta(milliseconds=took)
    values = {"operation": "order.get", "direction": "read", "actor": "x", "requests": 1, **columns}
    return Call.objects.create(connection=connection, started_at=at, finished_at=end, outcome=outcome, **values)


def gauge(connection: Connection, now: datetime = NOW) -> health.Gauge:
    return health.gauges([Connection.objects.get(pk=connection.pk)], now)[0]


def counts(bars: charts.Bars) -> dict[str, tuple[int, int]]:
    """The columns that are not empty."""
    return {bar.column.name: (bar.column.count, bar.column.failed) for bar in bars.bars if bar.column.count}


# --- Drawing --------------------------------------------------------------------------------------


def test_the_highest_column_fills_the_box_and_failures_stand_on_top():
    drawn = charts.bars("Calls", [charts.Column("a", 10, 4), charts.Column("b", 5)])
    first, second = drawn.bars

    assert first.good_height + first.failed_height == charts.HEIGHT
    assert first.failed_y == 0
    assert first.good_y == first.failed_y + first.failed_height
    assert second.good_height == charts.HEIGHT / 2
    assert second.failed_height == 0


def test_columns_stand_side_by_side_inside_the_box():
    drawn = charts.bars("Calls", [charts.Column(str(number), number) for number in range(24)])
    edges = [(bar.x, bar.x + bar.width) for bar in drawn.bars]

    assert all(left[1] < right[0] for left, right in pairwise(edges))
    assert edges[0][0] >= 0
    assert edges[-1][1] <= charts.WIDTH


def test_one_failure_among_thousands_can_still_be_seen():
    (bar,) = charts.bars("Calls", [charts.Column("a", 10_000, 1)]).bars

    assert bar.failed_height >= 1.5
    assert bar.good_height + bar.failed_height == charts.HEIGHT


def test_nothing_but_failures_leaves_no_good_part():
    (bar,) = charts.bars("Calls", [charts.Column("a", 3, 3)]).bars

    assert (bar.good_height, bar.failed_height) == (0, charts.HEIGHT)


def test_a_chart_says_itself_in_one_sentence():
    drawn = charts.bars("Calls", [charts.Column("13:00", 1_200, 3), charts.Column("14:00", 5)])

    assert drawn.summary == "1,205 calls, 3 failed; most at 13:00: 1,200."
    assert charts.bars("Calls", [charts.Column("a", 1)]).summary == "1 call, none failed; most at a: 1."
    assert charts.bars("Calls", [charts.Column("a", 0)]).summary == "No calls."
    assert charts.bars("Calls", []).summary == "No calls."


# --- Counting -------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_calls_are_counted_by_the_hour_with_failures_apart():
    fo = make()
    called(fo, NOW - timedelta(minutes=1))
    called(fo, NOW - timedelta(minutes=31))
    called(fo, NOW - timedelta(minutes=45), "refused")
    called(fo, NOW - timedelta(minutes=2), "open", took=None)

    seen = gauge(fo)

    assert counts(seen.hours) == {"13:00": (2, 1), "14:00": (2, 0)}
    assert len(seen.hours.bars) == 24
    assert counts(seen.days) == {"10 Mar": (4, 1)}
    assert len(seen.days.bars) == 14


@pytest.mark.django_db
def test_an_hour_begins_on_the_stroke_and_older_calls_count_by_the_day_alone():
    fo = make()
    for at in (datetime(2026, 3, 9, 15, tzinfo=UTC), datetime(2026, 3, 9, 14, 59, 59, tzinfo=UTC)):
        called(fo, at)

    seen = gauge(fo)

    assert counts(seen.hours) == {"15:00": (1, 0)}
    assert counts(seen.days) == {"9 Mar": (2, 0)}


@pytest.mark.django_db
def test_what_is_older_than_fourteen_days_is_left_out():
    fo = make()
    called(fo, datetime(2026, 2, 24, 23, 59, tzinfo=UTC))
    called(fo, datetime(2026, 2, 25, 0, 0, tzinfo=UTC))

    assert counts(gauge(fo).days) == {"25 Feb": (1, 0)}


@pytest.mark.django_db
def test_a_day_begins_at_midnight_where_the_installation_is(settings):
    settings.TIME_ZONE = "Europe/Berlin"
    fo = make()
    called(fo, datetime(2026, 3, 9, 23, 30, tzinfo=UTC))

    seen = gauge(fo)

    assert counts(seen.days) == {"10 Mar": (1, 0)}
    assert counts(seen.hours) == {"00:00": (1, 0)}


@pytest.mark.django_db
def test_each_connection_has_its_own_figures():
    fo, crm = make(), make("crm")
    called(fo, NOW, took=10)
    called(crm, NOW, "locked", took=900)

    first, second = health.gauges([fo, crm], NOW)

    assert (first.days.count, first.days.failed, first.took.p50) == (1, 0, 10)
    assert (second.days.count, second.days.failed, second.took.p50) == (1, 1, 900)


@pytest.mark.django_db
def test_a_call_whose_number_came_late_is_not_lost():
    fo = make()
    called(fo, NOW - timedelta(days=20))
    called(fo, NOW - timedelta(hours=1, minutes=-1))
    called(fo, NOW - timedelta(hours=1, seconds=30))
    called(fo, NOW - timedelta(seconds=1))

    assert health.last_hour(NOW)[fo.pk] == health.Hour(2, 0)


@pytest.mark.django_db
def test_the_first_number_of_a_stretch_is_found_whatever_was_deleted():
    fo = make()
    rows = [called(fo, NOW - timedelta(hours=back)) for back in range(100, 0, -1)]
    Call.objects.filter(pk__in=[row.pk for row in rows[10:90:3]]).delete()

    first = health.first_since(NOW - timedelta(hours=20))

    assert first <= rows[80].pk
    assert first > rows[78].pk


@pytest.mark.django_db
def test_without_calls_there_is_no_number_to_begin_with():
    assert health.first_since(NOW) == 0
    assert health.last_hour(NOW) == {}


# --- Times ----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_times_are_the_middle_and_the_slowest_twentieth():
    fo = make()
    for number in range(1, 101):
        called(fo, NOW - timedelta(minutes=5), took=number * 7)

    assert gauge(fo).took == health.Took(100, 350, 665)


@pytest.mark.django_db
def test_what_our_own_rules_refused_and_what_is_under_way_took_no_time():
    fo = make()
    called(fo, NOW, took=40)
    called(fo, NOW, "blocked", took=0, requests=0)
    called(fo, NOW, "open", took=None)
    called(fo, NOW - timedelta(hours=30), took=9_000)

    assert gauge(fo).took == health.Took(1, 40, 40)


# --- Limits ---------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_budgets_of_the_connection_and_of_its_team_are_shown():
    fo = make(team="finance")
    own = Budget.objects.create(connection=fo, calls=100)
    team = Budget.objects.create(team="finance", money=Decimal("10.00"), currency="EUR")
    Budget.objects.create(team="other", calls=5)
    Spent.objects.create(budget=own, day=NOW.date(), calls=85)
    Spent.objects.create(budget=team, day=NOW.date(), calls=1, money=10_000_000)

    uses = {(use.scope, use.unit): (use.share, use.tone) for use in gauge(fo).uses}

    assert uses[("fo", "calls")] == (85, "medium")
    assert uses[("team finance", "money")] == (100, "critical")
    assert not any(scope == "team other" for scope, _ in uses)


@pytest.mark.django_db
def test_a_rate_counts_what_all_connections_of_the_credential_sent_in_its_stretch():
    gate = Gate.objects.create(key="one")
    fo, twin = make(gate=gate, rate_calls=10, rate_seconds=60), make("twin", gate=gate)
    other = make("other", rate_calls=4, rate_seconds=10)
    called(fo, NOW - timedelta(seconds=59), requests=3)
    called(twin, NOW - timedelta(seconds=5), requests=5)
    called(fo, NOW - timedelta(seconds=61), requests=7)
    called(other, NOW - timedelta(seconds=1), requests=4)

    first, second, third = health.gauges(
        Connection.objects.filter(pk__in=[fo.pk, twin.pk, other.pk]).order_by("pk"), NOW
    )

    assert first.rate == health.Rate(8, 10, 60)
    assert (first.rate.share, first.rate.tone, first.rate.text) == (80, "medium", "8 of 10 calls in 60 s")
    assert second.rate is None
    assert third.rate == health.Rate(4, 4, 10)
    assert third.rate.tone == "critical"


@pytest.mark.django_db
def test_an_open_breaker_and_a_pause_are_told():
    gate = Gate.objects.create(key="one", failures=6, opened_at=NOW)
    fo = make(gate=gate, not_before=NOW + timedelta(minutes=2))
    done = make("done", not_before=NOW - timedelta(minutes=2))

    assert (gauge(fo).opened_at, gauge(fo).failures, gauge(fo).paused_until) == (NOW, 6, NOW + timedelta(minutes=2))
    assert (gauge(done).opened_at, gauge(done).failures, gauge(done).paused_until) == (None, 0, None)


# --- Cost -----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_more_connections_cost_no_more_statements():
    def cost() -> int:
        with CaptureQueriesContext(
            database,
        ) as asked:
            health.gauges(Connection.objects.order_by("slug"), NOW)
        # The search for the first number takes as many steps as the calls' number has digits.
        return sum("LIMIT 1" not in query["sql"] for query in asked)

    gate = Gate.objects.create(key="one")
    called(make("c0", gate=gate, rate_calls=1, rate_seconds=1), NOW)
    one = cost()
    for number in range(1, 12):
        called(make(f"c{number}", gate=gate, rate_calls=1, rate_seconds=1), NOW)

    assert cost() == one


# --- Pages ----------------------------------------------------------------------------------------


@pytest.fixture
def busy(db: None) -> Connection:
    now = db_now()
    fo = make(gate=Gate.objects.create(key="one"), rate_calls=10, rate_seconds=3600)
    Budget.objects.create(connection=fo, calls=100)
    called(fo, now)
    called(fo, now, "refused", took=300)
    return fo


def pages(connection: Connection) -> list[str]:
    return [
        reverse("connections"),
        reverse("calls", args=[connection.slug]),
        reverse("admin:connectors_connection_change", args=[connection.pk]),
    ]


def test_every_page_draws_it_and_says_the_same_as_a_table(client, automation, busy):
    client.force_login(automation)

    for address in pages(busy):
        page = client.get(address).content.decode()

        assert '<desc id="hours-fo-desc">2 calls, 1 failed; most at' in page
        assert page.count('<rect class="failed"') == 2
        assert page.count("<caption>Calls by the") == 2
        assert page.count('<td class="num">2</td><td class="num">1</td>') == 2
        assert "0 of 100 calls" in page
        assert "2 of 10 calls in 3,600 s" in page
        assert "100 ms" in page
        assert "300 ms" in page
        assert "css/gauges" in page


def test_no_page_holds_a_style_or_a_script_of_its_own(client, automation, busy):
    client.force_login(automation)

    for address in pages(busy):
        page = client.get(address).content.decode()

        assert (
            re.findall(r"<style|\sstyle=|\son\w+=\"|<script(?![^>]*\b(?:src|type=\"application/json\")=?)", page) == []
        )


def test_ids_on_the_page_of_all_connections_are_unique(client, operator, busy):
    called(make("crm"), db_now())
    client.force_login(operator)

    ids = re.findall(r'\sid="([^"]+)"', client.get(reverse("connections")).content.decode())

    assert len(ids) == len(set(ids))


def test_a_connection_that_was_never_used_says_what_to_do(client, automation, db):
    fo = make()
    client.force_login(automation)

    for address in pages(fo):
        page = client.get(address).content.decode()

        assert "Nothing was called in the last 14 days. Press Test" in page
        assert "gauge-charts" not in page
        assert 'class="good"' not in page


def test_adding_a_connection_draws_nothing_yet(client, automation, db):
    client.force_login(automation)

    page = client.get(reverse("admin:connectors_connection_add") + "?kind=dynamics_fo")

    assert page.status_code == 200
    assert "Calls, time and limits" not in page.content.decode()


def test_a_label_with_markup_in_it_stays_text(client, operator, busy):
    Connection.objects.update(label="<script>alert(1)</script>")
    client.force_login(operator)

    assert "<script>alert" not in client.get(reverse("connections")).content.decode()
