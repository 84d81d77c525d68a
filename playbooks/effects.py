"""The names under which effects and plans are known: digests and effect keys, the same on every machine."""

from typing import Any

from django.conf import settings

from audit.proofs import digest

# Stands in a planned undo for the key of the effect that it takes back. The key itself is derived from
# the plan's digest, which covers the undo, so it can only be put in its place afterwards.
EFFECT_KEY = "@effect-key"


def effect_key(plan_digest: str, number: int, direction: str, generation: int = 0) -> str:
    """Return the one key of a step's effect, for life: through retries, redeliveries, restarts and replays.

    ``generation`` counts the rollbacks of one plan: a second rollback is another intent, with a key of its own.
    """
    return digest([settings.ENVIRONMENT, plan_digest, number, direction, generation])[:40]


def with_key(value: Any, key: str) -> Any:
    """Return ``value`` with every ``EFFECT_KEY`` in it replaced by ``key``."""
    if value == EFFECT_KEY:
        return key
    if isinstance(value, dict):
        return {name: with_key(part, key) for name, part in value.items()}
    if isinstance(value, list):
        return [with_key(part, key) for part in value]
    return value


def plan_digest(content: dict[str, Any]) -> str:
    """Return what an approval signs: incident, playbook version, steps with predictions and versions, policies."""
    return digest({"goldseam": "plan", "version": 1, **content})
