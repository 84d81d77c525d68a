"""Signals over HTTP: CloudEvents in their three modes, plain JSON, and every mistake named by its field."""

import base64
import json
from typing import Any

import pytest

from audit.models import Entry
from incidents.models import Evidence, Incident, Signal
from tests.factories import make_user
from tests.incidents.factories import make_kind

pytestmark = pytest.mark.django_db
PATH = "/api/v1/signals/"
ONE = "application/cloudevents+json"
MANY = "application/cloudevents-batch+json"


def event(*, data: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A CloudEvent of an integrator; ``...`` takes a member away."""
    told = {
        "code": "duplicate_invoice",
        "entity_type": "invoice",
        "entity_key": "CIV-000697",
        "attributes": {"customer": "DE-001"},
        "amount": {"amount": "1234.50", "currency": "EUR"},
        "business_unit": "EU",
        "region": "DE",
        "text": "Posted twice?",
        **(data or {}),
    }
    given = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/shop/billing",
        "type": "com.example.invoice.twice",
        "time": "2026-11-03T13:00:00+01:00",
        "data": {name: value for name, value in told.items() if value is not ...},
        **changes,
    }
    return {name: value for name, value in given.items() if value is not ...}


def send(client, body: Any, kind: str = ONE, **headers: str) -> Any:
    raw = body if isinstance(body, bytes | str) else json.dumps(body)
    return client.generic("POST", PATH, raw, content_type=kind, headers=headers)


@pytest.fixture
def sender(api, integration):
    return api(integration)


def test_a_cloud_event_opens_an_incident(sender):
    make_kind()

    answer = send(sender, event())

    signal = Signal.objects.get()
    assert answer.status_code == 202
    assert answer.json() == {"signal": signal.pk, "incident": Incident.objects.get().pk, "merged": False}
    assert (signal.source, signal.event_id, signal.occurred_at.isoformat()) == (
        "/shop/billing",
        "e-1",
        "2026-11-03T12:00:00+00:00",
    )
    assert (str(signal.amount), signal.currency, signal.channel) == ("1234.50", "EUR", "api")
    assert signal.raw == event()


def test_a_second_one_of_the_same_problem_joins_it(sender):
    first = send(sender, event()).json()

    answer = send(sender, event(id="e-2"))

    assert answer.status_code == 202
    assert (answer.json()["incident"], answer.json()["merged"]) == (first["incident"], True)


def test_the_same_source_and_id_again_is_200_with_the_first_answer(sender):
    first = send(sender, event())

    again = send(sender, event(data={"entity_key": "CIV-000999"}))

    assert (again.status_code, again.json()) == (200, first.json())
    assert Signal.objects.count() == Evidence.objects.count() == 1


def test_binary_mode_carries_the_attributes_in_headers(sender):
    headers = {"ce-specversion": "1.0", "ce-id": "b-1", "ce-source": "/sap%20eu", "ce-type": "t", "ce-rank": "7"}

    answer = send(sender, event()["data"], "application/json; charset=utf-8", **headers)

    signal = Signal.objects.get()
    assert answer.status_code == 202
    assert (signal.source, signal.event_id, signal.raw["headers"]["rank"]) == ("/sap eu", "b-1", "7")


def test_plain_json_needs_no_version_and_no_time(sender):
    answer = send(sender, event(specversion=..., time=..., type=...), "application/json")

    assert answer.status_code == 202
    assert Signal.objects.get().occurred_at == Signal.objects.get().occurred_at.astimezone()


def test_null_means_absent(sender):
    answer = send(sender, event(subject=None, time=None, data={"amount": None, "region": None, "text": None}))

    assert answer.status_code == 202
    assert Signal.objects.get().amount is None


def test_data_may_come_in_base64(sender):
    packed = base64.b64encode(json.dumps(event()["data"]).encode()).decode()

    answer = send(sender, {name: part for name, part in event(data_base64=packed).items() if name != "data"})

    assert answer.status_code == 202
    assert Signal.objects.get().entity_key == "CIV-000697"


def test_extension_attributes_are_kept_as_they_come(sender):
    answer = send(sender, event(traceparent="00-ab", sampled=True, sequence=7))

    assert answer.status_code == 202
    assert (Signal.objects.get().raw["traceparent"], Signal.objects.get().raw["sequence"]) == ("00-ab", 7)


def test_plain_json_may_be_a_list_or_carry_the_data_beside_the_rest(sender):
    flat = {"source": "/till", "id": "p-1", **event()["data"]}

    answers = [send(sender, flat, "application/json"), send(sender, [{**flat, "id": "p-2"}], "application/json")]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[1].json()[0]["merged"] is True


# --- Mistakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (event(specversion=...), "specversion"),
        (event(specversion="0.3"), "specversion"),
        (event(id=...), "id"),
        (event(id=""), "id"),
        (event(id=7), "id"),
        (event(id="x" * 301), "id"),
        (event(source=...), "source"),
        (event(source={"a": 1}), "source"),
        (event(time="yesterday"), "time"),
        (event(time="2026-11-03T12:00:00"), "time"),
        (event(time="2026-11-03"), "time"),
        (event(time="2026-02-30T12:00:00Z"), "time"),
        (event(time="0001-01-01T00:00:00+23:00"), "time"),
        (event(time=1762171200), "time"),
        (event(data_base64="e30="), "data_base64"),
        ({**event(), "data": None}, "data"),
        ({**event(), "data": "text"}, "data"),
        ({**event(), "data": [1]}, "data"),
        (event(datacontenttype="text/xml"), "datacontenttype"),
        (event(My_Extension="x"), "My_Extension"),
        (event(entity_key="CIV"), "entity_key"),
        (event(extension={"a": 1}), "extension"),
        (event(data={"code": ...}), "data.code"),
        (event(data={"entity_type": ...}), "data.entity_type"),
        (event(data={"entity_key": ...}), "data.entity_key"),
        (event(data={"entity_key": 697}), "data.entity_key"),
        (event(data={"entity_key": "unknown"}), "data.entity_key"),
        (event(data={"entity_key": "-"}), "data.entity_key"),
        (event(data={"colour": "gold"}), "data.colour"),
        (event(data={"raw": {}}), "data.raw"),
        (event(data={"channel": "hook"}), "data.channel"),
        (event(data={"attributes": []}), "data.attributes"),
        (event(data={"business_unit": "x" * 41}), "data.business_unit"),
        (event(data={"text": "x" * 50_001}), "data.text"),
        (event(data={"amount": 12}), "data.amount.currency"),
        (event(data={"amount": {"amount": "1e30", "currency": "EUR"}}), "data.amount"),
        (event(data={"amount": {"amount": True, "currency": "EUR"}}), "data.amount"),
        (event(data={"amount": {"amount": "12.50"}}), "data.amount.currency"),
        (event(data={"amount": {"amount": "12.50", "currency": "euro"}}), "data.amount.currency"),
        (event(data={"amount": {"amount": "12.50", "currency": "EUR", "vat": 1}}), "data.amount.vat"),
        (event(data={"attributes": {"a": "x" * 200_001}}), "body"),
        ([event()], "body"),
        ("text", "body"),
        (b"{", "body"),
        (b'{"id": "a", "id": "b"}', "body"),
        (b'{"id": NaN}', "body"),
        (b"", "id"),
    ],
)
def test_each_mistake_is_400_naming_its_field(sender, body, field):
    answer = send(sender, body)

    assert answer.status_code == 400, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    assert field in answer.json()["errors"]
    assert not Signal.objects.exists()


def test_all_mistakes_are_told_at_once(sender):
    answer = send(sender, event(id=..., time="?", data={"code": ..., "colour": "gold"}))

    assert {"id", "time", "data.code", "data.colour"} <= answer.json()["errors"].keys()


def test_a_header_without_a_version_is_no_cloud_event(sender):
    answer = send(sender, event()["data"], "application/json", **{"ce-id": "b-1", "ce-source": "/sap"})

    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["ce-specversion", "ce-type"])


def test_another_content_type_is_415(sender):
    assert send(sender, "<a/>", "application/xml").status_code == 415


# --- Batches ---------------------------------------------------------------------------------------


def test_a_batch_is_answered_in_its_order(sender):
    send(sender, event(id="old"))

    answer = send(sender, [event(id="new", data={"entity_key": "CIV-1"}), event(id="old"), event(id="more")], MANY)

    body = answer.json()
    assert answer.status_code == 202
    assert [one["merged"] for one in body] == [False, False, True]
    assert body[1]["incident"] == body[2]["incident"] != body[0]["incident"]


def test_a_batch_sent_again_is_200_with_the_first_answers(sender):
    batch = [event(id="a"), event(id="b")]
    first = send(sender, batch, MANY)

    again = send(sender, batch, MANY)

    assert (again.status_code, again.json()) == (200, first.json())


def test_an_empty_batch_is_taken(sender):
    answer = send(sender, [], MANY)

    assert (answer.status_code, answer.json()) == (202, [])


def test_a_batch_is_all_or_nothing_and_names_each_mistake_by_its_place(sender):
    batch = [event(id="a"), event(id="b", data={"code": ...}), 7, event(id="c", time="?")]

    answer = send(sender, batch, MANY)

    assert answer.status_code == 400
    assert answer.json()["errors"].keys() == {"1.data.code", "2.body", "3.time"}
    assert not Signal.objects.exists()


def test_a_batch_with_a_key_that_names_nobody_says_which(sender):
    answer = send(sender, [event(id="a"), event(id="b", data={"entity_key": "n/a"})], MANY)

    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["1.data.entity_key"])
    assert not Signal.objects.exists()


@pytest.mark.parametrize("body", [event(), [event(id=str(n)) for n in range(1001)]])
def test_a_batch_is_a_list_of_at_most_a_thousand(sender, body):
    answer = send(sender, body, MANY)

    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["body"])
    assert not Signal.objects.exists()


# --- Who may send ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "status"),
    [
        ("integration", 202),
        ("operator", 202),
        ("automation_admin", 202),
        ("viewer", 403),
        ("approver", 403),
        ("compliance", 403),
        ("auditor", 403),
        ("", 403),
    ],
)
def test_three_roles_send_signals(api, role, status):
    assert send(api(make_user("person", role=role)), event()).status_code == status


def test_without_a_token_it_is_401(api):
    assert send(api(), event()).status_code == 401


def test_a_sender_speaks_for_its_own_units_only(api):
    client = api(make_user("us", role="integration", units=["US", "APAC"]))

    answers = [send(client, event()), send(client, [event()], MANY)]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert "EU" in answers[0].json()["detail"]
    assert not Signal.objects.exists()
    assert Entry.objects.filter(verb="refused.signal", actor="us").count() == 2


def test_a_sender_without_units_sends_nothing(api):
    client = api(make_user("lost", role="integration", units=[], regions=[]))

    assert send(client, event(data={"business_unit": ..., "region": ...})).status_code == 403


def test_a_sender_of_one_unit_need_not_name_it(api):
    client = api(make_user("de", role="integration", units=["EU"], regions=["DE"]))

    answer = send(client, event(data={"business_unit": ..., "region": ...}))

    assert answer.status_code == 202
    assert (Incident.objects.get().business_unit, Incident.objects.get().region) == ("EU", "DE")


def test_a_sender_of_several_units_may_leave_it_open(api):
    client = api(make_user("both", role="integration", units=["EU", "US"]))

    answer = send(client, event(data={"business_unit": ..., "region": ...}))

    assert answer.status_code == 202
    assert Incident.objects.get().business_unit == ""


def test_a_token_for_reading_sends_nothing(api, integration):
    assert send(api(integration, scopes=["signals:read"]), event()).status_code == 403


def test_who_opened_it_stands_in_the_ledger(sender):
    send(sender, event())

    assert Entry.objects.get(verb="incident.opened").actor == "integration"


def test_a_single_signal_that_joins_takes_few_statements(sender, django_assert_max_num_queries):
    make_kind()
    send(sender, event())

    with django_assert_max_num_queries(10):
        answer = send(sender, event(id="e-2"))

    assert answer.json()["merged"] is True


# --- Reading them again ----------------------------------------------------------------------------


def test_a_signal_reads_as_it_came_and_as_it_was_understood(sender):
    sent = send(sender, event()).json()

    body = sender.get(f"{PATH}{sent['signal']}/").json()

    assert body["raw"] == event()
    assert body["normalised"] == event()["data"]
    assert body["fingerprint"]["explanation"]["entity_key"] == "civ-000697"
    assert body["fingerprint"]["value"] == Incident.objects.get().fingerprint
    assert (body["incident"], body["joined"], body["time"]) == (
        sent["incident"],
        sent["incident"],
        "2026-11-03T12:00:00Z",
    )


def test_the_list_is_paged_filtered_and_newest_first(sender):
    for number in range(3):
        send(sender, event(id=f"e-{number}", data={"entity_key": f"CIV-{number + 1}"}))

    page = sender.get(f"{PATH}?page_size=2").json()
    last = sender.get(page["next"]).json()

    assert [row["event_id"] for row in page["results"] + last["results"]] == ["e-2", "e-1", "e-0"]
    assert last["next"] is None
    assert [row["event_id"] for row in sender.get(f"{PATH}?entity_key=CIV-1,CIV-3").json()["results"]] == ["e-2", "e-0"]
    assert "raw" not in page["results"][0]


def test_signals_of_other_units_are_not_there(sender, api):
    sent = send(sender, event()).json()
    stranger = api(make_user("us", role="viewer", units=["US"]))

    assert stranger.get(PATH).json()["results"] == []
    assert stranger.get(f"{PATH}{sent['signal']}/").status_code == 404


def test_the_list_takes_a_constant_number_of_statements(sender, django_assert_max_num_queries):
    send(sender, [event(id=str(n), data={"entity_key": f"CIV-{n + 1}"}) for n in range(30)], MANY)

    with django_assert_max_num_queries(5):
        page = sender.get(PATH).json()

    assert len(page["results"]) == 30
