"""What a model server may answer, from the odd to the hostile: a proposal with honest counts, or an exact failure."""

import json
from typing import Any

import httpx2
import pytest

from connectors import gateway
from connectors.base import Blocked, ConnectorError, NotFound, RateLimited, Refused, Unanswered
from connectors.models import Call
from tests.connectors.factories import make_model
from tests.connectors.modelled import ANSWER, ASKED, Model, ask


def choice(**message: Any) -> dict[str, Any]:
    return {**ANSWER, "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}]}


def call(name: Any = "release", arguments: Any = "{}", **more: Any) -> dict[str, Any]:
    return {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def answered(model: Model, body: Any, status: int = 200, **headers: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    model.answer = httpx2.Response(status, content=content, headers={"content-type": "application/json", **headers})


# --- tool calls ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "arguments",
    ['{"order": "1"', "", "not json", "[]", '{"a":1,"a":2}', '{"order": NaN}', "{" * 5000, "\ufffd", '{"o":"\\u0000"}'],
)
def test_broken_arguments_come_back_as_the_text_they_are(db: None, model: Model, arguments: str) -> None:
    answered(model, choice(tool_calls=[call(arguments=arguments)]))

    told = ask(make_model()).records[0].fields["tool_calls"]

    assert told == [{"id": "c1", "name": "release", "arguments": arguments}]


def test_forty_calls_and_functions_that_nobody_offered_are_all_told(db: None, model: Model) -> None:
    calls = [call(name=f"drop_table_{number}", id=f"c{number}") for number in range(40)]
    answered(model, choice(tool_calls=calls))

    told = ask(make_model()).records[0].fields["tool_calls"]

    assert [one["name"] for one in told] == [f"drop_table_{number}" for number in range(40)]
    assert len({one["id"] for one in told}) == 40


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"function": {"name": None, "arguments": None}}, {"id": "", "name": "", "arguments": ""}),
        ({"id": None, "function": None}, {"id": "", "name": "", "arguments": ""}),
        ({"id": 7, "function": {"name": 7, "arguments": 7}}, {"id": "7", "name": "7", "arguments": "7"}),
        ({}, {"id": "", "name": "", "arguments": ""}),
    ],
)
def test_a_call_with_members_missing_is_told_with_blanks(
    db: None, model: Model, told: dict[str, Any], expected: dict[str, str]
) -> None:
    answered(model, choice(tool_calls=[told]))

    assert ask(make_model()).records[0].fields["tool_calls"] == [expected]


@pytest.mark.parametrize("calls", ["release", [None], ["x"], [7], {"a": 1}, [{"function": "release"}], 7])
def test_calls_of_another_shape_are_no_completion(db: None, model: Model, calls: Any) -> None:
    answered(model, choice(tool_calls=calls))

    with pytest.raises(Unanswered):
        ask(make_model())

    assert Call.objects.get().outcome == "unanswered"


# --- endings -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("message", "content", "refused"),
    [
        ({"content": "Yes.", "refusal": None}, "Yes.", False),
        ({"content": None, "refusal": "I cannot."}, "I cannot.", True),
        ({"content": "", "refusal": "I cannot."}, "I cannot.", True),
        ({"content": "partly", "refusal": "no"}, "partly", True),
        ({}, None, False),
    ],
)
def test_a_refusal_is_marked_as_one(
    db: None, model: Model, message: dict[str, Any], content: str | None, refused: bool
) -> None:
    answered(model, choice(**message))

    fields = ask(make_model()).records[0].fields

    assert (fields["content"], fields["refused"]) == (content, refused)


@pytest.mark.parametrize("reason", ["length", "content_filter", "stop", "tool_calls", None, "something_new"])
def test_why_it_ended_is_passed_on(db: None, model: Model, reason: str | None) -> None:
    body = choice(content="cut o")
    body["choices"][0]["finish_reason"] = reason
    answered(model, body)

    assert ask(make_model()).records[0].fields["finish_reason"] == (reason or "")


