"""What the text of a playbook may say."""

from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from incidents.expressions import BadExpression
from playbooks.definitions import MAX_STEPS, PlaybookDefinition, unknown_names

CREDIT: dict[str, Any] = {
    "name": "credit",
    "title": "Credit invoice {invoice.InvoiceNumber}",
    "connection": "fo",
    "operation": "invoice.credit",
    "when": "invoice.RemainingAmount > 0",
    "arguments": {"invoice": "invoice.InvoiceNumber", "reason": "slots.reason", "full": True, "note": None},
}
TEXT: dict[str, Any] = {
    "causes": ["sent_twice"],
    "rationale": "{invoice.InvoiceNumber} was sent twice.",
    "slots": {"reason": {"values": ["duplicate", "wrong customer"], "default": "'duplicate'"}},
    "autonomy": {"max_risk": "low", "max_amount": "500.00", "currency": "EUR"},
    "steps": [CREDIT],
}


def definition(**changes: Any) -> PlaybookDefinition:
    return PlaybookDefinition.model_validate({**deepcopy(TEXT), **changes})


def step(**changes: Any) -> dict[str, Any]:
    return {**deepcopy(CREDIT), **changes}


def refusal(**changes: Any) -> dict[str, Any]:
    """The first thing that is wrong: where, and in which words."""
    with pytest.raises(ValidationError) as refused:
        definition(**changes)
    error = refused.value.errors()[0]
    return {
        "where": ".".join(map(str, error["loc"])),
        "words": error["msg"],
        "cause": error.get("ctx", {}).get("error"),
    }


def test_a_whole_definition_is_read():
    read = definition()

    assert read.autonomy is not None
    assert (read.autonomy.max_amount, str(read.autonomy)) == (Decimal("500.00"), "low risk and 500.00 EUR")
    assert read.steps[0].arguments["full"] is True
    assert read.slots["reason"].values == ["duplicate", "wrong customer"]


def test_what_is_kept_reads_back_as_it_was_written():
    kept = definition().model_dump(mode="json", by_alias=True, exclude_unset=True)

    assert kept == TEXT
    assert PlaybookDefinition.model_validate(kept) == definition()


def test_a_short_definition_is_enough():
    read = PlaybookDefinition.model_validate(
        {"rationale": "x", "steps": [{"name": "a", "title": "b", "connection": "fo", "operation": "hold.release"}]}
    )

    assert (read.causes, read.slots, read.autonomy, read.steps[0].when) == ([], {}, None, "")


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"steps": [step(when="invoice.Remaining >")]}, "steps.0.when"),
        ({"steps": [step(arguments={"invoice": "1 +"})]}, "steps.0.arguments.invoice"),
        ({"slots": {"reason": {"values": [1], "default": "(("}}}, "slots.reason.default"),
        ({"slots": {"reason": {"from": "nope(1)", "default": "1"}}}, "slots.reason.from"),
    ],
)
def test_a_bad_expression_is_refused_with_its_place(changes, where):
    found = refusal(**changes)

    assert found["where"] == where
    assert isinstance(found["cause"], BadExpression)
    assert found["cause"].line == 1


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"step": []}, "step"),
        ({"steps": []}, "steps"),
        ({"steps": [step(name=f"s{number}") for number in range(MAX_STEPS + 1)]}, "steps"),
        ({"steps": [step(wen="true")]}, "steps.0.wen"),
        ({"steps": [step(connection="FO prod")]}, "steps.0.connection"),
        ({"steps": [step(operation="invoice credit")]}, "steps.0.operation"),
        ({"steps": [step(arguments={"x": ["1"]})]}, "steps.0.arguments.x"),
        ({"steps": [step(arguments={"x": {"y": 1}})]}, "steps.0.arguments.x"),
        ({"autonomy": {"max_risk": "high"}}, "autonomy.max_risk"),
        ({"autonomy": {"max_risk": "low", "max_amount": "10.00"}}, "autonomy"),
        ({"autonomy": {"max_risk": "low", "currency": "EUR"}}, "autonomy"),
        ({"autonomy": {"max_risk": "low", "max_amount": "-1", "currency": "EUR"}}, "autonomy.max_amount"),
        ({"slots": {"reason": {"default": "1"}}}, "slots.reason"),
        ({"slots": {"reason": {"values": ["a"], "from": "['a']", "default": "'a'"}}}, "slots.reason"),
        ({"rationale": ""}, "rationale"),
    ],
)
def test_what_cannot_be_meant_is_refused_where_it_stands(changes, where):
    assert refusal(**changes)["where"] == where


def test_twenty_steps_are_allowed():
    assert len(definition(steps=[step(name=f"s{number}") for number in range(20)]).steps) == 20


def test_two_steps_of_one_name_are_refused():
    assert "Two steps are called “credit”" in refusal(steps=[CREDIT, CREDIT])["words"]


def test_a_slot_that_is_not_declared_is_refused():
    found = refusal(steps=[step(arguments={"reason": "slots.reson"})])

    assert "steps[0].arguments.reason uses slots.reson" in found["words"]


@pytest.mark.parametrize("source", ["'slots.nothing'", "invoice.slots.nothing"])
def test_a_text_that_only_looks_like_a_slot_is_none(source):
    assert definition(steps=[step(arguments={"reason": source})]).steps[0].arguments == {"reason": source}


def test_a_slot_is_not_made_of_slots():
    found = refusal(slots={**TEXT["slots"], "second": {"values": [1], "default": "slots.reason"}})

    assert "slots.second cannot be made of slots" in found["words"]


def test_names_are_held_against_the_evidence_of_the_kind():
    read = definition(steps=[step(title="Credit {order.Number}", arguments={"invoice": "invoce.InvoiceNumber"})])

    found = unknown_names(read, {"invoice"})

    assert sorted(found) == ["steps[0].arguments.invoice", "steps[0].title"]
    assert found["steps[0].arguments.invoice"][0].startswith("“invoce” is no evidence of this kind; it has derived,")
    assert unknown_names(definition(), {"invoice"}) == {}


def test_names_that_a_macro_binds_are_no_evidence():
    read = definition(steps=[step(when="lines.exists(line, line.Quantity > 1)")])

    assert unknown_names(read, {"invoice", "lines"}) == {}
