"""The process map: what happens after what, how often and how long; a look at one box or line leads to action."""

from dataclasses import dataclass
from typing import Any

from insights.drawing.layout import start_early
from insights.drawing.placing import MOST_BOXES, MOST_LINES, first_settings, placed
from insights.mining.answers import kept
from insights.mining.bottlenecks import bottlenecks
from insights.mining.cases import Case, cases
from insights.mining.filters import Filter
from insights.mining.process_map import COLOURS, Activity, Edge, ProcessMap, coloured, process_map
from insights.mining.throughput import throughput
from insights.mining.wording import duration, several
from insights.views import offers
from insights.views.asked import Answered, Asked, about
from insights.views.offers import Offer
from insights.views.picture import Choice, longest, picture


@dataclass(frozen=True)
class Close:
    """What is said of the box or line that was chosen."""

    title: str
    sentence: str
    facts: tuple[tuple[str, str], ...]
    cases: tuple[Case, ...]
    narrow: str
    list: str
    offer: Offer


@about("event_log")
def process(asked: Asked) -> Answered:
    """Show the map of a log."""
    colour = asked.given.choice("colour", COLOURS, "frequency")
    usual = first_settings(asked.log)
    boxes = min(asked.given.count("activities", 1) or usual["activities"], MOST_BOXES)
    lines = min(asked.given.count("paths", 1) or usual["paths"], MOST_LINES)
    drawn = asked.ask(process_map, activities=boxes, paths=lines)
    if asked.as_csv:
        return asked.csv(drawn.edges, "process-map")
    context: dict[str, Any] = {"drawn": drawn, "colour": colour, "colours": _colours(asked, colour)}
    if drawn.cases:
        context |= _drawing(asked, drawn, colour, boxes, lines)
    return asked.show("insights/map.html", context)


def _colours(asked: Asked, colour: str) -> list[tuple[str, str, bool]]:
    words = {"frequency": "How often", "time": "How long", "rework": "What is redone"}
    return [(words[one], asked.here(colour=one, **_chosen(asked)), one == colour) for one in COLOURS]


def _chosen(asked: Asked) -> dict[str, str]:
    return {key: asked.request.GET[key] for key in ("step", "step_from", "step_to") if asked.request.GET.get(key)}


def _drawing(asked: Asked, drawn: ProcessMap, colour: str, boxes: int, lines: int) -> dict[str, Any]:
    said = _chosen(asked)
    choice = Choice(said.get("step", ""), said.get("step_from", ""), said.get("step_to", ""))
    places = placed(asked.log, asked.filter, activities=boxes, paths=lines)
    start_early()
    shown = picture(
        coloured(drawn, colour), places, colour=colour, chosen=choice,
        step_url=lambda name: asked.here(step=name),
        edge_url=lambda one, other: asked.here(step_from=one, step_to=other),
        end_url=lambda which, name: asked.at("event_log_cases", asked.filter.also(**{f"{which}s": (name,)})),
    )  # fmt: skip
    edges = len(drawn.edges) + drawn.hidden_edges
    return {
        "picture": shown,
        "close": _close(asked, drawn, choice),
        "worst": [(one, asked.here(step_from=one.source, step_to=one.target)) for one in longest(drawn.edges, 3)],
        "times": asked.ask(throughput),
        "rows": [(one, asked.here(step=one.name)) for one in drawn.activities],
        "edges": [(one, asked.here(step_from=one.source, step_to=one.target)) for one in drawn.edges],
        "starts": list(drawn.start.items()),
        "ends": list(drawn.end.items()),
        "sliders": [
            ("activities", "Activities", boxes, min(MOST_BOXES, len(drawn.activities) + drawn.hidden_activities),
             len(drawn.activities), len(drawn.activities) + drawn.hidden_activities),
            ("paths", "Paths", min(lines, edges), min(MOST_LINES, edges), len(drawn.edges), edges),
        ],
        "slider_carried": [*asked.filter.pairs(), ("colour", colour)],
    }  # fmt: skip


