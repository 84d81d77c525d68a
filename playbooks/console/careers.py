"""How well a playbook has done: of the plans it carried out, how many were right at the first attempt."""

from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from django.core.cache import cache
from django.db.models import Count, Q, QuerySet

from playbooks.models import Execution, Playbook

FRESH_SECONDS = 30


@dataclass(frozen=True)
class Career:
    """``right`` of ``runs`` were read back as predicted without a person, a replay or a correction."""

    right: int = 0
    runs: int = 0
    alone: int = 0  # runs that nobody had to approve

    def __str__(self) -> str:
        return f"{self.right} of {self.runs}" if self.runs else "not used yet"


_COUNTS = {
    "right": Count("id", filter=Q(first_attempt_verified=True)),
    "runs": Count("id"),
    "alone": Count("id", filter=Q(plan__autonomous=True)),
}


def careers() -> dict[int, Career]:
    """Return the career of every playbook that was ever used, by its number."""
    return _by("plan__playbook_version__playbook", _judged())


def career_of(playbook: Playbook) -> Career:
    """Return the career of one playbook."""
    return Career(**_judged().filter(plan__playbook_version__playbook=playbook).aggregate(**_COUNTS))


def lately(playbook: Playbook) -> Career:
    """Return the career of one playbook, at most half a minute old: every page of an incident shows it."""
    return cast(Career, cache.get_or_set(f"career:{playbook.pk}", partial(career_of, playbook), FRESH_SECONDS))


def careers_of_versions(playbook: Playbook) -> dict[int, Career]:
    """Return the career of each version of a playbook, by the version's number."""
    return _by("plan__playbook_version__number", _judged().filter(plan__playbook_version__playbook=playbook))


def _by(column: str, runs: "QuerySet[Execution]") -> dict[int, Career]:
    rows: Any = runs.order_by().values(column).annotate(**_COUNTS)
    return {row[column]: Career(row["right"], row["runs"], row["alone"]) for row in rows}


def _judged() -> "QuerySet[Execution]":
    # A run that was cancelled before it sent anything proves nothing either way.
    return Execution.objects.filter(direction=Execution.Direction.FORWARD, first_attempt_verified__isnull=False)
