"""Which running cases will miss their target time, by what cases that stood like them still took.

The remaining time of a case after an activity is learned from the cases that had ended by the moment of the look. Where
enough cases went the very same way so far, only those are asked; else all that had the same last activity. A case that
has waited for some time is compared with those that had not ended by then either.
"""

# ruff: noqa: S608 - the text is ours alone: columns, numbers and named queries; every value is a parameter

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from audit.errors import Invalid
from incidents.calendars import NeverOpen, add_business_minutes
from incidents.models import Calendar
from insights.detectors.definitions import ForecastRule
from insights.detectors.findings import MOST_FINDINGS, Finding, Looked
from insights.detectors.reading import LogReader, literal, moment, span
from insights.mining.asking import number
from insights.mining.wording import duration, several

# The distribution of a group is kept as this many equal steps.
STEPS = 100
MOST_RUNNING = 5000
_SHARES = "[" + ", ".join(f"{at / STEPS:.2f}" for at in range(STEPS + 1)) + "]"


@dataclass(frozen=True)
class Remaining:
    """How long cases still took: ``n`` of them, as quantiles from the shortest to the longest, in seconds."""

    n: int
    quantiles: tuple[float, ...]

    def after(self, waited: float, share: float) -> tuple[float, float]:
        """Return the ``share`` quantile of those that took longer than ``waited``, and how many those are."""
        below = self.below(waited)
        return self.at(below + (1 - below) * share), self.n * (1 - below)

    def below(self, seconds: float) -> float:
        """Return which share took at most ``seconds``."""
        if seconds < self.quantiles[0]:
            return 0.0
        for place, (low, high) in enumerate(pairwise(self.quantiles)):
            if seconds < high:
                return (place + (seconds - low) / (high - low)) / STEPS
        return 1.0

    def at(self, share: float) -> float:
        """Return the quantile of a share, between two known ones in proportion."""
        place = min(int(share * STEPS), STEPS - 1)
        low, high = self.quantiles[place], self.quantiles[place + 1]
        return low + (high - low) * (share * STEPS - place)


@dataclass(frozen=True)
class Standing:
    """A running case: where it stands and how it got there."""

    case_no: int
    first_at: datetime
    last_at: datetime
    activity: int
    way: str


def look(rule: ForecastRule, reader: LogReader, since: datetime, *, known: frozenset[int] = frozenset()) -> Looked:
    """Return the running cases that will miss the target, as it looks at the reader's moment. ``since`` plays no part.

    ``known`` cases were told before and are left out.
    """
    running = [one for one in _running(rule, reader) if one.case_no not in known]
    by_way, by_activity = _learned(rule, reader, "way"), _learned(rule, reader, "activity")
    due = _Due(rule)
    found = []
    for one in running:
        base = by_way.get(one.way) or by_activity.get(str(one.activity))
        told = _judge(rule, reader, one, base, same_way=one.way in by_way, due=due) if base else None
        found += [told] if told else []
    found.sort(key=lambda one: (-one.score, one.case_no or 0))
    notes: tuple[str, ...] = ()
    if not by_activity:
        notes = (f"Fewer than {several(rule.min_cases, 'case')} had ended by then: nothing can be forecast.",)
    return Looked(reader.with_values(found[:MOST_FINDINGS]), reader.until, judged=len(running), notes=notes)


def replay(rule: ForecastRule, readers: Sequence[LogReader], since: datetime) -> Looked:
    """Look at one moment after the other, each case told the first time, as runs would have."""
    known: set[int] = set()
    found: list[Finding] = []
    judged, notes = 0, list[str]()
    for reader in readers:
        looked = look(rule, reader, since, known=frozenset(known))
        known |= {one.case_no for one in looked.findings if one.case_no is not None}
        found += looked.findings
        judged, notes = max(judged, looked.judged), [*looked.notes]
    return Looked(tuple(found), readers[-1].until, judged=judged, notes=tuple(notes))


