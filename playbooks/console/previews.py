"""Steps as people read them: what is called, what will differ field by field, and how it is taken back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from connectors.base import Reversible
from connectors.kit.confidential import shown
from incidents.known import system_labels
from playbooks import lasting
from playbooks.effects import EFFECT_KEY
from playbooks.models import Plan

UNDO_WORDS = {
    Reversible.EXACT: ("exact", "good"),
    Reversible.NET_ZERO: ("by counter-entry", "low"),
    Reversible.UNTIL_PERIOD_CLOSE: ("until period close", "low"),
}
# In these fields a plain number is a sum of money, whatever the system calls it.
_SUMS = ("amount", "price", "balance", "charge", "credit", "limit", "rate", "total", "tax")


@dataclass(frozen=True)
class Preview:
    """One change: the record it is in, its field, and the value before and after."""

    record: str
    entity: str
    field: str
    before: Any
    after: Any
    side_effect: bool = False


@dataclass(frozen=True)
class StepPreview:
    """One step, ready to be read."""

    number: int
    title: str
    system: str
    operation: str
    changes: Sequence[Preview]
    undo: str = ""
    undo_tone: str = "good"
    irreversible: bool = False
    undo_reason: str = ""  # why nothing takes it back
    state: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


def previews_of(plan: Plan, labels: Mapping[str, str]) -> list[StepPreview]:
    """Return a plan's steps, with the system's labels in place of connection names."""
    reasons = lasting.reasons_of(plan)
    told = ({**step.by_value, "undo_reason": reasons.get(step.number, "")} for step in plan.steps.all())
    return previews_in(told, labels)


def previews_in(steps: Iterable[Mapping[str, Any]], labels: Mapping[str, str]) -> list[StepPreview]:
    """Return steps that were stored by value, as a request for approval holds them."""
    return [_preview(step, labels) for step in steps]


def labels_of(slugs: Iterable[str]) -> dict[str, str]:
    """Return what people call each connection."""
    labels = system_labels()
    return {slug: labels[slug] for slug in slugs if slug in labels}


def _preview(step: Mapping[str, Any], labels: Mapping[str, str]) -> StepPreview:
    reversible = step.get("reversible") or Reversible.NO
    words, tone = UNDO_WORDS.get(reversible, ("", "good"))
    backward = str(step["title"]).startswith("Undo:")
    irreversible = not backward and (reversible == Reversible.NO or not step.get("undo"))
    return StepPreview(
        number=step["number"],
        title=step["title"],
        system=labels.get(step["connection"], step["connection"]),
        operation=step["operation"],
        changes=[_change(change) for change in step.get("predicted") or []],
        undo="plan again" if backward else words,
        undo_tone="low" if backward else tone,
        irreversible=irreversible,
        undo_reason=str(step.get("undo_reason") or "") if irreversible else "",
        parameters=shown(step.get("parameters") or {}),
    )


def _change(change: Mapping[str, Any]) -> Preview:
    name = change["field"]
    return Preview(
        record=change["key"],
        entity=change["entity"],
        field=name,
        before=value_of(name, change.get("before")),
        after=value_of(name, change.get("after")),
        side_effect=bool(change.get("side_effect")),
    )


def value_of(name: str, value: Any) -> Any:
    """Return a field's value for a person: sums with two decimals, the place of the effect key in words."""
    if value == EFFECT_KEY:
        return "this change's key"
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return value
    if not any(word in name.lower() for word in _SUMS):
        return value
    try:
        return f"{Decimal(str(value)):,.2f}"
    except InvalidOperation:
        return value
