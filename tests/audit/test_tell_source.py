"""Where a request came from, the database's clock, and the turns of a schedule."""

from datetime import UTC, timedelta
from typing import Any

import pytest
from django.test import RequestFactory

from audit.clock import db_now
from audit.context import Source, coming_from, current, with_token
from audit.middleware import SourceMiddleware, client_address
from audit.models import Slot
from audit.slots import take_slot
from tests.racing import numbered


def request(path: str = "/", **meta: Any):
    return RequestFactory().get(path, **meta)


@pytest.mark.parametrize(
    ("path", "channel"),
    [("/", "console"), ("/api/v1/incidents/", "api"), ("/api/v1/hooks/fo/", "hook"), ("/admin/auth/", "admin")],
)
def test_the_channel_follows_from_the_path(path, channel):
    seen = []

    def answer(asked):
        from django.http import HttpResponse

        seen.append(current())
        return HttpResponse()

    response = SourceMiddleware(answer)(request(path))

    assert (seen[0].channel, seen[0].address) == (channel, "127.0.0.1")
    assert response["X-Request-Id"] == seen[0].request_id
    assert current() == Source()


def test_a_token_is_noted_for_this_request_only():
    with coming_from(Source("api")):
        with_token("gs_abc")
        assert current().token == "gs_abc"

    assert current().token == ""


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "1.1.1.1", "127.0.0.1"),
        (1, "", "127.0.0.1"),
        (1, "6.6.6.6, 1.1.1.1", "1.1.1.1"),
        (2, "6.6.6.6, 1.1.1.1, 10.0.0.1", "1.1.1.1"),
        (3, "1.1.1.1, 10.0.0.1", "1.1.1.1"),
        (1, " , ", "127.0.0.1"),
    ],
)
def test_only_what_our_own_proxies_wrote_is_believed(settings, proxies, forwarded, address):
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "NUM_PROXIES": proxies}

    assert client_address(request(HTTP_X_FORWARDED_FOR=forwarded)) == address


@pytest.mark.django_db
def test_the_database_tells_an_aware_time_in_utc_that_moves_on():
    first, second = db_now(), db_now()

    assert first.tzinfo is UTC
    assert timedelta(0) <= second - first < timedelta(minutes=1)


@pytest.mark.django_db
@pytest.mark.usefixtures("one_turn")
def test_each_turn_is_taken_once():
    assert [take_slot("sla", 3600), take_slot("sla", 3600), take_slot("poll", 3600)] == [True, False, True]


@pytest.mark.django_db
def test_turns_of_long_ago_are_forgotten():
    Slot.objects.create(schedule="sla", slot=1, taken_at=db_now())

    take_slot("sla", 60)

    assert not Slot.objects.filter(slot=1).exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("one_turn")
def test_of_many_schedulers_one_takes_the_turn():
    assert sorted(numbered(6, lambda _: take_slot("sla", 86_400))) == [False] * 5 + [True]