def _judge(
    rule: ForecastRule, reader: LogReader, one: Standing, base: Remaining, *, same_way: bool, due: "_Due"
) -> Finding | None:
    waited = (reader.until - one.last_at).total_seconds()
    left, n = base.after(waited, rule.quantile)
    if n < 1:
        # It has waited longer than any other: the distribution says nothing but that it is late.
        left = waited
    ends_at, due_at = one.last_at + timedelta(seconds=left), due.of(one.first_at)
    if ends_at <= due_at:
        return None
    late = (ends_at - due_at).total_seconds()
    whom = "cases that came the same way" if same_way else "cases with the same last activity"
    over = "its target has passed" if due_at <= reader.until else f"its target ends {_stamp(due_at)}"
    text = (
        f"Expected to end {_stamp(ends_at)}; {over}, so it will be about {duration(late)} late."
        f" By {round(n):,} of {base.n:,} {whom}, {rule.quantile:.0%} quantile."
    )
    return Finding(
        key="forecast",
        at=reader.until,
        entity="",
        text=text,
        score=late,
        case_no=one.case_no,
        facts={
            "expected_end": ends_at.isoformat(), "target_end": due_at.isoformat(), "late_seconds": round(late),
            "last_activity": reader.activity_names[one.activity], "compared_with": whom, "n": round(n),
            "quantile": rule.quantile,
        },
    )  # fmt: skip


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M UTC")


class _Due:
    """When a case that began must have ended, by the clock or in a calendar's open hours."""

    def __init__(self, rule: ForecastRule) -> None:
        self.hours = rule.target_hours
        self.calendar = Calendar.objects.filter(slug=rule.calendar).first() if rule.calendar else None
        if rule.calendar and self.calendar is None:
            message = f"There is no calendar “{rule.calendar}”."
            raise Invalid(message, {"rule.calendar": [message]})

    def of(self, begun: datetime) -> datetime:
        if self.calendar is None:
            return begun + timedelta(hours=self.hours)
        try:
            return add_business_minutes(self.calendar, begun, self.hours * 60)
        except NeverOpen as never:
            raise Invalid(str(never), {"rule.calendar": [str(never)]}) from never


def _named(rule: ForecastRule, reader: LogReader) -> dict[str, str]:
    # The way so far is a sum of hashes of place and activity: as good as the path itself, and of one size.
    return {
        "ended": (
            "SELECT k.case_no AS case_no, min(k.at) AS end_at, min(k.position) AS place FROM known k"
            f" WHERE k.activity IN ({reader.numbers(rule.ends)}) GROUP BY k.case_no"
        ),
        "steps": (
            "SELECT k.case_no AS case_no, k.position AS place, k.activity AS activity, k.at AS happened_at,"
            " CAST(sum(hash(k.position, k.activity)) OVER (PARTITION BY k.case_no ORDER BY k.position)"
            " AS VARCHAR) AS way"
            " FROM known k"
        ),
        "latest": (
            "SELECT k.case_no AS case_no, min(k.at) AS first_at, max(k.at) AS last_at,"
            " arg_max(k.activity, k.position) AS activity,"
            " CAST(sum(hash(k.position, k.activity)) AS VARCHAR) AS way FROM known k GROUP BY k.case_no"
        ),
        "running": (
            "SELECT t.case_no AS case_no, t.first_at AS first_at, t.last_at AS last_at, t.activity AS activity,"
            " t.way AS way FROM latest t WHERE NOT EXISTS (SELECT 1 FROM ended x WHERE x.case_no = t.case_no)"
            f" AND t.last_at > {literal(reader.until)} - {span(rule.stale_days * 86400)}"
        ),
    }


def _running(rule: ForecastRule, reader: LogReader) -> Iterator[Standing]:
    rows = reader.ask(
        "SELECT r.case_no, r.first_at, r.last_at, r.activity, r.way FROM running r"
        f" ORDER BY r.first_at, r.case_no LIMIT {MOST_RUNNING}",
        **_named(rule, reader),
    )
    for row in rows:
        yield Standing(number(row[0]), moment(row[1]), moment(row[2]), number(row[3]), str(row[4]))


def _learned(rule: ForecastRule, reader: LogReader, by: str) -> dict[str, Remaining]:
    rows = reader.ask(
        f"SELECT s.{by}, count(*), quantile_cont(epoch(x.end_at) - epoch(s.happened_at), {_SHARES})"
        " FROM steps s JOIN ended x ON x.case_no = s.case_no AND s.place < x.place"
        f" WHERE s.{by} IN (SELECT r.{by} FROM running r) GROUP BY s.{by} HAVING count(*) >= {int(rule.min_cases)}",
        **_named(rule, reader),
    )
    return {str(row[0]): Remaining(number(row[1]), tuple(row[2])) for row in rows}  # type: ignore[arg-type] # a list of floats
