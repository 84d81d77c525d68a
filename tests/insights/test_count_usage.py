"""Calls are summed by day once, seen by whoever may, and a spike is one against its own weekday."""

from datetime import timedelta

import pytest

from audit.clock import db_now
from connectors.models import Call
from incidents.states import Status
from insights.kpis import runtimes, spikes, usage
from insights.kpis.assumptions import stated
from insights.kpis.models import Assumption, UsageDay
from insights.kpis.periods import Period
from tests.factories import make_user
from tests.insights import score
from tests.racing import together

pytestmark = pytest.mark.django_db
MARCH = Period(score.at(-1), score.at(29))


@pytest.fixture
def reader():
    return make_user("reader", role="auditor")


def test_each_call_is_counted_once(reader):
    one = score.make_incident()
    score.make_call(score.at(), one)
    score.make_call(score.at(1), one, slug="ai", tokens=700)
    score.make_call(score.at(1))

    assert (usage.count(), usage.count()) == (3, 0)
    score.make_call(score.at(1), one, slug="ai", tokens=300)
    assert usage.count() == 1

    assert usage.tokens_of(reader, MARCH) == [("ai", 1000)]
    assert [(use.connection, use.calls, use.busiest) for use in usage.uses(reader, MARCH, stated())] == [
        ("ai", 2, 2),
        ("fo", 2, 1),
    ]
    assert usage.tokens_by(reader, MARCH, "model") == [usage.Tokens("gpt-x", 1000, 2)]
    assert usage.tokens_by_incident(reader, MARCH) == [(one.pk, 1000, 2)]


def test_what_may_still_be_open_waits(reader):
    score.make_call(score.at())
    score.make_call(db_now())
    score.make_call(score.at(1))

    assert usage.count() == 1
    Call.objects.update(started_at=score.at())
    assert usage.count() == 2


def test_calls_show_to_whoever_sees_the_unit(reader):
    score.make_call(score.at(), score.make_incident())
    score.make_call(score.at(), score.make_incident(business_unit="US"))
    score.make_call(score.at())
    usage.count()

    european = make_user("european", role="viewer", units=["EU"])

    assert sum(use.calls for use in usage.uses(european, MARCH, stated())) == 1
    assert sum(use.calls for use in usage.uses(reader, MARCH, stated())) == 3


def test_the_busiest_day_is_held_against_the_stated_quota(reader):
    for _ in range(5):
        score.make_call(score.at())
    usage.count()
    Assumption.objects.create(name="calls_per_day", subject="fo", value=10, because="contract")

    assert usage.uses(reader, MARCH, stated())[0].quota_share == 0.5


def series(*values: int) -> None:
    """So many calls on each Monday, the last of them on ``score.MONDAY``."""
    for back, value in enumerate(reversed(values)):
        UsageDay.objects.create(
            day=score.MONDAY.date() - timedelta(days=7 * back), connection=score.make_connection(),
            direction="read", calls=value, first_call=1, last_call=1,
        )  # fmt: skip


def test_a_day_far_above_its_weekday_is_a_spike(reader):
    series(100, 90, 110, 95, 105, 300)

    (found,) = spikes.spikes(reader, score.MONDAY.date())

    assert (found.connection, found.measure, found.value, found.usual, found.weeks) == ("fo", "calls", 300, 100.0, 5)
    assert found.score > spikes.FAR


@pytest.mark.parametrize("values", [(100, 90, 110, 95, 105, 125), (1, 400), (100, 100, 100, 100, 100, 100)])
def test_an_ordinary_day_or_a_short_history_is_none(reader, values):
    series(*values)

    assert spikes.spikes(reader, score.MONDAY.date()) == []


def test_run_times_are_values_that_were_measured(reader):
    for took in range(1, 21):
        score.make_mend(score.make_incident(), took=float(took))
    score.make_mend(score.make_incident(Status.NEEDS_OPERATOR, business_unit="US"), took=900.0)

    (found,) = runtimes.runtimes(make_user("european", role="viewer", units=["EU"]), MARCH)

    assert (found.operation, found.n) == ("invoice.credit", 20)
    assert (found.p50, found.p95) == (pytest.approx(10, abs=0.002), pytest.approx(19, abs=0.002))


@pytest.mark.django_db(transaction=True)
def test_two_beats_at_once_count_each_call_once():
    for number in range(40):
        score.make_call(score.at(number % 3))

    counted = together(*[usage.count] * 2)

    assert sum(counted) == 40
    assert sum(UsageDay.objects.values_list("calls", flat=True)) == 40
