"""The list of incidents: views, filters, words, pages, and the same as a file."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from audit.clock import db_now
from incidents.browsing import filters, narrowed, view_of
from incidents.models import Incident, SlaClock
from incidents.states import CLOSED, Severity, Status
from tests.audit.factories import make_unit
from tests.factories import make_user
from tests.incidents.factories import make_incident, make_kind, make_policy, make_queue

pytestmark = pytest.mark.django_db


def make(title: str = "one", **columns: object) -> Incident:
    """An incident with these columns, whatever its state."""
    incident = make_incident(entity_key=f"CIV-{Incident.objects.count():06d}")
    closed = db_now() if columns.get("status") in CLOSED else None
    Incident.objects.filter(pk=incident.pk).update(title=title, closed_at=closed, **columns)
    incident.refresh_from_db()
    return incident


def titles(user: User, **params: str) -> list[str]:
    rows = narrowed(Incident.objects.visible_to(user), params, user)
    return [row.title for row in rows.order_by("id")]


def read(client, user: User, query: str = "") -> str:
    client.force_login(user)
    answer = client.get(reverse("incidents") + query)
    assert answer.status_code == 200
    return str(answer.content.decode())


@pytest.mark.parametrize(
    ("view", "shown"),
    [
        ("open", ["new", "stuck", "running"]),
        ("person", ["stuck"]),
        ("mending", ["running"]),
        ("closed", ["over"]),
        ("all", ["new", "stuck", "running", "over"]),
    ],
)
def test_each_view_shows_its_statuses(operator, view, shown):
    make("new", status=Status.NEW)
    make("stuck", status=Status.NEEDS_OPERATOR)
    make("running", status=Status.EXECUTING)
    make("over", status=Status.RESOLVED)

    assert titles(operator, show=view) == shown


@pytest.mark.parametrize(
    ("params", "view"),
    [
        ({}, "open"),
        ({"search": "x"}, "all"),
        ({"status": "new"}, "all"),
        ({"show": "odd"}, "open"),
        ({"show": "closed"}, "closed"),
    ],
)
def test_words_look_through_everything_unless_a_view_is_named(params, view):
    assert view_of(params) == view


@pytest.mark.parametrize(
    ("name", "value"),
    [("status", "new"), ("severity", "low"), ("domain", "logistics"), ("business_unit", "US"), ("region", "FR")],
)
def test_a_filter_keeps_what_fits(operator, name, value):
    make("other", status=Status.TRIAGED)
    make("wanted", **{"status": Status.TRIAGED, name: value})

    assert titles(operator, **{name: value}) == ["wanted"]


@pytest.mark.parametrize("params", [{"status": "odd"}, {"severity": "odd"}, {"queue": "odd"}, {"sla": "odd"}])
def test_an_unknown_value_finds_nothing(operator, params):
    make()

    assert titles(operator, **params) == []


def test_a_queue_and_an_assignee_narrow_the_list(operator):
    colleague = make_user("colleague", role="operator")
    make("mine", assignee=operator, queue=make_queue())
    make("theirs", assignee=colleague)
    make("free")

    assert titles(operator, queue="billing") == ["mine"]
    assert titles(operator, assignee="me") == ["mine"]
    assert titles(operator, assignee="nobody") == ["free"]
    assert titles(operator, assignee="colleague") == ["theirs"]


def test_the_clock_narrows_the_list(operator):
    policy, now = make_policy(), db_now()
    for name, left in (("late", -1), ("soon", 1), ("far", 30)):
        due = now + timedelta(hours=left)
        values = {"policy": policy, "started_at": now, "resolve_due": due}
        SlaClock.objects.update_or_create(incident=make(name), defaults=values)

    assert titles(operator, sla="late") == ["late"]
    assert titles(operator, sla="soon") == ["soon"]


def test_words_are_looked_for_in_title_and_key(operator):
    invoice, other = make("Invoice posted twice to Northgate"), make("Freight of Delft Marine")

    assert titles(operator, search="northgate") == [invoice.title]
    assert titles(operator, search=other.entity_key) == [other.title]
    assert titles(operator, search="invoice twice") == [invoice.title]
    assert titles(operator, search="invoice marine") == []


@pytest.mark.parametrize("words", ["INC-{0}", "inc-{0}", "#{0}", "{0}"])
def test_a_number_finds_its_incident(operator, words):
    incident = make("by number")

    assert "by number" in titles(operator, search=words.format(incident.pk))


@pytest.mark.parametrize("words", ["%", "'; DROP TABLE", "\\", "9" * 30, "INC-" + "9" * 15, "٣"])
def test_odd_words_find_nothing_and_break_nothing(operator, words):
    make()

    assert titles(operator, search=words) == []


def test_the_choices_come_from_configuration_only():
    make_kind()
    make_unit()
    make_queue()

    choices = {one.name: dict(one.choices) for one in filters({"severity": "low"})}

    assert choices["domain"] == {"billing": "Billing"}
    assert choices["business_unit"] == {"EU": "Europe"}
    assert choices["region"] == {"DE": "DE", "FR": "FR", "NL": "NL"}
    assert choices["queue"] == {"billing": "Billing"}
    assert list(choices["severity"]) == Severity.values


def test_the_page_shows_a_row_and_leads_to_its_incident(client, operator):
    incident = make("Invoice posted twice", revenue_at_risk="1250.00", currency="EUR")

    page = read(client, operator)

    assert "Invoice posted twice" in page
    assert f'href="{incident.get_absolute_url()}"' in page
    assert "€\u202f1,250.00" in page


def test_other_units_are_not_shown(client):
    make("european")
    make("american", business_unit="US", region="US-EAST")

    page = read(client, make_user("eu", role="viewer", units=["EU"]), "?show=all")

    assert "european" in page
    assert "american" not in page


def test_what_was_looked_for_stands_in_the_heading_escaped(client, operator):
    page = read(client, operator, "?search=%3Cscript%3E")

    assert "Found for “&lt;script&gt;”" in page
    assert "Nothing fits" in page


def test_an_empty_list_says_where_incidents_come_from(client, operator):
    assert "appears here by itself" in read(client, operator)


def test_pages_follow_each_other_and_keep_their_filters(client, operator):
    for number in range(53):
        make(f"number {number}", severity="low")

    first = read(client, operator, "?severity=low&show=all")
    address = first.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
    second = read(client, operator, address)

    assert first.count('class="row"') == 50
    assert second.count('class="row"') == 3
    assert "severity=low" in address


def test_the_number_of_queries_does_not_grow_with_the_rows(client, operator, django_assert_max_num_queries):
    for _ in range(20):
        make(queue=None)
    client.force_login(operator)
    client.get(reverse("incidents"))

    with django_assert_max_num_queries(16):
        client.get(reverse("incidents"))


def exported(client, user: User, query: str = "") -> list[str]:
    client.force_login(user)
    answer = client.get(reverse("incidents-export") + query)
    return b"".join(answer.streaming_content).decode().splitlines()


def test_the_file_holds_what_the_list_shows(client, operator):
    make("wanted", severity="low")
    make("other", severity="high")

    lines = exported(client, operator, "?severity=low")

    assert lines[0].startswith("id,title,status,severity")
    assert len(lines) == 2
    assert "wanted" in lines[1]


def test_a_formula_from_outside_stays_text_in_the_file(client, operator):
    make('=HYPERLINK("http://evil.example")')

    assert "\"'=HYPERLINK" in exported(client, operator)[1]


def test_the_file_holds_only_what_its_reader_may_see(client):
    make("american", business_unit="US", region="US-EAST")

    assert len(exported(client, make_user("eu", role="viewer", units=["EU"]))) == 1
