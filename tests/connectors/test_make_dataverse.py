"""What Dataverse is told to make, pair and do: ids of our own, duplicates, change sets, declared actions."""

import json

import pytest

from connectors import gateway
from connectors.base import Blocked, NotFound, Refused, Unanswered, VersionConflict
from connectors.kinds.dataverse.tables import id_for
from connectors.models import Connection
from tests.connectors.business import ACTIONS, CUSTOMER, DATAVERSE, plant_crm
from tests.connectors.conftest import Simulated
from tests.connectors.crm_uses import BACK, KEY, PATHS, Arguments, asked, looked_for, observed, send, write_of
from tests.connectors.factories import make_dv


@pytest.fixture
def ids(simulated: Simulated) -> dict[str, str]:
    return plant_crm(simulated)


# --- new records -------------------------------------------------------------------------------
def test_a_record_is_made_under_an_id_of_ours_so_a_repeat_adopts_the_first(
    dv: Connection, simulated: Simulated, ids: dict[str, str]
) -> None:
    name, arguments = asked("new case", ids)

    first, again = send(dv, name, arguments), send(dv, name, arguments)

    assert first.result == {"id": id_for(KEY, "incident")}
    assert again.result == {"id": id_for(KEY, "incident"), "found_by": "id"}
    assert len(simulated.effects(KEY)) == 1


def test_another_effect_makes_another_record_and_that_is_foreseen_by_their_number(
    dv: Connection, simulated: Simulated, ids: dict[str, str]
) -> None:
    name, arguments = asked("new case", ids)
    send(dv, name, arguments)
    write = write_of(dv, name)

    foreseen = write.predict(write.arguments.model_validate(arguments), observed(dv, name, arguments))
    send(dv, name, arguments, BACK)

    assert [(change.field, change.before, change.after) for change in foreseen] == [("Count", 1, 2)]
    assert observed(dv, name, arguments)[0].fields["Count"] == 2


def test_a_made_record_that_a_person_worked_on_is_not_deleted(
    dv: Connection, simulated: Simulated, ids: dict[str, str]
) -> None:
    name, arguments = asked("new case", ids)
    key = send(dv, name, arguments).result["id"]
    removal = {**arguments, "reference": KEY}
    version = observed(dv, "record.remove", removal)[0].version
    simulated.edit("dv", "incident", key, description="Called the customer.")

    with pytest.raises(VersionConflict):
        send(dv, "record.remove", removal, BACK, version)

    assert looked_for(dv, name, arguments) is not None


def test_a_record_with_nothing_to_recognise_it_by_is_refused_before_anything_is_sent(
    dv: Connection, simulated: Simulated
) -> None:
    with pytest.raises(Refused, match="name the columns in match"):
        observed(dv, "record.create", {"table": "task", "values": {"description": "x" * 101}})

    chosen = {"table": "task", "values": {"description": "x" * 101}, "match": ["description"]}
    assert observed(dv, "record.create", chosen)[0].fields == {"Count": 0}


def test_a_duplicate_is_told_by_its_code_although_the_status_is_that_of_a_failure(
    simulated: Simulated, ids: dict[str, str], db: None
) -> None:
    careful = make_dv(f"{simulated.url}/dv", secret="simulator", config={**DATAVERSE, "detect_duplicates": True})
    arguments = {"table": "account", "values": {"name": "Lamp House", "accountnumber": "DE-009"}}

    with pytest.raises(Refused, match="a duplicate of the current record already exists") as refused:
        send(careful, "record.create", arguments)

    assert (refused.value.status, refused.value.code) == (500, "0x80040333")
    assert not refused.value.effect_possible
    assert simulated.effects(KEY) == []


def test_a_write_to_a_deleted_row_does_not_make_it_anew(dv: Connection, simulated: Simulated) -> None:
    gone = {"table": "account", "id": "2f0c1c1e-0000-0000-0000-000000000001", "values": {"creditonhold": True}}

    with pytest.raises(NotFound, match="Does Not Exist"):
        send(dv, "record.update", gone)

    assert simulated.effects(KEY) == []


