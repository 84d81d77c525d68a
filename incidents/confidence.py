"""How sure a severity or a domain is: the share of what the same rule decided before that people let stand.

Nothing is asked of a model. A decision is over when its incident is closed, or when a person has changed it; merged
incidents count for nothing, since nobody judged them by themselves. The share is shrunk towards one half by one
imaginary decision of either kind, so that a short history claims little, and shown with Wilson's 95 % interval.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection

from audit.clock import db_now
from audit.shares import wilson
from incidents.judgements import Decision
from incidents.models import Incident

# Below this, a share would be noise.
FEWEST = 20
# Looked at per answer, newest first: the cost stays the same however long the history, and old habits fade.
WINDOW = 2_000
# The incident is looked up row by row: joined, PostgreSQL would rather read every incident there is.
_STOOD = """
SELECT %s, count(*), coalesce(sum(CASE WHEN corrected_to IN ('', said) THEN 1 ELSE 0 END), 0)
FROM (
  SELECT d.said, d.corrected_to, CASE WHEN d.corrected_at IS NOT NULL THEN 1 ELSE (
    SELECT 1 FROM incidents_incident i
    WHERE i.id = d.incident_id AND i.closed_at IS NOT NULL AND i.merged_into_id IS NULL
  ) END AS settled
  FROM (
    SELECT incident_id, said, corrected_to, corrected_at FROM incidents_decision
    WHERE basis = %s AND subject = %s ORDER BY id DESC LIMIT %s
  ) d
) done WHERE settled = 1
"""


@dataclass(frozen=True)
class Confidence:
    """How often a decision like this one was let stand: ``stood`` of ``n``."""

    n: int
    stood: int
    basis: str  # in words
    corrected_by: str = ""

    @property
    def value(self) -> float | None:
        """The shrunken share, 0 to 1; ``None`` while too few decisions are over."""
        return None if self.n < FEWEST else round((self.stood + 1) / (self.n + 2), 3)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval of the share; ``None`` as with ``value``."""
        if self.n < FEWEST:
            return None
        low, high = wilson(self.stood, self.n)
        return round(low, 3), round(high, 3)


def basis_of(code: str, said: str, rule: str) -> str:
    """Return what decisions are counted together by: the kind, what was said, and the text of the rule that said it."""
    return f"{code}:{said}:{hashlib.sha256(rule.encode()).hexdigest()[:12]}"


def decided(incident: Incident, said: dict[str, tuple[str, str]]) -> None:
    """Keep what was decided of an incident: by subject, what was said and its basis. What a person said stays."""
    now = db_now()
    rows = [
        Decision(incident=incident, subject=subject, said=value, basis=basis, decided_at=now)
        for subject, (value, basis) in said.items()
    ]
    Decision.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["incident", "subject"], update_fields=["said", "basis"]
    )


def corrected(incident: Incident, subject: str, *, before: str, to: str, by: str) -> None:
    """Keep a person's word on an incident's severity or domain."""
    now = db_now()
    word = {"corrected_to": to, "corrected_by": by, "corrected_at": now}
    Decision.objects.update_or_create(
        incident=incident,
        subject=subject,
        defaults=word,
        create_defaults=word | {"said": before, "basis": "", "decided_at": now},
    )


def confidence_of(incident: Incident, subject: str) -> Confidence:
    """Return how sure the severity or domain of an incident is. Two small queries, whatever the history."""
    return confidences_of(incident, [subject])[subject]


def confidences_of(incident: Incident, subjects: Sequence[str] = tuple(Decision.Subject)) -> dict[str, Confidence]:
    """Return how sure severity and domain are: one query, and one more where a rule decided."""
    made = {row.subject: row for row in Decision.objects.filter(incident=incident) if row.subject in subjects}
    counted = _counted(row for row in made.values() if row.basis and row.corrected_at is None)
    return {subject: _confidence(made.get(subject), counted.get(subject, (0, 0))) for subject in subjects}


def _counted(decisions: Iterable[Decision]) -> dict[str, tuple[int, int]]:
    """Return for each subject how many decisions like this one are over, and how many of them people let stand."""
    asked = [(one.subject, one.basis, one.subject, WINDOW) for one in decisions]
    if not asked:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join([_STOOD] * len(asked)), [value for one in asked for value in one])
        return {subject: (n, int(stood)) for subject, n, stood in cursor.fetchall()}


def _confidence(made: Decision | None, counted: tuple[int, int]) -> Confidence:
    if made is None or (not made.basis and not made.corrected_at):
        return Confidence(0, 0, "No rule has judged it yet.")
    if made.corrected_at is not None:
        before = f"the rule had said {made.said}" if made.basis else "no rule had judged it"
        return Confidence(0, 0, f"Set by {made.corrected_by}; {before}.", made.corrected_by)
    n, stood = counted
    name = "the same rule" if made.subject == Decision.Subject.SEVERITY else "the same kind of exception"
    word = f"People let stand {stood} of {n} decisions by {name} that said {made.said}."
    return Confidence(n, stood, word if n else f"No decision by {name} that said {made.said} is over yet.")
