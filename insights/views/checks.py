"""Pages that hold a log against what should be: a reference model, and duties that two people must share."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from audit.errors import Invalid, NotAllowed
from audit.pages import answers_refusals, cleaned, person
from insights.access import may_act
from insights.mining.actions import give_reference
from insights.mining.asking import names
from insights.mining.bpmn import MOST_BYTES
from insights.mining.conformance import Counted, Deviation, conformance, reference_for
from insights.mining.duties import Duty, duties
from insights.mining.filters import Filter
from insights.mining.models import ReferenceModel
from insights.views import offers
from insights.views.answers import folded
from insights.views.asked import Answered, Asked, about, found

_SHOWN = 30
# What a reference model lets follow what, of the activities that the log has.
Follows = list[tuple[str, str]]
_STEPS = 60


class ModelForm(forms.Form):
    """A reference model: a BPMN file, or ways through the process, one a line."""

    name = forms.CharField(max_length=120, required=False)
    file = forms.FileField(required=False)
    paths = forms.CharField(max_length=200_000, required=False)


@about("event_log_conformance")
def conformance_page(asked: Asked) -> Answered:
    """Tell how far cases keep to the reference model, and where they leave it."""
    number = asked.given.count("model", 1)
    reference = reference_for(asked.log, number)
    answer = asked.ask(conformance, reference=reference)
    if asked.as_csv:
        return asked.csv(answer.deviations, "conformance")
    known = names(asked.log).numbers
    follows = [couple for couple in reference.follows if couple[0] in known and couple[1] in known]
    context = {
        "answer": answer,
        "share": answer.fitting / answer.cases if answer.cases else None,
        "rows": [_deviation(asked, one, follows) for one in answer.deviations[:_SHOWN]],
        "more": max(0, len(answer.deviations) - _SHOWN),
        "variants": [
            (
                one,
                folded(one.activities[:_STEPS]),
                asked.at("event_log_cases", asked.filter.also(variants=(one.variant,))),
            )
            for one in answer.variants[:10]
        ],
        "models": ReferenceModel.objects.filter(log=asked.log).values_list("pk", "name", "created_at")[:20],
        "model": number,
        "why": asked.at("event_log_causes", target="deviates"),
    }
    return asked.show("insights/conformance.html", context)


def _deviation(asked: Asked, one: Counted, follows: Follows) -> dict[str, Any]:
    watch = _watch(asked, one.deviation, follows)
    narrowed = _narrowed(asked.filter, one.deviation)
    return {"one": one, "cases": asked.at("event_log_cases", narrowed), "watch": watch.url if watch else ""}


def _narrowed(filter: Filter, one: Deviation) -> Filter:
    """Return the cases that leave the model in this way."""
    if one.kind == "move":
        # What the model does not know may stand between the two: it looks past that.
        return filter.also(follows=((one.activity, one.target),))
    parts = {"start": "starts", "end": "ends", "missing": "excluding", "extra": "including"}
    return filter.also(**{parts[one.kind]: (one.activity,)})


def _watch(asked: Asked, one: Deviation, follows: Follows) -> offers.Watch | None:
    """Offer what would tell of it while it happens."""
    if one.kind == "start":
        return offers.watch_start(asked.log, asked.filter, one.activity)
    if one.kind == "end":
        return offers.watch_end(asked.log, asked.filter, one.activity)
    if one.kind == "extra":
        return offers.watch_number(asked.log, asked.filter, one.activity)
    if one.kind == "move" and one.activity == one.target:
        return offers.watch_loop(asked.log, asked.filter, one.activity)
    if one.kind == "missing":
        left_out = [(one.activity, then) for first, then in follows if first == one.activity and then != first]
    else:
        between = {then for first, then in follows if first == one.activity}
        left_out = [(first, then) for first, then in follows if then == one.target and first in between]
    fitting = next(iter(left_out), None)
    return offers.watch_missing(asked.log, asked.filter, *fitting) if fitting else None


@require_POST
@login_required
@answers_refusals
def give_model(request: HttpRequest, pk: int) -> HttpResponse:
    """Keep a reference model for the log; the newest is the one that counts."""
    log = found(request, pk)
    if not may_act(request.user):
        raise NotAllowed("Only operators and automation owners give reference models.")
    told = cleaned(ModelForm(request.POST, request.FILES))
    file, paths = told["file"], _paths(told["paths"])
    if file is not None and file.size > MOST_BYTES:
        raise Invalid("The file is too large.", {"file": [f"At most {MOST_BYTES >> 20} MB."]})
    if file is None and not paths:
        raise Invalid("Nothing was given.", {"paths": ["Choose a BPMN file, or write at least one way."]})
    row = give_reference(
        log,
        name=told["name"] or (file.name if file else "Declared ways"),
        by=person(request),
        paths=None if file is not None else paths,
        bpmn=file.read() if file is not None else None,
    )
    messages.success(request, f"Cases are now held against “{row.name}”.")
    return redirect("event_log_conformance", pk=log.pk)


def _paths(text: str) -> list[list[str]]:
    """Read ways, one a line, steps parted by an arrow or a semicolon."""
    rows = (line.replace("→", ";").replace("->", ";").split(";") for line in text.splitlines())
    return [steps for row in rows if (steps := [one.strip() for one in row if one.strip()])]


@about("event_log_duties", also=("first", "second"))
def duties_page(asked: Asked) -> Answered:
    """Tell in which cases one person did what two should have done."""
    pairs = _pairs(asked)
    answer = asked.ask(duties, pairs=pairs)
    if asked.as_csv:
        rows = [
            {"first": duty.first, "second": duty.second, "case": one.case, "person": one.person}
            for duty in answer.results
            for one in duty.breaches
        ]
        return asked.csv(rows, "duties")
    context = {
        "answer": answer,
        "rows": [_duty(asked, one) for one in answer.results],
        "suggested": [(one, _rule_url(asked, one.first, one.second)) for one in answer.suggested],
        "pairs": pairs,
    }
    return asked.show("insights/duties.html", context)


def _pairs(asked: Asked) -> list[tuple[str, str]]:
    get = asked.request.GET
    told = [
        (one, other) for one, other in zip(get.getlist("first"), get.getlist("second"), strict=False) if one and other
    ]
    return told[:50] or list(reference_for(asked.log, asked.given.count("model", 1)).duties)


def _rule_url(asked: Asked, first: str, second: str) -> str:
    joint = "&" if "?" in asked.here() else "?"
    return f"{asked.here()}{joint}{urlencode({'first': first, 'second': second})}"


def _duty(asked: Asked, one: Duty) -> dict[str, Any]:
    watch = offers.watch_duty(asked.log, asked.filter, one.first, one.second)
    alone = one.first == one.second
    said = (
        f"In {one.broken} of {one.cases} cases one person alone did “{one.first}”."
        if alone
        else f"In {one.broken} of {one.cases} cases one person did both “{one.first}” and “{one.second}”."
    )
    first = one.breaches[0].case if one.breaches else ""
    made = offers.offer(asked.log, [watch], text=said, label=f"Duties: {one.first}, {one.second}", case=first)
    return {
        "one": one,
        "alone": alone,
        "breaches": [(each, asked.at("event_log_case", case=each.case)) for each in one.breaches[:20]],
        "share": one.broken / one.cases if one.cases else None,
        "offer": made,
    }
