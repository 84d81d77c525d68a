"""The first screen: six figures with their weeks, what they are worth, and what to do next."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.urls import reverse
from django.utils.http import urlencode

from incidents.models import ExceptionKind, Incident
from insights.access import may_act
from insights.detectors.links import link_to_new
from insights.drawing.charts import Chart, Datum, bars, line, pareto, sparkline
from insights.kpis import answers, runtimes, usage, worth
from insights.kpis.actions import words_of
from insights.kpis.answers import Answer
from insights.kpis.assumptions import Stated, stated
from insights.kpis.measures import Measure
from insights.kpis.models import Assumption, Finding
from insights.kpis.periods import Period, latest, week_name, week_number
from insights.kpis.serializers import rows_url
from insights.kpis.spikes import Spike, spikes
from insights.models import EventLog
from insights.states import LogState
from playbooks.templatetags.goldseam import money_text, percent, span_text

PERIODS = ((30, "30 days"), (90, "90 days"), (365, "A year"))
MOST_STEPS = 4
_UNITS = (("Days", 86_400), ("Hours", 3_600), ("Minutes", 60), ("Seconds", 1))


@dataclass(frozen=True)
class Figure:
    """One figure as the page shows it."""

    measure: Measure
    text: str
    range: str
    spark: str
    trend: str
    url: str


@dataclass(frozen=True)
class Next:
    """One thing to do: why, where, and what the button says."""

    text: str
    url: str
    action: str


@dataclass(frozen=True)
class Alarm:
    """A spike with its sentence, and where a detector is made of it."""

    spike: Spike
    text: str
    detector: str


@dataclass
class Dashboard:
    """Everything that the page shows."""

    answer: Answer
    figures: list[Figure]
    steps: list[Next]
    saving: Measure
    money: list[Measure]
    processes: list[worth.Process]
    charts: list[Chart]
    alarms: list[Alarm]
    findings: list[Finding]
    logs: list[EventLog]
    assumptions: list[Assumption] = field(default_factory=list)
    empty: bool = False
    may_act: bool = False


def period_of(params: Mapping[str, str]) -> tuple[Period, int]:
    """Return the period that the page is asked for, in whole days, and how many; an unknown number is 90."""
    wanted = params.get("days", "")
    days = int(wanted) if wanted in {str(number) for number, _ in PERIODS} else 90
    return latest(days), days


def dashboard(user: User, period: Period) -> Dashboard:
    """Measure the period and say what to do."""
    by_week, by_kind = answers.answer(user, period, "week"), answers.answer(user, period, "kind")
    known = stated()
    found = [_alarm(one) for one in spikes(user)]
    findings = list(Finding.objects.visible_to(user).filter(closed_at=None)[:20])
    return Dashboard(
        answer=by_week,
        figures=[_figure(one, by_week) for one in by_week.first],
        steps=_steps(user, by_kind, known, found)[:MOST_STEPS],
        saving=by_week.measure("roi"),
        money=[one for one in by_week.money if one.name != "cost_to_serve"],
        processes=worth.inaction(user),
        charts=_charts(by_week, by_kind),
        alarms=found,
        findings=findings,
        logs=list(EventLog.objects.visible_to(user).filter(state=LogState.READY)[:12]),
        assumptions=list(known.rows.values()),
        empty=not Incident.objects.visible_to(user).exists(),
        may_act=may_act(user),
    )


def _alarm(spike: Spike) -> Alarm:
    url = link_to_new(None, "anomaly", measure=spike.measure, connection=spike.connection)
    return Alarm(spike, words_of(spike), url)


def details(user: User, period: Period) -> dict[str, Any]:
    """Return what stands below the fold: use of systems and models, and run times."""
    tokens = usage.tokens_by_incident(user, period)
    names = {one.pk: one for one in Incident.objects.visible_to(user).filter(pk__in=[pk for pk, *_ in tokens])}
    return {
        "uses": usage.uses(user, period, stated()),
        "models": usage.tokens_by(user, period, "model"),
        "teams": usage.tokens_by(user, period, "team"),
        "hungry": [(names[pk], used, calls) for pk, used, calls in tokens if pk in names],
        "runtimes": runtimes.runtimes(user, period),
    }


def text_of(measure: Measure, value: float | None = None) -> str:
    """Write a measure's value, or another in its unit."""
    value = measure.value if value is None else value
    if value is None:
        return "not enough data"
    if measure.definition.unit == "seconds":
        return _span(value)
    if measure.definition.unit == "money":
        return money_text(f"{value:.2f}", measure.data.get("currency", ""))
    return percent(value)