# --- change sets, relationships, actions -----------------------------------------------------------
def test_a_change_set_is_carried_out_whole_or_not_at_all(
    dv: Connection, simulated: Simulated, ids: dict[str, str]
) -> None:
    _, arguments = asked("together", ids)
    arguments["changes"][1]["values"] = {"shippingmethodcode": 99}

    with pytest.raises(Refused, match="not a valid option"):
        send(dv, "records.update", arguments)

    assert simulated.effects(KEY) == []
    assert observed(dv, "records.update", arguments)[0].fields["creditonhold"] is False


def test_only_relationships_that_were_named_are_changed(simulated: Simulated, ids: dict[str, str], db: None) -> None:
    shy = make_dv(f"{simulated.url}/dv", secret="simulator")
    name, arguments = asked("pair", ids)

    with pytest.raises(Blocked, match=r"may not change the relationship account\.new_account_contact"):
        send(shy, name, arguments)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"action": "wipe"}, "may not call wipe: its actions are hold, release"),
        ({"parameters": {}}, "Reason is missing"),
        ({"parameters": {"Reason": 7}}, "Reason must be text"),
        ({"parameters": {"Reason": "x", "Force": True}}, "Force is unknown"),
    ],
)
def test_an_action_is_called_only_as_it_was_declared(
    dv: Connection, simulated: Simulated, ids: dict[str, str], changes: Arguments, told: str
) -> None:
    name, arguments = asked("action", ids)

    with pytest.raises(Blocked, match=told):
        send(dv, name, {**arguments, **changes})

    assert not [row for row in simulated.requests() if "new_HoldOrder" in row["path"]]


def test_an_action_says_what_is_at_stake_and_names_the_declared_undo(dv: Connection, ids: dict[str, str]) -> None:
    name, arguments = asked("action", ids)
    write = write_of(dv, name)
    args = write.arguments.model_validate(arguments)
    records = observed(dv, name, arguments)
    assert write.amount is not None

    undo = write.undo(args, records, KEY)

    assert write.amount(args, records) == ("130.0", "EUR")
    assert undo is not None
    assert undo.arguments == {
        "action": "release", "id": ids["order"], "parameters": {"Reason": "Overdue"}, "reason": "Undo: ",
    }  # fmt: skip


def test_of_an_action_that_leaves_no_mark_nobody_claims_to_know(
    simulated: Simulated, ids: dict[str, str], db: None
) -> None:
    blind = {"hold": {**ACTIONS["hold"], "mark_parameter": "", "mark_column": ""}, "release": ACTIONS["release"]}
    connection = make_dv(f"{simulated.url}/dv", secret="simulator", config={"actions": json.dumps(blind)})
    name, arguments = asked("action", ids)
    simulated.fault("commit_then_reset", PATHS["action"], system="dv")
    with pytest.raises(Unanswered):
        send(connection, name, arguments)

    with pytest.raises(Refused, match="leaves no mark") as unknown:
        looked_for(connection, name, arguments)

    assert not unknown.value.retryable


def test_a_table_that_was_not_named_is_not_written_to(dv: Connection, simulated: Simulated) -> None:
    arguments = {"table": "systemuser", "id": "2f0c1c1e-0000-0000-0000-000000000001", "values": {"isdisabled": True}}

    with pytest.raises(Blocked, match="may not use the table systemuser"):
        send(dv, "record.update", arguments)

    assert simulated.requests() == []


def test_the_same_customer_is_found_by_the_number_that_all_systems_share(dv: Connection, ids: dict[str, str]) -> None:
    arguments = {"table": "account", "key": {"accountnumber": CUSTOMER}}

    found = gateway.call(dv, "record.by_key", arguments, actor="test").records

    assert [row.key for row in found] == [ids["account"]]
