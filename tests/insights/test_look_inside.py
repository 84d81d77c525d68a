"""What XES and OCEL files show before they are imported: events, attributes, object types, zones, and no bomb."""

import gzip
import json
import sqlite3

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from insights.eventlog import inside, ocel_sqlite
from insights.eventlog.looking import look
from insights.models import EventLog
from insights.states import LogState
from tests.insights.files import trace, write, xes

DAY = "2024-01-01T10:00:00"


def seen(tmp_path, content, **more):
    return look(write(tmp_path, "given", content), inside=True, **more)


def event(number, activity, *objects, time=f"{DAY}Z", **attributes):
    return {
        "id": f"e{number}", "type": activity, "time": time,
        "attributes": [{"name": name, "value": value} for name, value in attributes.items()],
        "relationships": [{"objectId": each, "qualifier": ""} for each in objects],
    }  # fmt: skip


def ocel(events, objects, **more):
    told = [{"id": id_, "type": id_.rstrip("0123456789"), **rest} for id_, rest in objects.items()]
    types = [{"name": name, "attributes": []} for name in dict.fromkeys(one["type"] for one in told)]
    return json.dumps({"objectTypes": types, "eventTypes": [], "objects": told, "events": events, **more})


SHOP = ocel(
    [
        event(1, "place", "order1", "item1", "item2", weight="2.5"),
        event(2, "pick", "item1"),
        event(3, "ship", "order1", "order2", "item2", time=f"{DAY}+02:00"),
    ],
    {
        "order1": {"attributes": [{"name": "price", "time": DAY, "value": "7"}]},
        "order2": {},
        "item1": {"relationships": [{"objectId": "order1", "qualifier": ""}]},
        "item2": {},
    },
)


def test_xes_shows_its_first_events_and_attributes_with_their_kinds(tmp_path):
    body = (
        '<trace><string key="concept:name" value="A"/><int key="amount" value="7"/>'
        f'<event><string key="concept:name" value="open"/><date key="time:timestamp" value="{DAY}+01:00"/>'
        '<boolean key="late" value="true"/></event></trace>' + trace("B", ("close", f"{DAY}Z"))
    )

    found = seen(tmp_path, xes(body))

    assert found.columns[:3] == ["case:concept:name", "concept:name", "time:timestamp"]
    assert [row[:3] for row in found.rows] == [["A", "open", f"{DAY}+01:00"], ["B", "close", f"{DAY}Z"]]
    told = {one.name: (one.of, one.type, one.example) for one in found.inside.attributes}
    assert told["case:amount"] == ("case", "number", "7")
    assert told["late"] == ("event", "flag", "true")
    assert found.inside.time_zone == "Every time that was seen names its offset: +01:00, UTC."
    assert [text[:11] for text in found.inside.flattened] == ["Each trace "]


@pytest.mark.parametrize(
    ("stamps", "words"),
    [
        ([f"{DAY}Z", f"{DAY}+0530"], "names its offset: +0530, UTC."),
        ([f"{DAY}+01:00", DAY, ""], "1 of 2 times name their offset (+01:00); the others are meant in the time zone"),
        (["2024-01-01", DAY], "No time that was seen names its offset"),
        (["", " "], "No time was seen."),
    ],
)
def test_whether_times_name_their_offset_is_said(stamps, words):
    assert words in inside.zone_words(stamps)


def test_what_an_import_of_xes_leaves_out_is_said(tmp_path):
    nested = trace("A", ("open", DAY)).replace("<event>", '<event><list key="l"><string key="x" value="y"/></list>')

    found = seen(tmp_path, xes(nested))

    assert "Lists, and attributes within attributes, are left out." in found.inside.flattened
    assert "in the time zone of the import" in found.inside.time_zone
    assert not any(one.name == "x" for one in found.inside.attributes)


def test_of_a_large_file_only_the_beginning_is_read(tmp_path):
    rest = "".join(trace(f"c{number}", ("open", f"{DAY}Z")) for number in range(12_000))
    packed = gzip.compress(xes(rest).encode() + b"what is broken here lies beyond what is looked at <")

    found = seen(tmp_path, packed)

    assert not found.error
    assert len(found.rows) == inside.ROWS
    assert 0 < found.inside.events < 12_000


@pytest.mark.parametrize(
    "head",
    [
        '<?xml version="1.0"?><!DOCTYPE log [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><log>&b;</log>',
        '<?xml version="1.0"?><!DOCTYPE log SYSTEM "file:///etc/passwd"><log/>',
    ],
)
def test_xml_that_would_expand_or_fetch_something_is_refused_in_words(tmp_path, head):
    found = seen(tmp_path, head)

    assert "document type or entities" in found.error
    assert found.inside is None


@pytest.mark.parametrize("content", [xes(""), "<log><trace></log>", "<log>" * 200])
def test_what_is_no_xes_is_said_and_not_raised(tmp_path, content):
    assert seen(tmp_path, content).error


@pytest.mark.parametrize("packed", [False, True])
def test_ocel_shows_what_becomes_of_events_and_objects(tmp_path, packed):
    found = seen(tmp_path, gzip.compress(SHOP.encode()) if packed else SHOP, object_type="order")

    assert (found.object_types, found.inside.case) == (["order", "item"], "order")
    assert found.inside.object_types == [inside.ObjectType("order", 2, 2, 1), inside.ObjectType("item", 2, 3, 1)]
    assert found.columns == ["activity", "time", "order", "item", "weight"]
    assert found.rows[0] == ["place", f"{DAY}Z", "order1", "item1, item2", "2.5"]
    assert [(one.name, one.of, one.type) for one in found.inside.attributes] == [
        ("price", "order", "number"),
        ("weight", "event", "number"),
    ]
    assert found.inside.time_zone == "Every time that was seen names its offset: +02:00, UTC."
    assert found.inside.flattened == [
        "Each order becomes a case.",
        "1 of 3 events touch several; they stand in each such case.",
        "1 of 3 events touch none; they are left out.",
        "Objects of other types stay with the event as names: item.",
        "Of an attribute of the case that changes, only the latest value stays.",
        "How objects are related to each other is left out.",
    ]


