"""How a model is reached, and by which of the interfaces that such services have."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from connectors.base import Arguments
from connectors.wire.roots import Root


class Service(StrEnum):
    """Which of the three ways of addressing a model it is."""

    OPENAI = "openai"  # also every compatible server
    AZURE = "azure"  # the deployment stands in the path, api-version in the query
    AZURE_V1 = "azure_v1"  # as OpenAI, under /openai/v1, with the deployment as model


class Interface(StrEnum):
    """Which of the two ways of asking a service knows."""

    CHAT = "chat"
    RESPONSES = "responses"


class OpenAIConfig(Arguments):
    """Which service, which model."""

    service: Service = Field(default=Service.OPENAI, title="Service")
    interface: Interface = Field(
        default=Interface.CHAT, title="Interface",
        description="Chat completions are known everywhere; responses only to OpenAI, Azure v1 and some others.",
    )  # fmt: skip
    base_url: Root = Field(
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

    @field_validator("interface")
    @classmethod
    def known_there(cls, value: Interface, info: ValidationInfo) -> Interface:
        """Refuse what classic Azure does not have."""
        if value is Interface.RESPONSES and info.data.get("service") is Service.AZURE:
            raise ValueError("classic Azure knows chat completions only; choose the service azure_v1")
        return value
