"""The OData feed as Power BI and Excel use it: documents, pages, filters, errors, and who may see what."""

import pytest
from defusedxml import ElementTree
from django.db import connection
from django.test.utils import CaptureQueriesContext

from incidents.models import Incident
from insights.feed.catalogue import SETS
from tests.incidents.factories import make_incident
from tests.insights.feeding import asker, keys, three

pytestmark = pytest.mark.django_db
EDM = "{http://docs.oasis-open.org/odata/ns/edm}"


@pytest.fixture
def feed(api, operator):
    """Ask the feed as an operator of all units."""
    return asker(api(operator))


def test_the_service_document_lists_every_entity_set(feed):
    document = feed().json()

    assert document["@odata.context"] == "http://testserver/odata/v4/$metadata"
    assert [one["name"] for one in document["value"]] == [one.name for one in SETS]


def test_the_metadata_name_a_key_and_a_type_for_everything(feed):
    response = feed("$metadata")
    schema = ElementTree.fromstring(response.content)[2][0]

    assert response["Content-Type"] == "application/xml; charset=utf-8"
    for one in SETS:
        entity = schema.find(f"{EDM}EntityType[@Name='{one.entity}']")
        assert [key.get("Name") for key in entity.find(f"{EDM}Key")] == list(one.key)
        assert {part.get("Name") for part in entity.findall(f"{EDM}Property")} == set(one.by_name)
    money = schema.find(f"{EDM}EntityType[@Name='Incident']/{EDM}Property[@Name='amount']")
    assert (money.get("Type"), money.get("Precision"), money.get("Scale")) == ("Edm.Decimal", "18", "2")


@pytest.mark.parametrize("name", [one.name for one in SETS])
def test_every_set_answers_whole_and_narrowed_and_counted(feed, name):
    three()
    one = next(found for found in SETS if found.name == name)
    column = one.properties[-1].name

    assert set(feed(name).json()) == {"@odata.context", "value"}
    assert feed(f"{name}?$select={column}&$orderby={column} desc&$top=3&$count=true").json()["@odata.count"] >= 0
    assert feed(f"{name}/$count").content.isdigit()


def test_rows_hold_money_exactly_and_times_in_utc(feed):
    three()
    body = feed("Incidents?$select=amount,currency,opened_at&$filter=entity_key eq 'CIV-3'").content.decode()

    assert '"amount":9007199254740.93,"currency":"EUR"' in body
    assert '"opened_at":"' in body
    assert 'Z"}' in body


def test_wide_numbers_travel_as_text_where_the_client_asks(feed):
    three()
    response = feed("Incidents?$select=amount", Accept="application/json;IEEE754Compatible=true")

    assert response.json()["value"][0] == {"amount": "100.10"}
    assert "IEEE754Compatible=true" in response["Content-Type"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("amount gt 100", ["CIV-1", "CIV-3"]),
        ("not (amount gt 100)", ["CIV-2"]),
        ("amount ne 100.10", ["CIV-2", "CIV-3"]),
        ("amount eq null", ["CIV-2"]),
        ("null ne amount", ["CIV-1", "CIV-3"]),
        ("amount gt null", []),
        ("amount eq 100.1", ["CIV-1"]),
        ("amount gt 100.099999 and amount lt 1e300", ["CIV-1", "CIV-3"]),
        ("100 lt amount", ["CIV-1", "CIV-3"]),
        ("business_unit eq 'EU' and code ne 'price_mismatch'", ["CIV-1"]),
        ("entity_key in ('CIV-1','CIV-3','x')", ["CIV-1", "CIV-3"]),
        ("contains(entity_key,'IV-2')", ["CIV-2"]),
        ("contains(entity_key,'iv-2')", []),
        ("contains(tolower(entity_key),'iv-2') eq true", ["CIV-2"]),
        ("contains(tolower(entity_key),'iv-2') eq false", ["CIV-1", "CIV-3"]),
        ("startswith(entity_key,'CIV') and endswith(entity_key,'1')", ["CIV-1"]),
        ("contains(entity_key,'%') or contains(entity_key,'_')", []),
        ("length(entity_key) eq 5 and signals_count eq 1.5", []),
        ("signals_count ge 0.5", ["CIV-1", "CIV-2", "CIV-3"]),
        ("year(first_signal_at) eq 2026 and month(first_signal_at) eq 11", ["CIV-1", "CIV-2", "CIV-3"]),
        ("date(first_signal_at) eq 2026-11-03", ["CIV-1", "CIV-2", "CIV-3"]),
        (
            "first_signal_at ge 2026-11-03T13:00:00%2B01:00 and first_signal_at lt 2026-11-04",
            ["CIV-1", "CIV-2", "CIV-3"],
        ),
        ("first_signal_at lt 2026-11-03T12:00:00.000000000Z", []),
        ("resolved_at eq null and not (resolved_at lt 2026-01-01T00:00:00Z)", ["CIV-1", "CIV-2", "CIV-3"]),
        ("amount eq revenue_at_risk", ["CIV-2"]),
        ("1 eq 2 or 'a' eq 'a' and entity_key eq 'CIV-1'", ["CIV-1"]),
        ("entity_key eq 'it''s'", []),
        ("updated_at ge 2020-01-01T00:00:00Z and updated_at lt 9000-01-01T00:00:00Z", ["CIV-1", "CIV-2", "CIV-3"]),
    ],
)
def test_a_filter_leaves_what_it_says(feed, text, expected):
    three()
    Incident.objects.update(revenue_at_risk=None)

    assert keys(feed(f"Incidents?$filter={text}")) == expected
    assert feed(f"Incidents/$count?$filter={text}").content == str(len(expected)).encode()


