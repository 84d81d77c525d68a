"""The distributor's past year, order to cash, as an event log for each business unit.

Most cases are orders of the web shop and the EDI line, which F&O has archived; the orders that F&O still holds follow
in ``history_desk``. The same seed and day give the same log, byte for byte. What is wrong in it was planted:

- Key accounts' prices are changed after invoicing: a credit note and a second invoice follow (``price_rework``).
- The warehouse LYS-01 packs, finds something missing and picks again, up to four times (``pick_loop``).
- Some who release a credit hold confirm the order themselves (``duty_conflict``).
- Orders from NL have their week like all others, until MONDAY_BREAK days ago: Mondays to Wednesdays fall away.
- VELOCE and TRISTATE take about three times as long as other carriers (``SLOW``).
- The item BLOCKED must not be sold any more, and is (``blocked_item``).
- Some invoices are posted twice within seconds (``invoiced_twice``).
- The warehouse ATL-01 ships some orders without posting the goods issue (``no_goods_issue``).
"""

from __future__ import annotations

import argparse
import csv
import math
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from connectors.simulator.distributor.catalogue import BUSINESS_UNIT, CARRIERS, CURRENCY, CUSTOMERS, ITEMS, WAREHOUSES

COLUMNS = (
    "order", "activity", "time", "user", "business_unit", "region", "customer", "segment", "channel", "amount",
    "currency", "carrier", "plant", "item", "invoice",
)  # fmt: skip
DAYS = 365
# Orders on a usual day; the sum makes more than 20,000 cases a year in Europe.
PER_DAY = {"DE": 28.0, "NL": 24.0, "FR": 15.0, "US-EAST": 14.0, "US-WEST": 9.0}
WEEK = (1.25, 1.2, 1.15, 1.1, 0.95, 0.2, 0.15)
SEGMENTS = (("Key account", 0.22), ("Standard", 0.53), ("Small", 0.25))
BREAK_REGION, BREAK_DAYS, BREAK_WEEKDAYS, BREAK_SHARE = "NL", 19, (0, 1, 2), 0.15
SLOW = {"demf": "VELOCE", "usmf": "TRISTATE"}
BLOCKED, BLOCKED_DAYS = "B2007", 60
REWORK_SHARE, REWORK_ELSEWHERE = 0.16, 0.008
LOOP_PLANT, LOOP_SHARE = "LYS-01", 0.12
NO_ISSUE_PLANT, NO_ISSUE_SHARE = "ATL-01", 0.05
CONFLICT_SHARE = 0.07
TWICE_SHARE = 0.004

Event = tuple[datetime, str, str]  # when, what, who


@dataclass(frozen=True)
class Case:
    """What an order is, whatever happens to it."""

    number: str
    company: str
    region: str
    customer: str
    segment: str
    channel: str
    amount: float
    carrier: str
    plant: str
    item: str
    invoice: str = ""

    def rows(self, events: list[Event]) -> Iterator[tuple[str, ...]]:
        """Yield the lines of its events."""
        tail = (
            BUSINESS_UNIT[self.company], self.region, self.customer, self.segment, self.channel, f"{self.amount:.2f}",
            CURRENCY[self.company], self.carrier, self.plant, self.item, self.invoice,
        )  # fmt: skip
        for when, activity, user in events:
            yield (self.number, activity, when.strftime("%Y-%m-%dT%H:%M:%SZ"), user, *tail)


@dataclass
class Log:
    """The log of one company, and which orders each planted fact is about."""

    company: str
    cutoff: datetime
    rows: list[tuple[str, ...]] = field(default_factory=list)
    planted: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, case: Case, events: list[Event], *facts: str) -> None:
        """Take in what had happened to an order by the cut-off; a fact counts once its last event stands."""
        known = sorted((one for one in events if one[0] < self.cutoff), key=lambda one: one[0])
        if not known:
            return
        self.rows.extend(case.rows(known))
        if len(known) == len(events):
            for fact in facts:
                self.planted[fact].add(case.number)


def midnight(day: date) -> datetime:
    """Give the beginning of a day in UTC."""
    return datetime.combine(day, time(), UTC)


