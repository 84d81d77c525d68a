"""A conversation as our side writes it, whichever interface carries it, and what is made of its answer."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import Field, JsonValue, StringConstraints, field_validator
from referencing import Registry
from referencing.exceptions import Unresolvable

from connectors.base import Arguments
from connectors.wire.payloads import BadPayload, loads_answer

# What the column of the call log holds; no conversation comes near it.
MOST_TOKENS = 2**31 - 1
ToolName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


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


class Structure(Arguments):
    """The shape that an answer must have: JSON Schema, the part of it that such services know."""

    name: ToolName
    json_schema: dict[str, JsonValue]
    strict: bool = True

    def asked(self) -> dict[str, Any]:
        """Return it as both interfaces write it; they only put it into different places."""
        return {"name": self.name, "schema": self.json_schema, "strict": self.strict}

    @field_validator("json_schema")
    @classmethod
    def sound(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Refuse what is no JSON Schema (2020-12)."""
        try:
            Draft202012Validator.check_schema(value)
        except SchemaError as error:
            raise ValueError(f"is no JSON Schema: {error.message[:200]}") from None
        return value


class ChatArguments(Arguments):
    """A conversation to be continued."""

    messages: list[Message] = Field(min_length=1, max_length=200)
    tools: list[Tool] = Field(default_factory=list, max_length=128)
    tool_choice: Literal["auto", "none", "required"] | dict[str, JsonValue] = "auto"
    max_tokens: int = Field(default=800, ge=1, le=100_000)
    answer: Structure | None = None


def usage_of(asked: Any, answered: Any, together: Any) -> dict[str, int]:
    """Read what an answer cost. Some servers leave the sum out; what was used counts all the same."""
    prompt, completion = _count(asked), _count(answered)
    total = max(_count(together), min(prompt + completion, MOST_TOKENS))
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}


def _count(value: Any) -> int:
    """Read a number of tokens; a server may send anything, and a negative sum would refill a budget."""
    return min(max(int(value or 0), 0), MOST_TOKENS)


def called(identifier: Any, function: Any) -> dict[str, str]:
    """Give a tool call flat. Its arguments stay a text: it should be JSON but need not be, and is validated above.

    Raises ``AttributeError`` where ``function`` is something else.
    """
    said = function or {}
    name, arguments = said.get("name"), said.get("arguments")
    return {"id": str(identifier or ""), "name": str(name or ""), "arguments": str(arguments or "")}


def structured(structure: Structure, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``data``, the answer read and held against its shape, and ``unusable``, why it could not be.

    Held against it here too: not every server does what it was asked for.
    """
    if fields["refused"]:
        return {"data": None, "unusable": "The model refused to answer."}
    if (end := fields["finish_reason"]) != "stop":
        return {"data": None, "unusable": f"The answer did not come to its end: {end[:60] or 'no reason was given'}."}
    try:
        data = loads_answer((fields["content"] or "").encode())
        # An empty registry: nothing is fetched, whatever a schema refers to.
        found = next(Draft202012Validator(structure.json_schema, registry=Registry()).iter_errors(data), None)
    except BadPayload as bad:
        return {"data": None, "unusable": f"The answer is not usable JSON: {bad}"}
    except Unresolvable:
        return {"data": None, "unusable": "The shape that was asked for refers to something outside itself."}
    if found is not None:
        where = "/".join(map(str, found.absolute_path)) or "the answer"
        return {"data": None, "unusable": f"The answer has another shape than was asked for, at {where[:100]}."}
    return {"data": data, "unusable": ""}
