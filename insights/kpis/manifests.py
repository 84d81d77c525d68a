"""Assumptions as documents of configuration."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from django.db import transaction
from pydantic import Field, model_validator

from audit.manifests import Difference, Document, DocumentType, differences, enter_applied
from insights.kpis.models import Assumption

MONEY = ("hourly_rate", "token_price")


class AssumptionDocument(Document):
    """A figure that no row can tell, what it is about, and where it comes from."""

    kind: Literal["assumption"] = "assumption"
    name: Assumption.Name
    subject: Annotated[str, Field(pattern=r"^[-\w]{0,60}$")] = ""
    value: Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=4)]
    currency: Annotated[str, Field(pattern=r"^([A-Z]{3})?$")] = ""
    because: Annotated[str, Field(min_length=1, max_length=300)]

    @model_validator(mode="after")
    def _money_has_a_currency(self) -> "AssumptionDocument":
        if bool(self.currency) != (self.name.value in MONEY):
            raise ValueError(f"only {' and '.join(MONEY)} have a currency, and both need one")
        return self

    @property
    def columns(self) -> dict[str, Any]:
        """Return what the row holds."""
        return {"value": self.value, "currency": self.currency, "because": self.because}


def _row(document: AssumptionDocument) -> Assumption | None:
    return Assumption.objects.filter(name=document.name.value, subject=document.subject).first()


def plan_assumption(document: AssumptionDocument) -> list[Difference]:
    """Say what applying the document will change."""
    row, columns = _row(document), document.columns
    before = {name: getattr(row, name) for name in columns} if row else None
    return differences(f"assumption {document.name.value} {document.subject}".strip(), before, columns)


@transaction.atomic
def apply_assumption(document: AssumptionDocument, actor: str) -> bool:
    """State the assumption, or bring it in line."""
    lines = plan_assumption(document)
    if not lines:
        return False
    row = _row(document)
    fresh = row is None
    row = row or Assumption(name=document.name.value, subject=document.subject)
    for name, value in document.columns.items():
        setattr(row, name, value)
    row.save()
    told = [Difference(one.document, one.field, _plain(one.before), _plain(one.after)) for one in lines]
    enter_applied("assumption", row, told, actor, fresh=fresh)
    return True


def _plain(value: Any) -> Any:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else value


DOCUMENTS: dict[str, DocumentType] = {
    "assumption": DocumentType(AssumptionDocument, 60, plan_assumption, apply_assumption),
}
