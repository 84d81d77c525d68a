"""Dead letters: what cannot go on, grouped by cause, with what to do next."""

from collections.abc import Callable
from dataclasses import dataclass

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from audit.access import has_role
from audit.errors import Refusal
from audit.pages import answers_refusals, came_from, cleaned, page_of, person, words_of
from playbooks import access, actions
from playbooks.console.offers import MENDERS
from playbooks.forms import Resolution
from playbooks.models import DeadLetter
from playbooks.telling.models import Outgoing
from playbooks.telling.states import OutState

MOST = 200


@dataclass(frozen=True)
class Group:
    """Letters that wait for the same reason, the oldest first."""

    cause: str
    letters: list[DeadLetter]

    @property
    def first(self) -> DeadLetter:
        """The letter that stands for all."""
        return self.letters[0]


@require_safe
@login_required
def dead_letters(request: HttpRequest) -> HttpResponse:
    """Show what waits, by cause, and what has been dealt with."""
    rows = access.dead_letters(request.user).select_related("incident", "step_run__step", "step_run__execution")
    closed = request.GET.get("state") == "closed"
    context = {
        "closed": closed,
        "page": page_of(rows.exclude(state=DeadLetter.State.WAITING), request) if closed else None,
        "groups": [] if closed else _groups(rows),
        "unsent": [] if closed else _unsent(request),
        "may_mend": has_role(request.user, *MENDERS),
    }
    return render(request, "playbooks/dead_letters.html", context)


def _unsent(request: HttpRequest) -> list[Outgoing]:
    rows = access.outgoing(request.user).filter(state=OutState.DEAD).select_related("incident", "subscription")
    return list(rows.order_by("id")[:MOST])


def _groups(rows: "QuerySet[DeadLetter]") -> list[Group]:
    found: dict[str, list[DeadLetter]] = {}
    for letter in rows.filter(state=DeadLetter.State.WAITING).order_by("id")[:MOST]:
        found.setdefault(letter.cause, []).append(letter)
    return sorted((Group(cause, letters) for cause, letters in found.items()), key=lambda one: -len(one.letters))


@require_POST
@login_required
@answers_refusals
def replay(request: HttpRequest, pk: int) -> HttpResponse:
    """Take one letter up again."""
    letter = get_object_or_404(access.dead_letters(request.user), pk=pk)
    actions.replay_by(letter, by=person(request))
    messages.success(request, "Taken up again under its old effect key: nothing is done twice.")
    return redirect(came_from(request, reverse("dead-letters")))


@require_POST
@login_required
@answers_refusals
def resolve(request: HttpRequest, pk: int) -> HttpResponse:
    """Close one letter that a person has dealt with."""
    letter = get_object_or_404(access.dead_letters(request.user), pk=pk)
    actions.resolve(letter, by=person(request), resolution=cleaned(Resolution(request.POST))["resolution"])
    messages.success(request, "Closed.")
    return redirect(came_from(request, reverse("dead-letters")))


@require_POST
@login_required
@answers_refusals
def group(request: HttpRequest) -> HttpResponse:
    """Replay or resolve every letter of one cause that the reader may see."""
    letters = _of_cause(request)
    if request.POST.get("act") == "resolve":
        resolution = cleaned(Resolution(request.POST))["resolution"]
        _each(request, letters, lambda letter, by: actions.resolve(letter, by=by, resolution=resolution), "closed")
    else:
        _each(request, letters, lambda letter, by: actions.replay_by(letter, by=by), "taken up again")
    return redirect(reverse("dead-letters"))


def _of_cause(request: HttpRequest) -> list[DeadLetter]:
    rows = access.dead_letters(request.user).filter(state=DeadLetter.State.WAITING, cause=request.POST.get("cause", ""))
    return list(rows.order_by("id")[:MOST])


def _each(request: HttpRequest, letters: list[DeadLetter], do: Callable[[DeadLetter, User], object], said: str) -> None:
    done, refused = 0, []
    for letter in letters:
        try:
            do(letter, person(request))
            done += 1
        except Refusal as refusal:
            refused.append(f"{letter.incident}: {words_of(refusal)}")
    if done:
        messages.success(request, f"{done} letter{'' if done == 1 else 's'} {said}.")
    for text in refused[:5]:
        messages.error(request, text)
    if not letters:
        messages.info(request, "Nothing waits for that reason any more.")
