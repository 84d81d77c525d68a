"""From a case and its events to the record in its system, and to what is known of it here."""

import json
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.urls import reverse

from audit.clock import db_now
from audit.models import Entry
from connectors.models import Delivery
from insights.eventlog import changes
from insights.eventlog.sources import SourceRecord, bind
from insights.mining.cases import one_case
from insights.models import EventLog
from tests.connectors.factories import make_crm, make_fo
from tests.factories import make_user
from tests.incidents.factories import make_incident
from tests.insights.factories import make_log, path

pytestmark = pytest.mark.django_db
FORM = "https://contoso.operations.dynamics.test/?cmp=usmf&mi=SalesTableListPage"
CASE = "https://contoso.my.salesforce.test/lightning/r/Case/500xx0000000001AAA/view"
SAID = {"connection": "fo", "entity": "SalesOrderHeadersV2", "prefix": "usmf/"}


@pytest.fixture
def orders():
    return make_log(path("SO-7", "Create", "Ship", ticket="500xx0000000001AAA"), business_unit="EU")


@pytest.fixture
def browser(client, automation):
    client.force_login(automation)
    return client


def shown(browser, log, case="SO-7"):
    answer = browser.get(reverse("event_log_case", args=[log.pk]), {"case": case})
    assert answer.status_code == 200
    return unescape(answer.content.decode())


def test_a_bound_case_leads_to_its_form_and_gives_the_key_to_copy(browser, orders):
    make_fo()
    bind(orders, SAID, actor="ann")

    page = shown(browser, orders)

    assert one_case(orders, "SO-7").record == SourceRecord("fo", "fo", SAID["entity"], "usmf/SO-7", FORM, exact=False)
    assert f'href="{FORM}" rel="noopener noreferrer"' in page
    assert 'data-copy="usmf/SO-7"' in page
    assert "search there for the key" in page


def test_a_key_in_a_column_of_events_leads_each_event_to_its_own_record(browser, orders):
    make_crm(label="Service desk")
    bind(orders, {"connection": "crm", "entity": "Case", "key": "ticket"}, actor="ann")

    found = one_case(orders, "SO-7")

    assert found.record is None
    assert [one.record.url for one in found.events] == [CASE, CASE]
    assert f'<a href="{CASE}" rel="noopener noreferrer">Open in Service desk' in shown(browser, orders)


def test_without_a_link_the_system_and_the_key_can_be_copied(browser, orders):
    make_fo()
    bind(orders, {"connection": "fo", "entity": "FreightRates"}, actor="ann")

    page = shown(browser, orders)

    assert one_case(orders, "SO-7").record.url == ""
    assert 'data-copy="SO-7"' in page
    assert "No link to it is known" in page


def test_events_that_name_system_kind_and_key_need_nobodys_word(orders):
    make_crm()
    told: Any = {"system": "crm", "record type": "Case", "record": "500xx0000000001AAA"}
    log = make_log(path("A", "Open", "Close", **told), case_attributes=["system", "record type"])
    stranger = make_log(path("A", "Open", **{**told, "system": "nobody"}))

    assert [one.record.url for one in one_case(log, "A").events] == [CASE, CASE]
    assert one_case(stranger, "A").events[0].record is None


def test_what_grows_from_a_connection_names_its_records(browser):
    connection, long_ago = make_crm(), db_now() - timedelta(minutes=5)
    payload = {"Id": "500xx0000000001AAA", "CaseNumber": "00001042"}
    for number in (1, 2):
        Delivery.objects.create(
            connection=connection, external_id=f"d{number}", event="record:Case", payload=payload, received_at=long_ago
        )

    changes.keep_up()

    log = EventLog.objects.get(origin="connection:crm")
    assert f'href="{CASE}"' in shown(browser, log, "00001042")


def test_the_case_of_our_own_log_is_the_incident_itself(browser):
    incident = make_incident()
    log = make_log(path(f"INC-{incident.pk}", "opened"), origin="loop")

    assert incident.get_absolute_url() in shown(browser, log, f"INC-{incident.pk}")


def test_the_api_tells_the_record_and_takes_the_binding(api, operator, orders):
    make_fo()
    client, where = api(operator), f"/api/v1/event-logs/{orders.pk}/records/"

    assert client.get(where).json() == {"connection": "", "entity": "", "key": "", "prefix": ""}
    assert client.put(where, SAID).json() == {**SAID, "key": ""}
    told = client.get(f"/api/v1/event-logs/{orders.pk}/cases/SO-7/").json()
    assert (told["record"]["url"], told["record"]["key"], told["record"]["exact"]) == (FORM, "usmf/SO-7", False)
    assert json.loads(Entry.objects.get(verb="event_log.bound").body) == {"after": SAID}


@pytest.mark.parametrize(
    ("changed", "field"),
    [({"connection": "nobody"}, "connection"), ({"entity": ""}, "entity"), ({"key": "no such"}, "key")],
)
def test_a_binding_that_cannot_be_meant_is_refused(api, operator, orders, changed, field):
    make_fo()

    answer = api(operator).put(f"/api/v1/event-logs/{orders.pk}/records/", {**SAID, **changed})

    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]
    orders.refresh_from_db()
    assert orders.records == {}


def test_who_may_only_look_binds_nothing(api, viewer, client, orders):
    make_fo()
    url = reverse("event_log_records", args=[orders.pk])
    looker = make_user("looker", role="viewer", units=["EU"])

    assert api(looker).put(f"/api/v1/event-logs/{orders.pk}/records/", SAID).status_code == 403
    client.force_login(looker)
    client.post(url, SAID)
    orders.refresh_from_db()
    assert orders.records == {}


def test_the_facts_take_the_binding_and_take_it_back(browser, orders):
    make_fo()
    url, facts = reverse("event_log_records", args=[orders.pk]), reverse("event_log_facts", args=[orders.pk])

    assert "Nobody has said" in browser.get(facts).content.decode()
    assert browser.post(url, SAID)["Location"] == facts
    assert 'value="usmf/"' in browser.get(facts).content.decode()
    browser.post(url, {"connection": ""})
    orders.refresh_from_db()
    assert orders.records == {}
