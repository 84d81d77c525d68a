"""What is wrong with a case, in three ways that other questions share: slow, rework, deviates."""

# ruff: noqa: S608 - the text is ours alone: columns, numbers and named queries; every value is a parameter

from dataclasses import dataclass, field

from audit.errors import Invalid
from insights.mining.asking import Scope, ask, number, seconds
from insights.mining.conformance import deviating, reference_for
from insights.mining.filters import Filter
from insights.mining.process_map import STAND_INS, STEPS
from insights.mining.references import Reference
from insights.mining.rework import REWORKED
from insights.mining.wording import duration
from insights.models import EventLog

TARGETS = ("slow", "rework", "deviates")
SLOW_SHARE = 0.8


@dataclass(frozen=True)
class Problem:
    """A test of a case by its time or its variant. ``words`` says what a case with the problem is."""

    target: str
    words: str
    threshold: float | None = None
    variants: frozenset[int] = field(default_factory=frozenset)

    def has(self, seconds: float, variant: int) -> bool:
        """Tell whether a case that took so long and went this way has the problem."""
        return seconds > self.threshold if self.threshold is not None else variant in self.variants


def problem(
    log: EventLog,
    chosen: Scope,
    filter: Filter,
    target: str,
    *,
    slow_seconds: float | None = None,
    reference: Reference | None = None,
) -> Problem:
    """Return the test for ``target``; slow is over ``slow_seconds``, by default over what four fifths of them take.

    Raises ``Invalid`` for an unknown target.
    """
    if target == "slow":
        over = slow_seconds
        if over is None:
            row = ask(log, chosen, f"SELECT quantile_cont(seconds, {SLOW_SHARE}) FROM chosen")[0]
            over = seconds(row[0]) or 0.0
        return Problem(target, f"takes more than {duration(over)}", threshold=over)
    if target == "rework":
        rows = ask(log, chosen, "SELECT variant FROM reworked", stand_ins=STAND_INS, steps=STEPS, reworked=REWORKED)
        return Problem(target, "does something twice", variants=frozenset(number(row[0]) for row in rows))
    if target == "deviates":
        model = reference or reference_for(log)
        return Problem(target, f"leaves the model “{model.name}”", variants=frozenset(deviating(log, filter, model)))
    message = f"One of {', '.join(TARGETS)}."
    raise Invalid(message, {"target": [message]})
