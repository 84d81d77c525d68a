"""Who must say yes: approval rules held against what is to be done. A missing fact never switches a rule off."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings

from approvals.models import ApprovalRule

TIERS = {"low": 0, "medium": 1, "high": 2}
BUILT_IN = "built-in"


@dataclass(frozen=True)
class Requirement:
    """One demand: ``quorum`` distinct people of ``role``, asked for by ``version`` of ``rule``, ``because``."""

    rule: str
    version: int
    role: str
    quorum: int
    because: str
    expires_minutes: int


@dataclass(frozen=True)
class Stake:
    """What is to be agreed to, as rules see it.

    ``related_amount``: what other pending and approved requests of the same customer or entity sum up to (the last
    24 hours, same currency). It counts towards every threshold, so a large sum cannot pass in small parts.
    """

    subject: str
    risk_tier: str
    amount: Decimal | None = None
    currency: str = ""
    domain: str = ""
    business_unit: str = ""
    financial: bool = False
    related_amount: Decimal | None = None


def requirements_for(
    *,
    subject: str,
    risk_tier: str,
    amount: Decimal | None,
    currency: str,
    domain: str,
    business_unit: str,
    financial: bool,
    related_amount: Decimal | None = None,
) -> list[Requirement]:
    """Return what every matching rule demands, in the order of their names; nothing: nobody needs to be asked.

    ``amount`` and ``related_amount`` are in ``currency``. A threshold in another currency counts as reached, and so
    does one that meets an unknown amount of a financial change. Whatever is of high risk, and each rollback of a
    posting, needs one approver even where no rule speaks.
    """
    stake = Stake(subject, risk_tier, amount, currency, domain, business_unit, financial, related_amount)
    rules = ApprovalRule.objects.filter(enabled=True).order_by("slug")
    return demanded(stake, list(rules))


def demanded(stake: Stake, rules: Sequence[ApprovalRule]) -> list[Requirement]:
    """Return what ``rules`` demand of ``stake``, the built-in floor included."""
    found = [_requirement(rule, stake) for rule in rules if matches(rule, stake)]
    if found:
        return found
    if stake.subject == ApprovalRule.Subject.ROLLBACK and stake.financial:
        return [fallback("the rollback of a financial posting is never done unasked")]
    if _tier(stake.risk_tier) >= TIERS["high"]:
        return [fallback("a change of high risk is never made unasked")]
    return []


def fallback(because: str) -> Requirement:
    """Return the demand for one approver, for when somebody must be asked and no rule says whom."""
    minutes = int(settings.APPROVAL_EXPIRES.total_seconds() // 60)
    return Requirement(BUILT_IN, 1, "approver", 1, because, minutes)


def matches(rule: ApprovalRule, stake: Stake) -> bool:
    """Tell whether ``rule`` speaks. Each blank in the stake is read as "could be"."""
    return (
        _listed(rule.subjects, stake.subject)
        and _tier(stake.risk_tier) >= TIERS.get(rule.min_risk, 0)
        and _listed(rule.domains, stake.domain)
        and _listed(rule.business_units, stake.business_unit)
        and (stake.financial or not rule.financial_only)
        and _reaches(rule, stake)
    )


def _listed(wanted: Sequence[str], value: str) -> bool:
    return not wanted or not value or value in wanted


def _tier(risk: str) -> int:
    # A tier that nobody knows is treated as the highest.
    return TIERS.get(risk, TIERS["high"])


def _reaches(rule: ApprovalRule, stake: Stake) -> bool:
    """Tell whether the sum at stake reaches the rule's threshold, or cannot be compared with it."""
    if rule.min_amount is None:
        return True
    if stake.amount is None and stake.related_amount is None:
        return stake.financial
    total = abs(stake.amount or Decimal(0)) + abs(stake.related_amount or Decimal(0))
    if not total.is_finite() or not rule.currency or rule.currency != stake.currency:
        return True
    return total >= rule.min_amount


def _requirement(rule: ApprovalRule, stake: Stake) -> Requirement:
    return Requirement(rule.slug, rule.version, rule.role, rule.quorum, _because(rule, stake), rule.expires_minutes)


def _because(rule: ApprovalRule, stake: Stake) -> str:
    """Say why the rule speaks, in the words of what was compared."""
    reasons = []
    if rule.min_risk != "low":
        reasons.append(f"the risk is {stake.risk_tier or 'unknown'}")
    if rule.financial_only:
        reasons.append("it posts money")
    if rule.min_amount is not None:
        reasons.append(_threshold(rule, stake))
    return f"{rule.label}: {', '.join(reasons)}" if reasons else rule.label


def _threshold(rule: ApprovalRule, stake: Stake) -> str:
    line = f"{rule.min_amount:,.2f} {rule.currency}".strip()
    if stake.amount is None and stake.related_amount is None:
        return f"its amount is unknown and the threshold is {line}"
    said = f"{abs(stake.amount or Decimal(0)):,.2f} {stake.currency}".strip()
    if stake.related_amount:
        said += f" with {abs(stake.related_amount):,.2f} {stake.currency} of related requests"
    if not rule.currency or rule.currency != stake.currency:
        return f"{said} cannot be compared with the threshold of {line}"
    return f"{said} reaches {line}"
