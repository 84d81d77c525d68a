"""What connections and kinds of systems tell over HTTP: operations with their arguments, calls, settings as schemas."""

import json
from typing import Any

import pytest

from audit.roles import ROLES
from connectors import actions, registry
from connectors.api import READERS
from connectors.models import Connection
from connectors.serializers import told_kind
from tests.connectors.factories import make_crm, make_fo
from tests.connectors.test_manage_connections import HOME, problem, read
from tests.connectors.test_show_health import NOW, called

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(api, automation) -> Any:
    return api(automation)


@pytest.fixture
def fo() -> Connection:
    return make_fo()


def test_operations_tell_their_arguments_risk_and_whether_they_may_be_used(owner, fo):
    actions.update_connection(fo, actor="x", operations=["hold.release"])
    told = {one["name"]: one for one in read(owner, "fo/operations/")}

    release = told["hold.release"]
    assert (release["use"], release["allowed"]) == ("write", True)
    assert release["risk"] in ("low", "medium", "high")
    assert release["reversible"] in ("exact", "net_zero", "until_period_close", "no")
    assert release["arguments"]["type"] == "object"
    assert all(one["allowed"] == (one["use"] == "read" or one["name"] == "hold.release") for one in told.values())


def test_calls_are_listed_newest_first_and_narrowed(owner, fo):
    called(fo, NOW, "refused", operation="hold.release", direction="write", incident_id=7)
    called(fo, NOW, operation="order.get")
    called(make_crm(), NOW)

    found = read(owner, "fo/calls/")["results"]

    assert [one["operation"] for one in found] == ["order.get", "hold.release"]
    assert [one["operation"] for one in read(owner, "fo/calls/?failed=true")["results"]] == ["hold.release"]
    assert [one["incident"] for one in read(owner, "fo/calls/?incident=7")["results"]] == [7]
    assert read(owner, "fo/calls/?since=2026-03-11T00:00:00Z")["results"] == []
    assert len(read(owner, "fo/calls/?page_size=1")["results"]) == 1
    problem(owner.get(HOME + "fo/calls/?incident=many"), 400)


def test_each_kind_tells_its_settings_secrets_and_operations(owner):
    told = {one["slug"]: one for one in owner.get("/api/v1/connection-kinds/").json()}

    assert set(told) == set(registry.KINDS)
    assert told["dynamics_fo"]["receives"] is True
    assert told["dynamics_fo"]["secrets"] == ["client_secret"]
    assert set(told["dynamics_fo"]["settings"]["required"]) >= {"environment_url"}
    assert (told["openai"]["receives"], told["openai"]["polls"], told["openai"]["tells"]) == (False, False, False)


@pytest.mark.parametrize("slug", sorted(registry.KINDS))
def test_what_a_kind_tells_is_json(slug):
    kind = registry.KINDS[slug]
    told = json.loads(json.dumps(told_kind(kind)))

    assert [one["name"] for one in told["operations"]] == [one.name for one in kind.operations]
    assert all(one["arguments"]["type"] == "object" for one in told["operations"])
    assert told["about"]


def test_readers_here_are_those_of_the_traffic():
    assert set(READERS) == {name for name, role in ROLES.items() if "traffic" in role.rights}
