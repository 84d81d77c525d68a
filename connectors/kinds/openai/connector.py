"""OpenAI, Azure OpenAI and every server that speaks the same: chat completions with tools."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, JsonValue, StringConstraints, field_validator

from audit.proofs import digest
from connectors import addresses, modelwire
from connectors.answers import retry_after
from connectors.base import (
    Arguments,
    Blocked,
    Connector,
    ConnectorError,
    Health,
    Locked,
    NotFound,
    Operation,
    RateLimited,
    Read,
    Record,
    Refused,
    Unanswered,
    Unauthorized,
    Unreachable,
    Write,
    Written,
)
from connectors.payloads import loads_answer

if TYPE_CHECKING:
    from openai import APIStatusError, OpenAI

# At DEBUG the package writes whole prompts.
logging.getLogger("openai").setLevel(logging.WARNING)

# What the column of the call log holds; no conversation comes near it.
MOST_TOKENS = 2**31 - 1
ToolName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Service(StrEnum):
    """Which of the three ways of addressing a model it is."""

    OPENAI = "openai"  # also every compatible server
    AZURE = "azure"  # the deployment stands in the path, api-version in the query
    AZURE_V1 = "azure_v1"  # as OpenAI, under /openai/v1, with the deployment as model


class OpenAIConfig(Arguments):
    """Which service, which model."""

    service: Service = Field(default=Service.OPENAI, title="Service")
    base_url: Annotated[str, StringConstraints(pattern=r"^https?://\S+$")] = Field(
        default="https://api.openai.com/v1", title="Base URL",
        description="For Azure the resource, such as https://contoso.openai.azure.com",
    )  # fmt: skip
    model: Annotated[str, StringConstraints(min_length=1, max_length=200)] = Field(
        title="Model", description="For Azure the name of the deployment."
    )
    api_version: str = Field(default="", title="API version", description="Classic Azure only, such as 2024-10-21.")
    organization: str = Field(default="", title="Organization")
    project: str = Field(default="", title="Project")
    timeout_seconds: float = Field(default=60, gt=0, le=600, title="Time limit (s)")
    old_token_limit: bool = Field(
        default=False,
        title="Old token limit",
        description="Send max_tokens: for servers that do not know the new name.",
    )

    @field_validator("base_url")
    @classmethod
    def without_slash(cls, value: str) -> str:
        """Cut the trailing slash."""
        return value.rstrip("/")


class Message(Arguments):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | None = None
    name: ToolName | None = None
    tool_calls: list[dict[str, JsonValue]] | None = None
    tool_call_id: str | None = None


class Function(Arguments):
    """What a tool is called and takes."""

    name: ToolName
    description: str | None = None
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    strict: bool | None = None


class Tool(Arguments):
    """A function that the model may ask for."""

    type: Literal["function"] = "function"
    function: Function


class ChatArguments(Arguments):
    """A conversation to be continued."""

    messages: list[Message] = Field(min_length=1, max_length=200)
    tools: list[Tool] = Field(default_factory=list, max_length=128)
    tool_choice: Literal["auto", "none", "required"] | dict[str, JsonValue] = "auto"
    max_tokens: int = Field(default=800, ge=1, le=100_000)


class OpenAIModel(Connector):
    """A model of OpenAI, Azure OpenAI or a compatible server: what it answers is a proposal, never an instruction."""

    slug = "openai"
    label = "OpenAI"
    config = OpenAIConfig
    secrets = frozenset({"api_key"})
    operations = (Read("chat.complete", ChatArguments, "Continue a conversation"),)
    reads_as = "model"
    settings: OpenAIConfig

    def check(self) -> Health:
        """Ask the model for a single word."""
        asked = ChatArguments(messages=[Message(role="user", content="Answer with the word: ready")], max_tokens=16)
        reply = self._complete(asked)
        tried = (f"POST {self.settings.base_url} chat completions with the model {self.settings.model}",)
        return Health(ok=True, tried=tried, message=f"Connected; {reply.fields['model']} answered.")

    def read(self, operation: Read, arguments: Any) -> list[Record]:
        """Return one record: content, tool calls, why it ended, usage, and the model that answered."""
        return [self._complete(arguments)]

    def write(self, operation: Write, arguments: Any, *, effect_key: str, version: str = "") -> Written:
        """Refuse: a model changes nothing."""
        raise Refused(f"{self.label} has nothing that could be changed.")

    def tokens_expected(self, operation: Operation, arguments: Any) -> int:
        """Count the longest answer and the conversation, three letters to a token: more than most languages take."""
        return int(arguments.max_tokens) + len(arguments.model_dump_json()) // 3

    def logged(self, operation: Operation, arguments: Any) -> dict[str, Any]:
        """Keep the shape of a conversation, never its text: that holds customers' data."""
        return {
            "model": self.settings.model,
            "messages": len(arguments.messages),
            "tools": [tool.function.name for tool in arguments.tools],
            "max_tokens": arguments.max_tokens,
            "prompt_digest": digest(arguments.model_dump(mode="json")),
        }

    def _complete(self, arguments: ChatArguments) -> Record:
        import openai

        # Said before anything is sent, in our words: the package would call it a connection error.
        addresses.checked_url(self.settings.base_url)
        self.trace.requests += 1
        try:
            raw = self._client().chat.completions.with_raw_response.create(**self._request(arguments))
        except openai.APIStatusError as error:
            raise self._failure(error) from None
        except openai.APITimeoutError as error:
            raise self._broken(error, "did not answer in time", "timeout") from None
        except openai.APIConnectionError as error:
            raise self._broken(error, "cannot be reached", "reset") from None
        except UnicodeError:
            # A header cannot carry the key, the organization or the project; the error holds it whole.
            raise Blocked(f"{self.label}: the key holds letters that HTTP cannot carry.", code="credentials") from None
        self.trace.status = raw.status_code
        self.trace.request_id = raw.headers.get("x-request-id", "")[:100]
        try:
            return self._record(loads_answer(raw.http_response.content))
        except (ValueError, TypeError, AttributeError):
            # BadPayload, or members of another shape than the service documents.
            raise Unanswered(
                f"{self.label} answered with something that is no completion.", status=raw.status_code, code="shape"
            ) from None

    def _request(self, arguments: ChatArguments) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self.settings.model,
            "messages": [message.model_dump(exclude_none=True) for message in arguments.messages],
            # Kept nowhere but here: customers' data must not stay with the service.
            "store": False,
            "max_tokens" if self.settings.old_token_limit else "max_completion_tokens": arguments.max_tokens,
        }
        if arguments.tools:
            request["tools"] = [tool.model_dump(exclude_none=True) for tool in arguments.tools]
            request["tool_choice"] = arguments.tool_choice
        return request

    def _client(self) -> OpenAI:
        import openai

        config = self.settings
        # No retries of its own: it would repeat what is final, such as a spent quota, and hide the tries.
        shared: dict[str, Any] = {
            "api_key": self.secret("api_key"),
            "max_retries": 0,
            "timeout": config.timeout_seconds,
            "http_client": modelwire.client(self.name, config.timeout_seconds),
            "organization": config.organization or None,
            "project": config.project or None,
        }
        if config.service is Service.AZURE:
            return openai.AzureOpenAI(
                azure_endpoint=config.base_url,
                azure_deployment=config.model,
                api_version=config.api_version or "2024-10-21",
                **shared,
            )
        if config.service is Service.AZURE_V1:
            headers = {"api-key": self.secret("api_key")}
            return openai.OpenAI(base_url=f"{config.base_url}/openai/v1", default_headers=headers, **shared)
        return openai.OpenAI(base_url=config.base_url, **shared)

    def _record(self, body: Any) -> Record:
        choices = body.get("choices") if isinstance(body, Mapping) else None
        if not isinstance(choices, list) or not choices:
            raise Unanswered(f"{self.label} answered without a choice.", status=self.trace.status, code="empty")
        choice = choices[0]
        message, usage = choice.get("message") or {}, body.get("usage") or {}
        asked, answered = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
        # Some servers leave the sum out; what was used counts against the budget all the same.
        self.trace.tokens = max(_count(usage.get("total_tokens")), min(asked + answered, MOST_TOKENS))
        fields = {
            "content": message.get("content") or message.get("refusal"),
            "refused": bool(message.get("refusal")),
            "tool_calls": [_tool_call(call) for call in message.get("tool_calls") or []],
            "finish_reason": str(choice.get("finish_reason") or ""),
            "usage": {
                "prompt_tokens": asked,
                "completion_tokens": answered,
                "total_tokens": self.trace.tokens,
            },
            # The model that answered, which may be another than the one that was asked.
            "model": str(body.get("model") or self.settings.model),
        }
        return Record(self.name, "chat.completion", str(body.get("id") or ""), "", fields)

    def _broken(self, error: Exception, what: str, code: str) -> ConnectorError:
        cause = error.__cause__
        if isinstance(cause, Blocked):
            return cause
        kind = Unreachable if modelwire.nothing_sent(cause) or isinstance(cause, Unreachable) else Unanswered
        return kind(f"{self.label} {what}.", code=code)

    def _failure(self, error: APIStatusError) -> ConnectorError:
        """Read an error defensively: Azure and gateways leave members out."""
        status, body = error.status_code, error.body if isinstance(error.body, Mapping) else {}
        self.trace.status = status
        code, text = str(body.get("code") or body.get("type") or ""), str(body.get("message") or "")[:500]
        said = f"{self.label}: {text}" if text else f"{self.label} answered {status}."
        wait = _wait(error.response.headers)
        if status == 429 and "insufficient_quota" in (str(body.get("code")), str(body.get("type"))):
            return Refused(
                f"{self.label}: the spending limit is reached; raise it there.", status=429, code="insufficient_quota"
            )
        if status == 429:
            return RateLimited(said, status=429, code=code, retry_after=wait)
        if status == 401:
            return Unauthorized(f"{self.label} does not accept the key.", status=401, code=code)
        if status == 409:
            return Locked(said, status=409, code=code, retry_after=wait)
        if status == 408 or status >= 500:
            return Unanswered(said, status=status, code=code, retry_after=wait)
        return (NotFound if status == 404 else Refused)(said, status=status, code=code)


def _wait(headers: Mapping[str, str]) -> float | None:
    """Read how long to wait; ``retry-after-ms`` is the exacter one. Reset headers are texts like 6m0s: left alone."""
    milliseconds = headers.get("retry-after-ms", "")
    if milliseconds.replace(".", "", 1).isdecimal():
        return min(float(milliseconds) / 1000, 86_400.0)
    return retry_after(headers.get("retry-after", ""))


def _count(value: Any) -> int:
    """Read a number of tokens; a server may send anything, and a negative sum would refill a budget."""
    return min(max(int(value or 0), 0), MOST_TOKENS)


def _tool_call(call: Any) -> dict[str, str]:
    """Give a tool call flat. Its arguments stay a text: it should be JSON but need not be, and is validated above."""
    function = (call.get("function") if isinstance(call, Mapping) else None) or {}
    name, arguments = function.get("name"), function.get("arguments")
    return {"id": str(call.get("id") or ""), "name": str(name or ""), "arguments": str(arguments or "")}