class _Year:
    """Draws one company's orders of the shop and the EDI line."""

    def __init__(self, company: str, seed: int, today: date) -> None:
        self.company, self.today = company, today
        self.draw = random.Random(f"history:{seed}:{company}")  # noqa: S311
        self.log = Log(company, midnight(today))
        self.regions = sorted(set(WAREHOUSES[company].values()))
        self.count = 0
        unit = BUSINESS_UNIT[company].lower()
        self.sales = [f"sales-{unit}-{n}" for n in range(1, 9)]
        self.credit = [f"credit-{unit}-{n}" for n in range(1, 5)]
        self.store = [f"store-{unit}-{n}" for n in range(1, 13)]
        self.items = [item for item in ITEMS if item != BLOCKED]

    def run(self) -> Log:
        for back in range(DAYS, 0, -1):
            day = self.today - timedelta(days=back)
            for region in self.regions:
                for _ in range(self.orders_on(day, back, region)):
                    self.order(day, back, region)
        return self.log

    def orders_on(self, day: date, back: int, region: str) -> int:
        season = 1 + 0.08 * math.sin(2 * math.pi * (day.timetuple().tm_yday - 80) / 365)
        usual = PER_DAY[region] * WEEK[day.weekday()] * season
        if region == BREAK_REGION and back <= BREAK_DAYS and day.weekday() in BREAK_WEEKDAYS:
            usual *= BREAK_SHARE
        return max(0, round(self.draw.gauss(usual, 0.6 * math.sqrt(usual))))

    def order(self, day: date, back: int, region: str) -> None:
        draw = self.draw
        self.count += 1
        channel = "Web shop" if draw.random() < 0.55 else "EDI"
        number = f"{self.company[0].upper()}-{self.count:06d}"
        (segment,) = draw.choices([name for name, _ in SEGMENTS], [share for _, share in SEGMENTS])
        blocked = back <= BLOCKED_DAYS and draw.random() < 0.008
        amount = math.exp(draw.uniform(4.2, 7.4)) * (2.2 if segment == "Key account" else 1.0)
        case = Case(
            f"{channel[0]}{number}",
            self.company,
            region,
            draw.choice(CUSTOMERS[region]),
            segment,
            channel,
            round(amount, 2),
            draw.choice(CARRIERS[self.company]),
            draw.choice([name for name, place in WAREHOUSES[self.company].items() if place == region]),
            BLOCKED if blocked else draw.choice(self.items),
            f"I{number}",
        )
        created = midnight(day) + timedelta(hours=draw.triangular(5, 19, 9.5))
        events, facts = self.life(case, created)
        self.log.add(case, events, *facts, *(["blocked_item"] if blocked else []))

    def after(self, when: datetime, least: float, most: float) -> datetime:
        """Give a moment so many hours later; short waits are more frequent than long ones."""
        return when + timedelta(hours=least + (most - least) * self.draw.random() ** 1.6)

    def working(self, when: datetime) -> datetime:
        """Give the next moment at which the warehouse works."""
        if when.weekday() >= 5:
            when += timedelta(days=7 - when.weekday())
        return when

    def life(self, case: Case, created: datetime) -> tuple[list[Event], list[str]]:
        """Tell all that will ever happen to an order, and what was planted in it."""
        facts: list[str] = []
        events: list[Event] = [(created, "Create order", "web-shop" if case.channel == "Web shop" else "edi-gateway")]
        when = self.agree(case, events, facts)
        when = self.fulfil(case, events, facts, when)
        self.collect(case, events, facts, when)
        return events, facts

    def agree(self, case: Case, events: list[Event], facts: list[str]) -> datetime:
        draw = self.draw
        when = self.after(events[0][0], 0.05, 0.7)
        events.append((when, "Check credit", "credit-batch"))
        confirming = draw.choice(self.sales) if case.amount > 900 else "order-batch"
        if draw.random() < 0.09:
            events.append((when + timedelta(minutes=1), "Place credit hold", "credit-batch"))
            who, when = draw.choice(self.credit), self.after(when, 4, 90)
            events.append((when, "Release credit hold", who))
            confirming = draw.choice(self.sales)
            if draw.random() < CONFLICT_SHARE:
                confirming = who
                facts.append("duty_conflict")
        if draw.random() < 0.04:
            when = self.after(when, 0.2, 5)
            events.append((when, "Change price", draw.choice(self.sales)))
        if draw.random() < 0.05:
            when = self.after(when, 0.2, 5)
            events.append((when, "Change quantity", draw.choice(self.sales)))
        when = self.after(when, 0.2, 4)
        events.append((when, "Confirm order", confirming))
        return when

    def fulfil(self, case: Case, events: list[Event], facts: list[str], when: datetime) -> datetime:
        draw, person = self.draw, self.draw.choice(self.store)
        when = self.working(self.after(when, 2, 22))
        events.append((when, "Pick goods", person))
        when = self.after(when, 0.5, 4)
        events.append((when, "Pack goods", person))
        if case.plant == LOOP_PLANT and draw.random() < LOOP_SHARE:
            facts.append("pick_loop")
            for _ in range(draw.randint(1, 3)):
                events.append((self.after(when, 1, 6), "Pick goods", person))
                when = self.after(events[-1][0], 0.5, 3)
                events.append((when, "Pack goods", person))
        when = self.after(when, 0.3, 2)
        if case.plant == NO_ISSUE_PLANT and draw.random() < NO_ISSUE_SHARE:
            facts.append("no_goods_issue")
        else:
            events.append((when, "Post goods issue", person))
        when = self.after(when, 0.5, 5)
        events.append((when, "Hand over to carrier", person))
        slow = case.carrier == SLOW[self.company]
        events.append((self.after(when, *((60, 190) if slow else (18, 62))), "Deliver", "carrier-edi"))
        return when

    def collect(self, case: Case, events: list[Event], facts: list[str], when: datetime) -> None:
        draw = self.draw
        when = self.after(when, 1, 8)
        events.append((when, "Post invoice", "billing-batch"))
        if draw.random() < TWICE_SHARE:
            facts.append("invoiced_twice")
            events.append((when + timedelta(seconds=draw.randint(3, 9)), "Post invoice", "edi-gateway"))
        if draw.random() < (REWORK_SHARE if case.segment == "Key account" else REWORK_ELSEWHERE):
            facts += ["price_rework"] if case.segment == "Key account" else []
            who = draw.choice(self.sales)
            events.append((self.after(when, 10, 90), "Change invoiced price", who))
            events.append((self.after(events[-1][0], 3, 30), "Post credit note", who))
            when = self.after(events[-1][0], 1, 20)
            events.append((when, "Post invoice", "billing-batch"))
        elif draw.random() < 0.02:
            events.append((self.after(when, 30, 200), "Open dispute", draw.choice(self.sales)))
            events.append((self.after(events[-1][0], 20, 160), "Post credit note", draw.choice(self.sales)))
        paid = when + timedelta(days=draw.triangular(3, 52, 24))
        if paid - when > timedelta(days=33):
            events.append((when + timedelta(days=33, hours=2), "Send reminder", "dunning-batch"))
        events.append((paid, "Receive payment", "bank-batch"))
        events.append((self.after(paid, 1, 26), "Clear invoice", "clearing-batch"))


def build(seed: int, today: date) -> dict[str, Log]:
    """Make the logs of all companies as they stood at the beginning of ``today``, UTC."""
    from connectors.simulator.distributor import history_desk

    logs = {company: _Year(company, seed, today).run() for company in WAREHOUSES}
    history_desk.add(logs, seed, today)
    return logs


def file_of(company: str) -> str:
    """Name the file of a company's log."""
    return f"order-to-cash-{BUSINESS_UNIT[company].lower()}.csv"


def write(folder: Path, seed: int, today: date) -> list[Path]:
    """Write each company's log as CSV; the same seed and day write the same bytes."""
    paths = []
    for company, log in build(seed, today).items():
        path = folder / file_of(company)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(log.rows)
        paths.append(path)
    return paths


def main() -> None:
    """Write the logs: ``python -m connectors.simulator.history --out DIR``."""
    parser = argparse.ArgumentParser(prog="python -m connectors.simulator.history", description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder that the files go to")
    parser.add_argument("--seed", type=int, default=7, help="seed of the business")
    parser.add_argument("--today", default=datetime.now(UTC).date().isoformat(), help="day at whose beginning they end")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for path in write(options.out, options.seed, date.fromisoformat(options.today)):
        print(path)


if __name__ == "__main__":
    main()
