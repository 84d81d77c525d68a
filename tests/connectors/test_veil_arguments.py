"""What another system only takes, such as a password: it is sent, bound by the seal, and stands nowhere in the open."""

import json
from typing import Any

import httpx
import pytest
from django.apps import apps
from django.core import serializers

from audit.errors import Invalid
from connectors import gateway, vault
from connectors.base import Blocked, ConnectorError
from connectors.kit import confidential
from connectors.models import Call, Connection
from connectors.redaction import HIDDEN
from playbooks import planning, seals
from playbooks.chooser import Choice
from playbooks.definitions import PlaybookDefinition
from playbooks.models import Plan, Step
from playbooks.serializers import StepSerializer
from tests.connectors.factories import Played
from tests.connectors.openapi_world import document, make_api, operation, parameter
from tests.playbooks.driving import begin, drive
from tests.playbooks.world import make_incident, make_playbook

PASSWORD, PIN, KEY = "correct-horse-battery", "90210-pin", "deep-access-key"
ACCESS = {"type": "object", "properties": {"level": {"type": "string"}, "key": {"type": "string", "writeOnly": True}}}
CODE = {"type": "object", "properties": {"code": {"type": "string", "writeOnly": True, "maxLength": 9}}}
USER = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "readOnly": True},
        "state": {"type": "string"},
        "password": {"type": "string", "writeOnly": True, "minLength": 8},
        "pin": {"type": "string", "format": "password"},
        "access": ACCESS,
        "free": {"oneOf": [CODE]},
    },
}  # fmt: skip
USERS = document(
    {
        "/users/{id}": {
            "parameters": [parameter("id", "path")],
            "get": operation(operationId="getUser", answer=USER),
            "patch": operation(operationId="updateUser", body=USER, answer=USER),
        }
    }
)
DECLARED = "user.update: {read_back: user.get, undo: user.update}"
GIVEN = {"id": "7", "state": "active", "password": PASSWORD, "pin": PIN, "access": {"level": "all", "key": KEY}}
SECRETS = (PASSWORD, PIN, KEY)