@pytest.mark.parametrize(
    "body",
    [
        {}, {"choices": []}, {"choices": None}, {"choices": {}}, {"choices": [None]}, {"choices": ["x"]},
        {"choices": [{"message": "x"}]}, [], "x", 7, None, b"", b"{", b"<html>hello</html>",
        b'{"choices": [], "choices": []}',
        b"\xff\xfe", b"[" * 5000, b'{"choices": [{"message": {"content": 1e999}}]}',
    ],
    ids=lambda body: str(body)[:30],
)  # fmt: skip
def test_what_is_no_completion_is_an_unanswered_call(db: None, model: Model, body: Any) -> None:
    answered(model, body)

    with pytest.raises(Unanswered):
        ask(make_model())

    row = Call.objects.get()
    assert (row.outcome, row.tokens) == ("unanswered", 0)
    assert row.finished_at is not None


# --- counting ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 82, "completion_tokens": 17, "total_tokens": 99}, 99),
        ({"prompt_tokens": 82, "completion_tokens": 17}, 99),
        ({"prompt_tokens": 82, "completion_tokens": 17, "total_tokens": None}, 99),
        ({"prompt_tokens": 82, "completion_tokens": 17, "total_tokens": 1}, 99),
        ({"total_tokens": 120, "completion_tokens_details": {"reasoning_tokens": 20}}, 120),
        ({"total_tokens": -5000}, 0),
        ({"prompt_tokens": -9, "completion_tokens": 4}, 4),
        ({"total_tokens": 10**15}, 2**31 - 1),
        ({"prompt_tokens": 2**31, "completion_tokens": 2**31}, 2**31 - 1),
        ({"total_tokens": 12.9}, 12),
        ({}, 0),
        (None, 0),
    ],
)
def test_what_was_used_is_counted_and_never_less_than_nothing(db: None, model: Model, usage: Any, tokens: int) -> None:
    answered(model, {**ANSWER, "usage": usage})

    answer = ask(make_model())

    assert Call.objects.get(pk=answer.call.pk).tokens == tokens
    assert answer.records[0].fields["usage"]["total_tokens"] == tokens


def test_a_model_other_than_the_one_asked_is_named(db: None, model: Model) -> None:
    answered(model, {**ANSWER, "model": "another-2026"})
    assert ask(make_model()).records[0].fields["model"] == "another-2026"


def test_a_server_that_names_no_model_is_taken_at_our_word(db: None, model: Model) -> None:
    answered(model, {name: value for name, value in ANSWER.items() if name not in ("model", "id")})

    record = ask(make_model()).records[0]

    assert (record.fields["model"], record.key) == ("small", "")


# --- failures ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (429, {"error": {"type": "insufficient_quota"}}, Refused),
        (429, {"error": {"code": "insufficient_quota", "type": None}}, Refused),
        (429, {"error": {"code": 429, "message": "slow down"}}, RateLimited),
        (429, {"message": "slow down"}, RateLimited),
        (429, [], RateLimited),
        (400, {"error": {"code": "content_filter", "status": 400, "innererror": {"code": "X"}}}, Refused),
        (404, {"error": {"code": "DeploymentNotFound"}}, NotFound),
        (404, b"<html>nothing here</html>", NotFound),
        (302, b"", Refused),
        (500, b"", Unanswered),
        (503, {"error": None}, Unanswered),
    ],
)
def test_errors_are_read_however_little_they_say(
    db: None, model: Model, status: int, body: Any, expected: type[ConnectorError]
) -> None:
    answered(model, body, status, location="https://elsewhere.test/")

    with pytest.raises(ConnectorError) as failure:
        ask(make_model())

    assert type(failure.value) is expected
    assert failure.value.status == status
    assert len(model.requests) == 1


