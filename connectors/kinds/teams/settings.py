"""How a connection to Microsoft Teams is set up."""

from typing import Annotated

from pydantic import Field, StringConstraints

from connectors.base import Arguments
from connectors.talk import mentions
from connectors.talk.mentions import Patterns


class TeamsConfig(Arguments):
    """Where messages are posted, and what is heard."""

    workflow_host: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:-]{0,200}$")] = Field(
        default="", title="Host of the workflow",
        description="Such as prod-12.westeurope.logic.azure.com. The secret address is used only where it leads there.",
    )  # fmt: skip
    replay_seconds: int = Field(
        default=300, ge=0, le=86_400, title="Oldest message taken in (s)",
        description="By its own signed time: Teams signs no other. 0: of any age; each counts once all the same.",
    )  # fmt: skip
    tenant_id: Annotated[str, StringConstraints(pattern=r"^([0-9A-Fa-f-]{36})?$")] = Field(
        default="", title="Tenant id", description="Messages of others are refused; empty: any."
    )
    patterns: Patterns = mentions.patterns()
