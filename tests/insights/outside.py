"""Somebody outside with a token: works every measure out anew from its published words and the public API's answers."""

from __future__ import annotations

import copy
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from statistics import fmean
from typing import Any
from urllib.parse import quote

Row = dict[str, Any]
LEAKS = {"duplicate_invoices": ("duplicate_invoice", "duplicate_vendor_invoice"), "freight_misrates": ("freight_",)}
_OVER = ("resolved", "rolled_back", "dismissed")


class Outside:
    """What the API and the feed tell of a period to the owner of one token; no model, query or setting is looked at."""

    def __init__(self, client: Any, begin: datetime, end: datetime) -> None:
        self.client, self.begin, self.end = client, begin, end
        listed = list(self._pages("/api/v1/incidents/?page_size=200"))
        every = [self._get(f"/api/v1/incidents/{one['id']}/") for one in listed]
        self.incidents = [one for one in every if one["merged_into"] is None]
        for one in self.incidents:
            lines = self._pages(f"/api/v1/incidents/{one['id']}/timeline/?page_size=200")
            one["entries"] = [(line["data"]["verb"], line["actor"]) for line in lines if line["what"] == "entry"]
        known = {one["id"]: one for one in every}
        self.runs = [self._get(f"/api/v1/executions/{row['id']}/") for row in self.feed("Executions")]
        for run in self.runs:
            run["of"], run["by"] = known[run["incident"]], self._get(f"/api/v1/plans/{run['plan']}/")
        self.calls = list(self.feed("Calls"))

    def _get(self, url: str) -> Any:
        answer = self.client.get(url)
        assert answer.status_code == 200, (url, answer.content)
        return answer.json()

    def _pages(self, url: str | None) -> Iterator[Row]:
        while url:
            page = self._get(url)
            yield from page["results"]
            url = page["next"]

    def feed(self, name: str, where: str = "") -> Iterator[Row]:
        """Yield the rows of an entity set, page by page."""
        url: str | None = f"/odata/v4/{name}" + (f"?$filter={quote(where)}" if where else "")
        while url:
            page = self._get(url)
            yield from page["value"]
            url = page.get("@odata.nextLink")

    def within(self, text: str | None) -> bool:
        """Tell whether a moment lies in the period: from included, to excluded."""
        return text is not None and self.begin <= datetime.fromisoformat(text) < self.end

    def narrowed(self, keep: Callable[[Row], bool], runs: Callable[[Row], bool]) -> Outside:
        """Return the same with a part of the incidents and runs."""
        part = copy.copy(self)
        part.incidents, part.runs = list(filter(keep, self.incidents)), list(filter(runs, self.runs))
        return part

    def narrowed_calls(self, keep: Callable[[Row], Any]) -> Outside:
        """Return the same with a part of the calls."""
        part = copy.copy(self)
        part.calls = list(filter(keep, self.calls))
        return part

    def closed(self, *statuses: str) -> list[Row]:
        """Return what was closed in the period and is closed still."""
        return [one for one in self.incidents if one["status"] in statuses and self.within(one["closed_at"])]

    # --- The measures of the contract --------------------------------------------------------

    def mttr_seconds(self) -> list[float]:
        """Return the seconds of each mend."""
        return [_seconds(one["opened_at"], one["closed_at"]) for one in self.closed("resolved")]

    def first_contact_resolution(self) -> list[bool]:
        """Tell of each whether its first plan mended it and it never needed an operator."""
        rows = self.closed("resolved", "rolled_back")
        return [one["status"] == "resolved" and one["plan"]["number"] == 1 and not _helped(one) for one in rows]

    def sla_adherence(self, policy: str = "") -> list[bool]:
        """Tell of each clock whether it missed nothing."""
        clocks = [one["sla"] for one in self.closed("resolved", "rolled_back") if one["sla"]]
        still = [one["sla"] for one in self.incidents if one["closed_at"] is None and one["sla"]]
        clocks += [clock for clock in still if self.within(clock["breached_at"])]
        return [not clock["breached"] for clock in clocks if policy in ("", clock["policy"])]

    def change_success_rate(self) -> list[bool]:
        """Tell of each change whether every step was sent once and read back as predicted at the first read."""
        return [run["state"] == "verified" and run["first_attempt_verified"] is True for run in self.changes()]

    def changes(self) -> list[Row]:
        """Return the forward executions begun in the period that were verified, or ended after something was sent."""
        return [
            run
            for run in self.runs
            if run["direction"] == "forward"
            and self.within(run["created_at"])
            and (run["state"] == "verified" or (run["state"] in ("failed", "cancelled") and _sent(run)))
        ]

    def modes(self) -> list[tuple[Row, str]]:
        """Return how each incident that counts for the coverage was handled."""
        found = []
        for one in self.closed(*_OVER):
            if one["status"] == "dismissed":
                if any(verb == "incident.dismissed" and not who.startswith("system:") for verb, who in one["entries"]):
                    found.append((one, "manual"))
            elif one["status"] == "rolled_back" or _helped(one):
                found.append((one, "manual"))
            else:
                found.append((one, "autonomous" if one["plan"]["autonomous"] else "approved"))
        return found

    # --- Money -------------------------------------------------------------------------------

    def revenue_protected(self) -> dict[str, tuple[Decimal, int]]:
        """Return the revenue at risk of what is resolved, and how many, by currency."""
        sums: defaultdict[str, list[Decimal]] = defaultdict(list)
        for one in self.closed("resolved"):
            if one["revenue_at_risk"]:
                sums[one["revenue_at_risk"]["currency"]].append(Decimal(one["revenue_at_risk"]["amount"]))
        return {currency: (sum(amounts, Decimal(0)), len(amounts)) for currency, amounts in sums.items()}

    def leaks(self, name: str) -> dict[str, dict[str, tuple[int, Decimal]]]:
        """Return, by currency, how many leaks were found and met each fate, and how much they were worth."""
        told: dict[str, dict[str, tuple[int, Decimal]]] = {}
        for one in self.incidents:
            if not one["code"].startswith(LEAKS[name]) or one["status"] == "dismissed":
                continue
            if not self.within(one["opened_at"]):
                continue
            money = one["revenue_at_risk"] or one["amount"] or {"amount": "0", "currency": ""}
            fates = told.setdefault(money["currency"], {})
            for fate in ("found", self.fate(one)):
                n, amount = fates.get(fate, (0, Decimal(0)))
                fates[fate] = (n + 1, amount + Decimal(money["amount"]))
        return told

    def fate(self, one: Row) -> str:
        """Say what became of a leak, in the words of the definition."""
        if one["status"] == "resolved":
            return "prevented" if self.unpaid(one) else "recovered"
        if one["status"] == "rolled_back" or (one["sla"] and one["sla"]["breached"]):
            return "missed"
        return "open"

    def unpaid(self, one: Row) -> bool:
        """Tell whether the record says that nothing had been paid on it when it was found."""
        rows = self._pages(f"/api/v1/incidents/{one['id']}/evidence/?page_size=200")
        first = [row["content"] for row in rows if (row["form"], row["name"], row["round"]) == ("record", "invoice", 1)]
        for content in first:
            owed, whole = content.get("RemainingAmount"), content.get("TotalInvoiceAmount")
            if content.get("IsApproved") == "No" or (owed is not None and owed == whole):
                return True
        return False

    def working_capital(self, stated: Stated) -> dict[str, tuple[float, int]]:
        """Return the average amount that mends released, and of how many, by currency."""
        sums: defaultdict[str, list[float]] = defaultdict(list)
        for one in self.closed("resolved"):
            by_hand = stated.of("days_by_hand", one["code"])
            if one["revenue_at_risk"] and by_hand is not None:
                money = one["revenue_at_risk"]
                saved = by_hand - _seconds(one["opened_at"], one["closed_at"]) / 86_400
                sums[money["currency"]].append(float(money["amount"]) * saved)
        days = (self.end - self.begin) / timedelta(days=1)
        return {currency: (math.fsum(each) / days, len(each)) for currency, each in sums.items()}

    def costs(self, stated: Stated) -> tuple[float, float, int]:
        """Return what serving cost, what it would have cost by hand, and over how many incidents."""
        cost = by_hand = 0.0
        n = 0
        for one, mode in self.modes():
            rate, hand = stated.of("hourly_rate", one["business_unit"]), stated.of("minutes_by_hand", one["code"])
            approve = stated.of("minutes_to_approve", one["code"])
            if rate is None or hand is None or (mode == "approved" and approve is None):
                continue
            minutes = {"autonomous": 0.0, "approved": approve or 0.0, "manual": hand}[mode]
            n, cost, by_hand = n + 1, cost + minutes * rate / 60, by_hand + hand * rate / 60
        return cost, by_hand, n

    def token_cost(self, stated: Stated) -> float:
        """Return what the tokens of the period's days cost."""
        used = self.sums(lambda call: call["connection"], "tokens")
        return sum(tokens * (stated.of("token_price", slug) or 0.0) / 1e6 for slug, tokens in used.items())

    # --- Use ---------------------------------------------------------------------------------

    def used(self) -> list[Row]:
        """Return the calls of the days (UTC) that the period touches."""
        last = (self.end - timedelta(microseconds=1)).astimezone(UTC).date()
        return [call for call in self.calls if self.begin.astimezone(UTC).date() <= _day(call) <= last]

    def sums(self, key: Callable[[Row], Any], column: str = "") -> dict[Any, int]:
        """Return how many calls, or the sum of a column, by ``key``; sums of nothing are left out."""
        found: Counter[Any] = Counter()
        for call in self.used():
            found[key(call)] += call[column] if column else 1
        return {name: count for name, count in found.items() if count}

    def busiest(self, connection: str) -> int:
        """Return the calls of a connection's busiest day."""
        return max(Counter(_day(call) for call in self.used() if call["connection"] == connection).values())

    def run_times(self) -> dict[tuple[str, str], list[float]]:
        """Return the seconds of each finished step of what was begun in the period, by operation, in order."""
        found: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
        for run in self.runs:
            for step in run["steps"] if self.within(run["created_at"]) else ():
                if step["started_at"] and step["finished_at"]:
                    took = _seconds(step["started_at"], step["finished_at"])
                    found[step["connector"], step["operation"]].append(took)
        return {key: sorted(times) for key, times in found.items()}


