"""Every write of Salesforce against the simulator: predicted, sent once, read back as predicted, undone."""

from typing import Any

import pytest

from connectors import gateway, registry
from connectors.base import Locked, NotFound, RateLimited, Refused, Unanswered, VersionConflict, Write
from connectors.models import Connection
from tests.connectors.business import CUSTOMER, INVOICE, ORDER, plant_case
from tests.connectors.conftest import Simulated

KEY = "a" * 40
NAMES = ["case.comment", "case.close", "case.reopen", "case.open"]
PATHS = {
    "case.comment": "POST .*CaseComment",
    "case.close": "PATCH .*Case/",
    "case.reopen": "PATCH .*Case/",
    "case.open": "PATCH .*Goldseam_Key__c",
}


@pytest.fixture
def case(simulated: Simulated) -> dict[str, Any]:
    return plant_case(simulated)


def arguments_of(name: str, case: dict[str, Any]) -> dict[str, Any]:
    return {
        "case.comment": {"case": case["Id"], "text": "The second invoice is credited: it's gone."},
        "case.close": {"case": case["Id"]},
        "case.reopen": {"case": case["Id"], "status": "New"},
        "case.open": {"account": case["AccountId"], "subject": "Freight", "order": ORDER, "invoice": INVOICE},
    }[name]


def write_of(connection: Connection, name: str) -> Write:
    found = registry.operation_of(connection, name)
    assert isinstance(found, Write)
    return found


def observed(connection: Connection, name: str, arguments: dict[str, Any]) -> Any:
    return gateway.observe(connection, name, arguments, actor="test")


def values(records: Any) -> dict[tuple[str, str, str], Any]:
    return {(row.entity, row.key, field): value for row in records for field, value in row.fields.items()}


@pytest.mark.parametrize("name", NAMES)
def test_a_write_does_exactly_what_was_predicted(
    crm: Connection, simulated: Simulated, case: dict[str, Any], name: str
) -> None:
    arguments = arguments_of(name, case)
    args, before = write_of(crm, name).arguments.model_validate(arguments), observed(crm, name, arguments)
    predicted = write_of(crm, name).predict(args, before)

    gateway.call(crm, name, arguments, actor="test", effect_key=KEY, version=before[0].version)

    after = values(observed(crm, name, arguments))
    assert predicted
    assert {c.field: after[c.entity, c.key, c.field] for c in predicted} == {c.field: c.after for c in predicted}
    assert len(simulated.effects(KEY)) == 1


@pytest.mark.parametrize("name", ["case.comment", "case.close", "case.reopen"])
def test_an_undo_restores_what_stood_before(
    crm: Connection, simulated: Simulated, case: dict[str, Any], name: str
) -> None:
    arguments = arguments_of(name, case)
    write = write_of(crm, name)
    args, before = write.arguments.model_validate(arguments), observed(crm, name, arguments)
    undo = write.undo(args, before, KEY)
    gateway.call(crm, name, arguments, actor="test", effect_key=KEY)
    assert undo is not None

    gateway.call(crm, undo.operation, undo.arguments, actor="test", effect_key="b" * 40)

    after = values(observed(crm, name, arguments))
    assert {c.field: after.get((c.entity, c.key, c.field)) for c in write.predict(args, before)} == {
        c.field: c.before for c in write.predict(args, before)
    }


def test_an_opened_case_is_closed_again_by_its_key(crm: Connection, case: dict[str, Any]) -> None:
    arguments = arguments_of("case.open", case)
    gateway.call(crm, "case.open", arguments, actor="test", effect_key=KEY)
    closing = write_of(crm, "case.close_by_key")
    args = closing.arguments.model_validate({"key": KEY})
    predicted = closing.predict(args, observed(crm, "case.close_by_key", {"key": KEY}))

    gateway.call(crm, "case.close_by_key", {"key": KEY}, actor="test", effect_key="b" * 40)

    opened = gateway.call(crm, "cases.by_invoice", {"invoice": INVOICE}, actor="test").records[0]
    assert (predicted[0].before, predicted[0].after) == ("New", "Closed")
    assert (opened.fields["Status"], opened.fields["Goldseam_Key__c"]) == ("Closed", KEY)


@pytest.mark.parametrize("name", NAMES)
def test_a_lost_answer_is_found_again(crm: Connection, simulated: Simulated, case: dict[str, Any], name: str) -> None:
    arguments = arguments_of(name, case)
    assert gateway.find(crm, name, arguments, effect_key=KEY, actor="test") is None
    simulated.fault("commit_then_reset", PATHS[name], system="sf")

    with pytest.raises(Unanswered):
        gateway.call(crm, name, arguments, actor="test", effect_key=KEY)

    assert gateway.find(crm, name, arguments, effect_key=KEY, actor="test") is not None
    assert len(simulated.effects(KEY)) == 1


def test_a_lost_deletion_is_found_by_the_absence_of_what_it_deleted(
    crm: Connection, simulated: Simulated, case: dict[str, Any]
) -> None:
    arguments = arguments_of("case.comment", case)
    gateway.call(crm, "case.comment", arguments, actor="test", effect_key=KEY)
    undo = {"case": case["Id"], "reference": KEY, "text": arguments["text"]}
    assert gateway.find(crm, "case.uncomment", undo, effect_key="b" * 40, actor="test") is None
    simulated.fault("commit_then_reset", "DELETE .*CaseComment", system="sf")

    with pytest.raises(Unanswered):
        gateway.call(crm, "case.uncomment", undo, actor="test", effect_key="b" * 40)

    assert gateway.find(crm, "case.uncomment", undo, effect_key="b" * 40, actor="test") is not None
    with pytest.raises(NotFound, match="0 comments carry the mark"):
        gateway.call(crm, "case.uncomment", undo, actor="test", effect_key="c" * 40)


