"""What a system delivers, with one part of it turned into something else: kept or refused, never a fault of ours."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from connectors import actions
from connectors.base import Connector, Sample
from connectors.inbound import webhooks
from connectors.models import Connection, Delivery
from tests.contracts.test_connector_kinds import KINDS, connection_of

SECRET = "a-hook-secret-of-some-length"
LISTENING = [pytest.param(kind, id=slug) for slug, kind in KINDS if kind.listens()]
ODD: list[Any] = [
    None, True, 0, -1, 1.5, 10**29, -(10**29), 1e308, "", " ", "x" * 3_000, "\u0001", "\ufffe", "😀", "'", "\\",
    "%00", "../..", "https://127.0.0.1/", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+14:00",
    "/Date(99999999999999999)/", "٣", "1e9", "NaN", [], [[]], {}, {"": ""}, ["x"] * 50,
    {"a": {"b": {"c": [1, {"d": None}]}}},
]  # fmt: skip
# What stands between two signs of an XML text.
_TEXT = re.compile(r">([^<>]+)<")


def twisted(value: Any, odd: Any) -> Iterator[Any]:
    """Give copies of JSON-like ``value``, each with another part of it replaced by ``odd`` or left out."""
    yield odd
    if isinstance(value, dict):
        for name, part in value.items():
            yield {key: one for key, one in value.items() if key != name}
            for other in twisted(part, odd):
                yield {**value, name: other}
    elif isinstance(value, list):
        for number, part in enumerate(value):
            for other in twisted(part, odd):
                yield [*value[:number], other, *value[number + 1 :]]


def bodies(text: str) -> Iterator[bytes]:
    """Give every twisted form of a sample, in JSON or in XML."""
    try:
        value = json.loads(text)
    except ValueError:
        spots = list(_TEXT.finditer(text))
        for odd in ("", " ", "x" * 3_000, "&#x1;", "&amp;", "-1", "9" * 40, "9999-12-31T23:59:59-23:59", "<a/>", "😀"):
            for spot in spots:
                yield (text[: spot.start(1)] + odd + text[spot.end(1) :]).encode()
        return
    for odd in ODD:
        for other in twisted(value, odd):
            yield json.dumps(other).encode()


def described(settings: Any) -> Sample:
    """An event of a kind whose settings say where its parts stand."""
    told = {settings.event_type: "thing.changed", settings.event_id: "1", settings.event_time: "2026-01-01T00:00:00Z"}
    return Sample(json.dumps({**told, "data": {"n": 1}}))


@pytest.fixture
def unsigned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is delivered be signed rightly: it is the rest of it that is twisted."""
    monkeypatch.setattr(webhooks, "proven", lambda *_: None)


@pytest.mark.parametrize("kind", LISTENING)
def test_every_twisted_form_of_a_sample_is_kept_or_refused(
    kind: type[Connector], db: None, unsigned: None, client: Client
) -> None:
    connection = connection_of(kind)
    actions.update_connection(connection, actor="test", hook_secret=SECRET)
    settings = kind.config.model_validate(connection.config)
    sample = kind.sample(settings) or described(settings)
    headers = {"X-Goldseam-Secret": SECRET, **{name: value for name, value in sample.headers if "<" not in value}}
    address, statuses = f"/api/v1/hooks/{connection.slug}/", set()

    for body in {*bodies(sample.body)}:
        answer: Any = client.post(address, body, content_type=sample.content_type, headers=headers)
        statuses.add(answer.status_code)
        assert answer.status_code < 500, body

    assert statuses <= {200, 202, 400, 401, 404, 413}
    assert 400 in statuses
    # What was kept can be read again, and is named within the bounds of its columns.
    kept = list(Delivery.objects.values_list("external_id", "event", "payload", "connection"))
    assert all(0 < len(row[0]) <= 200 and len(row[1]) <= 200 for row in kept)
    assert {row[3] for row in kept} <= {connection.pk}


@pytest.mark.parametrize("kind", LISTENING)
def test_a_flood_of_forged_deliveries_leaves_nothing_behind(kind: type[Connector], db: None, client: Client) -> None:
    connection = connection_of(kind)
    actions.update_connection(connection, actor="test", hook_secret=SECRET)
    before = dict(Connection.objects.values().get(pk=connection.pk))
    rows = counted()

    for number in range(30):
        for path in (f"{connection.slug}/", f"{connection.slug}/wrong-{number}-secret/", f"nobody-{number}/"):
            headers = {"X-Goldseam-Secret": f"wrong-{number}", "Idempotency-Key": f"k-{number}"}
            answer = client.post(f"/api/v1/hooks/{path}", b"{", content_type="application/json", headers=headers)
            assert answer.status_code in (401, 404)

    assert counted() == rows
    assert dict(Connection.objects.values().get(pk=connection.pk)) == before, "the real sender is not locked out"


def counted() -> dict[str, int]:
    """How many rows each table of the application has."""
    from django.apps import apps

    return {model._meta.label: model._default_manager.count() for model in apps.get_models()}
