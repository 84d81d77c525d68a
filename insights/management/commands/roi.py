"""``manage.py roi``: what was saved, and whether the method would claim savings that are not there."""

import math
import random
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from insights.kpis import answers, intervals, periods
from insights.kpis.dashboard import text_of

_SPREAD = 0.8  # of the logarithm: times to mend are skewed like this


class Command(BaseCommand):
    """Tell the measures of a person, or try the comparison on made-up history whose truth is known."""

    help = "Tell the measures as one user sees them, or --simulate a known effect and count wrong claims."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take whose figures, or what to simulate."""
        parser.add_argument("--user", default="", metavar="NAME", help="Whose view: what they may see is measured.")
        parser.add_argument("--days", type=int, default=periods.DAYS)
        parser.add_argument("--simulate", default="", metavar="true_effect=SHARE", help="Such as true_effect=-0.3.")
        parser.add_argument("--runs", type=int, default=1_000)
        parser.add_argument("--size", type=int, default=100, help="Incidents before, and as many after.")
        parser.add_argument("--seed", type=int, default=1)

    def handle(self, *args: Any, **options: Any) -> None:
        """Simulate where asked to; else tell the measures."""
        if options["simulate"]:
            self._simulate(_effect(options["simulate"]), options["runs"], options["size"], options["seed"])
            return
        user = get_user_model().objects.filter(username=options["user"], is_active=True).first()
        if user is None:
            raise CommandError("Say whose view with --user NAME.")
        found = answers.answer(user, periods.latest(max(1, options["days"])))
        for measure in (*found.first, *found.money):
            ends = measure.interval and " to ".join(text_of(measure, end) for end in measure.interval)
            said = f"{text_of(measure)}{f' ({ends})' if ends else ''}, n = {measure.n}"
            self.stdout.write(f"{measure.definition.label}: {said}{f'. {measure.because}' if measure.because else ''}")

    def _simulate(self, effect: float, runs: int, size: int, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - a simulation, no secret
        truth = effect * math.exp(_SPREAD**2 / 2)
        claimed = covered = refused = 0
        for _ in range(runs):
            before, after = ([chance.lognormvariate(0, _SPREAD) for _ in range(size)] for _ in range(2))
            found = intervals.of_means(
                intervals.moments(before), intervals.moments([value * (1 + effect) for value in after])
            )
            if found.interval is None:
                refused += 1
                continue
            claimed += found.verdict != "no_effect"
            covered += found.interval[0] <= truth <= found.interval[1]
        self.stdout.write(f"{runs} runs of {size} before and {size} after, true effect {effect:+.0%}")
        if refused:
            self.stdout.write(f"refused: {refused} (too thin: at least {intervals.FEWEST} on each side)")
        if told := runs - refused:
            self.stdout.write(f"claimed an effect: {claimed / told:.1%}; true effect covered: {covered / told:.1%}")


def _effect(text: str) -> float:
    name, _, value = text.partition("=")
    try:
        effect = float(value)
    except ValueError:
        effect = math.nan
    if name != "true_effect" or not -1 < effect < 100:
        raise CommandError("Write --simulate true_effect=0 or another share above -1.")
    return effect
