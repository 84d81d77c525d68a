"""Connections over HTTP: made, changed, tried and stopped by those who may; secrets go in and never come out."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User

from audit.models import Entry
from audit.serializers import body_of
from connectors import actions, registry, vault
from connectors.base import Health
from connectors.models import Call, Connection, EmergencyStop
from tests.connectors.factories import HOOK_SECRET, SECRET, make_crm, make_fo

pytestmark = pytest.mark.django_db
HOME = "/api/v1/connections/"
CONFIG = {"environment_url": "https://contoso.operations.dynamics.test", "tenant": "contoso", "client_id": "goldseam"}
NEW = {"slug": "fo", "kind": "dynamics_fo", "label": "Finance", "config": CONFIG}


@pytest.fixture
def owner(api, automation) -> Any:
    return api(automation)


@pytest.fixture
def fo() -> Connection:
    return make_fo()


def read(client: Any, path: str = "", status: int = 200) -> Any:
    answer = client.get(HOME + path)
    assert answer.status_code == status, answer.content
    return answer.json()


def problem(answer: Any, status: int) -> Any:
    """The problem document of an answer that is one."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    return answer.json()


# --- Reading --------------------------------------------------------------------------------------


def test_connections_are_listed_by_name_and_paged(owner):
    for slug in ("c", "a", "b"):
        make_fo(slug=slug)

    first = read(owner, "?page_size=2")
    second = owner.get(first["next"]).json()

    assert [one["slug"] for one in first["results"]] == ["a", "b"]
    assert [one["slug"] for one in second["results"]] == ["c"]
    assert "config" not in first["results"][0]


def test_the_list_is_narrowed_by_what_a_connection_is(owner):
    make_fo()
    make_crm(enabled=False)

    assert [one["slug"] for one in read(owner, "?kind=salesforce")["results"]] == ["crm"]
    assert [one["slug"] for one in read(owner, "?enabled=true")["results"]] == ["fo"]
    assert read(owner, "?team=nobody")["results"] == []


def test_one_connection_shows_what_was_entered_and_of_secrets_only_that_they_are_set(owner, fo):
    told = read(owner, "fo/")

    assert told["config"]["client_id"] == "goldseam"
    assert told["secrets"] == {"client_secret": "set"}
    assert told["hook_secret"] == "set"
    assert told["operations"] == fo.operations
    assert told["stopped"] == []


def test_secrets_stand_in_no_answer(owner, fo):
    sealed = list(Connection.objects.get().secrets.values())
    answers = [owner.get(HOME + path) for path in ("", "fo/", "fo/operations/", "fo/calls/")]
    answers.append(owner.patch(HOME + "fo/", {"secrets": {"client_secret": "another-secret-altogether"}}))
    answers.append(owner.patch(HOME + "fo/", {"secrets": {"client_sekret": "yet-another-secret"}}))
    answers.append(owner.post(HOME, {**NEW, "secrets": {"client_secret": "yet-another-secret"}}))

    said = " ".join(answer.content.decode() for answer in answers)

    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 200, 400, 400]
    for secret in (SECRET, HOOK_SECRET, "another-secret-altogether", "yet-another-secret", *map(str, sealed)):
        assert secret not in said


@pytest.mark.parametrize("name", ["operator", "compliance", "automation", "auditor"])
def test_those_who_see_the_traffic_read(api, request, fo, name):
    client = api(request.getfixturevalue(name))

    for path in ("", "fo/", "fo/operations/", "fo/calls/"):
        read(client, path)
    assert client.get("/api/v1/connection-kinds/").status_code == 200


@pytest.mark.parametrize("name", ["viewer", "approver", "integration", "nobody"])
def test_others_do_not(api, request, fo, name):
    client = api(request.getfixturevalue(name))

    for path in ("", "fo/", "fo/operations/", "fo/calls/"):
        assert "operators" in problem(client.get(HOME + path), 403)["detail"]
    assert client.get("/api/v1/connection-kinds/").status_code == 403


