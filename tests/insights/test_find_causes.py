"""Causes, hot spots, duties, comparison, cases: who, where, with whom, and the rows behind it."""

import pytest

from audit.errors import Invalid
from insights.mining.asking import names
from insights.mining.cases import cases, one_case
from insights.mining.causes import causes
from insights.mining.comparing import compare
from insights.mining.duties import NoResource, duties
from insights.mining.filters import Filter, parse
from insights.mining.hotspots import hotspots
from insights.mining.references import from_paths
from tests.insights.factories import at, make_log, path

pytestmark = pytest.mark.django_db


@pytest.fixture
def log():
    """Orders of ACME over 500 are slow, those of Beta are reworked."""
    told = []
    for index in range(240):
        vendor, amount = ("ACME", "Beta", "Gamma", None)[index % 4], float(index % 10) * 100
        slow = vendor == "ACME" and amount >= 500
        steps = ["Create", "Check", "Check", "Ship"] if vendor == "Beta" else ["Create", "Check", "Ship"]
        told += path(f"o{index:03}", *steps, step=100 if slow else 2, vendor=vendor, amount=amount, noise=index % 7 > 2)
    return make_log(told, case_attributes=["vendor", "amount", "noise"])


def test_the_tree_finds_what_slow_cases_have_in_common(log):
    found = causes(log, slow_seconds=50 * 3600)

    assert (found.cases, found.hits) == (240, 24)
    assert found.causes[0].words == (
        "vendor is ACME and amount is at least 600: 24 of 24 cases (100%), 10.0 × the share of all."
    )
    assert found.causes[0].query == "attribute.vendor=ACME&min.amount=600"


def test_every_cause_leads_to_exactly_its_cases(log):
    for target in ("slow", "rework", "deviates"):
        model = from_paths([["Create", "Check", "Ship"]], name="Orders")
        found = causes(log, target=target, slow_seconds=50 * 3600, reference=model)

        assert found.causes
        for one in found.causes:
            assert cases(log, parse(log, one.query, activities=names(log).numbers), most=0).total == one.cases


def test_causes_are_the_same_every_time(log):
    assert causes(log, target="rework") == causes(log, target="rework")


def test_no_cause_stands_on_fewer_cases_than_the_support(log):
    found = causes(log, slow_seconds=50 * 3600, min_support=30)

    assert found.causes
    assert min(one.cases for one in found.causes) >= 30


def test_numbers_that_are_missing_are_told_and_never_mistaken_for_small_ones():
    told = []
    for index in range(100):
        told += path(f"{index}", "a", "b", step=100 if index % 2 else 1, amount=None if index % 2 else float(index))
    log = make_log(told, case_attributes=["amount"])

    found = causes(log, slow_seconds=7200)

    assert found.causes[0].words.startswith("amount is not filled in: 50 of 50 cases")
    assert cases(log, parse(log, found.causes[0].query), most=0).total == 50


@pytest.mark.parametrize(
    ("events", "note"),
    [
        (path("1", "a", "b"), "no attributes"),
        (path("1", "a", "b", vendor="x"), "too few"),
        ([event for case in range(40) for event in path(str(case), "a", vendor=str(case % 2))], "No case"),
    ],
)
def test_where_the_data_are_too_thin_no_cause_is_made_up(events, note):
    log = make_log(events, case_attributes=["vendor"])

    found = causes(log)

    assert found.causes == ()
    assert note in found.note


def test_an_unknown_problem_is_refused(log):
    with pytest.raises(Invalid):
        causes(log, target="boring")


def test_hot_spots_are_a_pareto_of_the_problem(log):
    found = hotspots(log, by="attribute.vendor", slow_seconds=50 * 3600)

    assert [(one.value, one.hits, one.share, one.cumulative) for one in found.results][:1] == [("ACME", 24, 1.0, 1.0)]
    assert (found.places, found.results[0].money_share, found.hits) == (4, 1.0, 24)
    for one in found.results:
        assert cases(log, parse(log, one.query), most=0).total == one.cases


def test_hot_spots_by_money_rank_money(log):
    found = hotspots(log, target="rework", by="activity", rank="money")

    assert {one.value for one in found.results} == {"Check", "Create", "Ship"}
    assert found.results[-1].cumulative == pytest.approx(1)
    assert hotspots(log, target="rework", by="variant").results[0].query == "variant=2"


