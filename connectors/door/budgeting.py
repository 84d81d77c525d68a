"""Verbs about budgets, and the document that sets one."""

from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from pydantic import Field, field_validator, model_validator

from audit.actions import record
from audit.errors import Invalid
from audit.manifests import Difference, Document, DocumentType, differences
from connectors.door.models import Budget
from connectors.models import Connection

COLUMNS = ("calls", "tokens", "money", "currency", "time_zone", "spike")


def faults(connection: Connection | None, team: str, columns: dict[str, Any]) -> dict[str, list[str]]:
    """Say what is wrong with a budget, by field; empty: nothing."""
    errors: dict[str, list[str]] = {}
    if (connection is None) == (not team):
        errors["team"] = ["A budget is that of a connection or that of a team: one of the two."]
    money, currency = columns.get("money"), columns.get("currency") or ""
    if (money is None) != (not currency):
        errors["currency"] = ["An amount of money and its currency belong together."]
    elif currency and not (len(currency) == 3 and currency.isascii() and currency.isupper()):
        errors["currency"] = ["Is three capital letters, such as EUR."]
    if message := _unpriced(connection, team, money, currency):
        errors["money"] = [message]
    try:
        ZoneInfo(columns.get("time_zone") or "")
    except (KeyError, ValueError, OSError):
        errors["time_zone"] = ["There is no such time zone; write it as Europe/Berlin."]
    if all(columns.get(unit) is None for unit in ("calls", "tokens", "money", "spike")):
        errors.setdefault("calls", ["A budget limits calls, tokens or money, or tells of spikes."])
    return errors


def _unpriced(connection: Connection | None, team: str, money: Any, currency: str) -> str:
    if money is None or not currency:
        return ""
    mine = [connection] if connection else list(Connection.objects.filter(team=team))
    without = sorted(one.slug for one in mine if one.price_currency != currency)
    return f"No prices in {currency} stand at {', '.join(without)}; enter them first." if without else ""


@transaction.atomic
def set_budget(connection: Connection | None, team: str, *, actor: str, reason: str = "", **columns: Any) -> bool:
    """Give a connection or a team its budget, or change it. Returns whether anything changed. Raises ``Invalid``."""
    if errors := faults(connection, team, columns):
        raise Invalid("The budget is not valid.", errors)
    budget = _standing(connection, team)
    before = described(budget) if budget else {}
    budget = budget or Budget(connection=connection, team=team)
    for name in COLUMNS:
        setattr(budget, name, columns.get(name, getattr(Budget(), name)))
    after = described(budget)
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    if before and not changed:
        return False
    verb = "budget.changed" if before else "budget.added"
    budget.__dict__["_change_reason"] = reason[:100]
    budget.save()
    known = {name: before[name] for name in changed if name in before}
    record(verb, actor=actor, target=budget, reason=reason, before=known, after=changed, data={"name": str(budget)})
    return True


def _standing(connection: Connection | None, team: str) -> Budget | None:
    rows = Budget.objects.select_related("connection")
    return rows.filter(connection=connection).first() if connection else rows.filter(connection=None, team=team).first()


def described(budget: Budget) -> dict[str, Any]:
    """Return a budget as the ledger and a file tell of it."""
    values = {name: getattr(budget, name) for name in COLUMNS}
    return {**values, "money": None if budget.money is None else f"{Decimal(budget.money):.2f}"}


class BudgetDocument(Document):
    """How much a connection, or all connections of a team, may use in a day."""

    connection: str = ""
    team: str = Field(default="", pattern=r"^([a-z0-9][a-z0-9_-]{0,59})?$")
    calls: int | None = Field(default=None, ge=1, le=2_147_483_647)
    tokens: int | None = Field(default=None, ge=1, le=2_147_483_647)
    money: Decimal | None = Field(default=None, ge=0, max_digits=12, decimal_places=2)
    currency: str = ""
    time_zone: str = "UTC"
    spike: float | None = Field(default=None, ge=1.1, le=1000)

    @property
    def slug(self) -> str:
        """What it is called: whose budget it is."""
        return self.connection or f"team {self.team}"

    @model_validator(mode="after")
    def of_one(self) -> "BudgetDocument":
        if bool(self.connection) == bool(self.team):
            raise ValueError("a budget is that of a connection or that of a team: write one of the two")
        return self

    @field_validator("time_zone")
    @classmethod
    def zone_is_known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"there is no time zone {value}; write it as Europe/Berlin") from None
        return value


def plan_budget(document: BudgetDocument) -> list[Difference]:
    """Say what applying a budget would change. Raises ``Invalid``."""
    connection = _connection(document)
    wanted = _wanted(document)
    if errors := faults(connection, document.team, wanted):
        raise Invalid(f"The budget of {document.slug} is not valid.", errors)
    budget = _standing(connection, document.team)
    text = {**wanted, "money": None if document.money is None else f"{document.money:.2f}"}
    return differences(f"budget {document.slug}", described(budget) if budget else None, text)


def apply_budget(document: BudgetDocument, actor: str) -> bool:
    """Make the budget or bring it in line."""
    return set_budget(
        _connection(document), document.team, actor=actor, reason="applied from a file", **_wanted(document)
    )


def _wanted(document: BudgetDocument) -> dict[str, Any]:
    return {name: getattr(document, name) for name in COLUMNS}


def _connection(document: BudgetDocument) -> Connection | None:
    if not document.connection:
        return None
    found = Connection.objects.filter(slug=document.connection).first()
    if found is None:
        raise Invalid(
            f"There is no connection {document.connection}.", {"connection": ["Apply it first, or in the same run."]}
        )
    return found


DOCUMENTS: dict[str, DocumentType] = {"budget": DocumentType(BudgetDocument, 31, plan_budget, apply_budget)}