def test_without_a_token_nothing_is_told(api, fo):
    assert problem(api().get(HOME + "fo/"), 401)["code"] == "not_authenticated"


def test_a_connection_that_is_not_there_is_404(owner):
    for path in ("x/", "x/operations/", "x/calls/"):
        problem(owner.get(HOME + path), 404)
    for act in ("test", "stop", "resume"):
        problem(owner.post(f"{HOME}x/{act}/", {"reason": "y"}), 404)


# --- Making ---------------------------------------------------------------------------------------


def test_a_connection_is_made_with_its_secrets_sealed(owner):
    answer = owner.post(
        HOME, {**NEW, "secrets": {"client_secret": "s3cret"}, "hook_secret": HOOK_SECRET, "reason": "New."}
    )

    row = Connection.objects.get()
    assert answer.status_code == 201
    assert answer.json()["secrets"] == {"client_secret": "set"}
    assert answer["ETag"] == f'"{answer.json()["version"]}"'
    assert vault.open_sealed(row, "client_secret", row.secrets["client_secret"]) == "s3cret"
    entry = Entry.objects.get(verb="connection.added")
    assert (entry.actor, entry.reason) == ("automation", "New.")
    assert "s3cret" not in json.dumps(body_of(entry))


def test_what_is_left_out_takes_its_default(owner):
    told = owner.post(HOME, NEW).json()

    assert told["enabled"] is True
    assert told["operations"] == []
    assert told["data_class"] == "business"
    assert told["config"].keys() > CONFIG.keys()


def test_two_connections_cannot_have_one_name(owner, fo):
    assert problem(owner.post(HOME, NEW), 400)["errors"] == {"slug": ["Taken."]}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": "typewriter"}, "kind"),
        ({"slug": "not a name"}, "slug"),
        ({"labell": "x"}, "labell"),
        ({"config": {"tenant": "contoso"}}, "config.environment_url"),
        ({"config": {**CONFIG, "colour": "red"}}, "config.colour"),
        ({"config": "red"}, "config"),
        ({"secrets": {"password": "x"}}, "secrets.password"),
        ({"hook_secret": "short"}, "hook_secret"),
        ({"operations": ["order.eat"]}, "operations"),
        ({"reads": ["order.eat"]}, "reads"),
        ({"labels": {"Name": "secret"}}, "labels.Name"),
        ({"owner": "nobody-of-that-name"}, "owner"),
        ({"data_class": "purple"}, "data_class"),
        ({"rate_calls": 5}, "rate_calls"),
        ({"price_call": "1.00"}, "price_currency"),
    ],
)
def test_what_cannot_be_meant_is_named_by_its_field_and_nothing_is_made(owner, changes, field):
    told = problem(owner.post(HOME, {**NEW, **changes}), 400)

    assert field in told["errors"], told
    assert not Connection.objects.exists()


@pytest.mark.parametrize("name", ["operator", "compliance", "auditor"])
def test_only_automation_owners_configure(api, request, fo, name):
    client = api(request.getfixturevalue(name))

    assert "Automation owners" in problem(client.post(HOME, {**NEW, "slug": "other"}), 403)["detail"]
    problem(client.patch(HOME + "fo/", {"label": "Mine"}), 403)

    assert Connection.objects.get().label == fo.label


def test_a_token_that_only_reads_changes_nothing(api, automation, fo):
    client = api(automation, scopes=["connections:read"])

    assert client.get(HOME + "fo/").status_code == 200
    assert client.get("/api/v1/connection-kinds/").status_code == 200
    problem(client.patch(HOME + "fo/", {"label": "x"}), 403)


def test_the_same_key_makes_one_connection(owner):
    first = owner.post(HOME, NEW, headers={"Idempotency-Key": "one"})
    again = owner.post(HOME, NEW, headers={"Idempotency-Key": "one"})

    assert (first.status_code, again.status_code) == (201, 201)
    assert again["Idempotent-Replayed"] == "true"
    assert Connection.objects.count() == 1


