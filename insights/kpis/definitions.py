"""What each measure means, in words that stay: the page, the API, the feed and the guide all quote them from here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Definition:
    """One measure: its name in the API, what a page calls it, its unit, what it means, and whether more is better."""

    name: str
    label: str
    unit: str  # seconds, share, money, count
    text: str
    more_is_better: bool | None = True


DEFINITIONS: dict[str, Definition] = {
    one.name: one
    for one in (
        Definition(
            "mttr_seconds",
            "Time to a verified mend",
            "seconds",
            "Mean time from the moment an incident was opened (our clock, when its first signal was taken in) to "
            "the moment it was closed because a fresh read of the source agreed. Counted: incidents that are "
            "resolved and were closed in the period. What was reopened counts from its first opening. Incidents "
            "that were folded into another one are left out.",
            more_is_better=False,
        ),
        Definition(
            "first_contact_resolution",
            "Solved at first contact",
            "share",
            "Share of incidents whose first plan mended them and that never needed an operator. Counted: "
            "incidents that are resolved or rolled back and were closed in the period; a rolled back one is not "
            "solved. Incidents that were folded into another one are left out.",
        ),
        Definition(
            "sla_adherence",
            "Service levels kept",
            "share",
            "Share of clocks that missed neither the time to acknowledge nor the time to resolve, in business "
            "time. Counted: incidents with a clock that are resolved or rolled back and were closed in the "
            "period, and open ones that missed a target in it. Contractual and internal targets also stand apart. "
            "Incidents that were folded into another one are left out.",
        ),
        Definition(
            "change_success_rate",
            "Right at the first attempt",
            "share",
            "Share of changes whose every step was sent once and read back as predicted at the first read. "
            "Counted: forward executions begun in the period that were verified, or that failed or were given up "
            "after something was sent.",
        ),
        Definition(
            "automation_coverage",
            "Handled by automation",
            "share",
            "Share of incidents that a playbook mended without needing an operator: autonomous (nobody had to "
            "approve) plus approved (a person said yes, the machine did it). The rest is manual: an operator was "
            "needed at some time, a person dismissed it, or the mend was rolled back. Counted: incidents closed "
            "in the period, without those in which the loop found nothing to mend. Incidents that were folded "
            "into another one are left out.",
        ),
        Definition(
            "roi",
            "Cost to serve saved",
            "share",
            "By how much the cost to serve is lower than if everything had been done by hand: 1 − (people's "
            "minutes × hourly rate + tokens × price) ÷ (minutes by hand × hourly rate). Minutes, rate and price "
            "are stated assumptions; which incident took which path is counted from rows. Counted: the incidents "
            "of the coverage, without those for which minutes or rate are not stated; the tokens of the days "
            "(UTC) that the period touches. The interval draws the incidents anew 2,000 times. Of a part of the "
            "rows each incident bears the same share of the tokens.",
        ),
        Definition(
            "revenue_protected",
            "Revenue protected",
            "money",
            "Sum of the revenue at risk of incidents that are resolved with a verified mend and were closed in "
            "the period, each currency by itself: nothing is converted. Incidents that were folded into another "
            "one are left out.",
        ),
        Definition(
            "duplicate_invoices",
            "Duplicate invoices",
            "money",
            "Of the duplicate invoices found in the period (opened; dismissed and folded ones left out) the "
            "amount that was prevented or recovered: the revenue at risk, or what the signals say where that is "
            "not known; each currency by itself. "
            "Prevented: mended, and nothing had been paid on it when it was found: the customer still owed all of "
            "it, or the vendor's invoice was not approved yet. Recovered: mended after money had moved, or where "
            "the record does not tell. Missed: the mend was rolled back, or it is open and past its time. Open: "
            "the rest. What was never found is not known here.",
        ),
        Definition(
            "freight_misrates",
            "Freight charged wrongly",
            "money",
            "Of the freight charges found wrong in the period: prevented, recovered, missed and open as for "
            "duplicate invoices.",
        ),
        Definition(
            "working_capital",
            "Working capital released",
            "money",
            "Value × days: for each verified mend the revenue at risk times (the stated days by hand − the days "
            "it took), divided by the days of the period: the average amount that was not tied up. Only verified "
            "outcomes, each currency by itself, and only kinds with a stated number of days.",
        ),
        Definition(
            "cost_to_serve",
            "Cost to serve an incident",
            "money",
            "People's minutes × hourly rate + tokens × price, divided by the incidents counted for the saving. "
            "Rests on the same assumptions.",
            more_is_better=False,
        ),
    )
}
# What is told of each connection, model or operation by itself, beside the measures of incidents and changes.
USE: dict[str, Definition] = {
    one.name: one
    for one in (
        Definition(
            "connector_calls",
            "Calls to other systems",
            "count",
            "Calls of each connection on the days (UTC) that the period touches, whatever came of them; one that "
            "took several requests counts once. Failed: all that were not answered with a yes. Calls for no "
            "incident count only for those who see every unit. Counted a few minutes behind.",
            more_is_better=None,
        ),
        Definition(
            "token_cost",
            "Cost of models",
            "money",
            "Tokens that each connection used on the days (UTC) that the period touches × the stated price of a "
            "million. Counted like the calls. Where no price is stated there are tokens and no amount.",
            more_is_better=False,
        ),
        Definition(
            "run_times",
            "How long steps take",
            "seconds",
            "Seconds from the moment a step's intent was entered to the target's yes, by operation: half of the "
            "steps (p50) and 95 in a hundred (p95) took no longer; by nearest rank, so that each is a time that "
            "was measured. Counted: steps, forward and back, that got a yes, of executions begun in the period.",
            more_is_better=False,
        ),
    )
}
FIRST = (
    "mttr_seconds",
    "first_contact_resolution",
    "sla_adherence",
    "change_success_rate",
    "automation_coverage",
    "roi",
)
