"""Approval rules as documents of configuration."""

from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from django.contrib.auth.models import User
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from approvals.models import ApprovalRule
from approvals.rule_actions import TEXT, plain, put_rule
from approvals.seats import LOOKING, WORKING
from audit.errors import Invalid
from audit.manifests import Difference, DocumentType, differences


class ApprovalRuleDocument(BaseModel):
    """When somebody has to say yes, from which role, and how many of them."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["approval_rule"] = "approval_rule"
    slug: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")]
    label: Annotated[str, Field(min_length=1, max_length=120)]
    subjects: list[Literal["plan", "rollback"]] = Field(default=[], description="Empty: both.")
    min_risk: Literal["low", "medium", "high"] = "low"
    domains: list[str] = Field(default=[], description="Empty: every domain.")
    business_units: list[str] = Field(default=[], description="Empty: every unit.")
    financial_only: bool = False
    min_amount: Annotated[Decimal, Field(gt=0, max_digits=18, decimal_places=2)] | None = None
    currency: Annotated[str, Field(pattern=r"^([A-Z]{3})?$")] = ""
    role: str = "approver"
    quorum: Annotated[int, Field(ge=1, le=20)] = 1
    expires_minutes: Annotated[int, Field(ge=1, le=60 * 24 * 365)] = 1440
    enabled: bool = True
    owner: str = ""

    @field_validator("role")
    @classmethod
    def _role_can_decide(cls, role: str) -> str:
        # A role that never sees approvals, or only looks on, would leave the question open for ever.
        if role not in LOOKING & WORKING:
            raise ValueError(f"unknown or onlooking role {role}; one of {', '.join(sorted(LOOKING & WORKING))}")
        return role

    @model_validator(mode="after")
    def _amount_has_its_currency(self) -> Self:
        if (self.min_amount is None) != (not self.currency):
            raise ValueError("min_amount and currency belong together")
        return self

    @property
    def text(self) -> dict[str, Any]:
        """Return the rule's columns."""
        return {name: getattr(self, name) for name in TEXT}


def plan(document: ApprovalRuleDocument) -> list[Difference]:
    """Say what applying the document would change."""
    rule = ApprovalRule.objects.select_related("owner").filter(slug=document.slug).first()
    wanted = {**document.text, "owner": document.owner}
    return differences(f"approval_rule {document.slug}", plain(rule) if rule else None, wanted)


def apply(document: ApprovalRuleDocument, actor: str) -> bool:
    """Make the rule or bring it in line. Raises ``Invalid`` for an owner who does not exist."""
    owner = User.objects.filter(username=document.owner).first() if document.owner else None
    if document.owner and owner is None:
        raise Invalid(f"There is no user “{document.owner}”.", {"owner": [f"There is no user “{document.owner}”."]})
    return put_rule(document.slug, text=document.text, owner=owner, actor=actor)


DOCUMENTS: dict[str, DocumentType] = {"approval_rule": DocumentType(ApprovalRuleDocument, 60, plan, apply)}
