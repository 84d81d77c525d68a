"""A condition of the feed keeps the rows that its words say: each is written twice, as text and as Python."""

import operator
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.http import QueryDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from incidents.models import Incident
from insights.feed.catalogue import INCIDENTS
from insights.feed.evaluation import holds
from insights.feed.options import question
from insights.feed.reading import read
from insights.feed.syntax import parse_filter
from tests.insights import score

pytestmark = pytest.mark.django_db
quick = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
Row = dict[str, Any]
Said = tuple[str, Callable[[Row], Any]]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TITLES = ("Invoice", "invoice ", " Invoice", "50 % off_now", "it's late", "x", "in\\voice", "Ünbook", "ünbook", "日本")


def _rows() -> None:
    """Thirty incidents in which each column is there, not there, and at its edges."""
    for number in range(30):
        closed = NOON + timedelta(hours=11 * number, microseconds=number % 2) if number % 3 else None
        one = score.make_incident(
            opened_at=NOON - timedelta(days=number, hours=number),
            amount=None if number % 4 == 0 else Decimal(number * 5) / 100,
            revenue_at_risk=None if number % 5 == 0 else Decimal(number * 5 - 20) / 100,
            title=TITLES[number % len(TITLES)],
            business_unit=("EU", "US", "")[number % 3],
            kind=None if number % 6 == 0 else score.kind_of("duplicate_invoice"),
        )
        Incident.objects.filter(pk=one.pk).update(closed_at=closed, signals_count=number % 7)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def written(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


# Values: the text, and what it is worth for a row.
numbers: st.SearchStrategy[Said] = st.sampled_from(["amount", "revenue_at_risk", "signals_count"]).map(
    lambda name: (name, lambda row: None if row[name] is None else float(row[name]))
)
texts: st.SearchStrategy[Said] = st.sampled_from(["title", "business_unit", "kind"]).map(
    lambda name: (name, lambda row: row[name])
)
times: st.SearchStrategy[Said] = st.sampled_from(["opened_at", "closed_at"]).map(
    lambda name: (name, lambda row: row[name])
)
number = st.sampled_from(["0", "1", "-0.2", "0.05", "0.3", "1e0", "3", "0.123"]).map(
    lambda text: (text, lambda _: float(text))
)
text = st.sampled_from((*TITLES, "EU", "", "Duplicate invoice", "nvo")).map(lambda text: (quoted(text), lambda _: text))
moment = st.builds(
    lambda hours, zone: (
        NOON + timedelta(hours=hours)
        if zone == 0
        else (NOON + timedelta(hours=hours)).astimezone(timezone(timedelta(hours=zone)))
    ),
    st.sampled_from([0, -25, 11, 22, 110, -50, 0.5]),
    st.sampled_from([0, 2, -7]),
).map(lambda value: (written(value), lambda _: value))
nothing: st.SearchStrategy[Said] = st.just(("null", lambda _: None))
ORDER = {"gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le}


def compared(op: str, left: Said, right: Said) -> Said:
    """Nothing equals nothing, differs from everything else, and is neither more nor less than anything."""

    def told(row: Row) -> Any:
        one, other = left[1](row), right[1](row)
        if op in ("eq", "ne"):
            return (one == other) == (op == "eq")
        return one is not None and other is not None and ORDER[op](one, other)

    return f"{left[0]} {op} {right[0]}", told


def called(function: str, plain: Callable[[Any], Any], of: Said) -> Said:
    def told(row: Row) -> Any:
        value = of[1](row)
        return None if value is None else plain(value)

    return f"{function}({of[0]})", told


def matched(how: str, of: Said, part: Said) -> Said:
    tests = {"contains": lambda one, two: two in one, "startswith": str.startswith, "endswith": str.endswith}

    def told(row: Row) -> bool:
        value = of[1](row)
        return value is not None and tests[how](value, part[1](row))

    return f"{how}({of[0]},{part[0]})", told


def among(of: Said, choices: list[Said]) -> Said:
    return (
        f"{of[0]} in ({','.join(one[0] for one in choices)})",
        lambda row: any(of[1](row) == one[1](row) for one in choices),
    )


COMPARISONS = st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"])
SAME = st.sampled_from(["eq", "ne"])
folded = st.builds(
    lambda pair, of: called(pair[0], pair[1], of),
    st.sampled_from([("tolower", str.lower), ("toupper", str.upper), ("trim", lambda value: value.strip(" "))]),
    texts,
)
lengths = texts.map(lambda of: called("length", len, of))
parts = st.builds(
    lambda pair, of: called(pair[0], pair[1], of),
    st.sampled_from([(name, operator.attrgetter(name)) for name in ("year", "month", "day", "hour")]),
    times,
)
days = times.map(lambda of: called("date", lambda value: value.date(), of))
day = st.sampled_from([date(2026, 3, 1), date(2026, 2, 28), date(2026, 3, 10)]).map(
    lambda value: (value.isoformat(), lambda _: value)
)
simple = st.one_of(
    st.builds(compared, COMPARISONS, numbers, number | numbers | nothing),
    st.builds(compared, SAME, texts | folded, text | nothing),
    st.builds(compared, COMPARISONS, times, moment | times | nothing),
    st.builds(
        compared,
        COMPARISONS,
        lengths | parts,
        st.sampled_from(["1", "3", "7", "12", "2026"]).map(lambda t: (t, lambda _: int(t))),
    ),
    st.builds(compared, COMPARISONS, days, day),
    st.builds(matched, st.sampled_from(["contains", "startswith", "endswith"]), texts | folded, text),
    st.builds(among, numbers, st.lists(number, min_size=1, max_size=3)),
    st.builds(among, texts, st.lists(text, min_size=1, max_size=3)),
)
conditions = st.recursive(
    simple,
    lambda inner: st.one_of(
        st.builds(lambda a, b: (f"({a[0]} and {b[0]})", lambda row: a[1](row) and b[1](row)), inner, inner),
        st.builds(lambda a, b: (f"({a[0]} or {b[0]})", lambda row: a[1](row) or b[1](row)), inner, inner),
        st.builds(lambda a: (f"not ({a[0]})", lambda row: not a[1](row)), inner),
    ),
    max_leaves=5,
)


def asked(reader: Any, **options: str) -> list[Any]:
    given_ = QueryDict(mutable=True)
    for name, value in options.items():
        given_[f"${name}"] = value
    return list(read(INCIDENTS, question(INCIDENTS, given_), reader).rows)


@quick
@given(said=conditions)
def test_a_condition_keeps_the_rows_that_it_says(admin, said):
    if not Incident.objects.exists():
        _rows()
    every = asked(admin)
    expected = [row["id"] for row in every if said[1](row)]

    assert [row["id"] for row in asked(admin, filter=said[0])] == expected, said[0]
    node = parse_filter(said[0], INCIDENTS)
    assert [row["id"] for row in every if holds(node, row)] == expected, said[0]


PRECEDENCE = (
    (
        "signals_count eq 1 or signals_count eq 2 and business_unit eq 'EU'",
        lambda n, unit: n == 1 or (n == 2 and unit == "EU"),
    ),
    ("not (signals_count eq 1) and business_unit eq 'EU'", lambda n, unit: n != 1 and unit == "EU"),
    ("not (signals_count eq 1 and business_unit eq 'EU')", lambda n, unit: not (n == 1 and unit == "EU")),
    ("not not (signals_count gt 3)", lambda n, _: n > 3),
)


@pytest.mark.parametrize(("said", "means"), PRECEDENCE)
def test_and_binds_closer_than_or_and_not_closest(admin, said, means):
    _rows()
    expected = [row["id"] for row in asked(admin) if means(row["signals_count"], row["business_unit"])]

    assert 0 < len(expected) < 30
    assert [row["id"] for row in asked(admin, filter=said)] == expected


@pytest.mark.parametrize("said", ["tolower(title) eq 'ünbook'", "toupper(title) eq 'ÜNBOOK'"])
def test_letters_beyond_ascii_are_folded_too(admin, said):
    _rows()

    assert {row["title"] for row in asked(admin, filter=said)} == {"Ünbook", "ünbook"}


ORDERS = st.lists(
    st.tuples(
        st.sampled_from(["amount", "signals_count", "closed_at", "opened_at"]), st.sampled_from(["", " asc", " desc"])
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda pair: pair[0],
)


def ranked(name: str, row: Row) -> tuple[bool, Any]:
    """Nothing stands before everything."""
    return row[name] is not None, 0 if row[name] is None else row[name]


@quick
@given(order=ORDERS, skip=st.integers(0, 33), top=st.none() | st.integers(0, 33))
def test_rows_come_in_the_order_that_is_asked_for(admin, order, skip, top):
    """Nothing comes first, equal rows stand by their number, and what is skipped and left out is counted off."""
    if not Incident.objects.exists():
        _rows()
    rows = sorted(asked(admin), key=lambda row: row["id"])
    for name, way in reversed(order):
        rows.sort(key=partial(ranked, name), reverse=way == " desc")

    options = {"orderby": ",".join(name + way for name, way in order), "skip": str(skip)}
    found = asked(admin, **options, **({} if top is None else {"top": str(top)}))

    assert [row["id"] for row in found] == [row["id"] for row in rows[skip : None if top is None else skip + top]]
