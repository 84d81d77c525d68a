"""A filter: what it leaves, how it is read, and what it refuses."""

import pytest
from django.http import QueryDict

from audit.errors import Invalid
from insights.mining.asking import names
from insights.mining.cases import cases
from insights.mining.filters import EVERYTHING, Filter, parse
from tests.insights.factories import at, make_log, path

pytestmark = pytest.mark.django_db


@pytest.fixture
def log():
    return make_log(
        [
            *path("fast", "Create", "Check", "Ship", step=1, vendor="ACME", amount=100.0, clerk="anna", rush=True),
            *path("slow", "Create", "Ship", "Check", step=24, vendor="Béta", amount=2.5, clerk="bob", rush=False),
            *path("late", "Create", "Check", "Check", start=100, step=2, amount=None, clerk=""),
            *path("short", "Check", start=200, vendor="", amount=40.0),
        ],
        case_attributes=["vendor", "amount", "rush"],
    )


def left(log, query):
    return sorted(one.case for one in cases(log, parse(log, query, activities=names(log).numbers), most=99).results)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["fast", "late", "short", "slow"]),
        ("attribute.vendor=ACME", ["fast"]),
        ("attribute.vendor=ACME&attribute.vendor=B%C3%A9ta", ["fast", "slow"]),
        ("attribute.vendor=nobody", []),
        ("attribute.vendor=", ["late", "short"]),
        ("attribute.vendor=&attribute.vendor=ACME", ["fast", "late", "short"]),
        ("not.vendor=ACME", ["late", "short", "slow"]),
        ("not.vendor=", ["fast", "slow"]),
        ("attribute.clerk=anna", ["fast"]),
        ("attribute.clerk=", ["late", "short"]),
        ("not.clerk=anna", ["late", "short", "slow"]),
        ("attribute.amount=100", ["fast"]),
        ("attribute.rush=true", ["fast"]),
        ("not.rush=true", ["late", "short", "slow"]),
        ("min.amount=2.5&max.amount=40", ["short", "slow"]),
        ("min.amount=2.6", ["fast", "short"]),
        ("from=2026-01-09", ["late", "short"]),
        ("to=2026-01-09", ["fast", "slow"]),
        ("from=2026-01-06&to=2026-01-08&time=touching", ["slow"]),
        ("from=2026-01-07T08:00:00Z&time=ended", ["late", "short", "slow"]),
        ("from=2026-01-05&to=2026-01-06&time=within", ["fast"]),
        ("with=Ship", ["fast", "slow"]),
        ("with=Ship&with=Check&start=Create", ["fast", "slow"]),
        ("without=Ship", ["late", "short"]),
        ("repeats=Check", ["late"]),
        ("follows_from=Create&follows_to=Check", ["fast", "late", "slow"]),
        ("follows_from=Check&follows_to=Ship", ["fast"]),
        ("follows_from=Check&follows_to=Check", ["late"]),
        ("edge_from=Create&edge_to=Check", ["fast", "late"]),
        ("edge_from=Ship&edge_to=Check&edge_from=Create&edge_to=Ship", ["slow"]),
        ("start=Check", ["short"]),
        ("end=Ship&end=Check", ["fast", "late", "short", "slow"]),
        ("min_seconds=7200&max_seconds=14400", ["fast", "late"]),
        ("max_seconds=0", ["short"]),
        ("variant=1", ["short"]),
        ("with=Ship&attribute.vendor=ACME&min.amount=50&max_seconds=90000", ["fast"]),
    ],
)
def test_a_filter_leaves_the_cases_that_it_says(log, query, expected):
    assert left(log, query) == expected


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("atribute.vendor=ACME", "atribute.vendor"),
        ("attribute.nothing=1", "attribute.nothing"),
        ("min.vendor=1", "min.vendor"),
        ("min.amount=much", "min.amount"),
        ("min.amount=nan", "min.amount"),
        ("attribute.amount=much", "attribute.amount"),
        ("attribute.rush=maybe", "attribute.rush"),
        ("from=yesterday", "from"),
        ("from=2026-02-30", "from"),
        ("from=2026-01-02&to=2026-01-01", "to"),
        ("from=2026-01-02&from=2026-01-03", "from"),
        ("from=2026-01-02&time=sometimes", "time"),
        ("variant=first", "variant"),
        ("variant=0", "variant"),
        ("variant=99999999999999999999", "variant"),
        ("with=Nothing", "with"),
        ("edge_from=Create", "edge_from"),
        ("edge_from=Create&edge_to=", "edge_from"),
        ("min_seconds=-1", "min_seconds"),
        ("max_seconds=inf", "max_seconds"),
        ("'; DROP TABLE cases; --=1", "'; DROP TABLE cases; --"),
        ("with=" + "x" * 1001, "with"),
    ],
)
def test_nonsense_is_named_and_refused(log, query, field):
    with pytest.raises(Invalid) as refusal:
        parse(log, query, activities=names(log).numbers)

    assert list(refusal.value.errors) == [field]


def test_a_filter_has_a_bound_number_of_parts(log):
    with pytest.raises(Invalid):
        parse(log, "&".join(f"variant={one}" for one in range(1, 52)))


def test_all_mistakes_are_told_at_once(log):
    with pytest.raises(Invalid) as refusal:
        parse(log, "variant=x&from=y&strange=z")

    assert set(refusal.value.errors) == {"variant", "from", "strange"}


def test_equal_filters_have_one_form(log):
    one = parse(log, "with=Ship&with=Check&attribute.vendor=b&attribute.vendor=a&from=2026-01-05&with=Ship")
    other = parse(
        log, "attribute.vendor=a&from=2026-01-05T00:00:00%2B00:00&attribute.vendor=b&with=Check&with=Ship&end="
    )

    assert one == other
    assert one.query() == ("attribute.vendor=a&attribute.vendor=b&from=2026-01-05T00%3A00%3A00Z&with=Check&with=Ship")
    assert parse(log, one.query()) == one
    assert parse(log, QueryDict(one.query())) == one


def test_every_part_survives_being_told_and_read_again(log):
    whole = Filter(
        attributes=(("vendor", ("", "a&b=c")),),
        not_attributes=(("clerk", ("bob",)),),
        minima=(("amount", 0.1),),
        maxima=(("amount", 1e15),),
        begin=at(0),
        until=at(1),
        time="touching",
        variants=(1, 2),
        including=("Check",),
        excluding=("Ship",),
        repeats=("Create",),
        follows=(("Check", "Create"),),
        edges=(("Create", "Check"), ("Ship", "Check")),
        starts=("Create",),
        ends=("Ship",),
        min_seconds=1.5,
        max_seconds=2.0,
    )

    assert parse(log, whole.query(), activities=names(log).numbers) == whole


def test_a_filter_can_be_narrowed(log):
    chosen = parse(log, "with=Ship")

    assert chosen.also(including=("Check",), min_seconds=5.0).query() == "with=Check&with=Ship&min_seconds=5"
    assert not EVERYTHING
    assert chosen


def test_parameters_of_a_page_are_no_part_of_the_filter(log):
    assert parse(log, "page_size=5&with=Ship", also=("page_size",)).query() == "with=Ship"
