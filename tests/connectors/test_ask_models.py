"""Language models through the openai package: three services, exact failures, nothing kept of the conversation."""

from typing import Any

import httpx2
import pytest

from connectors import gateway
from connectors.base import (
    Blocked,
    ConnectorError,
    Locked,
    NotFound,
    RateLimited,
    Refused,
    Unanswered,
    Unauthorized,
    Unreachable,
)
from connectors.models import Call
from tests.connectors.factories import SECRET, make_model
from tests.connectors.modelled import ANSWER, TOOL, Model, ask


def error_body(code: str, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": "told", "type": kind, "param": None, "code": code}}


def test_a_tool_call_comes_back_flat_with_its_arguments_as_text(db: None, model: Model) -> None:
    fields = ask(make_model()).records[0].fields

    assert fields["tool_calls"] == [{"id": "call_1", "name": "release", "arguments": '{"order":"1"}'}]
    assert (fields["content"], fields["finish_reason"], fields["model"]) == (None, "tool_calls", "small-2026-01-01")
    assert fields["usage"] == {"prompt_tokens": 82, "completion_tokens": 17, "total_tokens": 99}


def test_nothing_is_stored_with_the_service_and_everything_asked_for_is_sent(db: None, model: Model) -> None:
    ask(make_model())

    assert model.sent["store"] is False
    assert model.sent["max_completion_tokens"] == 300
    assert model.sent["tools"] == [TOOL]
    assert model.sent["tool_choice"] == "required"
    assert str(model.requests[0].url) == "https://models.test/v1/chat/completions"
    assert model.requests[0].headers["authorization"] == f"Bearer {SECRET}"


def test_the_call_row_counts_tokens_and_holds_no_word_of_the_conversation(db: None, model: Model) -> None:
    call = Call.objects.get(pk=ask(make_model()).call.pk)

    assert (call.direction, call.tokens, call.request_id, call.status) == ("model", 99, "r-9", 200)
    assert call.arguments["tools"] == ["release"]
    assert "Anna" not in str(call.__dict__)
    assert SECRET not in str(call.__dict__)


def test_classic_azure_names_the_deployment_in_the_path(db: None, model: Model) -> None:
    ask(make_model(config={"service": "azure", "base_url": "https://contoso.azure.test", "api_version": "2024-10-21"}))

    url = model.requests[0].url
    assert url.path == "/openai/deployments/small/chat/completions"
    assert url.params["api-version"] == "2024-10-21"
    assert model.requests[0].headers["api-key"] == SECRET


def test_the_newer_azure_names_it_in_the_body(db: None, model: Model) -> None:
    ask(make_model(config={"service": "azure_v1", "base_url": "https://contoso.azure.test/"}))

    assert str(model.requests[0].url) == "https://contoso.azure.test/openai/v1/chat/completions"
    assert model.sent["model"] == "small"
    assert model.requests[0].headers["api-key"] == SECRET


def test_an_older_server_is_sent_the_older_name_of_the_limit(db: None, model: Model) -> None:
    ask(make_model(config={"old_token_limit": True}), tools=[])

    assert model.sent["max_tokens"] == 300
    assert "max_completion_tokens" not in model.sent
    assert "tools" not in model.sent


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, error_body("context_length_exceeded"), Refused),
        (400, error_body("content_filter"), Refused),
        (401, error_body("invalid_api_key"), Unauthorized),
        (403, {}, Refused),
        (404, error_body("model_not_found"), NotFound),
        (409, {}, Locked),
        (429, error_body("rate_limit_exceeded", "tokens"), RateLimited),
        (429, error_body("insufficient_quota", "insufficient_quota"), Refused),
        (429, {}, RateLimited),
        (500, {}, Unanswered),
        (503, error_body(""), Unanswered),
        (408, {}, Unanswered),
    ],
)
def test_each_answer_becomes_its_exact_failure_after_one_request(
    db: None, model: Model, status: int, body: Any, expected: type[ConnectorError]
) -> None:
    model.answer = httpx2.Response(status, json=body)

    with pytest.raises(ConnectorError) as failed:
        ask(make_model())

    assert type(failed.value) is expected
    assert len(model.requests) == 1
    assert failed.value.status == status


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"retry-after-ms": "1500"}, 1.5), ({"retry-after": "9"}, 9.0), ({"x-ratelimit-reset-tokens": "6m0s"}, None)],
)
def test_how_long_to_wait_is_read_from_the_headers(
    db: None, model: Model, headers: dict[str, str], seconds: float | None
) -> None:
    model.answer = httpx2.Response(429, json={}, headers=headers)

    with pytest.raises(RateLimited) as limited:
        ask(make_model())

    assert limited.value.retry_after == seconds


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (httpx2.ConnectError("refused"), Unreachable),
        (httpx2.ConnectTimeout("slow"), Unreachable),
        (httpx2.ReadTimeout("slow"), Unanswered),
        (httpx2.ReadError("reset"), Unanswered),
        (httpx2.Response(200, text="<html>sign in</html>", headers={"content-type": "text/html"}), Unanswered),
        (httpx2.Response(200, json={**ANSWER, "choices": []}), Unanswered),
        (httpx2.Response(200, json=[]), Unanswered),
    ],
)
def test_a_broken_line_or_answer_is_told_apart(db: None, model: Model, broken: Any, expected: type[Exception]) -> None:
    model.answer = broken

    with pytest.raises(ConnectorError) as failed:
        ask(make_model())

    assert type(failed.value) is expected


