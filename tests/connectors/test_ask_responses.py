"""The responses interface: asked in its own way, read into the same parts, and its failures within a 200 seen."""

import json
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest

from connectors import actions, gateway
from connectors.base import RateLimited, Refused, Unanswered
from connectors.models import Call, Connection
from tests.connectors.factories import SECRET, make_model
from tests.connectors.modelled import ASKED, TOOL, Model, ask

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"
CALL = {"type": "function_call", "id": "fc_9", "call_id": "call_1", "name": "release", "arguments": '{"order":"1"}'}
USAGE = {"input_tokens": 82, "output_tokens": 17, "total_tokens": 99}
SHAPE = {
    "type": "object", "properties": {"action": {"enum": ["release", "wait"]}}, "required": ["action"],
    "additionalProperties": False,
}  # fmt: skip
REFUSAL = {"type": "message", "content": [{"type": "refusal", "refusal": "I will not."}]}
SAID = cast(list[Any], ASKED["messages"])
STRUCTURE = {"name": "repair", "json_schema": SHAPE}


def text(said: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": said}]}


def cut(reason: str) -> dict[str, Any]:
    return {"status": "incomplete", "incomplete_details": {"reason": reason}}


def answer(*output: Any, **changes: Any) -> httpx2.Response:
    known = {
        "id": "resp_1", "object": "response", "status": "completed", "error": None, "incomplete_details": None,
        "model": "small-2026-01-01", "output": list(output), "usage": USAGE,
    }  # fmt: skip
    return httpx2.Response(200, json={**known, **changes}, headers={"x-request-id": "r-9"})


@pytest.fixture
def connection(db: None, model: Model) -> Connection:
    model.answer = answer({"type": "reasoning", "id": "rs_1", "summary": []}, CALL)
    return make_model(config={"interface": "responses"})


def fields(connection: Connection, **changes: Any) -> dict[str, Any]:
    return dict(ask(connection, **changes).records[0].fields)


def test_a_call_comes_back_under_its_call_id_wherever_it_stands(connection: Connection) -> None:
    assert fields(connection) == {
        "content": None, "refused": False, "finish_reason": "tool_calls", "model": "small-2026-01-01",
        "tool_calls": [{"id": "call_1", "name": "release", "arguments": '{"order":"1"}'}],
        "usage": {"prompt_tokens": 82, "completion_tokens": 17, "total_tokens": 99},
    }  # fmt: skip


def test_it_is_asked_in_its_own_words_and_stores_nothing(connection: Connection, model: Model) -> None:
    ask(connection)

    assert model.sent == {
        "model": "small", "store": False, "max_output_tokens": 300, "tool_choice": "required",
        "input": [{"role": "system", "content": "Propose."}, {"role": "user", "content": "Anna's order is held."}],
        "tools": [{"type": "function", "name": "release", "parameters": {"type": "object"}, "strict": True}],
    }  # fmt: skip
    assert str(model.requests[0].url) == "https://models.test/v1/responses"
    assert model.requests[0].headers["authorization"] == f"Bearer {SECRET}"


def test_what_a_tool_gave_goes_back_under_the_same_call_id(connection: Connection, model: Model) -> None:
    called = {"id": "call_1", "type": "function", "function": {"name": "release", "arguments": "{}"}}
    more = [
        {"role": "assistant", "content": "I release it.", "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "call_1", "content": "done"},
    ]
    named = {"type": "function", "function": {"name": "release"}}
    ask(connection, messages=[*SAID, *more], tool_choice=named)

    assert model.sent["input"][2:] == [
        {"role": "assistant", "content": "I release it."},
        {"type": "function_call", "call_id": "call_1", "name": "release", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "done"},
    ]
    assert model.sent["tool_choice"] == {"type": "function", "name": "release"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, ("Release it.", False, "stop")),
        (cut("max_output_tokens"), ("Release it.", False, "length")),
        (cut("content_filter"), ("Release it.", False, "content_filter")),
        ({"status": "incomplete"}, ("Release it.", False, "incomplete")),
        ({"output": [text("Release "), text("it.")]}, ("Release it.", False, "stop")),
        ({"output": []}, (None, False, "stop")),
        ({"output": [REFUSAL]}, ("I will not.", True, "stop")),
    ],
)
def test_texts_refusals_and_ends_are_told_as_chat_completions_tell_them(
    connection: Connection, model: Model, changes: dict[str, Any], told: tuple[Any, ...]
) -> None:
    model.answer = answer(text("Release it."), **changes)
    found = fields(connection)

    assert (found["content"], found["refused"], found["finish_reason"]) == told


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": "rate_limit_exceeded", "message": "Slow down."}, RateLimited),
        ({"code": "server_error", "message": "Try again."}, Unanswered),
        ({"code": "invalid_prompt", "message": "Not this."}, Refused),
        (None, Refused),
    ],
)
def test_a_failure_within_a_200_is_a_failure_and_what_it_cost_is_counted(
    connection: Connection, model: Model, error: Any, kind: type[Exception]
) -> None:
    model.answer = answer(status="failed", error=error)

    with pytest.raises(kind):
        ask(connection)

    assert Call.objects.get().tokens == 99