def test_the_same_comment_twice_is_counted_and_each_has_its_own_mark(crm: Connection, case: dict[str, Any]) -> None:
    arguments = arguments_of("case.comment", case)
    gateway.call(crm, "case.comment", arguments, actor="test", effect_key=KEY)
    write = write_of(crm, "case.comment")
    args = write.arguments.model_validate(arguments)

    predicted = write.predict(args, observed(crm, "case.comment", arguments))

    assert [(change.field, change.before, change.after) for change in predicted] == [("Count", 1, 2)]
    assert gateway.find(crm, "case.comment", arguments, effect_key="b" * 40, actor="test") is None


def test_a_case_that_somebody_changed_is_not_overwritten(
    crm: Connection, simulated: Simulated, case: dict[str, Any]
) -> None:
    arguments = arguments_of("case.close", case)
    version = observed(crm, "case.close", arguments)[0].version
    simulated.edit("sf", "Case", case["Id"], Priority="High")

    with pytest.raises(VersionConflict):
        gateway.call(crm, "case.close", arguments, actor="test", effect_key=KEY, version=version)

    assert simulated.effects(KEY) == []


@pytest.mark.parametrize(("fault", "error"), [("412", VersionConflict), ("lock", Locked), ("429", RateLimited)])
def test_each_answer_of_salesforce_becomes_its_exact_failure(
    crm: Connection, simulated: Simulated, case: dict[str, Any], fault: str, error: type[Exception]
) -> None:
    simulated.fault(fault, PATHS["case.close"], system="sf")

    with pytest.raises(error):
        gateway.call(crm, "case.close", {"case": case["Id"]}, actor="test", effect_key=KEY)


def test_a_reached_request_limit_pauses_the_connection_although_no_header_says_for_how_long(
    crm: Connection, simulated: Simulated, case: dict[str, Any]
) -> None:
    simulated.fault("429", "GET .*sobjects/Case", system="sf")

    with pytest.raises(RateLimited) as limited:
        gateway.call(crm, "case.get", {"id": case["Id"]}, actor="test")

    crm.refresh_from_db()
    assert limited.value.code == "REQUEST_LIMIT_EXCEEDED"
    assert limited.value.retry_after == 60
    assert crm.not_before is not None


def test_a_refused_value_is_told_in_the_words_of_salesforce(crm: Connection, case: dict[str, Any]) -> None:
    arguments = {"case": case["Id"], "status": "Nonsense"}

    with pytest.raises(Refused, match="bad value for restricted picklist field: Nonsense") as refused:
        gateway.call(crm, "case.reopen", arguments, actor="test", effect_key=KEY)

    assert refused.value.code == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"


def test_an_id_of_15_letters_names_the_same_case(crm: Connection, case: dict[str, Any]) -> None:
    short = case["Id"][:15]

    found = gateway.call(crm, "case.get", {"id": short}, actor="test").records[0]

    assert found.key == case["Id"]
    assert gateway.call(crm, "case.get", {"id": "500gs0000zzzzzz"}, actor="test").records == []


def test_accounts_and_comments_are_found_by_what_the_erp_knows(crm: Connection, case: dict[str, Any]) -> None:
    gateway.call(crm, "case.comment", arguments_of("case.comment", case), actor="test", effect_key=KEY)

    account = gateway.call(crm, "account.by_number", {"number": CUSTOMER}, actor="test").records[0]
    comments = gateway.call(crm, "case_comments.list", {"case": case["Id"]}, actor="test").records

    assert account.fields["Name"] == "Lamp House"
    assert [comment.fields["ParentId"] for comment in comments] == [case["Id"]]
    assert KEY in comments[0].fields["CommentBody"]


def test_a_composite_read_looks_at_each_part(crm: Connection, case: dict[str, Any]) -> None:
    wanted = [
        {"type": "Case", "id": case["Id"]},
        {"type": "Account", "id": case["AccountId"], "fields": ["Id", "Name"]},
        {"type": "Case", "id": "500gs0000zzzzzz"},
    ]

    records = gateway.call(crm, "records.get", {"requests": wanted * 9}, actor="test").records

    assert len(records) == 18
    assert records[1].fields == {"Id": case["AccountId"], "Name": "Lamp House"}


def test_text_from_outside_cannot_leave_its_quotes(crm: Connection, case: dict[str, Any]) -> None:
    hostile = "' OR Status != '"

    assert gateway.call(crm, "cases.by_order", {"order": hostile}, actor="test").records == []
    assert gateway.call(crm, "cases.by_order", {"order": "back\\slash"}, actor="test").records == []
    assert len(gateway.call(crm, "cases.by_order", {"order": ORDER}, actor="test").records) == 1


def test_a_session_that_ended_is_renewed_once(crm: Connection, simulated: Simulated, case: dict[str, Any]) -> None:
    gateway.call(crm, "case.get", {"id": case["Id"]}, actor="test")
    simulated.client.post("/control/tokens/expire", json={"system": "sf"}).raise_for_status()

    answer = gateway.call(crm, "case.get", {"id": case["Id"]}, actor="test")

    assert answer.records[0].key == case["Id"]
    assert answer.call.requests == 3  # refused, a new token, again
