"""The one writer of approval rules, for the admin's forms and for files alike: each change is a new version."""

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from approvals.models import ApprovalRule
from audit.actions import record

# What a rule says; a change in any of them is another version of it.
TEXT = (
    *("label", "subjects", "min_risk", "domains", "business_units", "financial_only", "min_amount", "currency"),
    *("role", "quorum", "expires_minutes", "enabled"),
)


def plain(rule: ApprovalRule) -> dict[str, Any]:
    """Return what ``rule`` says and whose it is, as values that can be compared and entered."""
    owner = rule.owner.get_username() if rule.owner else ""
    return {**{name: getattr(rule, name) for name in TEXT}, "owner": owner}


@transaction.atomic
def put_rule(slug: str, *, text: dict[str, Any], owner: User | None, actor: str) -> bool:
    """Make the rule say ``text`` (the columns of ``TEXT``); return whether anything changed.

    Requests that were asked before keep the version that asked them.
    """
    rule = ApprovalRule.objects.select_for_update().filter(slug=slug).first()
    before = plain(rule) if rule else None
    after = {**text, "owner": owner.get_username() if owner else ""}
    if before == after:
        return False
    version = rule.version + 1 if rule else 1
    rule, _ = ApprovalRule.objects.update_or_create(slug=slug, defaults={**text, "owner": owner, "version": version})
    changed = {name for name in after if before is None or before[name] != after[name]}
    record(
        "approvalrule.changed" if before else "approvalrule.added",
        actor=actor,
        target=rule,
        before={name: before[name] for name in sorted(changed)} if before else None,
        after={**{name: after[name] for name in sorted(changed)}, "version": version},
    )
    return True