@pytest.mark.parametrize("status", ["in_progress", "queued", "cancelled", "", None])
def test_what_has_not_ended_is_no_answer(connection: Connection, model: Model, status: Any) -> None:
    model.answer = answer(text("half"), status=status)

    with pytest.raises(Unanswered):
        ask(connection)


@pytest.mark.parametrize("output", [None, 7, [{"type": "message"}], [{"type": "message", "content": [1]}]])
def test_an_answer_of_another_shape_is_none(connection: Connection, model: Model, output: Any) -> None:
    model.answer = answer(output=output)

    with pytest.raises(Unanswered) as said:
        ask(connection)

    assert said.value.code == "shape"


def test_items_of_unknown_types_are_passed_over(connection: Connection, model: Model) -> None:
    model.answer = answer(None, "text", {"type": "web_search_call"}, text("Release it."), {})

    assert fields(connection)["content"] == "Release it."


def test_the_newer_azure_has_it_and_the_classic_one_does_not(db: None, model: Model) -> None:
    model.answer = answer(text("ready"))
    config = {"service": "azure_v1", "base_url": "https://contoso.azure.test", "interface": "responses"}
    ask(make_model(config=config))
    assert str(model.requests[0].url) == "https://contoso.azure.test/openai/v1/responses"

    with pytest.raises(actions.Invalid) as refused:
        actions.valid_config("openai", {"service": "azure", "model": "small", "interface": "responses"})
    assert "azure_v1" in str(refused.value.errors["interface"])


@pytest.mark.parametrize("name", ["functions", "text-input", "reasoning"])
def test_published_examples_are_read(connection: Connection, model: Model, name: str) -> None:
    file = SAMPLES / f"openai-responses-{name}.response.txt"
    if not file.exists():
        pytest.skip("the published examples are not at hand")
    told = json.loads(file.read_text())
    model.answer = httpx2.Response(200, json=told)
    found = fields(connection)

    assert found["usage"]["total_tokens"] == told["usage"]["total_tokens"]
    assert bool(found["tool_calls"]) is (name == "functions")
    assert bool(found["content"]) is (name != "functions")


# --- answers of a given shape, by either interface ---------------------------------------------------------
@pytest.fixture(params=["chat", "responses"])
def either(request: pytest.FixtureRequest, db: None, model: Model) -> Connection:
    return make_model(config={"interface": request.param})


def say(model: Model, said: str, connection: Connection, *, end: str = "stop") -> None:
    if connection.config["interface"] == "responses":
        model.answer = answer(text(said), **(cut("max_output_tokens") if end == "length" else {}))
        return
    message = {"role": "assistant", "content": said, "refusal": None}
    body = {"id": "c", "model": "small", "choices": [{"index": 0, "finish_reason": end, "message": message}]}
    model.answer = httpx2.Response(200, json=body)


def test_an_answer_of_the_shape_that_was_asked_for_comes_as_data(either: Connection, model: Model) -> None:
    say(model, '{"action": "release"}', either)
    found = fields(either, tools=[], answer=STRUCTURE)
    schema = {"name": "repair", "schema": SHAPE, "strict": True}

    assert (found["data"], found["unusable"]) == ({"action": "release"}, "")
    if either.config["interface"] == "responses":
        assert model.sent["text"] == {"format": {"type": "json_schema", **schema}}
    else:
        assert model.sent["response_format"] == {"type": "json_schema", "json_schema": schema}


@pytest.mark.parametrize(
    ("said", "end", "why"),
    [
        ('{"action": "pay"}', "stop", "another shape"),
        ('{"action": "release", "amount": 1}', "stop", "another shape"),
        ('{"action": "rel', "stop", "not usable JSON"),
        ('{"action": NaN}', "stop", "not usable JSON"),
        ("", "stop", "not usable JSON"),
        ('{"action": "release"}', "length", "did not come to its end: length"),
    ],
)
def test_an_answer_of_another_shape_is_no_data_whatever_the_server_promised(
    either: Connection, model: Model, said: str, end: str, why: str
) -> None:
    say(model, said, either, end=end)
    found = fields(either, tools=[], answer=STRUCTURE)

    assert found["data"] is None
    assert why in found["unusable"]


def test_a_schema_that_is_none_is_refused_before_anything_is_sent(either: Connection, model: Model) -> None:
    with pytest.raises(gateway.Blocked, match="JSON Schema"):
        ask(either, answer={"name": "repair", "json_schema": {"type": "thing"}})

    assert model.requests == []


def test_a_schema_is_never_fetched_from_elsewhere(either: Connection, model: Model) -> None:
    say(model, "{}", either)
    found = fields(either, tools=[], answer={"name": "x", "json_schema": {"$ref": "https://elsewhere.test/s.json"}})

    assert (found["data"], "outside itself" in found["unusable"]) == (None, True)
    assert len(model.requests) == 1


def test_a_tool_that_says_nothing_of_strictness_is_not_strict(connection: Connection, model: Model) -> None:
    ask(connection, tools=[{**TOOL, "function": {"name": "release", "parameters": {"type": "object"}}}])

    assert model.sent["tools"][0]["strict"] is False
