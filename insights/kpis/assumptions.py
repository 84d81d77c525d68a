"""Stated assumptions, looked up by what they are about; a missing one is never replaced by a figure of ours."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from insights.kpis.models import Assumption

Name = Assumption.Name


@dataclass(frozen=True)
class Stated:
    """All assumptions of the installation, read once for one answer."""

    rows: Mapping[tuple[str, str], Assumption]

    def of(self, name: str, subject: str = "") -> Assumption | None:
        """Return what is stated for ``subject``, else for everything, else ``None``."""
        return self.rows.get((name, subject)) or self.rows.get((name, ""))

    def value(self, name: str, subject: str = "") -> float | None:
        """Return the figure alone."""
        found = self.of(name, subject)
        return None if found is None else float(found.value)


def stated() -> Stated:
    """Read what is stated."""
    return Stated({(one.name, one.subject): one for one in Assumption.objects.all()})


def told(used: Iterable[Assumption]) -> list[dict[str, str]]:
    """Return assumptions as answers show them: each said to be one, with its source."""
    ordered = sorted({one.pk: one for one in used}.values(), key=lambda one: (one.name, one.subject))
    return [
        {
            "assumption": one.name,
            "subject": one.subject or "everything",
            "value": f"{one.value.normalize():f}",
            "currency": one.currency,
            "because": one.because,
        }
        for one in ordered
    ]
