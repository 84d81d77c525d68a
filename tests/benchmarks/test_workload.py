"""A figure is only worth something when the dose is what it says."""

import json

import pytest

from tests.benchmarks.client import percentile
from tests.benchmarks.workload import batches, distinct, keys_with_duplicates, singles


def test_seven_tenths_of_the_signals_repeat_a_problem():
    drawn = keys_with_duplicates(20_000, 6_000)

    assert len(drawn) == 20_000
    assert set(drawn) == set(range(6_000))


def test_the_same_signals_are_sent_every_time():
    assert singles("a", 50, 15) == singles("a", 50, 15)


def test_every_event_has_an_id_of_its_own():
    ids = [json.loads(body)["id"] for body in singles("a", 200, 60)]

    assert len(set(ids)) == 200


def test_two_runs_share_no_problem():
    first = {json.loads(body)["data"]["entity_key"] for body in singles("a", 50, 15)}
    second = {json.loads(body)["data"]["entity_key"] for body in singles("b", 50, 15)}

    assert not first & second


def test_batches_hold_the_same_mixture_as_singles():
    batched = [event for body in batches("a", 120, 36, 50) for event in json.loads(body)]

    assert batched == [json.loads(body) for body in singles("a", 120, 36)]


def test_a_filled_inbox_has_one_problem_per_signal():
    keys = [event["data"]["entity_key"] for body in distinct("f", 120, 50) for event in json.loads(body)]

    assert len(keys) == len(set(keys)) == 120


def test_more_keys_than_signals_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        keys_with_duplicates(5, 6)


@pytest.mark.parametrize(("share", "value"), [(0.5, 50.0), (0.95, 95.0), (0.99, 99.0), (1.0, 100.0)])
def test_percentiles_are_values_that_were_measured(share, value):
    assert percentile([float(number) for number in range(1, 101)], share) == value
