"""Which operations of playbooks in use no active policy speaks about: nothing would guard them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from playbooks import scopes
from playbooks.models import PlaybookVersion, PolicyVersion

Scope = Sequence[str]  # the operations that a policy names; empty: every write


def guarded(operation: str) -> bool:
    """Tell whether an active policy speaks about ``operation`` (``fo:invoice.credit``)."""
    return _covered(operation, _scopes())


def unguarded() -> frozenset[tuple[str, str]]:
    """Return each playbook in use with each of its operations that no active policy speaks about."""
    standing = _scopes()
    return frozenset((name, one) for one, names in _used().items() for name in names if not _covered(one, standing))


def lost_by(policy: str, *, enabled: bool, operations: Scope) -> str:
    """Say what would lose its last guard if the policy of that name were so; blank: nothing would."""
    now, after = _scopes(), [*_scopes(without=policy), *([operations] if enabled else [])]
    lost = {one: names for one, names in _used().items() if _covered(one, now) and not _covered(one, after)}
    return said((name, one) for one, names in lost.items() for name in names)


def said(lost: Iterable[tuple[str, str]]) -> str:
    """Say which playbooks would go on with nothing that guards them; blank for none."""
    told = "; ".join(f"{name} ({one})" for name, one in sorted(lost))
    if not told:
        return ""
    return f"Nothing would guard {told} any more. Switch that off first, or let another policy cover it."


def _scopes(without: str = "") -> list[Scope]:
    active = PolicyVersion.objects.filter(active=True, policy__enabled=True).exclude(policy__slug=without)
    return list(active.values_list("operations", flat=True))


def _covered(operation: str, standing: Iterable[Scope]) -> bool:
    return any(not names or operation in names for names in standing)


def _used() -> dict[str, list[str]]:
    """Return the operations of every active version of a playbook that is switched on, with the playbooks' names."""
    found: dict[str, list[str]] = defaultdict(list)
    active = PlaybookVersion.objects.filter(active=True, playbook__enabled=True).select_related("playbook")
    for version in active.order_by("playbook__slug"):
        for connection, operation in sorted(scopes.of(version)):
            found[f"{connection}:{operation}"].append(version.playbook.label)
    return found