class Users:
    """A system that takes a password and never shows it."""

    def __init__(self, played: Played) -> None:
        self.row = {"id": "7", "state": "held"}
        self.sent: list[dict[str, Any]] = []
        played.on("GET", "/users/7", self.got).on("PATCH", "/users/7", self.changed)

    def got(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=self.row)

    def changed(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(json.loads(request.content))
        self.row["state"] = self.sent[-1].get("state", self.row["state"])
        return httpx.Response(200, json=self.row)


@pytest.fixture
def users(db: None, played: Played) -> Users:
    return Users(played)


@pytest.fixture
def connection(users: Users) -> Connection:
    config = {"chosen": ["user.get", "user.update"], "declarations": DECLARED}
    return make_api(USERS, "https://users.contoso.test", slug="users", config=config)


def planned(connection: Connection, **changes: Any) -> Plan:
    """A stored plan of one update, made by the planner."""
    arguments = {name: json.dumps(value) for name, value in {**GIVEN, **changes}.items()}
    step = {"name": "let_in", "title": "Let in", "connection": "users", "operation": "user.update"}
    incident = make_incident()
    version = make_playbook([{**step, "arguments": arguments}])
    valid = PlaybookDefinition.model_validate(version.definition)
    drafted = [planning._draft(incident, one, {}, "system:loop") for one in valid.steps]
    return planning._store(incident, version, Choice("mend", {}, candidates=["mend"]), drafted, rationale="Wrong.")


def dumped(*, without: tuple[str, ...] = ()) -> str:
    """Everything that stands in the database, but for the playbook that a person wrote the values into."""
    models = [model for model in apps.get_models() if model.__name__ not in without]
    return "".join(serializers.serialize("json", model._default_manager.all()) for model in models)


WRITTEN = ("PlaybookVersion", "HistoricalPlaybookVersion")


def test_a_password_is_sent_and_stands_in_no_table(connection: Connection, users: Users) -> None:
    plan = planned(connection)
    begin(plan)
    drive(plan.incident)

    assert users.sent[0] == {name: value for name, value in GIVEN.items() if name != "id"}
    assert plan.incident.status == "resolved"
    told = dumped(without=WRITTEN)
    assert not [secret for secret in SECRETS if secret in told]
    logged = Call.objects.get(direction="write").arguments
    assert (logged["password"], logged["access"]["key"], logged["state"]) == (HIDDEN, HIDDEN, "active")


def test_api_and_what_approvers_are_shown_hold_a_mark(connection: Connection) -> None:
    step = planned(connection).steps.get()

    shown = StepSerializer(step).data["parameters"]
    for told in (shown, step.by_value["parameters"]):
        assert told == {"id": "7", "state": "active", "password": HIDDEN, "pin": HIDDEN,
                        "access": {"level": "all", "key": HIDDEN}}  # fmt: skip


def test_nothing_that_cannot_be_read_back_is_foreseen(connection: Connection) -> None:
    step = planned(connection).steps.get()

    assert [change["field"] for change in step.predicted] == ["state"]
    assert step.undo == {"operation": "user.update", "parameters": {"id": "7", "state": "held"}}


def test_the_seal_binds_the_value_that_nobody_sees(connection: Connection) -> None:
    plan = planned(connection)
    execution = begin(plan)
    run = execution.step_runs.get()
    assert seals.altered(run) == ""

    step = plan.steps.get()
    Step.objects.filter(pk=step.pk).update(
        parameters={**step.parameters, "password": confidential.MARK + vault.seal_value('"another-password"')}
    )

    assert "not those that its digest was made of" in seals.altered(run)


def test_a_sealed_value_that_was_changed_is_refused_before_anything_is_sent(
    connection: Connection, users: Users
) -> None:
    sealed = confidential.MARK + vault.seal_value(json.dumps(PASSWORD))

    with pytest.raises(Blocked, match="plan again"):
        gateway.call(
            connection, "user.update", {"id": "7", "password": sealed[:-4] + "AAAA"}, actor="test", effect_key="k"
        )

    assert users.sent == []


def test_a_value_is_held_against_the_document_as_if_it_were_open_and_not_repeated(connection: Connection) -> None:
    sealed = confidential.MARK + vault.seal_value('"short"')

    for value in ("short", sealed):
        with pytest.raises(Blocked) as refused:
            gateway.call(connection, "user.update", {"id": "7", "password": value}, actor="test", effect_key="k")
        assert "at least 8 characters" in str(refused.value)
    with pytest.raises(Blocked) as held:
        gateway.call(
            connection, "user.update", {"id": "7", "free": {"code": "much-too-long"}}, actor="test", effect_key="k"
        )

    assert "much-too-long" not in str(held.value)
    assert "much-too-long" not in dumped()


def test_what_the_other_side_says_back_is_hidden_too(connection: Connection, played: Played) -> None:
    played.on("PATCH", "/users/7", httpx.Response(422, json={"title": f"{PASSWORD} was used before"}))

    with pytest.raises(ConnectorError) as refused:
        gateway.call(connection, "user.update", {"id": "7", "password": PASSWORD}, actor="test", effect_key="k")

    assert f"{HIDDEN} was used before" in str(refused.value)
    assert PASSWORD not in dumped()


@pytest.mark.parametrize(
    "declared",
    [
        "user.update: {read_back: user.get, undo: user.update, undo_with: {id: argument.id, state: argument.password}}",
        "user.update: {read_back: user.get, undo: user.update, sets: {password: password}}",
        "user.update: {read_back: user.get, undo: user.update, with: {id: argument.password}}",
        "user.update: {read_back: user.get, undo: user.update, match: {pin: pin}}",
    ],
)
def test_a_declaration_that_would_show_a_password_is_refused(db: None, declared: str) -> None:
    with pytest.raises(Invalid) as refused:
        make_api(USERS, config={"chosen": ["user.get", "user.update"], "declarations": declared})

    assert "only ever sent" in str(refused.value.errors)