def _close(asked: Asked, drawn: ProcessMap, choice: Choice) -> Close | None:
    if choice.step:
        step = next((one for one in drawn.activities if one.name == choice.step), None)
        return _step(asked, drawn, step) if step else None
    couple = (choice.source, choice.target)
    edge = next((one for one in drawn.edges if (one.source, one.target) == couple), None)
    return _edge(asked, drawn, edge) if edge else None


def _step(asked: Asked, drawn: ProcessMap, one: Activity) -> Close:
    narrowed = asked.filter.also(including=(one.name,))
    waits = next((each for each in asked.ask(bottlenecks).steps if each.target == one.name), None)
    longest_ones = kept(cases, asked.log, narrowed, most=3)
    facts = [
        ("Times", f"{one.count:,}"),
        ("Cases", f"{one.cases:,} of {drawn.cases:,}"),
        ("Waits before it, median", duration(waits.median_seconds) if waits else "It comes first"),
        ("Waits before it, slowest tenth", f"{duration(waits.p90_seconds)} or more" if waits else "–"),
        ("Done again", several(one.extra, "time") if one.extra else "Never"),
    ]
    sentence = f"“{one.name}” was done {several(one.count, 'time')} in {several(one.cases, 'case')}"
    sentence += f", {several(one.extra, 'time')} of them again." if one.extra else "."
    sentence += f" {waits.why}" if waits and one.median_seconds else ""
    watches = [offers.watch_loop(asked.log, asked.filter, one.name)] if one.extra else []
    watches.append(offers.watch_number(asked.log, asked.filter, one.name))
    return _told(
        asked, one.name, sentence=sentence, facts=facts, found=longest_ones.results, narrowed=narrowed, watches=watches
    )


def _edge(asked: Asked, drawn: ProcessMap, one: Edge) -> Close:
    narrowed = asked.filter.also(edges=((one.source, one.target),))
    longest_ones = kept(cases, asked.log, narrowed, most=3)
    indirect = longest_ones.total < one.cases
    if indirect:
        # Hidden activities stand between the two on this map, so the cases are those where the one follows later.
        narrowed = asked.filter.also(follows=((one.source, one.target),))
        longest_ones = kept(cases, asked.log, narrowed, most=3)
    facts = [
        ("Times", f"{one.count:,}"),
        ("Cases", f"{one.cases:,} of {drawn.cases:,}"),
        ("Takes, median", duration(one.median_seconds)),
        ("Takes, slowest tenth", f"{duration(one.p90_seconds)} or more"),
        ("Back to a step already done", several(one.repeated, "time") if one.repeated else "Never"),
    ]
    sentence = (
        f"From “{one.source}” to “{one.target}” it takes {duration(one.median_seconds)} in the middle case and "
        f"{duration(one.p90_seconds)} or more in every tenth; {several(one.count, 'time')} in "
        f"{several(one.cases, 'case')}."
    )
    sentence += " Steps that are hidden on this map lie between." if indirect else ""
    watches = [offers.watch_slow(asked.log, asked.filter, one.source, one.target, one.p90_seconds or 0.0)]
    if one.repeated:
        watches.append(offers.watch_loop(asked.log, asked.filter, one.target))
    title = f"{one.source} → {one.target}"
    return _told(
        asked, title, sentence=sentence, facts=facts, found=longest_ones.results, narrowed=narrowed, watches=watches
    )


def _told(
    asked: Asked,
    title: str,
    *,
    sentence: str,
    facts: list[tuple[str, str]],
    found: tuple[Case, ...],
    narrowed: Filter,
    watches: list[offers.Watch],
) -> Close:
    case = found[0].case if found else ""
    return Close(
        title=title,
        sentence=sentence,
        facts=tuple(facts),
        cases=found,
        narrow=asked.here(narrowed),
        list=asked.at("event_log_cases", narrowed),
        offer=offers.offer(asked.log, watches, text=sentence, label=title, case=case),
    )