def test_order_puts_nothing_before_everything_and_turns_round(feed):
    three()

    assert keys(feed("Incidents?$orderby=amount")) == ["CIV-2", "CIV-1", "CIV-3"]
    assert keys(feed("Incidents?$orderby=amount desc,id")) == ["CIV-3", "CIV-1", "CIV-2"]


@pytest.mark.parametrize(
    "order", ["", "&$orderby=amount desc", "&$orderby=amount", "&$orderby=business_unit desc,code"]
)
def test_pages_follow_each_other_to_the_end_without_gap_or_repeat(feed, order):
    for number in range(7):
        make_incident(id=str(number), entity_key=f"CIV-{number}", amount=None if number % 3 else str(number))
    whole = keys(feed(f"Incidents?$select=entity_key{order}"))
    seen, path = [], f"Incidents?$select=entity_key{order}"

    while path:
        body = feed(path, Prefer="odata.maxpagesize=2").json()
        assert len(body["value"]) <= 2
        seen += [row["entity_key"] for row in body["value"]]
        path = body.get("@odata.nextLink", "").removeprefix("http://testserver/odata/v4/")

    assert seen == whole
    assert len(seen) == 7


def test_rows_that_come_while_a_client_pages_move_nothing(feed):
    for number in range(4):
        make_incident(id=str(number), entity_key=f"CIV-{number}")
    first = feed("Incidents", Prefer="odata.maxpagesize=2").json()
    Incident.objects.filter(entity_key="CIV-0").update(business_unit="XX")
    make_incident(id="late", entity_key="CIV-9")

    path = first["@odata.nextLink"].removeprefix("http://testserver/odata/v4/")

    assert [row["entity_key"] for row in feed(path).json()["value"]] == ["CIV-2", "CIV-3"]


def test_a_later_page_is_looked_up_and_never_counted_off(feed):
    for number in range(4):
        make_incident(id=str(number), entity_key=f"CIV-{number}")
    link = feed("Incidents", Prefer="odata.maxpagesize=2").json()["@odata.nextLink"]

    with CaptureQueriesContext(connection) as asked:
        feed(link.removeprefix("http://testserver/odata/v4/"))

    page = next(one["sql"] for one in asked if "p_entity_key" in one["sql"])
    assert "OFFSET" not in page
    assert '"incidents_incident"."id" > ' in page