def test_a_refusal_is_content_that_says_it_is_one(db: None, model: Model) -> None:
    message = {"role": "assistant", "content": None, "refusal": "I will not."}
    model.answer = httpx2.Response(200, json={**ANSWER, "choices": [{"message": message, "finish_reason": "stop"}]})

    fields = ask(make_model()).records[0].fields

    assert (fields["content"], fields["refused"], fields["tool_calls"]) == ("I will not.", True, [])


def test_odd_members_of_a_gateway_do_no_harm(db: None, model: Model) -> None:
    message = {"content": "ready", "tool_calls": [{}, {"function": None}], "surprise": 1}
    model.answer = httpx2.Response(200, json={"choices": [{"message": message}]})

    fields = ask(make_model()).records[0].fields

    assert fields["content"] == "ready"
    assert fields["tool_calls"] == [{"id": "", "name": "", "arguments": ""}] * 2
    assert fields["usage"]["total_tokens"] == 0


def test_a_private_address_is_refused_before_anything_is_sent(db: None, settings: Any) -> None:
    settings.OUTBOUND_ALLOW = []

    with pytest.raises(Blocked, match="OUTBOUND_ALLOW"):
        ask(make_model(config={"base_url": "http://127.0.0.1:9/v1"}))


def test_a_server_on_a_named_address_is_really_called(db: None, settings: Any) -> None:
    settings.OUTBOUND_ALLOW = ["127.0.0.1:9"]

    with pytest.raises(Unreachable):
        ask(make_model(config={"base_url": "http://127.0.0.1:9/v1"}))


@pytest.mark.parametrize(
    "changes",
    [
        {"messages": []}, {"max_tokens": 0}, {"surprise": 1}, {"tools": [{"function": {"name": "no spaces"}}]},
        {"messages": [{"role": "nobody", "content": "x"}]},
    ],
)  # fmt: skip
def test_a_request_that_does_not_fit_is_not_sent(db: None, model: Model, changes: dict[str, Any]) -> None:
    with pytest.raises(Blocked):
        ask(make_model(), **changes)

    assert model.requests == []


def test_the_connection_is_tried_by_asking_for_one_word(db: None, model: Model) -> None:
    health = gateway.check(make_model(), actor="test")

    assert health.ok
    assert "small-2026-01-01 answered" in health.message
    assert model.sent["max_completion_tokens"] == 16
