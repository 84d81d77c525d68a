"""Every measure equals what an outsider works out from the public API alone: incidents, timelines and executions."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import fmean
from typing import Any

import pytest

from audit.actions import record
from audit.clock import db_now
from incidents.models import Incident
from incidents.states import Status
from insights.kpis.models import Assumption
from playbooks.models import Execution
from playbooks.states import ExecutionState
from tests.insights import score

pytestmark = pytest.mark.django_db
_OVER = ("resolved", "rolled_back", "dismissed")


def history() -> None:
    """Forty incidents in every state that counts, told in the ledger as the loop tells them."""
    now = db_now()
    for number in range(40):
        opened = now - timedelta(days=number % 27, hours=2, minutes=number)
        closed: dict[str, Any] = {
            "opened_at": opened,
            "closed_at": opened + timedelta(minutes=7 + 3 * number, seconds=number),
        }
        place: dict[str, Any] = {
            "business_unit": "EU" if number % 4 else "US",
            "revenue_at_risk": Decimal(100 + number),
        }
        sort = number % 10
        if sort < 6:
            one = score.make_incident(**closed, **place, currency="EUR" if number % 2 else "USD")
            if sort == 1:
                run = score.make_mend(one, ExecutionState.CANCELLED)
                tell(run)
            if sort == 2:
                score.hand_over(one)
            tell(score.make_mend(one, autonomous=sort == 3, first=sort != 4))
            score.make_clock(one, contractual=sort % 2 == 0, late=number > 20, minutes=60)
        elif sort == 6:
            one = score.make_incident(Status.ROLLED_BACK, **closed, **place)
            tell(score.make_mend(one))
        elif sort == 7:
            score.dismiss(score.make_incident(Status.DISMISSED, **closed), "anna" if number > 10 else "system:loop")
        elif sort == 8:
            one = score.make_incident(Status.NEEDS_OPERATOR, opened_at=opened)
            tell(score.make_mend(one, ExecutionState.FAILED))
            score.make_clock(one, late=True, minutes=30)
        else:
            score.make_incident(**closed, merged_into=Incident.objects.first())


def tell(run: Execution) -> None:
    """Enter that an execution was begun, as the engine does."""
    record("execution.begun", actor="system:loop", target=run, incident=run.incident_id)


class Outsider:
    """Somebody with a token and nothing else."""

    def __init__(self, client: Any, begin: datetime, end: datetime) -> None:
        self.client, self.begin, self.end = client, begin.isoformat(), end.isoformat()
        listed = list(self._pages("/api/v1/incidents/?page_size=50"))
        self.incidents = [self._get(f"/api/v1/incidents/{one['id']}/") for one in listed]
        self.incidents = [one for one in self.incidents if one["merged_into"] is None]
        for one in self.incidents:
            one["lines"] = list(self._pages(f"/api/v1/incidents/{one['id']}/timeline/?page_size=100"))
            one["verbs"] = {(line["data"]["verb"], line["actor"]) for line in one["lines"] if line["what"] == "entry"}

    def _get(self, url: str) -> Any:
        answer = self.client.get(url)
        assert answer.status_code == 200, (url, answer.content)
        return answer.json()

    def _pages(self, url: str | None) -> Iterator[Any]:
        while url:
            page = self._get(url)
            yield from page["results"]
            url = page["next"]

    def within(self, moment: str | None) -> bool:
        return moment is not None and _moment(self.begin) <= _moment(moment) < _moment(self.end)

    def closed(self, *statuses: str) -> list[Any]:
        return [one for one in self.incidents if one["status"] in statuses and self.within(one["closed_at"])]

    def helped(self, one: Any) -> bool:
        return any(verb == "incident.needs_operator" for verb, _ in one["verbs"])

    def mttr(self) -> tuple[float, int]:
        spans = [_moment(one["closed_at"]) - _moment(one["opened_at"]) for one in self.closed("resolved")]
        return fmean(span.total_seconds() for span in spans), len(spans)

    def first_contact(self) -> tuple[float, int]:
        rows = self.closed("resolved", "rolled_back")
        good = [one["status"] == "resolved" and one["plan"]["number"] == 1 and not self.helped(one) for one in rows]
        return fmean(good), len(good)

    def sla(self) -> tuple[float, int]:
        clocks = [one["sla"] for one in self.closed("resolved", "rolled_back") if one["sla"]]
        open_ = [one["sla"] for one in self.incidents if one["closed_at"] is None and one["sla"]]
        clocks += [clock for clock in open_ if self.within(clock["breached_at"])]
        return fmean(not clock["breached"] for clock in clocks), len(clocks)

    def changes(self) -> tuple[float, int]:
        right = []
        for one in self.incidents:
            begun = self._pages(f"/api/v1/audit/entries/?incident={one['id']}&verb=execution.begun")
            for number in {entry["target"]["id"] for entry in begun}:
                run = self._get(f"/api/v1/executions/{number}/")
                sent = any(step["attempts"] for step in run["steps"])
                ended = run["state"] == "verified" or (run["state"] in ("failed", "cancelled") and sent)
                if run["direction"] == "forward" and ended and self.within(run["created_at"]):
                    right.append(run["state"] == "verified" and run["first_attempt_verified"] is True)
        return fmean(right), len(right)

    def modes(self) -> list[str]:
        found = []
        for one in self.closed(*_OVER):
            if one["status"] == "dismissed":
                if any(v == "incident.dismissed" and not actor.startswith("system:") for v, actor in one["verbs"]):
                    found.append("manual")
            elif one["status"] == "rolled_back" or self.helped(one):
                found.append("manual")
            else:
                found.append("autonomous" if one["outcome"]["autonomous"] else "approved")
        return found

    def saved(self) -> tuple[float, int]:
        minutes = {"autonomous": 0.0, "approved": 4.0, "manual": 30.0}
        modes = self.modes()
        return 1 - sum(minutes[mode] for mode in modes) / (30.0 * len(modes)), len(modes)

    def protected(self) -> dict[str, Decimal]:
        sums: dict[str, Decimal] = {}
        for one in self.closed("resolved"):
            money = one["revenue_at_risk"]
            sums[money["currency"]] = sums.get(money["currency"], Decimal(0)) + Decimal(money["amount"])
        return sums


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.fixture
def told(api, auditor):
    history()
    for name, value, currency in (
        ("minutes_by_hand", 30, ""),
        ("minutes_to_approve", 4, ""),
        ("hourly_rate", 50, "EUR"),
    ):
        Assumption.objects.create(name=name, value=value, currency=currency, because="timed")
    end = db_now()
    begin = end - timedelta(days=20)
    client = api(auditor)
    body = client.get("/api/v1/kpis/", {"from": begin.isoformat(), "to": end.isoformat(), "by": "business_unit"}).json()
    return body, Outsider(client, begin, end)


def test_every_measure_equals_its_recomputation(told):
    body, outsider = told

    for name, (value, n) in {
        "mttr_seconds": outsider.mttr(),
        "first_contact_resolution": outsider.first_contact(),
        "sla_adherence": outsider.sla(),
        "change_success_rate": outsider.changes(),
        "roi": outsider.saved(),
    }.items():
        assert body[name]["n"] == n > 10, name
        assert body[name]["value"] == pytest.approx(value, rel=1e-3), name


def test_coverage_and_money_equal_their_recomputation(told):
    body, outsider = told
    modes = outsider.modes()

    for mode in ("autonomous", "approved", "manual"):
        assert body["automation_coverage"]["parts"][mode]["value"] == pytest.approx(modes.count(mode) / len(modes))
    assert body["automation_coverage"]["n"] == len(modes)
    assert {one["data"]["currency"]: one["value"] for one in body["revenue_protected"]} == {
        currency: pytest.approx(float(amount), rel=1e-3) for currency, amount in sorted(outsider.protected().items())
    }


def test_parts_add_up_to_the_whole(told):
    body, _ = told

    for name in ("mttr_seconds", "first_contact_resolution", "sla_adherence", "change_success_rate"):
        assert sum(group[name]["n"] for group in body["groups"]) == body[name]["n"]