def test_top_holds_over_pages_and_skip_is_left_behind(feed):
    for number in range(6):
        make_incident(id=str(number), entity_key=f"CIV-{number}")
    first = feed("Incidents?$top=3&$skip=1&$count=true", Prefer="odata.maxpagesize=2")
    path = first.json()["@odata.nextLink"].removeprefix("http://testserver/odata/v4/")

    assert first["Preference-Applied"] == "odata.maxpagesize=2"
    assert first.json()["@odata.count"] == 6
    assert (keys(first), keys(feed(path))) == (["CIV-1", "CIV-2"], ["CIV-3"])
    assert "@odata.nextLink" not in feed(path).json()
    assert keys(feed("Incidents?$top=0")) == []


def test_one_row_is_found_by_its_key(feed):
    incident = three()[0]

    body = feed(f"Incidents({incident.pk})?$select=id,title").json()

    assert body["@odata.context"] == "http://testserver/odata/v4/$metadata#Incidents(id,title)/$entity"
    assert (body["id"], body["title"]) == (incident.pk, incident.title)
    feed(f"Incidents(id={incident.pk})")
    feed("Incidents(999999)", status=404)
    feed("Incidents('x')", status=400)


def test_signals_are_counted_by_day_and_found_by_their_whole_key(feed):
    three()
    make_incident(id="d", entity_key="CIV-1", business_unit="EU")
    rows = feed("Signals?$filter=signals gt 1").json()["value"]
    key = ",".join(f"{name}='{rows[0][name]}'" for name in ("channel", "code", "business_unit", "region"))

    assert [(row["code"], row["business_unit"], row["signals"], row["joined"]) for row in rows] == [
        ("duplicate_invoice", "EU", 2, 1)
    ]
    assert feed(f"Signals(day={rows[0]['day']},{key})").json()["signals"] == 2
    assert feed("Signals/$count").content == b"3"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("Nothing", 404),
        ("Incidents/title", 404),
        ("Incidents(1)/title", 501),
        ("$batch", 501),
        ("Incidents?$apply=aggregate(id with sum as n)", 501),
        ("Incidents?$expand=Plans", 501),
        ("Incidents?$search=x", 501),
        ("Incidents?$compute=1 as x", 501),
        ("Incidents?$filter=id add 1 eq 2", 501),
        ("Incidents?$filter=geo.distance(id,id) lt 1", 501),
        ("Incidents?$filter=plans/any(p:p/id eq 1)", 501),
        ("Incidents?$nothing=1", 400),
        ("Incidents?$top=-1", 400),
        ("Incidents?$top=1e3", 400),
        ("Incidents?$skip=x", 400),
        ("Incidents?$count=yes", 400),
        ("Incidents?$select=password", 400),
        ("Incidents?$filter=assignee__password eq 'x'", 400),
        ("Incidents?$orderby=fingerprint", 400),
        ("Incidents?$orderby=id,id,", 400),
        ("Incidents?$filter=", 400),
        ("Incidents?$filter=id", 400),
        ("Incidents?$filter=id eq", 400),
        ("Incidents?$filter=id eq 'x'", 400),
        ("Incidents?$filter=id eq 99999999999999999999", 400),
        ("Incidents?$filter=opened_at gt 2026-13-01T00:00:00Z", 400),
        ("Incidents?$filter=id eq 1)", 400),
        ("Incidents?$filter=" + "(" * 200, 400),
        ("Incidents?$filter=" + "not " * 200 + "true", 400),
        ("Incidents?$filter=" + " or ".join(["id eq 1"] * 400), 400),
        ("Incidents?$filter=id in (" + ",".join(["1"] * 201) + ")", 400),
        ("Incidents?$skiptoken=x", 400),
        ("Incidents?$skiptoken=WzEsMl0", 400),
        ("Incidents?$top=1&$top=2", 400),
        ("Incidents?$format=atom", 406),
        ("$metadata?$format=json", 406),
    ],
)
def test_what_cannot_be_meant_or_is_not_offered_is_said_in_odatas_form(feed, path, status):
    error = feed(path, status=status).json()["error"]

    assert error["message"]
    assert error["code"]


def test_an_option_without_a_dollar_sign_is_the_callers_own(feed):
    assert keys(feed("Incidents?api-version=7")) == []


def test_the_client_says_how_old_it_is(feed):
    feed("Incidents", **{"OData-MaxVersion": "4.01"})

    feed("Incidents", status=400, **{"OData-MaxVersion": "3.0"})
