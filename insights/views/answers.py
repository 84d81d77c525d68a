"""Pages of one question each: variants, times, bottlenecks, rework."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from django.http import Http404

from insights.drawing.charts import Datum, bars
from insights.mining.answers import kept
from insights.mining.bottlenecks import Bottleneck, bottlenecks
from insights.mining.cases import cases
from insights.mining.process_map import process_map
from insights.mining.rework import rework
from insights.mining.throughput import Throughput, throughput
from insights.mining.variants import variants
from insights.mining.wording import duration, percent, several
from insights.views import offers
from insights.views.asked import Answered, Asked, about

_PAGE = 25
_MOST_CSV = 100_000
_SHOWN = 25
_STEPS = 60


def page_number(asked: Asked) -> int:
    """Return which page of a list is asked for, from 0."""
    return (asked.given.count("page", 1) or 1) - 1


def pages(asked: Asked, at: int, size: int, total: int) -> dict[str, Any]:
    """Return the links round a page of a list that is ranked; 404 beyond its end."""
    if at and at * size >= total:
        raise Http404("There is no such page.")
    last = min(total, (at + 1) * size)
    return {
        "previous": asked.here(page=at or "") if at else "",
        "next": asked.here(page=at + 2) if last < total else "",
        "summary": f"{at * size + 1:,} to {last:,} of {total:,}" if total else "",
        "first_number": at * size,
    }


@about("event_log_variants", also=("pick",))
def variant_list(asked: Asked) -> Answered:
    """Rank the ways that cases went."""
    at = page_number(asked)
    if asked.as_csv:
        return asked.csv(asked.ask(variants, most=_MOST_CSV).results, "variants")
    answer = asked.ask(variants, start=at * _PAGE, most=_PAGE)
    # Where every way is rare, no bar may look like much.
    widest = max([0.05, *(one.share for one in answer.results)])
    whole = asked.ask(throughput)
    rows = [
        {
            "one": one,
            "bar": round(100 * one.share / widest, 1),
            "slower": _against(one.median_seconds, whole.median_seconds),
            "steps": folded(one.activities[:_STEPS]),
            "more": max(0, len(one.activities) - _STEPS),
            "url": asked.at("event_log", asked.filter.also(variants=(one.number,))),
            "cases": asked.at("event_log_cases", asked.filter.also(variants=(one.number,))),
            "watch": offers.watch_variant(asked.log, asked.filter, one.activities).url
            if len(one.activities) <= _STEPS
            else "",
        }
        for one in answer.results
    ]
    return asked.show(
        "insights/variants.html", {"answer": answer, "rows": rows, **pages(asked, at, _PAGE, answer.total)}
    )


def folded(path: Sequence[str]) -> list[tuple[str, int]]:
    """Return a way with what directly repeats told once, and how often it came."""
    return [(name, len(list(same))) for name, same in groupby(path)]


def _against(median: float | None, usual: float | None) -> str:
    """Say how a median stands to that of all."""
    if median is None or usual is None or abs(median - usual) < 1:
        return ""
    return f"{'+' if median > usual else '−'}{duration(abs(median - usual))}"


@about("event_log_throughput")
def times(asked: Asked) -> Answered:
    """Tell how long cases take."""
    answer = asked.ask(throughput)
    if asked.as_csv:
        return asked.csv(answer.histogram, "throughput")
    slow = asked.filter.also(min_seconds=answer.p90_seconds)
    found = kept(cases, asked.log, asked.filter, most=1)
    case = found.results[0].case if found.results else ""
    watches = []
    ends = usual_ends(asked)
    if answer.p90_seconds and ends:
        watches = [offers.watch_late(asked.log, asked.filter, ends, answer.p90_seconds)]
    said = (
        f"A case takes {duration(answer.median_seconds)} in the middle; every tenth takes "
        f"{duration(answer.p90_seconds)} or more."
    )
    context = {
        "answer": answer,
        "said": said,
        "chart": _histogram(asked, answer),
        "slow": asked.at("event_log_cases", slow),
        "why": asked.at("event_log_causes", target="slow"),
        "offer": offers.offer(asked.log, watches, text=said, label=f"Slow cases of {asked.log.name}", case=case),
        "work_share": _work_share(answer),
        "pulled": (answer.mean_seconds or 0.0) > 1.2 * (answer.median_seconds or 0.0),
    }
    return asked.show("insights/throughput.html", context)


def usual_ends(asked: Asked) -> list[str]:
    """Return the activities that end at least every twentieth case."""
    drawn = asked.ask(process_map, activities=12, paths=18)
    return [name for name, count in drawn.end.items() if count >= 0.05 * drawn.cases][:10]


def _work_share(answer: Throughput) -> str:
    work, wait = answer.median_working_seconds, answer.median_waiting_seconds
    return percent(work / (work + wait)) if work is not None and wait is not None and work + wait > 0 else ""


def _histogram(asked: Asked, answer: Throughput) -> Any:
    data = [
        Datum(
            duration(bar.low),
            bar.cases,
            f"{several(bar.cases, 'case')}, {duration(bar.low)} to {duration(bar.high)}",
            asked.at("event_log_cases", asked.filter.also(min_seconds=bar.low, max_seconds=bar.high)),
        )
        for bar in answer.histogram
    ]
    return bars("Cases by how long they take", data, "Each bar is a span of time; a click shows its cases.")


@about("event_log_bottlenecks")
def bottleneck_list(asked: Asked) -> Answered:
    """Rank where cases wait."""
    answer = asked.ask(bottlenecks, money=asked.request.GET.get("money", ""))
    if asked.as_csv:
        return asked.csv([*answer.edges, *answer.steps], "bottlenecks")
    context = {
        "answer": answer,
        "edges": [_waiting(asked, one, answer.edges[0].score) for one in answer.edges[:_SHOWN] if one.total_seconds],
        "steps": [_waiting(asked, one, answer.steps[0].score) for one in answer.steps[:_SHOWN] if one.total_seconds],
        "more": max(0, len(answer.edges) - _SHOWN),
    }
    return asked.show("insights/bottlenecks.html", context)


def _waiting(asked: Asked, one: Bottleneck, most: float) -> dict[str, Any]:
    if one.source:
        narrowed = asked.filter.also(edges=((one.source, one.target),))
        watch = offers.watch_slow(asked.log, asked.filter, one.source, one.target, one.p90_seconds)
        url = asked.at("event_log", step_from=one.source, step_to=one.target)
    else:
        narrowed = asked.filter.also(including=(one.target,))
        watch = offers.watch_number(asked.log, asked.filter, one.target)
        url = asked.at("event_log", step=one.target)
    return {
        "one": one,
        "bar": round(100 * one.score / most, 1) if most else 0,
        "url": url,
        "cases": asked.at("event_log_cases", narrowed),
        "watch": watch.url,
    }


@about("event_log_rework")
def rework_list(asked: Asked) -> Answered:
    """Tell what is done more than once, and which step sends cases back."""
    answer = asked.ask(rework)
    if asked.as_csv:
        return asked.csv(answer.activities, "rework")
    again = [
        {
            "one": one,
            "cases": asked.at("event_log_cases", asked.filter.also(repeats=(one.activity,))),
            "watch": offers.watch_loop(asked.log, asked.filter, one.activity).url,
        }
        for one in answer.activities[:_SHOWN]
    ]
    loops = [
        {"one": one, "cases": asked.at("event_log_cases", asked.filter.also(edges=((one.source, one.target),)))}
        for one in answer.loops[:_SHOWN]
    ]
    cost = ""
    if answer.median_seconds_with is not None and answer.median_seconds_without is not None:
        cost = _against(answer.median_seconds_with, answer.median_seconds_without)
    context = {
        "answer": answer,
        "again": again,
        "loops": loops,
        "cost": cost,
        "share": answer.reworked / answer.cases if answer.cases else None,
        "map": asked.at("event_log", colour="rework"),
        "why": asked.at("event_log_causes", target="rework"),
        "more": max(0, len(answer.activities) - _SHOWN),
    }
    return asked.show("insights/rework.html", context)