# --- Changing -------------------------------------------------------------------------------------


def test_only_what_is_named_is_changed(owner, fo):
    changes = {
        "label": "Ledger",
        "enabled": False,
        "labels": {"CustomerName": "personal"},
        "data_class": "non_business",
    }
    told = owner.patch(HOME + "fo/", changes).json()

    assert {name: told[name] for name in changes} == changes
    assert told["config"] == Connection.objects.get().config == fo.config
    assert told["operations"] == fo.operations
    assert told["secrets"] == {"client_secret": "set"}


def test_settings_are_joined_and_null_means_the_default_again(owner, fo):
    owner.patch(HOME + "fo/", {"config": {"client_id": "other", "authority": None}})

    config = Connection.objects.get().config
    assert config["client_id"] == "other"
    assert config["tenant"] == fo.config["tenant"]
    assert config["authority"] == registry.KINDS["dynamics_fo"].config.model_fields["authority"].get_default()


def test_writes_and_reads_and_limits_are_chosen(owner, fo):
    read_name = next(one.name for one in registry.KINDS["dynamics_fo"].operations if one.name.endswith(".get"))
    limits = {"rate_calls": 10, "rate_seconds": 60, "price_call": "0.25", "price_currency": "EUR"}
    body = {"operations": fo.operations[:1], "reads": [read_name], "team": "finance", **limits}

    told = owner.patch(HOME + "fo/", body).json()

    assert {name: told[name] for name in body} == {**body, "price_call": "0.250000"}
    allowed = {one["name"] for one in read(owner, "fo/operations/") if one["allowed"]}
    assert allowed == {fo.operations[0], read_name}


def test_a_secret_is_renewed_and_another_taken_away(owner, fo):
    told = owner.patch(
        HOME + "fo/", {"secrets": {"client_secret": ""}, "hook_secret": "a-new-hook-secret-for-all"}
    ).json()

    assert told["secrets"] == {"client_secret": "not set"}
    assert Connection.objects.get().hook_secret_digest != fo.hook_secret_digest


def test_a_change_stands_in_the_history_and_the_ledger_with_its_reason(owner, fo):
    owner.patch(HOME + "fo/", {"label": "Ledger", "reason": "Renamed by finance."})

    latest = Connection.objects.get().history.first()
    entry = Entry.objects.filter(verb="connection.changed").latest("n")
    assert (latest.label, latest.history_change_reason) == ("Ledger", "Renamed by finance.")
    assert (entry.actor, entry.reason) == ("automation", "Renamed by finance.")
    assert body_of(entry)["before"] == {"label": "fo"}
    assert body_of(entry)["after"] == {"label": "Ledger"}


def test_a_change_to_what_somebody_else_has_changed_is_refused(owner, fo):
    seen = owner.get(HOME + "fo/")["ETag"]
    first = owner.patch(HOME + "fo/", {"label": "One"}, headers={"If-Match": seen})

    second = owner.patch(HOME + "fo/", {"label": "Two"}, headers={"If-Match": seen})

    assert first.status_code == 200
    assert problem(second, 412)["code"] == "stale"
    assert Connection.objects.get().label == "One"
    assert owner.patch(HOME + "fo/", {"label": "Two"}, headers={"If-Match": first["ETag"]}).status_code == 200


def test_a_try_does_not_make_what_was_seen_stale(owner, fo, monkeypatch):
    monkeypatch.setattr("connectors.gateway.check", lambda connection, actor: Health(True, ("token",), "Fine."))
    seen = owner.get(HOME + "fo/")["ETag"]
    owner.post(HOME + "fo/test/")

    assert owner.patch(HOME + "fo/", {"label": "Two"}, headers={"If-Match": seen}).status_code == 200


def test_an_etag_that_cannot_be_read_is_refused(owner, fo):
    assert "If-Match" in problem(owner.patch(HOME + "fo/", {"label": "x"}, headers={"If-Match": "new"}), 400)["errors"]


