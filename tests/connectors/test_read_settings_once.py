"""Settings are held against their kind's schema once for each configuration, and a changed one is seen at once."""

from typing import Any

import pytest
from pydantic import ValidationError

from connectors import actions, gateway, registry
from connectors.base import Blocked
from connectors.models import Connection
from tests.connectors.factories import Played, make_dv
from tests.connectors.openapi_world import SECRETS, Orders, make_api

BASE = "https://dv.test"


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which kinds' settings were worked out."""
    found: list[str] = []
    registry._settings.cache_clear()
    for kind in (registry.KINDS["dataverse"], registry.KINDS["openapi"]):
        original = kind.config.model_validate

        def validate(values: Any, *, _slug: str = kind.slug, _original: Any = original, **more: Any) -> Any:
            found.append(_slug)
            return _original(values, **more)

        monkeypatch.setattr(kind.config, "model_validate", validate)
    return found


def test_a_thousand_looks_at_one_configuration_hold_it_once(db: None, counted: list[str]) -> None:
    connection = make_dv(BASE)
    counted.clear()

    for _ in range(1000):
        fresh = Connection(slug=connection.slug, kind=connection.kind, config=dict(connection.config))
        registry.operations_of(fresh)
        registry.needs_of(fresh)
        registry.change_of(fresh, "record:account:1", {})

    assert counted == ["dataverse"]


def test_uses_of_one_connection_hold_its_settings_once(played: Played, db: None, counted: list[str]) -> None:
    orders = Orders(played)
    orders.put("7")
    connection = make_api()
    counted.clear()

    for _ in range(3):
        gateway.call(Connection.objects.get(pk=connection.pk), "order.get", {"id": "7"}, actor="test")

    assert counted == ["openapi"]


@pytest.mark.parametrize("by", ["this process", "another process"])
def test_a_changed_setting_counts_from_the_next_use_on(played: Played, db: None, by: str) -> None:
    orders = Orders(played)
    orders.put("7")
    connection = make_api()
    gateway.call(connection, "order.get", {"id": "7"}, actor="test")

    changed = {**connection.config, "base_url": "https://moved.contoso.test"}
    if by == "this process":
        fresh = Connection.objects.get(pk=connection.pk)
        actions.update_connection(fresh, actor="test", config=changed, secrets=SECRETS)
    else:
        # What another process wrote is only ever seen in the row.
        Connection.objects.filter(pk=connection.pk).update(config=changed)
    gateway.call(connection, "order.get", {"id": "7"}, actor="test")

    assert [request.url.host for request in played.calls] == ["orders.contoso.test", "moved.contoso.test"]


def test_an_operation_that_is_chosen_no_more_is_gone_at_once(db: None) -> None:
    connection = make_api()
    assert registry.operation_of(connection, "order.get") is not None

    Connection.objects.filter(pk=connection.pk).update(config={**connection.config, "chosen": [], "declarations": ""})
    connection.refresh_from_db()

    assert registry.operation_of(connection, "order.get") is None


def test_what_is_not_valid_is_never_kept(db: None) -> None:
    connection = make_dv(BASE)
    whole = dict(connection.config)
    connection.config = {"environment_url": 7}

    for _ in range(2):
        with pytest.raises(ValidationError):
            registry.settings_of(connection)
    with pytest.raises(Blocked):
        registry.settings_of(Connection(slug="x", kind="nobody", config={}))
    connection.config = whole
    assert registry.settings_of(connection) is registry.settings_of(connection)


def test_a_configuration_that_was_never_stored_may_hold_anything(db: None) -> None:
    """Such as what no JSON says: it is held all the same, and not kept."""
    connection = Connection(slug="x", kind="openapi", config={"chosen": {1, 2}})

    with pytest.raises(ValidationError):
        registry.settings_of(connection)
