"""The cases behind every figure, one case with its events, and two filters side by side."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_safe

from audit.errors import Invalid
from audit.pages import words_of
from insights.detectors.links import link_to_incident, link_to_playbook
from insights.drawing.placing import place
from insights.eventlog.sources import entities_of, incidents_about
from insights.mining.answers import kept
from insights.mining.asking import names
from insights.mining.cases import ORDERS, Case, cases, one_case
from insights.mining.comparing import Side, compare
from insights.mining.filters import EVERYTHING, Filter, parse
from insights.mining.variants import paths_of
from insights.views.answers import page_number, pages
from insights.views.asked import OWN, TABS, Answered, Asked, about, address, found
from insights.views.chips import added, chips
from insights.views.offers import watch_variant
from insights.views.picture import Choice, picture

_PAGE = 50
_MOST_RECORDS = 20
_MOST_CSV = 100_000
# Parts that a filter has once: the newer takes the older's place.
_SINGLE = ("from", "to", "time", "min_seconds", "max_seconds")
_COLUMNS = (("case", "Case"), ("started", "Began"), ("seconds", "Took"), ("events", "Events"))


@about("event_log_cases")
def case_list(asked: Asked) -> Answered:
    """List the cases that the filter leaves."""
    order = asked.given.choice("ordering", tuple(ORDERS), "-seconds")
    if asked.as_csv:
        return asked.csv(cases(asked.log, asked.filter, most=_MOST_CSV, order=order).results, "cases")
    at = page_number(asked)
    answer = cases(asked.log, asked.filter, start=at * _PAGE, most=_PAGE, order=order)
    context = {
        "answer": answer,
        "rows": [_row(asked, one) for one in answer.results],
        "columns": [_column(asked, key, label, order) for key, label in _COLUMNS],
        **pages(asked, at, _PAGE, answer.total),
    }
    return asked.show("insights/cases.html", context)


def _row(asked: Asked, one: Case) -> dict[str, Any]:
    text = f"Case {one.case} took long: looked at from the list of cases of {asked.log.name}."
    return {
        "one": one,
        "url": asked.at("event_log_case", EVERYTHING, case=one.case),
        "incident": link_to_incident(asked.log, case=one.case, text=text),
    }


def _column(asked: Asked, key: str, label: str, order: str) -> dict[str, str]:
    down = order == f"-{key}"
    sort = "descending" if down else "ascending" if order == key else ""
    return {"label": label, "url": asked.here(ordering=key if down else f"-{key}"), "sort": sort}


@about("event_log_case", also=("case",))
def case(asked: Asked) -> Answered:
    """Show one case: what happened when, how long it waited, what the source told, and the incidents about it."""
    name = asked.request.GET.get("case", "")
    answer = one_case(asked.log, name)
    if answer is None:
        raise Http404("There is no such case.")
    if asked.as_csv:
        return asked.csv(answer.events, "case")
    path = paths_of(asked.log, [answer.case.variant], names(asked.log))[answer.case.variant]
    longest = max((one.gap_seconds or 0.0 for one in answer.events), default=0.0)
    text = f"Case {name} of {asked.log.name} needs a look."
    records = list(dict.fromkeys(one for one in (answer.record, *(each.record for each in answer.events)) if one))
    entities = entities_of(asked.request.user, answer.record or (records[0] if len(records) == 1 else None))
    context = {
        "answer": answer,
        "records": records[:_MOST_RECORDS],
        "more_records": len(records) - _MOST_RECORDS,
        "entities": entities,
        "attributes": [(key, value, _like(asked, key, value)) for key, value in answer.attributes.items()],
        "events": [(one, list(one.attributes.items())) for one in answer.events],
        "longest": longest,
        "incidents": incidents_about(asked.request.user, asked.log, name, entities)[:20],
        "same_way": asked.at("event_log_cases", EVERYTHING.also(variants=(answer.case.variant,))),
        "watch": watch_variant(asked.log, EVERYTHING, path).url if len(path) <= 60 else "",
        "incident": link_to_incident(asked.log, case=name, text=text),
        "playbook": link_to_playbook(label=f"Like case {name}", rationale=text),
        "csv_url": asked.at("event_log_case", EVERYTHING, case=name, format="csv"),
    }  # fmt: skip
    return asked.show("insights/case.html", context)


def _like(asked: Asked, key: str, value: Any) -> str:
    """Return where the cases with the same text are listed."""
    alike = EVERYTHING.also(attributes=((key, (value,)),)) if isinstance(value, str) else None
    return asked.at("event_log_cases", alike) if alike else ""


@require_safe
@login_required
def narrow(request: HttpRequest, pk: int) -> HttpResponse:
    """Add to a filter what a form says, and go back to the page with it."""
    log = found(request, pk)
    page = request.GET.get("f_page", "event_log")
    if page not in dict(TABS):
        raise Http404("There is no such page.")
    own = {key: value for key, value in request.GET.items() if key in OWN and key not in ("page", "format")}
    side = request.GET.get("f_side", "")
    given = {key: values for key, values in request.GET.lists() if not key.startswith("f_") and key not in OWN}
    if side in ("a", "b"):
        other = {key: values for key, values in given.items() if not key.startswith(f"{side}.")}
        given = {key.removeprefix(f"{side}."): values for key, values in given.items() if key.startswith(f"{side}.")}
    for key, values in added(request.GET).items():
        given[key] = (
            values if key in ("from", "to", "time", "min_seconds", "max_seconds") else [*given.get(key, []), *values]
        )
    try:
        chosen = parse(log, given, activities=names(log).numbers)
    except Invalid as invalid:
        messages.error(request, words_of(invalid))
        chosen = parse(log, {key: values for key, values in given.items() if key not in added(request.GET)})
    if side in ("a", "b"):
        pairs = [*((f"{side}.{key}", value) for key, value in chosen.pairs()),
                 *((key, value) for key, values in other.items() for value in values)]  # fmt: skip
        return redirect(f"{address(log, 'event_log_compare')}?{urlencode(pairs)}")
    return redirect(address(log, page, chosen, **own))


@require_safe
@login_required
def compare_page(request: HttpRequest, pk: int) -> Answered:
    """Show two filters side by side."""
    if picks := request.GET.getlist("pick"):
        pairs = [("ab"[at % 2] + ".variant", one) for at, one in enumerate(picks[:2])]
        return redirect(f"{address(found(request, pk), 'event_log_compare')}?{urlencode(pairs)}")
    sided = [key for key in request.GET if key.startswith(("a.", "b."))]
    return _compare(request, pk) if not sided else about("event_log_compare", also=sided)(_compared)(request, pk)


@about("event_log_compare")
def _compare(asked: Asked) -> Answered:
    return _compared(asked)


def _side(asked: Asked, prefix: str) -> Filter:
    given = {key[2:]: values for key, values in asked.request.GET.lists() if key.startswith(prefix)}
    # Whoever comes from a filtered page has the first side chosen already.
    first = asked.filter if prefix == "a." and not given else EVERYTHING
    return parse(asked.log, given, activities=names(asked.log).numbers) if given else first


def _compared(asked: Asked) -> Answered:
    one, other = _side(asked, "a."), _side(asked, "b.")
    most = {"activities": 9, "paths": 14}
    answer = kept(compare, asked.log, one, other, **most)
    if asked.as_csv:
        return asked.csv(answer.differences, "comparison")
    pairs = {"a": one, "b": other}
    sides = [_drawn(asked, pairs, letter, side) for letter, side in (("a", answer.first), ("b", answer.second))]
    rows = [row for row in answer.differences if row.first_per_case != row.second_per_case][:25]
    return asked.show("insights/compare.html", {"answer": answer, "sides": sides, "rows": rows, "bare": True})


def _drawn(asked: Asked, pairs: dict[str, Filter], letter: str, side: Side) -> dict[str, Any]:
    """Return one side as its template shows it."""
    chosen = pairs[letter]
    shown = None
    if side.cases:
        shown = picture(
            side.map,
            place(side.map),
            colour="frequency",
            chosen=Choice(),
            step_url=lambda name: asked.at("event_log", chosen, step=name),
            edge_url=lambda one, other: asked.at("event_log", chosen, step_from=one, step_to=other),
            end_url=lambda which, name: asked.at("event_log_cases", chosen.also(**{f"{which}s": (name,)})),
        )
    return {
        "letter": letter,
        "label": "First" if letter == "a" else "Second",
        "side": side,
        "chips": [(chip.words, _without(asked, pairs, letter, chip.without)) for chip in chips(chosen)],
        "carried": [(f"{key}.{name}", value) for key, held in pairs.items() for name, value in held.pairs()],
        "url": asked.at("event_log", chosen),
        "picture": shown,
    }


def _without(asked: Asked, pairs: dict[str, Filter], letter: str, left: Filter) -> str:
    told = {**pairs, letter: left}
    query = urlencode([(f"{key}.{name}", value) for key, one in told.items() for name, value in one.pairs()])
    return f"{address(asked.log, 'event_log_compare')}?{query}"
