"""OpenAI, Azure OpenAI and every server that speaks the same: chat completions or responses, with tools."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from audit.proofs import digest
from connectors.base import (
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
from connectors.kinds.openai.conversation import ChatArguments, Message, structured
from connectors.kinds.openai.settings import OpenAIConfig, Service
from connectors.kinds.openai.ways import WAYS, Way
from connectors.kit.answers import retry_after
from connectors.wire import addresses
from connectors.wire import model as modelwire
from connectors.wire.payloads import loads_answer

if TYPE_CHECKING:
    from openai import APIStatusError, OpenAI

# At DEBUG the package writes whole prompts.
logging.getLogger("openai").setLevel(logging.WARNING)


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
        tried = (f"POST {self.settings.base_url} {self._way.label} with the model {self.settings.model}",)
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
            raw = self._ask(self._way.request(arguments, self.settings))
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
            return self._record(loads_answer(raw.http_response.content), arguments)
        except (ValueError, TypeError, AttributeError, KeyError):
            # BadPayload, or members of another shape than the service documents.
            raise Unanswered(
                f"{self.label} answered with something that is no completion.", status=raw.status_code, code="shape"
            ) from None

    @property
    def _way(self) -> Way:
        """The interface by which this connection asks."""
        return WAYS[self.settings.interface]

    def _ask(self, body: dict[str, Any]) -> Any:
        return self._way.resource(self._client()).with_raw_response.create(**body)

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

    def _record(self, body: Any, arguments: ChatArguments) -> Record:
        told: Mapping[str, Any] = body if isinstance(body, Mapping) else {}
        # Counted first: what failed may have cost something all the same.
        usage = self._way.usage(told)
        self.trace.tokens = usage["total_tokens"]
        fields = self._way.fields(told)
        if arguments.answer is not None:
            fields |= structured(arguments.answer, fields)
        # The model that answered, which may be another than the one that was asked.
        fields |= {"usage": usage, "model": str(told.get("model") or self.settings.model)}
        return Record(self.name, self._way.entity, str(told.get("id") or ""), "", fields)

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
