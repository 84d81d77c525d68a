"""A number that is far from what it usually is; each value is judged by those before it alone."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from insights.detectors.definitions import AnomalyRule, Series
from insights.detectors.findings import Finding, Looked
from insights.detectors.series import STEP, Value, is_count, words

# A normal distribution's deviation is this many times the median distance from its median.
MAD = 1.4826
ALPHA = 0.2
LEAST_WEEKDAYS = 4
# A measured value (a time, a share) that never moved may still move by so much of itself before it stands out.
STILLNESS = 0.05


@dataclass(frozen=True)
class Usual:
    """What was usual before a value: its middle and how far values usually lie from it."""

    middle: float
    spread: float

    def distance(self, amount: float) -> float:
        """Return how many usual deviations ``amount`` lies above (or below) the middle."""
        return (amount - self.middle) / self.spread


def look(rule: AnomalyRule, values: Sequence[Value], since: datetime, until: datetime) -> Looked:
    """Return the values that ended after ``since`` and stood out."""
    step = STEP[rule.series.per]
    found, judged = list[Finding](), list[tuple[datetime, bool]]()
    track = _TRACKS[rule.method](rule)
    for value in values:
        usual = track(value)
        ended = value.start + step
        if usual is None or value.amount is None or ended <= since or ended > until:
            continue
        odd = _stands_out(rule, usual, value.amount)
        judged.append((value.start, odd))
        found += [_finding(rule, value, usual, ended)] if odd else []
    notes = () if judged else (f"Not one value has {rule.min_history} before it: nothing could be judged.",)
    return Looked(tuple(found), until, judged=len(judged), judgements=tuple(judged), notes=notes)


def _stands_out(rule: AnomalyRule, usual: Usual, amount: float) -> bool:
    distance, difference = usual.distance(amount), amount - usual.middle
    if abs(difference) < rule.at_least:
        return False
    up, down = distance >= rule.threshold, distance <= -rule.threshold
    return (up and rule.direction != "down") or (down and rule.direction != "up")


def _finding(rule: AnomalyRule, value: Value, usual: Usual, ended: datetime) -> Finding:
    amount = value.amount or 0.0
    name, distance = words(rule.series), usual.distance(amount)
    day = value.start.strftime("%Y-%m-%d %H:%M" if rule.series.per == "hour" else "%Y-%m-%d")
    way = "above" if distance > 0 else "below"
    text = (
        f"{name[0].upper()}{name[1:]}, {day}: {amount:,.4g}, usually {usual.middle:,.4g} ± {usual.spread:,.3g};"
        f" {abs(distance):,.1f} deviations {way}."
    )
    return Finding(
        key=f"anomaly:{_key(rule.series)}:{value.start.isoformat()}",
        at=ended,
        entity=name,
        text=text,
        score=abs(distance),
        facts={
            "start": value.start.isoformat(), "value": amount, "usual": usual.middle, "spread": usual.spread,
            "deviations": round(distance, 2), "method": rule.method,
        },
    )  # fmt: skip


def _key(series: Series) -> str:
    return f"{series.measure}:{series.per}:{series.activity}:{series.code}:{series.connection}"[:150]


def robust(series: Series, amounts: Sequence[float]) -> Usual:
    """Return median and median distance; a spread is never less than chance alone would make it."""
    middle = statistics.median(amounts)
    spread = MAD * statistics.median(abs(amount - middle) for amount in amounts)
    return Usual(middle, max(spread, _least(series, middle)))


def _least(series: Series, middle: float) -> float:
    # Counts of rare things vary by the root of their mean; without this, three instead of none would stand out.
    return max(abs(middle), 1.0) ** 0.5 if is_count(series) else max(abs(middle) * STILLNESS, 1e-6)


Track = Callable[[Value], Usual | None]


def _robust_z(rule: AnomalyRule) -> Track:
    seen: list[float] = []

    def track(value: Value) -> Usual | None:
        usual = robust(rule.series, seen[-rule.window :]) if len(seen) >= rule.min_history else None
        seen.extend([] if value.amount is None else [value.amount])
        return usual

    return track


def _weekday(rule: AnomalyRule) -> Track:
    seen: list[Value] = []

    def track(value: Value) -> Usual | None:
        before = seen[-rule.window :]
        same = [one.amount for one in before if one.amount is not None and one.start.weekday() == value.start.weekday()]
        enough = len(seen) >= rule.min_history and len(same) >= LEAST_WEEKDAYS
        seen.append(value)
        return robust(rule.series, same) if enough else None

    return track


def _ewma(rule: AnomalyRule) -> Track:
    """Follow the middle and the spread slowly; what stands out moves them no further than the border."""
    seen: list[float] = []
    state: list[float] = []  # middle, variance

    def track(value: Value) -> Usual | None:
        usual = None
        if len(seen) >= rule.min_history and state:
            usual = Usual(state[0], max(state[1] ** 0.5, _least(rule.series, state[0])))
        if value.amount is None:
            return usual
        seen.append(value.amount)
        if len(seen) == rule.min_history:
            start = robust(rule.series, seen)
            state[:] = [start.middle, start.spread**2]
        elif usual is not None:
            border = rule.threshold * usual.spread
            step = min(max(value.amount - usual.middle, -border), border)
            state[:] = [usual.middle + ALPHA * step, (1 - ALPHA) * (state[1] + ALPHA * step**2)]
        return usual

    return track


_TRACKS: dict[str, Callable[[AnomalyRule], Track]] = {"robust_z": _robust_z, "weekday": _weekday, "ewma": _ewma}
