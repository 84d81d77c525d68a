"""Numbers that stand out: each method against planted anomalies, false alarms on quiet history, thin history."""

import random
from datetime import timedelta

import pytest

from connectors.models import Call, Connection
from incidents.models import Incident
from insights.detectors import anomaly, rehearsing, series
from insights.detectors.definitions import AnomalyRule, Series, read
from insights.detectors.looking import World, look
from insights.detectors.series import Value
from tests.insights.detecting import days, definition, finished
from tests.insights.factories import START, make_log

LONG_AGO = START - days(3650)


def rule(**changes):
    return AnomalyRule.model_validate({"series": {"measure": "events"}, "min_history": 28, **changes})


def weekly_rhythm(length, seed=3):
    """Busy weekdays, quiet weekends, and some chance."""
    dice = random.Random(seed)
    return [max(0.0, round((30 if day % 7 in (5, 6) else 100) + dice.gauss(0, 6))) for day in range(length)]


def judged(a_rule, amounts):
    values = [Value(START + days(at), amount) for at, amount in enumerate(amounts)]
    found = anomaly.look(a_rule, values, LONG_AGO, START + days(len(amounts)))
    return [(one.at - START).days - 1 for one in found.findings], found


@pytest.mark.parametrize("method", ["robust_z", "ewma", "weekday"])
def test_a_planted_spike_is_found_by_every_method(method):
    dice = random.Random(5)
    amounts = [100 + dice.gauss(0, 5) for _ in range(120)]
    amounts[100] = 260

    assert judged(rule(method=method), amounts)[0] == [100]


def test_only_the_same_weekday_sees_a_busy_sunday():
    amounts = weekly_rhythm(150)
    amounts[146] = 100.0  # a Sunday as busy as a weekday

    assert 146 in judged(rule(method="weekday"), amounts)[0]
    assert 146 not in judged(rule(method="robust_z"), amounts)[0]


def test_a_direction_that_is_not_asked_for_is_not_told():
    amounts = [100.0] * 60 + [10.0] + [100.0] * 5 + [300.0]

    assert judged(rule(direction="up"), amounts)[0] == [66]
    assert judged(rule(direction="down"), amounts)[0] == [60]
    assert judged(rule(direction="both"), amounts)[0] == [60, 66]


def test_a_spike_does_not_hide_the_next_one():
    amounts = [100.0 + at % 3 for at in range(60)] + [900.0, 101.0, 900.0]

    for method in ("robust_z", "ewma"):
        assert judged(rule(method=method), amounts)[0] == [60, 62]


def test_too_little_history_is_not_judged_and_says_so():
    found = judged(rule(), [1.0] * 28)[1]

    assert (found.judged, found.findings) == (0, ())
    assert "nothing could be judged" in found.notes[0]


def test_small_numbers_do_not_cry_wolf():
    amounts = [0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 1.0] * 20

    assert judged(rule(), [*amounts, 3.0])[0] == []
    assert judged(rule(), [*amounts, 9.0])[0] == [140]


def test_a_difference_below_what_matters_is_never_told():
    amounts = [1000.0] * 60 + [1200.0]

    assert judged(rule(at_least=150), amounts)[0] == [60]
    assert judged(rule(at_least=250), amounts)[0] == []


@pytest.mark.parametrize("method", ["robust_z", "ewma", "weekday"])
def test_no_value_is_judged_by_a_later_one(method):
    amounts = weekly_rhythm(160)
    whole = judged(rule(method=method, threshold=2.0), amounts)[1].judgements

    for length in (60, 100, 159):
        assert judged(rule(method=method, threshold=2.0), amounts[:length])[1].judgements == whole[: len(
            judged(rule(method=method, threshold=2.0), amounts[:length])[1].judgements)]  # fmt: skip


@pytest.mark.parametrize("method", ["ewma", "weekday"])
def test_on_quiet_history_false_alarms_are_rare(method):
    amounts = (
        weekly_rhythm(28 + 600, seed=11)
        if method == "weekday"
        else [100 + random.Random(at).gauss(0, 8) for at in range(628)]
    )

    alarms, found = judged(rule(method=method), amounts)

    assert found.judged >= 590
    assert len(alarms) / found.judged <= 0.01


@pytest.mark.django_db
def test_a_rehearsal_tells_the_false_alarms_with_their_interval():
    rows = []
    for day in range(150):
        rows += [
            (f"{day}-{at}", "Order", START + days(day) + timedelta(minutes=at), {})
            for at in range(60 if day == 120 else 10)
        ]
    log = finished(make_log(rows))
    text = read(definition({"kind": "anomaly", "series": {"measure": "events", "activity": "Order"}}))

    result = rehearsing.rehearse(text, World(log, log.last_at), visible=Incident.objects.all())

    assert result.raised == 1
    assert (result.alarms.hits, result.alarms.n) == (1, 90)
    assert (result.blocks.hits, result.blocks.n) == (1, 13)
    assert result.blocks.interval == (pytest.approx(0.0137, abs=0.001), pytest.approx(0.3331, abs=0.001))


@pytest.mark.django_db
def test_days_on_which_nothing_happened_count_as_nought_and_the_running_day_not_at_all():
    rows = [(str(at), "Order", START + days(at), {}) for at in (0, 1, 4)]
    log = finished(make_log(rows))

    values = series.of_log(Series(measure="events"), World(log, log.last_at).reader(read(definition(
        {"kind": "anomaly", "series": {"measure": "events"}}))))  # fmt: skip

    assert [value.amount for value in values] == [1.0, 0.0, 0.0]


@pytest.mark.django_db
def test_connector_calls_and_tokens_are_watched_too():
    connection = Connection.objects.create(slug="fo", kind="dynamics_fo", label="F&O")
    for day in range(40):
        for _ in range(40 if day == 35 else 5):
            Call.objects.create(connection=connection, operation="x", direction="read", actor="t", tokens=7,
                                started_at=START + days(day + 0.1))  # fmt: skip
    for measure in ("calls", "tokens"):
        text = read(
            definition({"kind": "anomaly", "series": {"measure": measure, "connection": "fo"}, "min_history": 20})
        )
        found = look(text, World(None, START + days(40)), START)
        assert [one.facts["start"][:10] for one in found.findings] == [(START + days(35)).date().isoformat()]


@pytest.mark.django_db
def test_exceptions_of_one_unit_are_counted_for_that_unit(automation):
    for day in range(30):
        for unit, count in (("EU", 3), ("US", 50 if day == 25 else 3)):
            for at in range(count):
                when = START + days(day) + timedelta(minutes=at)
                Incident.objects.create(
                    code="late", fingerprint=f"{day}{unit}{at}", title="t", entity_type="order",
                    entity_key="1", business_unit=unit, first_signal_at=when, last_signal_at=when,
                    opened_at=when,
                )  # fmt: skip
    text = read(definition({"kind": "anomaly", "series": {"measure": "exceptions", "code": "late"}, "min_history": 15}))

    assert len(look(text, World(None, START + days(30), "US"), START).findings) == 1
    assert len(look(text, World(None, START + days(30), "EU"), START).findings) == 0
