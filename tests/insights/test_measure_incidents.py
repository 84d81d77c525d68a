"""The measures of a period: what counts, what does not, and for whom."""

from datetime import timedelta
from decimal import Decimal

import pytest

from incidents.states import Status
from insights.kpis import measures
from insights.kpis.periods import Period
from playbooks.states import ExecutionState
from tests.factories import make_user
from tests.insights import score

pytestmark = pytest.mark.django_db
MARCH = Period(score.at(-1), score.at(29))


@pytest.fixture
def reader():
    return make_user("reader", role="auditor")


def measured(reader, period=MARCH):
    return {one.name: one for one in measures.process_measures(measures.counted(reader, period))}


def test_the_time_to_a_mend_runs_from_opening_to_the_verified_close(reader):
    for hours in (1, 3):
        one = score.make_incident(closed_at=score.MONDAY + timedelta(hours=hours))
        score.make_mend(one)
    score.make_mend(score.make_incident(Status.ROLLED_BACK))
    score.make_incident(Status.NEEDS_OPERATOR)

    found = measured(reader)["mttr_seconds"]

    assert found.value == pytest.approx(7200, abs=0.01)
    assert found.n == 2


def test_what_was_closed_outside_the_period_does_not_count(reader):
    score.make_mend(score.make_incident(closed_at=MARCH.end))
    score.make_mend(score.make_incident(opened_at=score.at(-9), closed_at=MARCH.start))

    assert measured(reader)["mttr_seconds"].n == 1


def test_an_incident_mended_twice_counts_once_with_the_mend_that_stands(reader):
    one = score.make_incident()
    score.make_mend(one, playbook="old")
    score.make_mend(one, playbook="new", autonomous=True)

    found = measures.counted(reader, MARCH)

    assert [(cell.playbook, cell.n) for cell in found.cells] == [("new", 1)]


def test_first_contact_takes_the_first_plan_and_no_operator(reader):
    score.make_mend(score.make_incident())
    second = score.make_incident()
    score.make_mend(second, ExecutionState.CANCELLED)
    score.make_mend(second)
    helped = score.make_incident()
    score.hand_over(helped)
    score.make_mend(helped)
    score.make_mend(score.make_incident(Status.ROLLED_BACK))

    found = measured(reader)["first_contact_resolution"]

    assert (found.value, found.n) == (0.25, 4)
    assert found.interval == pytest.approx((0.0063, 0.8059), abs=1e-4)


def test_service_levels_count_missed_open_ones_and_stand_apart(reader):
    score.make_clock(score.make_incident(), contractual=True)
    score.make_clock(score.make_incident(), late=True, minutes=30)
    score.make_clock(score.make_incident(Status.NEEDS_OPERATOR), late=True)
    score.make_clock(score.make_incident(Status.DISMISSED), late=True)
    score.make_incident()

    found = measured(reader)["sla_adherence"]

    assert (found.value, found.n) == (pytest.approx(1 / 3), 3)
    assert (found.part("contractual").value, found.part("contractual").n) == (1.0, 1)
    assert (found.part("internal").value, found.part("internal").n) == (0.0, 2)


def test_a_change_is_right_only_at_its_first_attempt(reader):
    score.make_mend(score.make_incident())
    score.make_mend(score.make_incident(), first=False)
    score.make_mend(score.make_incident(Status.NEEDS_OPERATOR), ExecutionState.FAILED)
    score.make_mend(score.make_incident(Status.NEEDS_OPERATOR), ExecutionState.CANCELLED, sent=False)
    score.make_mend(score.make_incident(Status.EXECUTING), ExecutionState.RUNNING)

    found = measured(reader)["change_success_rate"]

    assert (found.value, found.n) == (pytest.approx(1 / 3), 3)


def test_coverage_tells_alone_from_approved_and_by_hand(reader):
    score.make_mend(score.make_incident(), autonomous=True)
    score.make_mend(score.make_incident())
    helped = score.make_incident()
    score.hand_over(helped)
    score.make_mend(helped, autonomous=True)
    score.dismiss(score.make_incident(Status.DISMISSED), "anna")
    score.dismiss(score.make_incident(Status.DISMISSED), "system:loop")

    found = measured(reader)["automation_coverage"]

    assert (found.value, found.n) == (0.5, 4)
    assert {part.name.partition(".")[2]: part.value for part in found.parts} == {
        "autonomous": 0.25,
        "approved": 0.25,
        "manual": 0.5,
    }


def test_nothing_measured_is_no_zero(reader):
    found = measured(reader)

    assert {one.value for one in found.values()} == {None}
    assert all(one.because for one in found.values())


def test_folded_incidents_count_for_nothing(reader):
    kept = score.make_incident()
    score.make_mend(score.make_incident(merged_into=kept))

    assert sum(cell.n for cell in measures.counted(reader, MARCH).cells) == 1


def test_figures_are_those_of_the_readers_units():
    score.make_mend(score.make_incident())
    score.make_mend(score.make_incident(business_unit="US", closed_at=score.MONDAY + timedelta(hours=9)))
    late = score.make_incident(Status.NEEDS_OPERATOR, business_unit="US")
    score.make_clock(late, late=True)
    european = make_user("european", role="viewer", units=["EU"])

    found = measured(european)

    assert found["mttr_seconds"].n == 1
    assert found["mttr_seconds"].value == pytest.approx(3600, abs=0.01)
    assert found["change_success_rate"].n == 1
    assert found["sla_adherence"].n == 0


def test_a_group_is_measured_like_the_whole(reader):
    score.make_mend(score.make_incident())
    score.make_mend(score.make_incident(region="FR", closed_at=score.at(minutes=180)), playbook="other")
    found = measures.counted(reader, MARCH)

    for by, names in (
        ("region", ["DE", "FR"]),
        ("playbook", ["credit", "other"]),
        ("kind", ["duplicate_invoice"]),
        ("week", ["2026-W10"]),
        ("business_unit", ["EU"]),
        ("domain", ["billing"]),
    ):
        groups = measures.grouped(found, by)
        assert list(groups) == names
        assert sum(measures.time_to_mend(part.cells).n for part in groups.values()) == 2
        assert sum(measures.change_success(part.changes).n for part in groups.values()) == 2


def test_revenue_is_never_added_across_currencies(reader):
    score.make_mend(score.make_incident(revenue_at_risk=Decimal("10.10")))
    score.make_mend(score.make_incident(revenue_at_risk=Decimal("20.20"), currency="USD"))
    score.make_mend(score.make_incident(revenue_at_risk=None))
    score.make_incident(Status.ROLLED_BACK)

    found = measures.revenue_protected(measures.counted(reader, MARCH).cells)

    assert [(one.data["currency"], one.value, one.n) for one in found] == [("EUR", 10.10, 1), ("USD", 20.20, 1)]