@pytest.mark.parametrize(
    "body", [{"slug": "other"}, {"kind": "sap"}, {"health": "ok"}, {"config": {"client_id": ""}, "x": 1}]
)
def test_what_cannot_be_changed_is_refused_whole(owner, fo, body):
    problem(owner.patch(HOME + "fo/", {"label": "x", **body}), 400)

    assert Connection.objects.get().label == fo.label


def test_a_change_that_is_not_valid_changes_nothing(owner, fo):
    told = problem(owner.patch(HOME + "fo/", {"label": "x", "config": {"environment_url": "no address"}}), 400)

    assert list(told["errors"]) == ["config.environment_url"]
    assert Connection.objects.get().label == fo.label
    assert not Entry.objects.filter(verb="connection.changed").exists()


# --- Trying, stopping -----------------------------------------------------------------------------


def test_a_try_says_what_was_tried_and_what_came_back(owner, fo, monkeypatch):
    monkeypatch.setattr(
        "connectors.gateway.check", lambda connection, actor: Health(False, ("token", "read"), "No route.")
    )

    told = owner.post(HOME + "fo/test/").json()

    assert (told["ok"], told["tried"], told["message"]) == (False, ["token", "read"], "No route.")
    assert read(owner, "fo/")["health"] == "failing"
    assert Entry.objects.get(verb="connection.tested").actor == "automation"


def test_an_operator_stops_a_connection_and_lets_it_go_on(api, operator, fo):
    client = api(operator)

    stopped = client.post(HOME + "fo/stop/", {"reason": "Prices look wrong."}).json()
    again = client.post(HOME + "fo/stop/", {"reason": "Really."}).json()
    standing = actions.stopped(fo)
    resumed = client.post(HOME + "fo/resume/", {"reason": "Settled."}).json()

    assert [stop["reason"] for stop in stopped["stopped"]] == ["Prices look wrong."]
    assert again["stopped"] == stopped["stopped"]
    assert standing is not None
    assert resumed["stopped"] == []
    entered = Entry.objects.filter(verb__startswith="stop.").order_by("n").values_list("verb", "actor", "reason")
    assert list(entered) == [
        ("stop.started", "operator", "Prices look wrong."),
        ("stop.ended", "operator", "Settled."),
    ]


def test_one_operation_is_stopped_alone(owner, fo):
    name = fo.operations[0]

    told = owner.post(HOME + "fo/stop/", {"reason": "Wrong amounts.", "operation": name}).json()

    assert [(stop["operation"], stop["everywhere"]) for stop in told["stopped"]] == [(name, False)]
    assert actions.stopped(fo) is None
    problem(owner.post(HOME + "fo/stop/", {"reason": "x", "operation": "order.eat"}), 400)


def test_a_stop_of_everything_is_shown_at_each_connection(owner, fo):
    actions.stop_everything(reason="Closing.", actor="operator")

    assert [stop["everywhere"] for stop in read(owner, "fo/")["stopped"]] == [True]


def test_nothing_is_stopped_or_resumed_without_a_reason(owner, fo):
    for act in ("stop", "resume"):
        assert "reason" in problem(owner.post(f"{HOME}fo/{act}/", {}), 400)["errors"]
    assert not EmergencyStop.objects.exists()


def test_going_on_where_nothing_is_stopped_is_a_conflict(owner, fo):
    assert problem(owner.post(HOME + "fo/resume/", {"reason": "x"}), 409)["code"] == "nothing_stopped"


def test_an_auditor_tries_and_stops_nothing(api, auditor, fo):
    client = api(auditor)

    for act in ("test", "stop", "resume"):
        problem(client.post(f"{HOME}fo/{act}/", {"reason": "x"}), 403)
    assert not EmergencyStop.objects.exists()
    assert not Call.objects.exists()


def test_somebody_who_lost_the_role_changes_nothing_more(api, automation, fo):
    client = api(automation)
    User.objects.get(username="automation").groups.clear()

    problem(client.patch(HOME + "fo/", {"label": "x"}), 403)
