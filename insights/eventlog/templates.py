"""What is known of a process before its first event: column names, activities, reference paths, targets and KPIs.

The files in ``templates/`` are data: guessing reads their columns, the pages of a log its reference, targets and KPIs.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

FOLDER = Path(__file__).parent / "templates"
# Below this a likeness of names is chance.
_ALIKE = 0.3


class _Part(BaseModel):
    """Every part is fixed and takes no unknown word."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Activity(_Part):
    """One activity and what else it is called."""

    name: str
    aliases: tuple[str, ...] = ()


class Reference(_Part):
    """What is allowed: whole paths, and pairs that one person must not both do."""

    paths: tuple[tuple[str, ...], ...]
    duties: tuple[tuple[str, str], ...] = ()


class StepTarget(_Part):
    """How long it may take from one activity to another."""

    start: str = Field(alias="from")
    end: str = Field(alias="to")
    hours: Annotated[float, Field(gt=0)]


class Targets(_Part):
    """How long a case and its steps may take."""

    throughput_hours: Annotated[float, Field(gt=0)]
    steps: tuple[StepTarget, ...] = ()


class Kpi(_Part):
    """One number that tells how the process does.

    ``time_between``: median time from the first of ``from`` to the first later of ``to`` · ``share_with`` and
    ``share_without``: share of cases in which any, or none, of ``activities`` happens · ``share_before``: share of
    cases in which the first of ``from`` stands before the first of ``to``.
    """

    slug: str
    label: str
    measure: Literal["time_between", "share_with", "share_without", "share_before"]
    start: tuple[str, ...] = Field(default=(), alias="from")
    end: tuple[str, ...] = Field(default=(), alias="to")
    activities: tuple[str, ...] = ()
    meaning: str


class Template(_Part):
    """A process as one kind of system tells it."""

    slug: str
    process: str
    label: str
    system: str
    columns: dict[Literal["case", "activity", "timestamp", "start", "resource", "amount"], tuple[str, ...]]
    activities: tuple[Activity, ...]
    reference: Reference
    targets: Targets
    kpis: tuple[Kpi, ...]

    @model_validator(mode="after")
    def _knows_its_activities(self) -> "Template":
        known = {each.name for each in self.activities}
        used = {name for path in self.reference.paths for name in path}
        used |= {name for duty in self.reference.duties for name in duty}
        used |= {name for step in self.targets.steps for name in (step.start, step.end)}
        used |= {name for kpi in self.kpis for name in (*kpi.start, *kpi.end, *kpi.activities)}
        if unknown := sorted(used - known):
            raise ValueError(f"{self.slug} speaks of activities that it does not name: {', '.join(unknown)}")
        return self

    def canonical(self, name: str) -> str | None:
        """Return the template's own name of an activity, or nothing where it does not know it."""
        return _names(self.slug).get(name.strip().casefold())

    def likeness(self, names: Iterable[str]) -> float:
        """Return the share of ``names`` that the template knows, 0 to 1."""
        told = list(names)
        return sum(self.canonical(name) is not None for name in told) / len(told) if told else 0.0


@cache
def templates() -> tuple[Template, ...]:
    """Return every shipped template, by slug."""
    files = sorted(FOLDER.glob("*.yaml"))
    return tuple(Template.model_validate(yaml.safe_load(file.read_text(encoding="utf-8"))) for file in files)


@cache
def _names(slug: str) -> dict[str, str]:
    found = next(each for each in templates() if each.slug == slug)
    named = {alias.casefold(): each.name for each in found.activities for alias in each.aliases}
    return named | {each.name.casefold(): each.name for each in found.activities}


@cache
def column_names(role: str) -> frozenset[str]:
    """Return what the templates call the column of a role, in small letters."""
    return frozenset(
        name.casefold() for each in templates() for key, names in each.columns.items() if key == role for name in names
    )


def best_for(activities: Iterable[str], process: str = "") -> Template | None:
    """Return the template that knows most of ``activities``, of ``process`` where told; nothing where it knows few."""
    names = list(activities)
    ranked = [(each.likeness(names), each) for each in templates() if process in {"", each.process}]
    share, best = max(ranked, key=lambda pair: pair[0], default=(0.0, None))
    return best if best is not None and share >= (_ALIKE if not process else 0.0) else None