@pytest.mark.parametrize("text", ["a\u0000b", "half \ud83d of one", "x" * 50_000])
def test_an_error_that_no_database_stores_still_closes_its_row(db: None, model: Model, text: str) -> None:
    answered(model, {"error": {"message": text, "code": text}}, 400)

    with pytest.raises(Refused):
        ask(make_model())

    row = Call.objects.get()
    assert row.outcome == "refused"
    assert len(row.message) <= 2000


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "60"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "60"}, 60.0),
        ({"retry-after-ms": "."}, None),
        ({"retry-after-ms": "999999999999"}, 86_400.0),
        ({"x-ratelimit-reset-tokens": "6m0s"}, None),
    ],
)
def test_how_long_to_wait_is_read_from_odd_headers_too(
    db: None, model: Model, headers: dict[str, str], wait: float | None
) -> None:
    answered(model, {"error": {"code": "rate_limit_exceeded"}}, 429, **headers)

    with pytest.raises(RateLimited) as limited:
        ask(make_model())

    assert limited.value.retry_after == wait


def test_a_superscript_is_no_number_of_milliseconds(db: None, model: Model) -> None:
    model.answer = httpx2.Response(429, headers=[(b"retry-after-ms", b"\xb2")], json={})

    with pytest.raises(RateLimited) as limited:
        ask(make_model())

    assert limited.value.retry_after is None


@pytest.mark.parametrize("key", ["sk-schlüssel", "sk-\u2019quoted\u2019", "sk-\u200bzero"])
def test_a_key_that_was_copied_with_its_typography_is_told_without_showing_it(db: None, model: Model, key: str) -> None:
    from connectors import actions

    connection = actions.set_secret(make_model(), "api_key", key, actor="test")

    with pytest.raises(Blocked) as blocked:
        ask(connection)

    assert blocked.value.code == "credentials"
    assert key not in f"{blocked.value} {vars(Call.objects.get())}"
    assert model.requests == []


@pytest.mark.parametrize(
    ("config", "path", "query"),
    [
        ({}, "/v1/chat/completions", ""),
        ({"base_url": "https://models.test/v1/"}, "/v1/chat/completions", ""),
        (
            {"service": "azure", "base_url": "https://contoso.openai.azure.com", "model": "our-gpt"},
            "/openai/deployments/our-gpt/chat/completions",
            "api-version=2024-10-21",
        ),
        (
            {"service": "azure", "base_url": "https://contoso.openai.azure.com/", "api_version": "2025-01-01"},
            "/openai/deployments/small/chat/completions",
            "api-version=2025-01-01",
        ),
        (
            {"service": "azure_v1", "base_url": "https://contoso.openai.azure.com/"},
            "/openai/v1/chat/completions",
            "",
        ),
    ],
)
def test_each_service_is_called_at_its_own_address(
    db: None, model: Model, config: dict[str, str], path: str, query: str
) -> None:
    ask(make_model(config=config))

    assert model.requests[0].url.path == path
    assert model.requests[0].url.query.decode() == query


@pytest.mark.parametrize(
    "change",
    [
        {"messages": []},
        {"messages": [{"role": "robot", "content": "x"}]},
        {"messages": [{"role": "user", "content": "half \ud83d"}]},
        {"messages": [{"role": "user", "content": "x"}] * 201},
        {"max_tokens": 0},
        {"max_tokens": 100_001},
        {"tools": [{"type": "function", "function": {"name": "drop table"}}]},
        {"temperature": 2},
    ],
)
def test_a_conversation_that_does_not_fit_leaves_its_row_and_no_word_of_it(
    db: None, model: Model, change: dict[str, Any]
) -> None:
    with pytest.raises(Blocked) as blocked:
        ask(make_model(), **change)

    assert blocked.value.code == "arguments"
    assert set(Call.objects.get().arguments) == {"names"}
    assert model.requests == []


def test_a_model_writes_nothing(db: None, model: Model) -> None:
    with pytest.raises(Blocked):
        gateway.call(make_model(), "chat.write", ASKED, actor="test", effect_key="k")

    assert model.requests == []
