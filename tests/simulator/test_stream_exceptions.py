"""The stream of exceptions as it is planned: the same each time, rich in repeats, late arrivals and lookalikes."""

import json
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

import pytest

from connectors.simulator.distributor.business import planted
from connectors.simulator.stream import CASE, CLOUD, EVENT, QUICK, Post, Signal, encoded, plan_posts, plan_signals

TODAY = "2026-11-22"
START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def signals() -> list[Signal]:
    return plan_signals(7, TODAY)


@pytest.fixture(scope="module")
def posts(signals: list[Signal]) -> list[Post]:
    return plan_posts(signals, 7)


@pytest.fixture(scope="module")
def by_entity(signals: list[Signal]) -> dict[str, list[Signal]]:
    found: dict[str, list[Signal]] = defaultdict(list)
    for item in signals:
        found[item.entity].append(item)
    return found


def test_two_plans_of_one_seed_are_the_same_to_the_byte(signals: list[Signal], posts: list[Post]):
    again = plan_posts(plan_signals(7, TODAY), 7)

    assert again == posts
    assert [encoded(p, START) for p in again if p.channel != CASE] == [
        encoded(p, START) for p in posts if p.channel != CASE
    ]


def test_another_seed_gives_another_stream(signals: list[Signal]):
    assert [item.id for item in plan_signals(8, TODAY)] != [item.id for item in signals]


def test_the_stream_has_its_size_and_its_length(signals: list[Signal]):
    assert len([item for item in signals if not item.repeats]) >= 320
    assert len({item.entity for item in signals}) >= 66
    assert signals == sorted(signals, key=lambda item: (item.at, item.id))
    assert 90 <= signals[-1].at <= 110


def test_a_larger_stream_can_be_asked_for():
    found = plan_signals(7, TODAY, least=600, seconds=60)

    assert len([item for item in found if not item.repeats]) >= 600
    assert found[-1].at <= 60


def test_every_planted_exception_is_spoken_of_by_two_to_nine_signals(by_entity: dict[str, list[Signal]]):
    for fact in planted(7, datetime.fromisoformat(TODAY).date()):
        about = [item for item in by_entity[fact.entity_key] if not item.repeats]
        assert 2 <= len(about) <= 10, fact


def test_exceptions_are_spoken_of_in_several_channels(by_entity: dict[str, list[Signal]]):
    facts = planted(7, datetime.fromisoformat(TODAY).date())

    several = [fact for fact in facts if len({item.channel for item in by_entity[fact.entity_key]}) >= 2]

    assert len(several) >= 55


def test_the_first_seconds_hold_many_small_quick_mends(signals: list[Signal]):
    quick = {
        fact.entity_key
        for fact in planted(7, datetime.fromisoformat(TODAY).date())
        if fact.kind in QUICK and fact.cause and fact.amount <= 700
    }

    assert len({item.entity for item in signals if item.at <= 20} & quick) >= 15


def test_all_three_channels_and_modes_carry_something(signals: list[Signal], posts: list[Post]):
    channels = Counter(item.channel for item in signals)
    modes = Counter((post.channel, post.mode) for post in posts)

    assert min(channels[EVENT], channels[CASE], channels[CLOUD]) >= 50
    assert min(modes[CLOUD, mode] for mode in ("structured", "binary", "batch")) >= 5
    assert modes[EVENT, "batch"] >= 3
    assert sum(len(post.signals) for post in posts) == len(signals)


def test_redeliveries_are_the_same_event_to_the_byte(signals: list[Signal]):
    repeats = [item for item in signals if item.repeats]
    originals = {item.id: item for item in signals if not item.repeats}

    assert len(repeats) >= 10
    for item in repeats:
        first = originals[item.id]
        assert item.at >= first.at
        assert encoded(Post(0, item.channel, "binary", (item,)), START) == encoded(
            Post(0, item.channel, "binary", (first,)), START
        )


def test_some_signals_come_late_and_out_of_order(signals: list[Signal]):
    times = [item.time(START) for item in signals]

    assert len([item for item in signals if item.at - item.happened > 60]) >= 20
    assert times != sorted(times)
    assert all(item.happened < item.at for item in signals)


def test_healthy_invoices_are_announced_like_the_others(signals: list[Signal]):
    wrong = {fact.entity_key for fact in planted(7, datetime.fromisoformat(TODAY).date())}
    posted = [item for item in signals if item.content.get("BusinessEventId") == "SalesInvoicePostedBusinessEvent"]

    assert len({item.entity for item in posted} - wrong) >= 30
    assert {item.entity for item in posted} & wrong


def test_some_things_are_covered_by_nobody(signals: list[Signal]):
    codes = Counter(item.content.get("code") for item in signals if item.channel == CLOUD)
    rules = {item.content.get("RuleId") for item in signals}
    types = Counter(item.content.get("Type") for item in signals if item.channel == CASE)

    assert codes["vendor_bank_changed"] >= 3
    assert codes["address_mismatch"] >= 3
    assert {"VENDOR_BANK_CHANGED", "DELIVERY_TERMS_CHANGED"} <= rules
    assert types["Other"] == 4


def test_a_business_event_has_the_envelope_of_the_wire(posts: list[Post]):
    post = next(post for post in posts if post.channel == EVENT and post.mode == "single")

    body, headers = encoded(post, START)
    event = json.loads(body)

    assert headers == {"Content-Type": "application/json"}
    assert event["EventTime"].startswith("/Date(")
    assert event["EventTimeIso8601"].endswith("0Z")
    assert event["InitiatingUserAADObjectId"].startswith("{")
    assert {"BusinessEventId", "BusinessEventLegalEntity", "ControlNumber", "EventId"} <= set(event)
    milliseconds = int(event["EventTime"][6:-2])
    assert abs(datetime.fromtimestamp(milliseconds / 1000, UTC) - post.signals[0].time(START)) < timedelta(seconds=1)


def test_control_numbers_are_unique_and_have_gaps(signals: list[Signal]):
    numbers = sorted({item.content["ControlNumber"] for item in signals if item.channel == EVENT})

    assert len(numbers) == len([item for item in signals if item.channel == EVENT and not item.repeats])
    assert numbers[-1] - numbers[0] >= len(numbers)


def test_a_batch_of_business_events_is_an_array(posts: list[Post]):
    post = next(post for post in posts if post.channel == EVENT and post.mode == "batch")

    assert len(json.loads(encoded(post, START)[0])) == len(post.signals) > 1


@pytest.mark.parametrize("mode", ["structured", "binary", "batch"])
def test_a_cloud_event_names_the_attributes_of_its_mode(posts: list[Post], mode: str):
    post = next(post for post in posts if post.channel == CLOUD and post.mode == mode)
    first = post.signals[0]

    body, headers = encoded(post, START)

    content = json.loads(body)
    if mode == "binary":
        assert (headers["ce-id"], headers["ce-source"], headers["ce-specversion"]) == (first.id, first.source, "1.0")
        data = content
    else:
        event = content[0] if mode == "batch" else content
        expected = "application/cloudevents-batch+json" if mode == "batch" else "application/cloudevents+json"
        assert headers["Content-Type"] == expected
        assert (event["id"], event["source"]) == (first.id, first.source)
        data = event["data"]
    assert {"code", "entity_type", "entity_key", "attributes", "amount", "business_unit", "region", "text"} == set(data)
    assert set(data["amount"]) == {"amount", "currency"}
