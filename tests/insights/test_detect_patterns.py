"""Patterns, drift and forecasts in a log: what is found, when it could first be known, and nothing from the future."""

import pytest

from audit.errors import Invalid
from insights.detectors.definitions import read
from insights.detectors.reading import check_filter
from tests.insights.detecting import cases, definition, finished, looked, orders
from tests.insights.factories import at, make_log, path

pytestmark = pytest.mark.django_db

RULES = [
    {"kind": "pattern", "pattern": "loop", "activity": "Pay", "times": 1},
    {"kind": "pattern", "pattern": "loop", "activity": "Pay", "times": 2},
    {"kind": "pattern", "pattern": "missing", "activity": "Approve", "before": "Ship"},
    {"kind": "pattern", "pattern": "missing", "activity": "Approve", "hours": 9},
    {"kind": "pattern", "pattern": "missing", "activity": "Pay", "after": "Ship", "hours": 7},
    {"kind": "pattern", "pattern": "after_end", "activity": "Close"},
    {"kind": "pattern", "pattern": "slow", "activity": "Create", "then": "Approve", "hours": 11},
    {"kind": "pattern", "pattern": "slow", "activity": "Approve", "hours": 8},
    {"kind": "pattern", "pattern": "starts_with", "activity": "Create"},
    {"kind": "pattern", "pattern": "ends_with", "activity": "Pay", "hours": 24},
    {"kind": "pattern", "pattern": "ends_with", "activity": "Create", "hours": 24},
    {"kind": "pattern", "pattern": "variant", "path": ["Create", "Ship", "Close"]},
    {"kind": "drift", "check": "required", "field": "customer"},
    {"kind": "drift", "check": "required", "field": "customer", "by": "Close"},
    {"kind": "drift", "check": "blocked", "field": "customer", "values": ["C2", "C3"]},
    {"kind": "drift", "check": "blocked", "field": "user", "values": ["zoe"]},
    {"kind": "drift", "check": "duty", "first": "Create", "second": "Approve", "person": "user"},
    {"kind": "drift", "check": "duty", "first": "Pay", "second": "Pay", "person": "user"},
    {"kind": "anomaly", "series": {"measure": "events", "per": "hour"}, "min_history": 8, "window": 40,
     "threshold": 2.0},
    {"kind": "anomaly", "series": {"measure": "rework", "per": "hour"}, "min_history": 8, "window": 40,
     "method": "ewma"},
    {
        "kind": "anomaly", "series": {"measure": "throughput", "per": "hour", "ends": ["Close"]}, "min_history": 8,
        "window": 40, "threshold": 1.5,
    },
    {"kind": "duplicate", "fields": {"party": "customer", "amount": "amount", "reference": "user"}},
]  # fmt: skip


@pytest.mark.parametrize(
    "rule", RULES, ids=lambda rule: f"{rule['kind']}-{rule.get('pattern') or rule.get('check', '')}"
)
def test_what_happens_later_changes_nothing_that_was_found_before(rule):
    log = orders()
    whole = looked(log, rule).findings
    assert whole or rule["kind"] in ("anomaly", "duplicate")

    for hour in (20, 31, 51, 60, 71, 140):
        then = looked(log, rule, now=at(hour)).findings
        assert then == tuple(one for one in whole if one.at <= at(hour))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"pattern": "loop", "activity": "Pay", "times": 1}, [("2", at(20)), ("4", at(60))]),
        ({"pattern": "loop", "activity": "Pay", "times": 2}, [("2", at(25))]),
        ({"pattern": "missing", "activity": "Approve", "before": "Ship"}, [("3", at(24))]),
        ({"pattern": "missing", "activity": "Approve", "hours": 11}, [("3", at(31)), ("5", at(51)), ("6", at(71))]),
        ({"pattern": "missing", "activity": "Pay", "after": "Ship", "hours": 7},
         [("1", at(27)), ("3", at(31)), ("2", at(37)), ("6", at(91))]),
        ({"pattern": "after_end", "activity": "Close"}, [("4", at(60))]),
        ({"pattern": "slow", "activity": "Create", "then": "Approve", "hours": 11}, [("6", at(72)), ("5", at(140))]),
        ({"pattern": "slow", "activity": "Create", "hours": 11}, [("5", at(51)), ("6", at(71))]),
        ({"pattern": "variant", "path": ["Create", "Ship", "Close"]}, [("3", at(28))]),
        ({"pattern": "starts_with", "activity": "Create"}, [
            ("1", at(0)), ("2", at(5)), ("3", at(20)), ("4", at(30)), ("5", at(40)), ("6", at(60)),
        ]),
        ({"pattern": "starts_with", "activity": "Ship"}, []),
        ({"pattern": "ends_with", "activity": "Pay", "hours": 24}, [("4", at(84))]),
        # It went on much later; when it had been silent for a day, nobody could know that.
        ({"pattern": "ends_with", "activity": "Create", "hours": 24}, [("5", at(64))]),
        # Its last step was at the end of what is known: nobody knows yet whether it has ended.
        ({"pattern": "ends_with", "activity": "Approve", "hours": 24}, []),
    ],
)  # fmt: skip
def test_each_pattern_is_found_at_the_moment_when_it_is_first_known(rule, expected):
    found = looked(orders(), {"kind": "pattern", **rule}).findings

    assert [(one.entity, one.at) for one in found] == expected


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"check": "required", "field": "customer"}, [("3", at(20))]),
        ({"check": "required", "field": "customer", "by": "Close"}, [("3", at(28))]),
        ({"check": "blocked", "field": "customer", "values": ["C3"]}, [("5", at(40))]),
        ({"check": "blocked", "field": "amount", "values": ["990"]}, [("4", at(30))]),
        ({"check": "duty", "first": "Create", "second": "Approve", "person": "user"}, [("6", at(72))]),
        ({"check": "duty", "first": "Pay", "second": "Pay", "person": "user"}, [("2", at(20)), ("4", at(60))]),
    ],
)
def test_each_drift_is_found_at_the_moment_when_it_is_first_known(rule, expected):
    found = looked(orders(), {"kind": "drift", **rule}).findings

    assert [(one.entity, one.at) for one in found] == expected