def _span(seconds: float) -> str:
    """Write a span; minutes are told with their seconds, or the ends of an interval would look the same."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}\u00a0m {rest}\u00a0s" if 1 <= minutes < 10 else span_text(seconds)


def _figure(measure: Measure, answer: Answer) -> Figure:
    weeks = [group.measure(measure.name).value for group in answer.groups]
    known = [value for value in weeks if value is not None]
    ends = measure.interval and " to ".join(
        text_of(measure, max(0.0, end) if measure.name != "roi" else end) for end in measure.interval
    )
    trend = (
        f"{len(known)} weeks, from {text_of(measure, known[0])} to {text_of(measure, known[-1])}"
        if len(known) > 1
        else ""
    )
    return Figure(measure, text_of(measure), ends or "", sparkline(known), trend, rows_url(measure.name, answer))


def _charts(by_week: Answer, by_kind: Answer) -> list[Chart]:
    """Draw the weeks, as soon as there are two, and by kind what people still do by hand."""
    made = _weeks(by_week) if len(by_week.groups) > 1 else []
    by_hand = _by_hand(by_kind)
    if by_hand:
        made.append(pareto("Still by hand, by kind", by_hand, "The first bar is the first playbook to write."))
    return made


def _weeks(by_week: Answer) -> list[Chart]:
    found = {group.key: group.measure("mttr_seconds") for group in by_week.groups}
    first = min(found)
    # A week in which nothing was closed is a gap in the line, not left out.
    names = [week_name(number) for number in range(*_numbers(by_week.period)) if week_name(number) >= first]
    longest = max((one.value or 0.0 for one in found.values()), default=0.0)
    word, size = next((word, size) for word, size in _UNITS if longest >= size or size == 1)
    times = [
        Datum(
            name.partition("-")[2],
            value / size if value is not None else math.nan,
            text_of(found[name]) if value else "",
        )
        for name in names
        for value in (found[name].value if name in found else None,)
    ]
    closed = [Datum(name.partition("-")[2], found[name].n if name in found else 0) for name in names]
    return [
        line(
            f"{word} to a verified mend, by week",
            times,
            f"Mean of each week; {by_week.measure('mttr_seconds').n:,} mends.",
        ),
        bars("Verified mends, by week", closed, "Closed because the source agreed."),
    ]


def _numbers(period: Period) -> tuple[int, int]:
    return week_number(period.start), week_number(period.end - timedelta(microseconds=1)) + 1


def _by_hand(by_kind: Answer) -> list[Datum]:
    labels = dict(ExceptionKind.objects.values_list("code", "label"))
    found = []
    for group in by_kind.groups:
        hits = group.measure("automation_coverage").part("manual").data.get("hits")
        if hits:
            url = rows_url("automation_coverage", by_kind, group.key)
            found.append(Datum(labels.get(group.key, group.key), hits, f"{hits:,}", url))
    return found


def _steps(user: User, by_kind: Answer, known: Stated, found: list[Alarm]) -> list[Next]:
    """Say what to do, the most urgent first; each with where it is done."""
    steps = []
    if found:
        steps.append(Next(f"{found[0].text} See whether something runs in a circle.", "#spikes", "Look"))
    worst = _most_by_hand(by_kind)
    if worst is not None:
        kind, hits, n = worst
        url = rows_url("automation_coverage", by_kind, kind)
        label = ExceptionKind.objects.filter(code=kind).values_list("label", flat=True).first() or kind
        steps.append(Next(f"{label}: {hits} of {n} took a person. Write or widen a playbook for it.", url, "See them"))
    late = by_kind.measure("sla_adherence")
    if late.value is not None and late.value < 0.95:
        url = f"{reverse('incidents')}?{urlencode({'show': 'open', 'sla': 'late'})}"
        steps.append(
            Next(
                f"{percent(1 - late.value)} of the clocks missed a target. Begin with what is late now.",
                url,
                "Late now",
            )
        )
    if by_kind.measure("roi").value is None and not known.rows:
        url = reverse("admin:insights_assumption_changelist")
        steps.append(
            Next("State how long a mend takes by hand and what an hour costs, to see what is saved.", url, "State it")
        )
    steps.append(Next("See what the first 90 days still lack.", reverse("insights_checklist"), "Checklist"))
    return steps


def _most_by_hand(by_kind: Answer) -> tuple[str, int, int] | None:
    found = []
    for group in by_kind.groups:
        whole = group.measure("automation_coverage")
        hits = whole.part("manual").data.get("hits", 0)
        if hits:
            found.append((hits, group.key, whole.n))
    if not found:
        return None
    hits, key, n = max(found)
    return key, hits, n
