"""What a playbook changed in the process, with intervals; and what has become slow since is found once."""

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse

from insights.kpis import feedback
from insights.kpis.models import Finding
from insights.kpis.periods import Period
from tests.factories import make_user
from tests.insights import score
from tests.insights.factories import make_log

pytestmark = pytest.mark.django_db
CHANGE = score.at(60)


@pytest.fixture
def reader():
    return make_user("reader", role="auditor")


def case(key: str, begun: Any, *, hours: float, again: int = 0, check: float = 1.0) -> list[tuple[Any, ...]]:
    """A case of that many hours whose check is repeated; ``check``: hours between check and invoice."""
    steps = ["order", *["check"] * (1 + again), "invoice"]
    gaps = [hours - check - again * 0.25, *[0.25] * again, check]
    events, at = [], begun
    for step, gap in zip(steps, [*gaps, 0.0], strict=True):
        events.append((key, step, at))
        at += timedelta(hours=gap)
    return events


def a_process(*, after: float = 10.0, again: int = 0, check: float = 1.0, n: int = 30) -> Any:
    """Thirty cases that took about twenty hours and were checked twice; then as many after the playbook began."""
    events = []
    for number in range(n):
        key = f"B{number:03d}"
        opened = score.at(number)
        events += case(key, opened, hours=20 + number % 5, again=1)
        score.make_incident(entity_key=key, opened_at=opened)
    for number in range(n):
        key = f"A{number:03d}"
        opened = CHANGE + timedelta(days=number)
        events += case(key, opened, hours=after + number % 5, again=again, check=check + number % 3 * 0.1)
        score.make_mend(score.make_incident(entity_key=key, opened_at=opened))
    return make_log(events)


def compared(log: Any, reader: Any = None) -> feedback.Feedback:
    ((version, begun),) = feedback.versions_at_work(reader)
    # The first mend ends a little after its incident was opened.
    return feedback.compare(log, version, begun - timedelta(hours=1), reader)


def test_a_playbook_that_helps_is_seen_in_throughput_and_rework(reader):
    found = compared(a_process(), reader)

    assert (found.throughput.n_before, found.throughput.n_after) == (30, 30)
    assert found.throughput.verdict == found.rework.verdict == found.leakage.verdict == "less"
    low, high = found.throughput.interval or (0, 0)
    assert low < -10 * 3600 < high
    assert (found.rework.before, found.rework.after) == (1.0, 0.0)
    assert "without a hold-out" in found.label


def test_a_playbook_that_changes_nothing_is_no_effect(reader):
    found = compared(a_process(after=20, again=1), reader)

    assert found.throughput.verdict == "no_effect"
    assert found.rework.verdict == "no_effect"


def test_few_cases_claim_nothing(reader):
    found = compared(a_process(n=19), reader)

    assert not found.enough
    assert found.throughput.interval is None


def test_cases_of_other_units_are_not_compared():
    log = a_process()

    assert feedback.versions_at_work(make_user("american", role="viewer", units=["US"])) == []
    ((version, begun),) = feedback.versions_at_work()
    found = feedback.compare(log, version, begun, make_user("other", role="viewer", units=["US"]))
    assert (found.throughput.n_before, found.throughput.n_after) == (0, 0)


def test_what_has_become_slow_is_found_once():
    a_process(after=20, check=9.0)

    assert (feedback.look_for_bottlenecks(), feedback.look_for_bottlenecks()) == (1, 0)

    finding = Finding.objects.get()
    assert finding.title == "check → invoice has become a bottleneck"
    assert finding.data["times"] > 5
    assert "anything else that changed then" in finding.text


def test_a_process_that_stays_as_it_was_has_no_finding():
    a_process(after=20, again=1)

    assert feedback.look_for_bottlenecks() == 0


def test_coverage_is_told_by_the_variant_of_the_case(reader):
    log = a_process()

    found = feedback.coverage_by_variant(log, reader, Period(score.at(-1), score.at(120)))

    assert {one.path: one.counts for one in found} == {
        ("order", "check", "invoice"): {"autonomous": 0, "approved": 30, "manual": 0},
        ("order", "check", "check", "invoice"): {"autonomous": 0, "approved": 30, "manual": 0},
    }


def test_the_page_compares_and_says_how_weak_that_is(client, reader):
    log = a_process()
    client.force_login(reader)

    page = client.get(reverse("kpi_feedback", args=[log.pk])).content.decode()

    assert "weaker than a trial" in page
    assert "less (" in page
    assert "order → check → invoice" in page


def test_a_log_of_another_unit_has_no_page(client):
    log = make_log(case("A", score.at(), hours=3), business_unit="US")
    client.force_login(make_user("european", role="viewer", units=["EU"]))

    assert client.get(reverse("kpi_feedback", args=[log.pk])).status_code == 404