def test_without_a_word_the_type_that_most_events_touch_is_the_case(tmp_path):
    found = seen(tmp_path, SHOP).inside

    assert (found.case, found.flattened[0]) == ("item", "Each item becomes a case.")


def test_of_a_large_document_few_elements_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(inside, "MOST_EVENTS", 5)
    monkeypatch.setattr("insights.eventlog.ocel.MOST_ELEMENTS", 20)
    text = ocel([event(number, "pick", "item1") for number in range(100)], {"item1": {}})

    # Cut off far behind what is looked at: nobody gets there.
    found = seen(tmp_path, text[: len(text) // 2])

    assert (found.error, found.inside.events) == ("", 5)


def database(path, events=3):
    with sqlite3.connect(path) as db:
        db.executescript(
            "CREATE TABLE event_map_type (ocel_type TEXT, ocel_type_map TEXT);"
            "CREATE TABLE object_map_type (ocel_type TEXT, ocel_type_map TEXT);"
            "CREATE TABLE event (ocel_id TEXT PRIMARY KEY, ocel_type TEXT);"
            "CREATE TABLE object (ocel_id TEXT PRIMARY KEY, ocel_type TEXT);"
            "CREATE TABLE event_object (ocel_event_id TEXT, ocel_object_id TEXT, ocel_qualifier TEXT);"
            "CREATE TABLE event_pick (ocel_id TEXT PRIMARY KEY, ocel_time TEXT, who TEXT);"
            "CREATE TABLE object_item (ocel_id TEXT, ocel_time TEXT, weight TEXT);"
            "INSERT INTO event_map_type VALUES ('pick item', 'pick');"
            "INSERT INTO object_map_type VALUES ('item', 'item');"
            "INSERT INTO object VALUES ('i1', 'item'); INSERT INTO object_item VALUES ('i1', '', '3');"
        )
        for number in range(events):
            db.execute("INSERT INTO event VALUES (?, 'pick item')", [f"e{number}"])
            db.execute(
                "INSERT INTO event_pick VALUES (?, ?, 'ann')", [f"e{number}", f"2024-01-0{number % 9 + 1} 10:00"]
            )
            db.execute("INSERT INTO event_object VALUES (?, 'i1', '')", [f"e{number}"])
    return path


def test_a_database_shows_the_same(tmp_path):
    found = look(database(tmp_path / "given"), inside=True)

    assert found.rows[0] == ["pick item", "2024-01-01 10:00", "i1", "ann"]
    assert found.inside.object_types == [inside.ObjectType("item", 1, 3, 0)]
    assert [(one.name, one.of) for one in found.inside.attributes] == [("who", "event"), ("weight", "item")]


def test_a_database_that_makes_a_look_dear_is_let_be(tmp_path, monkeypatch):
    path = database(tmp_path / "given", events=200)
    monkeypatch.setattr(ocel_sqlite, "_STEP", 10)
    monkeypatch.setattr(ocel_sqlite, "_MOST_STEPS", 2)

    found = look(path, inside=True)

    assert "interrupted" in found.error


# --- Pages and API -------------------------------------------------------------------------------


@pytest.fixture
def at_desk(client, operator):
    client.force_login(operator)
    return client


@pytest.mark.django_db
def test_an_upload_can_wait_until_somebody_has_looked(at_desk):
    file = SimpleUploadedFile("shop.jsonocel", SHOP.encode())

    answer = at_desk.post(reverse("event_log_upload"), {"file": file, "look_first": "on"})

    log = EventLog.objects.get()
    assert (log.state, answer["Location"]) == (LogState.MAPPING, reverse("event_log_mapping", args=[log.pk]))
    page = at_desk.get(answer["Location"], {"object_type": "order"}).text
    assert "Each order becomes a case." in page
    assert '<option value="order" selected>' in page
    assert "item1, item2" in page
    assert 'name="case"' not in page
    at_desk.post(answer["Location"], {"object_type": "order", "time_zone": "UTC"})
    log.refresh_from_db()
    assert (log.state, log.object_type) == (LogState.IMPORTING, "order")


@pytest.mark.django_db
def test_without_the_wish_a_file_that_says_itself_is_imported_at_once(at_desk):
    file = SimpleUploadedFile("shop.jsonocel", SHOP.encode())

    at_desk.post(reverse("event_log_upload"), {"file": file})

    assert EventLog.objects.get().state == LogState.IMPORTING


@pytest.mark.django_db
def test_the_api_shows_what_is_inside(api, operator):
    client, file = api(operator), SimpleUploadedFile("shop.jsonocel", SHOP.encode())
    told = {"file": file, "name": "Shop", "look_first": "true"}

    log = client.post("/api/v1/event-logs/", told, format="multipart").json()

    assert log["state"] == "mapping"
    shown = client.get(f"/api/v1/event-logs/{log['id']}/preview/?object_type=order").json()
    assert shown["inside"]["flattened"][0] == "Each order becomes a case."
    assert shown["inside"]["object_types"][1] == {"name": "item", "objects": 2, "events": 3, "several": 1}
    assert shown["rows"][0][:2] == ["place", f"{DAY}Z"]
