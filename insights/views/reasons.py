"""Pages that ask why: what goes with a problem, where it gathers, what it costs."""

from typing import Any

from insights.drawing.charts import Datum, pareto
from insights.mining.answers import kept
from insights.mining.attributes import held
from insights.mining.bottlenecks import bottlenecks
from insights.mining.cases import cases
from insights.mining.causes import Cause, Causes, causes
from insights.mining.conformance import reference_for
from insights.mining.filters import Filter, parse
from insights.mining.hotspots import RANKS, HotSpots, hotspots
from insights.mining.leakage import USUAL_RATE, leakage
from insights.mining.problems import TARGETS
from insights.mining.rework import rework
from insights.mining.throughput import throughput
from insights.mining.wording import money_text, percent, several
from insights.views import offers
from insights.views.answers import folded, usual_ends
from insights.views.asked import Answered, Asked, about

DAY = 86400.0
PROBLEMS = {"slow": "being slow", "rework": "being redone", "deviates": "leaving the model"}
_BARS = 20
_STEPS = 60
# What the page's own form says anew.
_CHOSEN = ("slow_days", "by", "rank", "money")


def _problem(asked: Asked) -> dict[str, Any]:
    """Return which problem is asked about, as arguments of a question."""
    target = asked.given.choice("target", TARGETS, "slow")
    days = asked.given.amount("slow_days")
    return {
        "target": target,
        "slow_seconds": days * DAY if days is not None else None,
        "reference": reference_for(asked.log, asked.given.count("model", 1)) if target == "deviates" else None,
    }


def _asking(asked: Asked, target: str) -> dict[str, Any]:
    return {
        "targets": [(words, asked.here(target=key), key == target) for key, words in PROBLEMS.items()],
        "target": target,
        "slow_days": asked.request.GET.get("slow_days", ""),
        "own_words": [
            (key, value) for key, value in asked.own().items() if key not in ("slow_days", "by", "rank", "money")
        ],
    }


@about("event_log_causes")
def causes_page(asked: Asked) -> Answered:
    """Tell which attributes go with a problem."""
    told = _problem(asked)
    answer = asked.ask(causes, **told)
    if asked.as_csv:
        return asked.csv(answer.causes, "causes")
    rows = [_cause(asked, answer, one) for one in answer.causes]
    context = {"answer": answer, "rows": rows, "whole_bar": round(100 * answer.rate), **_asking(asked, answer.target)}
    return asked.show("insights/causes.html", context)


def _cause(asked: Asked, answer: Causes, one: Cause) -> dict[str, Any]:
    row: dict[str, Any] = {"one": one, "bar": round(100 * one.rate), "cases": "", "map": ""}
    narrowed = parse(asked.log, one.query) if one.query else None
    case = ""
    if narrowed is not None:
        row |= {"cases": asked.at("event_log_cases", narrowed), "map": asked.at("event_log", narrowed)}
        longest = kept(cases, asked.log, narrowed, most=1).results
        case = longest[0].case if longest else ""
    watch = _watch(asked, answer.target, narrowed)
    label = f"{asked.log.name}: {one.words}"
    return row | {"offer": offers.offer(asked.log, [watch] if watch else [], text=one.words, label=label, case=case)}


def _watch(asked: Asked, target: str, narrowed: Filter | None) -> offers.Watch | None:
    """Offer what would tell of the problem while it happens, among the cases that ``narrowed`` leaves."""
    if narrowed is None:
        return None
    if target == "rework":
        again = asked.ask(rework).activities
        return offers.watch_loop(asked.log, narrowed, again[0].activity) if again else None
    ends, usual = usual_ends(asked), asked.ask(throughput).p90_seconds
    return offers.watch_late(asked.log, narrowed, ends, usual) if target == "slow" and ends and usual else None


@about("event_log_hotspots")
def hotspot_page(asked: Asked) -> Answered:
    """Tell where a problem gathers."""
    told = _problem(asked)
    rank = asked.given.choice("rank", RANKS, "cases")
    answer = asked.ask(
        hotspots, by=asked.request.GET.get("by", ""), rank=rank, money=asked.request.GET.get("money", ""), **told
    )
    if asked.as_csv:
        return asked.csv(answer.results, "hot-spots")
    named = [one.name for one in held(asked.log, "", "text", "flag")]
    rows = [
        (one, asked.at("event_log", left), asked.at("event_log_cases", left), _watch(asked, answer.target, left))
        for one in answer.results
        if one.hits
        for left in (parse(asked.log, one.query),)
    ]
    context = {
        "answer": answer,
        "place": answer.by.removeprefix("attribute."),
        "rows": rows,
        "places": [("activity", "Activity"), ("variant", "Variant"), *((f"attribute.{one}", one) for one in named)],
        "rank": rank,
        "has_money": bool(answer.money_attribute),
        "chart": _pareto(asked, answer, rank) if answer.hits else None,
        "said": _top(answer),
        **_asking(asked, answer.target),
    }
    return asked.show("insights/hotspots.html", context)


def _top(answer: HotSpots) -> str:
    """Say the three largest in a sentence."""
    top = [one for one in answer.results[:3] if one.hits]
    if not top:
        return ""
    places = ", ".join(one.value or "not filled in" for one in top)
    return f"{places} hold {percent(top[-1].cumulative)} of the {several(answer.hits, 'such case')}."


def _pareto(asked: Asked, answer: HotSpots, rank: str) -> Any:
    by_money = rank == "money"
    data = [
        Datum(
            one.value or "not filled in",
            float(one.money or 0.0) if by_money else one.hits,
            money_text(one.money or 0.0, answer.currency) if by_money else several(one.hits, "case"),
            asked.at("event_log_cases", parse(asked.log, one.query)),
        )
        for one in answer.results[:_BARS]
        if one.hits
    ]
    return pareto("Where it gathers", data, "The line is the running share of what is shown.")


@about("event_log_leakage")
def leakage_page(asked: Asked) -> Answered:
    """Tell the KPI leakage: what cases over their target cost."""
    days, rate = asked.given.amount("target_days"), asked.given.amount("rate")
    answer = asked.ask(
        leakage,
        target_seconds=days * DAY if days is not None else None,
        rate=USUAL_RATE if rate is None else rate / 100,
        money=asked.request.GET.get("money", ""),
    )
    if asked.as_csv:
        return asked.csv([*answer.variants, *answer.steps], "kpi-leakage")
    variants = [
        (
            one,
            folded(one.activities[:_STEPS]),
            asked.at("event_log_cases", asked.filter.also(variants=(one.variant,))),
            offers.watch_variant(asked.log, asked.filter, one.activities).url if len(one.activities) <= _STEPS else "",
        )
        for one in answer.variants[:15]
        if one.seconds
    ]
    slow = {(each.source, each.target): each.p90_seconds for each in asked.ask(bottlenecks).edges}
    steps = [
        (
            one,
            asked.at("event_log", step_from=first, step_to=then),
            offers.watch_slow(asked.log, asked.filter, first, then, slow[first, then]).url,
        )
        for one in answer.steps[:15]
        for first, then in (one.activities,)
    ]
    context = {
        "answer": answer,
        "variants": variants,
        "steps": steps,
        "rate": f"{answer.rate * 100:g}",
        "numbers": [one.name for one in held(asked.log, "", "number")],
        "money": asked.request.GET.get("money", ""),
        "target_days": asked.request.GET.get("target_days", ""),
    }
    return asked.show("insights/leakage.html", context)