def test_a_finding_carries_the_attributes_of_its_case_and_what_the_rule_reckoned():
    (found,) = looked(orders(), {"kind": "pattern", "pattern": "loop", "activity": "Pay", "times": 2}).findings

    assert found.values == {"customer": "C2", "amount": 250.5, "case": "2"}
    assert found.key == "loop:2"
    assert "more than 2 times" in found.text


def test_a_condition_keeps_what_it_holds_for_and_says_what_it_cannot_judge():
    rule = {"kind": "pattern", "pattern": "loop", "activity": "Pay", "times": 1}
    log = orders()

    assert cases(looked(log, rule, when="case.amount > 500.0")) == ["4"]
    doubtful = looked(log, rule, when="case.nothing > 500.0")
    assert (cases(doubtful), len(doubtful.doubts)) == ([], 2)


def test_a_filter_chooses_cases_by_their_attributes_only():
    log = orders()
    rule = {"kind": "pattern", "pattern": "loop", "activity": "Pay", "times": 1}

    assert cases(looked(log, rule, filter="attribute.customer=C1")) == ["4"]
    for later in ("with=Pay", "variant=1", "min_seconds=5", "end=Close", "attribute.user=ann"):
        with pytest.raises(Invalid):
            check_filter(log, later)


def forecast(**changes):
    return {"kind": "forecast", "ends": ["Close"], "target_hours": 30, "min_cases": 5, **changes}


def learned_log():
    """Twenty orders that need 20 or 40 hours after their check, by the kind of their start, and two that run."""
    rows = []
    for number in range(10):
        rows += path(f"fast{number}", "Web", "Check", "Close", start=number, step=10)
        rows += [
            (f"slow{number}", name, at(number + hour), {}) for name, hour in (("Shop", 0), ("Check", 10), ("Close", 50))
        ]
    rows += path("run-web", "Web", "Check", start=100, step=10)
    rows += path("run-shop", "Shop", "Check", start=100, step=10)
    rows += path("last", "Tick", start=112)
    return finished(make_log(rows))


def test_a_running_case_is_judged_by_cases_that_came_the_same_way():
    found = looked(learned_log(), forecast())

    assert cases(found) == ["run-shop"]
    facts = found.findings[0].facts
    assert facts["compared_with"] == "cases that came the same way"
    assert facts["n"] == 10
    assert facts["expected_end"] == at(150).isoformat()
    assert facts["target_end"] == at(130).isoformat()


def test_too_few_cases_of_the_same_way_leave_it_to_the_last_activity():
    found = looked(learned_log(), forecast(min_cases=15, quantile=0.9))

    assert {one.facts["compared_with"] for one in found.findings} == {"cases with the same last activity"}
    assert cases(found) == ["run-shop", "run-web"]


def test_a_case_that_has_waited_is_compared_with_those_that_waited_as_long():
    log = learned_log()

    early = looked(log, forecast(target_hours=25, min_cases=15, quantile=0.3), now=at(111))
    assert cases(early) == []
    # Whoever is still there after fifteen hours is one of the slow ones.
    log.last_at = at(126)
    late = looked(log, forecast(target_hours=25, min_cases=15, quantile=0.3), now=at(126))
    assert cases(late) == ["run-shop", "run-web"]


def test_nothing_is_forecast_where_too_few_cases_have_ended():
    found = looked(learned_log(), forecast(), now=at(14))

    assert found.findings == ()
    assert "nothing can be forecast" in found.notes[0]


def test_a_definition_that_cannot_be_meant_names_its_fields():
    with pytest.raises(Invalid) as wrong:
        read(definition({"kind": "pattern", "pattern": "loop", "activity": "Pay", "time": 3}, when="cas.amount > 1"))

    assert set(wrong.value.errors) == {"rule.time", "when"}
    with pytest.raises(Invalid) as wrong:
        read(definition({"kind": "anomaly", "series": {"measure": "events", "per": "week"}, "method": "weekday"}))
    assert "same weekday" in str(wrong.value.errors)


def test_a_wrong_start_or_end_is_said_in_words_and_an_end_needs_a_time():
    start = looked(orders(), {"kind": "pattern", "pattern": "starts_with", "activity": "Create"}).findings[0]
    end = looked(orders(), {"kind": "pattern", "pattern": "ends_with", "activity": "Pay", "hours": 36}).findings[0]

    assert start.text == "It began with “Create”."
    assert end.text == "It ended with “Pay”: nothing followed for 1.5 days."
    with pytest.raises(Invalid) as refused:
        read(definition({"kind": "pattern", "pattern": "ends_with", "activity": "Pay"}))
    assert "counts as ended" in str(refused.value.errors)
