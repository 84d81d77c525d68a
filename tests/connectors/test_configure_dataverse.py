"""Setting Dataverse up: what may be entered, what is told beside which field, and the admin's way through the form."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pydantic import ValidationError

from connectors import registry
from connectors.kinds.dataverse.settings import DataverseConfig, number_of
from connectors.kinds.dataverse.tables import GUID, id_for, table_of, tracked_of
from connectors.models import Connection
from tests.connectors.business import ACTIONS
from tests.connectors.conftest import Simulated
from tests.connectors.factories import CRM, HOOK_SECRET, SECRET, TENANT, make_dv

LEAST = {"environment_url": CRM, "tenant": TENANT, "client_id": "goldseam"}
FORM = {
    "slug": "crm", "label": "Our CRM", "enabled": "on", "config_environment_url": CRM, "config_tenant": TENANT,
    "config_client_id": "goldseam", "config_tables": "account, incident, salesorder, new_box:new_boxes",
    "config_tracked": "incident(title)", "config_actions": json.dumps(ACTIONS), "config_labels": "on",
    "secret_client_secret": SECRET, "hook_secret": HOOK_SECRET, "operations": ["record.update", "action.call"],
    "change_reason": "First connection",
}  # fmt: skip


def settings_of(**changes: Any) -> DataverseConfig:
    return DataverseConfig.model_validate({**LEAST, **changes})


@pytest.fixture
def client(admin: User) -> Client:
    browser = Client()
    browser.force_login(admin)
    return browser


def test_the_environments_address_loses_its_slash_because_the_scope_is_made_of_it() -> None:
    assert settings_of(environment_url=CRM + "/").environment_url == CRM


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ("account", ("account", "accounts", "accountid")),
        ("Opportunity", ("opportunity", "opportunities", "opportunityid")),
        ("task", ("task", "tasks", "activityid")),
        ("new_box:new_boxes", ("new_box", "new_boxes", "new_boxid")),
        ("new_box:new_boxes:new_key", ("new_box", "new_boxes", "new_key")),
    ],
)
def test_a_table_is_named_as_shortly_as_its_names_are_regular(entry: str, found: tuple[str, str, str]) -> None:
    table = table_of(entry)

    assert (table.name, table.set, table.id) == found


def test_watched_tables_may_name_their_columns() -> None:
    assert tracked_of("account(name, creditonhold), incident,new_box ( new_x )") == {
        "account": ("name", "creditonhold"),
        "incident": (),
        "new_box": ("new_x",),
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("environment_url", "contoso"), ("tables", "account; drop"), ("tables", "../x"), ("tables", "a:b:c:d"),
        ("tables", " , "),
        ("tracked", "account(name"), ("tracked", "account(na me)"), ("actions", "{"), ("actions", "[]"),
        ("actions", '{"x": {}}'), ("many_to_many", "account"), ("refused_codes", "0x8"), ("expired_codes", "never"),
        ("page_size", 5001), ("api_version", "9.2"), ("front_end_url", "javascript:x"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_meant_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        settings_of(**{field: value})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tracked": "lead"}, "tracked names lead"),
        ({"query_entities": "lead"}, "query_entities names lead"),
        ({"unversioned": "lead"}, "unversioned names lead"),
        ({"many_to_many": "lead.x"}, "many_to_many names lead"),
        ({"actions": json.dumps(ACTIONS), "tables": "account"}, "actions names salesorder"),
    ],
)
def test_nothing_is_named_beyond_the_tables_it_may_use(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        settings_of(**changes)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"undo": "nothing"}, "its undo nothing is not declared"),
        ({"mark_column": ""}, "belong together"),
        ({"bound": False}, "which parameter takes the record"),
        ({"sets": {"new_onhold": "=Nobody"}}, "unknown parameter Nobody"),
        ({"sets": {}}, "at least 1"),
        ({"parameters": {"Reason": "blob"}}, "parameters.Reason"),
        ({"risk": "none"}, "risk"),
    ],
)
def test_an_action_is_declared_whole(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        settings_of(actions=json.dumps({**ACTIONS, "hold": {**ACTIONS["hold"], **changes}}))


@pytest.mark.parametrize(
    ("code", "number"), [("0x80040333", 0x80040333), ("-2147220685", 0x80040333), ("", -1), ("0x80040333x", -1)]
)
def test_one_error_code_has_two_spellings(code: str, number: int) -> None:
    assert number_of(code) == number


def test_an_id_belongs_to_one_effect_and_one_table() -> None:
    ids = {id_for(key, table) for key in ("a" * 40, "b" * 40) for table in ("account", "incident")}

    assert len(ids) == 4
    assert all(GUID.match(one) for one in ids)
    assert id_for("a" * 40, "account") == "835956a2-2af8-57e3-8bac-31573b2dcfea"


# --- admin -------------------------------------------------------------------------------------
ADDRESS = "/admin/connectors/connection/add/?kind=dataverse"


def filled_in(client: Client, **changes: Any) -> dict[str, Any]:
    """What a browser sends: every field as it was drawn, and what was typed over it."""
    form = client.get(ADDRESS).context["adminform"].form
    drawn = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    kept = {name: value for name, value in drawn.items() if value not in (None, False, "")}
    return {**kept, **FORM, **changes}


def test_the_form_has_what_the_kind_declares_and_saves_it(client: Client) -> None:
    choice = client.get(reverse("admin:connectors_connection_add")).content.decode()
    form = client.get(ADDRESS).content.decode()

    saved = client.post(ADDRESS, filled_in(client))

    connection = Connection.objects.get(slug="crm")
    page = client.get(reverse("admin:connectors_connection_change", args=[connection.pk])).content.decode()
    assert saved.status_code == 302
    assert "?kind=dataverse" in choice
    assert '<textarea name="config_actions"' in form
    assert "Call a declared action (action.call)" in form
    assert sorted(connection.operations) == ["action.call", "record.update"]
    assert connection.config["tracked"] == "incident(title)"
    assert json.loads(connection.config["actions"]) == ACTIONS
    assert SECRET not in page
    assert HOOK_SECRET not in page


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"config_tables": "no tables; here"}, "is no table: write name"),
        ({"config_actions": "{"}, "this is no JSON"),
        ({"config_tracked": "lead"}, "tracked names lead, which is not among the tables"),
    ],
)
def test_a_wrong_entry_is_told_and_nothing_is_saved(client: Client, wrong: dict[str, Any], message: str) -> None:
    answer = client.post(ADDRESS, filled_in(client, **wrong))

    assert answer.status_code == 200
    assert message in answer.content.decode()
    assert not Connection.objects.exists()


def test_the_button_tries_the_connection(client: Client, simulated: Simulated) -> None:
    connection = make_dv(f"{simulated.url}/dv", secret="simulator")
    simulated.plant("dv", "account", name="Lamp House")

    page = client.post(reverse("admin:connection-test", args=[connection.pk]), follow=True).content.decode()

    connection.refresh_from_db()
    assert connection.health == "ok"
    assert "Connected; one account was read." in page
    assert "/api/data/v9.2/accounts?$top=1" in page


def test_a_wrong_secret_is_told_in_the_words_of_the_token_server(client: Client, simulated: Simulated) -> None:
    connection = make_dv(f"{simulated.url}/dv", secret="wrong")

    page = client.post(reverse("admin:connection-test", args=[connection.pk]), follow=True).content.decode()

    connection.refresh_from_db()
    assert connection.health == "failing"
    assert "Invalid client secret provided" in page


def test_a_record_is_opened_in_the_model_driven_app(db: None) -> None:
    key = "2f0c1c1e-0000-0000-0000-000000000001"
    page = registry.page_of(make_dv(), "account", key)

    assert page is not None
    assert page.url == f"{CRM}/main.aspx?pagetype=entityrecord&etn=account&id={key}"
    named = {"PrimaryEntityName": "account", "PrimaryEntityId": key}
    assert registry.record_named(make_dv(slug="dv2"), "account.Update", named) == ("account", key)
    assert registry.record_named(make_dv(slug="dv3"), "x", {**named, "PrimaryEntityId": "7"}) is None
