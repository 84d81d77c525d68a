"""Why a step cannot be taken back stands where it is decided: in the plan, its approval and the API, for every kind."""

import json
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from approvals.models import ApprovalRequest
from connectors import actions, registry
from connectors.kit.declaredactions import DeclaredAction
from connectors.models import Connection
from playbooks import planning, plans, seals
from playbooks.chooser import Choice
from playbooks.console.previews import previews_in, previews_of
from playbooks.definitions import PlaybookDefinition
from playbooks.models import Plan
from playbooks.serializers import PlanSerializer
from tests.connectors.business import ACTIONS, DATAVERSE
from tests.connectors.factories import Played, make_dv
from tests.connectors.openapi_world import document, make_api, operation, parameter
from tests.factories import make_user
from tests.playbooks.world import make_incident, make_playbook

REASON = "The ledger closes at night; <b>call</b> the bank before."
NOTE = {"type": "object", "properties": {"id": {"type": "string"}, "state": {"type": "string"}}}
STATE = {"type": "object", "properties": {"state": {"type": "string"}}}
NOTES = document(
    {
        "/notes/{id}": {
            "parameters": [parameter("id", "path")],
            "get": operation(operationId="getNote", answer=NOTE),
            "patch": operation(operationId="updateNote", body=STATE),
        }
    }
)  # fmt: skip
FINAL = f'note.update: {{read_back: note.get, undo: none, undo_reason: "{REASON}"}}'
BACK = "note.update: {read_back: note.get, undo: note.update}"


@pytest.fixture
def played(db: None, monkeypatch: pytest.MonkeyPatch) -> Played:
    system = Played()
    monkeypatch.setattr("connectors.transport.wire", lambda: httpx.MockTransport(system))
    return system.on("GET", "/notes/7", httpx.Response(200, json={"id": "7", "state": "held"}))


def connected(declared: str) -> Connection:
    config = {"chosen": ["note.get", "note.update"], "declarations": declared}
    return make_api(NOTES, "https://notes.test", slug="notes", config=config)


def planned(**changes: Any) -> Plan:
    """A plan of one change, made by the planner."""
    incident = make_incident()
    step = {"name": "open", "title": "Open it", "connection": "notes", "operation": "note.update"}
    version = make_playbook([{**step, "arguments": {"id": '"7"', "state": '"open"'}, **changes}])
    valid = PlaybookDefinition.model_validate(version.definition)
    drafted = [planning._draft(incident, one, {}, "system:loop") for one in valid.steps]
    return planning._store(incident, version, Choice("mend", {}, candidates=["mend"]), drafted, rationale="Wrong.")


def page(person: User, address: str) -> str:
    browser = Client()
    browser.force_login(person)
    return browser.get(address).content.decode()


def test_the_reason_stands_in_the_plan_and_its_approval_and_the_api(played: Played) -> None:
    connected(FINAL)
    plan = planned()
    plans.submit(plan, actor="system:loop")
    asked = ApprovalRequest.objects.get()

    (preview,) = previews_of(plan, {})
    (bound,) = previews_in(asked.summary["steps"], {})
    assert (preview.irreversible, preview.undo_reason, bound.undo_reason) == (True, REASON, REASON)
    assert PlanSerializer(plan).data["steps"][0]["undo_reason"] == REASON
    approver = make_user("ann", role="approver")
    for address in (plan.incident.get_absolute_url(), reverse("approval", args=[asked.pk])):
        body = page(approver, address)
        assert "The ledger closes at night; &lt;b&gt;call&lt;/b&gt; the bank before." in body, address
        assert REASON not in body


def test_a_draft_tells_what_the_connection_states_and_a_question_keeps_what_was_asked(played: Played) -> None:
    connection = connected(FINAL)
    plan = planned()
    actions.update_connection(
        connection, actor="test", config={**connection.config, "declarations": FINAL.replace(REASON, "Another one.")}
    )
    draft = previews_of(plan, {})[0].undo_reason
    plans.submit(plan, actor="system:loop")
    actions.update_connection(connection, actor="test", config={**connection.config, "declarations": BACK})

    assert draft == "Another one."
    assert previews_of(plan, {})[0].undo_reason == "Another one."
    assert PlanSerializer(plan).data["steps"][0]["undo_reason"] == "Another one."


def test_that_it_cannot_be_undone_is_bound_and_why_is_not(played: Played) -> None:
    """A digest that was stored before reasons were told stays what it was."""
    connected(FINAL)
    plan = planned()

    assert seals._stored(plan) == plan.digest
    assert plan.steps.get().undo is None


def test_what_can_be_undone_states_no_reason(played: Played) -> None:
    connected(BACK)
    plan = planned()

    (preview,) = previews_of(plan, {})
    assert (preview.irreversible, preview.undo_reason) == (False, "")
    assert "undo_reason" not in plans.summary(plan)["steps"][0]
    assert PlanSerializer(plan).data["steps"][0]["undo_reason"] == ""


def test_a_plan_whose_connection_is_gone_or_unusable_is_still_read(played: Played) -> None:
    connection = connected(FINAL)
    plan = planned()
    Connection.objects.filter(pk=connection.pk).update(config={"base_url": "nowhere"})
    unusable = previews_of(plan, {})[0]
    Connection.objects.filter(pk=connection.pk).update(slug="renamed")

    assert [one.undo_reason for one in (unusable, previews_of(plan, {})[0])] == ["", ""]


# --- declared actions of other kinds ------------------------------------------------------------------
def _actions(**changes: Any) -> str:
    name = next(iter(ACTIONS))
    one = {key: value for key, value in ACTIONS[name].items() if key not in ("undo", "undo_parameters")}
    return json.dumps({name: {**one, **changes}})


def test_a_declared_action_states_its_reason_in_the_same_way(db: None) -> None:
    connection = make_dv("https://dv.test", config={**DATAVERSE, "actions": _actions(undo_reason="It sends a letter.")})
    name = next(iter(ACTIONS))

    told = registry.lasting_of(connection, "action.call", {"action": name})

    assert told == "It sends a letter."
    assert registry.lasting_of(connection, "record.update", {"action": name}) == ""
    assert registry.lasting_of(connection, "action.call", {"action": "unknown"}) == ""
    assert registry.lasting_of(connection, "action.call", {}) == ""


def test_a_reason_and_an_undo_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="leave out one of undo and undo_reason"):
        DeclaredAction.model_validate({"table": "account", "sets": {"x": 1}, "undo": "b", "undo_reason": "None."})