class Stated:
    """The assumptions as an answer shows them, each with what it is about."""

    def __init__(self, *shown: list[dict[str, str]]) -> None:
        self.rows = {(one["assumption"], one["subject"]): float(one["value"]) for told in shown for one in told if told}

    def of(self, name: str, subject: str) -> float | None:
        """Return what is stated for ``subject``, else for everything."""
        return self.rows.get((name, subject), self.rows.get((name, "everything")))


def share(rows: list[bool]) -> float | None:
    """Return the share of what is so."""
    return fmean(rows) if rows else None


def nearest_rank(values: list[float], percent: int) -> float:
    """Return the smallest value that so many per cent of the sorted values do not exceed."""
    return values[max(math.ceil(percent * len(values) / 100), 1) - 1]


def week_of(text: str) -> str:
    """Return the ISO week of a moment, in UTC."""
    year, week, _ = datetime.fromisoformat(text).astimezone(UTC).isocalendar()
    return f"{year}-W{week:02d}"


def _day(call: Row) -> date:
    return datetime.fromisoformat(call["started_at"]).astimezone(UTC).date()


def _seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def _helped(one: Row) -> bool:
    return any(verb == "incident.needs_operator" for verb, _ in one["entries"])


def _sent(run: Row) -> bool:
    return any(attempt["sent_at"] and attempt["act"] == "send" for step in run["steps"] for attempt in step["attempts"])