@pytest.mark.parametrize("by", ["attribute.amount", "attribute.nothing", "vendor", "'; DROP TABLE cases"])
def test_a_place_that_is_none_is_refused(log, by):
    with pytest.raises(Invalid):
        hotspots(log, by=by)


def people(*cases_of):
    told = []
    for index, who in enumerate(cases_of):
        for step, (activity, person) in enumerate(who.items()):
            told.append((f"{index}", activity.rstrip("'"), at(step), {"org:resource": person}))
    return make_log(told)


def test_one_person_who_did_both_is_a_breach():
    log = people({"Order": "anna", "Pay": "anna"}, {"Order": "anna", "Pay": "bob"}, {"Order": "bob"}, {"Pay": None})

    found = duties(log, pairs=[("Pay", "Order")])

    assert [(one.first, one.second, one.cases, one.broken) for one in found.results] == [("Order", "Pay", 2, 1)]
    assert [(one.case, one.person) for one in found.results[0].breaches] == [("0", "anna")]


def test_four_eyes_need_two_people():
    log = people(
        {"Check": "anna", "Check'": "anna"}, {"Check": "anna", "Check'": "bob"}, {"Check": "bob"}, {"Pay": "a"}
    )

    found = duties(log, pairs=[("Check", "Check")]).results[0]

    assert (found.cases, found.broken, [one.case for one in found.breaches]) == (3, 2, ["0", "2"])


def test_an_activity_that_nobody_did_breaks_nothing():
    assert duties(people({"Order": "anna"}), pairs=[("Order", "Fly")]).results[0].broken == 0


def test_a_pair_that_is_nearly_always_two_people_is_suggested():
    log = people(*[{"Order": "anna", "Pay": "bob"}] * 30, {"Order": "anna", "Pay": "anna"})

    found = duties(log)

    assert [(one.first, one.second, one.cases, one.together) for one in found.suggested] == [("Order", "Pay", 31, 1)]
    assert duties(log, pairs=[("Order", "Pay")]).suggested == ()


def test_a_log_without_people_says_what_to_do():
    with pytest.raises(NoResource, match="column of the resource"):
        duties(make_log(path("1", "a")))


def test_two_filters_are_told_side_by_side(log):
    found = compare(log, Filter(attributes=(("vendor", ("Beta",)),)), Filter(attributes=(("vendor", ("ACME",)),)))

    assert (found.first.cases, found.second.cases, found.first.reworked_share) == (60, 60, 1.0)
    assert (found.differences[0].source, found.differences[0].target) == ("Check", "Check")
    assert (found.differences[0].first_per_case, found.differences[0].second_per_case) == (1, 0)
    assert (found.first.variants, found.second.variants) == (1, 1)


def test_cases_are_listed_in_the_order_that_is_asked_for(log):
    longest = cases(log, most=1)
    first = cases(log, order="case", most=2, start=1)

    assert (longest.results[0].seconds, longest.total) == (200 * 3600, 240)
    assert [one.case for one in first.results] == ["o001", "o002"]
    with pytest.raises(Invalid):
        cases(log, order="seconds; DROP TABLE cases")


def test_one_case_is_told_whole(log):
    found = one_case(log, "o001")

    assert found.attributes == {"vendor": "Beta", "amount": 100.0, "noise": False}
    assert [(one.position, one.activity, one.at) for one in found.events][:2] == [
        (1, "Create", at(0)),
        (2, "Check", at(2)),
    ]
    assert found.events[0].gap_seconds == 7200
    assert one_case(log, "o001' OR 1=1 --") is None


def test_what_chance_explains_is_no_cause():
    told = []
    for index in range(300):
        told += path(f"{index}", "a", "b", step=100 if index % 5 == 0 else 1, amount=float(index * 37 % 300))
    log = make_log(told, case_attributes=["amount"])

    found = causes(log, slow_seconds=7200)

    assert (found.hits, found.causes, found.note) == (60, (), "")


def test_hot_spots_begin_where_cases_differ():
    told = []
    for index in range(120):
        told += path(f"{index}", "a", "b", unit="EU", order=f"SO-{index}", vendor=("x", "y")[index % 2])
    log = make_log(told, case_attributes=["unit", "order", "vendor"])

    assert hotspots(log).by == "attribute.vendor"
    assert hotspots(make_log(path("1", "a", "b", unit="EU"), case_attributes=["unit"])).by == "activity"
