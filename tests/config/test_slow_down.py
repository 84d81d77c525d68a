"""Writes are limited per caller and minute; reads are not."""

from typing import Any

import pytest

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.config.probes")]
URL = "/api/v1/probe/echo/"


@pytest.fixture(autouse=True)
def _three_a_minute(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.WRITES_PER_MINUTE = 3
    monkeypatch.setattr("config.api.throttles.time.time", lambda: 1_800_000_010.0)


def test_the_call_past_the_limit_is_429_and_told_when_to_come_back(api, operator):
    client = api(operator)

    answers = [client.post(URL, {}) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[-1]["Content-Type"] == "application/problem+json"
    assert answers[-1]["Retry-After"] == "50"


def test_the_next_minute_begins_anew(api, operator, monkeypatch):
    client = api(operator)
    for _ in range(4):
        client.post(URL, {})

    monkeypatch.setattr("config.api.throttles.time.time", lambda: 1_800_000_061.0)

    assert client.post(URL, {}).status_code == 200


def test_each_token_has_its_own_count(api, operator):
    busy, calm = api(operator), api(operator)
    for _ in range(4):
        busy.post(URL, {})

    assert calm.post(URL, {}).status_code == 200


def test_reading_is_not_counted(api, auditor):
    client = api(auditor)

    assert {client.get("/api/v1/audit/entries/").status_code for _ in range(6)} == {200}


def test_a_browser_is_counted_by_person(client, operator):
    client.force_login(operator)

    statuses = [client.post(URL, "{}", content_type="application/json").status_code for _ in range(4)]

    assert statuses == [200, 200, 200, 429]


def test_callers_without_a_name_are_counted_by_address(client):
    url = "/api/v1/hooks/probe/"

    statuses = [client.post(url).status_code for _ in range(4)]

    assert statuses == [200, 200, 200, 429]
    assert client.post(url, REMOTE_ADDR="10.0.0.9").status_code == 200


def test_a_counter_that_was_evicted_stops_nobody(api, operator, monkeypatch):
    def gone(*_: Any) -> int:
        raise ValueError

    monkeypatch.setattr("config.api.throttles.cache.incr", gone)

    assert api(operator).post(URL, {}).status_code == 200
