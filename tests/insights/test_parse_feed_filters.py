"""The filter's parser under whatever anybody may type: an answer or a refusal, never a defect, and one meaning."""

from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import quote

import pytest
from django.http import QueryDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from incidents.models import Incident
from insights.feed.catalogue import INCIDENTS, SIGNALS
from insights.feed.computed import PROCESS_EDGES
from insights.feed.conditions import condition_of
from insights.feed.evaluation import holds, pinned
from insights.feed.options import question, token
from insights.feed.problems import FeedError
from insights.feed.reading import read
from insights.feed.syntax import parse_filter
from tests.incidents.factories import make_incident

TEXT = """and or not in eq ne gt ge lt le add has null true false any ( ) , / : ' '' - contains( startswith( endswith(
tolower( length( year( date( hour( now( 'a' 'it''s' 0 -1 1.5 1e3 1e400 99999999999999999999 2026-01-01 2026-13-40
2026-01-01T00:00:00Z 9999-12-31T23:59:59-14:00 00000000-0000-0000-0000-000000000000 id amount title closed_at day
signals é"""
WORDS = [*TEXT.split(), "'\x00'"]
mixed = st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join) | st.text(max_size=80)
values = st.lists(st.none() | st.text() | st.integers() | st.booleans(), max_size=4)
places = st.text(max_size=60) | st.builds(token, values, st.integers(), st.integers())
quick = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(mixed)
def test_any_text_is_a_condition_or_a_refusal(text):
    for entity_set in (INCIDENTS, SIGNALS, PROCESS_EDGES):
        with suppress(FeedError):
            node = parse_filter(text, entity_set)
            condition_of(node)
            pinned(node)


@pytest.mark.django_db
@quick
@given(mixed)
def test_any_condition_is_one_that_the_database_answers(admin, text):
    for entity_set in (INCIDENTS, SIGNALS):
        given_ = QueryDict(mutable=True)
        given_["$filter"] = text
        try:
            asked = question(entity_set, given_)
        except FeedError:
            continue
        read(entity_set, asked, admin)


paths = st.sampled_from(["Incidents", "Signals", "Variants", "Kpis", "$metadata", ""]) | st.text(max_size=20)
tails = st.sampled_from(["", "/$count", "(1)", "(log=1,number=1)", "('a')", "()", "(1", "/x"])
names = st.sampled_from(
    ["$filter", "$select", "$orderby", "$top", "$skip", "$count", "$skiptoken", "$format", "$x", "x"]
)


@pytest.mark.django_db
@settings(quick, max_examples=200)
@given(paths, tails, st.dictionaries(names, mixed, max_size=3))
def test_no_address_is_answered_with_a_defect(admin, path, tail, options):
    client = APIClient()
    client.force_authenticate(admin)

    response = client.get(f"/odata/v4/{quote(path + tail)}", options)

    assert response.status_code in (200, 301, 400, 404, 406, 501)


@quick
@given(places)
def test_any_place_is_a_place_or_a_refusal(text):
    given_ = QueryDict(mutable=True)
    given_["$skiptoken"] = text
    given_["$orderby"] = "amount,closed_at desc"
    with suppress(FeedError):
        question(INCIDENTS, given_)


numbers = st.sampled_from(["100.10", "100", "7.5", "null", "-1", "1e2"])
column = st.sampled_from(["amount", "revenue_at_risk", "signals_count"])
compared = st.builds("{} {} {}".format, column, st.sampled_from(["eq", "ne", "gt", "ge", "lt", "le"]), numbers | column)
texts = st.sampled_from(["entity_key eq 'CIV-1'", "contains(entity_key,'2')", "startswith(tolower(title),'inv')"])
part = compared | texts | st.builds("{} in ({},{})".format, column, numbers, numbers)
whole = st.recursive(
    part,
    lambda inner: (
        st.builds("({} and {})".format, inner, inner)
        | st.builds("({} or {})".format, inner, inner)
        | st.builds("not ({})".format, inner)
    ),
    max_leaves=6,
)


@pytest.mark.django_db
@quick
@given(whole)
def test_the_database_and_memory_mean_the_same(admin, text):
    if not Incident.objects.exists():
        for number, amounts in enumerate([("100.10", None), (None, "7.50"), ("7.50", "7.50"), (None, None)]):
            row = make_incident(id=str(number), entity_key=f"CIV-{number}", amount=amounts[0])
            Incident.objects.filter(pk=row.pk).update(revenue_at_risk=amounts[1] and Decimal(amounts[1]))
    node = parse_filter(text, INCIDENTS)
    every = read(INCIDENTS, question(INCIDENTS, QueryDict()), admin).rows
    given_ = QueryDict(mutable=True)
    given_["$filter"] = text

    found = read(INCIDENTS, question(INCIDENTS, given_), admin).rows

    assert [row["id"] for row in found] == [row["id"] for row in every if holds(node, row)]


def test_a_value_becomes_a_parameter_and_never_text():
    node = parse_filter("entity_key eq 'x'' OR 1=1 --' and contains(title,'y%')", INCIDENTS)
    condition = condition_of(node)

    sql, parameters = Incident.objects.alias(**condition.names).filter(condition.where).query.sql_with_params()

    assert "OR 1=1" not in sql
    assert {"x' OR 1=1 --", "y%"} <= set(parameters)


def test_what_a_filter_pins_is_known_before_the_rows_are():
    node = parse_filter("log eq 7 and count gt 3", PROCESS_EDGES)

    assert pinned(node) == {"log": 7}
    assert pinned(parse_filter("log eq 7 or count gt 3", PROCESS_EDGES)) == {}


@pytest.mark.django_db
def test_times_with_an_offset_mean_the_same_moment():
    node = parse_filter("opened_at eq 2026-01-01T01:30:00.1234567+01:00", INCIDENTS)

    assert node.right.value == datetime(2026, 1, 1, 0, 30, 0, 123456, tzinfo=UTC)
