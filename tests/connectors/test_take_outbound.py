"""Outbound messages of Salesforce: kept once, acknowledged as a whole, and refused whole where they are none."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.models import Connection, Delivery
from connectors.wire import xmltext
from connectors.wire.xmltext import DEEPEST, MOST_ATTRIBUTES, MOST_ELEMENTS
from tests.connectors.business import plant_case
from tests.connectors.conftest import Simulated
from tests.connectors.factories import HOOK_SECRET, make_crm
from tests.connectors.sf_words import CAPTURED, CASE, NOTE, ORGANIZATION, SESSION, SOAP, envelope, notification, tell


@pytest.fixture
def crm(db: None) -> Connection:
    return make_crm(hook_secret=HOOK_SECRET)


def test_a_captured_message_is_kept_with_its_fields_and_acknowledged(crm: Connection) -> None:
    answer = tell(CAPTURED)

    kept = Delivery.objects.get()
    assert (answer.status_code, answer["Content-Type"]) == (200, SOAP)
    assert b"<Ack>true</Ack>" in answer.content
    assert b"http://soap.sforce.com/2005/09/outbound" in answer.content
    assert kept.external_id == "DiscountRule__c:a025700000OPgOjAAL:04l570000176YSmAAM"
    assert kept.event == "record:DiscountRule__c"
    assert kept.occurred_at == datetime(2018, 5, 4, 11, 35, 40, tzinfo=UTC)
    assert (kept.payload["Price__c"], kept.payload["Name"]) == ("419.0", "244 Months")
    assert kept.payload["attributes"] == {"type": "DiscountRule__c", "told": "outbound message", "notification": NOTE}


def test_one_acknowledgement_stands_for_all_of_a_hundred_and_a_redelivery_adds_nothing(crm: Connection) -> None:
    notes = [notification(note=f"04l0000000{number:05}") for number in range(100)]
    first, again = tell(envelope(*notes)), tell(envelope(*notes))

    assert first.content.count(b"<Ack>") == 1
    assert again.content == first.content
    assert Delivery.objects.count() == 100


def test_more_than_a_hundred_at_once_are_too_many(crm: Connection) -> None:
    notes = [notification(note=f"04l0000000{number:05}") for number in range(101)]

    assert tell(envelope(*notes)).status_code == 413
    assert not Delivery.objects.exists()


def test_the_session_that_a_message_may_carry_is_kept_nowhere(crm: Connection) -> None:
    tell(envelope())

    kept = json.dumps(list(Delivery.objects.values("payload", "external_id", "event")))
    assert SESSION not in kept
    assert "Session" not in kept


def test_a_message_of_another_organization_is_turned_away_before_its_records_are_read(db: None) -> None:
    make_crm(hook_secret=HOOK_SECRET, config={"organization_id": "00DD0000000muCU"})

    assert tell(envelope(organization="00DD0000000other")).status_code == 401
    assert tell(envelope("<Notification/>", organization="")).status_code == 401
    assert not Delivery.objects.exists()
    assert tell(envelope(organization=ORGANIZATION)).status_code == 200


def test_a_message_for_one_connection_does_not_open_another(crm: Connection) -> None:
    make_crm(slug="crm2", hook_secret="another-secret-of-some-length")

    assert tell(envelope(), slug="crm2").status_code == 404
    assert not Delivery.objects.exists()


def test_fields_that_are_empty_nested_or_repeated_come_through_as_what_they_are(crm: Connection) -> None:
    fields = (
        '<any:Reason xsi:nil="true"/><any:Subject>a &lt;b&gt; &#228;</any:Subject><any:Empty/>'
        "<any:Address__c><any:city>Ulm</any:city></any:Address__c><any:Tag>a</any:Tag><any:Tag>b</any:Tag>"
        '<x:Id xmlns:x="urn:elsewhere">not a field</x:Id>'
    )
    tell(envelope(notification(fields=fields)))

    told = Delivery.objects.get().payload
    assert (told["Reason"], told["Subject"], told["Empty"]) == (None, "a <b> ä", "")
    assert (told["Address__c"], told["Tag"], told["Id"]) == ({"city": "Ulm"}, ["a", "b"], CASE)


BOMB = b"<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]><x>&b;</x>"


@pytest.mark.parametrize(
    "body",
    [
        BOMB,
        envelope().replace(b"<soapenv:Envelope", b"<!DOCTYPE a SYSTEM 'http://elsewhere.test/a.dtd'><soapenv:Envelope"),
        b"<" * 10,
        b"<a/>",
        b"<a>" * 100_000,
        b"<a>" + b"<b/>" * 400_000 + b"</a>",
        envelope().replace(b"schemas.xmlsoap.org/soap", b"elsewhere.test/soap"),
        envelope().replace(b"soap.sforce.com/2005/09", b"soap.sforce.com/1999"),
        envelope("<Other/>"),
        envelope(notification(note="")),
        envelope(notification(note="04l570000176YSmAAM:x")),
        envelope(notification(key="")),
        envelope(notification(key="../Account")),
        envelope(notification(entity="")),
        envelope(notification(entity="Case?x=1")),
        envelope(notification(), notification(note="")),
        envelope()[:-20],
        envelope().replace(b"UTF-8", b"no-such-code"),
    ],
)
def test_what_is_no_outbound_message_is_refused_whole_and_not_acknowledged(crm: Connection, body: bytes) -> None:
    answer = tell(body)

    assert answer.status_code == 400
    assert b"Ack" not in answer.content
    assert not Delivery.objects.exists()


def test_the_bounds_of_xml_are_held_to_the_element() -> None:
    assert len(list(xmltext.parsed(b"<a>" + b"<b/>" * (MOST_ELEMENTS - 1) + b"</a>"))) == MOST_ELEMENTS - 1
    assert xmltext.local(xmltext.parsed(b"<a>" * DEEPEST + b"</a>" * DEEPEST)) == "a"
    for body in (b"<a>" + b"<b/>" * MOST_ELEMENTS + b"</a>", b"<a>" * (DEEPEST + 1) + b"</a>" * (DEEPEST + 1)):
        with pytest.raises(xmltext.BadXml, match="more than"):
            xmltext.parsed(body)


def test_the_attributes_of_one_element_are_counted_before_it_is_read() -> None:
    many = b" ".join(b'a%d="1"' % number for number in range(MOST_ATTRIBUTES))

    assert len(xmltext.parsed(b"<a " + many + b"/>").attrib) == MOST_ATTRIBUTES
    with pytest.raises(xmltext.BadXml, match="more than"):
        xmltext.parsed(b"<a " + many + b' b="1"/>')


@pytest.mark.django_db(transaction=True)
def test_the_simulated_org_tells_again_until_it_is_acknowledged_and_adds_nothing(
    live_server: Any, simulated: Simulated
) -> None:
    make_crm(hook_secret=HOOK_SECRET)
    keys = [plant_case(simulated, Subject=f"<a> & {number}")["Id"] for number in range(3)]
    wish = {"url": f"{live_server.url}/api/v1/hooks/crm/{HOOK_SECRET}/", "keys": keys, "session": SESSION}

    told = [simulated.client.post("/control/outbound", json=wish).json() for _ in range(2)]
    simulated.edit("sf", "Case", keys[0], Priority="High")
    told += [simulated.client.post("/control/outbound", json=wish).json()]

    assert told == [{"status": 200, "acknowledged": True}] * 3
    assert Delivery.objects.count() == 4
    last = Delivery.objects.latest("id")
    assert (last.payload["Priority"], last.payload["Subject"]) == ("High", "<a> & 0")
    assert SESSION not in json.dumps(list(Delivery.objects.values_list("payload", flat=True)))


@pytest.mark.django_db(transaction=True)
def test_the_simulated_org_does_not_take_a_refusal_for_an_acknowledgement(
    live_server: Any, simulated: Simulated
) -> None:
    make_crm(hook_secret=HOOK_SECRET)
    wish = {"url": f"{live_server.url}/api/v1/hooks/crm/wrong/", "keys": [plant_case(simulated)["Id"]]}

    assert simulated.client.post("/control/outbound", json=wish).json() == {"status": 404, "acknowledged": False}
    assert simulated.client.post("/control/outbound", json={**wish, "keys": []}).status_code == 400
    assert simulated.client.post("/control/outbound", json={**wish, "url": "file:///x"}).status_code == 400
    assert simulated.client.post("/control/outbound", json={**wish, "keys": ["500"]}).status_code == 404
    assert not Delivery.objects.exists()
